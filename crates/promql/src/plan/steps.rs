//! The times at which an expression is evaluated.

/// `start`, `start + step` ... up to and including `end`, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Greater than 0.
    pub(crate) step: i64,
}

impl Steps {
    /// One step only.
    pub(crate) fn instant(time: i64) -> Self {
        Self { start: time, end: time, step: 1 }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        let span = self.end.saturating_sub(self.start);
        if span < 0 { 0 } else { usize::try_from(span / self.step).unwrap_or(usize::MAX - 1) + 1 }
    }

    /// The time of step `index`.
    pub(crate) fn at(&self, index: usize) -> i64 {
        self.start + index as i64 * self.step
    }

    /// All times.
    pub(crate) fn iter(&self) -> impl Iterator<Item = i64> + use<> {
        let steps = *self;
        (0..steps.len()).map(move |index| steps.at(index))
    }

    /// The steps of a subquery that serve these outer steps: multiples of `step` in
    /// `(start - offset - range, end - offset]`.
    pub(crate) fn subquery(&self, shift: Shift, range: i64, step: i64) -> Self {
        let (first, last) = shift.bounds(self);
        let from = first.saturating_sub(range);
        // Truncating division, as upstream does for times before 1970.
        let mut start = step * (from / step);
        if start <= from {
            start += step;
        }
        Self { start, end: last, step }
    }
}

/// `offset` and `@` of a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shift {
    /// Milliseconds into the past.
    pub(crate) offset: i64,
    /// Fixed time in ms.
    pub(crate) at: Option<i64>,
}

impl Shift {
    /// The time a selector looks at for a step.
    #[inline]
    pub(crate) fn apply(&self, step: i64) -> i64 {
        self.at.unwrap_or(step).saturating_sub(self.offset)
    }

    /// This shift below `outer`: `@` inside decides, offsets add up.
    pub(crate) fn below(self, outer: Self) -> Self {
        if self.at.is_some() {
            return self;
        }
        Self { at: outer.at, offset: outer.offset.saturating_add(self.offset) }
    }

    /// First and last time a selector looks at.
    pub(crate) fn bounds(&self, steps: &Steps) -> (i64, i64) {
        (self.apply(steps.start), self.apply(steps.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subquery_steps_are_multiples() {
        let check = |steps: Steps, shift: Shift, range: i64, step: i64, want: (i64, i64)| {
            let got = steps.subquery(shift, range, step);
            assert_eq!((got.start, got.end), want);
        };
        check(Steps::instant(1000), Shift::default(), 300, 100, (800, 1000));
        check(Steps::instant(1010), Shift { offset: 10, at: None }, 300, 100, (800, 1000));
        check(Steps::instant(1010), Shift { offset: 0, at: Some(55) }, 50, 10, (10, 55));
        check(Steps { start: 0, end: 60, step: 30 }, Shift::default(), 20, 7, (-14, 60));
    }
}
