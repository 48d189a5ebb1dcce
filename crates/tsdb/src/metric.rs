//! The store's own metrics, by upstream's names where upstream has one.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use nave_base::metric::{Counter, Kind, Page, Registry};
use parking_lot::Mutex;

use crate::head::Head;

/// What is counted on the way.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) float_samples: Counter,
    pub(crate) histogram_samples: Counter,
    pub(crate) late_floats: Counter,
    pub(crate) late_histograms: Counter,
    pub(crate) too_old_samples: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) series_created: Counter,
    pub(crate) series_removed: Counter,
    pub(crate) wal_corruptions: Counter,
    pub(crate) wal_writes_failed: Counter,
    pub(crate) wal_truncations: Counter,
    pub(crate) wal_truncations_failed: Counter,
    pub(crate) checkpoints: Counter,
    pub(crate) checkpoints_failed: Counter,
    pub(crate) wal_segment: Mutex<u64>,
    pub(crate) wal_bytes: Mutex<u64>,
}

/// A closure's view of the head, as long as there is one.
fn collect(
    registry: &Registry,
    head: &Arc<Head>,
    (name, help, kind): (&str, &'static str, Kind),
    write: impl Fn(&Head, &mut Page<'_>) + Send + Sync + 'static,
) {
    let head: Weak<Head> = Arc::downgrade(head);
    registry.collect(name, help, kind, move |page| {
        if let Some(head) = head.upgrade() {
            write(&head, page);
        }
    });
}

/// Registers everything.
pub(crate) fn register(registry: &Registry, head: &Arc<Head>) {
    register_gauges(registry, head);
    let appended = "prometheus_tsdb_head_samples_appended_total";
    let help = "Total number of appended samples, late ones among them.";
    collect(registry, head, (appended, help, Kind::Counter), |head, page| {
        page.sample(&[("type", "float")], head.counters.float_samples.get());
        page.sample(&[("type", "histogram")], head.counters.histogram_samples.get());
    });
    let late = "prometheus_tsdb_head_out_of_order_samples_appended_total";
    let help = "Total number of appended late samples.";
    collect(registry, head, (late, help, Kind::Counter), |head, page| {
        page.sample(&[("type", "float")], head.counters.late_floats.get());
        page.sample(&[("type", "histogram")], head.counters.late_histograms.get());
    });
    for (name, help, read) in COUNTERS {
        collect(registry, head, (name, help, Kind::Counter), move |head, page| {
            page.sample(&[], read(&head.counters).get());
        });
    }
}

type Plain = (&'static str, &'static str, fn(&Counters) -> &Counter);

const COUNTERS: [Plain; 11] = [
    ("prometheus_tsdb_head_series_created_total", "Total number of series made in the head.", |c| {
        &c.series_created
    }),
    ("prometheus_tsdb_head_series_removed_total", "Total number of series removed from the head.", |c| {
        &c.series_removed
    }),
    (
        "prometheus_tsdb_too_old_samples_total",
        "Total number of samples refused as older than retention.",
        |c| &c.too_old_samples,
    ),
    ("prometheus_tsdb_wal_corruptions_total", "Total number of damaged places found in the log.", |c| {
        &c.wal_corruptions
    }),
    ("prometheus_tsdb_wal_writes_failed_total", "Total number of failed log writes.", |c| {
        &c.wal_writes_failed
    }),
    ("prometheus_tsdb_wal_truncations_total", "Total number of attempts to drop old segments.", |c| {
        &c.wal_truncations
    }),
    (
        "prometheus_tsdb_wal_truncations_failed_total",
        "Total number of failed attempts to drop old segments.",
        |c| &c.wal_truncations_failed,
    ),
    ("prometheus_tsdb_checkpoint_creations_total", "Total number of checkpoints begun.", |c| &c.checkpoints),
    ("prometheus_tsdb_checkpoint_creations_failed_total", "Total number of checkpoints that failed.", |c| {
        &c.checkpoints_failed
    }),
    ("nave_tsdb_duplicate_samples_total", "Samples that were known already, bit for bit.", |c| &c.duplicates),
    ("nave_tsdb_conflicting_samples_total", "Samples refused for another value at their time.", |c| {
        &c.conflicts
    }),
];

/// What upstream's dashboards and alerts ask for and cannot happen here: late samples are taken.
const NEVER: [(&str, &str, Kind); 4] = [
    (
        "prometheus_tsdb_retention_limit_percentage",
        "Share of the disk that is kept; 0 is no bound.",
        Kind::Gauge,
    ),
    ("prometheus_tsdb_reloads_total", "Times that blocks were loaded from disk.", Kind::Counter),
    ("prometheus_tsdb_reloads_failures_total", "Times that loading blocks failed.", Kind::Counter),
    ("prometheus_tsdb_out_of_order_samples_total", "Late samples refused.", Kind::Counter),
];

type Gauge = (&'static str, &'static str, fn(&Head) -> f64);

const GAUGES: [Gauge; 12] = [
    ("prometheus_tsdb_exemplar_exemplars_in_storage", "Number of exemplars that are kept.", |h| {
        h.exemplars.len() as f64
    }),
    ("prometheus_tsdb_exemplar_max_exemplars", "Number of exemplars that may be kept.", |h| {
        h.exemplars.max() as f64
    }),
    ("prometheus_tsdb_head_series", "Number of series in the head.", |h| {
        h.series_count.load(Ordering::Relaxed) as f64
    }),
    ("prometheus_tsdb_head_chunks", "Number of chunks in the head.", |h| {
        h.chunk_count.load(Ordering::Relaxed) as f64
    }),
    ("prometheus_tsdb_head_min_time", "Oldest time in the head, in ms.", |h| {
        h.min_time.load(Ordering::Relaxed) as f64
    }),
    ("prometheus_tsdb_head_max_time", "Newest time in the head, in ms.", |h| {
        h.max_time.load(Ordering::Relaxed) as f64
    }),
    ("prometheus_tsdb_lowest_timestamp", "Oldest time that is stored, in ms.", |h| {
        h.min_time.load(Ordering::Relaxed) as f64
    }),
    ("prometheus_tsdb_retention_limit_seconds", "How long samples are kept; 0 is for ever.", |h| {
        h.retention.read().0.unwrap_or(0) as f64 / 1000.0
    }),
    ("prometheus_tsdb_retention_limit_bytes", "How many bytes are kept; 0 is no bound.", |h| {
        h.retention.read().1.unwrap_or(0) as f64
    }),
    ("prometheus_tsdb_head_active_appenders", "Number of appends under way.", |h| {
        h.tickets.under_way() as f64
    }),
    ("prometheus_tsdb_wal_segment_current", "Number of the segment being written.", |h| {
        *h.counters.wal_segment.lock() as f64
    }),
    (
        "prometheus_tsdb_wal_storage_size_bytes",
        "Bytes of the log on disk, as of the last retention run.",
        |h| *h.counters.wal_bytes.lock() as f64,
    ),
];

fn register_gauges(registry: &Registry, head: &Arc<Head>) {
    for (name, help, read) in GAUGES {
        collect(registry, head, (name, help, Kind::Gauge), move |head, page| page.sample(&[], read(head)));
    }
    for (name, help, kind) in NEVER {
        collect(registry, head, (name, help, kind), |_, page| page.sample(&[], 0.0));
    }
}
