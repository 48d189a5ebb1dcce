//! The thread that owns the log: takes what waits as one group, writes it, syncs once, answers all.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nave_base::clock::SharedClock;
use nave_model::append::{AppendError, Batch, BatchSeries, Item, Outcome, Rejection, SeriesRef};
use nave_wal::{Log, Position};
use tokio::sync::{mpsc, oneshot, watch};

use super::QueueOptions;
use super::metric::QueueMetrics;
use super::record::{self, SamplesWriter};
use super::retention::Retention;
use super::series::SeriesTable;
use crate::Metrics;

/// A group takes no more batches when it has so many samples.
const GROUP_SAMPLES: usize = 100_000;

pub(super) type Answer = oneshot::Sender<Result<Outcome, AppendError>>;

pub(super) enum Request {
    Append(Box<Batch>, Answer),
    /// Some endpoint has moved on: segments may go.
    Trim,
}

pub(super) struct Writer {
    pub(super) log: Log,
    pub(super) options: QueueOptions,
    pub(super) clock: SharedClock,
    pub(super) series: SeriesTable,
    pub(super) retention: Retention,
    pub(super) metrics: Arc<QueueMetrics>,
    pub(super) shared: Arc<Metrics>,
    pub(super) durable: watch::Sender<Position>,
    pub(super) newest_ms: Arc<AtomicI64>,
    /// After a failure the log may have thrown away what series it named: begin a new segment.
    pub(super) broken: bool,
    pub(super) segment_begun_ms: i64,
    /// The log is new: its first segment has no record yet.
    pub(super) fresh: bool,
}

/// Records of one group, and what to answer.
#[derive(Default)]
struct Group {
    series: Vec<u8>,
    /// Kind and payload of everything else.
    records: Vec<(u8, Vec<u8>)>,
    answers: Vec<(Outcome, Answer)>,
    /// Floats, histograms, exemplars.
    stored: [usize; 3],
    newest_ms: i64,
}

