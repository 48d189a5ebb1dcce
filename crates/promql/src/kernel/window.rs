//! Samples of one series and the windows over them.
//!
//! A window is open on the left and closed on the right: `(start, end]`. Stale markers are gone before
//! anything here runs; floats and histograms stand apart, each ascending in time.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::sample::is_stale;
use nave_model::select::Columns;
use nave_model::time::Timestamp;

use super::start::{Since, restarted, since};

/// The samples of one series without stale markers.
#[derive(Debug, Default)]
pub(crate) struct Points {
    /// Times of the floats.
    pub(crate) times: Vec<Timestamp>,
    /// The floats.
    pub(crate) values: Vec<f64>,
    /// Since when the floats count; empty where that is not known.
    pub(crate) starts: Vec<Timestamp>,
    /// The histograms.
    pub(crate) histograms: Vec<(Timestamp, Arc<Histogram>)>,
    /// Times of the histograms and since when they count; empty where the latter is not known.
    pub(crate) histogram_starts: Vec<Since>,
    /// Indexes into `values` that began again after their predecessor; empty unless asked for.
    pub(crate) resets: Vec<u32>,
}

impl Points {
    /// Takes the samples out of `columns`, whose buffers are swapped in.
    pub(crate) fn take(&mut self, columns: &mut Columns) {
        self.histograms.clear();
        self.histogram_starts.clear();
        self.resets.clear();
        std::mem::swap(&mut self.starts, &mut columns.start_timestamps);
        std::mem::swap(&mut self.times, &mut columns.timestamps);
        std::mem::swap(&mut self.values, &mut columns.values);
        if columns.histograms.is_empty() {
            if self.values.iter().any(|value| is_stale(*value)) {
                self.retain(|_, value| !is_stale(value));
            }
            return;
        }
        let mut next = columns.histograms.iter().peekable();
        let mut is_histogram = vec![false; self.values.len()];
        for (index, is_histogram) in is_histogram.iter_mut().enumerate() {
            let Some((_, histogram)) = next.next_if(|(at, _)| *at as usize == index) else { continue };
            *is_histogram = true;
            if !is_stale(histogram.sum) {
                self.histograms.push((self.times[index], histogram.clone()));
                if !self.starts.is_empty() {
                    self.histogram_starts.push(since(&self.times, &self.starts, index));
                }
            }
        }
        self.retain(|index, value| !is_histogram[index] && !is_stale(value));
    }

    fn retain(&mut self, keep: impl Fn(usize, f64) -> bool) {
        let mut kept = 0;
        for index in 0..self.values.len() {
            if keep(index, self.values[index]) {
                self.values[kept] = self.values[index];
                self.times[kept] = self.times[index];
                if let Some(start) = self.starts.get(index).copied() {
                    self.starts[kept] = start;
                }
                kept += 1;
            }
        }
        self.values.truncate(kept);
        self.times.truncate(kept);
        self.starts.truncate(kept);
    }

    /// Fills `resets`.
    pub(crate) fn find_resets(&mut self) {
        self.resets.clear();
        for (index, pair) in self.values.windows(2).enumerate() {
            if pair[1] < pair[0] || restarted(&self.times, &self.starts, index + 1) {
                self.resets.push(u32::try_from(index + 1).unwrap_or(u32::MAX));
            }
        }
    }
}

/// Some neighbouring samples of a series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    /// Left end in ms, outside.
    pub(crate) start: i64,
    /// Right end in ms, inside.
    pub(crate) end: i64,
    /// The step the result is for, in ms; differs from `end` by offset and `@`.
    pub(crate) step: i64,
    /// Times of the floats.
    pub(crate) times: &'a [Timestamp],
    /// The floats.
    pub(crate) values: &'a [f64],
    /// Since when the floats count, or empty.
    pub(crate) starts: &'a [Timestamp],
    /// Since when the histograms count, or empty.
    pub(crate) histogram_starts: &'a [Since],
    /// The histograms.
    pub(crate) histograms: &'a [(Timestamp, Arc<Histogram>)],
    /// The values before each drop of the counter, in order of time.
    pub(crate) resets: Resets<'a>,
}

/// Drops of a counter inside a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resets<'a> {
    at: &'a [u32],
    values: &'a [f64],
}

