//! The link's own metrics, under upstream's names and under names that users still query.
//!
//! One [`Metrics`] per process, shared by the queue, all senders and the receiver, because a name can be
//! registered once only.

use std::collections::BTreeMap;
use std::sync::Arc;

use nave_base::metric::{Counter, Family, Gauge, Histogram, Registry};
use parking_lot::Mutex;

const ENDPOINT: &[&str] = &["remote_name", "url"];
const ENDPOINT_REASON: &[&str] = &["remote_name", "url", "reason"];
const SEND_BOUNDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0];

/// Why samples were not sent, as label values.
pub(crate) const DROP_REASONS: [&str; 4] =
    ["dropped_series", "too_old", "unintentionally_dropped_series", "queue_full"];

/// The name and URL under which the receiver counts in the senders' families, so that queries for
/// `prometheus_remote_storage_samples_total` also answer where samples arrive.
pub const RECEIVER: (&str, &str) = ("receiver", "/api/v1/write");

/// What is counted apart; an index into [`Counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sample = 0,
    Histogram = 1,
    Exemplar = 2,
}

/// How many of each [`Kind`].
pub(crate) type Counts = [usize; 3];

/// The kinds that have families of their own beside those of float samples.
/// Each with the help of sent, refused, sent again, dropped and pending ones.
const OTHER_KINDS: [(&str, [&str; 5]); 2] = [
    (
        "histograms",
        [
            "Native histograms sent, failed ones included.",
            "Native histograms that the endpoint refused.",
            "Native histograms sent again.",
            "Native histograms not sent, by reason.",
            "Native histograms in memory that are not delivered yet.",
        ],
    ),
    (
        "exemplars",
        [
            "Exemplars sent, failed ones included.",
            "Exemplars that the endpoint refused.",
            "Exemplars sent again.",
            "Exemplars not sent, by reason.",
            "Exemplars in memory that are not delivered yet.",
        ],
    ),
];

/// All families of the link.
#[derive(Debug)]
pub struct Metrics {
    pub(crate) samples_in: Counter,
    pub(crate) histograms_in: Counter,
    pub(crate) exemplars_in: Counter,
    pub(crate) highest_timestamp: Gauge,
    samples: Family<Counter>,
    succeeded_alias: Family<Counter>,
    failed: Family<Counter>,
    failed_alias: Family<Counter>,
    retried: Family<Counter>,
    dropped: Family<Counter>,
    dropped_alias: Family<Counter>,
    pending: Family<Gauge>,
    pending_alias: Family<Gauge>,
    others: [OtherFamilies; 2],
    metadata: Family<Counter>,
    metadata_failed: Family<Counter>,
    metadata_retried: Family<Counter>,
    metadata_bytes: Family<Counter>,
    bytes: Family<Counter>,
    enqueue_retries: Family<Counter>,
    batch_seconds: Family<Histogram>,
    highest_sent: Family<Gauge>,
    highest_queued: Family<Gauge>,
    shards: Family<Gauge>,
    shards_desired: Family<Gauge>,
    shards_max: Family<Gauge>,
    shards_min: Family<Gauge>,
    shard_capacity: Family<Gauge>,
    max_samples_per_send: Family<Gauge>,
    catch_up: CatchUpFamilies,
    watcher: WatcherFamilies,
    /// What the queue threw away, by endpoint; both names of the counter.
    lost: Mutex<BTreeMap<String, [Counter; 2]>>,
}

/// Families of histograms or exemplars.
#[derive(Debug)]
struct OtherFamilies {
    /// Sent, refused, sent again.
    counts: [Family<Counter>; 3],
    dropped: Family<Counter>,
    pending: Family<Gauge>,
}

