//! Versions: the files, tombstones and marks that count at one moment, and how the next one is made.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use nave_base::disk::{File, SharedDisk};
use nave_block::block::{Block, BlockId, FileKind, LocalFile, Meta as FileMeta, PageCache};
use nave_model::append::Tenant;
use nave_model::matcher::Matcher;
use nave_model::time::TimeRange;

use crate::error::Error;

/// Length of an ordinary window.
pub(crate) const WINDOW_MS: i64 = 2 * 3_600_000;
/// Length of the windows of older data.
pub(crate) const DAY_MS: i64 = 24 * 3_600_000;

/// How names of files of `kind` end.
pub(crate) fn extension(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Part => "part",
        FileKind::Block => "block",
    }
}

/// An aligned range of time: two hours, or a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Window {
    /// First instant inside, in ms.
    pub(crate) start_ms: i64,
    /// First instant behind it, in ms.
    pub(crate) end_ms: i64,
}

impl Window {
    /// The window of `t` for new files of `tenant`: a day where there is a file of a day, else two hours.
    pub(crate) fn of(t: i64, tenant: &str, version: &Version) -> Self {
        let day = Self::aligned(t, DAY_MS);
        let has_day = version.files.iter().any(|file| file.window == day && file.meta.tenant == tenant);
        if has_day { day } else { Self::aligned(t, WINDOW_MS) }
    }

    /// The window of that length that `t` is in. At the ends of time windows are cut short.
    pub(crate) fn aligned(t: i64, length_ms: i64) -> Self {
        let start = t.div_euclid(length_ms).saturating_mul(length_ms);
        Self { start_ms: start, end_ms: start.saturating_add(length_ms) }
    }

    /// Whether `t` is inside.
    pub(crate) fn contains(&self, t: i64) -> bool {
        self.start_ms <= t && (t < self.end_ms || self.end_ms == i64::MAX)
    }

    /// Length in ms.
    pub(crate) fn length_ms(&self) -> i64 {
        self.end_ms.saturating_sub(self.start_ms)
    }
}

/// A file that counts.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) meta: FileMeta,
    pub(crate) window: Window,
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
    /// Always read: memory may lack what it holds, whatever `hot_seq` says. So are late data and all merged files.
    pub(crate) cold: bool,
    /// Opened when the entry is made, so that it outlives its name; `None` when the disk did not let it.
    file: Option<Arc<dyn File>>,
    disk: SharedDisk,
    cache: PageCache,
    block: OnceLock<Result<Arc<Block<LocalFile>>, Arc<nave_block::Error>>>,
}

impl Entry {
    /// An entry for the file at `path`. A file that cannot be opened is kept, and [`Entry::block`] tries again.
    pub(super) fn open(
        disk: &SharedDisk,
        cache: &PageCache,
        (meta, window, path): (FileMeta, Window, PathBuf),
        bytes: u64,
        cold: bool,
    ) -> Self {
        let (file, disk) = (disk.open(&path).ok(), disk.clone());
        Self { meta, window, path, bytes, cold, file, disk, cache: cache.clone(), block: OnceLock::new() }
    }

    /// The file, opened at the first call.
    ///
    /// # Errors
    /// Of the file system, which may pass, or named damage, which stays.
    pub(crate) fn block(&self) -> Result<Arc<Block<LocalFile>>, Arc<nave_block::Error>> {
        if let Some(known) = self.block.get() {
            return known.clone();
        }
        match self.open_block() {
            Err(error @ nave_block::Error::Io { .. }) => Err(Arc::new(error)),
            opened => self.block.get_or_init(|| opened.map(Arc::new).map_err(Arc::new)).clone(),
        }
    }

    fn open_block(&self) -> Result<Block<LocalFile>, nave_block::Error> {
        let again = || self.disk.open(&self.path);
        let file = self.file.clone().map_or_else(again, Ok);
        let file = file.map_err(|source| nave_block::Error::Io { what: "cannot open", source })?;
        Block::open(LocalFile(file), self.cache.clone())
    }
}

/// A deleted range: it masks files with `hi <= seq`.
#[derive(Debug, Clone)]
pub(crate) struct Tombstone {
    pub(crate) tenant: Tenant,
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) range: TimeRange,
    pub(crate) seq: u64,
}

/// How much of which registry counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RegistryLength {
    /// The file; 0 is none.
    pub(crate) generation: u64,
    /// Bytes of it.
    pub(crate) bytes: u64,
}

