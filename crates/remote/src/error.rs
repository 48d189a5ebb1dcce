//! Why the link cannot work.

use std::io;
use std::path::PathBuf;

/// What callers tell apart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be read or written.
    #[error("remote write queue: {0}")]
    Log(#[from] nave_wal::Error),
    /// A file beside the log could not be read or written.
    #[error("remote write queue: {}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// Another process writes to the folder of the queue.
    #[error(
        "remote write queue: {} is in use by another process: stop that, or give this one another folder by \
         --storage.agent.path (of a hub: --storage.tsdb.path)",
        dir.display()
    )]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// Settings that cannot work.
    #[error("remote_write {name}: {why}")]
    Settings {
        /// The endpoint.
        name: String,
        /// What is wrong.
        why: String,
    },
}
