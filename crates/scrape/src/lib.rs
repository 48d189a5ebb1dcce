//! Scraping: targets, scrape loops, staleness and report series.
//!
//! [`Scraper`] holds one pool per scrape config. A pool relabels what `nave_discovery` finds into targets and
//! runs one loop per target: fetch the page, read it with `nave_wire`, hand one batch per scrape to an
//! [`nave_model::append::Append`]. Where the samples go from there, a log or a head, is not known here.
//!
//! - One batch per scrape holds its samples, the stale markers of series that vanished and the report series.
//! - A page that is broken anywhere is refused as a whole: nothing of it is stored, all its series end, `up` is 0.
//! - Memory is bounded: the page by its limit, what is known of series by the size of recent pages.

pub mod config;

mod cache;
mod draft;
mod failure_log;
mod fetch;
mod histogram;
mod ingest;
mod line;
mod metadata;
mod metric;
mod pool;
mod report;
mod run;
mod scraper;
mod target;
mod view;

#[cfg(test)]
mod testing;

pub use config::ScrapeConfig;
pub use fetch::BuiltinSource;
pub use scraper::{Builtin, Options, PAGE_BYTES_MAX, Scraper};
pub use target::Health;
pub use view::{ActiveTarget, DroppedTarget, TargetMetadata, Targets};

/// Why scraping cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Settings that cannot be; the texts are upstream's.
    #[error("{0}")]
    Settings(String),
    /// The HTTP client of a job could not be made, usually because of a TLS file.
    #[error("job {job:?}: {error}")]
    Client {
        /// Which job.
        job: String,
        /// Why.
        error: nave_http::client::Error,
    },
}