/// What counts at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// Grows by one from version to version of this process.
    pub(crate) number: u64,
    /// By window, then `lo`.
    pub(crate) files: Vec<Arc<Entry>>,
    pub(crate) tombstones: Arc<[Tombstone]>,
    /// The next flush.
    pub(crate) next_seq: u64,
    /// All that files with `lo >= hot_seq` hold is in memory too, unless they are cold.
    pub(crate) hot_seq: u64,
    /// First segment that is not flushed.
    pub(crate) log_start: u64,
    pub(crate) registry: RegistryLength,
    /// Series numbers below this were given away.
    pub(crate) next_id: u32,
    /// Oldest time kept, in ms.
    pub(crate) floor: i64,
}

impl Default for Version {
    fn default() -> Self {
        Self {
            number: 0,
            files: Vec::new(),
            tombstones: Arc::new([]),
            next_seq: 1,
            hot_seq: 1,
            log_start: 0,
            registry: RegistryLength::default(),
            next_id: 1,
            floor: i64::MIN,
        }
    }
}

impl Version {
    /// Whether memory has all that `entry` holds, so that a reader who looks at memory need not open it.
    pub(crate) fn is_hot(&self, entry: &Entry) -> bool {
        !entry.cold && entry.meta.seq.lo >= self.hot_seq
    }

    /// Files that a reader of `tenant` and `range` looks at, first written first within each window.
    pub(crate) fn readable<'a>(
        &'a self,
        tenant: &'a Tenant,
        range: TimeRange,
    ) -> impl Iterator<Item = &'a Arc<Entry>> + 'a {
        self.files.iter().filter(move |entry| {
            let own = entry.meta.range;
            *entry.meta.tenant == *tenant.0
                && own.min <= range.max
                && range.min <= own.max
                && !self.is_hot(entry)
        })
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).sum()
    }

    /// The first flush that a part covers: series that were flushed after it may be named by number only.
    pub(crate) fn oldest_part(&self) -> Option<u64> {
        let parts = self.files.iter().filter(|entry| entry.meta.kind == FileKind::Part);
        parts.map(|entry| entry.meta.seq.lo).min()
    }
}

/// The next version in the making.
#[derive(Debug)]
pub(crate) struct Edit {
    next: Version,
    removed: Vec<Arc<Entry>>,
    refused: Option<Error>,
}

impl Edit {
    pub(super) fn new(before: &Version) -> Self {
        let next = Version { number: before.number + 1, ..before.clone() };
        Self { next, removed: Vec::new(), refused: None }
    }

    /// What was there before, with the changes so far.
    pub(crate) fn version(&self) -> &Version {
        &self.next
    }

    /// Adds a file that is durable.
    pub(crate) fn add(&mut self, entry: Entry) {
        self.next.files.push(Arc::new(entry));
    }

    /// Takes a file out; refuses the commit when it is not there any more.
    pub(crate) fn remove(&mut self, id: BlockId) {
        let at = self.next.files.iter().position(|entry| entry.meta.id == id);
        match at {
            Some(at) => self.removed.push(self.next.files.remove(at)),
            None => self.refuse(Error::Gone { id: id.to_string() }),
        }
    }

    /// Replaces the tombstones.
    pub(crate) fn set_tombstones(&mut self, tombstones: impl Into<Arc<[Tombstone]>>) {
        self.next.tombstones = tombstones.into();
    }

    /// Adds a tombstone.
    pub(crate) fn add_tombstone(&mut self, tombstone: Tombstone) {
        self.next.tombstones = self.next.tombstones.iter().cloned().chain([tombstone]).collect();
    }

    /// Flush `seq` is done: the log before segment `log_start` is in files, `registry` names its series.
    pub(crate) fn flushed(&mut self, seq: u64, log_start: u64, registry: RegistryLength, next_id: u32) {
        self.next.next_seq = self.next.next_seq.max(seq + 1);
        self.next.log_start = log_start;
        self.next.registry = registry;
        self.next.next_id = self.next.next_id.max(next_id);
    }

    /// Raises the mark below which memory may lack what files hold.
    pub(crate) fn set_hot_seq(&mut self, hot_seq: u64) {
        self.next.hot_seq = self.next.hot_seq.max(hot_seq);
    }

    /// Raises the oldest time kept.
    pub(crate) fn set_floor(&mut self, floor: i64) {
        self.next.floor = self.next.floor.max(floor);
    }

    /// The commit does not happen.
    pub(crate) fn refuse(&mut self, error: Error) {
        self.refused.get_or_insert(error);
    }

    /// The version, and the entries that it lost.
    pub(super) fn finish(mut self) -> Result<(Version, Vec<Arc<Entry>>), Error> {
        match self.refused {
            Some(error) => Err(error),
            None => {
                self.next.files.sort_by_key(|entry| {
                    let Entry { window, meta, .. } = &**entry;
                    (*window, meta.seq.lo, meta.seq.hi, meta.id)
                });
                Ok((self.next, self.removed))
            }
        }
    }
}
