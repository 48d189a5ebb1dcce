//! Merging of columns that come from different places. Where two have a sample at one time, the first written stays.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

/// Merges `next` into `columns`; where both have a sample, that of `columns` stays. `spare` is a buffer.
pub(super) fn merge_into(columns: &mut Columns, next: &Columns, spare: &mut Columns) {
    let Some(first) = next.timestamps.first() else { return };
    if columns.timestamps.last().is_none_or(|last| last < first) {
        return append(columns, next, 0..next.len());
    }
    spare.clear();
    merge(columns, next, spare);
    std::mem::swap(columns, spare);
}

/// Appends the samples `part` of `from`, which are newer than all of `columns`.
pub(super) fn append(columns: &mut Columns, from: &Columns, part: std::ops::Range<usize>) {
    let base = columns.len();
    let starts = !columns.start_timestamps.is_empty() || !from.start_timestamps.is_empty();
    columns.timestamps.extend_from_slice(&from.timestamps[part.clone()]);
    columns.values.extend_from_slice(&from.values[part.clone()]);
    let first = from.histograms.partition_point(|(at, _)| (*at as usize) < part.start);
    let moved = |at: u32| (at as usize - part.start + base) as u32;
    let histograms = from.histograms[first..].iter().take_while(|(at, _)| (*at as usize) < part.end);
    columns.histograms.extend(histograms.map(|(at, histogram)| (moved(*at), histogram.clone())));
    if starts {
        columns.start_timestamps.resize(base, Timestamp(0));
        let known = from.start_timestamps.get(part).unwrap_or_default();
        columns.start_timestamps.extend_from_slice(known);
        columns.start_timestamps.resize(columns.timestamps.len(), Timestamp(0));
    }
}

/// Merges two ascending columns; where both have a sample, that of `first` stays.
fn merge(first: &Columns, second: &Columns, into: &mut Columns) {
    let (mut i, mut j) = (0, 0);
    while i < first.len() && j < second.len() {
        let (a, b) = (first.timestamps[i], second.timestamps[j]);
        if a <= b {
            // All of the first up to the other's time in one go.
            let run = i + first.timestamps[i..].partition_point(|t| *t <= b);
            append(into, first, i..run);
            j += usize::from(first.timestamps[run - 1] == b);
            i = run;
        } else {
            let run = j + second.timestamps[j..].partition_point(|t| *t < a);
            append(into, second, j..run);
            j = run;
        }
    }
    append(into, first, i..first.len());
    append(into, second, j..second.len());
}

/// Takes the samples in `range` out of `columns`.
pub(super) fn cut(columns: &mut Columns, range: TimeRange, spare: &mut Columns) {
    let from = columns.timestamps.partition_point(|t| *t < range.min);
    let to = columns.timestamps.partition_point(|t| *t <= range.max).max(from);
    if from == to {
        return;
    }
    spare.clear();
    append(spare, columns, 0..from);
    append(spare, columns, to..columns.len());
    std::mem::swap(columns, spare);
}

/// One sample of `columns`.
#[derive(Debug, Clone)]
pub(super) struct Single {
    pub(super) time: Timestamp,
    value: f64,
    histogram: Option<Arc<Histogram>>,
    start: Option<Timestamp>,
}

impl Single {
    /// The newest sample.
    pub(super) fn last_of(columns: &Columns) -> Option<Self> {
        let (time, value) = (*columns.timestamps.last()?, *columns.values.last()?);
        let at = columns.len() - 1;
        let histogram = columns.histograms.last().filter(|(index, _)| *index as usize == at);
        let histogram = histogram.map(|(_, histogram)| histogram.clone());
        Some(Self { time, value, histogram, start: columns.start_timestamps.last().copied() })
    }

    /// Makes it the only sample of `columns`.
    pub(super) fn put(self, columns: &mut Columns) {
        columns.clear();
        match self.histogram {
            Some(histogram) => columns.push_histogram(self.time, histogram),
            None => columns.push(self.time, self.value),
        }
        columns.start_timestamps.extend(self.start);
    }
}

#[cfg(test)]
mod tests {
    use nave_model::histogram::CounterResetHint;

    use super::*;