impl OtherFamilies {
    fn register(registry: &Registry, kind: &str, help: [&'static str; 5]) -> Self {
        let name = |rest: &str| format!("prometheus_remote_storage_{kind}_{rest}");
        let counter = |rest: &str, help| registry.counter_family(&name(rest), help, ENDPOINT);
        let [sent, failed, retried, dropped, pending] = help;
        Self {
            counts: [
                counter("total", sent),
                counter("failed_total", failed),
                counter("retried_total", retried),
            ],
            dropped: registry.counter_family(&name("dropped_total"), dropped, ENDPOINT_REASON),
            pending: registry.gauge_family(&name("pending"), pending, ENDPOINT),
        }
    }

    fn endpoint(&self, remote_name: &str, url: &str) -> OtherMetrics {
        let labels = [remote_name, url];
        let [sent, failed, retried] = [0, 1, 2].map(|at: usize| self.counts[at].with(&labels));
        let dropped = DROP_REASONS.map(|reason| self.dropped.with(&[remote_name, url, reason]));
        OtherMetrics { sent, failed, retried, dropped, pending: self.pending.with(&labels) }
    }

    fn forget(&self, remote_name: &str, url: &str) {
        let labels = [remote_name, url];
        self.counts.iter().for_each(|family| family.remove(&labels));
        self.pending.remove(&labels);
        DROP_REASONS.iter().for_each(|reason| self.dropped.remove(&[remote_name, url, reason]));
    }
}

#[derive(Debug)]
struct WatcherFamilies {
    records: Family<Counter>,
    decode_failures: Family<Counter>,
    pre_tailing: Family<Counter>,
    skipped: Family<Counter>,
    segment: Family<Gauge>,
}

impl Metrics {
    /// Registers every family; call it once per registry.
    #[must_use]
    pub fn register(registry: &Registry) -> Arc<Self> {
        let name = |rest: &str| format!("prometheus_remote_storage_{rest}");
        let counters = |rest: &str, help| registry.counter_family(&name(rest), help, ENDPOINT);
        let gauges = |rest: &str, help| registry.gauge_family(&name(rest), help, ENDPOINT);
        let drops = |rest: &str, help| registry.counter_family(&name(rest), help, ENDPOINT_REASON);
        registry.counter(
            &name("string_interner_zero_reference_releases_total"),
            "Always 0: label sets are shared, not interned.",
        );
        Arc::new(Self {
            samples_in: registry.counter(&name("samples_in_total"), "Samples that came into the queue."),
            histograms_in: registry
                .counter(&name("histograms_in_total"), "Native histograms that came into the queue."),
            exemplars_in: registry
                .counter(&name("exemplars_in_total"), "Exemplars that came into the queue."),
            highest_timestamp: registry.gauge(
                &name("highest_timestamp_in_seconds"),
                "Newest timestamp of any sample in the queue, in seconds since the epoch.",
            ),
            samples: counters(
                "samples_total",
                "Samples sent, failed ones included; received ones for remote_name=\"receiver\".",
            ),
            succeeded_alias: counters("succeeded_samples_total", "Samples delivered (older name)."),
            failed: counters("samples_failed_total", "Samples that the endpoint refused for good."),
            failed_alias: counters("failed_samples_total", "Same as samples_failed_total (older name)."),
            retried: counters("samples_retried_total", "Samples sent again after a failure that may pass."),
            dropped: drops("samples_dropped_total", "Samples read from the log and not sent, by reason."),
            dropped_alias: counters("dropped_samples_total", "Sum of samples_dropped_total (older name)."),
            pending: gauges("samples_pending", "Samples in memory that are not delivered yet."),
            pending_alias: gauges("queue_length", "Same as samples_pending (older name)."),
            others: OTHER_KINDS.map(|(kind, help)| OtherFamilies::register(registry, kind, help)),
            metadata: counters("metadata_total", "Metadata entries sent."),
            metadata_failed: counters("metadata_failed_total", "Metadata entries that the endpoint refused."),
            metadata_retried: counters("metadata_retried_total", "Metadata entries sent again."),
            metadata_bytes: counters("metadata_bytes_total", "Compressed bytes of metadata sent."),
            bytes: counters("bytes_total", "Compressed bytes of samples sent."),
            enqueue_retries: counters(
                "enqueue_retries_total",
                "Times that reading waited because the shards were full.",
            ),
            batch_seconds: registry.histogram_family(
                &name("sent_batch_duration_seconds"),
                "Duration of requests.",
                ENDPOINT,
                SEND_BOUNDS,
            ),
            highest_sent: gauges(
                "queue_highest_sent_timestamp_seconds",
                "Newest timestamp delivered, in seconds since the epoch.",
            ),
            highest_queued: gauges(
                "queue_highest_timestamp_seconds",
                "Newest timestamp read from the log, in seconds since the epoch.",
            ),
            shards: gauges("shards", "Shards now."),
            shards_desired: gauges("shards_desired", "Shards that rate and backlog ask for."),
            shards_max: gauges("shards_max", "Setting max_shards."),
            shards_min: gauges("shards_min", "Setting min_shards."),
            shard_capacity: gauges("shard_capacity", "Setting capacity."),
            max_samples_per_send: gauges("max_samples_per_send", "Setting max_samples_per_send."),
            catch_up: CatchUpFamilies::register(registry),
            watcher: WatcherFamilies::register(registry),
            lost: Mutex::default(),
        })
    }

