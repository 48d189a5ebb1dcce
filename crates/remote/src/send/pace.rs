//! How fast a backlog may drain: for each fresh sample that was delivered, so and so many older ones.
//!
//! So the endpoint gets a fixed multiple of what it is used to, and an endpoint that slows down slows the
//! backlog down. A trickle is always allowed, or nothing would move where nothing is fresh.

use std::time::Duration;

use nave_base::clock::SharedClock;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Samples per second that may drain whatever else is sent.
const TRICKLE_PER_SECOND: f64 = 1000.0;
/// Tokens that are kept at most: an endpoint must not get what was saved up in a quiet hour at once.
const SAVED_MAX: f64 = 65_536.0;

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

/// Tokens of one endpoint, one per sample.
#[derive(Debug)]
pub(super) struct Pace {
    clock: SharedClock,
    /// Older samples per fresh one.
    ratio: f64,
    bucket: Mutex<Bucket>,
    granted: Notify,
}

impl Pace {
    /// `share` of all samples may be older ones, more than 0 and less than 1.
    pub(super) fn new(share: f64, clock: SharedClock) -> Self {
        let bucket = Mutex::new(Bucket { tokens: 0.0, at: clock.monotonic() });
        Self { clock, ratio: share / (1.0 - share), bucket, granted: Notify::new() }
    }

    /// A backlog begins: nothing is saved up.
    pub(super) fn begin(&self) {
        *self.bucket.lock() = Bucket { tokens: 0.0, at: self.clock.monotonic() };
    }

    /// So many fresh samples were delivered.
    pub(super) fn grant(&self, samples: usize) {
        {
            let mut bucket = self.bucket.lock();
            bucket.tokens = (bucket.tokens + samples as f64 * self.ratio).min(SAVED_MAX);
        }
        self.granted.notify_one();
    }

    /// Takes tokens for samples that were read, and waits until what was taken is paid. Only one task may.
    pub(super) async fn take(&self, samples: usize) {
        self.bucket.lock().tokens -= samples as f64;
        while let Some(wait) = self.owed() {
            tokio::select! {
                () = self.granted.notified() => {}
                () = self.clock.sleep(wait) => {}
            }
        }
    }

    /// How long the trickle takes to pay what is owed; `None` when nothing is.
    fn owed(&self) -> Option<Duration> {
        let mut bucket = self.bucket.lock();
        let now = self.clock.monotonic();
        let passed = now.saturating_sub(std::mem::replace(&mut bucket.at, now));
        bucket.tokens = (bucket.tokens + passed.as_secs_f64() * TRICKLE_PER_SECOND).min(SAVED_MAX);
        (bucket.tokens < 0.0).then(|| Duration::from_secs_f64(-bucket.tokens / TRICKLE_PER_SECOND))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use nave_base::clock::FakeClock;

    use super::*;

    #[tokio::test]
    async fn older_samples_follow_fresh_ones_and_trickle_without_them() {
        let clock = FakeClock::at(0);
        let pace = Pace::new(0.8, clock.clone());
        let taken = pace.take(4_000);
        tokio::pin!(taken);
        assert!(taken.as_mut().now_or_never().is_none());
        pace.grant(999);
        assert!(taken.as_mut().now_or_never().is_none());
        pace.grant(1);
        assert!(taken.now_or_never().is_some(), "four for each fresh one");
        let taken = pace.take(5_000);
        tokio::pin!(taken);
        assert!(taken.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_secs(5));
        assert!(taken.now_or_never().is_some(), "a thousand per second");
        pace.grant(1 << 30);
        assert!(pace.take(65_536).now_or_never().is_some());
        assert!(pace.take(1).now_or_never().is_none(), "no more than that was saved");
    }
}
