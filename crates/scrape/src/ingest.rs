//! From a page to a batch: labels of the target, relabelling, limits, times.
//!
//! Known series are found by their text and cost no decoding; everything below `new_series` runs for new ones
//! only. Nothing is stored here: a page that fails leaves an error and the figures it got to.

use std::sync::Arc;

use bytes::Bytes;
use nave_model::append::{Batch, BatchSeries, LabelFormat, Principal};
use nave_model::label::{Builder, Labels, METRIC_NAME};
use nave_model::relabel::{NameScheme, Verdict, process};
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;
use nave_wire::exposition::{Entry, Parser, SampleLine};

use crate::cache::{Cache, Known};
use crate::config::ScrapeConfig;
use crate::fetch::Page;
use crate::metadata::Families;

/// Samples further ahead of the scrape than this are refused.
const AHEAD_MS_MAX: i64 = 10 * 60 * 1_000;

/// What a page held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Samples on the page.
    pub(crate) scraped: u64,
    /// Samples that relabelling kept.
    pub(crate) kept: u64,
    /// Kept series that were new.
    pub(crate) added: u64,
    /// Samples of a series that had one already.
    pub(crate) duplicates: u64,
    /// Samples too far ahead.
    pub(crate) out_of_bounds: u64,
}

/// Which limit a page broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Page,
    SampleLimit,
    LabelLimit,
}

/// A batch in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) batch: Batch,
    /// The slot of each series of the batch.
    pub(crate) slots: Vec<u32>,
}

impl Draft {
    pub(crate) fn new(principal: Arc<Principal>, samples: usize) -> Self {
        let mut batch = Batch::new(principal, LabelFormat::CANONICAL, Bytes::new());
        batch.series.reserve(samples);
        batch.timestamps.reserve(samples);
        batch.values.reserve(samples);
        Self { batch, slots: Vec::with_capacity(samples) }
    }

    /// Takes everything out again.
    pub(crate) fn clear(&mut self) {
        self.batch.series.clear();
        self.batch.timestamps.clear();
        self.batch.values.clear();
        self.batch.exemplars.clear();
        self.slots.clear();
    }

    /// Adds one sample of a slot.
    pub(crate) fn push(&mut self, cache: &Cache, slot: u32, timestamp: Timestamp, value: f64) {
        let (labels, reference) = cache.series(slot);
        let sample = self.batch.values.len() as u32;
        let exemplar = self.batch.exemplars.len() as u32;
        self.batch.timestamps.push(timestamp);
        self.batch.values.push(value);
        self.batch.series.push(BatchSeries {
            labels,
            reference,
            samples: sample..sample + 1,
            histograms: 0..0,
            exemplars: exemplar..exemplar,
        });
        self.slots.push(slot);
    }

    fn exemplar(&mut self, exemplar: Exemplar) {
        self.batch.exemplars.push(exemplar);
        if let Some(series) = self.batch.series.last_mut() {
            series.exemplars.end += 1;
        }
    }
}

/// Reads pages of one target.
pub(crate) struct Ingest<'a> {
    pub(crate) config: &'a ScrapeConfig,
    pub(crate) target: &'a Labels,
    pub(crate) at: Timestamp,
    pub(crate) cache: &'a mut Cache,
    pub(crate) families: &'a mut Families,
    pub(crate) draft: &'a mut Draft,
    pub(crate) tally: Tally,
}

type Failed = (Broken, String);

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn page_error(error: impl ToString) -> Failed {
    (Broken::Page, error.to_string())
}

