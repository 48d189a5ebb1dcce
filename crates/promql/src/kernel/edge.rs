//! Values at the edges of a window: `anchored` takes the sample before it, `smoothed` interpolates.
//!
//! The windows here reach beyond the range: a lookback to the left and, when smoothed, to the right.

use nave_model::time::Timestamp;

use super::window::Window;

/// A range inside a wider window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edges {
    /// Left end of the range in ms.
    pub(crate) start: i64,
    /// Right end of the range in ms.
    pub(crate) end: i64,
    /// Interpolates; else anchors.
    pub(crate) smoothed: bool,
    /// A drop is a reset: interpolation starts again from zero.
    pub(crate) counter: bool,
}

/// The values of a range: at its left end, strictly inside, at its right end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounded<'a> {
    pub(crate) left: f64,
    pub(crate) inside: &'a [f64],
    pub(crate) right: f64,
}

impl Edges {
    /// The samples at `times` that decide: from the one at or before the left end, if there is one, to the
    /// last one inside or, when smoothed, the first one at or beyond the right end. `None` when all of them
    /// are before or after the range.
    pub(crate) fn deciding(&self, times: &[Timestamp]) -> Option<Deciding> {
        let newest = times.len().checked_sub(1)?;
        let until = |before: &dyn Fn(i64) -> bool| times[..newest].partition_point(|time| before(time.0));
        let first = until(&|time| time <= self.start).saturating_sub(1);
        let last = if self.smoothed { until(&|time| time < self.end) } else { newest };
        if times[last].0 <= self.start || times[first].0 > self.end {
            return None;
        }
        Some(Deciding {
            first,
            last,
            cuts_left: self.smoothed && times[first].0 < self.start,
            cuts_right: self.smoothed && last > 0 && times[last].0 > self.end,
        })
    }

    /// `None` when all samples are before or after the range.
    pub(crate) fn bound<'a>(&self, window: &Window<'a>) -> Option<Bounded<'a>> {
        let (times, values) = (window.times, window.values);
        let Deciding { first, last, cuts_left, cuts_right } = self.deciding(times)?;
        let at = |index: usize, time: i64| interpolate(times, values, index, time, self.counter);
        let left = if cuts_left { at(first, self.start) } else { values[first] };
        let right = if cuts_right { at(last - 1, self.end) } else { values[last] };
        let from = first + usize::from(times[first].0 <= self.start);
        let to = last + 1 - usize::from(times[last].0 >= self.end);
        Some(Bounded { left, inside: values.get(from..to).unwrap_or_default(), right })
    }
}

/// Indexes of the first and last sample that a range looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deciding {
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// The left end lies between the first sample and the next one.
    pub(crate) cuts_left: bool,
    /// The right end lies between the last sample and the one before it.
    pub(crate) cuts_right: bool,
}

impl Bounded<'_> {
    /// What was gained over the range; `counter` counts on after drops.
    pub(crate) fn difference(&self, counter: bool) -> f64 {
        let mut difference = self.right - self.left;
        if counter {
            let mut before = self.left;
            let mut lost = 0.0;
            for value in self.values().skip(1) {
                if value < before {
                    lost += before;
                }
                before = value;
            }
            difference += lost;
        }
        difference
    }

    /// All values in order of time.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> + '_ {
        std::iter::once(self.left).chain(self.inside.iter().copied()).chain(std::iter::once(self.right))
    }
}

/// The value at `time` on the line from sample `index` to the next one. A counter that drops in between
/// counts from zero.
fn interpolate(times: &[Timestamp], values: &[f64], index: usize, time: i64, counter: bool) -> f64 {
    let (mut from, to) = (values[index], values[index + 1]);
    if counter && to < from {
        from = 0.0;
    }
    let (start, end) = (times[index].0, times[index + 1].0);
    from + (to - from) * (time - start) as f64 / (end - start) as f64
}

/// The smoothed value at `time`: between the samples around it, or the one before it.
pub(crate) fn smoothed(window: &Window<'_>, time: i64) -> Option<f64> {
    let after = window.times.partition_point(|known| known.0 <= time);
    let before = after.checked_sub(1)?;
    if window.times[before].0 == time || after == window.times.len() {
        return Some(window.values[before]);
    }
    Some(interpolate(window.times, window.values, before, time, false))
}

#[cfg(test)]
mod tests {
    use super::super::window::Cursor;
    use super::super::window::tests::points;
    use super::*;

    #[test]
    fn edges_of_ranges() {
        let points = points(&[(0, 1.0), (15, 2.0), (30, 3.0), (45, 1.0), (60, 2.0)]);
        let check = |range: (i64, i64), smoothed: bool, want: Option<(f64, &[f64], f64)>| {
            let (start, end) = (range.0 * 1000, range.1 * 1000);
            let to = if smoothed { end + 300_000 } else { end };
            let window = Cursor::default().window(&points, start - 300_000, to, end);
            let got = Edges { start, end, smoothed, counter: true }.bound(&window);
            let want = want.map(|(left, inside, right)| Bounded { left, inside, right });
            assert_eq!(got, want, "{range:?} {smoothed}");
        };
        check((5, 35), false, Some((1.0, &[2.0, 3.0], 3.0)));
        check((15, 30), false, Some((2.0, &[], 3.0)));
        check((21, 27), true, Some((2.4, &[], 2.8)));
        check((-10, 5), true, Some((1.0, &[1.0], 4.0 / 3.0)));
        check((60, 70), false, None);
    }

    #[test]
    fn counters_go_on_after_drops() {
        let bounded = Bounded { left: 5.0, inside: &[7.0, 1.0], right: 2.0 };
        assert_eq!(bounded.difference(true), 4.0);
        assert_eq!(bounded.difference(false), -3.0);
    }
}
