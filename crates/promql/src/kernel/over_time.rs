//! `*_over_time` of the floats in a window. All slices are not empty.

use super::sum::{Mean, Sum};

/// Compensated sum.
pub(crate) fn sum(values: &[f64]) -> f64 {
    values.iter().fold(Sum::default(), |sum, value| sum.plus(*value)).total()
}

/// Compensated mean.
pub(crate) fn mean(values: &[f64]) -> f64 {
    let mut mean = Mean::default();
    values.iter().for_each(|value| mean.add(*value));
    mean.mean()
}

/// Index and value of the smallest; NaN only when there is nothing else. The first of equals, unless
/// `last`.
pub(crate) fn min(values: &[f64], last: bool) -> (usize, f64) {
    pick(values, |value, best| value < best || (last && value == best))
}

/// Index and value of the greatest; NaN only when there is nothing else. The first of equals, unless
/// `last`.
pub(crate) fn max(values: &[f64], last: bool) -> (usize, f64) {
    pick(values, |value, best| value > best || (last && value == best))
}

fn pick(values: &[f64], better: impl Fn(f64, f64) -> bool) -> (usize, f64) {
    let mut best = (0, values[0]);
    for (index, value) in values.iter().enumerate().skip(1) {
        if better(*value, best.1) || best.1.is_nan() {
            best = (index, *value);
        }
    }
    best
}

/// Population variance by Welford's method with compensated sums.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares, mut count) = (Sum::default(), Sum::default(), 0.0);
    for value in values {
        count += 1.0;
        let delta = value - (mean.value + mean.rest);
        mean = mean.plus(delta / count);
        squares = squares.plus(delta * (value - (mean.value + mean.rest)));
    }
    (squares.value + squares.rest) / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_cases() {
        let nan = f64::NAN;
        assert_eq!(sum(&[1e100, 1.0, -1e100]), 1.0);
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
        assert_eq!(min(&[nan, 2.0, 1.0, 1.0, nan], false), (2, 1.0));
        assert_eq!(min(&[nan, 2.0, 1.0, 1.0, nan], true), (3, 1.0));
        assert_eq!(max(&[3.0, nan, 5.0], false), (2, 5.0));
        assert!(max(&[nan, nan], false).1.is_nan());
        assert_eq!(variance(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 4.0);
    }
}
