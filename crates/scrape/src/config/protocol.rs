//! The languages of metric pages, and how they are asked for.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use nave_wire::exposition::Format;
use serde::{Deserialize, Serialize};

use crate::fetch::PageFormat;

/// How protobuf pages are asked for.
const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// An entry of `scrape_protocols`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the documentation users have
pub enum Protocol {
    OpenMetricsText001,
    OpenMetricsText100,
    PrometheusProto,
    PrometheusText004,
    PrometheusText100,
}

impl Protocol {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::OpenMetricsText001, "OpenMetricsText0.0.1", "application/openmetrics-text;version=0.0.1"),
        (Self::OpenMetricsText100, "OpenMetricsText1.0.0", "application/openmetrics-text;version=1.0.0"),
        (Self::PrometheusProto, "PrometheusProto", PROTOBUF),
        (Self::PrometheusText004, "PrometheusText0.0.4", "text/plain;version=0.0.4"),
        (Self::PrometheusText100, "PrometheusText1.0.0", "text/plain;version=1.0.0"),
    ];

    /// What is asked for when nobody says, best first.
    pub const DEFAULT: [Self; 4] = [
        Self::OpenMetricsText100,
        Self::OpenMetricsText001,
        Self::PrometheusText100,
        Self::PrometheusText004,
    ];

    /// The same for jobs that want what only protobuf pages hold.
    pub const PROTOBUF_FIRST: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText100,
        Self::OpenMetricsText001,
        Self::PrometheusText100,
        Self::PrometheusText004,
    ];

    fn row(self) -> (Self, &'static str, &'static str) {
        // The table is in the order of the variants' names, which upstream prints.
        Self::ALL[self as usize]
    }

    /// The name in configuration files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// How such a page is read.
    pub(crate) fn format(self) -> PageFormat {
        match self {
            Self::PrometheusProto => PageFormat::Protobuf,
            Self::PrometheusText004 | Self::PrometheusText100 => PageFormat::Lines(Format::Text),
            Self::OpenMetricsText001 | Self::OpenMetricsText100 => PageFormat::Lines(Format::OpenMetrics),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(_, name, _)| *name == text);
        known.map(|(protocol, ..)| *protocol).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(_, name, _)| *name).collect();
            format!("unknown scrape protocol {text}, supported: [{}]", names.join(" "))
        })
    }
}

/// Checks the names of `scrape_protocols`.
pub(super) fn check_list(names: &[String]) -> Result<(), String> {
    for (at, name) in names.iter().enumerate() {
        name.parse::<Protocol>().map_err(|text| format!("scrape_protocols: {text}"))?;
        if names[..at].contains(name) {
            return Err(format!("duplicated protocol in scrape_protocols, got [{}]", names.join(" ")));
        }
    }
    Ok(())
}

/// How a target is asked to write names that are not in the old alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Escaping {
    /// As they are.
    #[serde(rename = "allow-utf-8")]
    AllowUtf8,
    /// With underscores for what is not in the alphabet.
    #[serde(rename = "underscores")]
    Underscores,
    /// With `_dot_` for dots.
    #[serde(rename = "dots")]
    Dots,
    /// With code points.
    #[serde(rename = "values")]
    Values,
}

impl Escaping {
    fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

/// The `Accept` header, with upstream's weights.
pub(crate) fn accept_header(protocols: &[Protocol], escaping: Escaping) -> String {
    let mut header = String::new();
    let mut weight = Protocol::ALL.len() + 1;
    for protocol in protocols {
        header.push_str(protocol.row().2);
        if matches!(protocol, Protocol::OpenMetricsText100 | Protocol::PrometheusText100) {
            let _ = write!(header, ";escaping={}", escaping.as_str());
        }
        let _ = write!(header, ";q=0.{weight},");
        weight -= 1;
    }
    let _ = write!(header, "*/*;q=0.{weight}");
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_headers() {
        let check = |protocols: &[Protocol], want: &str| {
            assert_eq!(accept_header(protocols, Escaping::AllowUtf8), want);
        };
        let default = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                       application/openmetrics-text;version=0.0.1;q=0.5,\
                       text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                       text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        check(&Protocol::DEFAULT, default);
        check(
            &[Protocol::PrometheusProto, Protocol::PrometheusText004],
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.4",
        );
        for (protocol, name, _) in Protocol::ALL {
            assert_eq!((protocol.as_str(), name.parse()), (name, Ok(protocol)));
        }
    }
}
