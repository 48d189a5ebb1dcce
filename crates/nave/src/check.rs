//! `nave check`: the same loading as a start or a reload, without running anything.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::config::Config;
use crate::flag::Mode;

/// Checks configuration files; exit code 1 when one of them is not valid.
pub(crate) fn config(files: &[PathBuf], agent: bool) -> Result<ExitCode> {
    let mode = if agent { Mode::Agent } else { Mode::Hub };
    let mut code = ExitCode::SUCCESS;
    for file in files {
        match Config::load(file, mode) {
            Ok(config) => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{}: valid, {} scrape configs", file.display(), config.scrape_configs.len())?;
                for section in config.unused_sections() {
                    writeln!(out, "{}: {section}: read, but not used by this version", file.display())?;
                }
            }
            Err(error) => {
                writeln!(std::io::stderr(), "{error:#}")?;
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
