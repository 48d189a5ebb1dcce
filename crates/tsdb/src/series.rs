//! One series in memory: its labels and its samples.
//!
//! In-order samples go to the open chunk; full chunks are sealed. A sample older than the newest waits in a
//! small sorted buffer and is merged into the sealed chunks when the buffer is full.
//!
//! Invariants of [`State`]: sealed chunks are ascending and disjoint, all before the open one; `late` is
//! ascending and has no time that a chunk has; floats and histograms share no time; every late sample is
//! older than the newest in-order one.

use std::cmp::Ordering as Order;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nave_model::histogram::Histogram;
use nave_model::label::Labels;
use nave_model::time::TimeRange;
use parking_lot::Mutex;

use crate::chunk::{self, CHUNK_SAMPLES, CHUNK_SAMPLES_MAX, Chunk, Open, Point};
use crate::view::View;

/// Late samples of one series that wait for a merge.
const LATE_MAX: usize = 32;
/// A run of late samples between two chunks that is shorter than this joins the later one.
const RUN_MIN: usize = 60;

/// A series of one tenant.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) id: u32,
    /// Index into the head's partitions.
    pub(crate) partition: u16,
    pub(crate) labels: Labels,
    /// Whether a record that names the series is durable.
    pub(crate) registered: AtomicBool,
    pub(crate) state: Mutex<State>,
}

/// The samples of a series.
#[derive(Debug, Default)]
pub(crate) struct State {
    sealed: Vec<Chunk>,
    open: Open,
    late: Vec<Point>,
    histograms: Vec<(i64, Arc<Histogram>)>,
    /// The newest append that stored something here.
    pub(crate) ticket: u64,
    /// Samples whose append failed may be here: a duplicate does not prove that it is durable.
    pub(crate) unlogged: bool,
    /// Removed from the head; look the labels up again.
    pub(crate) dead: bool,
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
        let (registered, state) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Self { id, partition, labels, registered, state })
    }

    /// What a reader needs of `range`.
    pub(crate) fn view(&self, range: TimeRange, last_only: bool) -> View {
        let state = self.state.lock();
        let (min, max) = (range.min.0, range.max.0);
        if last_only && let Some(view) = state.newest_in(min, max) {
            return view;
        }
        let from = state.sealed.partition_point(|chunk| chunk.max < min);
        let to = state.sealed.partition_point(|chunk| chunk.min <= max).max(from);
        let open = state.open.count > 0 && state.open.first <= max && state.open.last >= min;
        View {
            chunks: state.sealed[from..to].to_vec(),
            open: if open { state.open.bytes().to_vec() } else { Vec::new() },
            open_first: state.open.first,
            open_count: if open { state.open.count } else { 0 },
            late: within(&state.late, min, max).to_vec(),
            histograms: within(&state.histograms, min, max).to_vec(),
        }
    }
}

impl State {
    /// The newest in-order float.
    fn newest(&self) -> Option<Point> {
        let any = self.open.count > 0 || !self.sealed.is_empty();
        any.then_some((self.open.last, self.open.value))
    }

    /// A view of just the newest sample, when that is in the range and nothing else is needed to know it.
    fn newest_in(&self, min: i64, max: i64) -> Option<View> {
        let (t, value) = self.newest()?;
        let alone = self.histograms.last().is_none_or(|(other, _)| *other < t);
        (alone && min <= t && t <= max).then(|| View { late: vec![(t, value)], ..View::default() })
    }

    /// Oldest and newest time of any sample.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let chunk = self.sealed.first().map(|chunk| chunk.min);
        let chunk = chunk.or_else(|| (self.open.count > 0).then_some(self.open.first));
        let late = self.late.first().map(|point| point.0);
        let histogram = self.histograms.first().map(|point| point.0);
        let min = [chunk, late, histogram].into_iter().flatten().min()?;
        let float = self.newest().map(|point| point.0);
        let late = self.late.last().map(|point| point.0);
        let histogram = self.histograms.last().map(|point| point.0);
        let max = [float, late, histogram].into_iter().flatten().max()?;
        Some((min, max))
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.sealed.len() + usize::from(self.open.count > 0) + usize::from(!self.late.is_empty())
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    /// Adds a float sample.
    pub(crate) fn insert(&mut self, t: i64, value: u64) -> Inserted {
        if self.has_histograms() && self.find_histogram(t).is_ok() {
            return Inserted::HistogramConflict;
        }
        match self.newest() {
            Some((last, known)) if t == last => same(known, value),
            Some((last, _)) if t < last => self.insert_late(t, value),
            None if self.late.last().is_some_and(|(last, _)| t <= *last) => self.insert_late(t, value),
            _ => {
                self.append(t, value);
                Inserted::Stored
            }
        }
    }

    fn append(&mut self, t: i64, value: u64) {
        if self.open.count as usize >= CHUNK_SAMPLES {
            self.sealed.extend(self.open.seal());
        }
        self.open.append(t, value);
    }

