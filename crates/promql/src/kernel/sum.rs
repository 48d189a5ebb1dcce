//! Compensated sums and means: Kahan's algorithm in Neumaier's form, one value at a time.

/// A running sum with the part that did not fit into it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) value: f64,
    pub(crate) rest: f64,
}

impl Sum {
    /// Starts at `value`.
    pub(crate) fn from(value: f64) -> Self {
        Self { value, rest: 0.0 }
    }

    /// This sum and `value`.
    #[inline]
    pub(crate) fn plus(self, value: f64) -> Self {
        let total = self.value + value;
        let rest = if total.is_infinite() {
            0.0
        } else if self.value.abs() >= value.abs() {
            self.rest + ((self.value - total) + value)
        } else {
            self.rest + ((value - total) + self.value)
        };
        Self { value: total, rest }
    }

    /// The best approximation of the sum.
    #[inline]
    pub(crate) fn total(self) -> f64 {
        if self.value.is_infinite() { self.value } else { self.value + self.rest }
    }
}

/// A running mean: sum and count as long as the sum is finite, then incremental.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    sum: Sum,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// Takes one more value.
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.sum = Sum::from(value);
            return;
        }
        if !self.incremental {
            let sum = self.sum.plus(value);
            if !sum.value.is_infinite() {
                self.sum = sum;
                return;
            }
            self.incremental = true;
            let before = self.count - 1.0;
            self.sum = Sum { value: self.sum.value / before, rest: self.sum.rest / before };
        }
        let share = (self.count - 1.0) / self.count;
        let scaled = Sum { value: share * self.sum.value, rest: share * self.sum.rest };
        self.sum = scaled.plus(value / self.count);
    }

    /// How many values there were.
    pub(crate) fn count(&self) -> f64 {
        self.count
    }

    /// The mean of all values.
    pub(crate) fn mean(&self) -> f64 {
        if self.incremental {
            self.sum.value + self.sum.rest
        } else {
            self.sum.value / self.count + self.sum.rest / self.count
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_what_a_plain_sum_loses() {
        let check = |values: &[f64], want: f64| {
            let sum = values.iter().fold(Sum::default(), |sum, value| sum.plus(*value));
            assert_eq!(sum.total(), want, "{values:?}");
        };
        check(&[1e100, 1.0, -1e100], 1.0);
        check(&[0.1; 10], 1.0);
        check(&[f64::MAX, f64::MAX], f64::INFINITY);
        check(&[f64::INFINITY, 1.0], f64::INFINITY);
        check(&[], 0.0);
    }

    #[test]
    fn means_do_not_overflow() {
        let check = |values: &[f64], want: f64| {
            let mut mean = Mean::default();
            values.iter().for_each(|value| mean.add(*value));
            assert_eq!(mean.mean(), want, "{values:?}");
        };
        check(&[1.0, 2.0, 3.0], 2.0);
        check(&[f64::MAX, f64::MAX], f64::MAX);
        check(&[f64::INFINITY, 3.0], f64::INFINITY);
        check(&[-1e100, 1e100, 5.0, 3.0], 2.0);
    }
}
