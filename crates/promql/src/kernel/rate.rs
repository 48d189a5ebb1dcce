//! `rate`, `increase`, `delta` with extrapolation to the edges of the window; `irate`, `idelta`;
//! `changes`, `resets`.

use super::start::since;
use super::window::Window;

/// What is computed from the first and last sample of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extrapolation {
    /// Drops are resets, and the value never was negative.
    pub(crate) counter: bool,
    /// Divided by the width of the window.
    pub(crate) per_second: bool,
}

/// What a window says about where its samples begin and end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Time of the first sample in ms.
    pub(crate) first: i64,
    /// Time of the last sample in ms.
    pub(crate) last: i64,
    /// How many samples.
    pub(crate) count: usize,
}

/// Where a counter was zero before the first sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Zero {
    /// Nothing is known.
    Unknown,
    /// So far before it in a straight line, as a share of the sampled interval.
    Estimated(f64),
    /// At this time in ms, inside the window: it counts as a sample.
    At(i64),
}

/// By what a difference between first and last sample is multiplied.
pub(crate) fn extrapolation_factor(window: &Window<'_>, extent: Extent, zero: Zero, per_second: bool) -> f64 {
    let mut to_start = (extent.first - window.start) as f64 / 1000.0;
    let mut to_end = (window.end - extent.last) as f64 / 1000.0;
    let mut sampled = (extent.last - extent.first) as f64 / 1000.0;
    // A single sample counts only with a known zero; nothing says how far apart samples are.
    let between = if extent.count > 1 { sampled / (extent.count - 1) as f64 } else { 0.0 };
    let threshold = between * 1.1;
    if to_start >= threshold {
        to_start = between / 2.0;
    }
    match zero {
        Zero::Unknown => {}
        Zero::Estimated(share) => {
            let to_zero = sampled * share;
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
        Zero::At(time) => {
            sampled = (extent.last - time) as f64 / 1000.0;
            to_start = 0.0;
        }
    }
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if per_second {
        factor /= window.seconds();
    }
    factor
}

/// `rate`, `increase` or `delta` of the floats; `None` with less than two of them, unless a counter is known
/// to have been zero before the only one.
pub(crate) fn extrapolated(window: &Window<'_>, what: Extrapolation) -> Option<f64> {
    let (first, last) = (window.values.first()?, window.values.last()?);
    let known = if what.counter && !window.starts.is_empty() {
        since(window.times, window.starts, 0).zero_after(window.start)
    } else {
        None
    };
    if window.values.len() < 2 && known.is_none() {
        return None;
    }
    let mut difference = last - first;
    if what.counter {
        for lost in window.resets.lost() {
            difference += lost;
        }
    }
    let extent = Extent {
        first: window.times[0].0,
        last: window.times[window.times.len() - 1].0,
        count: window.values.len(),
    };
    let zero = match known {
        Some(time) => {
            difference += first;
            Zero::At(time)
        }
        None if what.counter && difference > 0.0 && *first >= 0.0 => Zero::Estimated(first / difference),
        None => Zero::Unknown,
    };
    Some(difference * extrapolation_factor(window, extent, zero, what.per_second))
}

/// `irate` (per second, drops are resets) or `idelta` of the last two floats.
pub(crate) fn instant(window: &Window<'_>, per_second: bool) -> Option<f64> {
    let [.., before, last] = window.values else { return None };
    let [.., from, to] = window.times else { return None };
    let interval = to.0 - from.0;
    if interval == 0 {
        return None;
    }
    if !per_second {
        return Some(last - before);
    }
    let reset = last < before || window.restarted(window.values.len() - 1);
    let difference = if reset { *last } else { last - before };
    Some(difference / (interval as f64 / 1000.0))
}

/// How often the value changed; NaN after NaN is no change.
pub(crate) fn changes(values: &[f64]) -> f64 {
    let changed = |pair: &&[f64]| pair[1] != pair[0] && !(pair[1].is_nan() && pair[0].is_nan());
    values.windows(2).filter(changed).count() as f64
}

/// How often the counter of a window began again.
pub(crate) fn window_resets(window: &Window<'_>) -> f64 {
    if window.starts.is_empty() {
        return resets(window.values);
    }
    let values = window.values;
    (1..values.len()).filter(|at| values[*at] < values[*at - 1] || window.restarted(*at)).count() as f64
}

/// How often the value dropped.
pub(crate) fn resets(values: &[f64]) -> f64 {
    values.windows(2).filter(|pair| pair[1] < pair[0]).count() as f64
}

#[cfg(test)]
mod tests {
    use super::super::window::Cursor;
    use super::super::window::tests::points;
    use super::*;

    const RATE: Extrapolation = Extrapolation { counter: true, per_second: true };
    const INCREASE: Extrapolation = Extrapolation { counter: true, per_second: false };
    const DELTA: Extrapolation = Extrapolation { counter: false, per_second: false };

    fn check(samples: &[(i64, f64)], range: (i64, i64), what: Extrapolation, want: Option<f64>) {
        let points = points(samples);
        let window = Cursor::default().window(&points, range.0 * 1000, range.1 * 1000, range.1 * 1000);
        assert_eq!(extrapolated(&window, what), want, "{samples:?} {range:?} {what:?}");
    }

    #[test]
    fn extrapolates_to_edges_that_are_near() {
        // Samples every 10 s, window (0, 60]: 50 s sampled, 10 s to the start are within 1.1 intervals.
        let steady: Vec<_> = (1..=6).map(|i| (i * 10, 100.0 + i as f64 * 10.0)).collect();
        check(&steady, (0, 60), INCREASE, Some(50.0 * (60.0 / 50.0)));
        check(&steady, (0, 60), RATE, Some(50.0 * (60.0 / 50.0 / 60.0)));
        check(&steady, (0, 60), DELTA, Some(50.0 * (60.0 / 50.0)));
        // Far from the start: half an interval.
        check(&steady[3..], (0, 60), DELTA, Some(20.0 * (25.0 / 20.0)));
    }

    #[test]
    fn counters_start_at_zero_and_reset() {
        check(&[(10, 1.0), (20, 11.0)], (0, 20), INCREASE, Some(10.0 * ((10.0 + 1.0) / 10.0)));
        check(&[(10, 50.0), (20, 60.0), (30, 10.0)], (0, 30), INCREASE, Some(20.0 * (30.0 / 20.0)));
        check(&[(10, 50.0)], (0, 30), RATE, None);
    }

    #[test]
    fn instant_rates_look_at_two_samples() {
        let points = points(&[(0, 9.0), (10, 50.0), (30, 20.0)]);
        let window = Cursor::default().window(&points, -1, 60_000, 60_000);
        assert_eq!(instant(&window, true), Some(1.0));
        assert_eq!(instant(&window, false), Some(-30.0));
    }

    #[test]
    fn changes_and_resets() {
        let nan = f64::NAN;
        assert_eq!(changes(&[1.0, 1.0, 2.0, nan, nan, 3.0]), 3.0);
        assert_eq!(resets(&[3.0, 2.0, 2.0, 1.0, 5.0]), 2.0);
    }
}
