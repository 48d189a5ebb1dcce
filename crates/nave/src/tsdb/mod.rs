//! `nave tsdb`: tools for the folder of a hub that is not running. Each has a file of its own; this one hands over.

mod analyze;
mod export;
pub(crate) mod import;
mod inspect;
mod openmetrics;
mod repair;
mod verify;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use nave_base::clock::SharedClock;
use nave_base::disk::LocalDisk;
use nave_base::metric::Registry;
use nave_tsdb::Tsdb;

/// What `nave tsdb` does.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Take over a data directory of Prometheus, or samples in OpenMetrics text.
    Import(import::Import),
    /// Write samples as blocks that Prometheus, Thanos and Mimir read.
    Export(export::Export),
    /// Show what is in a folder, or in one part or block.
    Inspect(inspect::Inspect),
    /// Read everything and name what is damaged; the exit status is 1 when something is.
    Verify(verify::Verify),
    /// Keep what is good of a damaged folder, and say what is lost.
    Repair(repair::Repair),
    /// Show which metrics and labels have the most series, and which come and go.
    Analyze(analyze::Analyze),
}

/// Runs `nave tsdb`.
pub(crate) async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Import(flags) => import::run(flags).await,
        Command::Export(flags) => export::run(flags).await,
        Command::Inspect(flags) => inspect::run(&flags),
        Command::Verify(flags) => verify::run(&flags),
        Command::Repair(flags) => repair::run(flags).await,
        Command::Analyze(flags) => analyze::run(flags).await,
    }
}

/// Opens the store in `dir` so that nothing is refused or removed for its age.
async fn open_store(dir: &Path, clock: SharedClock) -> Result<Arc<Tsdb>> {
    let mut options = nave_tsdb::Options::new(dir);
    (options.retention_ms, options.retention_bytes) = (None, None);
    // Half, so that adding the time of today does not overflow.
    options.future_max_ms = i64::MAX / 2;
    // Nobody asks for the newest samples: memory gives them up once they are in files.
    options.hot_ms = 0;
    let open = move || Tsdb::open(options, LocalDisk::shared(), clock, &Registry::default());
    let store = tokio::task::spawn_blocking(open).await?;
    let wrong = || format!("cannot open the store in {}; is a hub running on it?", dir.display());
    Ok(Arc::new(store.with_context(wrong)?))
}

/// A folder that must be there.
fn existing(dir: &Path) -> Result<()> {
    ensure!(dir.is_dir(), "expected a hub's folder at {}, found none", dir.display());
    Ok(())
}
