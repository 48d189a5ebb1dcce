//! What there is on disk, for `/api/v1/status/tsdb/blocks`.

use nave_block::FileKind;

use super::{Compactor, clean};
use crate::catalog::{DAY_MS, Entry, Version};

/// One part or block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockStatus {
    /// Its name.
    pub ulid: String,
    /// `part`, `window` or `day`.
    pub level: &'static str,
    /// Whose data it is.
    pub tenant: String,
    /// First sample in ms.
    pub min_time: i64,
    /// Last sample in ms.
    pub max_time: i64,
    /// Its series.
    pub series: u64,
    /// Its samples.
    pub samples: u64,
    /// Its length.
    pub bytes: u64,
    /// Deletes that are not yet carried out in it.
    pub tombstones: u64,
    /// Why it cannot be read, where that is so.
    pub damage: Option<String>,
}

impl Compactor {
    /// All parts and blocks, oldest first.
    pub(crate) fn blocks(&self) -> Vec<BlockStatus> {
        let version = self.catalog.version();
        version.files.iter().map(|entry| self.block(&version, entry)).collect()
    }

    fn block(&self, version: &Version, entry: &Entry) -> BlockStatus {
        let meta = &entry.meta;
        let unreadable = self.memory.lock().unreadable.contains(&meta.id);
        let damage = if unreadable { entry.block().err().map(|error| error.to_string()) } else { None };
        BlockStatus {
            ulid: meta.id.to_string(),
            level: match meta.kind {
                FileKind::Part => "part",
                FileKind::Block if entry.window.length_ms() >= DAY_MS => "day",
                FileKind::Block => "window",
            },
            tenant: meta.tenant.clone(),
            min_time: meta.range.min.0,
            max_time: meta.range.max.0,
            series: u64::from(meta.series),
            samples: meta.samples,
            bytes: entry.bytes,
            tombstones: clean::of(version, entry).count() as u64,
            damage,
        }
    }
}
