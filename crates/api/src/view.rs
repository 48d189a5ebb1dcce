//! What the API asks of the rest of the process; `nave` implements these.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nave_model::label::Labels;
use nave_model::metadata::Metadata;
use nave_model::relabel::RelabelConfig;
use nave_model::time::Timestamp;
use serde::Serialize;

/// The last outcome of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Not scraped yet.
    Unknown,
    /// The last scrape worked.
    Up,
    /// The last scrape failed.
    Down,
}

/// A target that is scraped.
#[derive(Debug, Clone)]
pub struct ActiveTarget {
    /// Labels before relabelling, sorted by name.
    pub discovered_labels: Vec<(String, String)>,
    /// Labels after it.
    pub labels: Labels,
    /// Where it is scraped.
    pub scrape_url: String,
    /// Empty when the last scrape worked.
    pub last_error: String,
    /// When it was scraped last, if ever.
    pub last_scrape: Option<Timestamp>,
    /// How long that took.
    pub last_scrape_duration: Duration,
    /// How that went.
    pub health: Health,
    /// How often, as a Prometheus duration.
    pub scrape_interval: String,
    /// How long it may take, as a Prometheus duration.
    pub scrape_timeout: String,
}

/// The targets of one scrape configuration.
#[derive(Debug, Clone, Default)]
pub struct TargetPool {
    /// The job name.
    pub name: String,
    /// What is scraped.
    pub active: Vec<ActiveTarget>,
    /// Discovered labels of targets that relabelling dropped; may be cut by `keep_dropped_targets`.
    pub dropped: Vec<Vec<(String, String)>>,
    /// How many were dropped.
    pub dropped_count: usize,
}

/// The metadata of one family as one target gave it.
#[derive(Debug, Clone)]
pub struct TargetMetadata {
    /// The target's labels after relabelling.
    pub target: Labels,
    /// The family.
    pub metric: String,
    /// Type, help, unit.
    pub metadata: Metadata,
}

/// What scraping shows of itself.
pub trait TargetsView: Send + Sync {
    /// All pools, sorted by name.
    fn pools(&self) -> Vec<TargetPool>;
    /// Metadata of all targets' families.
    fn metadata(&self) -> Vec<TargetMetadata>;
    /// The rules that decide about a pool's targets; `None` where there is no such pool.
    fn relabel_rules(&self, pool: &str) -> Option<Vec<RelabelConfig>>;
}

/// `status/buildinfo` and `/version`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildInfo {
    /// The Prometheus version whose behaviour this is; clients choose features by it.
    pub version: String,
    /// The commit.
    pub revision: String,
    /// The branch.
    pub branch: String,
    /// Who built it.
    pub build_user: String,
    /// When.
    pub build_date: String,
    /// What built it; upstream's field for the Go version.
    pub go_version: String,
}

/// `status/runtimeinfo`, without what the API adds itself.
#[derive(Debug, Clone, Default)]
pub struct RuntimeInfo {
    /// When the process started.
    pub start: Timestamp,
    /// Its working directory.
    pub working_directory: String,
    /// The machine's name.
    pub hostname: String,
    /// Whether the last reload worked.
    pub reload_succeeded: bool,
    /// When the configuration in use was loaded.
    pub last_config: Timestamp,
    /// Damaged log records found so far.
    pub corruption_count: u64,
    /// Concurrent tasks; stands for upstream's goroutines.
    pub task_count: u64,
    /// Threads that run them; stands for GOMAXPROCS.
    pub worker_count: u64,
    /// The memory bound in bytes.
    pub memory_limit: u64,
    /// Retention as upstream shows it, such as `15d`.
    pub storage_retention: String,
}

/// A name with a number, for the top lists of `status/tsdb`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// What was counted.
    pub name: String,
    /// How much.
    pub value: u64,
}

/// `headStats` of `status/tsdb`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadStats {
    /// Series in memory.
    pub num_series: u64,
    /// Different label pairs.
    pub num_label_pairs: u64,
    /// Chunks.
    pub chunk_count: u64,
    /// Oldest sample in ms; `i64::MAX` when there is none.
    pub min_time: i64,
    /// Newest sample in ms; `i64::MIN` when there is none.
    pub max_time: i64,
}

