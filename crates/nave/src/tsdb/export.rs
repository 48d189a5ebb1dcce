//! `nave tsdb export`: blocks for Prometheus, Thanos and Mimir.
//!
//! The samples are gone through twice: once to see which stretches of time have any, once per such stretch to write its
//! block. Memory: the samples of [`SERIES_AT_ONCE`] series in one stretch, and what a block's writer needs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use nave_base::clock::SystemClock;
use nave_base::disk::LocalDisk;
use nave_base::random::Random;
use nave_model::append::Tenant;
use nave_model::duration::PromDuration;
use nave_model::label::{Labels, METRIC_NAME};
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::select::{Columns, Scope, Select, Selected, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_prometheus_block::block::{BlockId, BlockWriter, Options};
use nave_promql::{ParseOptions, parse_selector};
use nave_tsdb::Tsdb;

use super::{existing, open_store};
use crate::explain::time;

const SERIES_AT_ONCE: usize = 64;
/// Prometheus' shortest block; longer ones are multiples.
const SHORTEST_MS: i64 = 2 * 3_600_000;

/// Flags of `nave tsdb export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where the blocks go: a new folder, or the data directory of a Prometheus.
    target: PathBuf,
    /// Folder of the hub's samples; the hub must not be running on it.
    #[arg(long = "storage.tsdb.path", default_value = "data/")]
    tsdb_path: PathBuf,
    /// Only series that this selector names; may be repeated.
    #[arg(long = "match")]
    matchers: Vec<String>,
    /// Leave out samples before this, as Unix seconds or RFC 3339.
    #[arg(long = "min-time", value_parser = time)]
    min_time: Option<Timestamp>,
    /// Leave out samples after this.
    #[arg(long = "max-time", value_parser = time)]
    max_time: Option<Timestamp>,
    /// How much time one block covers: 2h or a multiple of it.
    #[arg(long = "block-duration", default_value = "2h")]
    block_duration: PromDuration,
    /// Tenant whose samples are written.
    #[arg(long = "tenant", default_value = "default")]
    tenant: String,
}

/// Runs `nave tsdb export`.
pub(crate) async fn run(flags: Export) -> Result<ExitCode> {
    existing(&flags.tsdb_path)?;
    let duration = i64::try_from(flags.block_duration.as_ms()).unwrap_or(0);
    ensure!(
        duration >= SHORTEST_MS && duration % SHORTEST_MS == 0,
        "expected a --block-duration of 2h or a multiple of it, got {}",
        flags.block_duration
    );
    let selectors = selectors(&flags.matchers)?;
    let clock = SystemClock::shared();
    let store = open_store(&flags.tsdb_path, clock.clone()).await?;
    let range = TimeRange {
        min: flags.min_time.unwrap_or(Timestamp::MIN),
        max: flags.max_time.unwrap_or(Timestamp::MAX),
    };
    let scope = Scope { tenant: Tenant(flags.tenant.as_str().into()), ..Scope::default() };
    let exporter = Exporter { store, scope, selectors, target: flags.target, random: Random::from_system() };
    let written = exporter.blocks(range, duration, clock.now_ms()).await;
    exporter.store.close().await;
    let (blocks, samples) = written?;
    let target = exporter.target.display();
    writeln!(std::io::stdout(), "{blocks} blocks with {samples} samples written to {target}")?;
    Ok(ExitCode::SUCCESS)
}

fn selectors(texts: &[String]) -> Result<Vec<Vec<Matcher>>> {
    if texts.is_empty() {
        let any = Matcher::new(MatchOp::NotEqual, METRIC_NAME, "").context("the selector of everything")?;
        return Ok(vec![vec![any], vec![Matcher::equal(METRIC_NAME, "")]]);
    }
    let parse = |text: &String| {
        parse_selector(text, &ParseOptions::default()).with_context(|| format!("--match={text}"))
    };
    texts.iter().map(parse).collect()
}

struct Exporter {
    store: std::sync::Arc<Tsdb>,
    scope: Scope,
    selectors: Vec<Vec<Matcher>>,
    target: PathBuf,
    random: Random,
}

