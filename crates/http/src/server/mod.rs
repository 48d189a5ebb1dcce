//! Listeners, limits, metrics.
