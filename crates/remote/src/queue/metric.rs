//! The queue's own metrics: upstream's names of the agent's log, and what the queue has lost.

use nave_base::metric::{Counter, Gauge, Registry, Summary};

#[derive(Debug)]
pub(super) struct QueueMetrics {
    pub(super) active_series: Gauge,
    pub(super) deleted_series: Gauge,
    pub(super) samples_appended: Counter,
    pub(super) histograms_appended: Counter,
    pub(super) corruptions: Counter,
    pub(super) replay_seconds: Gauge,
    pub(super) truncate_seconds: Summary,
    pub(super) truncations: Counter,
    pub(super) truncations_failed: Counter,
    pub(super) bytes: Gauge,
    pub(super) bytes_max: Gauge,
    pub(super) lost_samples: Counter,
}

impl QueueMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        let name = |rest: &str| format!("prometheus_agent_{rest}");
        for (rest, help) in [
            ("out_of_order_samples_total", "Always 0: the queue takes samples in any order."),
            ("exemplars_appended_total", "Always 0: exemplars are not queued yet."),
            ("checkpoint_creations_total", "Always 0: segments stand alone, no checkpoint is needed."),
            ("checkpoint_creations_failed_total", "Always 0: see checkpoint_creations_total."),
        ] {
            registry.counter(&name(rest), help);
        }
        let appended = registry.counter_family(
            &name("samples_appended_total"),
            "Samples appended to the queue.",
            &["type"],
        );
        Self {
            active_series: registry
                .gauge(&name("active_series"), "Series with samples in the two newest segments."),
            deleted_series: registry
                .gauge(&name("deleted_series"), "Series forgotten when the newest segment began."),
            samples_appended: appended.with(&["float"]),
            histograms_appended: appended.with(&["histogram"]),
            corruptions: registry
                .counter(&name("corruptions_total"), "Torn or damaged places found in the queue."),
            replay_seconds: registry
                .gauge(&name("data_replay_duration_seconds"), "Time that opening the queue took."),
            truncate_seconds: registry
                .summary(&name("truncate_duration_seconds"), "Time that removing segments took."),
            truncations: registry
                .counter(&name("checkpoint_deletions_total"), "Times that old segments were removed."),
            truncations_failed: registry.counter(
                &name("checkpoint_deletions_failed_total"),
                "Times that old segments could not be removed.",
            ),
            bytes: registry.gauge("nave_remote_queue_bytes", "Bytes of the queue on disk."),
            bytes_max: registry.gauge("nave_remote_queue_bytes_max", "Bound on the bytes of the queue."),
            lost_samples: registry.counter(
                "nave_remote_queue_lost_samples_total",
                "Samples removed by the bounds on bytes and age before every endpoint had them.",
            ),
        }
    }
}
