//! Taking a batch: to memory first, then to the log, then the answer.
//!
//! The order and its proof stand in `docs/decisions/031-memory-then-log.md`:
//! - what is answered as stored or duplicate is durable, and was visible to queries before the answer;
//! - a batch whose log write failed leaves its samples in memory, marked: sending it again writes them to the
//!   log although they look like duplicates;
//! - two values for one time never both reach the log, because the series' lock orders them.

mod exemplar;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nave_model::append::{
    AppendError, Batch, BatchSeries, HistogramSample, Item, Outcome, Reason, Rejection, SeriesRef, Tally,
};
use nave_model::label::{Labels, METRIC_NAME};
use nave_model::metadata::Metadata;
use nave_model::time::Timestamp;

use crate::exemplar::Kept;
use crate::head::{Head, Partition};
use crate::record::{self, SamplesEncoder, StartedEncoder};
use crate::replay::Early;
use crate::series::{Inserted, Series, State};

/// Keys that wait for the registry, beside one per series. What does not fit is decoded once more after a restart: a
/// sender who spells one series in ever new ways must not fill memory between two flushes.
const FRESH_KEYS_MAX: usize = 4 << 20;

/// A batch on its way. Dropped before [`Flight::landed`], it marks its series.
#[derive(Debug)]
pub(crate) struct Flight {
    head: Arc<Head>,
    ticket: u64,
    /// Series that something was stored in.
    stored: Vec<Arc<Series>>,
    /// Series that the records name for the first time.
    registering: Vec<Arc<Series>>,
    metadata: Vec<(Arc<str>, Metadata)>,
    exemplars: Vec<Arc<Kept>>,
    partition: Option<Arc<Partition>>,
    landed: bool,
}

impl Flight {
    /// The records are durable.
    pub(crate) fn landed(mut self) {
        self.landed = true;
        for series in &self.registering {
            series.registered.store(true, Ordering::Release);
        }
        for exemplar in self.exemplars.drain(..) {
            self.head.exemplars.insert(exemplar);
        }
        if let Some(partition) = self.partition.take().filter(|_| !self.metadata.is_empty()) {
            let mut table = partition.metadata.lock();
            for (family, metadata) in self.metadata.drain(..) {
                partition.fresh.lock().metadata.push((family.clone(), metadata.clone()));
                table.insert(family, metadata);
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            for series in &self.stored {
                series.state.lock().unlogged = true;
            }
        }
        self.head.tickets.end(self.ticket);
    }
}

/// What a batch did to memory, and what must be durable before its outcome may be told.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) outcome: Outcome,
    pub(crate) records: Vec<(u8, Vec<u8>)>,
    pub(crate) flight: Flight,
}

/// Whether every series of `batch` can be found without the label index.
pub(crate) fn is_known(head: &Head, batch: &Batch) -> bool {
    let sender = head.raw.sender(&batch.principal);
    batch.series.iter().all(|entry| known(head, sender, batch, entry).is_some())
}

/// By reference, else by raw bytes.
pub(crate) fn known(head: &Head, sender: u64, batch: &Batch, entry: &BatchSeries) -> Option<Arc<Series>> {
    let reference = entry.reference;
    let by_number = (reference.generation == head.generation).then(|| head.table.get(reference.id));
    by_number
        .flatten()
        .or_else(|| head.raw.get(head.raw.key(sender, batch.label_format, batch.label_bytes(entry))))
}

/// Applies `batch` to memory.
pub(crate) fn apply(head: &Arc<Head>, batch: &Batch) -> Result<Applied, AppendError> {
    let partition = head.partition(&batch.principal.tenant).map_err(|reason| AppendError::Overloaded {
        what: reason.to_string(),
        retry_after: std::time::Duration::from_secs(60),
    })?;
    // While it lasts, whoever appends asked before whether it takes the batch.
    let early = head.early.read();
    let mut ingest = Ingest::new(head, batch, partition, early.as_ref());
    for (number, entry) in (0u32..).zip(&batch.series) {
        ingest.series(number, entry);
    }
    Ok(ingest.finish())
}

