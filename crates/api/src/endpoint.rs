//! `/api/v1/status/remote_write`: the endpoints that this process sends to, with their last failure. Nave's own;
//! their figures are in the metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Serialize;

use crate::envelope::{Answered, Success};
use crate::router::API_PREFIXES;
use crate::time::rfc3339;
use crate::view::{EndpointView, EndpointsView};

/// The route of the endpoints, to be merged with those of [`crate::router`] or [`crate::agent_router`].
pub fn endpoints_router(endpoints: Arc<dyn EndpointsView>) -> Router {
    let routes = API_PREFIXES.iter().fold(Router::new(), |router, prefix| {
        router.route(&format!("{prefix}/status/remote_write"), get(all))
    });
    routes.with_state(endpoints)
}

async fn all(State(endpoints): State<Arc<dyn EndpointsView>>) -> Answered {
    let known = endpoints.endpoints().await;
    Success::of(&Endpoints { endpoints: known.iter().map(Row::new).collect() })
}

#[derive(Serialize)]
struct Endpoints<'a> {
    endpoints: Vec<Row<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    name: &'a str,
    url: &'a str,
    last_error: Option<&'a str>,
    last_error_time: Option<String>,
}

impl<'a> Row<'a> {
    fn new(one: &'a EndpointView) -> Self {
        let failure = one.last_failure.as_ref();
        Self {
            name: &one.name,
            url: &one.url,
            last_error: failure.map(|(_, why)| why.as_str()),
            last_error_time: failure.map(|(at, _)| rfc3339(*at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use futures_util::FutureExt;
    use futures_util::future::{BoxFuture, ready};
    use nave_model::time::Timestamp;
    use tower::ServiceExt;

    use super::*;

    struct Two;

    impl EndpointsView for Two {
        fn endpoints(&self) -> BoxFuture<'_, Vec<EndpointView>> {
            let one =
                EndpointView { name: "hub".to_owned(), url: "http://hub/".to_owned(), last_failure: None };
            let failure = Some((Timestamp(1_700_000_000_500), "refused".to_owned()));
            ready(vec![one.clone(), EndpointView { last_failure: failure, ..one }]).boxed()
        }
    }

    #[tokio::test]
    async fn endpoints_with_their_last_failure() {
        for prefix in API_PREFIXES {
            let request = Request::get(format!("{prefix}/status/remote_write")).body(Body::empty()).unwrap();
            let response = endpoints_router(Arc::new(Two)).oneshot(request).await.unwrap();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let rows = &answer["data"]["endpoints"];
            assert_eq!((&rows[0]["name"], &rows[0]["lastError"]), (&"hub".into(), &().into()));
            assert_eq!(
                (&rows[1]["lastError"], &rows[1]["lastErrorTime"]),
                (&"refused".into(), &"2023-11-14T22:13:20.5Z".into())
            );
        }
    }
}
