//! `targets`, `targets/metadata` and `scrape_pools`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_promql::{ParseOptions, parse_selector};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use url::Url;

use crate::envelope::{Answered, ApiError, Success};
use crate::json;
use crate::param::Params;
use crate::router::Common;
use crate::time::rfc3339;
use crate::view::{ActiveTarget, Health, TargetMetadata};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Targets<'a> {
    active_targets: Vec<Active<'a>>,
    dropped_targets: Vec<Dropped<'a>>,
    dropped_target_counts: Option<BTreeMap<&'a str, usize>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Active<'a> {
    discovered_labels: Pairs<'a>,
    #[serde(serialize_with = "labels_map")]
    labels: &'a Labels,
    scrape_pool: &'a str,
    scrape_url: &'a str,
    global_url: String,
    last_error: &'a str,
    last_scrape: String,
    last_scrape_duration: f64,
    health: Health,
    scrape_interval: &'a str,
    scrape_timeout: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dropped<'a> {
    pub(crate) discovered_labels: Pairs<'a>,
    pub(crate) scrape_pool: &'a str,
}

/// Label pairs as an object.
#[derive(Clone, Copy)]
pub(crate) struct Pairs<'a>(pub(crate) &'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn labels_map<S: Serializer>(labels: &&Labels, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(labels.len()))?;
    for (name, value) in *labels {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

/// `targets`.
pub(crate) async fn targets(State(common): State<Arc<Common>>, params: Params) -> Answered {
    let state = params.get("state").to_lowercase();
    let wants = |kind: &str| state.is_empty() || state == "any" || state == kind;
    let (active, dropped) = (wants("active"), wants("dropped"));
    let only = params.get("scrapePool");
    let hostname = common.status.runtime().hostname;
    let mut pools = common.targets.pools();
    pools.retain(|pool| only.is_empty() || pool.name == only);
    let mut shown = Targets {
        active_targets: Vec::new(),
        dropped_targets: Vec::new(),
        // Upstream gives null unless dropped targets are asked for.
        dropped_target_counts: dropped.then(BTreeMap::new),
    };
    for pool in &pools {
        let name = pool.name.as_str();
        if active {
            let all = pool.active.iter().map(|target| show(target, name, &hostname, &common.external_url));
            shown.active_targets.extend(all);
        }
        if let Some(counts) = &mut shown.dropped_target_counts {
            let all = pool
                .dropped
                .iter()
                .map(|labels| Dropped { discovered_labels: Pairs(labels), scrape_pool: name });
            shown.dropped_targets.extend(all);
            counts.insert(name, pool.dropped_count);
        }
    }
    Success::of(&shown)
}

pub(crate) fn show<'a>(
    target: &'a ActiveTarget,
    pool: &'a str,
    hostname: &str,
    external: &Url,
) -> Active<'a> {
    Active {
        discovered_labels: Pairs(&target.discovered_labels),
        labels: &target.labels,
        scrape_pool: pool,
        scrape_url: &target.scrape_url,
        global_url: global_url(&target.scrape_url, hostname, external),
        last_error: &target.last_error,
        last_scrape: match target.last_scrape {
            Some(at) => rfc3339(at),
            None => "0001-01-01T00:00:00Z".to_owned(),
        },
        last_scrape_duration: target.last_scrape_duration.as_secs_f64(),
        health: target.health,
        scrape_interval: &target.scrape_interval,
        scrape_timeout: &target.scrape_timeout,
    }
}

/// A scrape address as somebody elsewhere would write it.
fn global_url(scrape_url: &str, hostname: &str, external: &Url) -> String {
    let Ok(mut url) = Url::parse(scrape_url) else { return scrape_url.to_owned() };
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if is_local && !hostname.is_empty() {
        let replaced = if url.port_or_known_default() == external.port_or_known_default() {
            // This process itself, perhaps behind a proxy.
            let scheme = url.set_scheme(external.scheme());
            scheme.and_then(|()| url.set_host(external.host_str()).map_err(|_| ()))
        } else {
            url.set_host(Some(hostname)).map_err(|_| ())
        };
        if replaced.is_err() {
            return scrape_url.to_owned();
        }
    }
    url.to_string()
}

/// `scrape_pools`.
pub(crate) async fn scrape_pools(State(common): State<Arc<Common>>) -> Answered {
    let names: Vec<String> = common.targets.pools().into_iter().map(|pool| pool.name).collect();
    let mut data = "{\"scrapePools\":".to_owned();
    json::strings(&mut data, &names);
    data.push('}');
    Ok(Success::json(data))
}

/// `targets/metadata`.
pub(crate) async fn target_metadata(State(common): State<Arc<Common>>, params: Params) -> Answered {
    let limit = match params.get("limit") {
        "" => usize::MAX,
        text => match text.parse::<i64>() {
            Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
            Err(_) => return Err(ApiError::bad_data("limit must be a number")),
        },
    };
    let matchers = match params.get("match_target") {
        "" => Vec::new(),
        text => parse_selector(text, &ParseOptions::ALL)
            .map_err(|error| ApiError::parameter("match_target", error))?,
    };
    let metric = params.get("metric");
    let all = common.targets.metadata();
    let found = all.iter().filter(|item| {
        Matcher::all_match(&matchers, &item.target) && (metric.is_empty() || item.metric == metric)
    });
    let mut data = "[".to_owned();
    json::separated(&mut data, found.take(limit), |out, item| write_metadata(out, item, metric.is_empty()));
    data.push(']');
    Ok(Success::json(data))
}

fn write_metadata(out: &mut String, item: &TargetMetadata, with_name: bool) {
    out.push_str("{\"target\":");
    json::labels(out, &item.target);
    let name = with_name.then_some(("metric", item.metric.as_str()));
    let metadata = &item.metadata;
    let rest = [("type", metadata.kind.as_str()), ("help", &metadata.help), ("unit", &metadata.unit)];
    for (key, value) in name.into_iter().chain(rest) {
        out.push_str(",\"");
        out.push_str(key);
        out.push_str("\":");
        json::string(out, value);
    }
    out.push('}');
}
