//! What the doctor prints: a line a step, as it goes; below a failure what to do.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// As it should be.
    Good,
    /// Worth knowing; samples get through.
    Note,
    /// Broken.
    Bad,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "FAIL",
        })
    }
}

/// Prints, and remembers whether something was broken.
#[derive(Debug, Default)]
pub(super) struct Report {
    broken: bool,
}

impl Report {
    /// Says what the following steps are about.
    pub(super) fn about(&mut self, what: &str) -> Result<()> {
        Ok(writeln!(std::io::stdout(), "{what}")?)
    }

    /// One step: its name, how it went and what was seen; `advice` may be empty.
    pub(super) fn step(&mut self, mark: Mark, name: &str, seen: &str, advice: &str) -> Result<()> {
        self.broken |= mark == Mark::Bad;
        let mut out = std::io::stdout().lock();
        writeln!(out, "  {mark:<4}  {name:<6}  {seen}")?;
        if !advice.is_empty() {
            writeln!(out, "                {advice}")?;
        }
        Ok(())
    }

    /// Success unless something was broken.
    pub(super) fn exit_code(&self) -> ExitCode {
        if self.broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
