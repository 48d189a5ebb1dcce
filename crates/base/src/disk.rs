//! Files behind a trait, so that tests can crash, tear and fill the disk.
//!
//! What is written is durable only after [`File::sync`]; a new name is durable only after
//! [`Disk::sync_dir`] of its folder. Calls block; run them on a thread that may block.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

/// How disks are passed around.
pub type SharedDisk = Arc<dyn Disk>;

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The last part of the path.
    pub name: String,
    /// Bytes; 0 for a folder.
    pub len: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// A tree of files.
pub trait Disk: Send + Sync + Debug {
    /// Opens for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Opens for appending and reading; makes the file when it is missing.
    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// What is in `dir`, sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Makes a folder and those above it.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Renames within one file system; replaces the target.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock file `path` for this process, making it when it is missing; held until the result is
    /// dropped or the process ends. A lock held by another is [`io::ErrorKind::WouldBlock`].
    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let what = format!("this disk has no locks, {} cannot be taken", path.display());
        Err(io::Error::new(io::ErrorKind::Unsupported, what))
    }
}

/// A lock on a folder's lock file, given back on drop.
#[derive(Debug)]
pub struct Lock {
    _held: Box<dyn Debug + Send + Sync>,
}

/// An open file. Shared by readers; one writer appends.
pub trait File: Send + Sync + Debug {
    /// Adds all of `bytes` at the end. After an error any prefix of them may be there.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Reads at `offset`; fewer bytes than asked for only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes everything appended so far durable.
    fn sync(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether there are no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// The whole rest of the file from `offset`.
    fn read_from(&self, offset: u64) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.len()?.saturating_sub(offset)).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.read_at(&mut bytes[filled..], offset + filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// Writes `bytes` to `path` so that a crash leaves the old content or the new, never a mix.
///
/// # Errors
/// Of the file system; the old content is then still there.
pub fn write_atomically(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("tmp");
    if let Err(error) = disk.remove(&fresh)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let file = disk.append(&fresh)?;
    file.append(bytes)?;
    file.sync()?;
    disk.rename(&fresh, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The machine's file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct LocalDisk;

impl LocalDisk {
    /// As a shared disk.
    #[must_use]
    pub fn shared() -> SharedDisk {
        Arc::new(Self)
    }
}

impl Disk for LocalDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(LocalFile(fs::File::open(path)?)))
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().create(true).append(true).read(true).open(path)?;
        Ok(Arc::new(LocalFile(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let meta = match entry.metadata() {
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
                meta => meta?,
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            let len = if meta.is_dir() { 0 } else { meta.len() };
            entries.push(Entry { name, len, is_dir: meta.is_dir() });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let file = fs::OpenOptions::new().create(true).append(true).open(path)?;
        file.try_lock()?;
        Ok(Lock { _held: Box::new(file) })
    }
}

#[derive(Debug)]
struct LocalFile(fs::File);

impl File for LocalFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut &self.0, bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.0.sync_data()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Both disks behave alike as long as nothing crashes.
    fn check(disk: &dyn Disk, dir: &Path) {
        let path = dir.join("log");
        let file = disk.append(&path).unwrap();
        file.append(b"hello ").unwrap();
        file.append(b"world").unwrap();
        assert_eq!(disk.open(&path).unwrap().read_from(6).unwrap(), b"world");
        file.truncate(5).unwrap();
        assert_eq!(file.len().unwrap(), 5);
        write_atomically(disk, &dir.join("meta"), b"1").unwrap();
        write_atomically(disk, &dir.join("meta"), b"2").unwrap();
        let names: Vec<_> = disk.list(dir).unwrap().into_iter().map(|e| (e.name, e.len)).collect();
        assert_eq!(names, [("log".to_owned(), 5), ("meta".to_owned(), 1)]);
        let lock = disk.lock(&dir.join("LOCK")).unwrap();
        assert_eq!(disk.lock(&dir.join("LOCK")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        drop(disk.lock(&dir.join("LOCK")).unwrap());
        disk.remove(&path).unwrap();
        assert_eq!(disk.open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn local_and_memory_disks_agree() {
        let dir = tempfile::tempdir().unwrap();
        check(&LocalDisk, dir.path());
        check(&MemoryDisk::default(), Path::new("/data"));
    }

    #[test]
    fn a_power_cut_keeps_only_what_was_synced() {
        let disk = MemoryDisk::default();
        let file = disk.append(Path::new("/d/log")).unwrap();
        file.append(b"kept").unwrap();
        file.sync().unwrap();
        assert!(disk.after_power_cut(0).open(Path::new("/d/log")).is_err(), "the name was not synced");
        disk.sync_dir(Path::new("/d")).unwrap();
        file.append(b"lost").unwrap();
        let read = |disk: MemoryDisk| disk.open(Path::new("/d/log")).unwrap().read_from(0).unwrap();
        assert_eq!(read(disk.after_power_cut(0)), b"kept");
        assert_eq!(read(disk.after_power_cut(2)), b"keptlo");
    }

    #[test]
    fn a_full_disk_takes_a_part_and_says_so() {
        let disk = MemoryDisk::default();
        disk.set_limit(Some(3));
        let file = disk.append(Path::new("/d/log")).unwrap();
        assert_eq!(file.append(b"four").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.len().unwrap(), 3);
    }
}
