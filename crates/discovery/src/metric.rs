//! Discovery's own metrics, under upstream's names.

use nave_base::metric::{Counter, Family, Gauge, Registry, Summary};

/// What discovery counts. One per process and purpose; clones share.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) name: &'static str,
    pub(crate) discovered_targets: Family<Gauge>,
    pub(crate) received_updates: Counter,
    pub(crate) updates: Counter,
    pub(crate) refresh_failures: Family<Counter>,
    pub(crate) file_read_errors: Counter,
    pub(crate) file_scan: Summary,
    pub(crate) file_mtime: Family<Gauge>,
}

impl Metrics {
    /// Registers them; `name` says for whom targets are found: `scrape` or `notify`.
    #[must_use]
    pub fn new(registry: &Registry, name: &'static str) -> Self {
        let counter = |metric: &str, help| registry.counter_family(metric, help, &["name"]).with(&[name]);
        registry
            .gauge_family(
                "prometheus_sd_failed_configs",
                "Service discovery configurations that failed to load.",
                &["name"],
            )
            .with(&[name]);
        counter("prometheus_sd_updates_delayed_total", "Updates that the consumer could not take at once.");
        Self {
            name,
            discovered_targets: registry.gauge_family(
                "prometheus_sd_discovered_targets",
                "Targets that are discovered now.",
                &["name", "config"],
            ),
            received_updates: counter("prometheus_sd_received_updates_total", "Updates from the mechanisms."),
            updates: counter("prometheus_sd_updates_total", "Updates handed to the consumers."),
            refresh_failures: registry.counter_family(
                "prometheus_sd_refresh_failures_total",
                "Refreshes that failed.",
                &["mechanism", "config"],
            ),
            file_read_errors: registry.counter(
                "prometheus_sd_file_read_errors_total",
                "Target files that could not be read or parsed.",
            ),
            file_scan: registry.summary(
                "prometheus_sd_file_scan_duration_seconds",
                "Time to look at all target files of a job.",
            ),
            file_mtime: registry.gauge_family(
                "prometheus_sd_file_mtime_seconds",
                "When the target file was changed, as of the last read.",
                &["filename"],
            ),
        }
    }
}
