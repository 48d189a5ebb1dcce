//! A block as one file: header, pages, index, directory, meta, footer.
//!
//! [`BlockWriter`] streams series in order and holds one page of each kind, the index and the directory.
//! [`Block`] reads ranges of the file through [`ReadRange`], be it local or remote: the footer, the parts
//! it names, then pages as series are asked for. Every byte of the file is under one of its checksums.

mod layout;
mod meta;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use layout::PageEntry;
pub use meta::{BlockId, Meta};
pub use read::{Block, LocalFile, ReadRange};
pub use write::{BlockWriter, Options};
