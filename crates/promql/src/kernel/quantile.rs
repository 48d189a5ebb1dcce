//! Quantiles and median absolute deviation of plain values.

use super::order;

/// The `q` quantile by linear interpolation between the two nearest ranks; sorts `values`.
///
/// NaN without values or when `q` is NaN, infinite when `q` is outside `0..=1`.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| order::ascending(*a, *b));
    let count = values.len() as f64;
    let rank = q * (count - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(count - 1.0);
    let weight = rank - rank.floor();
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

/// The median of the distances from the median; NaN when there is a NaN.
pub(crate) fn median_absolute_deviation(values: &mut [f64]) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, values);
    for value in values.iter_mut() {
        *value = (*value - median).abs();
    }
    quantile(0.5, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let check = |q: f64, values: &[f64], want: f64| {
            let got = quantile(q, &mut values.to_vec());
            assert!(got == want || (got.is_nan() && want.is_nan()), "{q} of {values:?}: {got}, want {want}");
        };
        check(0.5, &[3.0, 1.0, 2.0], 2.0);
        check(0.75, &[0.0, 1.0, 2.0], 1.5);
        check(0.0, &[4.0, 5.0], 4.0);
        check(1.0, &[4.0, 5.0], 5.0);
        check(-0.1, &[1.0], f64::NEG_INFINITY);
        check(1.1, &[1.0], f64::INFINITY);
        check(0.5, &[], f64::NAN);
        check(f64::NAN, &[1.0], f64::NAN);
        check(1.0, &[f64::NAN, 1.0], 1.0);
    }

    #[test]
    fn deviation_is_around_the_median() {
        assert_eq!(median_absolute_deviation(&mut [4.0, 6.0, 2.0, 1.0, 999.0, 1.0, 2.0]), 1.0);
    }
}
