//! The remote-write link, both ends.
//!
//! - [`Queue`] keeps samples on disk until every endpoint has them; it implements
//!   [`nave_model::append::Append`] and bounds itself in bytes and age.
//! - [`Sender`] tails a [`Source`] such as the queue, relabels, batches and pushes to one endpoint.
//! - [`receive`] takes what senders push and hands it to an `Append`.
//! - [`cluster`] says on whose behalf: credentials, stamps, limits, and what is known of each cluster.
//!
//! Samples are delivered at least once and in order per series. This crate knows neither scraping nor
//! storage; wire bytes come from `nave_wire`, files from `nave_wal`.

pub mod cluster;
mod config;
mod error;
mod metric;
mod queue;
pub mod receive;
mod send;
mod source;

pub use config::{
    ConfigError, MetadataConfig, ProtobufMessage, QueueConfig, RemoteWriteConfig, check_header, check_names,
};
pub use error::Error;
pub use metric::Metrics;
pub use queue::{Queue, QueueOptions};
pub use send::{CatchUp, CatchUpOptions, MetadataSource, Sender, SenderOptions};
pub use source::{Delivered, Gap, Piece, Source, Step, Tail};
