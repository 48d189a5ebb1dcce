//! Functions of one number, and operators of two, as Go's `math` defines them.

/// The greater of two; infinity wins over NaN, NaN over the rest, and 0 over -0.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        // The platform's may give either zero.
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

/// The smaller of two; minus infinity wins over NaN, and NaN over the rest.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// -1, 0 or 1; zero keeps its sign and NaN stays.
pub(crate) fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// To the nearest multiple, half up.
pub(crate) fn round(value: f64, to_nearest: f64) -> f64 {
    let inverse = 1.0 / to_nearest;
    (value * inverse + 0.5).floor() / inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_half_up() {
        let check = |value, to, want| assert_eq!(round(value, to), want, "{value} to {to}");
        check(0.5, 1.0, 1.0);
        check(-0.5, 1.0, 0.0);
        check(-1.5, 1.0, -1.0);
        check(0.123, 0.1, 0.1);
        check(27.0, 5.0, 25.0);
    }

    #[test]
    fn nan_wins() {
        assert!(max(f64::NAN, 1.0).is_nan() && min(1.0, f64::NAN).is_nan());
        assert_eq!(
            (max(f64::INFINITY, f64::NAN), min(f64::NAN, f64::NEG_INFINITY)),
            (f64::INFINITY, f64::NEG_INFINITY)
        );
        for (a, b) in [(0.0, -0.0), (-0.0, 0.0)] {
            assert!(max(a, b).is_sign_positive() && min(a, b).is_sign_negative());
        }
        assert!(max(-0.0, -0.0).is_sign_negative() && min(0.0, 0.0).is_sign_positive());
        assert_eq!((max(1.0, 2.0), min(1.0, 2.0), sign(-3.0)), (2.0, 1.0, -1.0));
    }
}
