//! From a page to a batch: labels of the target, relabelling, limits, times.
//!
//! Known series are found by their text and cost no decoding; everything below `new_series` runs for new ones
//! only. Nothing is stored here: a page that fails leaves an error and the figures it got to.

use nave_model::histogram::{CounterResetHint, Histogram};
use nave_model::label::{Builder, Labels, METRIC_NAME};
use nave_model::relabel::{NameScheme, Verdict, process};
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;
use nave_wire::exposition::protobuf::{self, Histograms, Measured};
use nave_wire::exposition::{Entry, Format, Parser};

use crate::cache::{Cache, Known};
use crate::config::ScrapeConfig;
use crate::draft::Draft;
use crate::fetch::{Page, PageFormat};
use crate::histogram::{Choice, Collected, Fineness};
use crate::line::Line;
use crate::metadata::Families;

/// Samples further ahead of the scrape than this are refused.
const AHEAD_MS_MAX: i64 = 10 * 60 * 1_000;
/// A zero is written at the start of a series when that is at most this long ago: as far back as upstream's head
/// takes samples.
const ZERO_MS_MAX: i64 = 60 * 60 * 1_000;
/// Native histograms of a page may take this many times its bytes decoded, and what is free.
const DECODED_FACTOR: usize = 24;
const DECODED_FREE: usize = 64 << 10;

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
    BucketLimit,
}

/// Reads pages of one target.
pub(crate) struct Ingest<'a> {
    pub(crate) config: &'a ScrapeConfig,
    pub(crate) choice: Choice,
    /// Whether a series that starts gets a zero at its start.
    pub(crate) zero_starts: bool,
    pub(crate) target: &'a Labels,
    pub(crate) at: Timestamp,
    pub(crate) cache: &'a mut Cache,
    pub(crate) families: &'a mut Families,
    pub(crate) draft: &'a mut Draft,
    pub(crate) tally: Tally,
    pub(crate) state: State,
}

/// What is remembered from sample to sample of one page.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The family of the last type line.
    family: String,
    collected: Collected,
    /// Bytes of native histograms so far, and how many there may be.
    decoded_bytes: usize,
    decoded_bytes_max: usize,
    /// A histogram had too many buckets.
    over_buckets: bool,
}

/// Why a page is refused.
pub(crate) type Failed = (Broken, String);

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn page_error(error: impl ToString) -> Failed {
    (Broken::Page, error.to_string())
}

/// For the reader of protobuf pages.
#[derive(Debug)]
pub(crate) struct Stopped(Failed);

impl From<protobuf::Error> for Stopped {
    fn from(error: protobuf::Error) -> Self {
        Self(page_error(error))
    }
}

impl From<Failed> for Stopped {
    fn from(failed: Failed) -> Self {
        Self(failed)
    }
}

impl protobuf::Visit for Ingest<'_> {
    type Error = Stopped;

    fn family(&mut self, family: &protobuf::Family<'_>) -> Result<(), Stopped> {
        self.flush()?;
        self.families.help(family.name, family.help);
        self.families.kind(family.name, family.kind);
        if !family.unit.is_empty() {
            self.families.unit(family.name, family.unit);
        }
        Ok(())
    }

    fn sample(&mut self, sample: &protobuf::Sample<'_>) -> Result<(), Stopped> {
        Ok(self.line(sample)?)
    }
}

