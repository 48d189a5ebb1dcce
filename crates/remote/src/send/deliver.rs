//! Delivering one batch: encode, post, and again until the endpoint has it or refuses it for good.
//!
//! A stock Prometheus refuses a 1.0 request whole when one sample of it is refused, for example because
//! part of it was sent before a restart already. So a 400 that does not say what was stored is answered by
//! sending halves, until only the refused samples are dropped. As long as a part is tried again it stays
//! as it is, byte for byte.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nave_base::Shutdown;
use nave_base::backoff::Backoff;
use nave_model::time::Timestamp;
use nave_wire::remote_write::{Encoding, Message};

use super::encode::Bodies;
use super::lane::{Sample, Value, counts};
use super::link::Link;
use super::series::LANES_PER_TARGET;
use super::stream::Stream;
use super::transport::{Answer, Body, Refusal};
use crate::metric::{Counts, Drop, Kind};

/// How often parts of one batch may be halved. Enough to find about thirty samples at fault among two
/// thousand; when more are, the endpoint dislikes the batch as such, and what is left is dropped by parts.
const HALVINGS_MAX: usize = 256;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Every sample is delivered, or refused and counted.
    Settled,
    /// Shut down in between: the rest will be sent by the next life.
    Abandoned,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attempt {
    Delivered,
    /// The wait is over: send it again.
    Again,
    Refused {
        cause: String,
        refusal: Refusal,
    },
    Abandoned,
}

/// What is in the batch, for metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Samples,
    Metadata,
}

/// What is sent, again and again if need be.
pub(super) struct Request<'a> {
    pub(super) body: &'a Body,
    /// Samples or families in it.
    pub(super) count: usize,
    pub(super) what: What,
    /// Ends the sending.
    pub(super) stop: &'a Shutdown,
}

/// Samples of a batch that were dropped, and why the first ones were.
#[derive(Default)]
struct Dropped {
    count: usize,
    cause: String,
}

impl Stream {
    /// Delivers `samples`; those that grow too old meanwhile are taken out and counted. When they were sent
    /// before, parts of them may be there in any number: then halving goes on to the end.
    pub(super) async fn deliver(&self, mut samples: Vec<Sample>, again: bool, bodies: &mut Bodies) -> Fate {
        let halvings_max = if again { usize::MAX } else { HALVINGS_MAX };
        // Equal series stand together, each in order of arrival: the sort is stable. Those of one scrape target stand
        // together too, because they share most of their label bytes.
        samples.sort_by(|a, b| {
            let targets = (a.target.lane / LANES_PER_TARGET).cmp(&(b.target.lane / LANES_PER_TARGET));
            targets.then_with(|| a.target.labels.as_bytes().cmp(b.target.labels.as_bytes()))
        });
        let mut parts = vec![samples];
        let mut halvings = 0;
        let mut dropped = Dropped::default();
        let mut fate = Fate::Settled;
        while let Some(mut part) = parts.pop() {
            match self.deliver_part(&mut part, bodies).await {
                Attempt::Refused { refusal: Refusal::Divisible, cause }
                    if part.len() > 1 && halvings < halvings_max =>
                {
                    if halvings == 0 {
                        self.log_halving(part.len(), &cause);
                    }
                    halvings += 1;
                    let later = part.split_off(part.len() / 2);
                    parts.extend([later, part]);
                    continue;
                }
                Attempt::Refused { refusal, cause } => {
                    self.count_refused(&part, refusal, cause, &mut dropped);
                }
                Attempt::Abandoned => {
                    fate = Fate::Abandoned;
                    break;
                }
                Attempt::Delivered | Attempt::Again => self.count_delivered(counts(&part)),
            }
            self.settle(&part);
        }
        if dropped.count > 0 {
            let (remote_name, url, count, err) = (&self.name, &self.url, dropped.count, dropped.cause);
            tracing::error!(
                remote_name,
                url,
                count,
                kind = What::Samples.word(),
                halvings,
                err,
                "remote_write: non-recoverable error, dropped samples"
            );
        }
        fate
    }

