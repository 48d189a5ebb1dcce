//! Scraping's own metrics, under upstream's names.

use nave_base::metric::{Counter, Family, Gauge, Registry, Summary};

/// What scraping counts. One per process; clones share.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) pools: Counter,
    pub(crate) pools_failed: Counter,
    pub(crate) reloads: Counter,
    pub(crate) reloads_failed: Counter,
    pub(crate) pool_targets: Family<Gauge>,
    pub(crate) pool_target_limit: Family<Gauge>,
    pub(crate) pool_syncs: Family<Counter>,
    pub(crate) sync_length: Family<Summary>,
    pub(crate) sync_failed: Family<Counter>,
    pub(crate) exceeded_target_limit: Counter,
    pub(crate) exceeded_label_limits: Counter,
    pub(crate) exceeded_sample_limit: Counter,
    pub(crate) exceeded_body_size: Counter,
    pub(crate) exceeded_bucket_limit: Counter,
    pub(crate) interval_length: Family<Summary>,
    pub(crate) duplicate_timestamp: Counter,
    pub(crate) out_of_bounds: Counter,
    pub(crate) cache_shrinks: Counter,
    pub(crate) append_failures: Counter,
    pub(crate) rejected: Counter,
}

const POOL: &[&str] = &["scrape_job"];

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help| registry.counter(&format!("prometheus_target_{name}"), help);
        let gauges =
            |name: &str, help| registry.gauge_family(&format!("prometheus_target_{name}"), help, POOL);
        let counters =
            |name: &str, help| registry.counter_family(&format!("prometheus_target_{name}"), help, POOL);
        let summaries = |name: &str, help, labels| {
            registry.summary_family(&format!("prometheus_target_{name}"), help, labels)
        };
        // Late samples are taken, so this stays 0; alerts look at it.
        counter("scrapes_sample_out_of_order_total", "Samples dropped for their order.");
        Self {
            pools: counter("scrape_pools_total", "Scrape pools that were made."),
            pools_failed: counter("scrape_pools_failed_total", "Scrape pools that could not be made."),
            reloads: counter("scrape_pool_reloads_total", "Scrape pools that were given new settings."),
            reloads_failed: counter(
                "scrape_pool_reloads_failed_total",
                "Scrape pools whose new settings failed.",
            ),
            pool_targets: gauges("scrape_pool_targets", "Targets of the pool now."),
            pool_target_limit: gauges("scrape_pool_target_limit", "Most targets the pool may have."),
            pool_syncs: counters("scrape_pool_sync_total", "Times the pool was given targets."),
            sync_length: summaries("sync_length_seconds", "Time to give the pool its targets.", POOL),
            sync_failed: counters("sync_failed_total", "Targets that could not be made from their labels."),
            exceeded_target_limit: counter(
                "scrape_pool_exceeded_target_limit_total",
                "Times a pool had more targets than its limit.",
            ),
            exceeded_label_limits: counter(
                "scrape_pool_exceeded_label_limits_total",
                "Scrapes refused for a label limit.",
            ),
            exceeded_sample_limit: counter(
                "scrapes_exceeded_sample_limit_total",
                "Scrapes refused for the sample limit.",
            ),
            exceeded_body_size: counter(
                "scrapes_exceeded_body_size_limit_total",
                "Scrapes refused for the size of the page.",
            ),
            exceeded_bucket_limit: counter(
                "scrapes_exceeded_native_histogram_bucket_limit_total",
                "Scrapes refused for the buckets of a native histogram.",
            ),
            interval_length: summaries(
                "interval_length_seconds",
                "Time between scrapes as it came out.",
                &["interval"],
            ),
            duplicate_timestamp: counter(
                "scrapes_sample_duplicate_timestamp_total",
                "Samples dropped: the series had another value at that time.",
            ),
            out_of_bounds: counter(
                "scrapes_sample_out_of_bounds_total",
                "Samples dropped: too old or too far ahead.",
            ),
            cache_shrinks: counter(
                "scrapes_cache_flush_forced_total",
                "Times a target's cache was shrunk because most of its series had gone.",
            ),
            append_failures: registry
                .counter("nave_scrape_append_failures_total", "Scrapes that could not be stored."),
            rejected: registry.counter(
                "nave_scrape_rejected_samples_total",
                "Samples of scrapes that the storage refused, for whatever reason.",
            ),
        }
    }

    /// Forgets the pool's own label values.
    pub(crate) fn remove_pool(&self, job: &str) {
        [&self.pool_targets, &self.pool_target_limit].into_iter().for_each(|family| family.remove(&[job]));
        [&self.pool_syncs, &self.sync_failed].into_iter().for_each(|family| family.remove(&[job]));
        self.sync_length.remove(&[job]);
    }
}
