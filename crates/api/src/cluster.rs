//! `/api/v1/clusters`: what a hub knows of the clusters that write to it. Nave's own; upstream has no such
//! thing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Serialize;

use crate::envelope::{Answered, Success};
use crate::router::API_PREFIXES;
use crate::time::rfc3339;
use crate::view::{ClusterView, ClustersView};

/// The route of the clusters, to be merged with those of [`crate::router`].
pub fn clusters_router(clusters: Arc<dyn ClustersView>) -> Router {
    let routes = API_PREFIXES
        .iter()
        .fold(Router::new(), |router, prefix| router.route(&format!("{prefix}/clusters"), get(all)));
    routes.with_state(clusters)
}

async fn all(State(clusters): State<Arc<dyn ClustersView>>) -> Answered {
    let known = clusters.clusters();
    Success::of(&Clusters { clusters: known.iter().map(Row::new).collect() })
}

#[derive(Serialize)]
struct Clusters<'a> {
    clusters: Vec<Row<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    name: &'a str,
    silent: bool,
    last_contact: Option<String>,
    lag_seconds: Option<f64>,
    samples_per_second: f64,
    bytes_per_second: f64,
    active_series: u64,
    requests: u64,
    received_bytes: u64,
    accepted_samples: u64,
    rejected_samples: BTreeMap<&'a str, u64>,
    throttled_requests: BTreeMap<&'a str, u64>,
    sender_version: &'a str,
    clock_skew_seconds: Option<f64>,
    labels: BTreeMap<&'a str, &'a str>,
    limits: BTreeMap<&'a str, u64>,
}

impl<'a> Row<'a> {
    fn new(one: &'a ClusterView) -> Self {
        let counts =
            |counts: &'a [(String, u64)]| counts.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        Self {
            name: &one.name,
            silent: one.silent,
            last_contact: one.last_contact.map(rfc3339),
            lag_seconds: one.lag_seconds,
            samples_per_second: one.samples_per_second,
            bytes_per_second: one.bytes_per_second,
            active_series: one.active_series,
            requests: one.requests,
            received_bytes: one.received_bytes,
            accepted_samples: one.accepted_samples,
            rejected_samples: counts(&one.rejected_samples),
            throttled_requests: counts(&one.throttled_requests),
            sender_version: &one.sender_version,
            clock_skew_seconds: one.clock_skew_seconds,
            labels: one.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            limits: counts(&one.limits),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use nave_model::time::Timestamp;
    use tower::ServiceExt as _;

    use super::*;

    struct One;

    impl ClustersView for One {
        fn clusters(&self) -> Vec<ClusterView> {
            vec![ClusterView {
                name: "spoke1".to_owned(),
                last_contact: Some(Timestamp(1_700_000_000_500)),
                lag_seconds: Some(1.5),
                rejected_samples: vec![("conflict".to_owned(), 2)],
                labels: vec![("cluster".to_owned(), "spoke1".to_owned())],
                ..ClusterView::default()
            }]
        }
    }

    #[tokio::test]
    async fn rows_under_both_prefixes() {
        for prefix in API_PREFIXES {
            let request = Request::get(format!("{prefix}/clusters")).body(Body::empty()).unwrap();
            let response = clusters_router(Arc::new(One)).oneshot(request).await.unwrap();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let row = &answer["data"]["clusters"][0];
            assert_eq!((&answer["status"], &row["name"]), (&"success".into(), &"spoke1".into()));
            assert_eq!(row["lastContact"], "2023-11-14T22:13:20.5Z", "{row}");
            assert_eq!((&row["lagSeconds"], &row["rejectedSamples"]["conflict"]), (&1.5.into(), &2.into()));
            assert_eq!((&row["clockSkewSeconds"], &row["labels"]["cluster"]), (&().into(), &"spoke1".into()));
        }
    }
}
