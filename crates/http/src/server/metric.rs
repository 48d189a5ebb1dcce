//! `prometheus_http_*`: what was asked and how long it took, by route template.

use std::time::Duration;

use nave_base::metric::{Counter, Family, Histogram, Registry};

const DURATION_BOUNDS: &[f64] = &[0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0];
const SIZE_BOUNDS: &[f64] = &[100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// The request metrics of one server.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<Counter>,
    duration: Family<Histogram>,
    size: Family<Histogram>,
}

impl Metrics {
    /// Registers them; once per registry.
    #[must_use]
    pub fn register(registry: &Registry) -> Self {
        Self {
            requests: registry.counter_family(
                "prometheus_http_requests_total",
                "Counter of HTTP requests.",
                &["handler", "code"],
            ),
            duration: registry.histogram_family(
                "prometheus_http_request_duration_seconds",
                "Histogram of latencies for HTTP requests.",
                &["handler"],
                DURATION_BOUNDS,
            ),
            size: registry.histogram_family(
                "prometheus_http_response_size_bytes",
                "Histogram of response size for HTTP requests.",
                &["handler"],
                SIZE_BOUNDS,
            ),
        }
    }

    /// Counts one answered request. `handler` is a route template, so that paths cannot make series.
    pub(super) fn observe(&self, handler: &str, code: u16, duration: Duration, size: Option<u64>) {
        self.requests.with(&[handler, &code.to_string()]).inc();
        self.duration.with(&[handler]).observe_duration(duration);
        if let Some(size) = size {
            self.size.with(&[handler]).observe(size as f64);
        }
    }
}

/// axum's `/label/{name}/values` as upstream writes it: `/label/:name/values`.
pub(super) fn handler_name(template: &str) -> String {
    template.replace("{*", "*").replace('{', ":").replace('}', "")
}
