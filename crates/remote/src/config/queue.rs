//! How samples are batched and how metadata is sent: `queue_config` and `metadata_config`.

use nave_model::duration::PromDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ConfigError;
use super::hint::{Hinted, camel_case};

/// Shards and batches of one endpoint. Missing fields have upstream's defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Samples buffered per shard, besides the batch that is being sent.
    pub capacity: usize,
    /// At most this many requests at once.
    pub max_shards: usize,
    /// At least this many senders.
    pub min_shards: usize,
    /// No batch is bigger.
    pub max_samples_per_send: usize,
    /// A part batch waits no longer.
    pub batch_send_deadline: PromDuration,
    /// First wait before a batch is sent again.
    pub min_backoff: PromDuration,
    /// Longest wait, unless the receiver says when to come back.
    pub max_backoff: PromDuration,
    /// Whether 429 is answered by sending again.
    pub retry_on_http_429: bool,
    /// Samples older than this are not sent; zero means any age.
    pub sample_age_limit: PromDuration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 2_000,
            batch_send_deadline: PromDuration::from_secs(5),
            min_backoff: PromDuration::from_ms(30),
            max_backoff: PromDuration::from_secs(5),
            retry_on_http_429: false,
            sample_age_limit: PromDuration::ZERO,
        }
    }
}

impl QueueConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        let fail = |what: &str| Err(ConfigError(format!("remote write queue {what}")));
        match self {
            Self { capacity: 0, .. } => fail("capacity must be positive"),
            Self { max_shards: 0, .. } => fail("max_shards must be positive"),
            Self { min_shards: 0, .. } => fail("min_shards must be positive"),
            Self { max_samples_per_send: 0, .. } => fail("max_samples_per_send must be positive"),
            _ if self.min_shards > self.max_shards => fail("min_shards must not be greater than max_shards"),
            _ if self.max_backoff < self.min_backoff => fail("max_backoff must not be less than min_backoff"),
            _ => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for QueueConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Self::deserialize(Hinted(deserializer, camel_case))?;
        config.validate().map_err(serde::de::Error::custom)?;
        Ok(config)
    }
}

impl Serialize for QueueConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// Whether, how often and in what portions metadata is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct MetadataConfig {
    /// Whether to send it.
    pub send: bool,
    /// How often.
    pub send_interval: PromDuration,
    /// Metric families per request.
    pub max_samples_per_send: usize,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self { send: true, send_interval: PromDuration::from_secs(60), max_samples_per_send: 2_000 }
    }
}

impl<'de> Deserialize<'de> for MetadataConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Self::deserialize(Hinted(deserializer, camel_case))?;
        if config.max_samples_per_send == 0 || config.send_interval.is_zero() {
            return Err(serde::de::Error::custom(
                "remote write metadata_config: max_samples_per_send and send_interval must be positive",
            ));
        }
        Ok(config)
    }
}

impl Serialize for MetadataConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}
