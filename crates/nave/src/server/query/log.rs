//! The query log: one line of JSON per finished query, in upstream's shape (`global.query_log_file`).
//!
//! A line that cannot be written is counted and the query goes on. A reload opens the file anew, so that it can be
//! rotated.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp as Time;
use nave_base::clock::SharedClock;
use nave_base::metric::{Counter, Gauge, Registry};
use nave_model::time::Timestamp;
use nave_promql::{Asked, Follow, QueryError, Stats};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Writes finished queries to a file, while one is set.
#[derive(Debug)]
pub(crate) struct QueryLog {
    clock: SharedClock,
    file: Mutex<Option<File>>,
    enabled: Gauge,
    failures: Counter,
}

impl QueryLog {
    /// Without a file.
    pub(crate) fn new(clock: SharedClock, registry: &Registry) -> Self {
        let enabled = registry.gauge("prometheus_engine_query_log_enabled", "State of the query log.");
        let failures = registry
            .counter("prometheus_engine_query_log_failures_total", "The number of query log failures.");
        Self { clock, file: Mutex::default(), enabled, failures }
    }

    /// Goes on in the file `path`; an empty path ends the log.
    ///
    /// # Errors
    /// When the file cannot be opened for appending; the log then goes on where it was.
    pub(crate) fn reopen(&self, path: &Path) -> Result<()> {
        let file = if path.as_os_str().is_empty() {
            None
        } else {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            Some(opened.with_context(|| format!("cannot open query_log_file {}", path.display()))?)
        };
        self.enabled.set(if file.is_some() { 1.0 } else { 0.0 });
        *self.file.lock() = file;
        Ok(())
    }
}

impl Follow for QueryLog {
    fn begun(&self, _: &Asked) -> u64 {
        0
    }

    fn ended(&self, _: u64, asked: &Asked, outcome: Result<&Stats, &QueryError>) {
        let mut file = self.file.lock();
        let Some(file) = file.as_mut() else { return };
        let mut line = line(self.clock.now_ms(), asked, outcome).to_string();
        line.push('\n');
        if file.write_all(line.as_bytes()).is_err() {
            self.failures.inc();
        }
    }
}

fn line(now_ms: i64, asked: &Asked, outcome: Result<&Stats, &QueryError>) -> Value {
    let mut line = json!({
        "time": time(Timestamp(now_ms)),
        "level": "INFO",
        "msg": "promql query logged",
        "params": {
            "query": asked.query,
            "start": time(asked.start),
            "end": time(asked.end),
            "step": asked.step_ms / 1000,
        },
    });
    match outcome {
        Ok(stats) => line["stats"] = figures(stats),
        Err(error) => line["error"] = error.to_string().into(),
    }
    if let Some(origin) = &asked.origin {
        line["httpRequest"] =
            json!({ "clientIP": origin.client, "method": origin.method, "path": origin.path });
    }
    line
}

fn figures(stats: &Stats) -> Value {
    json!({
        "timings": {
            "evalTotalTime": stats.prepare_seconds + stats.evaluation_seconds,
            "resultSortTime": 0.0,
            "queryPreparationTime": stats.prepare_seconds,
            "innerEvalTime": stats.evaluation_seconds,
            "execQueueTime": stats.queue_seconds,
            "execTotalTime": stats.total_seconds(),
        },
        "samples": {
            "totalQueryableSamples": stats.samples_total,
            "peakSamples": stats.samples_peak,
        },
    })
}

/// As upstream writes times here: UTC with milliseconds.
fn time(at: Timestamp) -> String {
    let known = Time::from_millisecond(at.0).map(|time| format!("{time:.3}"));
    known.unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nave_base::clock::FakeClock;
    use nave_promql::Origin;

    use super::*;

    fn asked() -> Asked {
        let origin = Origin { client: "10.0.0.1".into(), method: "GET".into(), path: "/api/v1/query".into() };
        Asked {
            query: "up == 0".into(),
            start: Timestamp(1_581_170_391_000),
            end: Timestamp(1_581_173_996_000),
            step_ms: 5_000,
            origin: Some(Arc::new(origin)),
        }
    }

    #[test]
    fn a_line_has_upstreams_shape() {
        let stats = Stats { samples_total: 7, samples_peak: 3, ..Stats::default() };
        let logged = line(0, &asked(), Ok(&stats));
        assert_eq!(logged["params"]["start"], "2020-02-08T13:59:51.000Z");
        assert_eq!(logged["params"]["step"], 5);
        assert_eq!(logged["stats"]["samples"]["totalQueryableSamples"], 7);
        assert_eq!(logged["httpRequest"]["clientIP"], "10.0.0.1");
        assert_eq!(logged.get("error"), None);
        let failed = line(0, &asked(), Err(&QueryError::Invalid("no".into())));
        assert_eq!((failed["error"].as_str(), failed.get("stats")), (Some("no"), None));
    }

    #[test]
    fn lines_go_to_the_file_that_is_set() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::default();
        let log = QueryLog::new(FakeClock::at(1_000), &registry);
        let path = dir.path().join("query.log");
        log.ended(0, &asked(), Ok(&Stats::default()));
        log.reopen(&path).unwrap();
        log.ended(0, &asked(), Ok(&Stats::default()));
        log.reopen(Path::new("")).unwrap();
        log.ended(0, &asked(), Ok(&Stats::default()));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        let error = log.reopen(&dir.path().join("none/query.log")).unwrap_err();
        assert!(error.to_string().starts_with("cannot open query_log_file"), "{error}");
    }
}
