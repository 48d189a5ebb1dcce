//! Prometheus durations: `1h30m`.
//!
//! What configuration files, flags and the HTTP API call a duration. PromQL's own literals use the
//! same text; its signed and float forms are the parser's business.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// Why a text is no duration; the texts are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("empty duration string")]
    Empty,
    /// Not numbers with units, or units out of order.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// A unit that is none of `ms s m h d w y`.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// What stood where a unit was expected.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than about 292 years.
    #[error("duration out of range")]
    OutOfRange,
}

/// Units from biggest to smallest, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Upstream counts nanoseconds in 63 bits.
const MAX_MS: u64 = i64::MAX as u64 / 1_000_000;

/// A length of time in whole milliseconds, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PromDuration(u64);

impl PromDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `ms` milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// `seconds` seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * 1_000)
    }

    /// In milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// In seconds.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Whether it is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<PromDuration> for Duration {
    fn from(duration: PromDuration) -> Self {
        Self::from_millis(duration.0)
    }
}

impl From<Duration> for PromDuration {
    /// Cuts to whole milliseconds and to the longest duration there is.
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(MAX_MS).min(MAX_MS))
    }
}

impl FromStr for PromDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => return Err(DurationError::Empty),
            "0" => return Ok(Self::ZERO),
            _ => {}
        }
        let invalid = || DurationError::Invalid(text.to_owned());
        let (mut rest, mut units, mut total) = (text, &UNITS[..], 0u64);
        while !rest.is_empty() {
            let (digits, after) = split_where(rest, |byte| !byte.is_ascii_digit());
            let (unit, after) = split_where(after, |byte| byte.is_ascii_digit());
            let count: u64 = digits.parse().map_err(|_| invalid())?;
            if unit.is_empty() {
                return Err(invalid());
            }
            let Some((_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
            };
            // Each unit at most once, from biggest to smallest.
            let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
            units = &units[at + 1..];
            let more = count.checked_mul(*unit_ms).ok_or(DurationError::OutOfRange)?;
            total = total.checked_add(more).filter(|ms| *ms <= MAX_MS).ok_or(DurationError::OutOfRange)?;
            rest = after;
        }
        Ok(Self(total))
    }
}

fn split_where(text: &str, stop: impl Fn(u8) -> bool) -> (&str, &str) {
    let at = text.bytes().position(stop).unwrap_or(text.len());
    // Digits are ASCII, so every stop is a character boundary.
    text.split_at(at)
}

/// As upstream prints it: years and weeks only when nothing remains, `0s` for none.
impl fmt::Display for PromDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, unit_ms) in UNITS {
            let whole_only = matches!(unit, "y" | "w");
            let count = rest / unit_ms;
            if count > 0 && (!whole_only || rest.is_multiple_of(unit_ms)) {
                write!(f, "{count}{unit}")?;
                rest %= unit_ms;
            }
        }
        Ok(())
    }
}

impl Serialize for PromDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // YAML hands a bare 0 or 15 over as text.
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_as_upstream() {
        let check = |text: &str, ms: u64, printed: &str| {
            let duration: PromDuration = text.parse().unwrap();
            assert_eq!((duration.as_ms(), duration.to_string().as_str()), (ms, printed), "{text}");
        };
        check("0", 0, "0s");
        check("0w", 0, "0s");
        check("0s", 0, "0s");
        check("324ms", 324, "324ms");
        check("3s", 3_000, "3s");
        check("5m", 300_000, "5m");
        check("1h30m", 5_400_000, "1h30m");
        check("4d", 345_600_000, "4d");
        check("4d1h", 349_200_000, "4d1h");
        check("14d", 1_209_600_000, "2w");
        check("3w2d1h", 1_990_800_000, "23d1h");
        check("10y", 315_360_000_000, "10y");
        check("1y2w3d4h5m6s7ms", 33_019_506_007, "382d4h5m6s7ms");
        check("60m", 3_600_000, "1h");
    }

    #[test]
    fn refuses_with_upstreams_texts() {
        let check =
            |text: &str, want: &str| assert_eq!(text.parse::<PromDuration>().unwrap_err().to_string(), want);
        check("", "empty duration string");
        for text in ["1", "1y1m1d", "-1w", "1.5d", "d", "5m1h", "5m1m", "1 s", "99999999999999999999s"] {
            let got = text.parse::<PromDuration>().unwrap_err();
            let unit = text.contains(['.', ' ']);
            assert!(unit || got == DurationError::Invalid(text.to_owned()), "{text}: {got}");
        }
        check("-1h", "not a valid duration string: \"-1h\"");
        check("1x", "unknown unit \"x\" in duration \"1x\"");
        check("1\u{e9}", "unknown unit \"\u{e9}\" in duration \"1\u{e9}\"");
        check("294y", "duration out of range");
        check("200y10400w", "duration out of range");
    }

    #[test]
    fn serde_both_ways() {
        let duration: PromDuration = serde_json::from_str("\"90s\"").unwrap();
        assert_eq!(serde_json::to_string(&duration).unwrap(), "\"1m30s\"");
        assert_eq!(serde_json::from_str::<PromDuration>("\"0\"").unwrap(), PromDuration::ZERO);
        let error = serde_json::from_str::<PromDuration>("\"15\"").unwrap_err().to_string();
        assert!(error.contains("not a valid duration string: \"15\""), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn printed_durations_read_back(ms in 0..=MAX_MS) {
            let duration = PromDuration::from_ms(ms);
            proptest::prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