    /// Sends one part until it is delivered, refused or abandoned.
    async fn deliver_part(&self, samples: &mut Vec<Sample>, bodies: &mut Bodies) -> Attempt {
        let began = self.clock.monotonic();
        let mut backoff = self.backoff();
        let (mut body, mut encoded) = (Body::default(), None);
        let mut attempt = 0;
        let verdict = loop {
            let aged = self.drop_aged(samples);
            if samples.is_empty() {
                return Attempt::Delivered;
            }
            let message = self.message();
            if encoded != Some(message) || aged > 0 {
                self.drop_unsendable(message, samples);
                if samples.is_empty() {
                    return Attempt::Delivered;
                }
                body = bodies.encode(message, self.encoding(message), samples, &self.families.read());
                encoded = Some(message);
            }
            if attempt > 0 {
                self.metrics.retried(counts(samples.iter()));
            }
            let (count, what, stop) = (samples.len(), What::Samples, &self.hard_stop);
            let request = Request { body: &body, count, what, stop };
            match self.attempt(&request, attempt, &mut backoff).await {
                Attempt::Again => attempt += 1,
                // Another encoding before another message.
                Attempt::Refused { refusal: Refusal::Message, .. } if body.encoding == Encoding::Zstd => {
                    self.zstd_refused.store(true, Ordering::Relaxed);
                    encoded = None;
                }
                Attempt::Refused { refusal: Refusal::Message, cause } if message == Message::V2 => {
                    self.fall_back(&cause);
                }
                verdict => break verdict,
            }
        };
        if verdict == Attempt::Delivered {
            self.metrics.bytes.add(body.bytes.len() as f64);
        }
        let mut flow = self.flow.lock();
        flow.totals.busy_seconds += (self.clock.monotonic() - began).as_secs_f64();
        verdict
    }

    fn log_halving(&self, count: usize, cause: &str) {
        let (remote_name, url) = (&self.name, &self.url);
        tracing::warn!(
            remote_name,
            url,
            count,
            err = cause,
            "remote_write: batch refused, sending it in parts to drop nothing but what is refused"
        );
    }

    /// Takes samples older than the limit out, and their records forward.
    fn drop_aged(&self, samples: &mut Vec<Sample>) -> usize {
        let limit_ms = self.queue.sample_age_limit.as_ms();
        if limit_ms == 0 {
            return 0;
        }
        let oldest = Timestamp(self.clock.now_ms()).plus_ms(-i64::try_from(limit_ms).unwrap_or(i64::MAX));
        let aged: Vec<Sample> = samples.extract_if(.., |sample| sample.timestamp < oldest).collect();
        self.drop_some(Drop::TooOld, &aged);
        aged.len()
    }

    /// Takes out what the message is not to carry: histograms, after falling back to 1.0.
    fn drop_unsendable(&self, message: Message, samples: &mut Vec<Sample>) {
        if message == Message::V1 && !self.send_native_histograms {
            let histogram = |sample: &mut Sample| matches!(sample.value, Value::Histogram(_));
            let out: Vec<Sample> = samples.extract_if(.., histogram).collect();
            self.drop_some(Drop::Relabelled, &out);
        }
    }

    fn drop_some(&self, why: Drop, samples: &[Sample]) {
        if !samples.is_empty() {
            self.metrics.dropped(why, counts(samples));
            self.settle(samples);
        }
    }

    /// The life before has delivered these.
    pub(super) fn skip(&self, samples: &[Sample]) {
        if !samples.is_empty() {
            self.pending_less(counts(samples));
            self.progress.done(samples.iter().map(|sample| sample.record));
        }
    }

