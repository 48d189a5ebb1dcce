//! Logs on stderr in upstream's two forms, logfmt and JSON, with upstream's keys.
//!
//! `time=2026-11-20T12:00:00.123Z level=INFO source=hub.rs:42 msg="..." key=value`

use std::fmt::{self, Write as _};

use anyhow::Result;
use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object per line.
    Json,
}

/// The least severe level that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Severity {
    /// Everything.
    Debug,
    /// What an operator wants to see in normal running.
    Info,
    /// What may need attention.
    Warn,
    /// What is broken.
    Error,
}

/// Installs the process' logger. `NAVE_LOG` may hold directives for single crates.
pub(crate) fn install(severity: Severity, format: Format) -> Result<()> {
    let level = match severity {
        Severity::Debug => "debug,hyper=info,h2=info,reqwest=info,rustls=info",
        Severity::Info => "info",
        Severity::Warn => "warn",
        Severity::Error => "error",
    };
    let directives = std::env::var("NAVE_LOG").unwrap_or_else(|_| level.to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(directives)?)
        .with_writer(std::io::stderr)
        .event_format(Line(format))
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot install the logger: {error}"))
}

struct Line(Format);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let meta = event.metadata();
        let level = match *meta.level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            _ => "DEBUG",
        };
        let file = meta.file().and_then(|path| path.rsplit('/').next()).unwrap_or("unknown");
        let mut pairs = vec![
            ("time".to_owned(), format!("{:.3}", Timestamp::now())),
            ("level".to_owned(), level.to_owned()),
            ("source".to_owned(), format!("{file}:{}", meta.line().unwrap_or(0))),
            ("msg".to_owned(), fields.message),
        ];
        pairs.extend(fields.others);
        let line = match self.0 {
            Format::Logfmt => logfmt(&pairs),
            Format::Json => json(&pairs),
        };
        writeln!(out, "{line}")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

fn logfmt(pairs: &[(String, String)]) -> String {
    let mut line = String::new();
    for (i, (key, value)) in pairs.iter().enumerate() {
        let space = if i == 0 { "" } else { " " };
        let plain =
            !value.is_empty() && value.chars().all(|c| c > ' ' && c != '"' && c != '=' && c != '\u{7f}');
        let _ =
            if plain { write!(line, "{space}{key}={value}") } else { write!(line, "{space}{key}={value:?}") };
    }
    line
}

fn json(pairs: &[(String, String)]) -> String {
    let object: serde_json::Map<_, _> =
        pairs.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    serde_json::Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_when_they_need_it() {
        let pairs = [("a", "x"), ("b", "two words"), ("c", ""), ("d", "say \"hi\"\n")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(logfmt(&pairs), r#"a=x b="two words" c="" d="say \"hi\"\n""#);
        let parsed: serde_json::Value = serde_json::from_str(&json(&pairs)).unwrap();
        assert_eq!(parsed["d"], "say \"hi\"\n");
    }
}
