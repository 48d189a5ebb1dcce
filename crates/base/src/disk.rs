//! Files behind a trait, so that tests can crash, tear and fill the disk.
//!
//! What is written is durable only after [`File::sync`]; a new name is durable only after
//! [`Disk::sync_dir`] of its folder. Calls block; run them on a thread that may block.

mod fault;
mod local;
mod memory;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use fault::{FaultDisk, Faults, Incident, What};
pub use local::LocalDisk;
pub use memory::MemoryDisk;

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
    /// Makes a folder and those above it, durably.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Renames within one file system; replaces the target.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Gives the file `from` the second name `to`, which must be free, on the same file system.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let what = format!("this disk has no links, {} cannot be made of {}", to.display(), from.display());
        Err(io::Error::new(io::ErrorKind::Unsupported, what))
    }

    /// Bytes that may still be written on the file system of `dir`; [`u64::MAX`] when nobody knows.
    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    /// Lets only the user of this process read the file, where the disk knows users.
    fn restrict(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

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
    /// Cuts the file to `len` bytes and makes what is left durable.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Both disks behave alike as long as nothing crashes.
    fn check(disk: &dyn Disk, dir: &Path) {
        disk.create_dir_all(dir).unwrap();
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
        disk.link(&path, &dir.join("second")).unwrap();
        assert_eq!(disk.link(&path, &dir.join("meta")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(disk.free_bytes(dir).unwrap() > 0);
        disk.remove(&path).unwrap();
        assert_eq!(disk.open(&dir.join("second")).unwrap().len().unwrap(), 5);
        assert_eq!(disk.open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn all_disks_agree() {
        let dir = tempfile::tempdir().unwrap();
        check(&LocalDisk, &dir.path().join("a/b"));
        check(&MemoryDisk::default(), Path::new("/data"));
        check(&FaultDisk::new(0, None), Path::new("/data"));
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
