//! `Retry-After`: seconds, or a date as HTTP writes it (RFC 9110, IMF-fixdate).

use std::time::Duration;

/// No endpoint may silence us for longer.
const WAIT_MAX: Duration = Duration::from_secs(600);

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How long to wait from `now_ms`, at most ten minutes; `None` when the text says nothing.
pub(super) fn parse(text: &str, now_ms: i64) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let wait_ms = date(text)?.checked_mul(1000)?.saturating_sub(now_ms);
            Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))
        }
    };
    Some(wait.min(WAIT_MAX))
}

/// Seconds since the epoch of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.strip_suffix(" GMT")?.split([' ', ':']);
    let mut number = || parts.next()?.parse::<i64>().ok();
    let day = number()?;
    let month = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (year, hour, minute, second) = (number()?, number()?, number()?, number()?);
    let valid = (1..=31).contains(&day) && (1970..=9999).contains(&year);
    let valid = valid && (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    valid.then(|| days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 in the Gregorian calendar, with years that begin in March.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        let check = |text: &str, want: Option<u64>| {
            let now_ms = 784_111_777_000 - 5_000; // five seconds before the date below
            assert_eq!(parse(text, now_ms), want.map(Duration::from_secs), "{text}");
        };
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(5));
        check("Sun, 06 Nov 1994 08:49:30 GMT", Some(0));
        check("Fri, 20 Nov 2026 13:00:00 GMT", Some(600));
        check("999999999999", Some(600));
        check("Sun, 06 Nov 1994 08:49:37 CET", None);
        check("Sun, 06 Foo 1994 08:49:37 GMT", None);
        check("Sun, 06 Nov 1994 28:49:37 GMT", None);
        check("soon", None);
        check("-1", None);
        assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
    }
}
