//! Rates: a bucket that bounds one, and a meter that shows one. Both are driven by the caller's clock.

use std::time::Duration;

/// How many seconds of its rate a bucket holds: room for a sender that catches up in steps.
const BURST_SECONDS: f64 = 10.0;
/// One step of a meter, and how many make its window of a minute.
const SLOT: Duration = Duration::from_secs(5);
const SLOTS: usize = 12;

/// A token bucket that may go into debt, so that a request is let in or turned away before its size is
/// known: whoever is in debt waits, and on average nobody gets more than the rate.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// What was taken and has not flowed off yet.
    used: f64,
    at: Duration,
}

impl Bucket {
    /// How long until something may be taken again; `None` is at once.
    pub(super) fn wait(&mut self, rate: f64, now: Duration) -> Option<Duration> {
        self.flow(rate, now);
        let debt = self.used - rate * BURST_SECONDS;
        (debt >= 0.0).then(|| Duration::try_from_secs_f64(debt / rate).unwrap_or(Duration::MAX))
    }

    /// Takes `amount`, whether it is there or not.
    pub(super) fn take(&mut self, amount: f64, rate: f64, now: Duration) {
        self.flow(rate, now);
        self.used += amount;
    }

    fn flow(&mut self, rate: f64, now: Duration) {
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.used = (self.used - elapsed * rate).max(0.0);
        self.at = self.at.max(now);
    }
}

/// How much came per second over the last minute.
#[derive(Debug, Default)]
pub(super) struct Meter {
    slots: [(u64, f64); SLOTS + 1],
    since: Option<Duration>,
}

impl Meter {
    pub(super) fn add(&mut self, amount: f64, now: Duration) {
        self.since.get_or_insert(now);
        let number = slot(now);
        let place = &mut self.slots[number as usize % (SLOTS + 1)];
        if place.0 != number {
            *place = (number, 0.0);
        }
        place.1 += amount;
    }

    pub(super) fn per_second(&self, now: Duration) -> f64 {
        let Some(since) = self.since else { return 0.0 };
        let newest = slot(now);
        // The slots before the current one, and of that what there is.
        let recent = |number: u64| number <= newest && number + SLOTS as u64 >= newest;
        let sum: f64 = self.slots.iter().filter(|(number, _)| recent(*number)).map(|(_, sum)| sum).sum();
        let start = since.max(SLOT * u32::try_from(newest.saturating_sub(SLOTS as u64)).unwrap_or(u32::MAX));
        sum / now.saturating_sub(start).as_secs_f64().max(1.0)
    }
}

fn slot(now: Duration) -> u64 {
    now.as_secs() / SLOT.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_bucket_lets_the_burst_in_and_then_the_rate() {
        let mut bucket = Bucket::default();
        for _ in 0..10 {
            assert_eq!(bucket.wait(100.0, seconds(0.0)), None);
            bucket.take(100.0, 100.0, seconds(0.0));
        }
        assert_eq!(
            bucket.wait(100.0, seconds(0.0)),
            Some(Duration::ZERO),
            "full: not before some flowed off"
        );
        bucket.take(500.0, 100.0, seconds(0.0));
        assert_eq!(bucket.wait(100.0, seconds(1.0)), Some(seconds(4.0)));
        assert_eq!(bucket.wait(100.0, seconds(5.5)), None);
        let mut taken = 0.0;
        for step in 0..1000 {
            let now = seconds(5.5 + f64::from(step));
            if bucket.wait(100.0, now).is_none() {
                bucket.take(1000.0, 100.0, now);
                taken += 1000.0;
            }
        }
        assert!((99_000.0..=102_000.0).contains(&taken), "{taken} in 1000 s at 100/s");
    }

    #[test]
    fn a_meter_shows_the_last_minute() {
        let mut meter = Meter::default();
        assert_eq!(meter.per_second(seconds(5.0)), 0.0);
        for second in 0..120 {
            meter.add(50.0, seconds(f64::from(second)));
        }
        let rate = meter.per_second(seconds(119.5));
        assert!((rate - 50.0).abs() < 2.0, "{rate}");
        assert_eq!(meter.per_second(seconds(300.0)), 0.0, "nothing for minutes");
        meter.add(10.0, seconds(1000.0));
        assert!(meter.per_second(seconds(1001.0)) < 1.0, "an idle minute counts");
    }
}
