//! Which files count: the manifest on disk, versions of it in memory, and the pins that hold them.
//!
//! A [`Version`] is immutable. [`Catalog::commit`] makes the next one: it writes the manifest, then publishes. What
//! the manifest does not name is garbage. Readers take a [`Pin`] once and see one version until they drop it.
//!
//! Invariants: the published version is what the manifest file says, but for `hot_seq`, which lives in memory only;
//! a file that a version lost is removed from the folder at once and stays readable for those that hold its entry.

mod manifest;
pub(crate) mod peek;
mod pin;
mod version;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nave_base::clock::SharedClock;
use nave_base::disk::{Disk, SharedDisk, write_atomically};
use nave_base::random::Random;
use nave_block::block::{BlockId, PageCache};
use nave_model::time::Timestamp;
use parking_lot::Mutex;

use crate::error::Error;
use pin::Pins;

pub(crate) use pin::Pin;
pub(crate) use version::{DAY_MS, Edit, Entry, RegistryLength, Tombstone, Version, Window, extension};

pub(crate) use nave_block::block::{FileKind, Meta as FileMeta, SeqRange};
pub(crate) use version::WINDOW_MS;

/// The file that says which files count.
const MANIFEST: &str = "manifest";
/// The folder of parts and blocks.
pub(crate) const BLOCK_DIR: &str = "block";
/// The folder of the registry's generations.
pub(crate) const SERIES_DIR: &str = "series";

/// The files of one data folder.
#[derive(Debug)]
pub(crate) struct Catalog {
    disk: SharedDisk,
    dir: PathBuf,
    clock: SharedClock,
    random: Random,
    cache: PageCache,
    /// Held while a commit is written, so that there is one at a time.
    committing: Mutex<()>,
    pins: Arc<Pins>,
    /// The last manifest was put in place, but its name may not be durable: nothing that the one before it names may
    /// be removed yet.
    unsynced: AtomicBool,
    /// Files that no version names and that are still to be removed.
    garbage: Mutex<Vec<PathBuf>>,
}

