//! Why the store could not be opened or kept.

use std::path::{Path, PathBuf};

/// Why the store could not be opened or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the folder.
    #[error("data folder {} is in use by another process: stop it or choose another folder", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder cannot be used.
    #[error("data folder {}: {message}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the file system said.
        message: String,
    },
    /// The log cannot be read or written.
    #[error(transparent)]
    Log(#[from] nave_wal::Error),
    /// The manifest cannot be used; nothing was changed.
    #[error("manifest {}: {what}; restore it from a copy, or rebuild it with `nave tsdb repair`", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file that was to be replaced is not there any more: something else replaced it first.
    #[error("file {id} is not in the catalog any more")]
    Gone {
        /// The file's name.
        id: String,
    },
    /// The work was stopped before it was done, as asked; nothing of it counts.
    #[error("stopped before it was done")]
    Stopped,
    /// A defect of the program; the work was given up and nothing of it counts.
    #[error("gave up after a panic, which is a bug of nave: {0}")]
    Panicked(String),
    /// There are too many deletes that are not carried out yet.
    #[error("{limit} deletes are waiting to be carried out: call clean_tombstones, then delete again")]
    Tombstones {
        /// How many there may be.
        limit: usize,
    },
    /// A merge was put off: its result has no room beside what it is made of.
    #[error(
        "no room for {wanted} more bytes beside {used} in use with {free} free above --storage.tsdb.min-free-bytes: \
         keep less, or make the disk or the size limit larger"
    )]
    NoRoom {
        /// What the result may take, in bytes.
        wanted: u64,
        /// Bytes of the data folder.
        used: u64,
        /// Free bytes of the disk above the floor.
        free: u64,
    },
    /// A part or block cannot be read or written.
    #[error(transparent)]
    Block(#[from] nave_block::Error),
}

impl Error {
    /// A failure of the file system in `dir`.
    pub(crate) fn folder(dir: &Path, error: &std::io::Error) -> Self {
        Self::Folder { dir: dir.to_owned(), message: error.to_string() }
    }
}
