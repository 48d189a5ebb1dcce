//! Samples of one series from several chunks, put together in order of time.

use std::sync::Arc;

use nave_model::histogram::{CounterResetHint, Histogram};
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

/// Which samples of a series are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    /// Samples outside are left out.
    pub(crate) range: TimeRange,
    /// Deleted stretches, both ends inside, sorted, apart from each other.
    pub(crate) deleted: &'a [TimeRange],
}

impl Kept<'_> {
    pub(crate) fn contains(&self, t: Timestamp) -> bool {
        let deleted = self.deleted.partition_point(|gone| gone.max < t);
        self.range.contains(t) && self.deleted.get(deleted).is_none_or(|gone| gone.min > t)
    }
}

/// Sorts `ranges` and joins those that touch.
pub(crate) fn joined(mut ranges: Vec<TimeRange>) -> Vec<TimeRange> {
    ranges.sort_by_key(|range| range.min);
    let mut all: Vec<TimeRange> = Vec::with_capacity(ranges.len());
    for range in ranges.into_iter().filter(|range| range.min <= range.max) {
        match all.last_mut() {
            Some(last) if range.min <= last.max.plus_ms(1) => last.max = last.max.max(range.max),
            _ => all.push(range),
        }
    }
    all
}

/// Adds what is kept of `more` to `columns`. Of two samples at one time the one that is there stays.
pub(crate) fn add(columns: &mut Columns, more: &Columns, kept: &Kept<'_>) {
    let Some(first) = more.timestamps.first() else { return };
    if columns.timestamps.last().is_none_or(|last| last < first) {
        let mut picker = Picker::new(more);
        (0..more.len()).filter(|i| kept.contains(more.timestamps[*i])).for_each(|i| picker.push(i, columns));
        return;
    }
    let before = std::mem::take(columns);
    let (mut old, mut new) = (Picker::new(&before), Picker::new(more));
    let (mut i, mut j) = (0, 0);
    while i < before.len() || j < more.len() {
        match (before.timestamps.get(i), more.timestamps.get(j)) {
            (Some(a), Some(b)) if b < a => take_new(&mut new, more, &mut j, kept, columns),
            (Some(a), b) => {
                j += usize::from(b == Some(a));
                old.push(i, columns);
                i += 1;
            }
            (None, _) => take_new(&mut new, more, &mut j, kept, columns),
        }
    }
    forget_resets(columns);
}

fn take_new(new: &mut Picker<'_>, more: &Columns, j: &mut usize, kept: &Kept<'_>, out: &mut Columns) {
    if kept.contains(more.timestamps[*j]) {
        new.push(*j, out);
    }
    *j += 1;
}

/// What was said of resets holds between neighbours; after merging these may be others.
fn forget_resets(columns: &mut Columns) {
    for (_, histogram) in &mut columns.histograms {
        if !matches!(histogram.counter_reset_hint, CounterResetHint::Gauge | CounterResetHint::Unknown) {
            Arc::make_mut(histogram).counter_reset_hint = CounterResetHint::Unknown;
        }
    }
}

/// Takes samples out of columns by ascending number.
struct Picker<'a> {
    from: &'a Columns,
    histograms: &'a [(u32, Arc<Histogram>)],
}

impl<'a> Picker<'a> {
    fn new(from: &'a Columns) -> Self {
        Self { from, histograms: &from.histograms }
    }

    fn push(&mut self, i: usize, out: &mut Columns) {
        while self.histograms.first().is_some_and(|(at, _)| (*at as usize) < i) {
            self.histograms = &self.histograms[1..];
        }
        let t = self.from.timestamps[i];
        match self.histograms.first() {
            Some((at, histogram)) if *at as usize == i => out.push_histogram(t, histogram.clone()),
            _ => out.push(t, self.from.values[i]),
        }
        let start = self.from.start_timestamps.get(i).copied().unwrap_or_default();
        if start != Timestamp(0) || !out.start_timestamps.is_empty() {
            out.start_timestamps.resize(out.len() - 1, Timestamp(0));
            out.start_timestamps.push(start);
        }
    }
}

/// How many of the samples are floats and how many histograms; stale ones count as what they are stored as.
pub(crate) fn counts(columns: &Columns) -> (u64, u64) {
    let histograms = columns.histograms.len() as u64;
    (columns.len() as u64 - histograms, histograms)
}

/// Whether two histograms are the same sample, bit for bit, whatever is said of resets.
#[cfg(test)]
pub(crate) fn same_histogram(a: &Histogram, b: &Histogram) -> bool {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let numbers = |h: &Histogram| {
        let head = [h.zero_threshold, h.zero_count, h.count, h.sum];
        (bits(&head), bits(&h.positive_buckets), bits(&h.negative_buckets), bits(&h.custom_bounds))
    };
    use nave_model::sample::is_stale;
    if is_stale(a.sum) && is_stale(b.sum) {
        return a.integer == b.integer;
    }
    let layout = |h: &Histogram| (h.schema, h.positive_spans.clone(), h.negative_spans.clone(), h.integer);
    layout(a) == layout(b) && numbers(a) == numbers(b)
}
