//! What an operator may do with the hub's store, and what it keeps: the admin API, retention, the file of rules.
//!
//! ```yaml
//! rules:                                # the first one that matches a series decides
//!   - selector: '{cluster="staging"}'
//!     keep: 7d
//!   - selector: '{__name__=~"slo:.*"}'
//!     keep: 0                           # for ever
//! ```
//!
//! The file is read at the start, with every reload and when its text changes. One that is not valid changes nothing
//! of a running hub, and says so in the log and in a metric.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nave_api::{BlockView, TsdbAdmin};
use nave_base::Shutdown;
use nave_base::metric::Gauge;
use nave_model::append::Tenant;
use nave_model::duration::PromDuration;
use nave_model::matcher::Matcher;
use nave_model::time::TimeRange;
use nave_promql::{ParseOptions, parse_selector};
use nave_tsdb::{BlockStatus, RetentionRule, Tsdb};
use serde::Deserialize;

use super::{Process, watch};
use crate::yaml;

/// The store for `/api/v1/admin/tsdb`.
pub(super) struct Admin(pub(super) Arc<Tsdb>);

impl TsdbAdmin for Admin {
    fn delete_series(
        &self,
        selectors: Vec<Vec<Matcher>>,
        range: TimeRange,
    ) -> BoxFuture<'_, Result<(), String>> {
        async move {
            self.0
                .delete_series(&Tenant::default(), selectors, range)
                .await
                .map_err(|error| error.to_string())
        }
        .boxed()
    }

    fn clean_tombstones(&self) -> BoxFuture<'_, Result<(), String>> {
        async { self.0.clean_tombstones().await.map_err(|error| error.to_string()) }.boxed()
    }

    fn snapshot(&self, skip_head: bool) -> BoxFuture<'_, Result<String, String>> {
        async move { self.0.snapshot(skip_head).await.map_err(|error| error.to_string()) }.boxed()
    }

    fn compact(&self) -> BoxFuture<'_, Result<(), String>> {
        async { self.0.compact_all().await.map_err(|error| error.to_string()) }.boxed()
    }

    fn blocks(&self) -> Vec<BlockView> {
        self.0.blocks().into_iter().map(shown).collect()
    }
}

fn shown(block: BlockStatus) -> BlockView {
    let BlockStatus { ulid, level, min_time, max_time, series, samples, bytes, tombstones, damage, .. } =
        block;
    BlockView { ulid, level, min_time, max_time, series, samples, bytes, tombstones, damage }
}

/// The file as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RulesConfig {
    rules: Vec<RuleConfig>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleConfig {
    selector: Selector,
    /// 0 is for ever.
    keep: PromDuration,
}

/// A series selector of PromQL.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
struct Selector(Vec<Matcher>);

impl TryFrom<String> for Selector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = parse_selector(&text, &ParseOptions::ALL);
        parsed.map(Self).map_err(|error| format!("expected a series selector, came {text:?}: {error}"))
    }
}

impl RulesConfig {
    fn rules(&self) -> Vec<RetentionRule> {
        let rule = |rule: &RuleConfig| {
            let ms = i64::try_from(rule.keep.as_ms()).unwrap_or(i64::MAX);
            RetentionRule { matchers: rule.selector.0.clone(), keep_ms: Some(ms).filter(|ms| *ms > 0) }
        };
        self.rules.iter().map(rule).collect()
    }
}

/// A file of retention rules in use.
pub(super) struct RulesFile {
    path: PathBuf,
    store: Arc<Tsdb>,
    /// The text that was tried last, valid or not.
    seen: ArcSwap<String>,
    process: Process,
    succeeded: Gauge,
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| {
        format!("cannot read the file of --storage.tsdb.retention.rules-file {}", path.display())
    })
}

impl RulesFile {
    /// The file of `--storage.tsdb.retention.rules-file`, when there is one.
    pub(super) fn open(process: &Process, store: &Arc<Tsdb>) -> Result<Option<Arc<Self>>> {
        let Some(path) = process.flags.retention_rules_file.clone() else { return Ok(None) };
        let text = read(&path)?;
        let config: RulesConfig = yaml::parse(&path, &text).context("error loading the retention rules")?;
        let succeeded = process.registry.gauge(
            "nave_retention_rules_last_reload_successful",
            "Whether the file of retention rules is in use as it stands on disk.",
        );
        let (store, process, seen) = (store.clone(), process.clone(), ArcSwap::from_pointee(text));
        let file = Self { path, store, seen, process, succeeded };
        file.apply(&config);
        Ok(Some(Arc::new(file)))
    }

    /// Reads and checks the file without using it.
    pub(super) fn load(&self) -> Result<RulesConfig> {
        let loaded = read(&self.path).and_then(|text| {
            self.seen.store(Arc::new(text.clone()));
            Ok(yaml::parse(&self.path, &text)?)
        });
        if loaded.is_err() {
            self.succeeded.set(0.0);
        }
        loaded
    }

    /// From now on `config` decides.
    pub(super) fn apply(&self, config: &RulesConfig) {
        self.store.set_retention_rules(config.rules());
        self.succeeded.set(1.0);
        tracing::info!(file = %self.path.display(), rules = config.rules.len(), "retention rules are in use");
    }

    /// Follows changes of the file until the shutdown.
    pub(super) async fn watch(self: Arc<Self>, shutdown: Shutdown) {
        let changed = || match self.load() {
            Ok(config) => self.apply(&config),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "error reloading the retention rules; the running ones stay");
            }
        };
        watch::follow(&self.path, &self.seen, &self.process.clock, &shutdown, changed).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_errors_say_where() {
        let parse = |text: &str| yaml::parse::<RulesConfig>(Path::new("r.yml"), text);
        let config =
            parse("rules:\n- selector: '{cluster=\"staging\"}'\n  keep: 7d\n- {selector: up, keep: 0}\n");
        let rules = config.unwrap().rules();
        assert_eq!(rules[0].matchers, [Matcher::equal("cluster", "staging")]);
        assert_eq!(rules.iter().map(|rule| rule.keep_ms).collect::<Vec<_>>(), [Some(7 * 86_400_000), None]);
        assert!(parse("").unwrap().rules().is_empty());
        let check = |text: &str, want: &str| {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        };
        check(
            "rules:\n- selector: '{a=}'\n  keep: 7d\n",
            "r.yml:2:13: rules[0].selector: expected a series selector",
        );
        check(
            "rules:\n- selector: '{}'\n  keep: 7d\n",
            "r.yml:2:13: rules[0].selector: expected a series selector",
        );
        check("rules:\n- selector: up\n  keep: 7 days\n", "r.yml:3:9: rules[0].keep: ");
        check(
            "rules:\n- selector: up\n  kept: 7d\n",
            "r.yml:3:3: rules[0]: field kept not found; did you mean keep?",
        );
    }
}