    /// These need nothing more: the position may move over them.
    fn settle(&self, samples: &[Sample]) {
        self.pending_less(counts(samples));
        self.progress.done(samples.iter().map(|sample| sample.record));
        let newest = samples.iter().filter(|sample| sample.value.kind() != Kind::Exemplar);
        if let Some(newest) = newest.map(|sample| sample.timestamp).max() {
            self.newest_sent_ms.fetch_max(newest.0, Ordering::Relaxed);
            let before = self.newest_settled_ms.fetch_max(newest.0, Ordering::Relaxed);
            self.metrics.highest_sent.set(newest.max(Timestamp(before)).seconds());
        }
        // As long as fresh samples are late they have the endpoint for themselves.
        if self.is_fresh() && self.late_for() < self.catch_up.hurry(&self.queue) {
            self.pace.grant(samples.len());
        }
        let mut flow = self.flow.lock();
        flow.totals.sent += samples.len() as f64;
        flow.last_sent = self.clock.monotonic();
    }

    fn count_delivered(&self, counts: Counts) {
        self.metrics.sent(counts);
        self.metrics.succeeded.add(counts[Kind::Sample as usize] as f64);
    }

    fn count_refused(&self, samples: &[Sample], refusal: Refusal, cause: String, dropped: &mut Dropped) {
        let sent = counts(samples);
        let mut failed = sent;
        if let Refusal::Partial(written) = refusal {
            for (failed, written) in failed.iter_mut().zip(written) {
                *failed = failed.saturating_sub(written);
            }
        }
        self.metrics.sent(sent);
        self.metrics.failed(failed);
        let kept = sent[Kind::Sample as usize] - failed[Kind::Sample as usize];
        self.metrics.succeeded.add(kept as f64);
        if dropped.count == 0 {
            dropped.cause = cause;
        }
        dropped.count += failed.iter().sum::<usize>();
    }
}

impl Link {
    /// 2.0 is not known there; 1.0 is by everyone.
    fn fall_back(&self, cause: &str) {
        if !self.fallen_back.swap(true, Ordering::Relaxed) {
            let (remote_name, url) = (&self.name, &self.url);
            tracing::error!(
                remote_name,
                url,
                err = cause,
                "remote_write: the endpoint does not take remote write 2.0, sending 1.0 until the next start; \
                 set protobuf_message: prometheus.WriteRequest, or let the endpoint accept \
                 io.prometheus.write.v2.Request"
            );
        }
    }

    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.queue.min_backoff.into(), self.queue.max_backoff.into())
    }

    /// Sends `request` once and, after a failure that may pass, waits.
    pub(super) async fn attempt(
        &self,
        request: &Request<'_>,
        attempt: u32,
        backoff: &mut Backoff,
    ) -> Attempt {
        let began = self.clock.monotonic();
        let answer = tokio::select! {
            answer = self.transport.post(request.body.clone(), attempt) => answer,
            () = request.stop.cancelled() => return Attempt::Abandoned,
        };
        let now = self.clock.monotonic();
        if request.what == What::Samples {
            self.metrics.batch_seconds.observe_duration(now - began);
        }
        if let Answer::Later { cause, .. } | Answer::Refused { cause, .. } = &answer {
            *self.failure.lock() = Some((self.clock.now_ms(), cause.clone()));
        }
        match answer {
            Answer::Delivered => {
                let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
                self.delivered_at_ms.fetch_max(now_ms, Ordering::Relaxed);
                Attempt::Delivered
            }
            Answer::Later { cause, wait, too_many } if !too_many || self.queue.retry_on_http_429 => {
                let wait = wait.filter(|asked| !asked.is_zero()).unwrap_or_else(|| backoff.next_wait());
                self.wait(request, &cause, wait, attempt + 1).await
            }
            Answer::Later { cause, .. } => Attempt::Refused { cause, refusal: Refusal::Final },
            Answer::Refused { cause, refusal } => Attempt::Refused { cause, refusal },
        }
    }

    async fn wait(&self, request: &Request<'_>, cause: &str, wait: Duration, attempt: u32) -> Attempt {
        let (remote_name, url, count) = (&self.name, &self.url, request.count);
        let backoff_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            remote_name,
            url,
            count,
            kind = request.what.word(),
            attempt,
            backoff_ms,
            err = cause,
            "remote_write: failed to send batch, retrying"
        );
        tokio::select! {
            () = self.clock.sleep(wait) => Attempt::Again,
            () = request.stop.cancelled() => Attempt::Abandoned,
        }
    }
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Metadata => "metadata",
        }
    }
}
