//! What can go wrong with a log. Cloneable, because one failed write answers many callers.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log could not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No room. The log is as it was before and can be used again when there is room.
    #[error("no room for the log at {}: {message}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        message: String,
    },
    /// The file system failed.
    #[error("log {}: {doing}: {message}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        message: String,
    },
    /// Written by a newer program.
    #[error(
        "log {} has format version {found}, expected {expected}: start the program version that wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// In the file.
        found: u32,
        /// What this program reads and writes.
        expected: u32,
    },
    /// A record that no segment can hold; nothing was written.
    #[error("a log record of {bytes} bytes is over the limit of {limit}: write smaller batches")]
    TooLarge {
        /// Payload and frame.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The thread that writes has ended.
    #[error("the log is closed")]
    Closed,
}

impl Error {
    /// Sorts a failure of the file system.
    pub(crate) fn io(doing: &'static str, path: &Path, error: &io::Error) -> Self {
        let (path, message) = (path.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, message },
            _ => Self::Io { doing, path, message },
        }
    }
}
