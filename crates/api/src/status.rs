//! `status/*`, `features` and what is empty so far: rules, alerts, Alertmanagers, notifications.

use std::sync::Arc;

use axum::extract::State;
use nave_model::time::Timestamp;
use serde::Serialize;

use crate::envelope::{Answered, ApiError, Success};
use crate::json;
use crate::param::Params;
use crate::router::{Common, Server};
use crate::time::{quoted, rfc3339};

/// Entries per list of `status/tsdb`.
const LIST_DEFAULT: usize = 10;
const LIST_MAX: usize = 10_000;

/// `status/config`.
pub(crate) async fn config(State(common): State<Arc<Common>>) -> Answered {
    let mut data = "{\"yaml\":".to_owned();
    json::string(&mut data, &common.status.config_yaml());
    data.push('}');
    Ok(Success::json(data))
}

/// `status/flags`.
pub(crate) async fn flags(State(common): State<Arc<Common>>) -> Answered {
    Success::of(&common.status.flags())
}

/// `status/buildinfo`.
pub(crate) async fn buildinfo(State(common): State<Arc<Common>>) -> Answered {
    Success::of(&common.status.build())
}

#[derive(Serialize)]
struct Runtime {
    #[serde(rename = "startTime")]
    start_time: String,
    #[serde(rename = "CWD")]
    working_directory: String,
    hostname: String,
    #[serde(rename = "serverTime")]
    server_time: String,
    #[serde(rename = "reloadConfigSuccess")]
    reload_succeeded: bool,
    #[serde(rename = "lastConfigTime")]
    last_config_time: String,
    #[serde(rename = "corruptionCount")]
    corruption_count: u64,
    #[serde(rename = "goroutineCount")]
    task_count: u64,
    #[serde(rename = "GOMAXPROCS")]
    worker_count: u64,
    #[serde(rename = "GOMEMLIMIT")]
    memory_limit: u64,
    // Upstream's knobs of the Go runtime; clients expect the fields.
    #[serde(rename = "GOGC")]
    gogc: &'static str,
    #[serde(rename = "GODEBUG")]
    godebug: &'static str,
    #[serde(rename = "storageRetention")]
    storage_retention: String,
}

/// `status/runtimeinfo`.
pub(crate) async fn runtimeinfo(State(common): State<Arc<Common>>) -> Answered {
    let info = common.status.runtime();
    Success::of(&Runtime {
        start_time: rfc3339(info.start),
        working_directory: info.working_directory,
        hostname: info.hostname,
        server_time: rfc3339(Timestamp(common.clock.now_ms())),
        reload_succeeded: info.reload_succeeded,
        last_config_time: rfc3339(info.last_config),
        corruption_count: info.corruption_count,
        task_count: info.task_count,
        worker_count: info.worker_count,
        memory_limit: info.memory_limit,
        gogc: "",
        godebug: "",
        storage_retention: info.storage_retention,
    })
}

/// `status/tsdb`.
pub(crate) async fn tsdb(State(server): State<Arc<Server>>, params: Params) -> Answered {
    let limit = match params.get("limit") {
        "" => LIST_DEFAULT,
        text => match text.parse() {
            Ok(limit @ 1..=LIST_MAX) => limit,
            Ok(limit) if limit > LIST_MAX => {
                return Err(ApiError::bad_data(format!("limit must not exceed {LIST_MAX}")));
            }
            _ => return Err(ApiError::bad_data("limit must be a positive number")),
        },
    };
    server.common.check_ready()?;
    match server.common.status.tsdb(limit) {
        Some(status) => Success::of(&status),
        None => Err(ApiError::unavailable("TSDB not ready")),
    }
}

/// `status/walreplay`.
pub(crate) async fn walreplay(State(common): State<Arc<Common>>) -> Answered {
    Success::of(&common.status.wal_replay())
}

/// `features`.
pub(crate) async fn features(State(common): State<Arc<Common>>) -> Answered {
    Success::of(&common.status.features())
}

/// `rules`: there are none yet.
pub(crate) async fn rules(params: Params) -> Answered {
    match params.get("type").to_lowercase().as_str() {
        "" | "alert" | "record" => Ok(Success::json(r#"{"groups":[]}"#)),
        other => Err(ApiError::parameter("type", format!("not supported value {}", quoted(other)))),
    }
}

/// `alerts`: there are none yet.
pub(crate) async fn alerts() -> Answered {
    Ok(Success::json(r#"{"alerts":[]}"#))
}

/// `alertmanagers`: there are none yet.
pub(crate) async fn alertmanagers() -> Answered {
    Ok(Success::json(r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#))
}

/// `notifications`: there are none yet.
pub(crate) async fn notifications() -> Answered {
    Ok(Success::json("[]"))
}
