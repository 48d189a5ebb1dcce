//! The samples of one series from several files, put together: first written wins.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

/// Samples that were written twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Twice {
    /// With the same value, bit for bit.
    pub(crate) duplicates: u64,
    /// With another value; the first written stays.
    pub(crate) conflicts: u64,
}

/// Collects one series; reuse it from series to series.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    columns: Columns,
    spare: Columns,
}

impl Merged {
    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(crate) fn clear(&mut self) {
        self.columns.clear();
    }

    /// Adds what was written later than all that is here. Takes the content of `next` when it is cheaper.
    pub(crate) fn add(&mut self, next: &mut Columns) -> Twice {
        if self.columns.is_empty() {
            std::mem::swap(&mut self.columns, next);
            return Twice::default();
        }
        if self.columns.timestamps.last() < next.timestamps.first() {
            append(&mut self.columns, next);
            return Twice::default();
        }
        self.merge(next)
    }

    fn merge(&mut self, next: &Columns) -> Twice {
        let Self { columns, spare, .. } = self;
        spare.clear();
        let (mut a, mut b) = (Reader::of(columns), Reader::of(next));
        let mut twice = Twice::default();
        loop {
            match (a.time(), b.time()) {
                (None, None) => break,
                (Some(first), Some(later)) if first == later => {
                    let count = if a.is_same(&b) { &mut twice.duplicates } else { &mut twice.conflicts };
                    *count += 1;
                    b.skip();
                }
                (Some(first), later) if later.is_none_or(|later| first < later) => a.take(spare),
                _ => b.take(spare),
            }
        }
        std::mem::swap(columns, spare);
        twice
    }
}

/// Puts `next`, which is newer throughout, behind `columns`.
fn append(columns: &mut Columns, next: &Columns) {
    let before = columns.len();
    pad_starts(columns, before, !next.start_timestamps.is_empty());
    columns.timestamps.extend_from_slice(&next.timestamps);
    columns.values.extend_from_slice(&next.values);
    let moved = next.histograms.iter().map(|(at, histogram)| (before as u32 + at, histogram.clone()));
    columns.histograms.extend(moved);
    columns.start_timestamps.extend_from_slice(&next.start_timestamps);
    let after = columns.len();
    let any = !columns.start_timestamps.is_empty();
    pad_starts(columns, after, any);
}

/// Start timestamps are there for all samples or for none.
fn pad_starts(columns: &mut Columns, len: usize, any: bool) {
    if any {
        columns.start_timestamps.resize(len, Timestamp(0));
    }
}

/// Removes the samples in `range`.
pub(crate) fn remove_range(columns: &mut Columns, range: TimeRange) {
    let from = columns.timestamps.partition_point(|t| *t < range.min);
    let to = columns.timestamps.partition_point(|t| *t <= range.max);
    if from >= to {
        return;
    }
    columns.timestamps.drain(from..to);
    columns.values.drain(from..to);
    if !columns.start_timestamps.is_empty() {
        columns.start_timestamps.drain(from..to);
    }
    let gone = (to - from) as u32;
    columns.histograms.retain_mut(|(at, _)| {
        let index = *at as usize;
        if index >= to {
            *at -= gone;
        }
        index < from || index >= to
    });
}

/// Walks over columns sample by sample.
struct Reader<'a> {
    columns: &'a Columns,
    at: usize,
    histogram: usize,
}

impl<'a> Reader<'a> {
    fn of(columns: &'a Columns) -> Self {
        Self { columns, at: 0, histogram: 0 }
    }

    fn time(&self) -> Option<Timestamp> {
        self.columns.timestamps.get(self.at).copied()
    }

    fn histogram(&self) -> Option<&'a Arc<Histogram>> {
        let (at, histogram) = self.columns.histograms.get(self.histogram)?;
        (*at as usize == self.at).then_some(histogram)
    }

    fn is_same(&self, other: &Reader<'_>) -> bool {
        match (self.histogram(), other.histogram()) {
            (None, None) => {
                self.columns.values[self.at].to_bits() == other.columns.values[other.at].to_bits()
            }
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || crate::series::same_histogram(a, b),
            _ => false,
        }
    }

    fn skip(&mut self) {
        self.histogram += usize::from(self.histogram().is_some());
        self.at += 1;
    }

    fn take(&mut self, out: &mut Columns) {
        let Some(time) = self.time() else { return };
        let len = out.len();
        match self.histogram() {
            Some(histogram) => out.push_histogram(time, histogram.clone()),
            None => out.push(time, self.columns.values[self.at]),
        }
        let start = self.columns.start_timestamps.get(self.at).copied();
        pad_starts(out, len, start.is_some() || !out.start_timestamps.is_empty());
        if let Some(start) = start {
            out.start_timestamps.push(start);
        } else {
            let any = !out.start_timestamps.is_empty();
            pad_starts(out, len + 1, any);
        }
        self.skip();
    }
}

