//! How merging makes room for ingest, and how it is stopped.
//!
//! Merging has a thread of low priority, which settles who gets the processor. What the system does not settle is the
//! disk and the memory bus: while appends are waiting, merging works in slices and rests between them.

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

/// The work was stopped before it was done; nothing of it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Paces one merge. For a thread that may block.
pub(crate) struct Throttle<'a> {
    clock: SharedClock,
    shutdown: Shutdown,
    /// Whether appends are waiting.
    busy: &'a (dyn Fn() -> bool + Sync),
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
    ) -> Self {
        let slice_began = clock.monotonic();
        Self { clock, shutdown, busy, slice_began, series: 0, runtime, rested: Duration::ZERO }
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
        let worked = self.clock.monotonic().saturating_sub(self.slice_began);
        if worked < SLICE {
            return Ok(());
        }
        if (self.busy)() {
            self.rest(worked.min(SLICE * 4) * REST);
        }
        self.slice_began = self.clock.monotonic();
        Ok(())
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
            let busy = || true;
            let clock = SystemClock::shared();
            let mut throttle = Throttle::new(clock.clone(), handle, Shutdown::new(), &busy);
            let begin = clock.monotonic();
            while throttle.rested == Duration::ZERO {
                throttle.step().unwrap();
            }
            clock.monotonic() - begin >= SLICE + throttle.rested
        });
        assert!(merging.join().unwrap());
    }
}
