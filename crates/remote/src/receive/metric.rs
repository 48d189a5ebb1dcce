//! What the receiver counts and logs.

use std::time::Duration;

use nave_base::clock::SharedClock;
use nave_base::metric::{Counter, Family, Registry};
use nave_model::append::{Item, Outcome, Principal, Reason};
use nave_wire::remote_write::Message;
use parking_lot::Mutex;

use super::answer::Refusal;
use crate::Metrics;

/// Refused requests are logged no more often, with how many were not.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct ReceiverMetrics {
    invalid_labels: Counter,
    without_metadata: Counter,
    received: Family<Counter>,
    rejected: Family<Counter>,
    /// The senders' families, so that the query that users know answers on the hub too.
    samples: Counter,
    failed: [Counter; 2],
    clock: SharedClock,
    logged: Mutex<Logged>,
}

#[derive(Default)]
struct Logged {
    at: Option<Duration>,
    suppressed: u64,
}

impl ReceiverMetrics {
    pub(super) fn register(registry: &Registry, shared: &Metrics, clock: SharedClock) -> Self {
        let (samples, failed) = shared.receiver();
        Self {
            invalid_labels: registry.counter(
                "prometheus_api_remote_write_invalid_labels_samples_total",
                "Received samples that were refused for their labels.",
            ),
            without_metadata: registry.counter(
                "prometheus_api_remote_write_without_metadata_appended_samples_total",
                "Received samples that were stored without metadata: all of remote write 1.0.",
            ),
            received: registry.counter_family(
                "nave_remote_write_received_samples_total",
                "Samples received and stored or known already, by the sender's cluster.",
                &["cluster"],
            ),
            rejected: registry.counter_family(
                "nave_remote_write_rejected_samples_total",
                "Samples received and refused, by the sender's cluster.",
                &["cluster"],
            ),
            samples,
            failed,
            clock,
            logged: Mutex::default(),
        }
    }

    /// `samples` says how many samples a series of the request has.
    pub(super) fn count(
        &self,
        message: Message,
        outcome: &Outcome,
        principal: &Principal,
        samples: impl Fn(usize) -> usize,
    ) {
        let cluster = principal.cluster.as_deref().unwrap_or("");
        let taken = outcome.samples.stored + outcome.samples.duplicate;
        let taken = taken + outcome.histograms.stored + outcome.histograms.duplicate;
        let refused = outcome.samples.rejected + outcome.histograms.rejected;
        self.received.with(&[cluster]).add(taken as f64);
        self.samples.add((taken + refused) as f64);
        if message == Message::V1 {
            self.without_metadata.add(outcome.samples.stored as f64);
        }
        self.rejected.with(&[cluster]).add(refused as f64);
        self.failed.iter().for_each(|counter| counter.add(refused as f64));
        let invalid = |reason: &Reason| matches!(reason, Reason::InvalidLabels(_));
        for rejection in outcome.rejections.iter().filter(|rejection| invalid(&rejection.reason)) {
            let count = if rejection.item == Item::Series { samples(rejection.series as usize) } else { 1 };
            self.invalid_labels.add(count as f64);
        }
    }

    /// Logs a refused request, unless one was logged a moment ago.
    pub(super) fn log(&self, refusal: &Refusal) {
        let now = self.clock.monotonic();
        let suppressed = {
            let mut logged = self.logged.lock();
            if logged.at.is_some_and(|at| now < at + LOG_INTERVAL) {
                logged.suppressed += 1;
                return;
            }
            logged.at = Some(now);
            std::mem::take(&mut logged.suppressed)
        };
        let (status, sender) = (refusal.status().as_u16(), refusal.sender());
        tracing::warn!(status, sender, suppressed, err = %refusal, "remote_write: refused a write");
    }
}
