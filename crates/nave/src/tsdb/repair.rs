//! `nave tsdb repair`: keeps what is good of a damaged folder.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use nave_base::clock::SystemClock;
use nave_base::disk::LocalDisk;
use nave_tsdb::offline;

use super::existing;

/// Flags of `nave tsdb repair`.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// Folder of the hub's samples; the hub must not be running on it.
    #[arg(default_value = "data/")]
    path: PathBuf,
}

/// Runs `nave tsdb repair`.
pub(crate) async fn run(flags: Repair) -> Result<ExitCode> {
    existing(&flags.path)?;
    let work = move || offline::repair(&LocalDisk::shared(), &flags.path, SystemClock::shared());
    let report = tokio::task::spawn_blocking(work).await??;
    let mut out = std::io::stdout().lock();
    for done in &report.done {
        writeln!(out, "{done}")?;
    }
    let offline::Repaired { done, samples_lost, files_rewritten, files_aside } = &report;
    if done.is_empty() {
        writeln!(
            out,
            "nothing to repair in files; damaged places of the log are stepped over at the next start"
        )?;
    } else {
        writeln!(
            out,
            "{files_rewritten} files written anew, {files_aside} put aside, {samples_lost} samples lost"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
