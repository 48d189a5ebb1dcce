//! The scraper as the API and the senders see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use nave_api::view::{ActiveTarget, Health, TargetMetadata, TargetPool, TargetsView};
use nave_model::label::Labels;
use nave_model::metadata::Metadata;
use nave_model::relabel::RelabelConfig;
use nave_model::select::{MetadataIndex, Scope};
use nave_remote::MetadataSource;
use nave_scrape::{BuiltinSource, Scraper};

/// Views of one scraper.
#[derive(Clone)]
pub(super) struct Targets(pub(super) Arc<Scraper>);

impl TargetsView for Targets {
    fn pools(&self) -> Vec<TargetPool> {
        let targets = self.0.targets();
        let mut pools: BTreeMap<String, TargetPool> =
            self.0.pools().into_iter().map(|name| (name, TargetPool::default())).collect();
        for target in targets.active {
            pools.entry(target.scrape_pool.clone()).or_default().active.push(shown(target));
        }
        for target in targets.dropped {
            pools.entry(target.scrape_pool).or_default().dropped.push(pairs(&target.discovered_labels));
        }
        for (name, count) in targets.dropped_counts {
            pools.entry(name).or_default().dropped_count = count;
        }
        pools.into_iter().map(|(name, pool)| TargetPool { name, ..pool }).collect()
    }

    fn metadata(&self) -> Vec<TargetMetadata> {
        let shown = |told: nave_scrape::TargetMetadata| TargetMetadata {
            target: told.target,
            metric: told.family.to_string(),
            metadata: told.metadata,
        };
        self.0.metadata().into_iter().map(shown).collect()
    }

    fn relabel_rules(&self, pool: &str) -> Option<Vec<RelabelConfig>> {
        Some(self.0.config(pool)?.relabel_configs.clone())
    }
}

fn shown(target: nave_scrape::ActiveTarget) -> ActiveTarget {
    ActiveTarget {
        discovered_labels: pairs(&target.discovered_labels),
        labels: target.labels,
        scrape_url: target.scrape_url.to_string(),
        last_error: target.last_error,
        last_scrape: target.last_scrape,
        last_scrape_duration: target.last_scrape_duration,
        health: match target.health {
            nave_scrape::Health::Unknown => Health::Unknown,
            nave_scrape::Health::Up => Health::Up,
            nave_scrape::Health::Down => Health::Down,
        },
        scrape_interval: target.scrape_interval.to_string(),
        scrape_timeout: target.scrape_timeout.to_string(),
    }
}

fn pairs(labels: &Labels) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Targets {
    /// Family and metadata of all targets, each pair once.
    fn families(&self) -> Vec<(Arc<str>, Metadata)> {
        let mut all: Vec<_> =
            self.0.metadata().into_iter().map(|told| (told.family, told.metadata)).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Without a store, what targets say is all there is.
impl MetadataIndex for Targets {
    fn metadata(&self, _: &Scope, family: Option<&str>) -> Vec<(Arc<str>, Metadata)> {
        let mut all = self.families();
        all.retain(|(name, _)| family.is_none_or(|wanted| wanted == &**name));
        all
    }
}

impl MetadataSource for Targets {
    fn metadata(&self) -> Vec<(Arc<str>, Metadata)> {
        let mut all = self.families();
        all.dedup_by(|later, first| later.0 == first.0);
        all
    }
}

/// The built-in node exporter as a scrape source.
pub(super) struct NodePage(pub(super) Arc<nave_exporter::Node>);

impl BuiltinSource for NodePage {
    fn page(&self) -> String {
        self.0.page()
    }
}
