//! A block as one file: header, pages, index, directory, meta, footer.
//!
//! [`BlockWriter`] streams series in order and holds one page of each kind, the index and the directory.
//! [`Block`] reads ranges of the file through [`ReadRange`], be it local or remote: the footer, the parts
//! it names, then pages as series are asked for. Every byte of the file is under one of its checksums.

mod cache;
#[cfg(test)]
mod cache_tests;
mod cursor;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod histogram_tests;
mod layout;
mod meta;
mod read;
mod samples;
mod source;
#[cfg(test)]
mod tests;
mod write;

use std::cmp::Ordering;

use nave_model::label::Labels;

pub use cache::{CacheCounts, PageCache};
pub use cursor::{Cursor, Entry};
pub use layout::PageEntry;
pub use meta::{BlockId, FileKind, Meta, SeqRange};
pub use read::Block;
pub(crate) use samples::Run;
pub use source::{LocalFile, ReadRange};
pub use write::{BlockWriter, Options};

/// The number of a series that the store's registry does not know.
pub const NO_ID: u32 = u32::MAX;

/// The order of series in files: metric name first, then labels.
#[must_use]
pub fn series_order(a: &Labels, b: &Labels) -> Ordering {
    (a.metric_name(), a).cmp(&(b.metric_name(), b))
}
