//! One series in memory: its labels and its samples.
//!
//! A float newer than every float before it goes to the open chunk; full chunks are sealed. Any other is late and
//! kept apart ([`late`]); since when samples count is kept beside them ([`start`]). A flush marks what it took ([`State::freeze`]); what every reader finds in files is dropped
//! ([`State::drop_flushed`]), and the newest float stays known for ever.
//!
//! Invariants of [`State`]: sealed chunks are ascending and disjoint, all before the open one; a late sample has no
//! time that a chunk has; floats and histograms share no time; no late float is newer than the newest one.
//! Every sample is either not in a file yet (its chunk has seq 0 or one that was not committed, or it is newer than
//! the mark), or in the file of the seq that marks it.

mod freeze;
mod late;
mod start;

use std::cmp::Ordering as Order;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nave_model::histogram::Histogram;
use nave_model::label::Labels;
use nave_model::time::TimeRange;
use parking_lot::Mutex;

use crate::chunk::{self, CHUNK_SAMPLES, Chunk, Open, Point};
use crate::view::View;
use freeze::Marks;
use late::Late;
use start::Starts;
pub(crate) use start::{Run, fill};

/// A series of one tenant.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) id: u32,
    /// Index into the head's partitions.
    pub(crate) partition: u16,
    pub(crate) labels: Labels,
    /// Whether a record that names the series is durable.
    pub(crate) registered: AtomicBool,
    /// Whether the registry that the manifest names has it.
    pub(crate) in_registry: AtomicBool,
    pub(crate) state: Mutex<State>,
}

/// The samples of a series.
#[derive(Debug, Default)]
pub(crate) struct State {
    sealed: Vec<Chunk>,
    open: Open,
    /// There was a float, and `open` knows the newest one.
    started: bool,
    late: Option<Box<Late>>,
    histograms: Vec<HistogramPoint>,
    /// `None` while no sample in memory has a known start.
    starts: Option<Box<Starts>>,
    marks: Marks,
    /// The newest append that stored something here.
    pub(crate) ticket: u64,
    /// Samples whose append failed may be here: a duplicate does not prove that it is durable.
    pub(crate) unlogged: bool,
    /// Removed from the head; look the labels up again.
    pub(crate) dead: bool,
}

/// A histogram in memory.
#[derive(Debug, Clone)]
struct HistogramPoint {
    t: i64,
    /// The flush that took it; 0 is none.
    seq: u32,
    histogram: Arc<Histogram>,
}

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Inserted {
    /// It is the newest one.
    Stored,
    /// It is older than the newest one.
    Late,
    Duplicate,
    /// The value that stays.
    Conflict(u64),
    /// A histogram stands there, or a float where a histogram came, or another histogram.
    HistogramConflict,
}

impl Series {
    pub(crate) fn new(id: u32, partition: u16, labels: Labels) -> Arc<Self> {
        let [registered, in_registry] = [const { AtomicBool::new(false) }; 2];
        Arc::new(Self { id, partition, labels, registered, in_registry, state: Mutex::default() })
    }

    /// What a reader needs of `range`.
    pub(crate) fn view(&self, range: TimeRange, last_only: bool) -> View {
        let state = self.state.lock();
        let (min, max) = (range.min.0, range.max.0);
        if last_only && let Some(view) = state.newest_in(min, max) {
            return view;
        }
        let mut view = state.in_order(min, max);
        if let Some(late) = &state.late {
            view.late = late.points(min, max);
        }
        let histograms = within(&state.histograms, min, max).iter();
        view.histograms = histograms.map(|point| (point.t, point.histogram.clone())).collect();
        view.starts = state.starts_within(min, max);
        view
    }
}

impl State {
    /// The newest float, while a chunk in memory has it.
    fn newest(&self) -> Option<Point> {
        let any = self.open.count > 0 || !self.sealed.is_empty();
        any.then_some((self.open.last, self.open.value))
    }

    /// Chunks that have something of `min ..= max`.
    fn in_order(&self, min: i64, max: i64) -> View {
        let from = self.sealed.partition_point(|chunk| chunk.max < min);
        let to = self.sealed.partition_point(|chunk| chunk.min <= max).max(from);
        let open = self.open.count > 0 && self.open.first <= max && self.open.last >= min;
        View {
            chunks: self.sealed[from..to].to_vec(),
            open: if open { self.open.bytes().to_vec() } else { Vec::new() },
            open_first: self.open.first,
            open_count: if open { self.open.count } else { 0 },
            ..View::default()
        }
    }