struct Ingest<'a> {
    head: &'a Arc<Head>,
    batch: &'a Batch,
    partition: Arc<Partition>,
    early: Option<&'a Early>,
    /// [`crate::lookup::RawTable::sender`].
    sender: u64,
    oldest: i64,
    newest: i64,
    outcome: Outcome,
    flight: Flight,
    samples: SamplesEncoder,
    histograms: Vec<u8>,
    /// Those with a start.
    started: StartedEncoder,
    started_histograms: Vec<u8>,
    exemplars: Vec<u8>,
    registrations: Vec<u8>,
    times: (i64, i64),
    late: [usize; 2],
    too_old: usize,
    conflicts: usize,
    chunks: i64,
}

/// A float or a histogram.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Float,
    Histogram,
}

impl<'a> Ingest<'a> {
    fn new(
        head: &'a Arc<Head>,
        batch: &'a Batch,
        partition: Arc<Partition>,
        early: Option<&'a Early>,
    ) -> Self {
        let now = head.clock.now_ms();
        let flight = Flight {
            head: head.clone(),
            ticket: head.tickets.begin(),
            stored: Vec::with_capacity(batch.series.len()),
            registering: Vec::new(),
            metadata: Vec::new(),
            exemplars: Vec::new(),
            partition: Some(partition.clone()),
            landed: false,
        };
        let mut outcome = Outcome::default();
        outcome.references.reserve(batch.series.len());
        Self {
            head,
            batch,
            partition,
            early,
            sender: head.raw.sender(&batch.principal),
            oldest: head.oldest_at(now),
            newest: now.saturating_add(head.options.future_max_ms),
            outcome,
            flight,
            samples: SamplesEncoder::default(),
            histograms: Vec::new(),
            started: StartedEncoder::default(),
            started_histograms: Vec::new(),
            exemplars: Vec::new(),
            registrations: Vec::new(),
            times: (i64::MAX, i64::MIN),
            late: [0; 2],
            too_old: 0,
            conflicts: 0,
            chunks: 0,
        }
    }

    fn series(&mut self, number: u32, entry: &BatchSeries) {
        let reference = if self.any_in_time(entry) {
            self.series_in_time(number, entry)
        } else {
            // Nothing to store, so no series is made for it; every item is refused for its time.
            self.items(number, entry, None);
            self.exemplars(number, entry, None);
            SeriesRef::NONE
        };
        self.outcome.references.push(reference);
    }

    fn any_in_time(&self, entry: &BatchSeries) -> bool {
        let range = entry.samples.start as usize..entry.samples.end as usize;
        let times = self.batch.timestamps[range].iter();
        let range = entry.histograms.start as usize..entry.histograms.end as usize;
        let more = self.batch.histograms[range].iter().map(|sample| &sample.timestamp);
        let range = entry.exemplars.start as usize..entry.exemplars.end as usize;
        let others = self.batch.exemplars[range].iter().filter_map(|exemplar| exemplar.timestamp.as_ref());
        times.chain(more).chain(others).any(|t| self.oldest <= t.0 && t.0 <= self.newest)
    }

    fn series_in_time(&mut self, number: u32, entry: &BatchSeries) -> SeriesRef {
        let mut series = match self.find(entry) {
            Ok(series) => series,
            Err(reason) => return self.refuse_series(number, entry, reason),
        };
        loop {
            let mut state = series.state.lock();
            if !state.dead {
                self.items(number, entry, Some((&series, &mut state)));
                drop(state);
                break;
            }
            // Retention removed it in this very moment.
            drop(state);
            series = match self.decode(entry) {
                Ok(series) => series,
                Err(reason) => return self.refuse_series(number, entry, reason),
            };
        }
        self.exemplars(number, entry, Some(&series));
        let reference = SeriesRef { generation: self.head.generation, id: series.id };
        self.flight.stored.push(series);
        reference
    }

    /// By reference, else by raw bytes, else by decoding.
    fn find(&self, entry: &BatchSeries) -> Result<Arc<Series>, Reason> {
        if entry.reference.generation == self.head.generation
            && let Some(series) = self.head.table.get(entry.reference.id)
        {
            return Ok(series);
        }
        let key = self.head.raw.key(self.sender, self.batch.label_format, self.batch.label_bytes(entry));
        if let Some(series) = self.head.raw.get(key) {
            return Ok(series);
        }
        let series = self.decode(entry)?;
        self.head.raw.insert(key, series.clone());
        let mut fresh = self.head.fresh_keys.lock();
        if fresh.len() < FRESH_KEYS_MAX + self.head.series_count.load(Ordering::Relaxed) {
            fresh.push((key, series.id));
        }
        drop(fresh);
        Ok(series)
    }

