//! Retention at work: files that are too old, series that a rule drops, and the size limit.

use std::sync::Arc;

use nave_block::FileKind;

use super::Compactor;
use super::room::{Room, Space};
use crate::catalog::{Entry, Version};
use crate::error::Error;

/// A log of fewer bytes is not worth a flush.
const FLUSH_MIN: u64 = 1 << 20;

/// What a check of the room asks the store to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Nothing,
    /// The log takes too much of the limit: flush it into files, which are a tenth of it.
    Flush,
}

impl Compactor {
    /// Drops files that are older than anything that is kept, then what the size limit asks for.
    pub(super) fn drop_old(&self) -> Result<(), Error> {
        let retention = self.retention();
        if let Some(kept) = retention.longest_ms() {
            let oldest = self.clock.now_ms().saturating_sub(kept);
            let dropped = self.drop_files(&|entry| entry.meta.range.max.0 < oldest)?;
            self.metrics.time_retentions.add(dropped as f64);
        }
        self.check_space(true).map(drop)
    }

    fn drop_files(&self, is_old: &dyn Fn(&Entry) -> bool) -> Result<usize, Error> {
        let old = |version: &Version| {
            let old = version.files.iter().filter(|entry| is_old(entry));
            old.map(|entry| entry.meta.id).collect::<Vec<_>>()
        };
        let count = old(&self.catalog.version()).len();
        if count > 0 {
            self.catalog.commit(|edit| old(edit.version()).into_iter().for_each(|id| edit.remove(id)))?;
            tracing::info!(component = "tsdb", files = count, "dropped files that are too old");
        }
        Ok(count)
    }

    /// Whether the file has series that a rule, or the lack of one, drops.
    pub(super) fn is_ruled_out(&self, entry: &Entry) -> bool {
        if entry.meta.kind == FileKind::Part {
            return false;
        }
        let retention = self.retention();
        let Some(expired) = retention.expired(entry.window.end_ms, self.clock.now_ms()) else { return false };
        let key = expired.key();
        if let Some((known, found)) = self.memory.lock().ruled.get(&entry.meta.id)
            && *known == key
        {
            return *found;
        }
        let Ok(block) = entry.block() else { return false };
        let found = block.index().is_some_and(|index| expired.finds_any(index).unwrap_or(false));
        self.memory.lock().ruled.insert(entry.meta.id, (key, found));
        found
    }

    /// Looks at the space in use and says how much the log may still grow. When it is over the limit, the log is
    /// to be flushed first, which makes a tenth of it; without `flush_first` the oldest windows are dropped.
    ///
    /// # Errors
    /// Of the disk.
    pub(crate) fn check_space(&self, flush_first: bool) -> Result<Wanted, Error> {
        let limit = self.retention().bytes_max;
        let mut space = self.look()?;
        self.room.set(space, limit);
        let log_max = limit.map_or(u64::MAX, |limit| limit / 4);
        if flush_first && (space.log > log_max || self.room.is_spent() && space.log > FLUSH_MIN) {
            return Ok(Wanted::Flush);
        }
        if let Some(limit) = limit
            && space.used > Room::soft_limit(limit)
        {
            space = self.drop_oldest(space, Room::soft_limit(limit))?;
            self.room.set(space, Some(limit));
        }
        Ok(Wanted::Nothing)
    }

    fn look(&self) -> Result<Space, Error> {
        self.room.look().map_err(|error| Error::folder(&self.dir, &error))
    }

    /// Windows go whole, oldest first, but not one that is not over.
    fn drop_oldest(&self, mut space: Space, goal: u64) -> Result<Space, Error> {
        while space.used > goal {
            let version = self.catalog.version();
            let oldest = version.files.iter().map(|entry| entry.window.end_ms).min();
            let Some(oldest) = oldest.filter(|oldest| *oldest <= self.clock.now_ms()) else { break };
            let mut files: Vec<Arc<Entry>> = version.files.clone();
            files.retain(|entry| entry.window.end_ms <= oldest);
            self.catalog.commit(|edit| {
                files.iter().for_each(|entry| edit.remove(entry.meta.id));
                edit.set_floor(oldest);
            })?;
            (self.hooks.raise_floor)(oldest);
            let bytes: u64 = files.iter().map(|entry| entry.bytes).sum();
            self.metrics.size_retentions.inc();
            tracing::info!(
                component = "tsdb",
                before_ms = oldest,
                bytes,
                used = space.used,
                goal,
                "dropped the oldest window to stay within the size limit"
            );
            space.used = space.used.saturating_sub(bytes);
        }
        Ok(space)
    }
}