    fn insert_late(&mut self, t: i64, value: u64) -> Inserted {
        let at = match self.late.binary_search_by_key(&t, |point| point.0) {
            Ok(at) => return same(self.late[at].1, value),
            Err(at) => at,
        };
        if let Some(known) = self.find_in_chunks(t) {
            return same(known, value);
        }
        self.late.insert(at, (t, value));
        if self.late.len() >= LATE_MAX {
            self.merge_late();
        }
        Inserted::Late
    }

    fn find_in_chunks(&self, t: i64) -> Option<u64> {
        if self.open.count > 0 && t >= self.open.first {
            return chunk::find(self.open.iter(), t);
        }
        let at = self.sealed.partition_point(|chunk| chunk.max < t);
        self.sealed.get(at).filter(|chunk| chunk.min <= t)?.find(t)
    }

    /// The float at exactly `t`.
    fn find(&self, t: i64) -> Option<u64> {
        let late = self.late.binary_search_by_key(&t, |point| point.0);
        late.ok().map(|at| self.late[at].1).or_else(|| self.find_in_chunks(t))
    }

    /// Rewrites the chunks that late samples fall into. Chunks without any are kept as they are.
    fn merge_late(&mut self) {
        if self.open.count > 0 && self.late.last().is_some_and(|(t, _)| *t > self.open.first) {
            self.sealed.extend(self.open.seal());
        }
        let mut late = std::mem::take(&mut self.late).into_iter().peekable();
        let mut merged = Vec::with_capacity(self.sealed.len() + 2);
        let mut run: Vec<Point> = Vec::new();
        for chunk in self.sealed.drain(..) {
            while let Some(point) = late.next_if(|point| point.0 < chunk.min) {
                run.push(point);
            }
            let inside = late.peek().is_some_and(|point| point.0 <= chunk.max);
            if inside || !run.is_empty() && run.len() < RUN_MIN {
                for point in chunk.iter() {
                    while let Some(before) = late.next_if(|late| late.0 < point.0) {
                        run.push(before);
                    }
                    run.push(point);
                }
            } else {
                pack(&run, &mut merged);
                run.clear();
                merged.push(chunk);
                continue;
            }
            pack(&run, &mut merged);
            run.clear();
        }
        run.extend(late);
        pack(&run, &mut merged);
        self.sealed = merged;
    }

    fn find_histogram(&self, t: i64) -> Result<usize, usize> {
        match self.histograms.last() {
            Some((last, _)) if *last < t => Err(self.histograms.len()),
            _ => self.histograms.binary_search_by_key(&t, |point| point.0),
        }
    }

    /// Adds a histogram.
    pub(crate) fn insert_histogram(&mut self, t: i64, histogram: &Arc<Histogram>) -> Inserted {
        let at = match self.find_histogram(t) {
            Ok(at) if same_histogram(&self.histograms[at].1, histogram) => return Inserted::Duplicate,
            Ok(_) => return Inserted::HistogramConflict,
            Err(at) => at,
        };
        let float = match self.newest() {
            Some((last, _)) => t <= last && (t == last || self.find(t).is_some()),
            None => self.find(t).is_some(),
        };
        if float {
            return Inserted::HistogramConflict;
        }
        let late = at < self.histograms.len();
        self.histograms.insert(at, (t, histogram.clone()));
        if late { Inserted::Late } else { Inserted::Stored }
    }

    /// Drops what is wholly older than `floor`.
    pub(crate) fn drop_before(&mut self, floor: i64) {
        let old = self.sealed.partition_point(|chunk| chunk.max < floor);
        self.sealed.drain(..old);
        if self.open.count > 0 && self.open.last < floor {
            self.open.clear();
        }
        let old = self.late.partition_point(|point| point.0 < floor);
        self.late.drain(..old);
        let old = self.histograms.partition_point(|point| point.0 < floor);
        self.histograms.drain(..old);
        if self.late.is_empty() {
            self.late.shrink_to_fit();
        }
    }

    /// Bytes on the heap, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        let chunks: usize = self.sealed.iter().map(|chunk| chunk.heap_bytes() + size_of::<Chunk>()).sum();
        let histograms = self.histograms.iter().map(|(_, histogram)| {
            let buckets = histogram.positive_buckets.len() + histogram.negative_buckets.len();
            size_of::<Histogram>() + buckets * 8 + 32
        });
        chunks + self.open.bytes().len() + self.late.len() * 16 + histograms.sum::<usize>()
    }
}

/// The part of an ascending list that lies in `min ..= max`.
fn within<T>(list: &[(i64, T)], min: i64, max: i64) -> &[(i64, T)] {
    let from = list.partition_point(|(t, _)| *t < min);
    let to = list.partition_point(|(t, _)| *t <= max).max(from);
    &list[from..to]
}

/// Splits `run` evenly into chunks.
fn pack(run: &[Point], chunks: &mut Vec<Chunk>) {
    let pieces = run.len().div_ceil(CHUNK_SAMPLES_MAX);
    for piece in 0..pieces {
        let (from, to) = (run.len() * piece / pieces, run.len() * (piece + 1) / pieces);
        chunks.extend(Chunk::encode(&run[from..to]));
    }
}

fn same(known: u64, value: u64) -> Inserted {
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
