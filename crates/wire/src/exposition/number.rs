//! Numbers as Go reads and writes them.
//!
//! Reading takes a fast exact path for up to 19 digits and small exponents, else the standard library;
//! both give the nearest float. Hexadecimal and underscores are refused, as upstream's parsers do.

use std::fmt::Write as _;

/// The NaN of ordinary samples (upstream `model/value`), so that a page's NaN is never a stale marker.
const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// `value`, or the ordinary NaN for any NaN.
pub(super) fn ordinary(value: f64) -> f64 {
    if value.is_nan() { f64::from_bits(NORMAL_NAN_BITS) } else { value }
}

/// Powers of ten that a float holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Integers up to here are floats exactly.
const MAX_EXACT: u64 = 1 << 53;

/// Reads all of `text`; `None` when it is no number or beyond the range of a float.
#[inline]
pub(super) fn parse(text: &[u8]) -> Option<f64> {
    fast(text).or_else(|| slow(text))
}

#[inline]
fn fast(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let mut mantissa = 0u64;
    let mut count = 0;
    let mut fraction = 0;
    let mut point = false;
    let mut at = 0;
    while let Some(&byte) = digits.get(at) {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                count += 1;
                fraction += i32::from(point);
            }
            b'.' if !point => point = true,
            b'e' | b'E' => break,
            _ => return None,
        }
        at += 1;
    }
    if count == 0 || count > 19 || mantissa > MAX_EXACT {
        return None;
    }
    let exponent = if at == digits.len() { 0 } else { exponent(&digits[at + 1..])? } - fraction;
    let power = TENS.get(exponent.unsigned_abs() as usize)?;
    let value = if exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power };
    Some(if negative { -value } else { value })
}

#[inline]
fn exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    Some(if negative { -value } else { value })
}

#[cold]
fn slow(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::from_bits(NORMAL_NAN_BITS));
    }
    let value: f64 = text.parse().ok()?;
    let said_infinite = text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'n'));
    (!value.is_nan() && (value.is_finite() || said_infinite)).then_some(value)
}

/// Appends `value` as Go's `%g` with the shortest digits writes it: what every exporter of the field
/// prints (`1e+06`, `0.25`, `NaN`, `+Inf`).
pub fn write_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        let _ = write!(out, "{value}");
    } else {
        write_scientific(out, value);
    }
}

fn write_scientific(out: &mut String, value: f64) {
    let start = out.len();
    let _ = write!(out, "{value:e}");
    let Some(e) = out[start..].find('e').map(|at| start + at) else { return };
    let exponent: i32 = out[e + 1..].parse().unwrap_or_default();
    out.truncate(e);
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
}

/// A bucket bound or quantile in OpenMetrics' canonical form: as [`write_float`], with `.0` where that
/// would look like an integer. Text that is no number stays.
pub(super) fn canonical_bound(text: &str) -> String {
    parse(text.as_bytes()).map_or_else(|| text.to_owned(), canonical_float)
}

/// A number in OpenMetrics' canonical form.
pub(super) fn canonical_float(value: f64) -> String {
    let mut out = String::new();
    write_float(&mut out, value);
    if value.is_finite() && !out.contains(['e', '.']) {
        out.push_str(".0");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_go_reads() {
        let check = |text: &str, want: Option<f64>| {
            assert_eq!(parse(text.as_bytes()).map(f64::to_bits), want.map(f64::to_bits), "{text}");
        };
        check("0", Some(0.0));
        check("-0", Some(-0.0));
        check("+1.5e3", Some(1500.0));
        check("1.", Some(1.0));
        check(".5", Some(0.5));
        check("7.424100000000001e-05", Some(7.424100000000001e-05));
        check("9223372036854775808", Some(9223372036854775808.0));
        check("0000000000000000000000000000000000000000001.2e-1", Some(0.12));
        check("1e22", Some(1e22));
        check("1e23", Some(1e23));
        check("1e-400", Some(0.0));
        check("1e400", None);
        check("inf", Some(f64::INFINITY));
        check("-Infinity", Some(f64::NEG_INFINITY));
        check("NaN", Some(f64::from_bits(NORMAL_NAN_BITS)));
        check("nan", Some(f64::from_bits(NORMAL_NAN_BITS)));
        for bad in ["", "-", ".", "e5", "1e", "1e+", "+nan", "1_2", "0x1p-3", "0b1", "true", "1 ", "1\t2"] {
            check(bad, None);
        }
    }

    #[test]
    fn writes_as_go_writes() {
        let check = |value: f64, want: &str| {
            let mut out = String::new();
            write_float(&mut out, value);
            assert_eq!(out, want);
        };
        check(0.0, "0");
        check(-0.0, "-0");
        check(100_000.0, "100000");
        check(1e6, "1e+06");
        check(1_756_047.3, "1.7560473e+06");
        check(0.0001, "0.0001");
        check(4.9351e-05, "4.9351e-05");
        check(-1.5e300, "-1.5e+300");
        check(f64::NAN, "NaN");
        check(f64::NEG_INFINITY, "-Inf");
        assert_eq!(canonical_bound("1"), "1.0");
        assert_eq!(canonical_bound("1e6"), "1e+06");
        assert_eq!(canonical_bound("+Inf"), "+Inf");
        assert_eq!(canonical_bound("c"), "c");
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(mantissa: u64, point in 0usize..20, exponent in -330i32..310) {
            let mut digits = mantissa.to_string();
            digits.insert(point.min(digits.len()), '.');
            let text = format!("{digits}e{exponent}");
            let want: f64 = text.parse().unwrap();
            let want = want.is_finite().then(|| want.to_bits());
            prop_assert_eq!(parse(text.as_bytes()).map(f64::to_bits), want);
        }

        #[test]
        fn round_trip(bits: u64) {
            let value = f64::from_bits(bits);
            let mut text = String::new();
            write_float(&mut text, value);
            let back = parse(text.as_bytes()).unwrap();
            prop_assert!(back.to_bits() == bits || (value.is_nan() && back.is_nan()));
        }
    }
}
