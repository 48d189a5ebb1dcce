//! `nave tsdb analyze`: which metrics and labels have the most series, and which come and go.
//!
//! The samples themselves are not read: for each stretch of time the indexes say which series there are. A series churns when it is
//! in one stretch and not in the one before. Memory: the label sets of two stretches, and counts per label pair.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;
use nave_base::clock::SystemClock;
use nave_base::disk::LocalDisk;
use nave_model::append::Tenant;
use nave_model::duration::PromDuration;
use nave_model::label::{Labels, METRIC_NAME};
use nave_model::matcher::Matcher;
use nave_model::select::{Need, Scope, Select, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_promql::{ParseOptions, parse_selector};
use nave_tsdb::{Tsdb, offline};

use super::inspect::rfc3339;
use super::{existing, open_store};

/// Stretches of time that are looked at, at most.
const STRETCHES_MAX: i64 = 100_000;

/// Flags of `nave tsdb analyze`.
#[derive(Debug, Args)]
pub(crate) struct Analyze {
    /// Folder of the hub's samples; the hub must not be running on it.
    #[arg(default_value = "data/")]
    path: PathBuf,
    /// Lines per list.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Only series that this selector names.
    #[arg(long = "match")]
    selector: Option<String>,
    /// Length of a stretch of time.
    #[arg(long, default_value = "2h")]
    step: PromDuration,
    /// Tenant whose series are counted.
    #[arg(long, default_value = "default")]
    tenant: String,
}

/// Runs `nave tsdb analyze`.
pub(crate) async fn run(flags: Analyze) -> Result<ExitCode> {
    existing(&flags.path)?;
    let step = i64::try_from(flags.step.as_ms()).unwrap_or(i64::MAX);
    ensure!(step > 0, "expected a --step above 0, got {}", flags.step);
    let matchers = match &flags.selector {
        Some(text) => parse_selector(text, &ParseOptions::default())?,
        None => Vec::new(),
    };
    let contents = offline::contents(&LocalDisk::shared(), &flags.path)?;
    let store = open_store(&flags.path, SystemClock::shared()).await?;
    let head = store.head_stats();
    let ranges =
        contents.files.iter().filter(|file| file.meta.tenant == flags.tenant).map(|file| file.meta.range);
    let memory = TimeRange { min: Timestamp(head.min_time), max: Timestamp(head.max_time) };
    let ranges: Vec<TimeRange> = ranges.chain([memory]).filter(|range| range.min <= range.max).collect();
    let scope = Scope { tenant: Tenant(flags.tenant.as_str().into()), ..Scope::default() };
    let counted = count(&store, &scope, &matchers, &ranges, step).await;
    store.close().await;
    counted?.print(&mut std::io::stdout().lock(), flags.limit)?;
    Ok(ExitCode::SUCCESS)
}

/// What was counted.
#[derive(Default)]
struct Counted {
    /// Start, series, and how many of them were not in the stretch before.
    stretches: Vec<(i64, usize, usize)>,
    metrics: HashMap<String, Count>,
    jobs: HashMap<String, Count>,
    clusters: HashMap<String, Count>,
    pairs: HashMap<(String, String), Count>,
    /// Bytes of all values and how many there are, by label name.
    names: HashMap<String, (usize, usize)>,
    series: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    series: usize,
    /// Appearances after the first stretch.
    churn: usize,
}

async fn count(
    store: &Tsdb,
    scope: &Scope,
    matchers: &[Matcher],
    ranges: &[TimeRange],
    step: i64,
) -> Result<Counted> {
    let mut counted = Counted::default();
    let (Some(min), Some(max)) =
        (ranges.iter().map(|range| range.min.0).min(), ranges.iter().map(|range| range.max.0).max())
    else {
        return Ok(counted);
    };
    let first = min.div_euclid(step).saturating_mul(step);
    let stretches = max.saturating_sub(first) / step + 1;
    ensure!(
        stretches <= STRETCHES_MAX,
        "expected at most {STRETCHES_MAX} stretches, there are {stretches}: use a longer --step"
    );
    let (mut known, mut before): (HashSet<Labels>, HashSet<Labels>) = Default::default();
    for start in (0..stretches).map(|at| first + at * step) {
        let range = TimeRange { min: Timestamp(start), max: Timestamp(start.saturating_add(step - 1)) };
        if !ranges.iter().any(|other| other.overlaps(&range)) {
            before.clear();
            continue;
        }
        let mut selection = Selection::new(matchers.to_vec(), range);
        (selection.scope, selection.need) = (scope.clone(), Need::Labels);
        let selected = store.open(selection).await?;
        let now: HashSet<Labels> = (0..selected.len()).map(|index| selected.labels(index)).collect();
        let fresh = now.iter().filter(|labels| !before.contains(*labels));
        let mut appeared = 0;
        for labels in fresh {
            appeared += 1;
            counted.note(labels, known.insert(labels.clone()), !counted.stretches.is_empty());
        }
        counted.stretches.push((start, now.len(), appeared));
        before = now;
    }
    counted.series = known.len();
    Ok(counted)
}

impl Counted {
    /// A series appears: for the first time (`is_new`), or in a stretch that is not the first (`churns`).
    fn note(&mut self, labels: &Labels, is_new: bool, churns: bool) {
        let add = |count: &mut Count| {
            count.series += usize::from(is_new);
            count.churn += usize::from(churns);
        };
        add(self.metrics.entry(labels.metric_name().to_owned()).or_default());
        add(self.jobs.entry(labels.get("job").to_owned()).or_default());
        add(self.clusters.entry(labels.get("cluster").to_owned()).or_default());
        for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
            let pair = self.pairs.entry((name.to_owned(), value.to_owned())).or_insert_with(|| {
                let values = self.names.entry(name.to_owned()).or_default();
                *values = (values.0 + value.len(), values.1 + 1);
                Count::default()
            });
            add(pair);
        }
    }

    fn print(&self, out: &mut impl Write, limit: usize) -> Result<()> {
        writeln!(out, "{} series\n\nstretches of time: series, of which new", self.series)?;
        for (start, series, appeared) in &self.stretches {
            writeln!(out, "{:>24} {series:>10} {appeared:>10}", rfc3339(Timestamp(*start)))?;
        }
        let pairs: HashMap<String, Count> =
            self.pairs.iter().map(|((name, value), count)| (format!("{name}={value}"), *count)).collect();
        for (what, counts) in [
            ("metric", &self.metrics),
            ("job", &self.jobs),
            ("cluster", &self.clusters),
            ("label pair", &pairs),
        ] {
            top(out, &format!("series by {what}"), limit, counts, |count| count.series)?;
            top(out, &format!("appearances after the first stretch by {what}"), limit, counts, |count| {
                count.churn
            })?;
        }
        top(out, "values by label name", limit, &self.names, |values| values.1)?;
        top(out, "bytes of values by label name", limit, &self.names, |values| values.0)
    }
}

/// The largest entries, without those that have none.
fn top<T>(
    out: &mut impl Write,
    what: &str,
    limit: usize,
    counts: &HashMap<String, T>,
    of: impl Fn(&T) -> usize,
) -> Result<()> {
    let mut all: Vec<(usize, &str)> =
        counts.iter().map(|(name, count)| (of(count), &**name)).filter(|(count, _)| *count > 0).collect();
    if all.is_empty() {
        return Ok(());
    }
    all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    writeln!(out, "\n{what}")?;
    for (count, name) in all.iter().take(limit) {
        writeln!(out, "{count:>12} {}", if name.is_empty() { "(none)" } else { name })?;
    }
    Ok(())
}