    /// A view of just the newest sample, when that is in the range and nothing else is needed to know it.
    fn newest_in(&self, min: i64, max: i64) -> Option<View> {
        let (t, value) = self.newest()?;
        let alone = self.histograms.last().is_none_or(|other| other.t < t);
        (alone && min <= t && t <= max).then(|| View {
            late: vec![(t, value)],
            starts: self.starts_within(t, t),
            ..View::default()
        })
    }

    fn starts_within(&self, min: i64, max: i64) -> Vec<Run> {
        self.starts.as_ref().map_or(Vec::new(), |starts| starts.within(min, max).to_vec())
    }

    /// Since when the sample at `t` counts; 0 is unknown.
    pub(crate) fn start_at(&self, t: i64) -> i64 {
        self.starts.as_ref().map_or(0, |starts| starts.at(t))
    }

    /// Notes since when the sample at `t` counts, when it was stored just now; 0 is unknown.
    #[inline]
    pub(crate) fn note_start(&mut self, inserted: Inserted, t: i64, start: i64) {
        if (start != 0 || self.starts.is_some()) && matches!(inserted, Inserted::Stored | Inserted::Late) {
            self.set_start(t, start);
        }
    }

    #[cold]
    fn set_start(&mut self, t: i64, start: i64) {
        let float = !self.started || self.open.last <= t;
        let newest = float && self.histograms.last().is_none_or(|last| last.t <= t);
        let mut starts = self.starts.take().unwrap_or_default();
        starts.set(t, start, newest, |min, max| self.may_have(min, max));
        self.starts = Some(starts);
    }

    /// Whether a sample may be in `min ..= max`, by the bounds of chunks.
    fn may_have(&self, min: i64, max: i64) -> bool {
        let at = self.sealed.partition_point(|chunk| chunk.max < min);
        self.sealed.get(at).is_some_and(|chunk| chunk.min <= max)
            || self.open.count > 0 && self.open.first <= max && self.open.last >= min
            || !within(&self.histograms, min, max).is_empty()
            || self.late.as_ref().is_some_and(|late| late.may_have(min, max))
    }

    /// Forgets starts that no sample in memory needs.
    fn drop_starts(&mut self) {
        if self.starts.is_none() {
            return;
        }
        let oldest = self.bounds().map(|bounds| bounds.0);
        self.starts.take_if(|starts| oldest.is_none_or(|oldest| starts.drop_before(oldest)));
    }

