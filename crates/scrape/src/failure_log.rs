//! `scrape_failure_log_file`: one JSON line per failed scrape.
//!
//! The file is opened for each line, so that whoever rotates it need not tell.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use nave_model::time::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    msg: &'a str,
    job_name: &'a str,
    target: &'a str,
}

/// Appends what happened to `file`. A file that cannot be written is a warning, never a failed scrape.
pub(crate) async fn write(file: &str, at: Timestamp, error: &str, job: &str, target: &str) {
    let time = jiff::Timestamp::from_millisecond(at.0).map(|time| time.to_string()).unwrap_or_default();
    let line = Line { time, level: "ERROR", msg: error, job_name: job, target };
    let Ok(mut text) = serde_json::to_string(&line) else { return };
    text.push('\n');
    let path = PathBuf::from(file);
    let append = move || OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes());
    if let Ok(Err(error)) = tokio::task::spawn_blocking(append).await {
        tracing::warn!(file, %error, "scrape failure log cannot be written");
    }
}
