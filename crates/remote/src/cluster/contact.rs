//! What the hub knows of one cluster from what it sent: when, how much, how new, what was refused.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use nave_model::append::{Outcome, Reason};

use super::config::LimitsConfig;
use super::rate::{Bucket, Meter};
use crate::receive::Load;

/// Nave's senders say when they sent a request, in ms since the epoch.
pub const SENT_HEADER: &str = "x-nave-sent";
/// How much of a sender's name is kept.
const VERSION_BYTES_MAX: usize = 100;

/// The present state of one cluster.
#[derive(Debug, Default)]
pub(super) struct Contact {
    pub(super) last_ms: Option<i64>,
    pub(super) newest_ms: Option<i64>,
    pub(super) samples: Meter,
    pub(super) bytes: Meter,
    pub(super) version: String,
    pub(super) skew_ms: Option<i64>,
    pub(super) totals: Totals,
    samples_bucket: Bucket,
    bytes_bucket: Bucket,
}

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) bytes: u64,
    /// Samples stored or known already.
    pub(super) accepted: u64,
    /// Samples refused, by reason.
    pub(super) rejected: BTreeMap<&'static str, u64>,
    /// Requests turned away, by limit.
    pub(super) throttled: BTreeMap<&'static str, u64>,
}

/// A rate limit that is used up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Throttled {
    /// The field of the clusters file.
    pub(super) limit: &'static str,
    pub(super) rate: u64,
    pub(super) wait: Duration,
}

impl Contact {
    /// A request with good credentials, before its body is read.
    pub(super) fn arrived(&mut self, headers: &HeaderMap, now_ms: i64) {
        self.last_ms = Some(now_ms);
        self.totals.requests += 1;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        self.version = text(USER_AGENT.as_str()).unwrap_or("").chars().take(VERSION_BYTES_MAX).collect();
        let sent = text(SENT_HEADER).and_then(|text| text.parse::<i64>().ok());
        if let Some(sent) = sent {
            self.skew_ms = Some(sent.saturating_sub(now_ms));
        }
    }

    /// Whether a rate limit is used up.
    pub(super) fn throttled(&mut self, limits: &LimitsConfig, now: Duration) -> Option<Throttled> {
        let samples = ("limits.samples_per_second", limits.samples_per_second, &mut self.samples_bucket);
        let bytes = ("limits.bytes_per_second", limits.bytes_per_second, &mut self.bytes_bucket);
        let mut longest: Option<Throttled> = None;
        for (limit, rate, bucket) in [samples, bytes] {
            let Some(rate) = rate.map(|rate| rate.0) else { continue };
            let Some(wait) = bucket.wait(rate as f64, now) else { continue };
            if longest.as_ref().is_none_or(|known| known.wait < wait) {
                longest = Some(Throttled { limit, rate, wait });
            }
        }
        if let Some(Throttled { limit, .. }) = &longest {
            *self.totals.throttled.entry(limit).or_default() += 1;
        }
        longest
    }

    /// A body was read and decoded.
    pub(super) fn received(&mut self, load: &Load, limits: &LimitsConfig, now: Duration) {
        let (samples, bytes) = (load.samples as f64, load.bytes as f64);
        self.samples.add(samples, now);
        self.bytes.add(bytes, now);
        self.totals.bytes += load.bytes as u64;
        if let Some(rate) = limits.samples_per_second {
            self.samples_bucket.take(samples, rate.0 as f64, now);
        }
        if let Some(rate) = limits.bytes_per_second {
            self.bytes_bucket.take(bytes, rate.0 as f64, now);
        }
    }

    /// The store has spoken.
    pub(super) fn answered(&mut self, load: &Load, outcome: &Outcome, now_ms: i64) {
        let accepted = [&outcome.samples, &outcome.histograms].map(|tally| tally.stored + tally.duplicate);
        let accepted: usize = accepted.iter().sum();
        self.totals.accepted += accepted as u64;
        let mut too_new = false;
        for rejection in &outcome.rejections {
            too_new |= matches!(rejection.reason, Reason::TooNew { .. });
            *self.totals.rejected.entry(reason(&rejection.reason)).or_default() += 1;
        }
        let Some(newest) = load.newest.filter(|_| accepted > 0) else { return };
        // What is too new was not taken, so it does not say how far the cluster has come.
        let newest = if too_new { newest.0.min(now_ms) } else { newest.0 };
        self.newest_ms = self.newest_ms.max(Some(newest));
    }
}

/// A reason as a metric's label and in JSON.
fn reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::InvalidLabels(_) => "invalid_labels",
        Reason::Foreign { .. } => "contradicting_label",
        Reason::Conflict { .. } | Reason::HistogramConflict { .. } => "conflict",
        Reason::TooOld { .. } => "too_old",
        Reason::TooNew { .. } => "too_new",
        Reason::Limit { .. } => "limit",
        Reason::Unsupported(_) => "unsupported",
        Reason::Invalid(_) => "invalid",
    }
}
