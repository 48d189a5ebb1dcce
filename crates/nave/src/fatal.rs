//! A panic while samples are taken ends the process.
//!
//! After a panic in the ingest path, memory and log may disagree; the log is right, and a restart rebuilds
//! memory from it. A panic anywhere else (a query, a page) is contained where it happens.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nave_model::append::{Append, AppendError, Batch, Outcome};

/// Threads that own a log: without them nothing can be acknowledged any more.
const LOG_THREADS: [&str; 2] = ["tsdb-log", "remote-queue"];
/// Whoever reads the queue and delivers: without it samples would wait for ever.
const SENDER: &str = "crates/remote/src/send/";

/// Makes panics of log threads and senders end the process. Call once, before they start.
pub(crate) fn install() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        let thread = std::thread::current();
        let log = thread.name().is_some_and(|name| LOG_THREADS.contains(&name));
        let sender = panic.location().is_some_and(|place| place.file().contains(SENDER));
        if log || sender {
            std::process::abort();
        }
    }));
}

/// An appender whose panics end the process.
pub(crate) struct OrDie<A>(pub(crate) A);

impl<A: Append> Append for OrDie<A> {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>> {
        let appended = AssertUnwindSafe(async move { self.0.append(batch).await }).catch_unwind();
        appended.map(|outcome| outcome.unwrap_or_else(|_| std::process::abort())).boxed()
    }
}
