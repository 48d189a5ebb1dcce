//! Prometheus' own storage as a bridge: its data directories are read, its blocks are written.
//!
//! [`directory::Directory`] gives the samples of a data directory: blocks, memory-mapped head chunks, the
//! log and the log of out-of-order samples, as Prometheus itself would put them together. [`block::BlockWriter`]
//! writes blocks that Prometheus opens. Below them stand the single formats: [`chunk`], [`block`], [`wal`] and
//! [`head_chunk`]; `docs/format/prometheus.md` says where each comes from.
//!
//! Invariants: every checksum on the way is checked; damage is a named [`Error`] and never a panic; no memory is
//! taken for a length that was not checked against what is there; all files are read through
//! [`nave_base::disk`].

mod bit;
pub mod block;
pub mod chunk;
mod columns;
pub mod directory;
mod error;
mod file;
pub mod head_chunk;
pub mod wal;

pub use error::{Damage, Error};
