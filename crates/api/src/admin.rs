//! `/api/v1/admin/tsdb/*`, which changes or copies what is stored, and `/api/v1/status/tsdb/blocks`, which lists it.
//! `compact` is Nave's own.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use nave_model::matcher::Matcher;
use nave_model::time::TimeRange;
use serde::Serialize;

use crate::envelope::{Answered, ApiError, ErrorType, Success};
use crate::param::Params;
use crate::router::API_PREFIXES;
use crate::time::quoted;

/// What an operator may ask of the store. Errors are for people.
pub trait TsdbAdmin: Send + Sync {
    /// Hides the samples in `range` of all series that one of `selectors` matches.
    fn delete_series(
        &self,
        selectors: Vec<Vec<Matcher>>,
        range: TimeRange,
    ) -> BoxFuture<'_, Result<(), String>>;
    /// Frees the space of what was deleted.
    fn clean_tombstones(&self) -> BoxFuture<'_, Result<(), String>>;
    /// Copies the store; gives the name of the copy. Without the head, what is only in memory and log is left out.
    fn snapshot(&self, skip_head: bool) -> BoxFuture<'_, Result<String, String>>;
    /// Writes memory to disk and merges all that can be merged.
    fn compact(&self) -> BoxFuture<'_, Result<(), String>>;
    /// All parts and blocks, oldest first.
    fn blocks(&self) -> Vec<BlockView>;
}

/// One part or block of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockView {
    /// Its name.
    pub ulid: String,
    /// `part`, `window` or `day`.
    pub level: &'static str,
    /// First sample in ms.
    pub min_time: i64,
    /// Last sample in ms.
    pub max_time: i64,
    /// Its series.
    pub series: u64,
    /// Its samples.
    pub samples: u64,
    /// Its length.
    pub bytes: u64,
    /// Deletes that are not yet carried out in it.
    pub tombstones: u64,
    /// Why it cannot be read, where that is so.
    pub damage: Option<String>,
}

/// The routes, to be merged with those of [`crate::router`]. Unless `is_enabled`, those that change something refuse.
pub fn admin_router(store: Arc<dyn TsdbAdmin>, is_enabled: bool) -> Router {
    let state = Admin { store, is_enabled };
    let api: Router = Router::new()
        .route("/admin/tsdb/delete_series", post(delete_series).put(delete_series))
        .route("/admin/tsdb/clean_tombstones", post(clean_tombstones).put(clean_tombstones))
        .route("/admin/tsdb/snapshot", post(snapshot).put(snapshot))
        .route("/admin/tsdb/compact", post(compact).put(compact))
        .route("/status/tsdb/blocks", get(blocks))
        .with_state(state);
    API_PREFIXES.iter().fold(Router::new(), |router, prefix| router.nest(prefix, api.clone()))
}

#[derive(Clone)]
struct Admin {
    store: Arc<dyn TsdbAdmin>,
    is_enabled: bool,
}

impl Admin {
    fn store(&self) -> Result<&dyn TsdbAdmin, ApiError> {
        if self.is_enabled { Ok(&*self.store) } else { Err(ApiError::unavailable("admin APIs disabled")) }
    }
}

fn failed(text: String) -> ApiError {
    ApiError { kind: ErrorType::Internal, text }
}

/// 204: there is nothing to say.
fn done(outcome: Result<(), String>) -> Response {
    match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failed(error).into_response(),
    }
}

async fn delete_series(State(admin): State<Admin>, params: Params) -> Result<Response, ApiError> {
    let store = admin.store()?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (range, selectors) = (params.range()?, params.selectors()?);
    Ok(done(store.delete_series(selectors, range).await))
}

async fn clean_tombstones(State(admin): State<Admin>) -> Result<Response, ApiError> {
    Ok(done(admin.store()?.clean_tombstones().await))
}

async fn compact(State(admin): State<Admin>) -> Result<Response, ApiError> {
    Ok(done(admin.store()?.compact().await))
}

async fn snapshot(State(admin): State<Admin>, params: Params) -> Answered {
    #[derive(Serialize)]
    struct Named {
        name: String,
    }
    let store = admin.store()?;
    let skip_head = match params.get("skip_head") {
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
        other => {
            let text = format!("strconv.ParseBool: parsing {}: invalid syntax", quoted(other));
            return Err(ApiError::parameter("skip_head", text));
        }
    };
    let name = store.snapshot(skip_head).await.map_err(failed)?;
    Success::of(&Named { name })
}

async fn blocks(State(admin): State<Admin>) -> Answered {
    #[derive(Serialize)]
    struct Blocks<'a> {
        blocks: Vec<Row<'a>>,
    }
    let blocks = admin.store.blocks();
    Success::of(&Blocks { blocks: blocks.iter().map(Row::new).collect() })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    ulid: &'a str,
    level: &'a str,
    min_time: i64,
    max_time: i64,
    stats: Stats,
    tombstones: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    num_series: u64,
    num_samples: u64,
    num_bytes: u64,
}

