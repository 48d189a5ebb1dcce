//! Settings of the remote-write sender: one [`RemoteWriteConfig`] per entry of `remote_write`.
//!
//! Fields and defaults are upstream's. What is wrong is refused while the file is read, so that the
//! error carries its place; what stands in the wrong place is refused with a word about the right one.
//! What is not built yet is refused by name, never ignored.

mod hint;
mod queue;
mod unbuilt;

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use nave_http::client::macro_support::or_default;
use nave_model::duration::PromDuration;
use nave_model::relabel::RelabelConfig;
use nave_wire::remote_write::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip128::Hasher128 as _;

pub use self::queue::{MetadataConfig, QueueConfig};

/// Why settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Which protobuf message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProtobufMessage {
    /// Remote write 1.0.
    #[default]
    WriteRequest,
    /// Remote write 2.0.
    Request,
}

impl ProtobufMessage {
    pub(crate) fn message(self) -> Message {
        match self {
            Self::WriteRequest => Message::V1,
            Self::Request => Message::V2,
        }
    }
}

impl Serialize for ProtobufMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.message().name())
    }
}

impl<'de> Deserialize<'de> for ProtobufMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match Message::from_name(&name) {
            Some(Message::V1) => Ok(Self::WriteRequest),
            Some(Message::V2) => Ok(Self::Request),
            None => Err(serde::de::Error::custom(format!(
                "invalid protobuf_message value: unknown type for remote write protobuf message {name}, \
                 supported: {}",
                Message::ALL.map(Message::name).join(", ")
            ))),
        }
    }
}

fn default_remote_timeout() -> PromDuration {
    PromDuration::from_secs(30)
}

fn remote_timeout<'de, D: Deserializer<'de>>(from: D) -> Result<PromDuration, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_else(default_remote_timeout))
}

nave_http::with_http_settings! {
    /// One endpoint that samples are pushed to.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(remote = "Self", deny_unknown_fields)]
    pub struct RemoteWriteConfig {
        /// Where to push, as `http://host/api/v1/write`.
        #[serde(
            default,
            deserialize_with = "or_default",
            serialize_with = "nave_http::client::macro_support::shown_url"
        )]
        pub url: String,
        /// Names the endpoint in logs and metrics; empty means [`RemoteWriteConfig::remote_name`].
        #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
        pub name: String,
        /// Time limit of one request.
        #[serde(default = "default_remote_timeout", deserialize_with = "remote_timeout")]
        pub remote_timeout: PromDuration,
        /// Headers sent with every request.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
        pub headers: BTreeMap<String, String>,
        /// Applied to every series after the external labels.
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "relabel_configs")]
        pub write_relabel_configs: Vec<RelabelConfig>,
        /// Which message is sent.
        #[serde(default, deserialize_with = "or_default")]
        pub protobuf_message: ProtobufMessage,
        /// Whether exemplars are sent.
        #[serde(default, deserialize_with = "or_default")]
        pub send_exemplars: bool,
        /// Whether native histograms are sent in 1.0; 2.0 always carries them.
        #[serde(default, deserialize_with = "or_default")]
        pub send_native_histograms: bool,
        /// Accepted: connections are made anew per address in any case.
        #[serde(default, deserialize_with = "or_default")]
        pub round_robin_dns: bool,
        /// Shards and batches.
        #[serde(default, deserialize_with = "or_default")]
        pub queue_config: QueueConfig,
        /// Type, help and unit of metric families.
        #[serde(default, deserialize_with = "or_default")]
        pub metadata_config: MetadataConfig,
        #[serde(default, skip_serializing)]
        sigv4: Option<unbuilt::SigV4>,
        #[serde(default, skip_serializing)]
        azuread: Option<unbuilt::AzureAd>,
        #[serde(default, skip_serializing)]
        google_iam: Option<unbuilt::GoogleIam>,
    }
}

impl<'de> Deserialize<'de> for RemoteWriteConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derived function of `remote = "Self"`, not this one.
        let config = Self::deserialize(hint::Hinted(deserializer, hint::endpoint_key))?;
        config.validate().map_err(serde::de::Error::custom)?;
        Ok(config)
    }
}

impl Serialize for RemoteWriteConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// An entry of nothing (`- `) is a mistake that would otherwise pass as a rule without effect.
fn relabel_configs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RelabelConfig>, D::Error> {
    let rules: Option<Vec<Option<RelabelConfig>>> = Option::deserialize(deserializer)?;
    let missing = || serde::de::Error::custom("empty or null relabeling rule in remote write config");
    rules.unwrap_or_default().into_iter().map(|rule| rule.ok_or_else(missing)).collect()
}

/// Headers that the sender or the transport sets.
const RESERVED_HEADERS: [&str; 16] = [
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

impl RemoteWriteConfig {
    /// An endpoint with every default. `url` is not checked.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let nothing = std::iter::empty::<(&str, &str)>();
        // The derived function of `remote = "Self"`: defaults stand in one place.
        let config: Result<_, serde::de::value::Error> =
            Self::deserialize(serde::de::value::MapDeserializer::new(nothing));
        Self { url: url.to_owned(), ..config.expect("RemoteWriteConfig: every field has a default") }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.url.is_empty() {
            return Err(ConfigError("url for remote_write is empty".to_owned()));
        }
        url::Url::parse(&self.url).map_err(|error| {
            // Without the text, which may hold a password.
            ConfigError(format!("remote_write url cannot be parsed: {error}"))
        })?;
        self.headers.keys().try_for_each(|name| check_header(name))?;
        self.http().validate().map_err(|why| ConfigError(format!("remote_write: {why}")))
    }

    /// The name in logs, metrics and of the position file: `name`, or six hex digits derived from URL and
    /// headers, so that changing the queue's settings does not change it.
    #[must_use]
    pub fn remote_name(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let mut hasher = siphasher::sip128::SipHasher13::new_with_keys(0, 0);
        hasher.write(self.url.as_bytes());
        for (name, value) in &self.headers {
            hasher.write(&[0]);
            hasher.write(name.as_bytes());
            hasher.write(&[0]);
            hasher.write(value.as_bytes());
        }
        format!("{:06x}", hasher.finish128().h1 >> 40)
    }
}

/// Checks the name of a header of the user's own; `remote_read` and `tracing` share the rule.
///
/// # Errors
/// When the sender or the transport sets that header, with upstream's text.
pub fn check_header(name: &str) -> Result<(), ConfigError> {
    let lower = name.to_ascii_lowercase();
    if lower == "authorization" {
        return Err(ConfigError(
            "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or \
             google_iam parameter"
                .to_owned(),
        ));
    }
    if RESERVED_HEADERS.contains(&lower.as_str()) {
        return Err(ConfigError(format!("{name} is a reserved header. It must not be changed")));
    }
    Ok(())
}

/// Checks what no entry can see alone: names are unique.
///
/// # Errors
/// With upstream's text for two equal names, and for two entries without a name that only settings
/// outside URL and headers tell apart.
pub fn check_names(configs: &[RemoteWriteConfig]) -> Result<(), ConfigError> {
    let mut seen: BTreeMap<String, &RemoteWriteConfig> = BTreeMap::new();
    for config in configs {
        if let Some(other) = seen.insert(config.remote_name(), config) {
            return Err(ConfigError(if config.name.is_empty() && other.name.is_empty() {
                let url = &config.url;
                format!(
                    "duplicate remote write configs are not allowed, found duplicate for URL: {url}; \
                     give each of them a name"
                )
            } else {
                let name = config.remote_name();
                format!("found multiple remote write configs with job name {name:?}")
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
