//! `targets/relabel_steps`: what each rule of a pool does to one label set, so that a dropped target has a
//! reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use nave_model::label::Builder;
use nave_model::relabel::{RelabelConfig, Verdict};
use serde::Serialize;

use crate::envelope::{Answered, ApiError, Success};
use crate::param::Params;
use crate::router::Common;
use crate::time::quoted;

#[derive(Serialize)]
struct Steps<'a> {
    steps: Vec<Step<'a>>,
}

/// One rule, the labels after it, and whether the target is still there.
#[derive(Serialize)]
struct Step<'a> {
    rule: &'a RelabelConfig,
    output: BTreeMap<String, String>,
    keep: bool,
}

/// `targets/relabel_steps` of the labels in `labels` (a JSON object) under the rules of `scrapePool`. The steps
/// end with the rule that drops.
pub(crate) async fn steps(State(common): State<Arc<Common>>, params: Params) -> Answered {
    let (pool, labels) = (params.get("scrapePool"), params.get("labels"));
    for (name, value) in [("scrapePool", pool), ("labels", labels)] {
        if value.is_empty() {
            return Err(ApiError::bad_data(format!("no {name} parameter provided")));
        }
    }
    let labels: BTreeMap<String, String> =
        serde_json::from_str(labels).map_err(|error| ApiError::parameter("labels", error))?;
    let rules = common.targets.relabel_rules(pool);
    let rules = rules
        .ok_or_else(|| ApiError::parameter("scrapePool", format!("no scrape pool named {}", quoted(pool))))?;
    Success::of(&Steps { steps: apply(&rules, &labels) })
}

fn apply<'a>(rules: &'a [RelabelConfig], labels: &BTreeMap<String, String>) -> Vec<Step<'a>> {
    let mut builder = Builder::default();
    for (name, value) in labels {
        builder.set(name, value);
    }
    let mut steps = Vec::new();
    for rule in rules {
        let keep = rule.apply(&mut builder) == Verdict::Keep;
        steps.push(Step { rule, output: builder.pairs().iter().cloned().collect(), keep });
        if !keep {
            break;
        }
    }
    steps
}