impl<'a> Row<'a> {
    fn new(block: &'a BlockView) -> Self {
        let stats = Stats { num_series: block.series, num_samples: block.samples, num_bytes: block.bytes };
        Self {
            ulid: &block.ulid,
            level: block.level,
            min_time: block.min_time,
            max_time: block.max_time,
            stats,
            tombstones: block.tombstones,
            damage: block.damage.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use futures_util::FutureExt;
    use std::sync::Mutex;
    use tower::ServiceExt as _;

    use super::*;

    /// Writes down what it is asked.
    #[derive(Default)]
    struct Asked(Mutex<Vec<String>>);

    impl Asked {
        fn note(&self, text: String) -> BoxFuture<'_, Result<(), String>> {
            self.0.lock().unwrap().push(text);
            async { Ok(()) }.boxed()
        }
    }

    impl TsdbAdmin for Asked {
        fn delete_series(
            &self,
            selectors: Vec<Vec<Matcher>>,
            range: TimeRange,
        ) -> BoxFuture<'_, Result<(), String>> {
            self.note(format!("delete {selectors:?} {} {}", range.min, range.max))
        }
        fn clean_tombstones(&self) -> BoxFuture<'_, Result<(), String>> {
            self.note("clean".to_owned())
        }
        fn snapshot(&self, skip_head: bool) -> BoxFuture<'_, Result<String, String>> {
            async move { if skip_head { Ok("now".to_owned()) } else { Err("no room".to_owned()) } }.boxed()
        }
        fn compact(&self) -> BoxFuture<'_, Result<(), String>> {
            self.note("compact".to_owned())
        }
        fn blocks(&self) -> Vec<BlockView> {
            vec![BlockView { ulid: "01A".to_owned(), level: "part", series: 3, ..BlockView::default() }]
        }
    }

    async fn ask(store: &Arc<Asked>, is_enabled: bool, method: &str, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}")).body(Body::empty());
        let router = admin_router(store.clone(), is_enabled);
        let response = router.oneshot(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn what_is_asked_and_what_is_answered() {
        let store = Arc::new(Asked::default());
        let check = async |method: &str, path: &str, status: u16, want: &str| {
            let (came, body) = ask(&store, true, method, path).await;
            assert_eq!((came, body.contains(want)), (status, true), "{path}: {body}");
        };
        check("POST", "/admin/tsdb/delete_series?match[]=up{a='b'}&match[]=x&start=1&end=2.5", 204, "").await;
        check("PUT", "/admin/tsdb/delete_series?match[]=up", 204, "").await;
        check("POST", "/admin/tsdb/delete_series", 400, "no match[] parameter provided").await;
        check("POST", "/admin/tsdb/delete_series?match[]={}", 400, "invalid parameter").await;
        check("POST", "/admin/tsdb/delete_series?match[]=up&start=x", 400, "start").await;
        check("GET", "/admin/tsdb/clean_tombstones", 405, "").await;
        check("POST", "/admin/tsdb/clean_tombstones", 204, "").await;
        check("POST", "/admin/tsdb/compact", 204, "").await;
        check("POST", "/admin/tsdb/snapshot?skip_head=true", 200, r#""data":{"name":"now"}"#).await;
        check("POST", "/admin/tsdb/snapshot", 500, "no room").await;
        check("POST", "/admin/tsdb/snapshot?skip_head=maybe", 400, "skip_head").await;
        check("GET", "/status/tsdb/blocks", 200, r#""level":"part","#).await;
        check("GET", "/status/tsdb/blocks", 200, r#""stats":{"numSeries":3,"#).await;
        let all = format!("delete [[__name__=\"up\"]] {} {}", i64::MIN, i64::MAX);
        let first = r#"delete [[a="b", __name__="up"], [__name__="x"]] 1000 2500"#;
        assert_eq!(*store.0.lock().unwrap(), [first, &all, "clean", "compact"]);
    }

    #[tokio::test]
    async fn nothing_changes_unless_it_is_enabled() {
        let store = Arc::new(Asked::default());
        for path in ["delete_series?match[]=up", "clean_tombstones", "snapshot", "compact"] {
            let (status, body) = ask(&store, false, "POST", &format!("/admin/tsdb/{path}")).await;
            assert_eq!((status, body.contains("admin APIs disabled")), (503, true), "{path}: {body}");
        }
        assert!(store.0.lock().unwrap().is_empty());
        assert_eq!(ask(&store, false, "GET", "/status/tsdb/blocks").await.0, 200);
    }
}
