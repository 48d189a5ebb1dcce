//! `storage`: retention and what upstream's own store can be told.

use nave_model::duration::PromDuration;
use nave_scrape::config::ByteSize;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

/// The `storage` section (features F11).
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tsdb: Option<StorageTsdb>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exemplars: Option<Exemplars>,
}

/// `storage.tsdb`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageTsdb {
    /// Accepted for compatibility: late samples are taken anywhere inside retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    out_of_order_time_window: Option<PromDuration>,
    /// Accepted; without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_series_compaction_threshold: Option<f64>,
    /// Accepted; chunks have one encoding here.
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_encoding: Option<ChunkEncoding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention: Option<Retention>,
}

/// `storage.tsdb.retention`; overrides the flags.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<PromDuration>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "size")]
    pub(crate) size: Option<ByteSize>,
    /// Accepted; without effect.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "percentage")]
    percentage: Option<f64>,
}

/// `storage.tsdb.chunk_encoding`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct ChunkEncoding {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "floats")]
    floats: Option<String>,
}

/// `storage.exemplars`; applied at the start.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Exemplars {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_exemplars: Option<i64>,
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ByteSize>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    if text.starts_with('-') {
        return Err(D::Error::custom("'storage.tsdb.retention.size' must be greater than or equal to 0"));
    }
    text.parse().map(Some).map_err(D::Error::custom)
}

fn percentage<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let percentage = Option::<f64>::deserialize(from)?;
    if percentage.is_some_and(|percentage| !(0.0..=100.0).contains(&percentage)) {
        return Err(D::Error::custom("'storage.tsdb.retention.percentage' must be in the range [0, 100]"));
    }
    Ok(percentage)
}

fn floats<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let floats = Option::<String>::deserialize(from)?;
    match floats.as_deref() {
        None | Some("xor" | "xor2") => Ok(floats),
        Some(other) => Err(D::Error::custom(format!(
            "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted entirely, \
             got {other:?}"
        ))),
    }
}
