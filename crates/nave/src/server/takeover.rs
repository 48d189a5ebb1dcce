//! Starting on a data directory of Prometheus: its samples are brought into the hub's store, once.
//!
//! The two lie side by side in one folder without a name in common but `lock`, which both take. Nothing of
//! Prometheus' is changed, so that going back is starting it again. When all is in the store, a file says what was
//! imported; while it fits what is there, nothing is done. `docs/decisions/080-takeover.md` has the reasons.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use nave_base::disk::{LocalDisk, write_atomically};
use nave_model::append::Principal;
use nave_model::time::{TimeRange, Timestamp};
use nave_prometheus_block::directory::Directory;
use nave_tsdb::Tsdb;
use serde::{Deserialize, Serialize};

use super::Process;
use crate::tsdb::import::{Imported, Source, import};

/// Says what was imported, in the store's folder.
const MARK: &str = "prometheus-imported.json";
const RUNNING: &str = "nave_prometheus_import_running";

/// What becomes of Prometheus' samples in the store's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Takeover {
    /// Import them while the hub takes samples and answers queries.
    Background,
    /// Import them before the hub is ready.
    Wait,
    /// Leave them alone.
    Off,
}

/// What was imported.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Blocks by name, and files of the logs by name and length.
    sources: Vec<String>,
}

/// Imports what `process.flags` say into `store`, or begins to. In the background nothing that is wrong with
/// Prometheus' files keeps the hub from starting.
pub(super) async fn start(process: &Process, store: &Arc<Tsdb>, retention_ms: Option<i64>) -> Result<()> {
    match begin(process, store, retention_ms).await {
        Err(error) if process.flags.import_prometheus == Takeover::Background => {
            let error = format!("{error:#}");
            tracing::error!(component = "import", error, "the samples of Prometheus cannot be imported");
            Ok(())
        }
        result => result,
    }
}

async fn begin(process: &Process, store: &Arc<Tsdb>, retention_ms: Option<i64>) -> Result<()> {
    let dir = process.flags.tsdb_path.clone();
    let takeover = process.flags.import_prometheus;
    if takeover == Takeover::Off || !Directory::is_one(&LocalDisk::shared(), &dir)? {
        return Ok(());
    }
    let found = Mark { sources: sources(&dir)? };
    if read_mark(&dir)? == Some(Mark { sources: found.sources.clone() }) {
        tracing::debug!(component = "import", "the samples of Prometheus in the folder were imported before");
        return Ok(());
    }
    let oldest = retention_ms.map_or(i64::MIN, |kept| process.clock.now_ms().saturating_sub(kept));
    let range = TimeRange { min: Timestamp(oldest), max: Timestamp::MAX };
    tracing::info!(
        component = "import",
        dir = %dir.display(),
        sources = found.sources.len(),
        "found samples of Prometheus: importing them; its files are left as they are"
    );
    let work = run(process.clone(), store.clone(), dir, range, found);
    match takeover {
        Takeover::Wait => work.await?,
        _ => drop(tokio::spawn(async {
            if let Err(error) = work.await {
                let error = format!("{error:#}");
                tracing::error!(
                    component = "import",
                    error,
                    "import ended early; the next start tries again"
                );
            }
        })),
    }
    Ok(())
}

async fn run(process: Process, store: Arc<Tsdb>, dir: PathBuf, range: TimeRange, found: Mark) -> Result<()> {
    let running = process.registry.gauge(RUNNING, "Whether samples of Prometheus are being imported.");
    running.set(1.0);
    let source = Source::Directory(dir.clone());
    let principal = Principal::anonymous("import");
    let imported = import(store, process.clock.clone(), source, range, principal).await;
    running.set(0.0);
    let imported = imported?;
    say(&imported);
    if imported.is_worth_repeating() {
        return Ok(());
    }
    // Damaged parts are as damaged the next time: reading all again would bring nothing.
    let text = serde_json::to_vec_pretty(&found).context("cannot write what was imported")?;
    write_atomically(&LocalDisk, &dir.join(MARK), &text)
        .with_context(|| format!("cannot write {}", dir.join(MARK).display()))
}

fn say(imported: &Imported) {
    for problem in imported.problems() {
        tracing::warn!(component = "import", problem, "not everything of Prometheus was imported");
    }
    let (stored, duplicate) = (imported.stored, imported.duplicate);
    let (blocks, series) = (imported.report.blocks, imported.report.head_series);
    tracing::info!(
        component = "import",
        stored,
        duplicate,
        blocks,
        series,
        "the samples of Prometheus are imported; its files (blocks, wal, wbl, chunks_head) are not needed any more"
    );
}

fn read_mark(dir: &Path) -> Result<Option<Mark>> {
    let path = dir.join(MARK);
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        bytes => {
            let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
            // What cannot be read says nothing: importing again is slow, not wrong.
            Ok(serde_json::from_slice(&bytes).ok())
        }
    }
}

/// What makes up the directory: another Prometheus that ran on it since then would change it.
fn sources(dir: &Path) -> Result<Vec<String>> {
    let disk = LocalDisk::shared();
    let directory = Directory::open(&disk, dir)?;
    let mut all: Vec<String> = directory.blocks().map(|meta| meta.ulid.clone()).collect();
    for log in ["wal", "wbl", "chunks_head"] {
        match disk.list(&dir.join(log)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            entries => {
                let entries = entries.with_context(|| format!("cannot list {log}"))?;
                all.extend(entries.iter().map(|entry| format!("{log}/{} {}", entry.name, entry.len)));
            }
        }
    }
    all.sort();
    Ok(all)
}
