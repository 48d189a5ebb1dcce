//! What the process shows of itself: configuration, flags, runtime, build, readiness.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use nave_api::view::{
    BuildInfo, Count, HeadStats, NewSeries, RuntimeInfo, StatusView, TsdbStatus, WalReplay,
};
use nave_base::clock::SharedClock;
use nave_base::metric::{Gauge, Registry};
use nave_model::append::Tenant;
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_tsdb::Tsdb;

use super::VERSION;
use crate::config::Config;
use crate::flag::Server as Flags;

/// The state behind the status endpoints. One writer (start and reload), many readers.
pub(crate) struct Status {
    flags: BTreeMap<String, String>,
    features: BTreeMap<String, bool>,
    start: Timestamp,
    clock: SharedClock,
    loaded: ArcSwap<Loaded>,
    reload_succeeded: AtomicBool,
    ready: AtomicBool,
    store: OnceLock<Arc<Tsdb>>,
    default_step_ms: Arc<AtomicI64>,
    memory_limit: u64,
    last_reload_successful: Gauge,
    last_reload_success_timestamp: Gauge,
    ready_gauge: Gauge,
}

/// The configuration in use.
struct Loaded {
    yaml: String,
    external_labels: Labels,
    retention: String,
    at: Timestamp,
}

impl Status {
    pub(super) fn new(flags: &Flags, config: &Config, clock: &SharedClock, registry: &Registry) -> Self {
        let status = Self {
            flags: flags.shown.clone(),
            features: flags.features.iter().map(|feature| (feature.clone(), true)).collect(),
            start: Timestamp(clock.now_ms()),
            clock: clock.clone(),
            loaded: ArcSwap::from_pointee(Loaded::new(flags, config, clock)),
            reload_succeeded: AtomicBool::new(true),
            ready: AtomicBool::new(false),
            store: OnceLock::new(),
            default_step_ms: Arc::new(AtomicI64::new(60_000)),
            memory_limit: super::hub::machine_memory(),
            last_reload_successful: registry.gauge(
                "prometheus_config_last_reload_successful",
                "Whether the last configuration reload attempt was successful.",
            ),
            last_reload_success_timestamp: registry.gauge(
                "prometheus_config_last_reload_success_timestamp_seconds",
                "Timestamp of the last successful configuration reload.",
            ),
            ready_gauge: registry.gauge("prometheus_ready", "Whether requests can be answered."),
        };
        status.note_reload(flags, Some(config));
        status
    }

    /// After a load: `None` says that it failed and the running configuration stays.
    pub(super) fn note_reload(&self, flags: &Flags, config: Option<&Config>) {
        self.reload_succeeded.store(config.is_some(), Ordering::SeqCst);
        self.last_reload_successful.set(f64::from(u8::from(config.is_some())));
        if let Some(config) = config {
            self.loaded.store(Arc::new(Loaded::new(flags, config, &self.clock)));
            self.last_reload_success_timestamp.set(Timestamp(self.clock.now_ms()).seconds());
        }
    }

    pub(super) fn set_store(&self, store: Arc<Tsdb>) {
        assert!(self.store.set(store).is_ok(), "a process has one store");
    }

    /// The step of subqueries without one: the global evaluation interval in ms.
    pub(super) fn default_step(&self) -> Arc<AtomicI64> {
        self.default_step_ms.clone()
    }

    pub(super) fn set_default_step(&self, ms: u64) {
        self.default_step_ms.store(i64::try_from(ms).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
        self.ready_gauge.set(1.0);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }
}

impl Loaded {
    fn new(flags: &Flags, config: &Config, clock: &SharedClock) -> Self {
        let external_labels = Labels::from_pairs(config.external_labels()).unwrap_or_default();
        let retention = super::hub::retention_text(flags, config);
        Self { yaml: config.show(), external_labels, retention, at: Timestamp(clock.now_ms()) }
    }
}

/// The machine's name.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn counts(ranked: Vec<(String, u64)>) -> Vec<Count> {
    ranked.into_iter().map(|(name, value)| Count { name, value }).collect()
}

impl StatusView for Status {
    fn config_yaml(&self) -> String {
        self.loaded.load().yaml.clone()
    }

    fn flags(&self) -> BTreeMap<String, String> {
        self.flags.clone()
    }

    fn runtime(&self) -> RuntimeInfo {
        let directory = std::env::current_dir().map(|dir| dir.display().to_string());
        let metrics = tokio::runtime::Handle::current().metrics();
        RuntimeInfo {
            start: self.start,
            working_directory: directory.unwrap_or_default(),
            hostname: hostname(),
            reload_succeeded: self.reload_succeeded.load(Ordering::SeqCst),
            last_config: self.loaded.load().at,
            corruption_count: self.store.get().map_or(0, |store| store.replayed().damages.len() as u64),
            task_count: metrics.num_alive_tasks() as u64,
            worker_count: metrics.num_workers() as u64,
            memory_limit: self.memory_limit,
            storage_retention: self.loaded.load().retention.clone(),
        }
    }

    fn build(&self) -> BuildInfo {
        BuildInfo {
            version: VERSION.to_owned(),
            go_version: concat!("rust", env!("CARGO_PKG_RUST_VERSION")).to_owned(),
            ..BuildInfo::default()
        }
    }

    fn external_labels(&self) -> Labels {
        self.loaded.load().external_labels.clone()
    }

    fn tsdb(&self, limit: usize) -> Option<TsdbStatus> {
        let statistics = self.store.get()?.statistics(&Tenant::default(), limit);
        let head = statistics.head;
        let new_series = statistics.new_series.into_iter();
        Some(TsdbStatus {
            head_stats: HeadStats {
                num_series: head.series as u64,
                num_label_pairs: head.label_pairs as u64,
                chunk_count: head.chunks,
                min_time: head.min_time,
                max_time: head.max_time,
            },
            series_count_by_metric_name: counts(statistics.series_by_metric),
            label_value_count_by_label_name: counts(statistics.values_by_label),
            memory_in_bytes_by_label_name: counts(statistics.bytes_by_label),
            series_count_by_label_value_pair: counts(statistics.series_by_pair),
            series_count_by_job: counts(statistics.series_by_job),
            series_count_by_cluster: counts(statistics.series_by_cluster),
            new_series_by_minute: new_series.map(|(time, value)| NewSeries { time, value }).collect(),
        })
    }

    fn wal_replay(&self) -> WalReplay {
        WalReplay::default()
    }

    fn features(&self) -> BTreeMap<String, BTreeMap<String, bool>> {
        BTreeMap::from([("enabled".to_owned(), self.features.clone())])
    }
}
