//! Why something of Prometheus' could not be read or written.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with bytes, without the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage(pub(crate) Cow<'static, str>);

impl Damage {
    pub(crate) fn checksum(stored: u32, computed: u32) -> Self {
        format!("checksum {computed:08x} where {stored:08x} is stored").into()
    }

    /// Names the place.
    pub(crate) fn at(self, path: &Path, offset: u64) -> Error {
        Error::Damaged { path: path.to_owned(), offset, what: self }
    }
}

impl From<&'static str> for Damage {
    fn from(what: &'static str) -> Self {
        Self(Cow::Borrowed(what))
    }
}

impl From<String> for Damage {
    fn from(what: String) -> Self {
        Self(Cow::Owned(what))
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why something of Prometheus' could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system failed; trying again may help.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes are not what the format says. What else is there can still be read.
    #[error("{} is damaged at offset {offset}: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where, in bytes from its start.
        offset: u64,
        /// What is wrong.
        what: Damage,
    },
    /// Written by a later version of Prometheus.
    #[error("{}: {what} is not known to this version: use a later release", path.display())]
    Unsupported {
        /// Which file.
        path: PathBuf,
        /// Version, encoding or record type.
        what: String,
    },
    /// A series that a block cannot hold.
    #[error("series {series} cannot be written: {reason}")]
    Series {
        /// Its labels.
        series: String,
        /// What is wrong.
        reason: String,
    },
    /// A block outgrows what its format can address.
    #[error("the block is too large: {0}; choose a shorter block duration")]
    TooLarge(&'static str),
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Whether the bytes are to blame, so that reading on elsewhere makes sense.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Unsupported { .. })
    }
}