    #[cold]
    fn decode(&self, entry: &BatchSeries) -> Result<Arc<Series>, Reason> {
        let decoded = (self.batch.label_format.decode)(self.batch.label_bytes(entry));
        let labels = decoded.map_err(|error| Reason::InvalidLabels(error.to_string()))?;
        let labels = self.batch.principal.stamped(labels)?;
        self.check_labels(&labels)?;
        self.head.series(&self.partition, &self.batch.principal, labels)
    }

    fn check_labels(&self, labels: &Labels) -> Result<(), Reason> {
        let options = &self.head.options;
        let limit = |name, limit: usize| Err(Reason::Limit { name, limit: limit as u64 });
        if !labels.has(METRIC_NAME) {
            return Err(Reason::InvalidLabels(format!("expected a metric name, got {labels}")));
        }
        if labels.len() > options.labels_max {
            return limit("labels_max", options.labels_max);
        }
        for (name, value) in labels {
            if name.len() > options.label_name_bytes_max {
                return limit("label_name_bytes_max", options.label_name_bytes_max);
            }
            if value.len() > options.label_value_bytes_max {
                return limit("label_value_bytes_max", options.label_value_bytes_max);
            }
        }
        Ok(())
    }

    /// Inserts or refuses every float and histogram of `entry`.
    fn items(&mut self, number: u32, entry: &BatchSeries, mut target: Option<(&Arc<Series>, &mut State)>) {
        let before = target.as_ref().map_or(0, |(_, state)| state.chunk_count());
        let mut logged = false;
        for i in entry.samples.clone() {
            let (t, value) = (self.batch.timestamps[i as usize], self.batch.values[i as usize]);
            let result = match (self.check_time(t), &mut target) {
                (Ok(()), Some((series, state))) => {
                    let start = self.batch.start_timestamps.get(i as usize).map_or(0, |start| start.0);
                    let (inserted, start) = self.insert(series.id, state, (t.0, value.to_bits(), start));
                    if self.must_log(inserted, state) {
                        match start {
                            0 => self.samples.push(series.id, t.0, value),
                            start => self.started.push(series.id, t.0, start, value),
                        }
                        self.note(t.0);
                        logged = true;
                    }
                    self.judge(Type::Float, inserted, t, value)
                }
                (Err(reason), _) => Err(reason),
                (Ok(()), None) => continue,
            };
            self.count(Type::Float, number, i, result);
        }
        for i in entry.histograms.clone() {
            let sample = &self.batch.histograms[i as usize];
            let t = sample.timestamp;
            let result = match (self.check_time(t), &mut target) {
                (Ok(()), Some((series, state))) => {
                    let start = sample.start_timestamp.unwrap_or_default().0;
                    let inserted = state.insert_histogram(t.0, &sample.histogram);
                    state.note_start(inserted, t.0, start);
                    if self.must_log(inserted, state) {
                        self.put_histogram(series.id, sample, state.start_at(t.0));
                        self.note(t.0);
                        logged = true;
                    }
                    self.judge(Type::Histogram, inserted, t, f64::NAN)
                }
                (Err(reason), _) => Err(reason),
                (Ok(()), None) => continue,
            };
            self.count(Type::Histogram, number, i, result);
        }
        if let Some((series, state)) = target {
            self.chunks += state.chunk_count() as i64 - before as i64;
            if logged && !series.registered.load(Ordering::Acquire) {
                record::put_series(&mut self.registrations, series.id, &series.labels);
                self.flight.registering.push(series.clone());
            }
        }
    }

    /// Adds a float; also gives the start that stays, which is that of the first one, as the value is.
    #[inline]
    fn insert(&self, id: u32, state: &mut State, (t, value, start): (i64, u64, i64)) -> (Inserted, i64) {
        if let Some(early) = self.early {
            return early.insert(id, t, value, start);
        }
        let inserted = state.insert(t, value);
        state.note_start(inserted, t, start);
        (inserted, state.start_at(t))
    }

