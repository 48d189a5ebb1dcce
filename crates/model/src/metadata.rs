//! What a metric family says about itself: type, help and unit.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The type of a metric family, as in `# TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum MetricType {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
    /// Buckets of a gauge.
    GaugeHistogram,
    /// Quantiles, sum and count.
    Summary,
    /// Constant 1 with labels that inform.
    Info,
    /// One boolean per state.
    StateSet,
    /// Not said.
    #[default]
    Unknown,
}

impl MetricType {
    /// The word used by OpenMetrics and the HTTP API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MetricType {
    type Err = String;

    /// Takes the words of OpenMetrics and the text format's `untyped`.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(match word {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            "unknown" | "untyped" => Self::Unknown,
            other => return Err(format!("invalid metric type {other:?}")),
        })
    }
}

/// What a metric family says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Metadata {
    /// Counter, gauge ...
    pub kind: MetricType,
    /// The help text, unescaped.
    pub help: Arc<str>,
    /// The unit, such as `seconds`; empty when not said.
    pub unit: Arc<str>,
}