impl Resets<'_> {
    /// The value before each drop.
    pub(crate) fn lost(&self) -> impl Iterator<Item = f64> + '_ {
        self.at.iter().map(|index| self.values[*index as usize - 1])
    }
}

impl Window<'_> {
    /// Samples of either kind.
    pub(crate) fn len(&self) -> usize {
        self.values.len() + self.histograms.len()
    }

    /// Whether both kinds are present.
    pub(crate) fn is_mixed(&self) -> bool {
        !self.values.is_empty() && !self.histograms.is_empty()
    }

    /// Whether float `index` began again after the one before it.
    pub(crate) fn restarted(&self, index: usize) -> bool {
        restarted(self.times, self.starts, index)
    }

    /// Whether histogram `index` began again after the one before it, by its start.
    pub(crate) fn histogram_restarted(&self, index: usize) -> bool {
        let starts = self.histogram_starts;
        !starts.is_empty() && starts[index].restarted_after(starts[index - 1])
    }

    /// Whether a start lies before the sample before it.
    pub(crate) fn has_overlap(&self) -> bool {
        let float = |index: usize| since(self.times, self.starts, index);
        (1..self.starts.len()).any(|index| float(index).overlaps(float(index - 1)))
            || self.histogram_starts.windows(2).any(|pair| pair[1].overlaps(pair[0]))
    }

    /// Width in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1000.0
    }
}

/// Moves over points with windows whose ends never go back.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    floats: (usize, usize),
    histograms: (usize, usize),
}

impl Cursor {
    /// The window `(start, end]`.
    pub(crate) fn window<'a>(&mut self, points: &'a Points, start: i64, end: i64, step: i64) -> Window<'a> {
        let (lo, hi) = &mut self.floats;
        advance(lo, points.times.len(), |i| points.times[i].0 <= start);
        *hi = (*hi).max(*lo);
        advance(hi, points.times.len(), |i| points.times[i].0 <= end);
        let (hlo, hhi) = &mut self.histograms;
        advance(hlo, points.histograms.len(), |i| points.histograms[i].0.0 <= start);
        *hhi = (*hhi).max(*hlo);
        advance(hhi, points.histograms.len(), |i| points.histograms[i].0.0 <= end);
        let first = points.resets.partition_point(|at| (*at as usize) <= *lo);
        let count = points.resets[first..].partition_point(|at| (*at as usize) < *hi);
        Window {
            start,
            end,
            step,
            times: &points.times[*lo..*hi],
            values: &points.values[*lo..*hi],
            starts: points.starts.get(*lo..*hi).unwrap_or_default(),
            histogram_starts: points.histogram_starts.get(*hlo..*hhi).unwrap_or_default(),
            histograms: &points.histograms[*hlo..*hhi],
            resets: Resets { at: &points.resets[first..first + count], values: &points.values },
        }
    }
}

fn advance(index: &mut usize, len: usize, before: impl Fn(usize) -> bool) {
    while *index < len && before(*index) {
        *index += 1;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Points at the given seconds.
    pub(crate) fn points(samples: &[(i64, f64)]) -> Points {
        let mut columns = Columns::default();
        for (seconds, value) in samples {
            columns.push(Timestamp(seconds * 1000), *value);
        }
        let mut points = Points::default();
        points.take(&mut columns);
        points.find_resets();
        points
    }

    #[test]
    fn windows_are_open_on_the_left() {
        let points =
            points(&[(0, 1.0), (10, 2.0), (20, 1.0), (30, nave_model::sample::stale_nan()), (40, 4.0)]);
        let mut cursor = Cursor::default();
        let mut check = |start: i64, end: i64, want: &[f64], lost: &[f64]| {
            let window = cursor.window(&points, start * 1000, end * 1000, end * 1000);
            assert_eq!(window.values, want, "({start}, {end}]");
            assert_eq!(window.resets.lost().collect::<Vec<_>>(), lost, "({start}, {end}]");
        };
        check(-10, 10, &[1.0, 2.0], &[]);
        check(0, 20, &[2.0, 1.0], &[2.0]);
        check(10, 39, &[1.0], &[]);
        check(20, 40, &[4.0], &[]);
        check(50, 90, &[], &[]);
    }
}
