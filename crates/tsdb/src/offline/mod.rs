//! Tools for the folder of a store that is not open: what is in it, whether it is whole, keeping what is good of it.
//!
//! Each call takes the folder's lock, so that no store works in it meanwhile. Only [`repair`] changes anything.

mod known;
mod repair;
#[cfg(test)]
mod tests;
mod verify;

use std::path::{Path, PathBuf};

use nave_base::disk::SharedDisk;
use nave_block::Meta;
use nave_model::time::TimeRange;

use crate::catalog::{self, BLOCK_DIR, SERIES_DIR, Version};
use crate::error::Error;
use crate::store::{LOG_DIR, take_lock};

pub use repair::{Repaired, repair};
pub use verify::{Verified, verify};

/// Something in a folder that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, or was done.
    pub what: String,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

/// A part or block that the manifest names.
#[derive(Debug, Clone)]
pub struct File {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// The window of time that it is kept in, in ms; the end is outside.
    pub window: (i64, i64),
    /// What it says about itself.
    pub meta: Meta,
}

/// A deletion that is not yet carried out in all files.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// Whose data.
    pub tenant: String,
    /// The selector.
    pub selector: String,
    /// Which times.
    pub range: TimeRange,
    /// Files up to this flush are masked.
    pub seq: u64,
}

/// What a manifest names.
#[derive(Debug, Clone)]
pub struct Contents {
    /// In order of time.
    pub files: Vec<File>,
    /// Deletions.
    pub deletions: Vec<Deletion>,
    /// Generation of the registry of series; 0 is none.
    pub registry_generation: u64,
    /// Bytes of it that count.
    pub registry_bytes: u64,
    /// First segment of the log that is not in files.
    pub log_start: u64,
    /// Number of the next flush.
    pub next_seq: u64,
    /// Oldest time kept, in ms.
    pub floor: i64,
}

/// What the manifest of the store in `dir` names.
///
/// # Errors
/// When the folder is in use, has no manifest, or a damaged one.
pub fn contents(disk: &SharedDisk, dir: &Path) -> Result<Contents, Error> {
    let _lock = take_lock(dir, disk)?;
    let version = catalog::peek::read(disk, dir)?.ok_or_else(|| no_manifest(dir))?;
    let files = version.files.iter().map(|entry| File {
        path: entry.path.clone(),
        bytes: entry.bytes,
        window: (entry.window.start_ms, entry.window.end_ms),
        meta: entry.meta.clone(),
    });
    let deletions = version.tombstones.iter().map(|tombstone| {
        let matchers: Vec<String> = tombstone.matchers.iter().map(|matcher| format!("{matcher:?}")).collect();
        Deletion {
            tenant: tombstone.tenant.0.to_string(),
            selector: format!("{{{}}}", matchers.join(",")),
            range: tombstone.range,
            seq: tombstone.seq,
        }
    });
    Ok(Contents {
        files: files.collect(),
        deletions: deletions.collect(),
        registry_generation: version.registry.generation,
        registry_bytes: version.registry.bytes,
        log_start: version.log_start,
        next_seq: version.next_seq,
        floor: version.floor,
    })
}

fn no_manifest(dir: &Path) -> Error {
    let message = "expected the folder of a store, found no manifest in it".to_owned();
    Error::Folder { dir: dir.to_owned(), message }
}

/// Names of the files in a folder below `dir`; none when it is missing.
fn names(disk: &SharedDisk, dir: &Path) -> Result<Vec<String>, Error> {
    match disk.list(dir) {
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::folder(dir, &error)),
    }
}
