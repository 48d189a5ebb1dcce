//! Metric pages: what targets answer to a scrape, read and written. Pages in protobuf are read by [`protobuf`].
//!
//! [`Parser`] reads Prometheus text (0.0.4, and 1.0.0 with quoted UTF-8 names) and OpenMetrics 1.0, entry
//! by entry, without copying and without allocating per sample. [`PageWriter`] writes such pages.
//!
//! - A line is an entry or an error; no entry is given of a line that is not complete.
//! - After an error the parser stays where it is and gives the same error again.
//! - Where the specification and upstream's scraper differ, the scraper decides
//!   (docs/decisions/020-exposition-parsers.md).

mod error;
mod family;
mod line;
mod meta;
mod number;
mod page;
mod parser;
pub mod protobuf;
mod scan;
mod series;
mod start;

use std::borrow::Cow;

use nave_model::metadata::MetricType;
use nave_model::time::Timestamp;

pub use error::ParseError;
pub use line::{ExemplarLine, SampleLine};
pub use number::write_float;
pub use page::PageWriter;
pub use parser::Parser;

/// The language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4 and 1.0.0.
    Text,
    /// OpenMetrics 1.0 text.
    OpenMetrics,
}

impl Format {
    /// The format that a `Content-Type` header names; `None` when it names neither, and the caller falls
    /// back to the protocol of its configuration. Parameters other than OpenMetrics' version are ignored.
    #[must_use]
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        let media = parts.next()?;
        if media.eq_ignore_ascii_case("text/plain") {
            return Some(Self::Text);
        }
        if !media.eq_ignore_ascii_case("application/openmetrics-text") {
            return None;
        }
        let version = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| *name == "version");
        let known = version.is_none_or(|(_, version)| {
            let version = version.trim_matches('"');
            version.starts_with("0.") || version.starts_with("1.")
        });
        known.then_some(Self::OpenMetrics)
    }

    /// The `Content-Type` to answer with.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What one line of a page says.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'a> {
    /// `# TYPE`
    Type {
        /// The family's name, without quotes.
        family: &'a str,
        /// Its type; `untyped` is [`MetricType::Unknown`].
        kind: MetricType,
    },
    /// `# HELP`
    Help {
        /// The family's name, without quotes.
        family: &'a str,
        /// The text, unescaped; bytes that are not UTF-8 are replaced.
        text: Cow<'a, str>,
    },
    /// `# UNIT`, OpenMetrics only
    Unit {
        /// The family's name, without quotes.
        family: &'a str,
        /// The unit, possibly empty.
        unit: &'a str,
    },
    /// A comment. Metadata of a family whose quoted name holds an escape is given as a comment too:
    /// such a name cannot be borrowed from the page.
    Comment,
    /// A sample.
    Sample(SampleLine<'a>),
    /// `# EOF`, OpenMetrics only; always the last entry.
    Eof,
}

/// Seconds with a fraction to milliseconds, cut off as upstream's parser does.
fn seconds_to_ms(seconds: f64) -> Timestamp {
    Timestamp((seconds * 1000.0) as i64)
}

#[cfg(test)]
mod tests;