    /// The handles of one endpoint, all of its metrics at 0.
    #[must_use]
    pub(crate) fn endpoint(&self, remote_name: &str, url: &str) -> EndpointMetrics {
        let labels = [remote_name, url];
        let dropped = DROP_REASONS.map(|reason| self.dropped.with(&[remote_name, url, reason]));
        let dropped_all = self.dropped_alias.with(&labels);
        let lost = [dropped[Drop::QueueFull as usize].clone(), dropped_all.clone()];
        self.lost.lock().insert(remote_name.to_owned(), lost);
        EndpointMetrics {
            samples: self.samples.with(&labels),
            succeeded: self.succeeded_alias.with(&labels),
            failed: [self.failed.with(&labels), self.failed_alias.with(&labels)],
            retried: self.retried.with(&labels),
            dropped,
            dropped_all,
            pending: [self.pending.with(&labels), self.pending_alias.with(&labels)],
            others: [0, 1].map(|at: usize| self.others[at].endpoint(remote_name, url)),
            metadata: self.metadata.with(&labels),
            metadata_failed: self.metadata_failed.with(&labels),
            metadata_retried: self.metadata_retried.with(&labels),
            metadata_bytes: self.metadata_bytes.with(&labels),
            bytes: self.bytes.with(&labels),
            enqueue_retries: self.enqueue_retries.with(&labels),
            batch_seconds: self.batch_seconds.with(&labels),
            highest_sent: self.highest_sent.with(&labels),
            highest_queued: self.highest_queued.with(&labels),
            shards: self.shards.with(&labels),
            shards_desired: self.shards_desired.with(&labels),
            shards_max: self.shards_max.with(&labels),
            shards_min: self.shards_min.with(&labels),
            shard_capacity: self.shard_capacity.with(&labels),
            max_samples_per_send: self.max_samples_per_send.with(&labels),
            backlog_bytes: self.catch_up.backlog_bytes.with(&labels),
            backlog_samples: self.catch_up.backlog_samples.with(&labels),
            backlog_gaps: self.catch_up.backlog_gaps.with(&labels),
            backlog_lag: self.catch_up.backlog_lag.with(&labels),
            fresh_lag: self.catch_up.fresh_lag.with(&labels),
            left_behind: self.catch_up.left_behind.with(&labels),
            read: Mutex::default(),
            watcher: self.watcher.consumer(remote_name),
        }
    }