impl Ingest<'_> {
    /// Reads the whole page into the draft.
    pub(crate) fn page(&mut self, page: &Page) -> Result<(), Failed> {
        self.state.decoded_bytes_max =
            page.body.len().saturating_mul(DECODED_FACTOR).saturating_add(DECODED_FREE);
        match page.format {
            PageFormat::Lines(format) => self.lines(page, format)?,
            PageFormat::Protobuf => {
                let Choice { native, classic_too, .. } = self.choice;
                let histograms = Histograms { native, classic_too };
                protobuf::read(&page.body, histograms, self).map_err(|Stopped(failed)| failed)?;
            }
        }
        self.flush()?;
        let limit = self.config.sample_limit;
        if self.state.over_buckets {
            return Err((Broken::BucketLimit, "histogram bucket limit exceeded".to_owned()));
        }
        if limit > 0 && self.tally.kept > limit {
            return Err((Broken::SampleLimit, "sample limit exceeded".to_owned()));
        }
        Ok(())
    }

    fn lines(&mut self, page: &Page, format: Format) -> Result<(), Failed> {
        let mut parser = Parser::new(&page.body, format);
        if page.whole {
            parser = parser.whole();
        }
        if self.zero_starts {
            parser = parser.with_start_timestamps();
        }
        while let Some(entry) = parser.next().map_err(page_error)? {
            match entry {
                Entry::Sample(line) => self.line(&line)?,
                Entry::Type { family, kind } => {
                    if self.choice.convert {
                        family.clone_into(&mut self.state.family);
                    }
                    self.families.kind(family, kind);
                }
                Entry::Help { family, text } => self.families.help(family, &text),
                Entry::Unit { family, unit } => self.families.unit(family, unit),
                Entry::Comment | Entry::Eof => {}
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &impl Line) -> Result<(), Failed> {
        let known = match self.cache.find(line.key()) {
            Some(known) => known,
            None => self.new_series(line)?,
        };
        if let Known::Part(part) = known {
            return self.part(part, line);
        }
        self.flush()?;
        self.sample(known, line)
    }

    fn sample(&mut self, known: Known, line: &impl Line) -> Result<(), Failed> {
        self.tally.scraped += 1;
        let Known::Slot(slot) = known else { return Ok(()) };
        let Some(at) = self.admit(slot, line.timestamp()) else { return Ok(()) };
        let kept = match line.value() {
            Measured::Float(value) => self.float(slot, at, line.start(), value),
            Measured::Native(histogram) => {
                self.state.decoded_bytes += histogram.decoded_bytes();
                if self.state.decoded_bytes > self.state.decoded_bytes_max {
                    return Err(page_error("the native histograms of the page expand beyond measure"));
                }
                let histogram = histogram.decode().map_err(page_error)?;
                self.histogram(slot, at, line.start(), histogram)
            }
        };
        if kept && line.may_have_exemplars() {
            let exemplars = line.exemplars().map_err(page_error)?;
            exemplars.into_iter().for_each(|exemplar| self.draft.exemplar(exemplar));
        }
        Ok(())
    }

    /// Counts a sample of a slot; gives its time, or nothing when it is not stored.
    fn admit(&mut self, slot: u32, timestamp: Option<Timestamp>) -> Option<Timestamp> {
        self.tally.kept += 1;
        let own = timestamp.filter(|_| self.config.honor_timestamps);
        let limit = self.config.sample_limit;
        if limit > 0 && self.tally.kept > limit {
            // The page is refused at its end; until then it is only counted.
            return None;
        }
        let followed = own.is_none() || self.config.track_timestamps_staleness;
        let first = self.cache.sample(slot, followed);
        if !first && own.is_none() {
            self.tally.duplicates += 1;
            return None;
        }
        let at = own.unwrap_or(self.at);
        if at > self.at.plus_ms(AHEAD_MS_MAX) {
            self.tally.out_of_bounds += 1;
            return None;
        }
        Some(at)
    }

    fn float(&mut self, slot: u32, at: Timestamp, start: i64, value: f64) -> bool {
        let zero = self.begins(slot, at, start, false);
        self.draft.series(self.cache, slot);
        if zero {
            self.draft.float(Timestamp(start), 0, 0.0);
        }
        self.draft.float(at, start, value);
        true
    }

    fn histogram(&mut self, slot: u32, at: Timestamp, start: i64, mut histogram: Histogram) -> bool {
        if !Fineness::of(self.config).limit(&mut histogram) {
            // Counted on, so that the figures are right; the page is refused at its end.
            self.state.over_buckets = true;
            return false;
        }
        let zero = self.begins(slot, at, start, true);
        self.draft.series(self.cache, slot);
        if zero {
            let Histogram { schema, zero_threshold, integer, .. } = histogram;
            let custom_bounds = histogram.custom_bounds.clone();
            let counter_reset_hint = CounterResetHint::Reset;
            let empty = Histogram {
                schema,
                zero_threshold,
                integer,
                custom_bounds,
                counter_reset_hint,
                ..Histogram::default()
            };
            self.draft.histogram(Timestamp(start), 0, empty);
        }
        self.draft.histogram(at, start, histogram);
        true
    }

    /// Whether the series gets a zero at `start`, because it has not had one yet.
    fn begins(&mut self, slot: u32, at: Timestamp, start: i64, histogram: bool) -> bool {
        let before = self.cache.measured(slot, histogram, start);
        self.zero_starts && start != 0 && start != before && start < at.0 && start >= at.0 - ZERO_MS_MAX
    }

    /// A sample that is part of a histogram.
    fn part(&mut self, at: u32, line: &impl Line) -> Result<(), Failed> {
        let part = self.cache.part(at);
        if self.state.collected.whole != Some(part.whole) {
            self.flush()?;
        }
        if let Some(beside) = part.beside {
            self.sample(beside, line)?;
        }
        let Measured::Float(value) = line.value() else { return Ok(()) };
        let exemplars =
            if line.may_have_exemplars() { line.exemplars().map_err(page_error)? } else { Vec::new() };
        let collected = &mut self.state.collected;
        collected.whole = Some(part.whole);
        collected.add(part.role, value);
        collected.timestamp = line.timestamp();
        collected.start = line.start();
        // As upstream: exemplars of native histograms have a time.
        collected.exemplars.extend(exemplars.into_iter().filter(|exemplar| exemplar.timestamp.is_some()));
        Ok(())
    }

    /// Stores the histogram whose parts were collected. Parts that make none are left out, as upstream does.
    fn flush(&mut self) -> Result<(), Failed> {
        let collected = &mut self.state.collected;
        let Some(whole) = collected.whole.take() else { return Ok(()) };
        let native = collected.classic.native();
        collected.classic.clear();
        let (timestamp, start) = (collected.timestamp.take(), std::mem::take(&mut collected.start));
        let mut exemplars: Vec<Exemplar> = std::mem::take(&mut collected.exemplars);
        let Ok(histogram) = native else { return Ok(()) };
        self.tally.scraped += 1;
        let Known::Slot(slot) = whole else { return Ok(()) };
        let Some(at) = self.admit(slot, timestamp) else { return Ok(()) };
        if self.histogram(slot, at, start, histogram) {
            exemplars.sort_by_key(|exemplar| exemplar.timestamp);
            exemplars.into_iter().for_each(|exemplar| self.draft.exemplar(exemplar));
        }
        Ok(())
    }

    fn new_series(&mut self, line: &impl Line) -> Result<Known, Failed> {
        let exposed = line.labels().map_err(page_error)?;
        let part = match self.choice.convert {
            true => line.part(&exposed, &self.state.family).map_err(page_error)?,
            false => None,
        };
        let Some((role, whole)) = part else {
            let labels = self.relabelled(&exposed)?;
            return self.cache.add(line.key(), labels.as_ref()).map_err(page_error);
        };
        let beside = match self.choice.classic_too {
            true => Some(self.relabelled(&exposed)?),
            false => None,
        };
        let whole = self.relabelled(&whole)?;
        let beside = beside.as_ref().map(Option::as_ref);
        self.cache.add_part(line.key(), role, whole.as_ref(), beside).map_err(page_error)
    }

    /// The labels that a series is stored under, checked against limits; `None` when relabelling drops it.
    fn relabelled(&mut self, exposed: &Labels) -> Result<Option<Labels>, Failed> {
        let mut labels = with_target(exposed, self.target, self.config.honor_labels);
        let dropped = process(&mut labels, &self.config.metric_relabel_configs) == Verdict::Drop;
        let labels = labels.build();
        if dropped || labels.is_empty() {
            return Ok(None);
        }
        self.check_names(&labels)?;
        check_limits(&labels, self.config).map_err(|text| (Broken::LabelLimit, text))?;
        self.tally.added += 1;
        Ok(Some(labels))
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

#[cfg(test)]
#[path = "ingest_histogram_tests.rs"]
mod histogram_tests;
