//! Why the store could not be opened or kept.

use std::path::PathBuf;

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
}