impl Catalog {
    /// Reads the manifest in `dir` and removes what it does not name. The second is whether there was one; a new
    /// folder gets its first manifest here.
    ///
    /// # Errors
    /// Of the file system; [`Error::Manifest`] when the manifest is damaged, of a later version, or missing beside
    /// files that it should name.
    pub(crate) fn open(
        disk: SharedDisk,
        dir: &Path,
        clock: SharedClock,
        random: Random,
        cache: PageCache,
    ) -> Result<(Self, bool), Error> {
        let path = dir.join(MANIFEST);
        let failed = |error| Error::folder(dir, &error);
        for below in [BLOCK_DIR, SERIES_DIR] {
            disk.create_dir_all(&dir.join(below)).map_err(failed)?;
        }
        let found = match disk.open(&path) {
            Ok(file) => Some(file.read_from(0).map_err(failed)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let version = match &found {
            Some(bytes) => manifest::decode(bytes, &|meta, window, bytes, cold| {
                let path = file_path(dir, meta.id, meta.kind);
                Entry::open(&disk, &cache, (meta, window, path), bytes, cold)
            })
            .map_err(|what| Error::Manifest { path: path.clone(), what })?,
            None => {
                refuse_unnamed_files(&disk, dir)?;
                write_atomically(&*disk, &path, &manifest::encode(&Version::default())).map_err(failed)?;
                Version::default()
            }
        };
        let catalog = Self {
            disk,
            dir: dir.to_owned(),
            clock,
            random,
            cache,
            committing: Mutex::new(()),
            pins: Arc::new(Pins::new(version)),
            unsynced: AtomicBool::new(false),
            garbage: Mutex::default(),
        };
        catalog.sweep()?;
        Ok((catalog, found.is_some()))
    }

    /// Writes the manifest of a copy of `version` in another folder, which is a store from then on.
    pub(crate) fn write_manifest(disk: &dyn Disk, dir: &Path, version: &Version) -> std::io::Result<()> {
        write_atomically(disk, &dir.join(MANIFEST), &manifest::encode(version))
    }

    /// The newest version.
    pub(crate) fn version(&self) -> Arc<Version> {
        self.pins.version()
    }

    /// Holds the newest version until the pin is dropped.
    pub(crate) fn pin(&self) -> Pin {
        self.pins.pin()
    }

    /// Number of the oldest version that a pin holds.
    pub(crate) fn oldest_pin(&self) -> Option<u64> {
        self.pins.oldest()
    }

    /// Resolves when no pin holds a version older than `number`.
    pub(crate) async fn unpinned_before(&self, number: u64) {
        self.pins.none_before(number).await;
    }

    /// Writes and publishes the version that `edit` makes of the newest one; one commit at a time. Blocks.
    ///
    /// # Errors
    /// Of the file system, then nothing has changed; what [`Edit::refuse`] was given.
    pub(crate) fn commit(&self, edit: impl FnOnce(&mut Edit)) -> Result<Arc<Version>, Error> {
        let _one_at_a_time = self.committing.lock();
        let mut change = Edit::new(&self.version());
        edit(&mut change);
        let (next, removed) = change.finish()?;
        let path = self.dir.join(MANIFEST);
        let written = write_atomically(&*self.disk, &path, &manifest::encode(&next));
        if let Err(error) = written {
            // When only the sync of its name failed, the new manifest is what the next start may read.
            let replaced = self.disk.open(&path).and_then(|file| file.read_from(0));
            if !replaced.is_ok_and(|bytes| bytes == manifest::encode(&next)) {
                return Err(Error::folder(&self.dir, &error));
            }
            self.unsynced.store(true, Ordering::Release);
        } else {
            self.unsynced.store(false, Ordering::Release);
        }
        let version = self.pins.publish(next);
        self.garbage.lock().extend(removed.iter().map(|entry| entry.path.clone()));
        self.remove_garbage();
        Ok(version)
    }

    /// Publishes a version that differs in `hot_seq` only: what is below it is read from files from now on.
    pub(crate) fn raise_hot_seq(&self, hot_seq: u64) -> Arc<Version> {
        let _one_at_a_time = self.committing.lock();
        let before = self.version();
        if before.hot_seq >= hot_seq {
            return before;
        }
        self.pins.publish(Version { hot_seq, number: before.number + 1, ..(*before).clone() })
    }

    /// Whether what older manifests name may be removed: the newest one is durable.
    pub(crate) fn is_synced(&self) -> bool {
        !self.unsynced.load(Ordering::Acquire)
    }

    /// The number of the next flush.
    #[cfg(test)]
    pub(crate) fn next_seq(&self) -> u64 {
        self.version().next_seq
    }

    /// A name for a new file; nothing is made yet.
    pub(crate) fn new_path(&self, kind: FileKind) -> (BlockId, PathBuf) {
        let id = BlockId::generate(Timestamp(self.clock.now_ms()), &self.random);
        (id, file_path(&self.dir, id, kind))
    }

    /// Where generation `generation` of the registry lies.
    pub(crate) fn registry_path(&self, generation: u64) -> PathBuf {
        registry_path(&self.dir, generation)
    }

    /// Removes a file that was written for a commit that did not happen. Failure is left to the next start.
    pub(crate) fn discard(&self, path: &Path) {
        if let Err(error) = self.disk.remove(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(component = "tsdb", path = %path.display(), %error, "could not remove a file of no use");
        }
    }

    /// The entry of a file that was finished at `path`. `cold` unless memory has all that it holds for as long as its
    /// seq is not below `hot_seq`: what is merged is cold.
    pub(crate) fn entry(&self, meta: FileMeta, window: Window, cold: bool) -> Result<Entry, Error> {
        let path = file_path(&self.dir, meta.id, meta.kind);
        let len = self.disk.open(&path).and_then(|file| file.len());
        let bytes = len.map_err(|error| Error::folder(&path, &error))?;
        Ok(Entry::open(&self.disk, &self.cache, (meta, window, path), bytes, cold))
    }

    fn remove_garbage(&self) {
        if self.is_synced() {
            let garbage = std::mem::take(&mut *self.garbage.lock());
            garbage.iter().for_each(|path| self.discard(path));
        }
    }

    /// Removes files that the manifest does not name.
    fn sweep(&self) -> Result<(), Error> {
        let version = self.version();
        let registry = self.registry_path(version.registry.generation);
        for below in [BLOCK_DIR, SERIES_DIR] {
            let dir = self.dir.join(below);
            for entry in self.disk.list(&dir).map_err(|error| Error::folder(&dir, &error))? {
                let path = dir.join(&entry.name);
                let named = path == registry || version.files.iter().any(|file| file.path == path);
                if !entry.is_dir && !named {
                    tracing::info!(component = "tsdb", path = %path.display(), "removing a file that nothing names");
                    self.discard(&path);
                }
            }
        }
        Ok(())
    }
}

fn file_path(dir: &Path, id: BlockId, kind: FileKind) -> PathBuf {
    dir.join(BLOCK_DIR).join(format!("{id}.{}", extension(kind)))
}

pub(crate) fn registry_path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(SERIES_DIR).join(format!("{generation:010}"))
}

/// Without a manifest nothing may be taken for garbage.
fn refuse_unnamed_files(disk: &SharedDisk, dir: &Path) -> Result<(), Error> {
    let below = dir.join(BLOCK_DIR);
    let entries = match disk.list(&below) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Error::folder(&below, &error))?,
    };
    let kinds = [FileKind::Part, FileKind::Block].map(extension);
    let named = |name: &str| name.rsplit_once('.').is_some_and(|(_, ending)| kinds.contains(&ending));
    match entries.iter().find(|entry| named(&entry.name)) {
        None => Ok(()),
        Some(file) => {
            let what = format!("it is missing, but there are files as {BLOCK_DIR}/{}", file.name);
            Err(Error::Manifest { path: dir.join(MANIFEST), what })
        }
    }
}

#[cfg(test)]
mod tests;
