//! `/federate`: the newest samples of some series as a page that another server scrapes.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use nave_base::Shutdown;
use nave_model::label::{Labels, METRIC_NAME, is_legacy_metric_name, is_legacy_name};
use nave_model::sample::is_stale;
use nave_model::select::{Columns, Need, Pages, SelectError, Selected, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_promql::QueryError;
use nave_wire::exposition::write_float;

use crate::envelope::ApiError;
use crate::param::Params;
use crate::router::Server;

/// Series fetched at once.
const BATCH: usize = 1000;

/// `/federate`.
pub(crate) async fn federate(State(server): State<Arc<Server>>, params: Params) -> Response {
    match page(&server, &params).await {
        Ok(page) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
        }
        Err(error) => {
            let status = error.into_response_status();
            (status.0, status.1).into_response()
        }
    }
}

impl ApiError {
    /// `/federate` answers in plain text.
    fn into_response_status(self) -> (StatusCode, String) {
        let text = self.text.clone();
        (self.into_response().status(), format!("{text}\n"))
    }
}

async fn page(server: &Server, params: &Params) -> Result<String, ApiError> {
    server.common.check_ready()?;
    let selectors = params.selectors()?;
    let now = Timestamp(server.common.clock.now_ms());
    let lookback_ms = i64::try_from(server.engine.options().lookback.as_millis()).unwrap_or(i64::MAX);
    // Lookback is open on the left.
    let range = TimeRange { min: now.plus_ms(1 - lookback_ms), max: now };
    let cancel = Shutdown::new();
    let _guard = cancel.clone().drop_guard();
    let mut lines: BTreeSet<(Labels, String)> = BTreeSet::new();
    for matchers in selectors {
        let mut selection = Selection::new(matchers, range);
        selection.scope = server.common.scope.clone();
        selection.need = Need::LastSample;
        selection.budget = server.common.budget.clone();
        selection.cancel = cancel.clone();
        let selected: Arc<dyn Selected> = server.select.open(selection).await?.into();
        for start in (0..selected.len()).step_by(BATCH) {
            let batch = start..(start + BATCH).min(selected.len());
            let pages = selected.fetch(batch.clone()).await?;
            let selected = selected.clone();
            lines.extend(aside(move || newest(&*selected, &*pages, batch)).await??);
        }
    }
    let external = server.common.status.external_labels();
    aside(move || write(&lines, &external)).await
}

/// Runs what takes long without holding up the connections of others.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|lost| QueryError::Internal(lost.to_string()).into())
}

/// Labels with value and time of the newest sample of `series`.
fn newest(
    selected: &dyn Selected,
    pages: &dyn Pages,
    series: Range<usize>,
) -> Result<Vec<(Labels, String)>, SelectError> {
    let (mut columns, mut lines) = (Columns::default(), Vec::with_capacity(series.len()));
    for index in series {
        pages.decode(index, &mut columns)?;
        if let Some(last) = last_float(&columns) {
            lines.push((selected.labels(index), last));
        }
    }
    Ok(lines)
}

/// Value and time of the newest sample, if it is a float; histograms have no text form.
fn last_float(columns: &Columns) -> Option<String> {
    let index = columns.len().checked_sub(1)?;
    let is_histogram = columns.histograms.last().is_some_and(|(at, _)| *at as usize == index);
    let value = columns.values[index];
    if is_histogram || is_stale(value) {
        return None;
    }
    let mut text = String::new();
    write_float(&mut text, value);
    Some(format!("{text} {}", columns.timestamps[index]))
}

fn write(lines: &BTreeSet<(Labels, String)>, external: &Labels) -> String {
    // Series of one family must stand together; label order alone does not promise that.
    let mut sorted: Vec<_> = lines.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.metric_name().cmp(b.metric_name()));
    let mut page = String::new();
    let mut family = None;
    for (labels, rest) in sorted {
        let name = labels.metric_name();
        if name.is_empty() {
            continue;
        }
        if family != Some(name) {
            page.push_str("# TYPE ");
            push_name(&mut page, name);
            page.push_str(" untyped\n");
            family = Some(name);
        }
        write_series(&mut page, labels, external);
        page.push(' ');
        page.push_str(rest);
        page.push('\n');
    }
    page
}

/// External labels that the series does not have come last, and an empty instance, so that the scraping
/// server does not put its own there.
fn write_series(page: &mut String, labels: &Labels, external: &Labels) {
    let name = labels.metric_name();
    let simple = is_legacy_metric_name(name);
    if simple {
        page.push_str(name);
    }
    let mut open = '{';
    if !simple {
        page.push(open);
        push_quoted(page, name);
        open = ',';
    }
    let added = external.iter().filter(|(name, _)| !labels.has(name));
    let instance = (!labels.has("instance") && !external.has("instance")).then_some(("instance", ""));
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME).chain(added).chain(instance) {
        page.push(open);
        open = ',';
        match is_legacy_name(name) {
            true => page.push_str(name),
            false => push_quoted(page, name),
        }
        page.push('=');
        push_quoted(page, value);
    }
    if open == ',' {
        page.push('}');
    }
}

fn push_name(page: &mut String, name: &str) {
    match is_legacy_metric_name(name) {
        true => page.push_str(name),
        false => push_quoted(page, name),
    }
}

fn push_quoted(page: &mut String, text: &str) {
    page.push('"');
    for c in text.chars() {
        match c {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            c => page.push(c),
        }
    }
    page.push('"');
}
