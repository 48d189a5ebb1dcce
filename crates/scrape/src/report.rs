//! The series that every scrape reports about itself.

use nave_model::label::{Labels, METRIC_NAME};
use nave_model::time::Timestamp;

use crate::cache::{Cache, Full};
use crate::config::ScrapeConfig;
use crate::draft::Draft;
use crate::ingest::Tally;

const ALWAYS: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];
/// With `extra_scrape_metrics`.
const EXTRA: [&str; 3] = ["scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"];

/// How a scrape went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) up: bool,
    pub(crate) seconds: f64,
    pub(crate) tally: Tally,
    /// -1 for a page over the limit.
    pub(crate) body_bytes: f64,
}

/// The report series of one target.
#[derive(Debug)]
pub(crate) struct Report {
    labels: Vec<Labels>,
    slots: Vec<u32>,
    timeout_seconds: f64,
    sample_limit: f64,
}

impl Report {
    pub(crate) fn new(config: &ScrapeConfig, target: &Labels, timeout_seconds: f64) -> Self {
        let extra: &[&str] = if config.extra_scrape_metrics == Some(true) { &EXTRA } else { &[] };
        let labels = |name: &&str| {
            let mut labels = target.to_builder();
            labels.set(METRIC_NAME, name);
            labels.build()
        };
        Self {
            labels: ALWAYS.iter().chain(extra).map(labels).collect(),
            slots: Vec::new(),
            timeout_seconds,
            sample_limit: config.sample_limit as f64,
        }
    }

    /// Finds the slots, at first and whenever they have moved.
    pub(crate) fn place(&mut self, cache: &mut Cache) -> Result<(), Full> {
        self.slots = self.labels.iter().map(|labels| cache.report_slot(labels)).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Adds the samples of one scrape.
    pub(crate) fn push(&self, draft: &mut Draft, cache: &Cache, at: Timestamp, figures: &Figures) {
        let Figures { up, seconds, tally, body_bytes } = *figures;
        let values = [
            f64::from(u8::from(up)),
            seconds,
            tally.scraped as f64,
            tally.kept as f64,
            tally.added as f64,
            self.timeout_seconds,
            self.sample_limit,
            body_bytes,
        ];
        for (slot, value) in self.slots.iter().zip(values) {
            draft.push(cache, *slot, at, value);
        }
    }

    /// Ends all of them.
    pub(crate) fn push_stale(&self, draft: &mut Draft, cache: &Cache, at: Timestamp) {
        for slot in &self.slots {
            draft.push_stale(cache, *slot, at);
        }
    }
}
