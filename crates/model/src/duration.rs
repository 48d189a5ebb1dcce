//! Prometheus durations: `1h30m`.
