//! What a [`super::FaultDisk`] does wrong and how often, and the account of what it did.

use std::fmt;
use std::path::PathBuf;

/// How often operations go wrong, each in so many of a thousand. Nothing does by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Opening, listing, asking for a length and reading fail.
    pub reads: u16,
    /// A read gives one flipped bit; the next one may be right again.
    pub flips: u16,
    /// Appending and cutting fail, appending after any part.
    pub writes: u16,
    /// Syncing a file fails, and what it covered never reaches the disk.
    pub syncs: u16,
    /// Making, renaming, linking and removing names fail, and syncing folders.
    pub names: u16,
    /// The operation moves the clock first.
    pub slow: u16,
    /// By up to this.
    pub slow_ms_max: u32,
}

/// What an operation does, as far as faults differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Read,
    Write,
    Sync,
    Name,
}

impl Faults {
    pub(super) fn rate(&self, class: Class) -> u16 {
        match class {
            Class::Read => self.reads,
            Class::Write => self.writes,
            Class::Sync => self.syncs,
            Class::Name => self.names,
        }
    }
}

/// Something the disk did wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Number of the operation, from 1 in each life of the disk.
    pub operation: u64,
    /// The file or folder.
    pub path: PathBuf,
    /// What.
    pub what: What,
}

/// Kinds of incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An operation failed with an I/O error.
    Failed(&'static str),
    /// There was no room.
    Full,
    /// A read gave a flipped bit.
    FlippedRead {
        /// Which byte.
        offset: u64,
    },
    /// A bit of the file is flipped for good.
    Rotted {
        /// Which byte.
        offset: u64,
        /// Which of its bits.
        mask: u8,
    },
    /// It took this long.
    Slow {
        /// How long.
        ms: u32,
    },
    /// The power went in the middle of it.
    PowerCut(&'static str),
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {} on {}: ", self.operation, self.path.display())?;
        match self.what {
            What::Failed(doing) => write!(f, "{doing} failed"),
            What::Full => write!(f, "no room"),
            What::FlippedRead { offset } => write!(f, "a read flipped a bit of byte {offset}"),
            What::Rotted { offset, .. } => write!(f, "a bit of byte {offset} was flipped for good"),
            What::Slow { ms } => write!(f, "took {ms} ms"),
            What::PowerCut(doing) => write!(f, "the power went while {doing}"),
        }
    }
}
