//! The manifest without a store: read as it is, or written anew, for tools.

use std::path::{Path, PathBuf};

use nave_base::disk::{SharedDisk, write_atomically};
use nave_block::block::{BlockId, PageCache};

use super::{Entry, FileKind, FileMeta, MANIFEST, Version, Window, file_path, manifest};
use crate::error::Error;

/// The version that the manifest in `dir` names; nothing is removed and nothing written. `None` without a manifest.
pub(crate) fn read(disk: &SharedDisk, dir: &Path) -> Result<Option<Version>, Error> {
    let path = dir.join(MANIFEST);
    let bytes = match disk.open(&path).and_then(|file| file.read_from(0)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::folder(&path, &error)),
    };
    let open = |meta, window, bytes, cold| entry(disk, dir, meta, window, (bytes, cold));
    manifest::decode(&bytes, &open).map(Some).map_err(|what| Error::Manifest { path, what })
}

/// Replaces the manifest by `version`, durably.
pub(crate) fn write(disk: &SharedDisk, dir: &Path, version: &Version) -> Result<(), Error> {
    let path = dir.join(MANIFEST);
    write_atomically(&**disk, &path, &manifest::encode(version)).map_err(|error| Error::folder(&path, &error))
}

/// Where a file of that name lies.
pub(crate) fn path(dir: &Path, id: BlockId, kind: FileKind) -> PathBuf {
    file_path(dir, id, kind)
}

/// An entry for a file in `dir`, of so many bytes, cold or not.
pub(crate) fn entry(
    disk: &SharedDisk,
    dir: &Path,
    meta: FileMeta,
    window: Window,
    (bytes, cold): (u64, bool),
) -> Entry {
    let path = file_path(dir, meta.id, meta.kind);
    Entry::open(disk, &PageCache::none(), (meta, window, path), bytes, cold)
}
