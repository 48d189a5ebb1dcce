//! What is shown of targets: plain copies, as `/api/v1/targets` and `/api/v1/metadata` need them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nave_model::duration::PromDuration;
use nave_model::label::Labels;
use nave_model::metadata::Metadata;
use nave_model::time::Timestamp;
use url::Url;

use crate::target::{Health, Target};

/// A target that is scraped.
#[derive(Debug, Clone)]
pub struct ActiveTarget {
    /// Before relabelling.
    pub discovered_labels: Labels,
    /// After it; those of all its series.
    pub labels: Labels,
    /// The job's name in the configuration.
    pub scrape_pool: String,
    /// What is fetched.
    pub scrape_url: Url,
    /// Of the last scrape; empty when it worked.
    pub last_error: String,
    /// When it was scraped last.
    pub last_scrape: Option<Timestamp>,
    /// How long that took.
    pub last_scrape_duration: Duration,
    /// Whether that worked.
    pub health: Health,
    /// How often it is scraped.
    pub scrape_interval: PromDuration,
    /// How long a scrape may take.
    pub scrape_timeout: PromDuration,
}

impl ActiveTarget {
    pub(crate) fn of(target: &Target, pool: &str) -> Self {
        let last = target.last.lock().clone();
        Self {
            discovered_labels: target.discovered.clone(),
            labels: target.labels.clone(),
            scrape_pool: pool.to_owned(),
            scrape_url: target.url.clone(),
            last_error: last.error,
            last_scrape: last.at,
            last_scrape_duration: last.duration,
            health: last.health,
            scrape_interval: target.interval,
            scrape_timeout: target.timeout,
        }
    }

    /// The URL as seen from elsewhere: a target on this machine is given the host of `external`, and this
    /// process itself (`own_port`) its whole address.
    #[must_use]
    pub fn global_url(&self, external: &Url, own_port: Option<u16>) -> Url {
        let mut url = self.scrape_url.clone();
        if !matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            return url;
        }
        let own = own_port.is_some() && url.port_or_known_default() == own_port;
        // A URL that cannot take these keeps what it has.
        if own {
            let _ = url.set_scheme(external.scheme());
            let _ = url.set_port(external.port());
        }
        let _ = url.set_host(external.host_str());
        url
    }
}

/// A target that relabelling dropped.
#[derive(Debug, Clone)]
pub struct DroppedTarget {
    /// Before relabelling.
    pub discovered_labels: Labels,
    /// The job's name in the configuration.
    pub scrape_pool: String,
}

/// All targets.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// In order of pool, then labels.
    pub active: Vec<ActiveTarget>,
    /// In order of pool; may be fewer than there are.
    pub dropped: Vec<DroppedTarget>,
    /// How many there are, by pool.
    pub dropped_counts: BTreeMap<String, usize>,
}

/// What a target says about a metric family.
#[derive(Debug, Clone)]
pub struct TargetMetadata {
    /// Labels of the target.
    pub target: Labels,
    /// The family.
    pub family: Arc<str>,
    /// What it says.
    pub metadata: Metadata,
}
