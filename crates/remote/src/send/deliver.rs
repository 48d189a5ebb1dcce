//! Delivering one batch: encode, post, and again until the endpoint has it or refuses it for good.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use nave_base::backoff::Backoff;
use nave_model::time::Timestamp;
use nave_wire::write_v1::Encoder;

use super::lane::Sample;
use super::link::Link;
use super::transport::Answer;
use crate::metric::Drop;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    /// The endpoint will never take it.
    Refused,
    /// Shut down in between: it will be sent by the next life.
    Abandoned,
}

/// What is in the batch, for metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Samples,
    Metadata,
}

impl Link {
    /// Delivers `samples`; those that grow too old meanwhile are taken out and counted.
    pub(super) async fn deliver(&self, samples: &mut Vec<Sample>, encoder: &mut Encoder) -> Fate {
        let began = self.clock.monotonic();
        // Equal series stand together, each in order of arrival: the sort is stable.
        samples.sort_by(|a, b| a.target.labels.as_bytes().cmp(b.target.labels.as_bytes()));
        let mut body = Bytes::new();
        let mut backoff = self.backoff();
        let mut attempt = 0;
        let fate = loop {
            let aged = self.drop_aged(samples);
            if samples.is_empty() {
                break Fate::Delivered;
            }
            if attempt == 0 || aged > 0 {
                body = encode(samples, encoder);
            }
            let count = samples.len();
            if attempt > 0 {
                self.metrics.retried.add(count as f64);
            }
            match self.attempt(&body, attempt, count, What::Samples, &mut backoff).await {
                Some(fate) => break fate,
                None => attempt += 1,
            }
        };
        let busy = (self.clock.monotonic() - began).as_secs_f64();
        self.count(fate, samples, body.len(), busy);
        fate
    }

    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.queue.min_backoff.into(), self.queue.max_backoff.into())
    }

    /// One attempt and, after a failure that may pass, the wait; `None` says to try again.
    pub(super) async fn attempt(
        &self,
        body: &Bytes,
        attempt: u32,
        count: usize,
        what: What,
        backoff: &mut Backoff,
    ) -> Option<Fate> {
        let began = self.clock.monotonic();
        let answer = tokio::select! {
            answer = self.transport.post(body.clone(), attempt) => answer,
            () = self.hard_stop.cancelled() => return Some(Fate::Abandoned),
        };
        if what == What::Samples {
            self.metrics.batch_seconds.observe_duration(self.clock.monotonic() - began);
        }
        match answer {
            Answer::Delivered => Some(Fate::Delivered),
            Answer::Later { cause, wait, too_many } if !too_many || self.queue.retry_on_http_429 => {
                self.wait(&cause, wait, attempt, count, what, backoff).await
            }
            Answer::Later { cause, .. } | Answer::Refused { cause } => {
                let (remote_name, url) = (&self.name, &self.url);
                tracing::error!(
                    remote_name,
                    url,
                    count,
                    kind = what.word(),
                    err = cause,
                    "remote_write: non-recoverable error, dropped the batch"
                );
                Some(Fate::Refused)
            }
        }
    }

    async fn wait(
        &self,
        cause: &str,
        asked: Option<Duration>,
        attempt: u32,
        count: usize,
        what: What,
        backoff: &mut Backoff,
    ) -> Option<Fate> {
        let wait = backoff.next_wait();
        let wait = asked.filter(|asked| !asked.is_zero()).unwrap_or(wait);
        let (remote_name, url, attempt) = (&self.name, &self.url, attempt + 1);
        let backoff_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            remote_name,
            url,
            count,
            kind = what.word(),
            attempt,
            backoff_ms,
            err = cause,
            "remote_write: failed to send batch, retrying"
        );
        tokio::select! {
            () = self.clock.sleep(wait) => None,
            () = self.hard_stop.cancelled() => Some(Fate::Abandoned),
        }
    }

    /// Takes samples older than the limit out, and their records forward.
    fn drop_aged(&self, samples: &mut Vec<Sample>) -> usize {
        let limit_ms = self.queue.sample_age_limit.as_ms();
        if limit_ms == 0 {
            return 0;
        }
        let oldest = Timestamp(self.clock.now_ms()).plus_ms(-i64::try_from(limit_ms).unwrap_or(i64::MAX));
        let aged: Vec<Sample> = samples.extract_if(.., |sample| sample.timestamp < oldest).collect();
        if !aged.is_empty() {
            self.metrics.dropped(Drop::TooOld, aged.len());
            self.metrics.pending(-(aged.len() as f64));
            self.progress.done(aged.iter().map(|sample| sample.record));
        }
        aged.len()
    }

    fn count(&self, fate: Fate, samples: &[Sample], body_bytes: usize, busy_seconds: f64) {
        if fate == Fate::Abandoned {
            return;
        }
        let count = samples.len();
        self.metrics.samples.add(count as f64);
        if fate == Fate::Refused {
            self.metrics.failed(count);
        } else {
            self.metrics.succeeded.add(count as f64);
            self.metrics.bytes.add(body_bytes as f64);
        }
        if let Some(newest) = samples.iter().map(|sample| sample.timestamp).max() {
            self.newest_sent_ms.fetch_max(newest.0, Ordering::Relaxed);
            let newest = Timestamp(self.newest_sent_ms.load(Ordering::Relaxed));
            self.metrics.highest_sent.set(newest.seconds());
        }
        let mut flow = self.flow.lock();
        flow.totals.sent += count as f64;
        flow.totals.busy_seconds += busy_seconds;
        flow.last_sent = self.clock.monotonic();
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

/// Neighbouring samples of one series share an entry as long as their times ascend.
fn encode(samples: &[Sample], encoder: &mut Encoder) -> Bytes {
    let together = |a: &Sample, b: &Sample| {
        a.target.labels.as_bytes() == b.target.labels.as_bytes() && a.timestamp < b.timestamp
    };
    let mut row = Vec::new();
    for run in samples.chunk_by(together) {
        row.clear();
        row.extend(run.iter().map(|sample| (sample.timestamp, sample.value)));
        encoder.series(&run[0].target.labels, &row);
    }
    Bytes::from(encoder.finish())
}
