//! Times and durations as request parameters.

use std::time::Duration;

use nave_model::duration::PromDuration;
use nave_model::time::Timestamp;

/// What clients send for "since ever" and "for ever": the bounds of upstream's own clients.
const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";

/// Unix seconds with a fraction, or RFC 3339.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let refuse = || format!("cannot parse {} to a valid timestamp", quoted(text));
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds.fract() * 1000.0).round() + seconds.trunc() * 1000.0;
        // Beyond this, adding a range or a lookback would leave the type.
        return if ms.abs() < i64::MAX as f64 / 2.0 { Ok(Timestamp(ms as i64)) } else { Err(refuse()) };
    }
    match text {
        MIN_TIME => Ok(Timestamp::MIN),
        MAX_TIME => Ok(Timestamp::MAX),
        // A separator of RFC 3339 is a `T`; without an offset it is no instant.
        _ if text.as_bytes().get(10) != Some(&b'T') => Err(refuse()),
        _ => text.parse::<jiff::Timestamp>().map(|at| Timestamp(at.as_millisecond())).map_err(|_| refuse()),
    }
}

/// Seconds with a fraction, or a Prometheus duration such as `1m30s`; may be negative in seconds. In
/// milliseconds.
pub(crate) fn parse_duration_ms(text: &str) -> Result<f64, String> {
    let refuse = || format!("cannot parse {} to a valid duration", quoted(text));
    if let Ok(seconds) = text.parse::<f64>() {
        let nanoseconds = seconds * 1e9;
        return match nanoseconds.abs() < i64::MAX as f64 {
            true => Ok(seconds * 1e3),
            false => Err(format!("{}. It overflows int64", refuse())),
        };
    }
    text.parse::<PromDuration>().map(|duration| duration.as_ms() as f64).map_err(|_| refuse())
}

/// As [`parse_duration_ms`], not negative.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let ms = parse_duration_ms(text)?;
    match Duration::try_from_secs_f64(ms / 1e3) {
        Ok(duration) => Ok(duration),
        Err(_) => Err(format!("cannot parse {} to a valid duration", quoted(text))),
    }
}

/// Milliseconds since the epoch as RFC 3339 in UTC.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string())
}

/// In double quotes, as error texts show what came.
pub(crate) fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expect) in [
            ("0", Some(0)),
            ("1.0005", Some(1_000)),
            ("1.9996", Some(2_000)),
            ("-5", Some(-5_000)),
            ("1e3", Some(1_000_000)),
            ("1435781451.781", Some(1_435_781_451_781)),
            ("2015-07-01T20:10:51.781Z", Some(1_435_781_451_781)),
            ("2015-07-01T20:10:51+02:00", Some(1_435_774_251_000)),
            (MIN_TIME, Some(i64::MIN)),
            (MAX_TIME, Some(i64::MAX)),
            ("", None),
            ("abc", None),
            ("NaN", None),
            ("inf", None),
            ("1e30", None),
            ("2015-07-01", None),
            ("2015-07-01T20:10:51", None),
            ("2015-07-01 20:10:51Z", None),
        ] {
            assert_eq!(parse_time(text).ok(), expect.map(Timestamp), "{text}");
        }
        assert_eq!(parse_time("a\"").unwrap_err(), r#"cannot parse "a\"" to a valid timestamp"#);
    }

    #[test]
    fn durations() {
        for (text, expect) in [
            ("1", Ok(1_000.0)),
            ("0.5", Ok(500.0)),
            ("-1", Ok(-1_000.0)),
            ("1s500ms", Ok(1_500.0)),
            ("2h", Ok(7_200_000.0)),
            ("abc", Err(r#"cannot parse "abc" to a valid duration"#)),
            ("-1m", Err(r#"cannot parse "-1m" to a valid duration"#)),
            ("1e30", Err(r#"cannot parse "1e30" to a valid duration. It overflows int64"#)),
            ("NaN", Err(r#"cannot parse "NaN" to a valid duration. It overflows int64"#)),
        ] {
            assert_eq!(parse_duration_ms(text), expect.map_err(str::to_owned), "{text}");
        }
    }
}