impl Exporter {
    /// How many blocks and samples were written.
    async fn blocks(&self, range: TimeRange, duration: i64, now: i64) -> Result<(usize, u64)> {
        std::fs::create_dir_all(&self.target)
            .with_context(|| format!("cannot make {}", self.target.display()))?;
        let (mut blocks, mut samples) = (0, 0);
        for (start, newest) in self.stretches(range, duration).await? {
            let end = start.saturating_add(duration - 1);
            // Prometheus takes no new samples before the end of its newest block.
            let end = if end >= now { newest } else { end };
            let inside =
                TimeRange { min: range.min.max(Timestamp(start)), max: range.max.min(Timestamp(end)) };
            let block = TimeRange { min: Timestamp(start), max: Timestamp(end) };
            // Ascending names: Prometheus prefers the older block where two have the same time.
            let id = BlockId::generate(Timestamp(now + blocks as i64), &self.random);
            let mut writer = BlockWriter::create(LocalDisk::shared(), &self.target, Options::new(id, block))?;
            self.each(inside, |labels, columns| Ok(writer.push(labels, columns)?)).await?;
            if let Some(meta) = writer.finish()? {
                let (block, series) = (meta.ulid, meta.stats.num_series);
                samples += meta.stats.num_samples;
                blocks += 1;
                tracing::info!(
                    component = "export",
                    block,
                    series,
                    samples = meta.stats.num_samples,
                    "block written"
                );
            }
        }
        Ok((blocks, samples))
    }

    /// The starts of the stretches that have samples, with the newest one's time.
    async fn stretches(&self, range: TimeRange, duration: i64) -> Result<BTreeMap<i64, i64>> {
        let mut stretches = BTreeMap::new();
        let note = |_: &Labels, columns: &Columns| {
            for t in &columns.timestamps {
                let newest =
                    stretches.entry(t.0.div_euclid(duration).saturating_mul(duration)).or_insert(t.0);
                *newest = t.0.max(*newest);
            }
            Ok(())
        };
        self.each(range, note).await?;
        Ok(stretches)
    }

    /// Gives every series that one of the selectors names once, in label order.
    async fn each(
        &self,
        range: TimeRange,
        mut visit: impl FnMut(&Labels, &Columns) -> Result<()>,
    ) -> Result<()> {
        let mut sources = Vec::new();
        for matchers in &self.selectors {
            let mut selection = Selection::new(matchers.clone(), range);
            selection.scope = self.scope.clone();
            sources.push(Series::new(self.store.open(selection).await?).await?);
        }
        let mut columns = Columns::default();
        loop {
            let next = sources.iter().filter_map(|source| source.labels.clone()).min();
            let Some(labels) = next else { break };
            let mut given = false;
            for source in sources.iter_mut().filter(|source| source.labels.as_ref() == Some(&labels)) {
                if !std::mem::replace(&mut given, true) {
                    source.decode(&mut columns)?;
                    if !columns.is_empty() {
                        visit(&labels, &columns)?;
                    }
                }
                source.advance().await?;
            }
        }
        let warnings: Vec<String> = sources.iter().flat_map(|source| source.selected.warnings()).collect();
        if !warnings.is_empty() {
            bail!("not all samples can be read: {}", warnings.join("; "));
        }
        Ok(())
    }
}

/// Goes through a selection.
struct Series {
    selected: Box<dyn Selected>,
    at: usize,
    labels: Option<Labels>,
    pages: Option<Box<dyn nave_model::select::Pages>>,
}

impl Series {
    async fn new(selected: Box<dyn Selected>) -> Result<Self> {
        let mut series = Self { selected, at: 0, labels: None, pages: None };
        series.load().await?;
        Ok(series)
    }

    async fn advance(&mut self) -> Result<()> {
        self.at += 1;
        self.load().await
    }

    async fn load(&mut self) -> Result<()> {
        let len = self.selected.len();
        self.labels = (self.at < len).then(|| self.selected.labels(self.at));
        if self.at < len && self.at.is_multiple_of(SERIES_AT_ONCE) {
            let end = (self.at + SERIES_AT_ONCE).min(len);
            self.pages = Some(self.selected.fetch(self.at..end).await?);
        }
        Ok(())
    }

    fn decode(&self, columns: &mut Columns) -> Result<()> {
        columns.clear();
        if let Some(pages) = &self.pages {
            pages.decode(self.at, columns)?;
        }
        Ok(())
    }
}
