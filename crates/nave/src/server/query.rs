//! What is kept of queries outside the engine: a log of them, and which ones ran when the process died.

mod active;
mod log;

pub(crate) use active::ActiveQueries;
pub(crate) use log::QueryLog;
