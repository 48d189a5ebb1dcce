//! `nave query explain`: the plan of a query, with what each node gives over the data of a folder.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use nave_base::clock::{SharedClock, SystemClock};
use nave_base::disk::LocalDisk;
use nave_base::metric::Registry;
use nave_model::duration::PromDuration;
use nave_model::time::Timestamp;
use nave_promql::{Engine, EngineOptions, QueryOptions};
use nave_tsdb::Tsdb;

use crate::feature;

/// What `nave query` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Query {
    /// Print the plan of a query, one node per line; with a folder, run it and print what each node took.
    Explain(Explain),
}

/// Flags of `nave query explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The query.
    query: String,
    /// First or only time, as Unix seconds or RFC 3339; now when absent.
    #[arg(long, value_parser = time)]
    start: Option<Timestamp>,
    /// Last time; makes it a range query.
    #[arg(long, value_parser = time)]
    end: Option<Timestamp>,
    /// Step of a range query.
    #[arg(long, default_value = "1m")]
    step: PromDuration,
    /// Folder of a hub that is not running; the query is run over its samples.
    #[arg(long = "storage.tsdb.path")]
    tsdb_path: Option<PathBuf>,
    /// How far back an instant selector looks for a sample.
    #[arg(long = "query.lookback-delta", default_value = "5m")]
    lookback_delta: PromDuration,
    /// Features of the engine that are on, by upstream's names; separated by commas, may be repeated.
    #[arg(long = "enable-feature", value_delimiter = ',')]
    features: Vec<String>,
}

/// Prints the plan.
pub(crate) async fn explain(asked: &Explain) -> Result<ExitCode> {
    let clock = SystemClock::shared();
    let mut options = EngineOptions { lookback: asked.lookback_delta.into(), ..EngineOptions::default() };
    feature::enable(&mut options, &asked.features)?;
    let engine = Engine::new(options, clock.clone(), &Registry::default());
    let start = asked.start.unwrap_or_else(|| Timestamp(clock.now_ms()));
    let step_ms = i64::try_from(asked.step.as_ms()).unwrap_or(i64::MAX);
    let plan = match &asked.tsdb_path {
        None => engine.explain(&asked.query, start, asked.end.unwrap_or(start), step_ms)?,
        Some(dir) => {
            let store = open(dir, clock.clone()).await?;
            let options = QueryOptions { explain: true, ..QueryOptions::default() };
            let answer = match asked.end {
                None => engine.instant(store, &asked.query, start, options).await?,
                Some(end) => engine.range(store, &asked.query, start, end, step_ms, options).await?,
            };
            answer.plan.unwrap_or_default()
        }
    };
    write!(std::io::stdout(), "{plan}")?;
    Ok(ExitCode::SUCCESS)
}

async fn open(dir: &Path, clock: SharedClock) -> Result<Arc<Tsdb>> {
    anyhow::ensure!(dir.is_dir(), "expected a hub's folder at {}, found none", dir.display());
    let mut options = nave_tsdb::Options::new(dir);
    // Looking must not remove anything.
    (options.retention_ms, options.retention_bytes) = (None, None);
    let open = move || Tsdb::open(options, LocalDisk::shared(), clock, &Registry::default());
    let store = tokio::task::spawn_blocking(open).await?;
    Ok(Arc::new(store.with_context(|| format!("cannot open the store in {}", dir.display()))?))
}

/// Unix seconds with a fraction, or RFC 3339.
pub(crate) fn time(text: &str) -> Result<Timestamp> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        anyhow::ensure!(ms.abs() < i64::MAX as f64 / 2.0, "{text} is no time that can be stored");
        return Ok(Timestamp(ms as i64));
    }
    let at: jiff::Timestamp =
        text.parse().map_err(|error| anyhow!("expected Unix seconds or RFC 3339, got {text:?}: {error}"))?;
    Ok(Timestamp(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let check = |text: &str, want: Option<i64>| {
            assert_eq!(time(text).ok().map(|at| at.0), want, "{text}");
        };
        check("1.5", Some(1500));
        check("1970-01-01T00:01:00Z", Some(60_000));
        check("inf", None);
        check("NaN", None);
        check("yesterday", None);
    }
}
