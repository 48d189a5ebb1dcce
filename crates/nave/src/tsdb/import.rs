//! `nave tsdb import`, and what the hub does when it starts on a data directory of Prometheus.
//!
//! The source is read, never written. Samples go into the store like any others, so that an import that was interrupted
//! is simply run again: what is there already is a duplicate, found at once or when files are merged, and never
//! shown twice.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use nave_base::clock::{SharedClock, SystemClock};
use nave_base::disk::{Disk, LocalDisk, Lock};
use nave_model::append::{
    Append, AppendError, BatchBuilder, HistogramSample, Outcome, Principal, Reason, SeriesRef,
};
use nave_model::label::Labels;
use nave_model::metadata::Metadata;
use nave_model::sample::Exemplar;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};
use nave_prometheus_block::directory::{Directory, Item, Report};
use nave_tsdb::Tsdb;
use tokio::runtime::Handle;

use super::{open_store, openmetrics};
use crate::explain::time;

/// Samples of one batch.
const BATCH_SAMPLES: usize = 100_000;
/// So many samples go to memory and log before they are flushed to files, which bounds both.
const FLUSH_SAMPLES: usize = 5_000_000;
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Flags of `nave tsdb import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A data directory of Prometheus, which must not be running on it, or a file in OpenMetrics text whose samples
    /// have timestamps.
    source: PathBuf,
    /// Folder of the hub's samples; made when it does not exist.
    #[arg(long = "storage.tsdb.path", default_value = "data/")]
    tsdb_path: PathBuf,
    /// Leave out samples before this, as Unix seconds or RFC 3339.
    #[arg(long = "min-time", value_parser = time)]
    min_time: Option<Timestamp>,
    /// Leave out samples after this.
    #[arg(long = "max-time", value_parser = time)]
    max_time: Option<Timestamp>,
    /// Set this label on every series, as name=value; may be repeated.
    #[arg(long = "label", value_parser = label)]
    labels: Vec<(String, String)>,
}

fn label(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').ok_or_else(|| anyhow!("expected name=value, got {text:?}"))?;
    ensure!(!name.is_empty() && !value.is_empty(), "expected name=value, got {text:?}");
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs `nave tsdb import`; exit code 1 when something of the source could not be read or stored.
pub(crate) async fn run(flags: Import) -> Result<ExitCode> {
    let clock = SystemClock::shared();
    let range = TimeRange {
        min: flags.min_time.unwrap_or(Timestamp::MIN),
        max: flags.max_time.unwrap_or(Timestamp::MAX),
    };
    let source = Source::of(&flags.source)?;
    let store = open_store(&flags.tsdb_path, clock.clone()).await?;
    let _lock = source.lock(&flags.tsdb_path)?;
    let principal = Principal { stamp: flags.labels, ..Principal::anonymous("import") };
    let imported = import(store.clone(), clock, source, range, principal).await;
    store.close().await;
    let imported = imported?;
    writeln!(std::io::stdout(), "{imported}")?;
    Ok(if imported.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where samples come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A data directory of Prometheus.
    Directory(PathBuf),
    /// OpenMetrics text.
    File(PathBuf),
}

impl Source {
    fn of(path: &Path) -> Result<Self> {
        if path.is_file() {
            return Ok(Self::File(path.to_owned()));
        }
        ensure!(path.is_dir(), "expected a folder or a file at {}, found none", path.display());
        if !Directory::is_one(&LocalDisk::shared(), path)? {
            bail!("{} has neither blocks of Prometheus nor its log (wal/)", path.display());
        }
        Ok(Self::Directory(path.to_owned()))
    }
}

impl Source {
    /// Keeps Prometheus from starting on the source meanwhile; where it holds its lock already, that is an error. The
    /// store's own folder is locked by the store.
    fn lock(&self, store: &Path) -> Result<Option<Lock>> {
        let Self::Directory(dir) = self else { return Ok(None) };
        let path = dir.join("lock");
        if !path.exists() || same_file(dir, store) {
            return Ok(None);
        }
        match LocalDisk.lock(&path) {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                bail!("a Prometheus is running on {}: stop it, or import a snapshot of it", dir.display())
            }
            // A folder that cannot be written is a copy.
            Err(_) => Ok(None),
        }
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// What an import did.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// Samples that are new in the store.
    pub(crate) stored: usize,
    /// Samples that it had.
    pub(crate) duplicate: usize,
    /// By reason: how many, and the first one in full.
    pub(crate) refused: BTreeMap<&'static str, (usize, String)>,
    /// What was read of a data directory.
    pub(crate) report: Report,
}

impl Imported {
    /// Whether all samples that are there are in the store now.
    pub(crate) fn is_whole(&self) -> bool {
        self.report.damage_count == 0 && self.refused.keys().all(|kind| *kind == EXEMPLARS)
    }

    /// Whether another import could store more: a limit may be raised, and the future comes.
    pub(crate) fn is_worth_repeating(&self) -> bool {
        self.refused.keys().any(|kind| [ABOVE_LIMIT, TOO_NEW].contains(kind))
    }

    /// What was refused and what could not be read, line by line.
    pub(crate) fn problems(&self) -> impl Iterator<Item = String> {
        let refused = self.refused.iter().map(|(kind, (count, first))| format!("{count} {kind}, as {first}"));
        refused.chain(self.report.damage.iter().map(ToString::to_string))
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, duplicate, report, .. } = self;
        write!(f, "{stored} samples stored, {duplicate} known already")?;
        if report.blocks > 0 || report.head_series > 0 {
            write!(f, "; read {} blocks and a log of {} series", report.blocks, report.head_series)?;
        }
        if report.without_series > 0 {
            write!(f, "; {} items of the log belong to no series that it names", report.without_series)?;
        }
        self.problems().try_for_each(|line| write!(f, "\n{line}"))
    }
}

const EXEMPLARS: &str = "exemplars were not taken";
const ABOVE_LIMIT: &str = "series or samples are above a limit";
const TOO_NEW: &str = "samples are too far in the future";

/// Brings everything of `source` in `range` into `store`, in the name of `principal`.
pub(crate) async fn import(
    store: Arc<Tsdb>,
    clock: SharedClock,
    source: Source,
    range: TimeRange,
    principal: Principal,
) -> Result<Imported> {
    let handle = Handle::current();
    let work = move || {
        let mut writer = Writer::new(store.clone(), clock, handle.clone(), principal);
        writer.flushed = Some(store.clone());
        let report = match &source {
            Source::Directory(dir) => directory(dir, range, &mut writer)?,
            Source::File(file) => {
                openmetrics::read(file, range, &mut writer)?;
                Report::default()
            }
        };
        writer.flush()?;
        handle.block_on(store.flush()).context("the store cannot write what was imported to files")?;
        Ok(Imported { report, ..writer.imported })
    };
    tokio::task::spawn_blocking(work).await?
}

fn directory(dir: &Path, range: TimeRange, writer: &mut Writer) -> Result<Report> {
    let directory = Directory::open(&LocalDisk::shared(), dir)?;
    directory.read::<anyhow::Error>(range, |item| match item {
        Item::Samples(labels, columns) => writer.samples(labels, columns),
        Item::Exemplar(labels, exemplar) => writer.exemplar(labels, exemplar),
        Item::Metadata(family, metadata) => writer.metadata(family, metadata),
    })
}

/// Collects batches and appends them, from a thread that may block.
pub(super) struct Writer {
    store: Arc<dyn Append>,
    clock: SharedClock,
    handle: Handle,
    principal: Arc<Principal>,
    batch: BatchBuilder,
    waiting: usize,
    imported: Imported,
    said: Duration,
    /// Asked to flush now and then.
    flushed: Option<Arc<Tsdb>>,
    unflushed: usize,
}

impl Writer {
    pub(super) fn new(
        store: Arc<dyn Append>,
        clock: SharedClock,
        handle: Handle,
        principal: Principal,
    ) -> Self {
        let principal = Arc::new(principal);
        let (batch, said) = (BatchBuilder::new(principal.clone()), clock.monotonic());
        let imported = Imported::default();
        let (flushed, unflushed) = (None, 0);
        Self { store, clock, handle, principal, batch, waiting: 0, imported, said, flushed, unflushed }
    }

    pub(super) fn samples(&mut self, labels: &Labels, columns: &Columns) -> Result<()> {
        let mut histograms = columns.histograms.iter().peekable();
        for (i, (t, value)) in columns.timestamps.iter().zip(&columns.values).enumerate() {
            if i == 0 || self.waiting == 0 {
                self.batch.series(labels, SeriesRef::NONE);
            }
            let start = columns.start_timestamps.get(i).copied().filter(|t| *t != Timestamp(0));
            match histograms.next_if(|(at, _)| *at as usize == i) {
                Some((_, histogram)) => {
                    let histogram = histogram.clone();
                    self.batch.histogram(HistogramSample {
                        timestamp: *t,
                        start_timestamp: start,
                        histogram,
                    });
                }
                None => match start {
                    Some(start) => _ = self.batch.started_sample(*t, start, *value),
                    None => _ = self.batch.sample(*t, *value),
                },
            }
            self.added(1)?;
        }
        Ok(())
    }

    pub(super) fn exemplar(&mut self, labels: &Labels, exemplar: &Exemplar) -> Result<()> {
        self.batch.series(labels, SeriesRef::NONE).exemplar(exemplar.clone());
        self.added(1)
    }

    pub(super) fn metadata(&mut self, family: &str, metadata: &Metadata) -> Result<()> {
        self.batch.metadata(family, metadata.clone());
        self.added(1)
    }

    fn added(&mut self, items: usize) -> Result<()> {
        self.waiting += items;
        if self.waiting >= BATCH_SAMPLES { self.flush() } else { Ok(()) }
    }

    /// Appends what waits; waits itself while the store has too much to do.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.waiting == 0 {
            return Ok(());
        }
        self.unflushed += std::mem::take(&mut self.waiting);
        let batch = std::mem::replace(&mut self.batch, BatchBuilder::new(self.principal.clone())).build();
        let outcome = loop {
            match self.handle.block_on(self.store.append(batch.clone())) {
                Err(AppendError::Overloaded { retry_after, .. }) => {
                    self.handle.block_on(self.clock.sleep(retry_after));
                }
                outcome => break outcome.context("the store does not take the samples")?,
            }
        };
        self.count(&outcome, |series| {
            let series = batch.series.get(series as usize).map(|series| batch.label_bytes(series));
            series.and_then(|bytes| Labels::from_bytes(bytes).ok()).unwrap_or_default()
        });
        if let Some(store) = self.flushed.as_ref().filter(|_| self.unflushed >= FLUSH_SAMPLES) {
            self.unflushed = 0;
            let flushed = self.handle.block_on(store.flush());
            flushed.context("the store cannot write what was imported to files")?;
        }
        let now = self.clock.monotonic();
        if now.saturating_sub(self.said) >= PROGRESS_EVERY {
            self.said = now;
            let Imported { stored, duplicate, .. } = self.imported;
            tracing::info!(component = "import", stored, duplicate, "importing");
        }
        Ok(())
    }

    fn count(&mut self, outcome: &Outcome, labels: impl Fn(u32) -> Labels) {
        let imported = &mut self.imported;
        imported.stored += outcome.samples.stored + outcome.histograms.stored;
        imported.duplicate += outcome.samples.duplicate + outcome.histograms.duplicate;
        for rejection in &outcome.rejections {
            let first = || (0, format!("{}: {}", labels(rejection.series), rejection.reason));
            imported.refused.entry(kind(&rejection.reason)).or_insert_with(first).0 += 1;
        }
    }
}

/// How refused items are counted together.
fn kind(reason: &Reason) -> &'static str {
    match reason {
        Reason::Unsupported(_) => EXEMPLARS,
        Reason::Conflict { .. } | Reason::HistogramConflict { .. } => {
            "samples have another value in the store"
        }
        Reason::TooOld { .. } => "samples are older than retention",
        Reason::TooNew { .. } => TOO_NEW,
        Reason::Limit { .. } => ABOVE_LIMIT,
        _ => "series or samples are not valid",
    }
}