/// `status/tsdb`. Lists are sorted, biggest first.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TsdbStatus {
    /// The head in total.
    pub head_stats: HeadStats,
    /// Series per metric name.
    pub series_count_by_metric_name: Vec<Count>,
    /// Values per label name.
    pub label_value_count_by_label_name: Vec<Count>,
    /// Bytes of values per label name.
    pub memory_in_bytes_by_label_name: Vec<Count>,
    /// Series per label pair `name=value`.
    pub series_count_by_label_value_pair: Vec<Count>,
    /// Series per job. Nave's own, like the next.
    pub series_count_by_job: Vec<Count>,
    /// Series per cluster.
    pub series_count_by_cluster: Vec<Count>,
    /// New series per minute over the last hours, oldest first. Minutes without any are left out.
    pub new_series_by_minute: Vec<NewSeries>,
}

/// New series of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NewSeries {
    /// When the minute began, in ms.
    pub time: i64,
    /// How many.
    pub value: u64,
}

/// `status/walreplay`: segments.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct WalReplay {
    /// First segment.
    pub min: u64,
    /// Last segment.
    pub max: u64,
    /// The one being read.
    pub current: u64,
}

/// What the process shows of itself.
pub trait StatusView: Send + Sync {
    /// The configuration in use as YAML, secrets hidden.
    fn config_yaml(&self) -> String;
    /// All flags with their values.
    fn flags(&self) -> BTreeMap<String, String>;
    /// Runtime facts.
    fn runtime(&self) -> RuntimeInfo;
    /// What was built.
    fn build(&self) -> BuildInfo;
    /// `global.external_labels`.
    fn external_labels(&self) -> Labels;
    /// The store, with at most `limit` entries per list; `None` where there is none.
    fn tsdb(&self, limit: usize) -> Option<TsdbStatus>;
    /// How far the log is read.
    fn wal_replay(&self) -> WalReplay;
    /// What is switched on, by category.
    fn features(&self) -> BTreeMap<String, BTreeMap<String, bool>>;
}

/// Starting, reloading and stopping.
pub trait Lifecycle: Send + Sync {
    /// Whether requests can be answered.
    ///
    /// # Errors
    /// Why not yet, or not any more.
    fn ready(&self) -> Result<(), String>;
    /// Reads the configuration again; the error says what is wrong with it.
    fn reload(&self) -> BoxFuture<'_, Result<(), String>>;
    /// Begins the shutdown.
    fn quit(&self);
    /// `--web.enable-lifecycle`.
    fn enabled(&self) -> bool;
}

/// A remote-write endpoint that this process sends to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointView {
    /// Its name in metrics.
    pub name: String,
    /// Where it is, without a password.
    pub url: String,
    /// Why a request failed last, and when; `None` while none has.
    pub last_failure: Option<(Timestamp, String)>,
}

/// What a process knows of the endpoints it sends to.
pub trait EndpointsView: Send + Sync {
    /// All endpoints, as configured.
    fn endpoints(&self) -> BoxFuture<'_, Vec<EndpointView>>;
}

/// What a hub knows of one cluster. Counts are since the start of the process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterView {
    /// Its name, the value of its `cluster` label.
    pub name: String,
    /// Whether nothing came for longer than the threshold.
    pub silent: bool,
    /// When a request with its credentials came last.
    pub last_contact: Option<Timestamp>,
    /// How far its newest sample is behind the hub's clock.
    pub lag_seconds: Option<f64>,
    /// In the last minute.
    pub samples_per_second: f64,
    /// In the last minute.
    pub bytes_per_second: f64,
    /// Series in memory.
    pub active_series: u64,
    /// Write requests.
    pub requests: u64,
    /// Bytes of write requests.
    pub received_bytes: u64,
    /// Samples stored or known already.
    pub accepted_samples: u64,
    /// Samples refused, by reason.
    pub rejected_samples: Vec<(String, u64)>,
    /// Requests turned away, by limit.
    pub throttled_requests: Vec<(String, u64)>,
    /// How the sender calls itself.
    pub sender_version: String,
    /// How far the sender's clock is ahead of the hub's, where it says so.
    pub clock_skew_seconds: Option<f64>,
    /// What is stamped on its series.
    pub labels: Vec<(String, String)>,
    /// Its limits, by name.
    pub limits: Vec<(String, u64)>,
}

/// What a hub knows of its clusters.
pub trait ClustersView: Send + Sync {
    /// All clusters, sorted by name; empty where there is no clusters file.
    fn clusters(&self) -> Vec<ClusterView>;
}