    fn histogram(count: f64) -> Histogram {
        Histogram {
            counter_reset_hint: CounterResetHint::Unknown,
            schema: 0,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count,
            sum: 0.0,
            positive_spans: vec![],
            negative_spans: vec![],
            positive_buckets: vec![],
            negative_buckets: vec![],
            custom_bounds: vec![],
            integer: true,
        }
    }

    fn columns(samples: &[(i64, f64)], start: Option<i64>) -> Columns {
        let mut columns = Columns::default();
        for (t, value) in samples {
            if *value < 0.0 {
                columns.push_histogram(Timestamp(*t), Arc::new(histogram(-*value)));
            } else {
                columns.push(Timestamp(*t), *value);
            }
        }
        columns
            .start_timestamps
            .extend(start.map(|start| vec![Timestamp(start); samples.len()]).unwrap_or_default());
        columns
    }

    /// Time, value or count of the histogram below zero, start.
    fn plain(columns: &Columns) -> Vec<(i64, f64, i64)> {
        let mut values = columns.values.clone();
        columns.histograms.iter().for_each(|(at, histogram)| values[*at as usize] = -histogram.count);
        let start = |at: usize| columns.start_timestamps.get(at).map_or(0, |start| start.0);
        assert!(columns.start_timestamps.is_empty() || columns.start_timestamps.len() == columns.len());
        let times = columns.timestamps.iter().zip(values).enumerate();
        times.map(|(at, (t, value))| (t.0, value, start(at))).collect()
    }

    #[test]
    fn the_first_written_stays() {
        let check = |a: &[(i64, f64)], b: &[(i64, f64)], expect: &[(i64, f64, i64)]| {
            let (mut all, mut spare) = (columns(a, None), columns(&[(9, 9.0)], Some(9)));
            merge_into(&mut all, &columns(b, Some(7)), &mut spare);
            assert_eq!(plain(&all), expect);
        };
        check(&[], &[], &[]);
        check(&[(1, 1.0)], &[], &[(1, 1.0, 0)]);
        check(&[], &[(1, -1.0)], &[(1, -1.0, 7)]);
        check(&[(1, 1.0)], &[(2, 2.0)], &[(1, 1.0, 0), (2, 2.0, 7)]);
        check(&[(2, 2.0)], &[(1, 1.0)], &[(1, 1.0, 7), (2, 2.0, 0)]);
        check(
            &[(1, 1.0), (3, -3.0)],
            &[(1, -5.0), (2, -2.0), (3, 5.0), (4, -4.0)],
            &[(1, 1.0, 0), (2, -2.0, 7), (3, -3.0, 0), (4, -4.0, 7)],
        );
        check(&[(5, 1.0)], &[(5, 2.0)], &[(5, 1.0, 0)]);
    }

    #[test]
    fn ranges_are_cut_out() {
        let check = |min: i64, max: i64, expect: &[i64]| {
            let (mut all, mut spare) =
                (columns(&[(1, 1.0), (2, -2.0), (3, 3.0), (4, -4.0)], None), Columns::default());
            cut(&mut all, TimeRange { min: Timestamp(min), max: Timestamp(max) }, &mut spare);
            assert_eq!(plain(&all).iter().map(|sample| sample.0).collect::<Vec<_>>(), expect);
        };
        check(0, 0, &[1, 2, 3, 4]);
        check(5, 9, &[1, 2, 3, 4]);
        check(3, 2, &[1, 2, 3, 4]);
        check(2, 3, &[1, 4]);
        check(i64::MIN, i64::MAX, &[]);
        check(4, 9, &[1, 2, 3]);
    }

    #[test]
    fn the_last_sample() {
        let mut all = columns(&[(1, 1.0), (2, -2.0)], Some(3));
        Single::last_of(&all).unwrap().put(&mut all);
        assert_eq!(plain(&all), [(2, -2.0, 3)]);
        let mut all = columns(&[(1, -1.0), (2, 2.0)], None);
        Single::last_of(&all).unwrap().put(&mut all);
        assert_eq!(plain(&all), [(2, 2.0, 0)]);
        assert!(Single::last_of(&Columns::default()).is_none());
    }
}
