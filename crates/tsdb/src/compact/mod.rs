//! Compaction: fewer and larger files, without what was deleted or is too old.
//!
//! [`plan`] says what to merge and [`merge`] does it, one job at a time on a thread of low priority; [`throttle`]
//! makes room for ingest meanwhile. [`retention`] and [`room`] say what must go, and when writes must be refused.
//! A crash anywhere leaves the old files or the new one: the manifest is replaced in between.

mod clean;
mod columns;
mod job;
mod keep;
pub(crate) mod merge;
mod metric;
mod plan;
mod retention;
mod room;
mod snapshot;
mod status;
mod store;
pub(crate) mod throttle;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use nave_base::disk::SharedDisk;
use nave_base::metric::Registry;
use nave_block::BlockId;
use nave_model::label::Labels;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

use crate::catalog::Catalog;
use crate::error::Error;
use metric::Metrics;
pub(crate) use retention::Retention;
pub use retention::RetentionRule;
use room::Room;
pub use status::BlockStatus;
pub(crate) use store::of;

/// What compaction asks of the rest of the store.
pub(crate) struct Hooks {
    /// Labels of a series by its number, while a part may name it.
    pub(crate) labels_of: Box<dyn Fn(u32) -> Option<Labels> + Send + Sync>,
    /// Whether appends are waiting.
    pub(crate) is_busy: Box<dyn Fn() -> bool + Send + Sync>,
    /// Oldest sample that is in no file, in ms; `i64::MAX` when there is none.
    pub(crate) unflushed_min_ms: Box<dyn Fn() -> i64 + Send + Sync>,
    /// Told of the oldest time that is kept, in ms, when that was raised.
    pub(crate) raise_floor: Box<dyn Fn(i64) + Send + Sync>,
}

/// Settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The data folder.
    pub(crate) dir: PathBuf,
    pub(crate) retention: Retention,
    /// Bytes that must stay free on the disk.
    pub(crate) free_bytes_min: u64,
}

/// Merges, drops and rewrites the files of a store.
pub(crate) struct Compactor {
    disk: SharedDisk,
    dir: PathBuf,
    clock: SharedClock,
    catalog: Arc<Catalog>,
    hooks: Hooks,
    retention: RwLock<Arc<Retention>>,
    pub(crate) room: Room,
    pub(crate) metrics: Metrics,
    /// Ends what runs; nothing begins after it.
    stop: Shutdown,
    one_at_a_time: Mutex<()>,
    memory: Mutex<Memory>,
}

/// What need not be found out again. Lost at the end of the process, which costs work but nothing else.
#[derive(Debug, Default)]
struct Memory {
    /// Files without anything that this tombstone hides.
    clean: HashSet<(BlockId, String)>,
    /// When a tombstone was first seen.
    seen: HashMap<String, Duration>,
    /// Whether a file has series that these rules drop.
    ruled: HashMap<BlockId, ((u64, Vec<bool>), bool)>,
    /// Files that cannot be read: damaged in their footer, directory or index.
    unreadable: HashSet<BlockId>,
    /// After failures: by the first input, how many, and when to try again.
    failed: HashMap<BlockId, (u32, Duration)>,
}

impl fmt::Debug for Compactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compactor").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// How much one run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What is due.
    Due,
    /// Everything that can be merged.
    Everything,
    /// Only what tombstones hide, whatever its age.
    Tombstones,
}

impl Compactor {
    pub(crate) fn new(
        settings: Settings,
        catalog: Arc<Catalog>,
        disk: SharedDisk,
        clock: SharedClock,
        registry: &Registry,
        hooks: Hooks,
    ) -> Arc<Self> {
        let Settings { dir, retention, free_bytes_min } = settings;
        Arc::new(Self {
            room: Room::new(disk.clone(), dir.clone(), free_bytes_min),
            metrics: Metrics::register(registry),
            retention: RwLock::new(Arc::new(retention)),
            disk,
            dir,
            clock,
            catalog,
            hooks,
            stop: Shutdown::new(),
            one_at_a_time: Mutex::default(),
            memory: Mutex::default(),
        })
    }

    /// What is kept.
    pub(crate) fn retention(&self) -> Arc<Retention> {
        self.retention.read().clone()
    }

    /// Changes what is kept.
    pub(crate) fn set_retention(&self, change: impl FnOnce(&mut Retention)) {
        let mut current = self.retention.write();
        let mut next = (**current).clone();
        change(&mut next);
        next.generation = current.generation + 1;
        *current = Arc::new(next);
    }

    /// Ends what runs, soon; nothing begins any more.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Blocks until nothing runs any more.
    pub(crate) fn wait(&self) {
        drop(self.one_at_a_time.lock());
    }

    /// Drops what is too old or too much, then merges until nothing is due, on a thread of its own. Runs wait for
    /// each other. The thread has a low priority unless merging is behind.
    ///
    /// # Errors
    /// The first failure; what came before it counts, and the rest was tried.
    pub(crate) async fn run(self: &Arc<Self>, extent: Extent) -> Result<(), Error> {
        let mut first = Ok(());
        loop {
            let pace = if self.is_behind() { Pace::Hurried } else { Pace::Aside };
            let (ended, outcome) = self.run_on_thread(extent, pace).await?;
            first = first.and(outcome);
            if ended == Ended::Done {
                return first;
            }
        }
    }

    async fn run_on_thread(self: &Arc<Self>, extent: Extent, pace: Pace) -> Result<Run, Error> {
        let (done, ran) = tokio::sync::oneshot::channel();
        let (compactor, runtime) = (self.clone(), Handle::current());
        let work = move || {
            // A thread may not take its priority back, so the pace is that of a thread.
            if pace == Pace::Aside {
                nave_base::thread::lower_priority();
            }
            let _ = done.send(compactor.run_here(&runtime, extent, pace));
        };
        std::thread::Builder::new()
            .name("tsdb-compact".to_owned())
            .spawn(work)
            .map_err(|error| Error::folder(&self.dir, &error))?;
        ran.await.map_err(|_| Error::Stopped)
    }

    fn run_here(&self, runtime: &Handle, extent: Extent, pace: Pace) -> Run {
        let _one_at_a_time = self.one_at_a_time.lock();
        self.metrics.triggered.inc();
        let mut outcome = Ok(());
        if extent != Extent::Tombstones {
            outcome = self.drop_old();
        }
        while !self.stop.is_cancelled()
            && let Some(job) = self.next_job(extent)
        {
            self.metrics.running.set(1.0);
            let result = contained(|| self.run_job(&job, runtime));
            self.metrics.running.set(0.0);
            self.note_outcome(&job, &result);
            outcome = outcome.and(result);
            if pace == Pace::Aside && self.is_behind() {
                return (Ended::Behind, outcome);
            }
        }
        (Ended::Done, outcome.and(self.forget_tombstones()))
    }
}

/// Who goes first: what is to be merged, or everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Aside,
    Hurried,
}

/// Why a thread ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing is due any more.
    Done,
    /// It is behind at this pace.
    Behind,
}

/// How a thread ended, and the first failure.
type Run = (Ended, Result<(), Error>);

/// A panic of one job is that job's failure: it is counted, told and tried again later like any other, and the other
/// jobs go on.
fn contained(job: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    std::panic::catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        let text =
            panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        Err(Error::Panicked(text.unwrap_or("no message").to_owned()))
    })
}

#[cfg(test)]
mod tests;
