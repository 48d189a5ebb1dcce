//! `remote_read`: read and checked, not used by this version.

use std::collections::{BTreeMap, HashSet};

use nave_http::client::macro_support::or_default;
use nave_model::duration::PromDuration;
use serde::{Deserialize, Serialize};

/// Another store that queries would be sent to (features F11).
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "Written")]
pub(crate) struct RemoteRead(Written);

nave_http::with_http_settings! {
    #[derive(Debug, Clone, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        #[serde(default, deserialize_with = "or_default", serialize_with = "nave_http::client::macro_support::shown_url")]
        url: String,
        #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
        name: String,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        required_matchers: BTreeMap<String, String>,
        #[serde(default = "one_minute")]
        remote_timeout: PromDuration,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        read_recent: bool,
        #[serde(default = "yes")]
        filter_external_labels: bool,
    }
}

fn one_minute() -> PromDuration {
    PromDuration::from_secs(60)
}

fn yes() -> bool {
    true
}

impl TryFrom<Written> for RemoteRead {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        if written.url.is_empty() {
            return Err("url for remote_read is empty".to_owned());
        }
        url::Url::parse(&written.url)
            .map_err(|error| format!("remote_read url cannot be parsed: {error}"))?;
        for name in written.headers.keys() {
            nave_remote::check_header(name).map_err(|error| error.to_string())?;
        }
        written.http().validate()?;
        Ok(Self(written))
    }
}

/// Which entry has a name that another one has, and the words for it. Entries without names differ.
pub(super) fn duplicate_name(entries: &[RemoteRead]) -> Option<(usize, String)> {
    let mut seen = HashSet::new();
    let names = entries.iter().map(|entry| &entry.0.name).enumerate();
    let mut named = names.filter(|(_, name)| !name.is_empty());
    let (at, name) = named.find(|(_, name)| !seen.insert(*name))?;
    Some((at, format!("found multiple remote read configs with job name {name:?}")))
}
