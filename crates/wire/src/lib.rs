//! Bytes between processes: exposition text, OpenMetrics, protobuf pages, remote write, OTLP; pure, no I/O.
//!
//! Everything here reads bytes that somebody else wrote: nothing panics on them, and nothing is
//! allocated by a length that they claim before that length is checked.

pub mod exposition;
pub mod otlp;
pub mod remote_write;
pub mod write_v1;
pub mod write_v2;
pub mod zstd_body;

mod pairs;
