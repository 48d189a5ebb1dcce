//! Segmented log of typed, checksummed records: append, group commit, replay, tail.
//!
//! [`Log`] writes, [`GroupCommit`] lets many callers share its writes and fsyncs, [`Reader`] replays and
//! tails, [`snapshot`] is one file of records that appears whole or not at all. What the kinds and payloads
//! mean is the caller's; `docs/format/wal.md` draws the bytes.
//!
//! Invariants:
//! - Records are appended at the end of the newest segment only; older segments never change.
//! - A segment is synced before the next one is made, so only the newest can have a torn tail.
//! - A record that a reader gives is bit for bit one that was appended.

mod error;
mod frame;
mod group;
mod header;
mod log;
mod reader;
pub mod snapshot;
mod window;

pub use error::Error;
pub use frame::RECORD_BYTES_MAX;
pub use group::GroupCommit;
pub use log::{Log, Opened, Options, Repair, SegmentInfo};
pub use reader::{Damage, Next, Reader, Record};

/// Where a record starts. Ordered as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Number of the segment; the first one is 1.
    pub segment: u64,
    /// Bytes from the start of the segment's file. Anything inside the segment's header means its first
    /// record.
    pub offset: u64,
}

impl Position {
    /// Before every record of every log.
    pub const START: Self = Self { segment: 0, offset: 0 };

    /// The first record of `segment`.
    #[must_use]
    pub fn start_of(segment: u64) -> Self {
        Self { segment, offset: header::HEADER_BYTES }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "segment {} offset {}", self.segment, self.offset)
    }
}
