//! What every room of the house stands on: clock, randomness, files, backoff, shutdown, memory
//! budget and the program's own metrics.
//!
//! Nothing here knows what a metric sample is. Everything that would make a test depend on luck
//! (time, random numbers, disks) is a value that is handed in, never a global.

pub mod backoff;
pub mod budget;
pub mod clock;
pub mod disk;
pub mod metric;
pub mod random;
pub mod thread;
pub mod varint;

/// A signal that travels down a tree of tasks: cancel the root and all children stop.
pub use tokio_util::sync::CancellationToken as Shutdown;
