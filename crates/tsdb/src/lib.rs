//! Recent data: head behind the log, late data, flushes into parts, compaction into blocks, selection, deletes, retention.
//!
//! [`Tsdb`] takes batches ([`nave_model::append::Append`]) and gives series ([`nave_model::select::Select`]).
//! Samples live compressed in memory and, before they are acknowledged, in a log from which memory is rebuilt; regular flushes
//! move them into immutable files, so that the log stays short (`docs/decisions/036-engine.md`).
//!
//! Invariants:
//! - What was acknowledged is durable and visible; what is in the log is never contradicted by it.
//! - A series has one number for its life, and numbers are never used twice.
//! - Of two equal samples the first one's start timestamp stays.

mod bits;
mod catalog;
mod chunk;
mod compact;
mod error;
mod exemplar;
mod flush;
mod head;
mod index;
mod ingest;
mod lookup;
mod metadata;
mod metric;
pub mod offline;
mod options;
mod order;
mod postings;
mod pressure;
pub mod record;
mod registry;
mod replay;
mod retain;
mod select;
mod series;
mod source;
mod statistics;
mod store;
mod ticket;
mod view;

pub use compact::{BlockStatus, RetentionRule};
pub use error::Error;
pub use flush::Flushed;
pub use options::Options;
pub use replay::Replayed;
pub use retain::Retained;
pub use statistics::{HeadStatistics, Ranked, Statistics};
pub use store::Tsdb;
