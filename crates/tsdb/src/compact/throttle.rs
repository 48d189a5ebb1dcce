//! How merging makes room for ingest, and how it is stopped.
//!
//! Merging has a thread of low priority, which settles who gets the processor. What the system does not settle is the
//! disk and the memory bus: while appends are waiting, merging works in slices and rests between them. It does not rest
//! once closed windows wait for each other: what they hold in memory would grow for as long as ingest leaves no room.

use std::time::Duration;

use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use tokio::runtime::Handle;

/// Longest stretch of work without a look at the clock.
const SLICE: Duration = Duration::from_millis(10);
/// Rest after a slice, as a multiple of it, while appends wait.
const REST: u32 = 2;
/// Series between two looks at the clock.
const SERIES: u32 = 32;
/// How often to ask whether merging is behind.
const ASK: Duration = Duration::from_secs(1);

/// The work was stopped before it was done; nothing of it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Paces one merge. For a thread that may block.
pub(crate) struct Throttle<'a> {
    clock: SharedClock,
    shutdown: Shutdown,
    /// Whether appends are waiting.
    busy: &'a (dyn Fn() -> bool + Sync),
    /// Whether merging is behind, and when that was asked last.
    behind: &'a (dyn Fn() -> bool + Sync),
    asked: Option<(Duration, bool)>,
    slice_began: Duration,
    series: u32,
    runtime: Handle,
    /// Time spent at rest.
    pub(crate) rested: Duration,
}

impl<'a> Throttle<'a> {
    pub(crate) fn new(
        clock: SharedClock,
        runtime: Handle,
        shutdown: Shutdown,
        busy: &'a (dyn Fn() -> bool + Sync),
        behind: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        let (slice_began, asked, rested) = (clock.monotonic(), None, Duration::ZERO);
        Self { clock, shutdown, busy, behind, asked, slice_began, series: 0, runtime, rested }
    }

    /// Call it after each series.
    pub(crate) fn step(&mut self) -> Result<(), Stopped> {
        self.series += 1;
        if self.series < SERIES {
            return Ok(());
        }
        self.series = 0;
        self.look()
    }

    fn look(&mut self) -> Result<(), Stopped> {
        if self.shutdown.is_cancelled() {
            return Err(Stopped);
        }
        let now = self.clock.monotonic();
        let worked = now.saturating_sub(self.slice_began);
        if worked < SLICE {
            return Ok(());
        }
        if (self.busy)() && !self.is_behind(now) {
            self.rest(worked.min(SLICE * 4) * REST);
        }
        self.slice_began = self.clock.monotonic();
        Ok(())
    }

    fn is_behind(&mut self, now: Duration) -> bool {
        match self.asked {
            Some((at, answer)) if now.saturating_sub(at) < ASK => answer,
            _ => self.asked.insert((now, (self.behind)())).1,
        }
    }

    fn rest(&mut self, rest: Duration) {
        // The sleep is made inside the runtime: this thread is not one of its own.
        self.runtime.block_on(async {
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = self.clock.sleep(rest) => {}
            }
        });
        self.rested += rest;
    }
}

#[cfg(test)]
mod tests {
    use nave_base::clock::SystemClock;

    use super::*;

    #[test]
    fn a_thread_of_its_own_rests_by_the_real_clock() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let merging = std::thread::spawn(move || {
            let clock = SystemClock::shared();
            let mut throttle = Throttle::new(clock.clone(), handle, Shutdown::new(), &|| true, &|| false);
            let begin = clock.monotonic();
            while throttle.rested == Duration::ZERO {
                throttle.step().unwrap();
            }
            clock.monotonic() - begin >= SLICE + throttle.rested
        });
        assert!(merging.join().unwrap());
    }

    #[test]
    fn there_is_no_rest_while_behind() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (clock, handle) = (SystemClock::shared(), runtime.handle().clone());
        let mut throttle = Throttle::new(clock.clone(), handle, Shutdown::new(), &|| true, &|| true);
        let begin = clock.monotonic();
        while clock.monotonic() - begin < SLICE * 3 {
            throttle.step().unwrap();
        }
        assert_eq!(throttle.rested, Duration::ZERO);
    }
}