impl Ingest<'_> {
    /// Reads the whole page into the draft.
    pub(crate) fn page(&mut self, page: &Page) -> Result<(), Failed> {
        let mut parser = Parser::new(&page.body, page.format);
        if page.whole {
            parser = parser.whole();
        }
        while let Some(entry) = parser.next().map_err(page_error)? {
            match entry {
                Entry::Sample(line) => self.sample(&line)?,
                Entry::Type { family, kind } => self.families.kind(family, kind),
                Entry::Help { family, text } => self.families.help(family, &text),
                Entry::Unit { family, unit } => self.families.unit(family, unit),
                Entry::Comment | Entry::Eof => {}
            }
        }
        let limit = self.config.sample_limit;
        if limit > 0 && self.tally.kept > limit {
            return Err((Broken::SampleLimit, "sample limit exceeded".to_owned()));
        }
        Ok(())
    }

    fn sample(&mut self, line: &SampleLine<'_>) -> Result<(), Failed> {
        self.tally.scraped += 1;
        let known = match self.cache.find(line.series) {
            Some(known) => known,
            None => self.new_series(line)?,
        };
        let Known::Slot(slot) = known else { return Ok(()) };
        self.tally.kept += 1;
        let own = line.timestamp.filter(|_| self.config.honor_timestamps);
        let limit = self.config.sample_limit;
        if limit > 0 && self.tally.kept > limit {
            // The page is refused at its end; until then it is only counted.
            return Ok(());
        }
        let followed = own.is_none() || self.config.track_timestamps_staleness;
        let first = self.cache.sample(slot, followed);
        if !first && own.is_none() {
            self.tally.duplicates += 1;
            return Ok(());
        }
        let at = own.unwrap_or(self.at);
        if at > self.at.plus_ms(AHEAD_MS_MAX) {
            self.tally.out_of_bounds += 1;
            return Ok(());
        }
        self.draft.push(self.cache, slot, at, line.value);
        if let Some(exemplar) = &line.exemplar {
            let labels = exemplar.labels().map_err(page_error)?;
            self.draft.exemplar(Exemplar { labels, value: exemplar.value, timestamp: exemplar.timestamp });
        }
        Ok(())
    }

    fn new_series(&mut self, line: &SampleLine<'_>) -> Result<Known, Failed> {
        let exposed = line.labels().map_err(page_error)?;
        let mut labels = with_target(&exposed, self.target, self.config.honor_labels);
        let dropped = process(&mut labels, &self.config.metric_relabel_configs) == Verdict::Drop;
        let labels = labels.build();
        if dropped || labels.is_empty() {
            return self.cache.add(line.series, None).map_err(page_error);
        }
        self.check_names(&labels)?;
        check_limits(&labels, self.config).map_err(|text| (Broken::LabelLimit, text))?;
        let known = self.cache.add(line.series, Some(&labels)).map_err(page_error)?;
        self.tally.added += 1;
        Ok(known)
    }

    fn check_names(&self, labels: &Labels) -> Result<(), Failed> {
        if labels.metric_name().is_empty() {
            return Err(page_error("missing metric name (__name__ label)"));
        }
        let scheme = self.config.metric_name_validation_scheme.unwrap_or(NameScheme::Utf8);
        let valid = scheme.allows_metric(labels.metric_name())
            && labels.iter().all(|(name, _)| name == METRIC_NAME || scheme.allows_label(name));
        if valid { Ok(()) } else { Err(page_error(format!("invalid metric name or label names: {labels}"))) }
    }
}

/// The labels of the page under those of the target; where both have one, the page's moves to `exported_`,
/// or wins when labels are honored.
fn with_target(exposed: &Labels, target: &Labels, honor: bool) -> Builder {
    let mut labels = exposed.to_builder();
    let mut moved: Vec<(&str, &str)> = Vec::new();
    for (name, value) in target {
        let theirs = exposed.get(name);
        if honor && !theirs.is_empty() {
            continue;
        }
        if !theirs.is_empty() {
            moved.push((name, theirs));
        }
        labels.set(name, value);
    }
    moved.sort_by_key(|(name, _)| name.len());
    for (name, value) in moved {
        let mut name = format!("exported_{name}");
        while !labels.get(&name).is_empty() {
            name.insert_str(0, "exported_");
        }
        labels.set(&name, value);
    }
    labels
}

fn check_limits(labels: &Labels, config: &ScrapeConfig) -> Result<(), String> {
    let over = |length: usize, limit: u64| limit > 0 && length as u64 > limit;
    let (label_limit, name_limit) = (config.label_limit, config.label_name_length_limit);
    let value_limit = config.label_value_length_limit;
    if label_limit == 0 && name_limit == 0 && value_limit == 0 {
        return Ok(());
    }
    let metric = cut(labels.metric_name());
    let count = labels.len();
    if over(count, label_limit) {
        return Err(format!(
            "label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {label_limit})"
        ));
    }
    for (name, value) in labels {
        let short = cut(name);
        if over(name.len(), name_limit) {
            let length = name.len();
            return Err(format!(
                "label_name_length_limit exceeded (metric: {metric}, label name: {short}, length: {length}, limit: {name_limit})"
            ));
        }
        if over(value.len(), value_limit) {
            let (value, length) = (cut(value), value.len());
            return Err(format!(
                "label_value_length_limit exceeded (metric: {metric}, label name: {short}, value: {value:?}, length: {length}, limit: {value_limit})"
            ));
        }
    }
    Ok(())
}

/// The first 50 characters.
fn cut(text: &str) -> &str {
    text.char_indices().nth(50).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
#[path = "ingest_tests.rs"]
mod tests;
