//! OTLP metrics: `opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest` to a [`Batch`].
//!
//! Names, labels, suffixes, `target_info` and what becomes of each kind of metric follow upstream's receiver
//! (docs/decisions/121-otlp.md). The message is walked once, point by point; it is never held decoded.
//!
//! - Broken protobuf is an error of the request, and so is a request whose labels written out take more than they may.
//! - A metric or point that cannot be translated (delta temporality, a scale below -4) is left out and told in
//!   [`Translated::refused`]; it takes nothing else with it.
//! - Attributes nest at most [`DEPTH_MAX`] deep.

mod attribute;
mod histogram;
mod label;
mod metric;
mod name;
mod point;

use std::collections::BTreeSet;
use std::sync::Arc;

use nave_model::append::{Batch, Principal};

use crate::write_v1::Error;
use crate::write_v1::field::Fields;

/// `Content-Type` of such requests and of their answers.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// How deep lists and maps in attributes may nest.
pub const DEPTH_MAX: usize = 16;

/// How names are translated: upstream's four strategies are the four combinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strategy {
    /// Whether characters beyond the old alphabet become underscores.
    pub escape: bool,
    /// Whether unit and type are appended.
    pub suffixes: bool,
}

/// Which attributes of the resource become labels of its series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promote {
    /// These.
    Only(BTreeSet<String>),
    /// All but these.
    AllBut(BTreeSet<String>),
}

/// The `otlp` section of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `translation_strategy`
    pub strategy: Strategy,
    /// `promote_resource_attributes`, `promote_all_resource_attributes`, `ignore_resource_attributes`
    pub promote: Promote,
    /// `keep_identifying_resource_attributes`: whether `target_info` has them.
    pub keep_identifying: bool,
    /// `convert_histograms_to_nhcb`
    pub convert_histograms: bool,
    /// `promote_scope_metadata`
    pub promote_scope: bool,
    /// `label_name_underscore_sanitization`: whether names that begin with one underscore get `key` before it.
    pub prefix_underscore: bool,
    /// `label_name_preserve_multiple_underscores`
    pub keep_underscores: bool,
    /// The lookback of queries: `target_info` has a sample every half of it.
    pub lookback_ms: i64,
}

impl Default for Settings {
    /// Upstream's defaults.
    fn default() -> Self {
        Self {
            strategy: Strategy { escape: true, suffixes: true },
            promote: Promote::Only(BTreeSet::new()),
            keep_identifying: false,
            convert_histograms: false,
            promote_scope: false,
            prefix_underscore: true,
            keep_underscores: true,
            lookback_ms: 5 * 60 * 1_000,
        }
    }
}

/// What a request became.
#[derive(Debug)]
pub struct Translated {
    /// Its samples, label bytes in canonical form.
    pub batch: Batch,
    /// What was left out.
    pub refused: Refused,
}

/// Points that could not be translated.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Refused {
    /// How many.
    pub points: u64,
    /// Why, for the first few metrics.
    pub reasons: Vec<String>,
}

impl Refused {
    const REASONS_MAX: usize = 5;

    pub(crate) fn add(&mut self, points: u64, reason: impl FnOnce() -> String) {
        self.points += points;
        if self.reasons.len() < Self::REASONS_MAX {
            self.reasons.push(reason());
        }
    }
}

/// Translates `body`, which is decompressed.
///
/// # Errors
/// [`Error::Protobuf`] when the message is broken, [`Error::TooLarge`] when the labels of all series would take more than
/// `label_bytes_max`.
pub fn decode(
    body: &[u8],
    settings: &Settings,
    principal: Arc<Principal>,
    label_bytes_max: usize,
) -> Result<Translated, Error> {
    let mut writer = point::Writer::new(settings, principal, label_bytes_max);
    let mut fields = Fields::new(body);
    while let Some((number, wire)) = fields.tag()? {
        if number == 1 {
            metric::resource_metrics(fields.nested()?, &mut writer)?;
        } else {
            fields.skip(wire)?;
        }
    }
    Ok(writer.finish())
}

/// The answer to a request of which something was left out: `ExportMetricsServiceResponse` with its
/// `partial_success`. Empty when nothing was.
#[must_use]
pub fn response(refused: &Refused) -> Vec<u8> {
    use crate::write_v1::encode::{put_bytes, put_int64};
    let mut out = Vec::new();
    if refused.points > 0 || !refused.reasons.is_empty() {
        let mut partial = Vec::new();
        put_int64(&mut partial, 1, i64::try_from(refused.points).unwrap_or(i64::MAX));
        put_bytes(&mut partial, 2, refused.reasons.join("; ").as_bytes());
        put_bytes(&mut out, 1, &partial);
    }
    out
}

#[cfg(test)]
mod tests;
