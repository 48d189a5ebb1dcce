//! `nave tsdb verify`: reads everything and names what is damaged.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use nave_base::disk::LocalDisk;
use nave_tsdb::offline;

use super::existing;

/// Flags of `nave tsdb verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Folder of the hub's samples; the hub must not be running on it.
    #[arg(default_value = "data/")]
    path: PathBuf,
}

/// Runs `nave tsdb verify`.
pub(crate) fn run(flags: &Verify) -> Result<ExitCode> {
    existing(&flags.path)?;
    let report = offline::verify(&LocalDisk::shared(), &flags.path)?;
    let mut out = std::io::stdout().lock();
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    for damage in &report.damages {
        writeln!(out, "damaged: {damage}")?;
    }
    let offline::Verified { files, bytes, samples, series, records, damages, .. } = &report;
    writeln!(
        out,
        "{files} files with {samples} samples in {bytes} bytes, {series} series registered, {records} log records: {}",
        match damages.len() {
            0 => "all whole".to_owned(),
            1 => "1 damage; `nave tsdb repair` keeps what is good".to_owned(),
            count => format!("{count} damages; `nave tsdb repair` keeps what is good"),
        }
    )?;
    Ok(if damages.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