    fn put_histogram(&mut self, id: u32, sample: &HistogramSample, start: i64) {
        let (t, histogram) = (sample.timestamp.0, &*sample.histogram);
        if start == 0 {
            record::put_histogram(&mut self.histograms, id, t, histogram);
        } else {
            record::put_started_histogram(&mut self.started_histograms, id, t, start, histogram);
        }
    }

    fn check_time(&self, t: Timestamp) -> Result<(), Reason> {
        if t.0 < self.oldest {
            return Err(Reason::TooOld { timestamp: t, oldest: Timestamp(self.oldest) });
        }
        if t.0 > self.newest {
            return Err(Reason::TooNew { timestamp: t, newest: Timestamp(self.newest) });
        }
        Ok(())
    }

    /// Whether the sample must be in this batch's records: it is new, or what it duplicates may not be durable.
    fn must_log(&self, inserted: Inserted, state: &mut State) -> bool {
        match inserted {
            Inserted::Stored | Inserted::Late => {
                state.ticket = self.flight.ticket;
                true
            }
            Inserted::Duplicate => state.unlogged || !self.head.tickets.is_past(state.ticket),
            Inserted::Conflict(_) | Inserted::HistogramConflict => false,
        }
    }

    fn note(&mut self, t: i64) {
        self.times = (self.times.0.min(t), self.times.1.max(t));
    }

    fn judge(
        &mut self,
        kind: Type,
        inserted: Inserted,
        timestamp: Timestamp,
        sent: f64,
    ) -> Result<bool, Reason> {
        match inserted {
            Inserted::Stored => Ok(true),
            Inserted::Late => {
                self.late[usize::from(kind == Type::Histogram)] += 1;
                Ok(true)
            }
            Inserted::Duplicate => Ok(false),
            Inserted::Conflict(stored) => {
                Err(Reason::Conflict { timestamp, stored: f64::from_bits(stored), sent })
            }
            Inserted::HistogramConflict => Err(Reason::HistogramConflict { timestamp }),
        }
    }

    fn count(&mut self, kind: Type, series: u32, item: u32, result: Result<bool, Reason>) {
        let tally = match kind {
            Type::Float => &mut self.outcome.samples,
            Type::Histogram => &mut self.outcome.histograms,
        };
        match result {
            Ok(true) => tally.stored += 1,
            Ok(false) => tally.duplicate += 1,
            Err(reason) => {
                tally.rejected += 1;
                self.too_old += usize::from(matches!(reason, Reason::TooOld { .. }));
                let conflict = matches!(reason, Reason::Conflict { .. } | Reason::HistogramConflict { .. });
                self.conflicts += usize::from(conflict);
                let item = if kind == Type::Float { Item::Sample(item) } else { Item::Histogram(item) };
                self.outcome.rejections.push(Rejection { series, item, reason });
            }
        }
    }

    #[cold]
    fn refuse_series(&mut self, number: u32, entry: &BatchSeries, reason: Reason) -> SeriesRef {
        self.outcome.samples.rejected += entry.samples.len();
        self.outcome.histograms.rejected += entry.histograms.len();
        self.outcome.exemplars.rejected += entry.exemplars.len();
        self.outcome.rejections.push(Rejection { series: number, item: Item::Series, reason });
        SeriesRef::NONE
    }

    fn metadata(&mut self) -> Vec<u8> {
        let max = self.head.options.metadata_families_max;
        let table = self.partition.metadata.lock();
        let wanted = self.batch.metadata.iter().filter(|(family, m)| table.wants(family, m, max));
        self.flight.metadata.extend(wanted.cloned());
        let mut payload = Vec::new();
        for (family, metadata) in &self.flight.metadata {
            record::put_metadata(&mut payload, family, metadata);
        }
        payload
    }

