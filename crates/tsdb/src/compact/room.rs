//! How many bytes may still be written: the size limit and the free bytes of the disk, looked at now and then, and
//! counted down by what the log writes in between.
//!
//! When there is no room left, writes are refused until a look finds some. Part of the limit is held back for
//! flushes and merges, which need space to give space free.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use nave_base::disk::SharedDisk;
use tokio::sync::Notify;

/// Folders whose files count.
const FOLDERS: [&str; 4] = ["log", "series", "block", ""];
/// The part of the limit that only flushes and merges may use.
const HELD_BACK: u64 = 8;

/// What may still be written.
#[derive(Debug)]
pub(crate) struct Room {
    disk: SharedDisk,
    dir: PathBuf,
    /// Bytes that must stay free on the disk.
    free_bytes_min: u64,
    left: AtomicI64,
    used: AtomicU64,
    /// Somebody found that there is no room.
    spent: Notify,
}

/// What a look found, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Log, registry, parts, blocks, and what merges have written so far.
    pub(crate) used: u64,
    /// The log alone.
    pub(crate) log: u64,
    /// Free on the disk above the floor.
    pub(crate) free: u64,
}

impl Room {
    pub(crate) fn new(disk: SharedDisk, dir: PathBuf, free_bytes_min: u64) -> Self {
        let (left, used) = (AtomicI64::new(i64::MAX), AtomicU64::new(0));
        Self { disk, dir, free_bytes_min, left, used, spent: Notify::new() }
    }

    /// Adds up the files.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn look(&self) -> std::io::Result<Space> {
        let mut space = Space { used: 0, log: 0, free: 0 };
        for folder in FOLDERS {
            let dir = if folder.is_empty() { self.dir.clone() } else { self.dir.join(folder) };
            let entries = match self.disk.list(&dir) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            let bytes: u64 = entries.iter().filter(|entry| !entry.is_dir).map(|entry| entry.len).sum();
            space.used += bytes;
            space.log += if folder == "log" { bytes } else { 0 };
        }
        space.free = self.disk.free_bytes(&self.dir)?.saturating_sub(self.free_bytes_min);
        self.used.store(space.used, Ordering::Relaxed);
        Ok(space)
    }

    /// Bytes that samples may take below `limit`.
    pub(crate) fn soft_limit(limit: u64) -> u64 {
        limit - limit / HELD_BACK
    }

    /// From now on the log may grow by what `space` leaves.
    pub(crate) fn set(&self, space: Space, limit: Option<u64>) {
        let below = limit.map_or(u64::MAX, |limit| Self::soft_limit(limit).saturating_sub(space.used));
        let left = i64::try_from(below.min(space.free)).unwrap_or(i64::MAX);
        self.left.store(left, Ordering::Release);
    }

    /// The log has grown.
    pub(crate) fn spend(&self, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let before = self.left.fetch_sub(bytes, Ordering::AcqRel);
        if before > 0 && before <= bytes {
            self.spent.notify_one();
        }
    }

    /// Whether writes must be refused.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Acquire) <= 0
    }

    /// Resolves when the last byte has been spent.
    pub(crate) async fn spent(&self) {
        self.spent.notified().await;
    }

    /// Bytes in use, as of the last look.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether a merge may write `bytes` more beside its inputs.
    pub(crate) fn allows(&self, space: Space, limit: Option<u64>, bytes: u64) -> bool {
        bytes <= space.free && limit.is_none_or(|limit| space.used.saturating_add(bytes) <= limit)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use nave_base::disk::{Disk, MemoryDisk};

    use super::*;

    #[test]
    fn the_log_counts_down_what_is_left() {
        let disk = MemoryDisk::default();
        for (path, len) in [("/d/log/1", 300), ("/d/block/x.part", 200), ("/d/remote/queue/1", 999)] {
            disk.append(Path::new(path)).unwrap().append(&vec![0; len]).unwrap();
        }
        let room = Room::new(Arc::new(disk.clone()), "/d".into(), 100);
        let space = room.look().unwrap();
        assert_eq!((space.used, space.log), (500, 300));
        assert!(!room.is_spent(), "nothing was said about a limit");
        room.set(space, Some(800));
        room.spend(199);
        assert!(!room.is_spent());
        room.spend(1);
        assert!(room.is_spent(), "an eighth is held back");
        assert!(room.allows(space, Some(800), 300) && !room.allows(space, Some(800), 301));
        disk.set_limit(Some(1499 + 150));
        let space = room.look().unwrap();
        assert_eq!(space.free, 50);
        room.set(space, None);
        assert!(!room.is_spent() && !room.allows(space, None, 51));
        room.spend(50);
        assert!(room.is_spent());
    }
}
