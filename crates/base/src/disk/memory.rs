//! A disk in memory for tests.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, Entry, File, Lock};

/// A disk in memory that forgets what was not synced when it crashes, and can be full.
#[derive(Debug, Default, Clone)]
pub struct MemoryDisk(Arc<Mutex<MemoryTree>>);

#[derive(Debug, Default)]
struct MemoryTree {
    files: BTreeMap<PathBuf, MemoryFile>,
    durable: BTreeMap<PathBuf, MemoryFile>,
    limit: Option<usize>,
    locks: BTreeMap<PathBuf, std::sync::Weak<()>>,
}

#[derive(Debug, Clone, Default)]
struct MemoryFile(Arc<Mutex<MemoryContent>>);

#[derive(Debug, Default)]
struct MemoryContent {
    bytes: Vec<u8>,
    synced: usize,
}

impl MemoryDisk {
    /// What is left after a power cut: synced names, and of every file its synced bytes plus
    /// `torn` of the bytes behind them.
    #[must_use]
    pub fn after_power_cut(&self, torn: usize) -> Self {
        let tree = self.0.lock();
        let keep = |(path, file): (&PathBuf, &MemoryFile)| {
            let content = file.0.lock();
            let len = content.bytes.len().min(content.synced + torn);
            let content = MemoryContent { bytes: content.bytes[..len].to_vec(), synced: len };
            (path.clone(), MemoryFile(Arc::new(Mutex::new(content))))
        };
        let files: BTreeMap<_, _> = tree.durable.iter().map(keep).collect();
        let locks = BTreeMap::new();
        Self(Arc::new(Mutex::new(MemoryTree { durable: files.clone(), files, limit: tree.limit, locks })))
    }

    /// From now on all files together may hold `bytes`; `None` lifts the limit.
    pub fn set_limit(&self, bytes: Option<usize>) {
        self.0.lock().limit = bytes;
    }

    fn room(&self) -> usize {
        let tree = self.0.lock();
        let used: usize = tree.files.values().map(|file| file.0.lock().bytes.len()).sum();
        tree.limit.map_or(usize::MAX, |limit| limit.saturating_sub(used))
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let tree = self.0.lock();
        let file = tree.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryHandle { disk: self.clone(), file: file.clone() }))
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = self.0.lock().files.entry(path.to_owned()).or_default().clone();
        Ok(Arc::new(MemoryHandle { disk: self.clone(), file }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let tree = self.0.lock();
        let mut entries = BTreeMap::new();
        for (path, file) in &tree.files {
            let Ok(rest) = path.strip_prefix(dir) else { continue };
            let mut parts = rest.iter();
            let Some(name) = parts.next() else { continue };
            let name = name.to_string_lossy().into_owned();
            let is_dir = parts.next().is_some();
            let len = if is_dir { 0 } else { file.0.lock().bytes.len() as u64 };
            entries.insert(name.clone(), Entry { name, len, is_dir });
        }
        Ok(entries.into_values().collect())
    }

    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.lock().files.remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.0.lock();
        let file = tree.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        tree.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut guard = self.0.lock();
        let MemoryTree { files, durable, .. } = &mut *guard;
        let inside = |path: &Path| path.parent() == Some(dir);
        durable.retain(|path, _| !inside(path));
        let named = files.iter().filter(|(path, _)| inside(path));
        durable.extend(named.map(|(path, file)| (path.clone(), file.clone())));
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.0.lock();
        let file = tree.files.get(from).ok_or(io::ErrorKind::NotFound)?.clone();
        if tree.files.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        tree.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.room() as u64)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut tree = self.0.lock();
        if tree.locks.get(path).is_some_and(|held| held.strong_count() > 0) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let held = Arc::new(());
        tree.locks.insert(path.to_owned(), Arc::downgrade(&held));
        Ok(Lock { _held: Box::new(held) })
    }
}

#[derive(Debug)]
struct MemoryHandle {
    disk: MemoryDisk,
    file: MemoryFile,
}

impl File for MemoryHandle {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let room = self.disk.room();
        let mut content = self.file.0.lock();
        content.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if room < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.file.0.lock();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.bytes.len());
        let len = buffer.len().min(content.bytes.len() - start);
        buffer[..len].copy_from_slice(&content.bytes[start..start + len]);
        Ok(len)
    }

    fn sync(&self) -> io::Result<()> {
        let mut content = self.file.0.lock();
        content.synced = content.bytes.len();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.0.lock().bytes.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut content = self.file.0.lock();
        content.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        content.synced = content.bytes.len();
        Ok(())
    }
}