    /// Forgets the metrics of an endpoint that is gone.
    pub(crate) fn forget(&self, remote_name: &str, url: &str) {
        let labels = [remote_name, url];
        self.lost.lock().remove(remote_name);
        let counters = [
            &self.samples,
            &self.succeeded_alias,
            &self.failed,
            &self.failed_alias,
            &self.retried,
            &self.dropped_alias,
            &self.metadata,
            &self.metadata_failed,
            &self.metadata_retried,
            &self.metadata_bytes,
            &self.bytes,
            &self.enqueue_retries,
        ];
        counters.into_iter().for_each(|family| family.remove(&labels));
        let gauges = [
            &self.pending,
            &self.pending_alias,
            &self.highest_sent,
            &self.highest_queued,
            &self.shards,
            &self.shards_desired,
            &self.shards_max,
            &self.shards_min,
            &self.shard_capacity,
            &self.max_samples_per_send,
        ];
        gauges.into_iter().for_each(|family| family.remove(&labels));
        self.catch_up.forget(&labels);
        self.others.iter().for_each(|others| others.forget(remote_name, url));
        self.batch_seconds.remove(&labels);
        for reason in DROP_REASONS {
            self.dropped.remove(&[remote_name, url, reason]);
        }
        self.watcher.forget(remote_name);
    }

    /// The queue has thrown away samples that an endpoint did not have.
    pub(crate) fn lost(&self, remote_name: &str, samples: usize) {
        for counter in self.lost.lock().get(remote_name).into_iter().flatten() {
            counter.add(samples as f64);
        }
    }

    /// The receiver's samples in the senders' families: received, and refused.
    pub(crate) fn receiver(&self) -> (Counter, [Counter; 2]) {
        let labels = [RECEIVER.0, RECEIVER.1];
        let failed = [self.failed.with(&labels), self.failed_alias.with(&labels)];
        (self.samples.with(&labels), failed)
    }
}

/// How much of the log the estimate of the backlog's samples goes by.
const READ_BYTES_KEPT: f64 = (16u64 << 20) as f64;

#[derive(Debug)]
struct CatchUpFamilies {
    backlog_bytes: Family<Gauge>,
    backlog_samples: Family<Gauge>,
    backlog_gaps: Family<Gauge>,
    backlog_lag: Family<Gauge>,
    fresh_lag: Family<Gauge>,
    left_behind: Family<Counter>,
}

impl CatchUpFamilies {
    fn register(registry: &Registry) -> Self {
        let gauges = |name: &str, help| registry.gauge_family(name, help, ENDPOINT);
        Self {
            backlog_bytes: gauges(
                "nave_remote_backlog_bytes",
                "Bytes of the queue that were left behind by fresh samples and are not delivered yet.",
            ),
            backlog_samples: gauges(
                "nave_remote_backlog_samples",
                "About how many samples stand in nave_remote_backlog_bytes.",
            ),
            backlog_gaps: gauges(
                "nave_remote_backlog_gaps",
                "Parts of the queue that were left behind and are not delivered yet.",
            ),
            backlog_lag: gauges(
                "nave_remote_backlog_lag_seconds",
                "How far the newest delivered sample of the backlog is behind the newest in the queue; 0 without one.",
            ),
            fresh_lag: gauges(
                "nave_remote_fresh_lag_seconds",
                "How far the newest delivered fresh sample is behind the newest in the queue.",
            ),
            left_behind: registry.counter_family(
                "nave_remote_left_behind_total",
                "Times that samples were left behind for fresh ones.",
                ENDPOINT,
            ),
        }
    }

    fn forget(&self, labels: &[&str; 2]) {
        let gauges = [
            &self.backlog_bytes,
            &self.backlog_samples,
            &self.backlog_gaps,
            &self.backlog_lag,
            &self.fresh_lag,
        ];
        gauges.into_iter().for_each(|family| family.remove(labels));
        self.left_behind.remove(labels);
    }
}

impl WatcherFamilies {
    fn register(registry: &Registry) -> Self {
        let name = |rest: &str| format!("prometheus_wal_watcher_{rest}");
        let counters = |rest: &str, help| registry.counter_family(&name(rest), help, &["consumer"]);
        Self {
            records: registry.counter_family(
                &name("records_read_total"),
                "Records read from the log.",
                &["consumer", "type"],
            ),
            decode_failures: counters(
                "record_decode_failures_total",
                "Damaged places in the log that were skipped.",
            ),
            pre_tailing: counters(
                "samples_sent_pre_tailing_total",
                "Samples read before the sender had caught up for the first time.",
            ),
            skipped: counters(
                "notifications_skipped_total",
                "Always 0: a reader is woken once for any number of appends.",
            ),
            segment: registry.gauge_family(&name("current_segment"), "Segment that is read.", &["consumer"]),
        }
    }

