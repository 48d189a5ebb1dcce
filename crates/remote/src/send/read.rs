//! Reading the log for one stream: series get their labels, samples go into lanes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nave_model::time::Timestamp;
use nave_wal::Position;
use nave_wire::remote_write::Message;

use super::lane::{Sample, Value, counts};
use super::series::{Found, SeriesCache};
use super::stream::Stream;
use crate::metric::{Counts, Drop};
use crate::{Error, Piece, Step, Tail};

/// A burst ends when it has so many samples or records.
const BURST_SAMPLES: usize = 8192;
const BURST_RECORDS: usize = 256;
/// Records that may be open at once. Reached when one batch is refused again and again while others pass:
/// then reading waits for it.
const OPEN_RECORDS_MAX: usize = 100_000;
/// How long to wait after the disk failed.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// What stood between two places in the log.
#[derive(Debug, Default)]
struct Burst {
    /// Ends of records, with how many samples of theirs are to be sent.
    records: Vec<(Position, usize)>,
    samples: VecDeque<Sample>,
    series_records: usize,
    sample_records: usize,
    dropped: Counts,
    unknown: Counts,
    damaged: Vec<String>,
    newest_ms: Option<i64>,
    /// Of the log.
    bytes: u64,
    failed: Option<Error>,
}

/// The blocking part.
struct Follower {
    tail: Box<dyn Tail>,
    cache: SeriesCache,
    piece: Piece,
    at: Position,
    /// What is wanted besides floats.
    histograms: bool,
    exemplars: bool,
}

/// Reads until the soft stop or the end of the gap, then closes the lanes.
pub(super) async fn run(stream: Arc<Stream>, cache: SeriesCache) {
    let at = stream.from;
    let mut follower = Some(Follower {
        tail: stream.source.tail(at),
        cache,
        piece: Piece::default(),
        at,
        // 2.0 always carries them, as upstream has it.
        histograms: stream.send_native_histograms || stream.message == Message::V2,
        exemplars: stream.send_exemplars,
    });
    let mut end = stream.source.durable_end();
    let mut caught_up = false;
    while let Some(mut reading) = follower.take() {
        let limit = stream.limit(*end.borrow_and_update());
        let first = stream.progress.next_record();
        let read = tokio::task::spawn_blocking(move || {
            let burst = reading.read(limit, first);
            (reading, burst)
        });
        let (reading, burst) = match read.await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => break,
        };
        let idle = reading.at >= limit || burst.records.is_empty();
        let failed = report(&stream, &burst, caught_up);
        caught_up |= idle;
        let samples = burst.samples.len();
        let at = reading.at;
        let at_end = !stream.is_fresh() && reading.at >= limit;
        if stream.is_fresh() {
            stream.metrics.watcher.segment.set(reading.at.segment as f64);
        }
        follower = Some(reading);
        if !hand_over(&stream, burst, at).await || at_end {
            break;
        }
        if !stream.is_fresh() {
            tokio::select! {
                () = stream.pace.take(samples) => {}
                () = stream.soft_stop.cancelled() => break,
            }
        }
        let wait = async {
            match (failed, idle) {
                (true, _) => stream.clock.sleep(DISK_RETRY).await,
                (false, true) if end.changed().await.is_err() => std::future::pending().await,
                _ => {}
            }
        };
        tokio::select! {
            () = stream.soft_stop.cancelled() => break,
            () = wait => {}
        }
    }
    stream.lanes.close();
}

impl Follower {
    fn read(&mut self, limit: Position, first_record: u64) -> Burst {
        let mut burst = Burst::default();
        while self.at < limit && burst.records.len() < BURST_RECORDS && burst.samples.len() < BURST_SAMPLES {
            match self.tail.next(&mut self.piece) {
                Ok(Step::End) => break,
                Ok(Step::Damaged(what)) => {
                    burst.damaged.push(what);
                    burst.records.push((self.piece.next, 0));
                }
                // The gap itself is gone, and the log goes on behind it.
                Ok(Step::Record) if self.piece.next > limit => burst.records.push((limit, 0)),
                Ok(Step::Record) => self.take(&mut burst, first_record),
                Err(error) => {
                    burst.failed = Some(error);
                    break;
                }
            }
            // What another segment has before its first record does not matter here.
            burst.bytes += match self.piece.next.segment == self.at.segment {
                true => self.piece.next.offset.saturating_sub(self.at.offset),
                false => self.piece.next.offset,
            };
            self.at = self.piece.next;
        }
        burst
    }

