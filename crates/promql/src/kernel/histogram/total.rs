//! Sum and mean of many histograms.

use nave_model::histogram::{CounterResetHint, Histogram};

use super::combine::{Incompatible, add};
use super::scaled;

/// A running sum.
#[derive(Debug, Clone, Default)]
pub(crate) struct Total {
    sum: Option<Histogram>,
    count: f64,
    saw_reset: bool,
    saw_no_reset: bool,
    /// Custom bounds differed.
    pub(crate) bounds_reconciled: bool,
}

impl Total {
    /// Takes one more histogram; nothing is taken on error.
    pub(crate) fn add(&mut self, histogram: &Histogram) -> Result<(), Incompatible> {
        let sum = match &self.sum {
            None => Histogram { integer: false, ..histogram.clone() },
            Some(sum) => {
                let combined = add(sum, histogram)?;
                self.bounds_reconciled |= combined.bounds_reconciled;
                combined.histogram
            }
        };
        self.sum = Some(sum);
        self.count += 1.0;
        self.saw_reset |= histogram.counter_reset_hint == CounterResetHint::Reset;
        self.saw_no_reset |= histogram.counter_reset_hint == CounterResetHint::NotReset;
        Ok(())
    }

    /// Whether some said "reset" and others "no reset".
    pub(crate) fn hints_collide(&self) -> bool {
        self.saw_reset && self.saw_no_reset
    }

    /// The sum; `None` without histograms.
    pub(crate) fn total(self) -> Option<Histogram> {
        self.sum
    }

    /// The mean; `None` without histograms.
    pub(crate) fn mean(self) -> Option<Histogram> {
        let count = self.count;
        self.sum.map(|sum| scaled(&sum, |value| value / count))
    }
}