impl Writer {
    /// Runs until the queue is dropped.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let (mut batches, mut samples, mut next) = (Vec::new(), 0, Some(first));
            while let Some(request) = next {
                if let Request::Append(batch, answer) = request {
                    samples += batch.sample_count();
                    batches.push((*batch, answer));
                }
                next = if samples < GROUP_SAMPLES { requests.try_recv().ok() } else { None };
            }
            if !batches.is_empty() {
                self.append(batches);
            }
            self.retention.enforce(&mut self.log);
            let bytes: u64 = self.log.segments().iter().map(|segment| segment.bytes).sum();
            self.metrics.bytes.set(bytes as f64);
        }
    }

    fn append(&mut self, batches: Vec<(Batch, Answer)>) {
        let ready = self.prepare();
        let segment = self.log.end().segment;
        let group = self.encode(batches, segment);
        let written = ready.and_then(|()| self.with_room(|writer| writer.write(&group, segment)));
        match written {
            Ok(()) => self.acknowledge(group),
            Err(error) => {
                self.broken = true;
                tracing::error!(err = %error, "remote_write: samples could not be queued");
                let error = append_error(&error);
                for (_, answer) in group.answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Begins a new segment when the current one is full, old or in doubt.
    fn prepare(&mut self) -> Result<(), nave_wal::Error> {
        let now_ms = self.clock.now_ms();
        let full = self.log.end().offset >= self.options.segment_bytes;
        let age_ms = now_ms.saturating_sub(self.segment_begun_ms);
        let old = age_ms >= i64::try_from(self.options.segment_age().as_millis()).unwrap_or(i64::MAX);
        if !(full || old || self.broken) {
            return Ok(());
        }
        self.with_room(|writer| writer.begin_segment(now_ms))
    }

    /// Does `act`; while the disk is full, the oldest segments go.
    fn with_room(
        &mut self,
        act: impl Fn(&mut Self) -> Result<(), nave_wal::Error>,
    ) -> Result<(), nave_wal::Error> {
        loop {
            match act(self) {
                Err(nave_wal::Error::Full { .. }) if self.retention.make_room(&mut self.log) => {}
                done => return done,
            }
        }
    }

    fn begin_segment(&mut self, now_ms: i64) -> Result<(), nave_wal::Error> {
        let fresh = std::mem::take(&mut self.fresh);
        let segment = if fresh { self.log.end().segment } else { self.log.cut()? };
        self.broken = true; // until its first record stands
        self.log.append(record::BEGIN, &record::begin(now_ms))?;
        self.broken = false;
        self.segment_begun_ms = now_ms;
        self.retention.segment_begun(segment, now_ms);
        let forgotten = self.series.forget_before(segment);
        self.metrics.deleted_series.set(forgotten as f64);
        Ok(())
    }

    fn encode(&mut self, batches: Vec<(Batch, Answer)>, segment: u64) -> Group {
        let mut group = Group { newest_ms: i64::MIN, ..Group::default() };
        for (batch, answer) in batches {
            let outcome = self.encode_batch(&batch, segment, &mut group);
            let tallies = [outcome.samples, outcome.histograms, outcome.exemplars];
            for (stored, tally) in group.stored.iter_mut().zip(tallies) {
                *stored += tally.stored;
            }
            group.answers.push((outcome, answer));
        }
        group
    }

    fn encode_batch(&mut self, batch: &Batch, segment: u64, group: &mut Group) -> Outcome {
        let mut outcome = Outcome::default();
        let mut records = Records::default();
        for (number, series) in (0u32..).zip(&batch.series) {
            let counts = [series.samples.len(), series.histograms.len(), series.exemplars.len()];
            let found = self.series.find(batch, series);
            let tallies = [&mut outcome.samples, &mut outcome.histograms, &mut outcome.exemplars];
            for (tally, count) in tallies.into_iter().zip(counts) {
                *(if found.is_ok() { &mut tally.stored } else { &mut tally.rejected }) += count;
            }
            outcome.references.push(*found.as_ref().unwrap_or(&SeriesRef::NONE));
            match found {
                Err(reason) => {
                    outcome.rejections.push(Rejection { series: number, item: Item::Series, reason });
                }
                Ok(reference) => {
                    if counts != [0; 3]
                        && let Some(labels) = self.series.name_in(reference.id, segment)
                    {
                        record::put_series(&mut group.series, reference.id, labels);
                    }
                    records.put(reference.id, batch, series);
                }
            }
        }
        group.newest_ms = group.newest_ms.max(records.newest_ms.unwrap_or(i64::MIN));
        let samples = if batch.start_timestamps.is_empty() { record::SAMPLES } else { record::STARTED };
        group.records.extend([
            (samples, records.samples.finish()),
            (record::HISTOGRAMS, records.histograms),
            (record::EXEMPLARS, records.exemplars),
        ]);
        outcome
    }

    /// `segment` is the one for which series were named; samples in another would be without names.
    fn write(&mut self, group: &Group, segment: u64) -> Result<(), nave_wal::Error> {
        let series = (!group.series.is_empty()).then_some((record::SERIES, &group.series[..]));
        let records = group.records.iter().filter(|(_, payload)| !payload.is_empty());
        let records = records.map(|(kind, payload)| (*kind, &payload[..]));
        let written = self.log.append_group(series.into_iter().chain(records))?;
        if written.segment != segment {
            let message = format!("the log went on in segment {}", written.segment);
            let path = self.options.dir.clone();
            return Err(nave_wal::Error::Io { doing: "keeping a group in its segment", path, message });
        }
        if self.options.fsync {
            self.log.sync()?;
        }
        Ok(())
    }

    fn acknowledge(&mut self, group: Group) {
        self.durable.send_replace(self.log.end());
        self.newest_ms.fetch_max(group.newest_ms, Ordering::Relaxed);
        let newest_ms = self.newest_ms.load(Ordering::Relaxed);
        if newest_ms > i64::MIN {
            self.shared.highest_timestamp.set(newest_ms as f64 / 1000.0);
        }
        let [samples, histograms, exemplars] = group.stored.map(|count| count as f64);
        self.shared.samples_in.add(samples);
        self.shared.histograms_in.add(histograms);
        self.shared.exemplars_in.add(exemplars);
        self.metrics.samples_appended.add(samples);
        self.metrics.histograms_appended.add(histograms);
        self.metrics.active_series.set(self.series.len() as f64);
        for (outcome, answer) in group.answers {
            // Who does not wait any more has dropped the future; the samples stay.
            let _ = answer.send(Ok(outcome));
        }
    }
}

/// The payloads of one batch.
#[derive(Default)]
struct Records {
    samples: SamplesWriter,
    histograms: Vec<u8>,
    exemplars: Vec<u8>,
    newest_ms: Option<i64>,
}

impl Records {
    fn put(&mut self, id: u32, batch: &Batch, series: &BatchSeries) {
        let range = |range: &Range<u32>| range.start as usize..range.end as usize;
        let samples = range(&series.samples);
        let (times, values) = (&batch.timestamps[samples.clone()], &batch.values[samples.clone()]);
        let starts = batch.start_timestamps.get(samples).unwrap_or_default();
        self.samples.series(id, times.iter().copied().zip(values.iter().copied()), starts);
        let histograms = &batch.histograms[range(&series.histograms)];
        histograms.iter().for_each(|one| record::put_histogram(&mut self.histograms, id, one));
        let exemplars = &batch.exemplars[range(&series.exemplars)];
        exemplars.iter().for_each(|one| record::put_exemplar(&mut self.exemplars, id, one));
        let times = times.iter().chain(histograms.iter().map(|one| &one.timestamp));
        self.newest_ms = self.newest_ms.max(times.map(|time| time.0).max());
    }
}

fn append_error(error: &nave_wal::Error) -> AppendError {
    match error {
        nave_wal::Error::Full { .. } => AppendError::Full { what: error.to_string() },
        nave_wal::Error::Closed => AppendError::Closed("the queue is closed"),
        nave_wal::Error::TooLarge { .. } => {
            AppendError::Overloaded { what: error.to_string(), retry_after: Duration::from_secs(5) }
        }
        _ => AppendError::Io(error.to_string()),
    }
}
