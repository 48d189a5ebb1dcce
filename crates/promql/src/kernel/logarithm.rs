//! Logarithms and powers, step by step as Go's `math` computes them, so that they agree to the last bit.
//!
//! The logarithm is that of fdlibm (`e_log.c`): with `x = 2^k (1+f)` and `s = f/(2+f)`, `log(1+f)` is `2s` and an odd
//! polynomial in `s`; its coefficients are the published ones. The others are made of it. `exp` is the platform's, which
//! may differ from Go's in the last bit; so may powers with a fraction in the exponent.

#![allow(clippy::excessive_precision, reason = "constants as they are published")]

use std::f64::consts::{LN_2, LOG10_E, SQRT_2};

const LN_2_HIGH: f64 = 6.931_471_803_691_238_164_90e-01;
const LN_2_LOW: f64 = 1.908_214_929_270_587_700_02e-10;
const COEFFICIENTS: [f64; 7] = [
    6.666_666_666_666_735_130e-01,
    3.999_999_999_940_941_908e-01,
    2.857_142_874_366_239_149e-01,
    2.222_219_843_214_978_396e-01,
    1.818_357_216_161_805_012e-01,
    1.531_383_769_920_937_332e-01,
    1.479_819_860_511_658_591e-01,
];

/// Powers of two beyond this are beyond every number.
const EXPONENT_MAX: i64 = 1 << 12;

/// `value` as a fraction in `[1/2, 1)` and a power of two. Zero, infinities and NaN are their own fraction.
fn fraction_and_exponent(value: f64) -> (f64, i64) {
    if value == 0.0 || !value.is_finite() {
        return (value, 0);
    }
    // Subnormal numbers get a whole mantissa first.
    let (value, shift) =
        if value.abs() < f64::MIN_POSITIVE { (value * 2f64.powi(52), -52) } else { (value, 0) };
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1022;
    (f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52)), exponent + shift)
}

/// `fraction * 2^exponent`, rounded once.
fn scaled(fraction: f64, exponent: i64) -> f64 {
    if fraction == 0.0 || !fraction.is_finite() {
        return fraction;
    }
    let (fraction, own) = fraction_and_exponent(fraction);
    let exponent = exponent + own;
    match exponent {
        1025.. => f64::INFINITY.copysign(fraction),
        // The largest power of two alone is too large.
        -1020..=1024 => fraction * 2.0 * 2f64.powi((exponent - 1) as i32),
        -1075..=-1021 => fraction * 2f64.powi((exponent + 60) as i32) * 2f64.powi(-60),
        _ => 0f64.copysign(fraction),
    }
}

/// The natural logarithm.
pub(crate) fn ln(x: f64) -> f64 {
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    let (mut fraction, mut exponent) = fraction_and_exponent(x);
    if fraction < SQRT_2 / 2.0 {
        (fraction, exponent) = (fraction * 2.0, exponent - 1);
    }
    let (f, k) = (fraction - 1.0, exponent as f64);
    let s = f / (2.0 + f);
    let square = s * s;
    let fourth = square * square;
    let [c1, c2, c3, c4, c5, c6, c7] = COEFFICIENTS;
    let odd = square * (c1 + fourth * (c3 + fourth * (c5 + fourth * c7)));
    let even = fourth * (c2 + fourth * (c4 + fourth * c6));
    let half = 0.5 * f * f;
    k * LN_2_HIGH - ((half - (s * (half + (odd + even)) + k * LN_2_LOW)) - f)
}

/// The logarithm to the base 2; exact for powers of two.
pub(crate) fn log2(x: f64) -> f64 {
    let (fraction, exponent) = fraction_and_exponent(x);
    if fraction == 0.5 {
        return (exponent - 1) as f64;
    }
    ln(fraction) * (1.0 / LN_2) + exponent as f64
}

/// The logarithm to the base 10.
pub(crate) fn log10(x: f64) -> f64 {
    ln(x) * LOG10_E
}

