//! Why a block could not be written or read.

use std::io;

use crate::damage::Damage;
use crate::index::IndexError;

/// Why a block could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or the remote source failed; trying again may help.
    #[error("block: {what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the source said.
        source: io::Error,
    },
    /// Bytes are not what the format says. What else is in the block can still be read.
    #[error("block is damaged: {part} at offset {offset}: {damage}")]
    Damaged {
        /// Which part of the file: `page 7`, `footer`.
        part: String,
        /// Where it begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong inside.
        damage: Damage,
    },
    /// A block of a later version of the format.
    #[error("block has format version {version}, this program reads version 1: use a later release")]
    Version {
        /// The version in the file.
        version: u32,
    },
    /// A series that the index does not take.
    #[error(transparent)]
    Series(#[from] IndexError),
    /// The caller asked to stop.
    #[error("block: the search was canceled")]
    Cancelled,
    /// Samples that are no series: none, of unequal number, or with times that do not ascend.
    #[error("samples of series {series} cannot be written: {reason}")]
    Samples {
        /// The series.
        series: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// Whether both are damage of the same part at the same place.
    pub(crate) fn is_of_same_page(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Damaged { part, offset, .. }, Self::Damaged { part: other, offset: at, .. }) => {
                offset == at && part == other
            }
            _ => false,
        }
    }

    pub(crate) fn damaged(part: impl Into<String>, offset: u64) -> impl FnOnce(Damage) -> Self {
        let part = part.into();
        move |damage| Self::Damaged { part, offset, damage }
    }
}
