//! `nave test promql`: scripts in upstream's test language, run on this engine and a store in memory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use nave_base::clock::SystemClock;
use nave_base::metric::Registry;
use nave_promql::testscript::{Modes, Script, Verdict, run};
use nave_promql::{Engine, EngineOptions};

use crate::feature;

/// What `nave test` tests.
#[derive(Debug, Subcommand)]
pub(crate) enum Test {
    /// PromQL scripts: load series, evaluate, compare; exits with 1 when an evaluation fails.
    Promql(Scripts),
}

/// Flags of `nave test promql`.
#[derive(Debug, Args)]
pub(crate) struct Scripts {
    /// The scripts.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Features of the engine that are on, by upstream's names; separated by commas, may be repeated.
    #[arg(long = "enable-feature", value_delimiter = ',')]
    features: Vec<String>,
}

/// Runs all scripts, prints what fails and how many evaluations passed.
pub(crate) async fn promql(scripts: &Scripts) -> Result<ExitCode> {
    let mut options = EngineOptions::default();
    feature::enable(&mut options, &scripts.features)?;
    let engine = Engine::new(options, SystemClock::shared(), &Registry::default());
    let (mut passed, mut failed) = (0, 0);
    for file in &scripts.files {
        let verdicts = verdicts(file, &engine).await?;
        let mut out = std::io::stdout().lock();
        for Verdict { line, query, failure } in verdicts {
            match failure {
                None => passed += 1,
                Some(failure) => {
                    failed += 1;
                    let indented = failure.replace('\n', "\n    ");
                    writeln!(out, "{}:{line}: {query}\n    {indented}", file.display())?;
                }
            }
        }
    }
    writeln!(std::io::stdout(), "{passed} passed, {failed} failed")?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn verdicts(file: &Path, engine: &Engine) -> Result<Vec<Verdict>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let script = Script::parse(&text).with_context(|| file.display().to_string())?;
    run(&script, engine, Modes::All).await.with_context(|| file.display().to_string())
}
