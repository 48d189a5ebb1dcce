//! Pages: the columns of many neighbouring series, about 32,768 samples together.
//!
//! A page of values has the doubles of a run of each series, a page of times has timestamps. A series points at
//! its times by the number of a column in the times pages, because whatever is scraped together shares its times.
//! A page is checked by a CRC-32C before anything in it is believed; `docs/format/block.md` has the bytes.
//!
//! [`PageWriter`] collects columns and writes a page; [`Page`] reads one, stream by stream as columns are asked for.

mod coding;
mod directory;
mod histogram;
mod read;
mod scratch;
#[cfg(test)]
mod tests;
mod write;

pub use coding::Coding;
pub(crate) use histogram::HISTOGRAM_MAX;
pub use read::Page;
pub use scratch::Scratch;
pub use write::PageWriter;

/// What the columns of a page hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Doubles.
    Values,
    /// Milliseconds since the Unix epoch.
    Times,
    /// Native histograms.
    Histograms,
    /// Numbers of series in the store's registry, one column of them.
    Ids,
}

impl Kind {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Values => 1,
            Self::Times => 2,
            Self::Histograms => 3,
            Self::Ids => 4,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        let all = [Self::Values, Self::Times, Self::Histograms, Self::Ids];
        all.into_iter().find(|kind| kind.code() == code)
    }

    /// What a report calls a page of this kind.
    pub(crate) fn part(self) -> &'static str {
        match self {
            Self::Values => "page of values",
            Self::Times => "page of times",
            Self::Histograms => "page of histograms",
            Self::Ids => "page of ids",
        }
    }
}

/// Whose values a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// Number of the series in the block's index; ascending within a page.
    pub series: u32,
    /// Number of the column of times, counted over all pages of times of the block.
    pub times: u32,
    /// Number of the column of start timestamps in the pages of times, when there are any.
    pub starts: Option<u32>,
    /// Number of the column of histograms, counted over all pages of histograms, when there are any.
    pub histograms: Option<u32>,
}

/// The most samples in a page; more is damage. Bounds what a reader takes memory for.
pub const SAMPLES_MAX: usize = 1 << 17;

/// The most doubles in a page of histograms.
pub(crate) const HISTOGRAM_DOUBLES_MAX: usize = 1 << 22;

impl Kind {
    /// The most samples, or doubles of histograms, in a page.
    pub(crate) fn samples_max(self) -> usize {
        if self == Self::Histograms { HISTOGRAM_DOUBLES_MAX } else { SAMPLES_MAX }
    }
}

/// Streams are grouped by the size of their numbers, and their number is below this.
const STREAMS_MAX: usize = 28;

/// Set in the transform byte when the column has exceptions.
const HAS_EXCEPTIONS: u8 = 0x80;
/// Set in the transform byte when the column has start timestamps or histograms.
const HAS_COMPANIONS: u8 = 0x40;

/// Where the residuals of an integer column are: the five bits above the order in its form byte.
/// All values are the first; there is nothing else in the directory.
const SOURCE_CONSTANT: u8 = 0;
/// All residuals are zero.
const SOURCE_ZERO: u8 = 1;
/// The residuals of an earlier column.
const SOURCE_COPY: u8 = 2;
/// The first stream; the others follow.
const SOURCE_STREAM: u8 = 3;

/// The parts of a page's directory, each with the same field of all columns.
mod field {
    /// Samples of each series.
    pub(super) const COUNT: usize = 0;
    /// Transform of each series.
    pub(super) const TRANSFORM: usize = 1;
    /// Form byte of each integer column.
    pub(super) const FORM: usize = 2;
    pub(super) const FIRST: usize = 3;
    pub(super) const DIVISOR: usize = 4;
    pub(super) const BASE: usize = 5;
    pub(super) const SECOND: usize = 6;
    /// How many columns back a copy's original is.
    pub(super) const COPY: usize = 7;
    /// Exceptions: number, and for each the distance and the changed bits.
    pub(super) const EXCEPTION: usize = 8;
    /// Series of each column of values, less the one before.
    pub(super) const SERIES: usize = 9;
    /// Times of each column of values, less the one before.
    pub(super) const TIMES: usize = 10;
    /// Columns of start timestamps and of histograms, one more than their number, 0 for none.
    pub(super) const COMPANION: usize = 11;
    /// Number of runs of histograms, and what of each is not in columns.
    pub(super) const HISTOGRAM: usize = 12;
    pub(super) const ALL: usize = 13;
}