    fn finish(mut self) -> Applied {
        let metadata = self.metadata();
        let with_tenant = |payload: Vec<u8>| {
            let mut out = Vec::with_capacity(payload.len() + 16);
            record::put_tenant(&mut out, &self.partition.tenant);
            out.extend_from_slice(&payload);
            out
        };
        let mut records = Vec::new();
        if !self.registrations.is_empty() {
            records.push((record::SERIES, with_tenant(self.registrations)));
        }
        if !metadata.is_empty() {
            records.push((record::METADATA, with_tenant(metadata)));
        }
        if !self.samples.is_empty() {
            records.push((record::SAMPLES, self.samples.finish()));
        }
        if !self.histograms.is_empty() {
            records.push((record::HISTOGRAMS, self.histograms));
        }
        if !self.started.is_empty() {
            records.push((record::STARTED_SAMPLES, self.started.finish()));
        }
        if !self.started_histograms.is_empty() {
            records.push((record::STARTED_HISTOGRAMS, self.started_histograms));
        }
        if !self.exemplars.is_empty() {
            records.push((record::EXEMPLARS, self.exemplars));
        }
        let (head, Outcome { samples, histograms, .. }) = (self.head, &self.outcome);
        if self.times.0 <= self.times.1 {
            head.note_times(self.times.0, self.times.1);
        }
        head.chunk_count.fetch_add(self.chunks, Ordering::Relaxed);
        count_batch(head, samples, histograms, self.late, [self.too_old, self.conflicts]);
        Applied { outcome: self.outcome, records, flight: self.flight }
    }
}

fn count_batch(
    head: &Head,
    samples: &Tally,
    histograms: &Tally,
    late: [usize; 2],
    [too_old, conflicts]: [usize; 2],
) {
    let counters = &head.counters;
    let pairs = [
        (&counters.float_samples, samples.stored),
        (&counters.histogram_samples, histograms.stored),
        (&counters.duplicates, samples.duplicate + histograms.duplicate),
        (&counters.late_floats, late[0]),
        (&counters.late_histograms, late[1]),
        (&counters.too_old_samples, too_old),
        (&counters.conflicts, conflicts),
    ];
    for (counter, count) in pairs.into_iter().filter(|(_, count)| *count > 0) {
        counter.add(count as f64);
    }
}

#[cfg(test)]
mod tests {
    use nave_base::clock::FakeClock;
    use nave_model::append::{BatchBuilder, Principal};

    use super::*;
    use crate::lookup::Secret;
    use crate::options::Options;

    const NOW: i64 = 1_700_000_000_000;

    fn kinds(applied: &Applied) -> Vec<u8> {
        applied.records.iter().map(|(kind, _)| *kind).collect()
    }

    fn send(head: &Arc<Head>, value: f64) -> Applied {
        let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
        let labels = Labels::from_pairs([(METRIC_NAME, "a")]).unwrap();
        builder.series(&labels, SeriesRef::NONE).sample(Timestamp(NOW), value);
        apply(head, &builder.build()).unwrap()
    }

    #[test]
    fn a_duplicate_of_what_is_under_way_is_logged_too() {
        let head = Arc::new(Head::new(Options::new("/unused"), FakeClock::at(NOW), Secret::random()));
        let first = send(&head, 1.0);
        let second = send(&head, 1.0);
        for applied in [&first, &second] {
            assert_eq!(kinds(applied), [record::SERIES, record::SAMPLES]);
        }
        assert_eq!((first.outcome.samples.stored, second.outcome.samples.duplicate), (1, 1));
        let conflict = send(&head, 2.0);
        assert_eq!((kinds(&conflict), conflict.outcome.samples.rejected), (vec![], 1));
        second.flight.landed();
        assert_eq!(kinds(&send(&head, 1.0)), [record::SAMPLES], "the first is still under way");
        conflict.flight.landed();
        first.flight.landed();
        let third = send(&head, 1.0);
        assert_eq!(kinds(&third), [record::SAMPLES], "one was given up above");
        assert!(head.table.get(1).unwrap().state.lock().unlogged);
    }

    #[test]
    fn a_duplicate_of_what_is_durable_is_not_logged() {
        let head = Arc::new(Head::new(Options::new("/unused"), FakeClock::at(NOW), Secret::random()));
        send(&head, 1.0).flight.landed();
        let second = send(&head, 1.0);
        assert_eq!((kinds(&second), second.outcome.samples.duplicate), (vec![], 1));
        second.flight.landed();
    }
}
