//! How the store is kept.

use std::path::PathBuf;

/// Settings of a [`crate::Tsdb`]. Flags and files are read by the binary.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder; the log lies in `log` below it.
    pub dir: PathBuf,
    /// Whether the folder is locked against other processes.
    pub lock: bool,
    /// How long samples are kept, in ms; `None` keeps them for ever.
    pub retention_ms: Option<i64>,
    /// How many bytes the folder may take, log and scratch included; the oldest windows go first, then writes are
    /// refused. `None` is no bound.
    pub retention_bytes: Option<u64>,
    /// Bytes that stay free on the disk: when there are fewer, writes are refused and nothing is merged.
    pub disk_free_bytes_min: u64,
    /// Samples further ahead of the clock than this are refused, in ms.
    pub future_max_ms: i64,
    /// Series in memory; one more is refused.
    pub series_max: usize,
    /// Labels of one series, with the metric name.
    pub labels_max: usize,
    /// Bytes of a label name.
    pub label_name_bytes_max: usize,
    /// Bytes of a label value.
    pub label_value_bytes_max: usize,
    /// Metric families whose metadata is kept, per tenant.
    pub metadata_families_max: usize,
    /// Exemplars that are kept, the newest ones of all series together; 0 refuses them.
    pub exemplars_max: usize,
    /// Size of a segment of the log.
    pub segment_bytes: u64,
    /// Bytes of the log that make a flush.
    pub flush_log_bytes: u64,
    /// Samples that are only in log and memory for longer than this make a flush, in ms.
    pub flush_age_ms: i64,
    /// Bytes of memory that the process may use. Above 70 % of it the store flushes early and keeps less in memory, above
    /// 90 % appends are told to come back later. `None` is no bound.
    pub memory_limit: Option<usize>,
    /// Tells the bytes that the process has resident; without it only what the head is known to hold counts.
    pub resident_bytes: Option<fn() -> Option<usize>>,
    /// How long samples stay in memory after they were flushed, in ms, while there is room.
    pub hot_ms: i64,
    /// With at least so many series known at a start, writes are taken while memory is still being rebuilt; with fewer
    /// all is there when the start ends.
    pub background_series_min: usize,
    /// Threads that rebuild memory at the start; `None` is one per core.
    pub replay_threads: Option<usize>,
}

impl Options {
    /// Upstream's retention of 15 days, and limits that an ordinary installation does not meet.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            lock: true,
            retention_ms: Some(15 * 24 * 3_600_000),
            retention_bytes: None,
            disk_free_bytes_min: 64 << 20,
            future_max_ms: 3_600_000,
            series_max: 20_000_000,
            labels_max: 128,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 8192,
            metadata_families_max: 100_000,
            exemplars_max: 100_000,
            segment_bytes: 64 << 20,
            flush_log_bytes: 64 << 20,
            flush_age_ms: 5 * 60_000,
            memory_limit: None,
            resident_bytes: None,
            hot_ms: 45 * 60_000,
            background_series_min: 20_000,
            replay_threads: None,
        }
    }
}
