//! The agent: scrapes into a queue on disk, pushes from it, stores nothing.

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use futures_util::future::BoxFuture;
use nave_base::budget::Budget;
use nave_model::append::{Append, AppendError, Batch, Outcome};
use nave_remote::Metrics;

use super::Process;
use super::part::{Parts, builtins, scraper};
use super::push::Push;
use super::target::Targets;
use crate::config::Config;
use crate::fatal::OrDie;

/// Opens the queue and sets up scraping; nothing runs before the first configuration is applied.
pub(super) async fn start(process: &Process, config: &Config) -> Result<Parts> {
    // The scraper appends to the queue, and the queue's senders ask the scraper for metadata.
    let queue = Arc::new(OrDie(Later(OnceLock::new())));
    let scraper = scraper(process, queue.clone());
    let metrics = Metrics::register(&process.registry);
    let metadata = Arc::new(Targets(scraper.clone()));
    let push = Push::open(process, process.flags.agent_path.clone(), metrics, metadata).await?;
    assert!(queue.0.0.set(push.queue()).is_ok(), "the queue is opened once");
    let builtins = builtins(process, config.global.scrape_interval)?;
    Ok(Parts { scraper, push, builtins, queries: Budget::new("queries", 0), hub: None })
}

/// An appender that is set before anything is appended.
struct Later(OnceLock<Arc<dyn Append>>);

impl Append for Later {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>> {
        match self.0.get() {
            Some(append) => append.append(batch),
            None => Box::pin(async { Err(AppendError::Closed("the queue is not open yet")) }),
        }
    }
}
