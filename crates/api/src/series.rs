//! `series`, `labels`, `label/<name>/values` and `metadata`: what exists, without samples.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use nave_base::Shutdown;
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::metadata::Metadata;
use nave_model::select::{Listing, Need, Selection};
use nave_model::time::TimeRange;

use crate::envelope::{Answered, ApiError, Success};
use crate::json;
use crate::param::Params;
use crate::router::{Common, Server};

/// What upstream says when a limit cut an answer.
const TRUNCATED: &str = "results truncated due to limit";

/// `series`.
pub(crate) async fn series(State(server): State<Arc<Server>>, params: Params) -> Answered {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let lookup = Lookup::new(&server, &params)?;
    let mut items: Vec<Labels> = Vec::new();
    let mut warnings = Vec::new();
    for matchers in &lookup.selectors {
        let selected = server.select.open(lookup.selection(matchers.clone())).await?;
        items.extend((0..selected.len()).map(|index| selected.labels(index)));
        warnings.extend(selected.warnings());
    }
    if lookup.selectors.len() > 1 {
        // One selection is sorted and unique already.
        items.sort();
        items.dedup();
    }
    lookup.truncate(&mut items, &mut warnings);
    let mut data = "[".to_owned();
    json::separated(&mut data, &items, json::labels);
    data.push(']');
    Ok(Success { data, warnings, ..Success::default() })
}

/// `labels`.
pub(crate) async fn label_names(State(server): State<Arc<Server>>, params: Params) -> Answered {
    let lookup = Lookup::new(&server, &params)?;
    let mut listings = Vec::new();
    for selection in lookup.selections() {
        listings.push(server.labels.label_names(selection).await?);
    }
    Ok(lookup.listing(listings))
}

/// `label/<name>/values`.
pub(crate) async fn label_values(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    params: Params,
) -> Answered {
    let name = unescape_name(&name).unwrap_or(name);
    if name.is_empty() {
        return Err(ApiError::bad_data("invalid label name: \"\""));
    }
    let lookup = Lookup::new(&server, &params)?;
    let mut listings = Vec::new();
    for selection in lookup.selections() {
        listings.push(server.labels.label_values(name.clone(), selection).await?);
    }
    Ok(lookup.listing(listings))
}

/// What the three have in common.
struct Lookup<'a> {
    server: &'a Server,
    selectors: Vec<Vec<Matcher>>,
    range: TimeRange,
    limit: Option<usize>,
    cancel: Shutdown,
    /// The server drops the request when the client goes away.
    _guard: tokio_util::sync::DropGuard,
}

impl<'a> Lookup<'a> {
    fn new(server: &'a Server, params: &Params) -> Result<Self, ApiError> {
        let limit = params.limit()?;
        let range = params.range()?;
        let selectors = params.selectors()?;
        server.common.check_ready()?;
        let cancel = Shutdown::new();
        let guard = cancel.clone().drop_guard();
        Ok(Self { server, selectors, range, limit, cancel, _guard: guard })
    }

    fn selection(&self, matchers: Vec<Matcher>) -> Selection {
        let mut selection = Selection::new(matchers, self.range);
        selection.scope = self.server.common.scope.clone();
        selection.need = Need::Labels;
        // One more than wanted tells whether there is more.
        selection.limit = self.limit.map(|limit| limit.saturating_add(1));
        selection.budget = self.server.common.budget.clone();
        selection.cancel = self.cancel.clone();
        selection
    }

    /// One per selector; without any, everything.
    fn selections(&self) -> Vec<Selection> {
        match self.selectors.as_slice() {
            [] => vec![self.selection(Vec::new())],
            all => all.iter().map(|matchers| self.selection(matchers.clone())).collect(),
        }
    }

    fn truncate<T>(&self, items: &mut Vec<T>, warnings: &mut Vec<String>) {
        let Some(limit) = self.limit else { return };
        if items.len() > limit {
            items.truncate(limit);
            warnings.push(TRUNCATED.to_owned());
        }
    }

    fn listing(&self, listings: Vec<Listing>) -> Success {
        let mut warnings = Vec::new();
        let mut all: BTreeSet<String> = BTreeSet::new();
        for listing in listings {
            all.extend(listing.items);
            warnings.extend(listing.warnings);
        }
        let mut items: Vec<String> = all.into_iter().collect();
        self.truncate(&mut items, &mut warnings);
        let mut data = String::new();
        json::strings(&mut data, &items);
        Success { data, warnings, ..Success::default() }
    }
}

/// Undoes `U__` escaping: `_` doubled, other characters as `_<hex>_`. `None` when it is not escaped or the
/// escapes are broken; the name is then taken as it is.
fn unescape_name(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix("U__")?;
    let mut plain = String::new();
    while let Some(at) = rest.find('_') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (code, after) = rest.split_once('_')?;
        if code.is_empty() {
            plain.push('_');
        } else {
            let code = u32::from_str_radix(code, 16).ok().filter(|_| code.len() <= 6)?;
            plain.push(char::from_u32(code)?);
        }
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

/// `metadata`.
pub(crate) async fn metadata(State(common): State<Arc<Common>>, params: Params) -> Answered {
    let number = |name: &str| match params.get(name) {
        "" => Ok(None),
        text => match text.parse::<i64>() {
            Ok(number) => Ok(usize::try_from(number).ok()),
            Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
        },
    };
    let limit = number("limit")?;
    // Upstream takes 0 here as no limit.
    let limit_per_metric = number("limit_per_metric")?.filter(|limit| *limit > 0);
    let family = Some(params.get("metric")).filter(|name| !name.is_empty());
    let mut families: BTreeMap<Arc<str>, Vec<Metadata>> = BTreeMap::new();
    for (name, metadata) in common.metadata.metadata(&common.scope, family) {
        let known = families.entry(name).or_default();
        if limit_per_metric.is_none_or(|limit| known.len() < limit) && !known.contains(&metadata) {
            known.push(metadata);
        }
    }
    let mut data = "{".to_owned();
    let families = families.iter().take(limit.unwrap_or(usize::MAX));
    json::separated(&mut data, families, |out, (name, all)| {
        json::string(out, name);
        out.push_str(":[");
        json::separated(out, all, |out, Metadata { kind, help, unit }| {
            json::pairs(out, [("type", kind.as_str()), ("unit", unit), ("help", help)]);
        });
        out.push(']');
    });
    data.push('}');
    Ok(Success::json(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_unescaped() {
        for (name, expect) in [
            ("job", None),
            ("U__job", Some("job")),
            ("U__a__b", Some("a_b")),
            ("U__http_2e_status", Some("http.status")),
            ("U___41_", Some("A")),
            ("U__a_zz_b", None),
            ("U__a_2e", None),
            ("U__a_d800_", None),
            ("U__", Some("")),
        ] {
            assert_eq!(unescape_name(name).as_deref(), expect, "{name}");
        }
    }
}
