//! Start timestamps: since when a counter has been counting.
//!
//! They tell what values alone cannot: that a counter began again without a drop, and that it was zero at
//! a time inside the window. `Timestamp(0)` is unknown.

use nave_model::time::Timestamp;

/// When a sample was taken and since when it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) time: Timestamp,
    pub(crate) start: Timestamp,
}

const UNKNOWN: Timestamp = Timestamp(0);

impl Since {
    /// Whether the counter began again after `previous`. One that starts where the previous sample stands
    /// is a new one only if the previous one had a start of its own: the first sample of a counter with an
    /// unknown start has none.
    pub(crate) fn restarted_after(self, previous: Self) -> bool {
        if self.start == UNKNOWN || self.start >= self.time {
            return false;
        }
        if self.start == previous.time {
            return previous.start != UNKNOWN && previous.start < previous.time;
        }
        self.start > previous.time
    }

    /// Whether two counters claim the same time.
    pub(crate) fn overlaps(self, previous: Self) -> bool {
        self.start != UNKNOWN && self.start < previous.time && self.start != previous.start
    }

    /// When the counter was zero, if that is after `window_start` and before the sample.
    pub(crate) fn zero_after(self, window_start: i64) -> Option<i64> {
        let known = self.start != UNKNOWN && self.start.0 > window_start && self.start < self.time;
        known.then_some(self.start.0)
    }
}

/// Sample `index` of columns whose `starts` may be empty.
pub(crate) fn since(times: &[Timestamp], starts: &[Timestamp], index: usize) -> Since {
    Since { time: times[index], start: starts.get(index).copied().unwrap_or(UNKNOWN) }
}

/// Whether sample `index`, which has a predecessor, began again after it.
pub(crate) fn restarted(times: &[Timestamp], starts: &[Timestamp], index: usize) -> bool {
    !starts.is_empty() && since(times, starts, index).restarted_after(since(times, starts, index - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: i64, start: i64) -> Since {
        Since { time: Timestamp(time), start: Timestamp(start) }
    }

    #[test]
    fn restarts_and_overlaps() {
        let check = |previous: Since, current: Since, want: (bool, bool)| {
            let got = (current.restarted_after(previous), current.overlaps(previous));
            assert_eq!(got, want, "{previous:?} {current:?}");
        };
        check(at(120, 60), at(180, 120), (true, false));
        check(at(120, 0), at(180, 120), (false, false));
        check(at(120, 120), at(180, 120), (false, false));
        check(at(120, 180), at(180, 120), (false, false));
        check(at(120, 60), at(180, 60), (false, false));
        check(at(120, 60), at(180, 90), (false, true));
        check(at(120, 60), at(180, 179), (true, false));
        check(at(120, 60), at(180, 180), (false, false));
        check(at(120, 60), at(180, 0), (false, false));
    }

    #[test]
    fn zeros_inside_the_window() {
        assert_eq!(at(120, 60).zero_after(59), Some(60));
        assert_eq!(at(120, 60).zero_after(60), None);
        assert_eq!(at(120, 120).zero_after(0), None);
        assert_eq!(at(120, 0).zero_after(-10), None);
    }
}
