//! Compensated sum and mean of many histograms, bucket by bucket.

use std::collections::BTreeMap;

use nave_model::histogram::{CounterResetHint, Histogram};

use super::bucket::{Pairs, spans};
use super::combine::{
    Incompatible, aligned, combined_hint, negative_pairs, positive_pairs, widen_to, widen_zero_buckets,
};
use super::scaled;
use crate::kernel::sum::Sum;

/// A running sum.
#[derive(Debug, Clone, Default)]
pub(crate) struct Total {
    /// The sum, and what did not fit into it, in the same layout.
    sum: Option<(Histogram, Histogram)>,
    count: f64,
    /// A mean that would overflow as a sum is kept as a mean.
    incremental: bool,
    saw_reset: bool,
    saw_no_reset: bool,
    /// Custom bounds differed.
    pub(crate) bounds_reconciled: bool,
}

impl Total {
    /// Takes one more histogram; nothing is taken on error. `mean` says that [`Self::mean`] is asked for.
    pub(crate) fn add(&mut self, histogram: &Histogram, mean: bool) -> Result<(), Incompatible> {
        let next = match &self.sum {
            None => {
                let first = Histogram { integer: false, ..histogram.clone() };
                let rest = scaled(&first, |_| 0.0);
                (first, rest)
            }
            Some((sum, rest)) if !self.incremental => {
                let (next, reconciled) = plus(sum, rest, histogram)?;
                self.bounds_reconciled |= reconciled;
                if mean && overflows(&next.0) {
                    let count = self.count;
                    let by_count = |h: &Histogram| scaled(h, |value| value / count);
                    let (sum, rest) = (by_count(sum), by_count(rest));
                    self.incremental = true;
                    self.step(&sum, &rest, histogram)?
                } else {
                    next
                }
            }
            Some((sum, rest)) => self.step(sum, rest, histogram)?,
        };
        self.sum = Some(next);
        self.count += 1.0;
        self.saw_reset |= histogram.counter_reset_hint == CounterResetHint::Reset;
        self.saw_no_reset |= histogram.counter_reset_hint == CounterResetHint::NotReset;
        Ok(())
    }

    /// One step of the incremental mean.
    fn step(
        &self,
        mean: &Histogram,
        rest: &Histogram,
        histogram: &Histogram,
    ) -> Result<(Histogram, Histogram), Incompatible> {
        let count = self.count + 1.0;
        let share = (count - 1.0) / count;
        let by_share = |h: &Histogram| scaled(h, |value| share * value);
        let part = scaled(histogram, |value| value / count);
        Ok(plus(&by_share(mean), &by_share(rest), &part)?.0)
    }

    /// Whether some said "reset" and others "no reset".
    pub(crate) fn hints_collide(&self) -> bool {
        self.saw_reset && self.saw_no_reset
    }

    /// The sum; `None` without histograms.
    pub(crate) fn total(self) -> Option<Histogram> {
        let (sum, rest) = self.sum?;
        let (result, _) = zip(&sum, &[&rest], |value, others| (value + others[0], 0.0));
        Some(result)
    }

    /// The mean; `None` without histograms.
    pub(crate) fn mean(self) -> Option<Histogram> {
        let (count, incremental) = (self.count, self.incremental);
        let total = self.total()?;
        Some(if incremental { total } else { scaled(&total, |value| value / count) })
    }
}

fn overflows(histogram: &Histogram) -> bool {
    let buckets = histogram.positive_buckets.iter().chain(&histogram.negative_buckets);
    [histogram.zero_count, histogram.count, histogram.sum]
        .iter()
        .chain(buckets)
        .any(|value| value.is_infinite())
}

type SumAndRest = (Histogram, Histogram);

/// `sum + histogram` with compensation, and whether bounds had to be reconciled.
fn plus(
    sum: &Histogram,
    rest: &Histogram,
    histogram: &Histogram,
) -> Result<(SumAndRest, bool), Incompatible> {
    let (mut sum, mut new, reconciled) = aligned(sum, histogram)?;
    let (mut rest, _, _) = aligned(rest, histogram)?;
    if !sum.has_custom_buckets() {
        widen_zero_buckets(&mut sum, &mut new);
        widen_to(&mut rest, sum.zero_threshold);
    }
    let (hint, _) = combined_hint(sum.counter_reset_hint, new.counter_reset_hint);
    let (mut value, rest) = zip(&sum, &[&rest, &new], |value, others| {
        let sum = Sum { value, rest: others[0] }.plus(others[1]);
        (sum.value, sum.rest)
    });
    value.counter_reset_hint = hint;
    Ok(((value, rest), reconciled))
}

/// Two histograms from the figures of several with one layout; a figure that is missing is 0.
fn zip<const N: usize>(
    first: &Histogram,
    others: &[&Histogram; N],
    with: impl Fn(f64, [f64; N]) -> (f64, f64),
) -> (Histogram, Histogram) {
    let (mut a, mut b) = (first.clone(), first.clone());
    let figure = |of: fn(&Histogram) -> f64| with(of(first), others.map(of));
    (a.zero_count, b.zero_count) = figure(|h| h.zero_count);
    (a.count, b.count) = figure(|h| h.count);
    (a.sum, b.sum) = figure(|h| h.sum);
    let buckets = |pairs: fn(&Histogram) -> Pairs| {
        let mut all: BTreeMap<i32, (f64, [f64; N])> = BTreeMap::new();
        for (index, count) in pairs(first) {
            all.entry(index).or_insert((0.0, [0.0; N])).0 = count;
        }
        for (at, other) in others.iter().enumerate() {
            for (index, count) in pairs(other) {
                all.entry(index).or_insert((0.0, [0.0; N])).1[at] = count;
            }
        }
        let (mut a, mut b) = (Pairs::new(), Pairs::new());
        for (index, (value, others)) in all {
            let (x, y) = with(value, others);
            a.push((index, x));
            b.push((index, y));
        }
        (spans(&a), spans(&b))
    };
    let (positive, rest) = buckets(positive_pairs);
    (a.positive_spans, a.positive_buckets) = positive;
    (b.positive_spans, b.positive_buckets) = rest;
    let (negative, rest) = buckets(negative_pairs);
    (a.negative_spans, a.negative_buckets) = negative;
    (b.negative_spans, b.negative_buckets) = rest;
    (a, b)
}