    fn consumer(&self, name: &str) -> WatcherMetrics {
        self.skipped.with(&[name]);
        WatcherMetrics {
            series_records: self.records.with(&[name, "series"]),
            sample_records: self.records.with(&[name, "samples"]),
            decode_failures: self.decode_failures.with(&[name]),
            pre_tailing: self.pre_tailing.with(&[name]),
            segment: self.segment.with(&[name]),
        }
    }

    fn forget(&self, name: &str) {
        for kind in ["series", "samples"] {
            self.records.remove(&[name, kind]);
        }
        for family in [&self.decode_failures, &self.pre_tailing, &self.skipped] {
            family.remove(&[name]);
        }
        self.segment.remove(&[name]);
    }
}

/// Metrics of the reader of the log.
#[derive(Debug)]
pub(crate) struct WatcherMetrics {
    pub(crate) series_records: Counter,
    pub(crate) sample_records: Counter,
    pub(crate) decode_failures: Counter,
    pub(crate) pre_tailing: Counter,
    pub(crate) segment: Gauge,
}

/// Metrics of the histograms or exemplars of one endpoint.
#[derive(Debug)]
struct OtherMetrics {
    sent: Counter,
    failed: Counter,
    retried: Counter,
    dropped: [Counter; 4],
    pending: Gauge,
}

/// Metrics of one endpoint.
#[derive(Debug)]
pub(crate) struct EndpointMetrics {
    samples: Counter,
    pub(crate) succeeded: Counter,
    failed: [Counter; 2],
    retried: Counter,
    dropped: [Counter; 4],
    dropped_all: Counter,
    pending: [Gauge; 2],
    /// Histograms and exemplars.
    others: [OtherMetrics; 2],
    pub(crate) metadata: Counter,
    pub(crate) metadata_failed: Counter,
    pub(crate) metadata_retried: Counter,
    pub(crate) metadata_bytes: Counter,
    pub(crate) bytes: Counter,
    pub(crate) enqueue_retries: Counter,
    pub(crate) batch_seconds: Histogram,
    pub(crate) highest_sent: Gauge,
    pub(crate) highest_queued: Gauge,
    pub(crate) shards: Gauge,
    pub(crate) shards_desired: Gauge,
    pub(crate) shards_max: Gauge,
    pub(crate) shards_min: Gauge,
    pub(crate) shard_capacity: Gauge,
    pub(crate) max_samples_per_send: Gauge,
    backlog_bytes: Gauge,
    backlog_samples: Gauge,
    backlog_gaps: Gauge,
    pub(crate) backlog_lag: Gauge,
    pub(crate) fresh_lag: Gauge,
    pub(crate) left_behind: Counter,
    /// Samples read from the log, and the bytes they took there.
    read: Mutex<(f64, f64)>,
    pub(crate) watcher: WatcherMetrics,
}

/// Why a sample that was read is not sent; indexes into [`DROP_REASONS`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Drop {
    Relabelled = 0,
    TooOld = 1,
    UnknownSeries = 2,
    /// Counted by [`Metrics::lost`].
    QueueFull = 3,
}

impl EndpointMetrics {
    /// The other kinds, each with its count.
    fn others(&self, counts: Counts) -> impl Iterator<Item = (&OtherMetrics, f64)> {
        let [_, histograms, exemplars] = counts;
        self.others.iter().zip([histograms as f64, exemplars as f64])
    }

    /// `sign` is 1 for what comes into memory and -1 for what leaves it.
    pub(crate) fn pending(&self, counts: Counts, sign: f64) {
        self.pending.iter().for_each(|gauge| gauge.add(sign * counts[0] as f64));
        self.others(counts).for_each(|(metrics, count)| metrics.pending.add(sign * count));
    }