#[cfg(test)]
mod tests {
    use nave_model::histogram::CounterResetHint;

    use super::*;

    fn columns(points: &[(i64, f64)]) -> Columns {
        let mut columns = Columns::default();
        points.iter().for_each(|(t, v)| columns.push(Timestamp(*t), *v));
        columns
    }

    fn points(columns: &Columns) -> Vec<(i64, f64)> {
        columns.timestamps.iter().map(|t| t.0).zip(columns.values.iter().copied()).collect()
    }

    fn histogram(count: f64) -> Arc<Histogram> {
        Arc::new(Histogram {
            schema: 0,
            zero_threshold: 0.0,
            zero_count: count,
            count,
            sum: count,
            positive_spans: Vec::new(),
            positive_buckets: Vec::new(),
            negative_spans: Vec::new(),
            negative_buckets: Vec::new(),
            custom_bounds: Vec::new(),
            counter_reset_hint: CounterResetHint::Unknown,
            integer: true,
        })
    }

    #[test]
    fn first_written_wins() {
        let check = |files: &[&[(i64, f64)]], want: &[(i64, f64)], duplicates, conflicts| {
            let mut merged = Merged::default();
            let mut twice = Twice::default();
            for file in files {
                let one = merged.add(&mut columns(file));
                twice.duplicates += one.duplicates;
                twice.conflicts += one.conflicts;
            }
            assert_eq!(points(merged.columns()), want);
            assert_eq!(twice, Twice { duplicates, conflicts }, "{files:?}");
        };
        check(&[&[(1, 1.0)], &[]], &[(1, 1.0)], 0, 0);
        check(&[&[(1, 1.0)], &[(2, 2.0)]], &[(1, 1.0), (2, 2.0)], 0, 0);
        check(&[&[(2, 2.0)], &[(1, 1.0)]], &[(1, 1.0), (2, 2.0)], 0, 0);
        check(&[&[(1, 1.0), (3, 3.0)], &[(2, 2.0), (3, 3.0)]], &[(1, 1.0), (2, 2.0), (3, 3.0)], 1, 0);
        check(&[&[(1, 1.0)], &[(1, 9.0), (2, 2.0)], &[(2, 8.0)]], &[(1, 1.0), (2, 2.0)], 0, 2);
    }

    #[test]
    fn histograms_and_starts_stay_with_their_samples() {
        let mut a = columns(&[(1, 1.0)]);
        a.push_histogram(Timestamp(5), histogram(5.0));
        let mut b = columns(&[(2, 2.0)]);
        b.push_histogram(Timestamp(3), histogram(3.0));
        b.push_histogram(Timestamp(5), histogram(5.0));
        b.push(Timestamp(7), 7.0);
        b.start_timestamps = [20, 30, 50, 70].map(Timestamp).to_vec();
        let mut merged = Merged::default();
        merged.add(&mut a);
        assert_eq!(merged.add(&mut b.clone()), Twice { duplicates: 1, conflicts: 0 });
        let all = merged.columns();
        assert_eq!(points(all), [(1, 1.0), (2, 2.0), (3, 0.0), (5, 0.0), (7, 7.0)]);
        let counts: Vec<_> = all.histograms.iter().map(|(at, h)| (*at, h.count)).collect();
        assert_eq!(counts, [(2, 3.0), (3, 5.0)]);
        assert_eq!(all.start_timestamps, [0, 20, 30, 0, 70].map(Timestamp));

        let mut all = all.clone();
        remove_range(&mut all, TimeRange { min: Timestamp(2), max: Timestamp(3) });
        assert_eq!(points(&all), [(1, 1.0), (5, 0.0), (7, 7.0)]);
        assert_eq!(all.histograms.iter().map(|(at, h)| (*at, h.count)).collect::<Vec<_>>(), [(1, 5.0)]);
        assert_eq!(all.start_timestamps, [0, 0, 70].map(Timestamp));
    }

    #[test]
    fn appending_pads_what_has_no_start() {
        let mut merged = Merged::default();
        merged.add(&mut columns(&[(1, 1.0)]));
        let mut b = columns(&[(2, 2.0)]);
        b.start_timestamps = vec![Timestamp(9)];
        merged.add(&mut b);
        merged.add(&mut columns(&[(3, 3.0)]));
        assert_eq!(merged.columns().start_timestamps, [0, 9, 0].map(Timestamp));
    }
}