    fn take(&mut self, burst: &mut Burst, first_record: u64) {
        let record = first_record + burst.records.len() as u64;
        self.cache.enter_segment(self.piece.next.segment);
        burst.series_records += usize::from(!self.piece.series.is_empty());
        burst.sample_records += usize::from(!self.piece.samples.is_empty());
        for (id, labels) in &self.piece.series {
            self.cache.name(*id, labels);
        }
        let before = burst.samples.len();
        burst.newest_ms = burst.newest_ms.max(self.piece.times().map(|time| time.0).max());
        let starts = self.piece.starts.iter().copied().chain(std::iter::repeat(Timestamp(0)));
        let floats = self.piece.samples.iter().zip(starts).map(|(&(id, timestamp, value), start)| {
            let started = || Value::Started(Box::new((value, start)));
            (id, timestamp, if start.0 == 0 { Value::Float(value) } else { started() })
        });
        let histograms = self.piece.histograms.drain(..).filter(|_| self.histograms);
        let histograms = histograms.map(|(id, one)| (id, one.timestamp, Value::Histogram(Arc::new(one))));
        // Without a time of its own an exemplar is as old as its scrape; age limits leave it alone.
        let exemplars = self.piece.exemplars.drain(..).filter(|_| self.exemplars);
        let exemplars = exemplars.map(|(id, one)| {
            (id, one.timestamp.unwrap_or(Timestamp(i64::MAX)), Value::Exemplar(Arc::new(one)))
        });
        for (id, timestamp, value) in floats.chain(histograms).chain(exemplars) {
            let kind = value.kind() as usize;
            match self.cache.find(id) {
                Found::Send(target) => {
                    burst.samples.push_back(Sample { target: target.clone(), record, timestamp, value });
                }
                Found::Dropped => burst.dropped[kind] += 1,
                Found::Unknown => burst.unknown[kind] += 1,
            }
        }
        burst.records.push((self.piece.next, burst.samples.len() - before));
    }
}

/// Counts and logs; whether the disk failed.
fn report(stream: &Stream, burst: &Burst, caught_up: bool) -> bool {
    let (metrics, remote_name) = (&stream.metrics, &stream.name);
    metrics.read(burst.samples.len(), burst.bytes);
    metrics.watcher.series_records.add(burst.series_records as f64);
    metrics.watcher.sample_records.add(burst.sample_records as f64);
    if !caught_up {
        metrics.watcher.pre_tailing.add(burst.samples.len() as f64);
    }
    if burst.dropped != [0; 3] {
        metrics.dropped(Drop::Relabelled, burst.dropped);
    }
    if burst.unknown != [0; 3] {
        metrics.dropped(Drop::UnknownSeries, burst.unknown);
    }
    for what in &burst.damaged {
        metrics.watcher.decode_failures.inc();
        tracing::warn!(remote_name, err = what, "remote_write: damaged place in the queue is skipped");
    }
    if let Some(newest_ms) = burst.newest_ms {
        let newest = newest_ms as f64 / 1000.0;
        metrics.highest_queued.set(newest.max(metrics.highest_queued.get()));
    }
    stream.flow.lock().totals.read += burst.samples.len() as f64;
    if let Some(error) = &burst.failed {
        tracing::error!(remote_name, err = %error, "remote_write: cannot read the queue, trying again");
    }
    burst.failed.is_some()
}

/// Puts the samples into lanes; `false` when stopped meanwhile. Records that were begun stay open then,
/// so the next life reads them again.
async fn hand_over(stream: &Stream, mut burst: Burst, at: Position) -> bool {
    for (next, samples) in burst.records {
        stream.progress.begin(next, samples);
    }
    stream.pending_more(counts(&burst.samples));
    let delivered = stream.lanes.sift(&mut burst.samples, |record| stream.progress.end_of(record));
    stream.skip(&delivered);
    stream.lanes.read_up_to(at);
    while !stream.lanes.push(&mut burst.samples) || stream.progress.open() > OPEN_RECORDS_MAX {
        stream.metrics.enqueue_retries.inc();
        tokio::select! {
            () = stream.lanes.wait_for_room() => {}
            () = stream.soft_stop.cancelled() => {
                stream.pending_less(counts(&burst.samples));
                return false;
            }
        }
    }
    true
}
