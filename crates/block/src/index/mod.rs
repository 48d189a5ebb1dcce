//! The label index: from matchers to series, and from series to labels.
//!
//! Series are numbered from 0 in order of metric name, then labels. Three parts, each with its checksum:
//!
//! - **dictionary**: all symbols, `name 0x00 value`, in order; a symbol's place is its ordinal. Sharing prefixes, it
//!   answers exact and prefix lookups, and goes back from ordinals to text.
//! - **postings**: for each symbol, in order, the series that have it.
//! - **rows**: for each series its symbols, 128 rows together, column by column.
//!
//! [`IndexWriter`] holds about a byte per label of a series, and each symbol once, until it is finished.

mod dictionary;
mod postings;
mod read;
mod rows;
#[cfg(test)]
mod tests;
mod write;

pub use read::Index;
pub use rows::RowCache;
pub use write::{IndexError, IndexWriter};

/// A set of series, by number.
pub type Postings = roaring::RoaringBitmap;

/// Rows that are compressed together.
const ROWS: usize = 128;
/// Symbols between two entries of the postings' skip table.
const SKIP: usize = 32;
/// Between the name and the value of a symbol; no label has it, or the name could not be told from the value.
const SEPARATOR: u8 = 0;
/// The most labels of one series.
const LABELS_MAX: usize = 1 << 12;
/// The most bytes of a block of rows, uncompressed.
const ROW_BLOCK_MAX: usize = ROWS * LABELS_MAX * 5;

/// A finished index: the bytes of its three parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Symbols.
    pub dictionary: Vec<u8>,
    /// Series of each symbol.
    pub postings: Vec<u8>,
    /// Symbols of each series.
    pub rows: Vec<u8>,
}