    /// So many samples stood in so many bytes of the log: what the estimate of the backlog's samples goes by.
    pub(crate) fn read(&self, samples: usize, bytes: u64) {
        let mut read = self.read.lock();
        // Halved now and then, so that it follows what is read now.
        let keep = if read.1 > READ_BYTES_KEPT { 0.5 } else { 1.0 };
        *read = (read.0 * keep + samples as f64, read.1 * keep + bytes as f64);
    }

    /// What is left in the gaps.
    pub(crate) fn backlog(&self, gaps: usize, bytes: u64) {
        let (samples_read, bytes_read) = *self.read.lock();
        let per_byte = if bytes_read > 0.0 { samples_read / bytes_read } else { 0.0 };
        self.backlog_gaps.set(gaps as f64);
        self.backlog_bytes.set(bytes as f64);
        self.backlog_samples.set((bytes as f64 * per_byte).round());
    }

    pub(crate) fn sent(&self, counts: Counts) {
        self.samples.add(counts[0] as f64);
        self.others(counts).for_each(|(metrics, count)| metrics.sent.add(count));
    }

    pub(crate) fn failed(&self, counts: Counts) {
        self.failed.iter().for_each(|counter| counter.add(counts[0] as f64));
        self.others(counts).for_each(|(metrics, count)| metrics.failed.add(count));
    }

    pub(crate) fn retried(&self, counts: Counts) {
        self.retried.add(counts[0] as f64);
        self.others(counts).for_each(|(metrics, count)| metrics.retried.add(count));
    }

    pub(crate) fn dropped(&self, why: Drop, counts: Counts) {
        self.dropped[why as usize].add(counts[0] as f64);
        self.dropped_all.add(counts[0] as f64);
        self.others(counts).for_each(|(metrics, count)| metrics.dropped[why as usize].add(count));
    }
}

#[cfg(test)]
mod tests {
    use nave_base::metric::Format;

    use super::*;

    #[test]
    fn the_whole_family_is_there_before_anything_was_sent() {
        let registry = Registry::default();
        let metrics = Metrics::register(&registry);
        let endpoint = metrics.endpoint("hub", "http://hub/");
        endpoint.dropped(Drop::TooOld, [2, 0, 0]);
        let page = registry.page(Format::Text);
        for rest in "bytes_total enqueue_retries_total exemplars_dropped_total exemplars_failed_total \
            exemplars_in_total exemplars_pending exemplars_retried_total exemplars_total \
            highest_timestamp_in_seconds histograms_dropped_total histograms_failed_total histograms_in_total \
            histograms_pending histograms_retried_total histograms_total max_samples_per_send \
            metadata_bytes_total metadata_failed_total metadata_retried_total metadata_total \
            queue_highest_sent_timestamp_seconds queue_highest_timestamp_seconds samples_dropped_total \
            samples_failed_total samples_in_total samples_pending samples_retried_total samples_total \
            sent_batch_duration_seconds shard_capacity shards shards_desired shards_max shards_min \
            string_interner_zero_reference_releases_total queue_length succeeded_samples_total \
            failed_samples_total dropped_samples_total"
            .split_whitespace()
        {
            assert!(page.contains(&format!("# TYPE prometheus_remote_storage_{rest} ")), "{rest} is missing");
        }
        for rest in "records_read_total record_decode_failures_total samples_sent_pre_tailing_total \
            current_segment notifications_skipped_total"
            .split_whitespace()
        {
            assert!(page.contains(&format!("# TYPE prometheus_wal_watcher_{rest} ")), "{rest} is missing");
        }
        assert!(page.contains(
            "samples_dropped_total{remote_name=\"hub\",url=\"http://hub/\",reason=\"too_old\"} 2\n"
        ));
        metrics.forget("hub", "http://hub/");
        assert!(!registry.page(Format::Text).contains("hub"));
    }
}