    /// Oldest and newest time of any sample.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let chunk = self.sealed.first().map(|chunk| chunk.min);
        let chunk = chunk.or_else(|| (self.open.count > 0).then_some(self.open.first));
        let late = self.late.as_ref().and_then(|late| late.bounds());
        let histogram = self.histograms.first().map(|point| point.t);
        let min = [chunk, late.map(|late| late.0), histogram].into_iter().flatten().min()?;
        let float = self.newest().map(|point| point.0);
        let histogram = self.histograms.last().map(|point| point.t);
        let max = [float, late.map(|late| late.1), histogram].into_iter().flatten().max()?;
        Some((min, max))
    }

    pub(crate) fn chunk_count(&self) -> usize {
        let late = self.late.as_ref().map_or(0, |late| late.chunk_count());
        self.sealed.len() + usize::from(self.open.count > 0) + late
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    /// Adds a float sample.
    pub(crate) fn insert(&mut self, t: i64, value: u64) -> Inserted {
        if self.has_histograms() && self.find_histogram(t).is_ok() {
            return Inserted::HistogramConflict;
        }
        if !self.started || t > self.open.last {
            self.append(t, value);
            return Inserted::Stored;
        }
        if let Some(known) = self.find(t) {
            return same(known, value);
        }
        self.late.get_or_insert_default().insert(t, value);
        Inserted::Late
    }

    fn append(&mut self, t: i64, value: u64) {
        if self.open.count as usize >= CHUNK_SAMPLES {
            self.seal();
        }
        self.open.append(t, value);
        self.started = true;
    }

    fn find_in_chunks(&self, t: i64) -> Option<u64> {
        if self.open.count > 0 && t >= self.open.first {
            return chunk::find(self.open.iter(), t);
        }
        let at = self.sealed.partition_point(|chunk| chunk.max < t);
        self.sealed.get(at).filter(|chunk| chunk.min <= t)?.find(t)
    }

    /// The float at exactly `t`, when memory has it.
    fn find(&self, t: i64) -> Option<u64> {
        if let Some((last, value)) = self.newest()
            && last == t
        {
            return Some(value);
        }
        let late = self.late.as_ref().and_then(|late| late.find(t));
        late.or_else(|| self.find_in_chunks(t))
    }

    fn find_histogram(&self, t: i64) -> Result<usize, usize> {
        match self.histograms.last() {
            Some(last) if last.t < t => Err(self.histograms.len()),
            _ => self.histograms.binary_search_by_key(&t, |point| point.t),
        }
    }

    /// Adds a histogram.
    pub(crate) fn insert_histogram(&mut self, t: i64, histogram: &Arc<Histogram>) -> Inserted {
        let at = match self.find_histogram(t) {
            Ok(at) if same_histogram(&self.histograms[at].histogram, histogram) => {
                return Inserted::Duplicate;
            }
            Ok(_) => return Inserted::HistogramConflict,
            Err(at) => at,
        };
        let float = self.started && t <= self.open.last && self.find(t).is_some();
        if float {
            return Inserted::HistogramConflict;
        }
        let late = at < self.histograms.len();
        self.histograms.insert(at, HistogramPoint { t, seq: 0, histogram: histogram.clone() });
        if late { Inserted::Late } else { Inserted::Stored }
    }

    /// Drops what is wholly older than `floor`.
    pub(crate) fn drop_before(&mut self, floor: i64) {
        let old = self.sealed.partition_point(|chunk| chunk.max < floor);
        self.sealed.drain(..old);
        if self.open.count > 0 && self.open.last < floor {
            self.open.clear();
        }
        if let Some(late) = &mut self.late {
            late.drop_before(floor);
        }
        self.late.take_if(|late| late.is_empty());
        let old = self.histograms.partition_point(|point| point.t < floor);
        self.histograms.drain(..old);
        self.drop_starts();
    }

    /// Bytes on the heap, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        let chunks: usize = self.sealed.iter().map(|chunk| chunk.heap_bytes() + size_of::<Chunk>()).sum();
        let histograms = self.histograms.iter().map(|point| {
            let buckets = point.histogram.positive_buckets.len() + point.histogram.negative_buckets.len();
            size_of::<Histogram>() + buckets * 8 + 32
        });
        let late = self.late.as_ref().map_or(0, |late| late.heap_bytes());
        let starts = self.starts.as_ref().map_or(0, |starts| starts.heap_bytes());
        chunks + self.open.bytes().len() + late + histograms.sum::<usize>() + starts
    }
}

/// The part of an ascending list that lies in `min ..= max`.
fn within(list: &[HistogramPoint], min: i64, max: i64) -> &[HistogramPoint] {
    let from = list.partition_point(|point| point.t < min);
    let to = list.partition_point(|point| point.t <= max).max(from);
    &list[from..to]
}

pub(crate) fn same(known: u64, value: u64) -> Inserted {
    if known == value { Inserted::Duplicate } else { Inserted::Conflict(known) }
}

/// Equal bit for bit: a stale histogram equals itself.
pub(crate) fn same_histogram(a: &Histogram, b: &Histogram) -> bool {
    let floats = |a: &[f64], b: &[f64]| a.iter().map(|v| v.to_bits()).cmp(b.iter().map(|v| v.to_bits()));
    let head = |h: &Histogram| {
        let [zero_threshold, zero_count, count, sum] =
            [h.zero_threshold, h.zero_count, h.count, h.sum].map(f64::to_bits);
        (h.schema, zero_threshold, zero_count, count, sum, h.integer)
    };
    head(a) == head(b)
        && a.counter_reset_hint == b.counter_reset_hint
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && floats(&a.positive_buckets, &b.positive_buckets) == Order::Equal
        && floats(&a.negative_buckets, &b.negative_buckets) == Order::Equal
        && floats(&a.custom_bounds, &b.custom_bounds) == Order::Equal
}
