//! Calendar fields of Unix times in UTC, for any number of seconds (proleptic Gregorian calendar).

/// A day of the calendar and the minute of that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    /// 0 to 23.
    pub(crate) hour: i64,
    /// 0 to 59.
    pub(crate) minute: i64,
    days: i64,
}

impl Date {
    /// The date of `seconds` since 1970; fractions are cut off. What does not fit 64 bits, and NaN, is what
    /// upstream's platform makes of it: 2^63 seconds.
    pub(crate) fn at(seconds: f64) -> Self {
        let fits = seconds >= i64::MIN as f64 && seconds < i64::MAX as f64;
        let seconds = if fits { i128::from(seconds as i64) } else { 1 << 63 };
        let days = i64::try_from(seconds.div_euclid(86_400)).unwrap_or(i64::MAX);
        let rest = i64::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
        let (year, month, day) = civil(days);
        Self { year, month, day, hour: rest / 3600, minute: rest % 3600 / 60, days }
    }

    /// 0 is Sunday.
    pub(crate) fn day_of_week(self) -> i64 {
        (self.days + 4).rem_euclid(7)
    }

    /// 1 is the first of January.
    pub(crate) fn day_of_year(self) -> i64 {
        self.days - days(self.year, 1, 1) + 1
    }

    /// 28 to 31.
    pub(crate) fn days_in_month(self) -> i64 {
        let (year, month) = if self.month == 12 { (self.year + 1, 1) } else { (self.year, self.month + 1) };
        days(year, month, 1) - days(self.year, self.month, 1)
    }
}

/// A time in ms as `2006-01-02T15:04:05Z`.
pub(crate) fn rfc3339(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let Date { year, month, day, hour, minute, .. } = Date::at(seconds as f64);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", seconds.rem_euclid(60))
}

/// Year, month and day of a day number; years run from March inside, so that leap days come last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day number of a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let check = |seconds: f64, want: (i64, i64, i64, i64, i64), week: i64, year: i64, month: i64| {
            let date = Date::at(seconds);
            assert_eq!((date.year, date.month, date.day, date.hour, date.minute), want, "{seconds}");
            assert_eq!((date.day_of_week(), date.day_of_year(), date.days_in_month()), (week, year, month));
        };
        check(0.0, (1970, 1, 1, 0, 0), 4, 1, 31);
        check(1_456_790_399.0, (2016, 2, 29, 23, 59), 1, 60, 29);
        check(-1.0, (1969, 12, 31, 23, 59), 3, 365, 31);
        check(f64::NAN, (292_277_026_596, 12, 4, 15, 30), 0, 339, 31);
        check(4_102_444_800.0, (2100, 1, 1, 0, 0), 5, 1, 31);
    }
}