/// `x` to the power of `y`.
pub(crate) fn pow(x: f64, y: f64) -> f64 {
    let is_special = x == 0.0 || x == 1.0 || y == 0.0 || y == 1.0 || !x.is_finite() || !y.is_finite();
    let (whole, part) = (y.abs().trunc(), y.abs().fract());
    if is_special || part != 0.0 && x < 0.0 || whole >= 2f64.powi(63) {
        // Those have one answer, in the standard.
        return x.powf(y);
    }
    if y == 0.5 {
        return x.sqrt();
    }
    if y == -0.5 {
        return 1.0 / x.sqrt();
    }
    let (fraction, exponent) = positive_power(x, whole as i64, part);
    // Turned around before it is scaled: what is subnormal has few bits left.
    if y < 0.0 { scaled(1.0 / fraction, -exponent) } else { scaled(fraction, exponent) }
}

/// `x` to the power of `whole + part`, by squaring, as a fraction and a power of two.
fn positive_power(x: f64, mut whole: i64, mut part: f64) -> (f64, i64) {
    let (mut result, mut power) = (1.0, 0);
    if part != 0.0 {
        if part > 0.5 {
            (part, whole) = (part - 1.0, whole + 1);
        }
        result = (part * ln(x)).exp();
    }
    let (mut base, mut exponent) = fraction_and_exponent(x);
    while whole != 0 {
        if exponent.abs() > EXPONENT_MAX {
            power += exponent;
            break;
        }
        if whole & 1 == 1 {
            (result, power) = (result * base, power + exponent);
        }
        (base, exponent) = (base * base, exponent * 2);
        if base < 0.5 {
            (base, exponent) = (base + base, exponent - 1);
        }
        whole >>= 1;
    }
    (result, power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(a: f64, b: f64, ulp: u64) -> bool {
        a == b || a.is_nan() && b.is_nan() || a.to_bits().abs_diff(b.to_bits()) <= ulp
    }

    #[test]
    fn edges() {
        assert!(ln(-1.0).is_nan() && log2(-1.0).is_nan() && log10(f64::NAN).is_nan());
        for function in [ln, log2, log10] {
            assert_eq!((function(0.0), function(f64::INFINITY)), (f64::NEG_INFINITY, f64::INFINITY));
            assert_eq!(function(1.0), 0.0);
        }
        assert_eq!((log2(8.0), log2(f64::from_bits(1)), log2(0.25)), (3.0, -1074.0, -2.0));
        let check = |x: f64, y: f64, want: f64| assert_eq!(pow(x, y).to_bits(), want.to_bits(), "{x} ^ {y}");
        check(2.0, 10.0, 1024.0);
        check(-2.0, 3.0, -8.0);
        check(2.0, -1074.0, f64::from_bits(1));
        check(2.0, -1075.0, 0.0);
        check(-2.0, 1025.0, f64::NEG_INFINITY);
        // As a real Prometheus has it.
        check(10.0, 308.0, 1.000_000_000_000_000_6e308);
        check(4.0, 0.5, 2.0);
        check(4.0, -0.5, 0.5);
        check(0.0, -1.0, f64::INFINITY);
        check(-1.0, f64::INFINITY, 1.0);
        assert!(pow(-8.0, 1.0 / 3.0).is_nan());
    }

    proptest! {
        #[test]
        fn near_the_platform(x in any::<f64>(), y in -40.0..40.0f64) {
            let x = x.abs();
            prop_assert!(near(ln(x), x.ln(), 2), "ln {x}");
            prop_assert!(x == 0.0 || !x.is_finite() || (log10(x) - x.log10()).abs() <= 1e-13 * x.log10().abs().max(1.0), "log10 {x}");
            let (ours, theirs) = (pow(x, y), x.powf(y));
            prop_assert!(near(ours, theirs, 1 << 12), "{x} ^ {y}: {ours} {theirs}");
        }

        #[test]
        fn taken_apart_and_put_together(bits in any::<u64>()) {
            let x = f64::from_bits(bits);
            prop_assume!(x.is_finite());
            let (fraction, exponent) = fraction_and_exponent(x);
            prop_assert!(x == 0.0 || (0.5..1.0).contains(&fraction.abs()));
            prop_assert_eq!(scaled(fraction, exponent).to_bits(), bits);
        }
    }
}
