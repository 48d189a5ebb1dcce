//! Straight lines through samples (`deriv`, `predict_linear`) and double exponential smoothing.

use nave_model::time::Timestamp;

use super::sum::Sum;

/// Slope per second and value at `intercept` (ms) of the least-squares line.
pub(crate) fn linear_regression(times: &[Timestamp], values: &[f64], intercept: i64) -> (f64, f64) {
    let first = values.first().copied().unwrap_or(f64::NAN);
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    let mut constant = true;
    for (time, y) in times.iter().zip(values) {
        constant &= *y == first;
        let x = (time.0 - intercept) as f64 / 1e3;
        x_sum = x_sum.plus(x);
        y_sum = y_sum.plus(*y);
        xy_sum = xy_sum.plus(x * y);
        xx_sum = xx_sum.plus(x * x);
    }
    if constant {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = values.len() as f64;
    let [x, y, xy, xx] = [x_sum, y_sum, xy_sum, xx_sum].map(|sum| sum.value + sum.rest);
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

/// The last smoothed value (Holt): `factor` for values, `trend` for the slope; `None` with less than two.
pub(crate) fn double_exponential(values: &[f64], factor: f64, trend: f64) -> Option<f64> {
    let [first, second, ..] = values else { return None };
    let (mut before, mut smoothed, mut slope) = (0.0, *first, second - first);
    for (index, value) in values.iter().enumerate().skip(1) {
        if index > 1 {
            slope = trend * (smoothed - before) + (1.0 - trend) * slope;
        }
        let next = factor * value + (1.0 - factor) * (smoothed + slope);
        (before, smoothed) = (smoothed, next);
    }
    Some(smoothed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found() {
        let times: Vec<_> = (0..5).map(|i| Timestamp(i * 10_000)).collect();
        let values: Vec<_> = (0..5).map(|i| 3.0 + 2.0 * 10.0 * f64::from(i)).collect();
        assert_eq!(linear_regression(&times, &values, 0), (2.0, 3.0));
        assert_eq!(linear_regression(&times, &values, 10_000), (2.0, 23.0));
        assert_eq!(linear_regression(&times, &[7.0; 5], 0), (0.0, 7.0));
        assert!(linear_regression(&times, &[f64::INFINITY; 5], 0).0.is_nan());
    }

    #[test]
    fn smoothing_follows_a_steady_line() {
        let values: Vec<_> = (0..8).map(|i| 10.0 * f64::from(i)).collect();
        assert_eq!(double_exponential(&values, 0.5, 0.5), Some(70.0));
        assert_eq!(double_exponential(&values[..1], 0.5, 0.5), None);
    }
}
