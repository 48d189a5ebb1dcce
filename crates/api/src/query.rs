//! `query`, `query_range` and what else takes PromQL.

use std::sync::Arc;

use axum::extract::State;
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;
use nave_promql::{QueryOptions, parse};

use crate::answer::answer;
use crate::envelope::{Answered, ApiError, Success};
use crate::json;
use crate::param::Params;
use crate::router::Server;
use crate::time::{parse_duration, parse_duration_ms};
use crate::tree::tree;

/// More points than any screen has; a range query that wants more is a mistake.
const POINTS_MAX: i64 = 11_000;

/// `query`.
pub(crate) async fn instant(State(server): State<Arc<Server>>, params: Params) -> Answered {
    let limit = params.limit()?;
    let now = Timestamp(server.common.clock.now_ms());
    let at = params.time_or("time", now)?;
    let options = options(&server, &params, limit)?;
    let found = server.engine.instant(server.select.clone(), params.get("query"), at, options).await?;
    Ok(answer(found, wants_stats(&params)))
}

/// `query_range`.
pub(crate) async fn range(State(server): State<Arc<Server>>, params: Params) -> Answered {
    let limit = params.limit()?;
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = step_ms(params.get("step"))?;
    if end.0.saturating_sub(start.0) / step_ms > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution \
             (?step=XX)",
        ));
    }
    let mut options = options(&server, &params, limit)?;
    // Whoever asks for figures wants those of a whole evaluation.
    options.reuse = params.get("nocache") != "1" && !wants_stats(&params) && !options.explain;
    let store = server.select.clone();
    let found = server.engine.range(store, params.get("query"), start, end, step_ms, options).await?;
    Ok(answer(found, wants_stats(&params)))
}

fn wants_stats(params: &Params) -> bool {
    !params.get("stats").is_empty()
}

fn step_ms(text: &str) -> Result<i64, ApiError> {
    let ms = parse_duration_ms(text).map_err(|error| ApiError::parameter("step", error))?;
    // Steps are whole milliseconds, so a shorter one is zero.
    match ms as i64 {
        step @ 1.. => Ok(step),
        _ => Err(ApiError::parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        )),
    }
}

/// What both kinds of queries may say.
fn options(server: &Server, params: &Params, limit: Option<usize>) -> Result<QueryOptions, ApiError> {
    server.common.check_ready()?;
    let timeout = match params.get("timeout") {
        "" => None,
        text => Some(parse_duration(text).map_err(|error| ApiError::parameter("timeout", error))?),
    };
    let lookback = match params.get("lookback_delta") {
        "" => None,
        text => Some(parse_duration(text).map_err(|error| {
            ApiError::bad_data(format!("error parsing lookback delta duration: {error}"))
        })?),
    };
    let scope = server.common.scope.clone();
    // When the client goes away the server drops the request, and the engine then ends the query.
    let origin = Some(params.origin());
    // Nave's own: the answer then has `plan`.
    let explain = params.get("explain") == "1";
    let (figures, figures_per_step) = (wants_stats(params), params.get("stats") == "all");
    Ok(QueryOptions {
        scope,
        lookback,
        timeout,
        limit,
        explain,
        figures,
        figures_per_step,
        origin,
        ..QueryOptions::default()
    })
}

/// `query_exemplars`: those of all series that the query selects.
pub(crate) async fn exemplars(State(server): State<Arc<Server>>, params: Params) -> Answered {
    let range = params.range()?;
    if range.max < range.min {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = parse(params.get("query"), &server.engine.options().parse)
        .map_err(|error| ApiError::bad_data(error.to_string()))?;
    server.common.check_ready()?;
    let selectors: Vec<_> = expr.selectors().into_iter().map(|selector| selector.matchers.clone()).collect();
    let found = server.exemplars.exemplars(&server.common.scope, &selectors, range);
    let mut data = "[".to_owned();
    json::separated(&mut data, &found, |out, (series, exemplars)| {
        out.push_str(r#"{"seriesLabels":"#);
        json::labels(out, series);
        out.push_str(r#","exemplars":["#);
        json::separated(out, exemplars, exemplar);
        out.push_str("]}");
    });
    data.push(']');
    Ok(Success::json(data))
}

fn exemplar(out: &mut String, Exemplar { labels, value, timestamp }: &Exemplar) {
    out.push_str(r#"{"labels":"#);
    json::labels(out, labels);
    out.push_str(r#","value":"#);
    json::float(out, *value);
    out.push_str(r#","timestamp":"#);
    json::time(out, timestamp.unwrap_or(Timestamp(0)));
    out.push('}');
}

/// `format_query`.
pub(crate) async fn format(State(server): State<Arc<Server>>, params: Params) -> Answered {
    let expr = parse(params.get("query"), &server.engine.options().parse)
        .map_err(|error| ApiError::parameter("query", error))?;
    let mut data = String::new();
    json::string(&mut data, &expr.pretty());
    Ok(Success::json(data))
}

/// `parse_query`.
pub(crate) async fn parse_tree(State(server): State<Arc<Server>>, params: Params) -> Answered {
    let expr = parse(params.get("query"), &server.engine.options().parse)
        .map_err(|error| ApiError::parameter("query", error))?;
    Ok(Success::json(tree(&expr).to_string()))
}
