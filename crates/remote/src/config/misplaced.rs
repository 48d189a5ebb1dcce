//! Keys that stand in the wrong place, in the wrong spelling, or whose feature is not built yet.
//!
//! Each is a field that cannot be read: reading it fails with a word about what to write instead, at the
//! line and column of the key's value.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! refused {
    ($($(#[$doc:meta])* $name:ident: $text:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) enum $name {}

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(serde::de::Error::custom($text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                match *self {}
            }
        }
    )*};
}

refused! {
    /// AWS request signing.
    SigV4: "sigv4 is not built: use basic_auth, authorization, oauth2 or tls_config, or push through a signing proxy";
    /// Azure AD tokens.
    AzureAd: "azuread is not built: use oauth2 with the client's credentials, or push through an authenticating proxy";
    /// Google IAM tokens.
    GoogleIam: "google_iam is not built: use authorization with credentials_file, or push through an authenticating proxy";
    /// A field of `global`.
    ExternalLabels: "external_labels does not belong under remote_write: write it under global, where it applies to \
        every endpoint; labels for one endpoint are set by write_relabel_configs with a target_label";
    /// The operator's spelling.
    CamelCase: "this key is spelled as in the Kubernetes operator's objects: in this file keys are written with \
        underscores, such as queue_config, remote_timeout, write_relabel_configs, basic_auth";
    /// The operator's spelling.
    QueueCamelCase: "this key is spelled as in the Kubernetes operator's objects: in this file keys are written with \
        underscores: capacity, max_shards, min_shards, max_samples_per_send, batch_send_deadline, min_backoff, \
        max_backoff, retry_on_http_429, sample_age_limit";
    /// The operator's spelling.
    MetadataCamelCase: "this key is spelled as in the Kubernetes operator's objects: in this file keys are written \
        with underscores: send, send_interval, max_samples_per_send";
}
