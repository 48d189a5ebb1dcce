//! Time as a value. Production code takes a [`SharedClock`]; tests hand in a [`FakeClock`].
//!
//! Invariant: no crate above this one reads the system time or sleeps in another way (clippy's
//! `disallowed_methods` enforces it).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// A future without a borrowed environment.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Wall time, monotonic time and sleeping.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since the Unix epoch. May jump when the operator sets the clock.
    fn now_ms(&self) -> i64;
    /// Time since an arbitrary fixed point. Never goes back.
    fn monotonic(&self) -> Duration;
    /// Resolves after `duration` of monotonic time.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// How clocks are passed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self { start: Instant::now() })
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place
    fn now_ms(&self) -> i64 {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[allow(clippy::disallowed_methods)] // the one place
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct FakeClock {
    start_ms: i64,
    elapsed_ms: AtomicI64,
    sleepers: Mutex<Vec<(i64, oneshot::Sender<()>)>>,
}

impl FakeClock {
    /// A clock that shows `start_ms`.
    #[must_use]
    pub fn at(start_ms: i64) -> Arc<Self> {
        Arc::new(Self { start_ms, elapsed_ms: AtomicI64::new(0), sleepers: Mutex::default() })
    }

    /// Moves time forward and wakes every sleeper whose time has come, earliest first.
    pub fn advance(&self, duration: Duration) {
        let step = i64::try_from(duration.as_millis()).expect("advance: duration fits");
        let now = self.elapsed_ms.fetch_add(step, Ordering::SeqCst) + step;
        let mut due: Vec<_> = {
            let mut sleepers = self.sleepers.lock();
            sleepers.extract_if(.., |(at, _)| *at <= now).collect()
        };
        due.sort_by_key(|(at, _)| *at);
        for (_, wake) in due {
            // A sleeper that was dropped does not listen any more.
            let _ = wake.send(());
        }
    }

    /// How many sleeps are pending; lets a test wait until its subject sleeps.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.sleepers.lock().iter().filter(|(_, wake)| !wake.is_closed()).count()
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> i64 {
        self.start_ms + self.elapsed_ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.elapsed_ms.load(Ordering::SeqCst)).unwrap_or(0))
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let wait = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2);
        let at = self.elapsed_ms.load(Ordering::SeqCst).saturating_add(wait);
        let (wake, woken) = oneshot::channel();
        if wait == 0 {
            let _ = wake.send(());
        } else {
            self.sleepers.lock().push((at, wake));
        }
        Box::pin(async move {
            let _ = woken.await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fake_sleep_wakes_when_its_time_has_come() {
        let clock = FakeClock::at(1_000);
        let sleep = clock.sleep(Duration::from_secs(2));
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_millis(1_999));
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_millis(1));
        sleep.await;
        assert_eq!(clock.now_ms(), 3_000);
        assert_eq!(clock.monotonic(), Duration::from_secs(2));
    }
}
