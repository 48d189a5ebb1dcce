//! Blocks: a folder with an index, chunks, tombstones and what they are about.
//!
//! ```text
//! 01M7W8TMHXMTN7A9NJXBMPX11M/   a ULID
//!   meta.json                   time range, statistics, which blocks it was made of
//!   index                       symbols, series with their chunks, postings
//!   chunks/000001 ...           samples
//!   tombstones                  deleted stretches of series
//! ```
//!
//! Prometheus, Thanos and Mimir write the same; what the latter add to `meta.json` is left alone.

mod index;
mod index_write;
mod meta;
mod read;
#[cfg(test)]
mod tests;
mod tombstone;
mod write;

pub use index::ChunkRef;
pub use meta::{Compaction, Meta, Parent, Statistics};
pub(crate) use read::unreadable;
pub use read::{Block, Series, SeriesCursor};
pub use write::{BlockWriter, Options};

pub use nave_block::block::BlockId;
