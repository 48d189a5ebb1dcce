//! Random queries over random data under every rewrite alone, and all together: the answer of the plan as built.

use std::sync::Arc;

use nave_model::label::Labels;
use nave_model::sample::Value as Sample;
use nave_model::select::Select;
use nave_model::time::Timestamp;

use super::{Rewrite, Rewrites};
use crate::answer::Value;
use crate::testing::{Data, Expr, Grammar, When, answer, difference};

/// How many queries; `NAVE_PLAN_QUERIES` overrides it.
const QUERIES: u64 = 150;
/// Findings that are shown.
const SHOWN: usize = 5;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}")))
}

/// The smallest part of `expr` that still differs.
fn shrink(store: &Arc<dyn Select>, mut expr: Expr, when: When, rewrites: Rewrites) -> String {
    let mut why = String::new();
    'smaller: loop {
        for part in expr.simpler() {
            if let Some(found) = difference(store, &part.to_string(), when, rewrites) {
                (expr, why) = (part, found);
                continue 'smaller;
            }
        }
        return why;
    }
}

#[test]
fn rewrites_leave_answers_as_they_are() {
    let (queries, seed) = (number("NAVE_PLAN_QUERIES", QUERIES), number("NAVE_PLAN_SEED", 1));
    let data = Data::new(seed, 1_700_000_000_000);
    let store: Arc<dyn Select> = data.stored();
    let mut grammar = Grammar::new(seed);
    let alone = Rewrite::ALL.map(|rewrite| Rewrites::NONE.with(rewrite));
    let all: Vec<Rewrites> = alone.into_iter().chain([Rewrites::ALL]).collect();
    let mut found = Vec::new();
    for _ in 0..queries {
        let (expr, when) = (grammar.query(), data.when(&mut grammar));
        for rewrites in &all {
            let Some(why) = difference(&store, &expr.to_string(), when, *rewrites) else { continue };
            let smaller = shrink(&store, expr.clone(), when, *rewrites);
            found.push(if smaller.is_empty() { why } else { smaller });
        }
        assert!(found.len() < SHOWN, "seed {seed}:\n{}", found.join("\n"));
    }
    assert!(found.is_empty(), "seed {seed}:\n{}", found.join("\n"));
}

/// The values of an answer at `time`, by labels.
fn at(value: &Value, time: Timestamp) -> Vec<String> {
    let line = |labels: &Labels, value: Sample| match value {
        Sample::Float(value) if value.is_nan() => format!("{labels} NaN"),
        Sample::Float(value) => format!("{labels} {:x}", value.to_bits()),
        Sample::Histogram(histogram) => format!("{labels} {histogram:?}"),
    };
    let mut lines: Vec<String> = match value {
        Value::Vector(samples) => samples.iter().map(|s| line(&s.labels, s.value.clone())).collect(),
        Value::Matrix(all) => {
            let found = all.iter().filter_map(|series| {
                let columns = &series.columns;
                let index = columns.timestamps.binary_search(&time).ok()?;
                let histogram = columns.histograms.iter().find(|(at, _)| *at as usize == index);
                let value = match histogram {
                    Some((_, histogram)) => Sample::Histogram(histogram.clone()),
                    None => Sample::Float(columns.values[index]),
                };
                Some(line(&series.labels, value))
            });
            found.collect()
        }
        Value::Scalar { value, .. } => vec![line(&Labels::empty(), Sample::Float(*value))],
        Value::String { .. } => Vec::new(),
    };
    lines.sort();
    lines
}

/// Steps of subqueries are aligned to the clock: where a range begins and how it steps changes no value.
#[test]
fn a_step_of_a_range_is_an_instant() {
    let data = Data::new(5, 1_700_000_000_000);
    let store: Arc<dyn Select> = data.stored();
    let mut grammar = Grammar::new(5);
    let mut compared = 0;
    while compared < 60 {
        let (query, when) = (grammar.query().to_string(), data.when(&mut grammar));
        // `@ start()` is meant to differ, and the label sets of what is picked among equals may.
        let differs = ["@", "topk", "bottomk", "limitk"].iter().any(|word| query.contains(word));
        let When::Range { start, step, .. } = when else { continue };
        if differs || !query.contains(":") {
            continue;
        }
        let when = When::Range { start, end: start + 5 * step, step };
        let Ok(range) = answer(&store, &query, when, Rewrites::ALL) else { continue };
        for time in (0..=5).map(|index| start + index * step) {
            let instant = answer(&store, &query, When::At(time), Rewrites::ALL).unwrap();
            let time = Timestamp(time);
            assert_eq!(at(&range.value, time), at(&instant.value, time), "{query} at {time}");
        }
        compared += 1;
    }
}
