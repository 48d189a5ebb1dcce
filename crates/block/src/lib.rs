//! One immutable block: columns of samples in pages, a label index, one file.
//!
//! This room knows bytes: how a block is written in bounded memory, and how it is read from slices, whether they
//! come from a local file or were fetched as ranges. When blocks are made, merged and dropped is the store's
//! business. `docs/format/block.md` has the format, `docs/decisions/035-block-format.md` the reasons and figures.
//!
//! Invariants: what is read is bit for bit what was written, or named [`Damage`]; no memory is taken for a length
//! that was not checked against its limit.

pub mod block;
mod column;
mod damage;
mod decimal;
mod error;
pub mod index;
pub mod page;
mod select;
#[cfg(test)]
mod select_tests;
mod stream;

pub use block::{
    Block, BlockId, BlockWriter, CacheCounts, Entry, FileKind, LocalFile, Meta, NO_ID, Options, PageCache,
    ReadRange, SeqRange, series_order,
};
pub use damage::Damage;
pub use error::Error;
pub use index::{Index, Postings, RowCache};
pub use page::Scratch;
pub use select::select;
pub use stream::Effort;
