//! JSON text as upstream writes it: numbers of samples as strings, times with up to three decimals.

use std::fmt::Write;

use nave_model::label::Labels;
use nave_model::time::Timestamp;

/// Adds `text` in quotes.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        // Escaped bytes are ASCII, so cuts are character boundaries.
        out.push_str(&text[copied..at]);
        copied = at + 1;
        match escape {
            "" => _ = write!(out, "\\u{byte:04x}"),
            escape => out.push_str(escape),
        }
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

/// Adds `{"name":"value",...}`.
pub(crate) fn labels(out: &mut String, labels: &Labels) {
    pairs(out, labels.iter());
}

/// Adds `{"name":"value",...}`.
pub(crate) fn pairs<'a>(out: &mut String, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
    out.push('{');
    separated(out, pairs, |out, (name, value)| {
        string(out, name);
        out.push(':');
        string(out, value);
    });
    out.push('}');
}

/// Adds `["a","b"]`.
pub(crate) fn strings<S: AsRef<str>>(out: &mut String, all: &[S]) {
    out.push('[');
    separated(out, all, |out, text| string(out, text.as_ref()));
    out.push(']');
}

/// Writes each of `items`, with commas between them.
pub(crate) fn separated<I: IntoIterator>(
    out: &mut String,
    items: I,
    mut write: impl FnMut(&mut String, I::Item),
) {
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(out, item);
    }
}

/// Adds seconds: `12`, or with three decimals, `12.500`.
pub(crate) fn time(out: &mut String, Timestamp(ms): Timestamp) {
    if ms < 0 {
        out.push('-');
    }
    let (seconds, rest) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
    _ = match rest {
        0 => write!(out, "{seconds}"),
        rest => write!(out, "{seconds}.{rest:03}"),
    };
}

/// Adds seconds as upstream writes them for scalars and strings: `12.5`.
pub(crate) fn short_time(out: &mut String, at: Timestamp) {
    time(out, at);
    if at.0 % 1000 != 0 {
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// Adds a number as text in quotes: plain digits between 1e-6 and 1e21, else with an exponent.
pub(crate) fn float(out: &mut String, value: f64) {
    let size = value.abs();
    if value.is_finite() && size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        _ = write!(out, "\"{digits}e{sign}{exponent:0>2}\"");
    } else {
        plain_float(out, value);
    }
}

/// Adds a number as text in quotes, never with an exponent.
pub(crate) fn plain_float(out: &mut String, value: f64) {
    _ = match value {
        _ if value.is_nan() => write!(out, "\"NaN\""),
        f64::INFINITY => write!(out, "\"+Inf\""),
        f64::NEG_INFINITY => write!(out, "\"-Inf\""),
        value => write!(out, "\"{value}\""),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        for (text, expect) in [
            ("", "\"\""),
            ("é<&>\u{7f}", "\"é<&>\u{7f}\""),
            ("a\"b\\c\nd\r\t\u{1}", r#""a\"b\\c\nd\r\t\u0001""#),
        ] {
            let mut out = String::new();
            string(&mut out, text);
            assert_eq!(out, expect);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn numbers_are_upstreams() {
        for (value, expect) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (2.0, "2"),
            (0.1, "0.1"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-7, "1e-07"),
            (1e-6, "0.000001"),
            (-2.5e-10, "-2.5e-10"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let mut out = String::new();
            float(&mut out, value);
            assert_eq!(out, format!("\"{expect}\""));
        }
    }

    #[test]
    fn times_are_upstreams() {
        for (ms, long, short) in [
            (0, "0", "0"),
            (1_000, "1", "1"),
            (1_500, "1.500", "1.5"),
            (1_795_180_179_616, "1795180179.616", "1795180179.616"),
            (10_000, "10", "10"),
            (-5, "-0.005", "-0.005"),
            (-1_500, "-1.500", "-1.5"),
        ] {
            let (mut a, mut b) = (String::new(), String::new());
            time(&mut a, Timestamp(ms));
            short_time(&mut b, Timestamp(ms));
            assert_eq!((a.as_str(), b.as_str()), (long, short));
        }
    }
}
