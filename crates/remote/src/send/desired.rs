//! How many shards an endpoint needs: enough for the rate of samples at the time one of them takes, and
//! some more to catch up when it is behind. The formula is upstream's.

use std::time::Duration;

/// How often the number of shards is looked at.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// Changes smaller than this part of the current number are not worth it.
const TOLERANCE: f64 = 0.3;
/// The part of the backlog that should be caught up per second.
const CATCH_UP_PER_SECOND: f64 = 0.05;
/// Further behind than this, shards are not taken away.
const NEVER_SHRINK_DELAY_SECONDS: f64 = 10.0;

/// Running totals of an endpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    /// Samples read that are to be sent.
    pub(super) read: f64,
    /// Samples that requests are through with.
    pub(super) sent: f64,
    /// Time that requests took together, waits between attempts included.
    pub(super) busy_seconds: f64,
}

/// A rate per second, smoothed over about five intervals.
#[derive(Debug, Default)]
struct Rate {
    per_second: Option<f64>,
}

impl Rate {
    fn update(&mut self, grown: f64, seconds: f64) -> f64 {
        let now = grown / seconds;
        let smooth = self.per_second.map_or(now, |before| before + 0.2 * (now - before));
        self.per_second = Some(smooth);
        smooth
    }
}

/// Remembers the rates.
#[derive(Debug, Default)]
pub(super) struct Scaler {
    read: Rate,
    sent: Rate,
    busy: Rate,
    before: Totals,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Desired {
    /// What rate and backlog ask for, unbounded.
    pub(super) wanted: f64,
    /// The number to run.
    pub(super) shards: usize,
}

impl Scaler {
    /// `delay_seconds` is how far the newest delivered sample is behind the newest in the log.
    pub(super) fn update(
        &mut self,
        totals: Totals,
        elapsed: Duration,
        delay_seconds: f64,
        current: usize,
        bounds: (usize, usize),
    ) -> Desired {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let before = std::mem::replace(&mut self.before, totals);
        let read = self.read.update(totals.read - before.read, seconds);
        let sent = self.sent.update(totals.sent - before.sent, seconds);
        let busy = self.busy.update(totals.busy_seconds - before.busy_seconds, seconds);
        if sent <= 0.0 {
            return Desired { wanted: current as f64, shards: current };
        }
        let backlog = delay_seconds.max(0.0) * read;
        let wanted = busy / sent * (read + CATCH_UP_PER_SECOND * backlog);
        Desired { wanted, shards: bounded(wanted, current, delay_seconds, bounds) }
    }
}

fn bounded(wanted: f64, current: usize, delay_seconds: f64, (min, max): (usize, usize)) -> usize {
    let close = (wanted - current as f64).abs() <= current as f64 * TOLERANCE;
    let rounded = wanted.ceil().clamp(min as f64, max as f64) as usize;
    if close || rounded < current && delay_seconds > NEVER_SHRINK_DELAY_SECONDS {
        return current.clamp(min, max);
    }
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One interval from a fresh start.
    fn check(read: f64, sent: f64, busy_seconds: f64, delay: f64, current: usize, want: usize) {
        let totals = Totals { read: read * 10.0, sent: sent * 10.0, busy_seconds: busy_seconds * 10.0 };
        let got = Scaler::default().update(totals, INTERVAL, delay, current, (1, 50));
        assert_eq!(got.shards, want, "{read}/s read, {sent}/s sent, {busy_seconds} busy: {got:?}");
    }

    #[test]
    fn follows_rate_and_backlog_within_bounds() {
        check(1000.0, 1000.0, 0.5, 0.0, 1, 1); // half a shard is busy: stay
        check(1000.0, 1000.0, 4.0, 0.0, 1, 4); // four are needed
        check(1000.0, 1000.0, 4.0, 60.0, 1, 16); // and more to catch up a minute
        check(1000.0, 1000.0, 1000.0, 0.0, 1, 50); // never more than the bound
        check(1000.0, 1000.0, 4.5, 0.0, 4, 4); // a small change is not worth it
        check(1000.0, 1000.0, 0.5, 0.0, 8, 1); // too many: shrink
        check(1000.0, 1000.0, 0.5, 11.0, 8, 8); // but not while behind
        check(1000.0, 0.0, 9.0, 100.0, 3, 3); // nothing goes through: more shards do not help
    }
}
