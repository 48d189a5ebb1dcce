//! Random queries over random data under every rewrite alone, and all together: the answer of the plan as built.

use std::sync::Arc;

use nave_model::select::Select;

use super::{Rewrite, Rewrites};
use crate::testing::{Data, Expr, Grammar, When, difference};

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
