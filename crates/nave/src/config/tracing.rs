//! `tracing`: read and checked, not used by this version.

use std::collections::BTreeMap;

use nave_http::client::TlsSettings;
use nave_model::duration::PromDuration;
use serde::{Deserialize, Serialize};

/// Where traces of the server itself would go (features F11).
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "Written")]
pub(crate) struct Tracing(Written);

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_type: Option<ClientType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(default)]
    sampling_fraction: f64,
    #[serde(default)]
    insecure: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compression: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<PromDuration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls_config: Option<TlsSettings>,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ClientType {
    Http,
    Grpc,
}

impl TryFrom<Written> for Tracing {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        if written.endpoint.as_ref().is_none_or(String::is_empty) {
            return Err("tracing endpoint must be set".to_owned());
        }
        for name in written.headers.keys() {
            if name.eq_ignore_ascii_case("authorization") {
                return Err("authorization header configuration is not yet supported".to_owned());
            }
            nave_remote::check_header(name).map_err(|error| error.to_string())?;
        }
        match written.compression.as_deref() {
            None | Some("" | "gzip") => Ok(Self(written)),
            Some(other) => Err(format!("invalid compression type {other} provided, valid options: gzip")),
        }
    }
}
