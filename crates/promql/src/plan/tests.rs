//! Every rewrite, and all together, against the plan as built: the same answers.

use std::sync::Arc;

use nave_model::label::Labels;
use nave_model::time::Timestamp;

use super::{
    Node, Query, Rewrites, Steps, build, explain, fold, narrow, optimize, pinned, project, propagate,
    reading, share,
};
use crate::engine::Job;
use crate::execute::Context;
use crate::parse::{ParseOptions, parse};
use crate::testing::plans::parts;
use crate::testscript::MemoryStore;

const STEPS: Steps = Steps { start: 600_000, end: 1_200_000, step: 60_000 };

fn plain(query: &str) -> Node {
    let expr = parse(query, &ParseOptions::ALL).unwrap();
    let whole = Query {
        steps: STEPS,
        is_instant: false,
        lookback_ms: 300_000,
        default_step_ms: 60_000,
        delayed_names: false,
        use_starts: false,
    };
    build(&expr, whole).unwrap()
}

fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    for (name, job, instance, slope) in [
        ("a_total", "x", "1", 2.0),
        ("a_total", "x", "2", 3.5),
        ("a_total", "y", "1", -1.0),
        ("b", "x", "1", 0.5),
    ] {
        let labels = Labels::from_pairs([("__name__", name), ("job", job), ("instance", instance)]).unwrap();
        for index in (0..80).filter(|index| index % 7 != 3) {
            let value = slope * f64::from(index) + f64::from(index % 5);
            store.append_float(&labels, Timestamp(i64::from(index) * 15_000), value).unwrap();
        }
    }
    Arc::new(store)
}

/// The answer, or the error, as text.
fn answer(plan: Node, query: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let context = Context::new(parts(store(), runtime.handle().clone()));
    let job = Job { plan, steps: STEPS, is_instant: false, query: query.to_owned(), limit: None, context };
    match job.run() {
        Ok(answer) => format!("{:?} {:?} {:?}", answer.value, answer.warnings, answer.infos),
        Err(error) => format!("error: {error}"),
    }
}

/// Rewritten plans differ from the plain one and give the same answer.
fn check(query: &str, rewrite: impl Fn(&mut Node)) {
    let plain = plain(query);
    let mut rewritten = plain.clone();
    rewrite(&mut rewritten);
    assert_ne!(explain(&plain, None), explain(&rewritten, None), "{query} was not rewritten");
    let want = answer(plain, query);
    assert!(want.len() > 20, "{query} has an answer");
    assert_eq!(answer(rewritten, query), want, "{query}");
}

#[test]
fn constants_are_folded() {
    for query in ["a_total * (2 ^ 3 - 1)", "-(1 + 2) + b", "vector(1 < bool 2)", "b > 10 % 4"] {
        check(query, fold::fold);
    }
}

#[test]
fn ranges_are_narrowed() {
    for query in [
        "a_total",
        "b offset 2m",
        "b offset -2m",
        "rate(a_total[5m])",
        "max_over_time(a_total[3m] @ 700)",
        "b @ end()",
        "sum_over_time(rate(a_total[2m])[5m:30s] offset 1m)",
        "timestamp(b)",
        "quantile_over_time(scalar(b) / 100, a_total[4m])",
    ] {
        check(query, |plan| narrow::narrow(plan, STEPS));
    }
}

#[test]
fn checks_for_equal_labels_are_dropped() {
    for query in [
        "rate(a_total[5m])",
        "-b",
        "abs(a_total) * 2",
        "ceil(sum by (job) (a_total))",
        "sum by (job) (rate(a_total[5m]))",
    ] {
        check(query, pinned::remove_dedupe);
    }
}

#[test]
fn checks_for_equal_labels_stay_where_needed() {
    for query in ["rate({job=\"x\"}[5m])", "-{job=~\".+\"}", "label_replace(b, \"job\", \"\", \"\", \"\")"] {
        let mut plan = plain(query);
        pinned::remove_dedupe(&mut plan);
        assert_eq!(plan, plain(query), "{query}");
    }
}

#[test]
fn names_stay_for_annotations() {
    let mut plan = plain("sum without (__name__, job) (a_total)");
    project::project(&mut plan);
    assert!(explain(&plan, None).contains(" without=(job)"), "{}", explain(&plan, None));
}

#[test]
fn labels_are_projected() {
    for query in [
        "sum by (job) (a_total)",
        "sum without (instance) (a_total)",
        "max by (instance) (a_total > 3)",
        "quantile by (job) (0.5, a_total)",
        "count_values by (job) (\"v\", b)",
    ] {
        check(query, project::project);
    }
    let both = |plan: &mut Node| {
        pinned::remove_dedupe(plan);
        project::project(plan);
    };
    for query in ["sum by (job) (rate(a_total[5m]))", "avg(-a_total)", "sum(max_over_time(b[5m:1m]))"] {
        check(query, both);
    }
}

#[test]
fn equalities_are_pushed() {
    for query in [
        "a_total{job=\"x\"} / b",
        "b{job=\"x\"} < a_total",
        "a_total and b{instance=\"1\"}",
        "a_total unless on (job) b{job=\"x\"} or a_total{job=\"x\"} unless b",
        "rate(a_total{job=\"x\"}[5m]) * on (job) group_left count by (job) (b)",
        "a_total{job=\"x\"} * ignoring (instance) group_left count by (job) (b)",
        "count by (job) (a_total) + on (job) group_right abs(a_total{job=\"x\"} > 2)",
        "timestamp(a_total) - last_over_time(a_total{job=\"y\"}[3m])",
    ] {
        check_pushed(query, true);
    }
    for query in [
        // Who is hidden could fail or be remarked on.
        "a_total{job=\"x\"} / on (instance) b",
        "a_total{job=\"x\"} / on (job) b",
        "a_total{job=\"x\"} / on (job) group_left b",
        "a_total{job=\"x\"} / rate(b[5m])",
        "a_total{job=\"x\"} / on (job) group_left sum by (job) (rate(b[5m]))",
        "a_total{job=\"x\"} / {job=~\".+\"}",
        // Who is hidden could be in the answer.
        "a_total unless b{job=\"x\"}",
        "a_total or b{job=\"x\"}",
        "a_total{job=\"x\"} or b",
        "a_total{job=\"x\"} + fill(0) b",
        "a_total{job=\"\"} / b",
        "label_replace(a_total{job=\"x\"}, \"job\", \"y\", \"\", \"\") / b",
        "sum by (instance) (a_total{job=\"x\"}) / b",
        "{__name__=\"b\"} and a_total",
    ] {
        check_pushed(query, false);
    }
}

fn check_pushed(query: &str, pushed: bool) {
    let mut plan = plain(query);
    pinned::remove_dedupe(&mut plan);
    let before = explain(&plan, None);
    propagate::propagate(&mut plan);
    assert_eq!(before != explain(&plan, None), pushed, "{query}\n{}", explain(&plan, None));
    assert_eq!(answer(plan, query), answer(plain(query), query), "{query}");
}

#[test]
fn equal_expressions_are_shared() {
    for query in [
        "a_total / a_total",
        "rate(a_total[5m]) / ignoring () rate(a_total[5m])",
        "sum(a_total) / count(a_total)",
        "sum by (job) (a_total) / on (job) group_left () sum by (job) (a_total) or a_total",
        "rate(b[5m]) > 0 and rate(b[5m]) < 9",
        "clamp_max(a_total, scalar(sum(a_total)))",
        "rate({job=\"x\"}[5m]) + on (job) rate({job=\"x\"}[5m])",
        "histogram_quantile(scalar(b), b) or histogram_quantile(scalar(b), (b))",
        "max_over_time(rate(a_total[2m])[5m:1m]) - min_over_time(rate(a_total[2m])[5m:1m])",
    ] {
        check(query, |plan| share::share(plan, STEPS));
    }
}

#[test]
fn selectors_are_read_together() {
    for query in [
        "rate(a_total[5m]) / rate(a_total[2m])",
        "a_total - a_total offset 2m",
        "max_over_time(a_total[5m]) / on (job, instance) a_total",
        "sum(rate(a_total[5m])) / sum(a_total) + count(max_over_time(a_total[4m:1m]))",
        "a_total @ 700 + a_total @ 900",
    ] {
        check(query, |plan| {
            narrow::narrow(plan, STEPS);
            reading::read_together(plan);
        });
    }
}

#[test]
fn all_rewrites_together() {
    for query in [
        "sum by (job) (rate(a_total[5m])) / on (job) group_left sum by (job) (a_total)",
        "topk(1, a_total) or b",
        "absent(a_total{job=\"z\"})",
        "a_total and on (job) b",
        "sum(a_total) > bool 3 * 4",
        "label_join(rate(a_total[5m]), \"x\", \"-\", \"job\", \"instance\")",
        "rate({job=\"x\"}[5m])",
        "a_total + on (instance) b",
        "stddev without (job) (increase(a_total[3m]))",
        "info(rate(a_total[5m]), {__name__=\"b\"})",
        "day_of_week(a_total) + ignoring (job) group_left month(b)",
    ] {
        check(query, |plan| optimize(plan, STEPS, Rewrites::ALL));
    }
}

#[test]
fn plans_as_text() {
    let check = |query: &str, want: &[&str]| {
        let mut plan = plain(query);
        optimize(&mut plan, STEPS, Rewrites::ALL);
        assert_eq!(explain(&plan, None).lines().collect::<Vec<_>>(), want, "{query}");
    };
    check(
        "sum by (job) (rate(a_total{job=~\"x|y\"}[5m] offset 1m)) > 1 + 1",
        &[
            "binary >",
            "  sum by (job)",
            "    rate [job=~\"x|y\", __name__=\"a_total\"] window=300000ms offset=60000ms range=240001..=1140000 \
             only=(__name__, job)",
            "  number 2",
        ],
    );
    check(
        "max_over_time(b[10m:30s] @ 900)",
        &[
            "max_over_time subquery range=600000ms at=900000 steps=330000..=900000/30000ms",
            "  scan [__name__=\"b\"] window=300000ms range=30001..=900000",
        ],
    );
    check(
        "a_total * on (job) group_left (x) {job=\"x\"}",
        &[
            "dedupe",
            "  binary * on (job) many-to-one (x)",
            "    scan [__name__=\"a_total\"] window=300000ms range=300001..=1200000",
            "    scan [job=\"x\"] window=300000ms range=300001..=1200000",
        ],
    );
    check(
        "absent(b{job=\"q\"} @ start())",
        &[
            "absent labels={job=\"q\"}",
            "  scan [job=\"q\", __name__=\"b\"] window=300000ms at=600000 range=300001..=600000 last-sample",
        ],
    );
    check(
        "sum(rate(b[5m])) / count(rate(b[5m])) + max(b)",
        &[
            "dedupe",
            "  binary +",
            "    dedupe",
            "      binary /",
            "        sum by ()",
            "          shared 0",
            "            rate [__name__=\"b\"] window=300000ms range=300001..=1200000 only=(__name__) reading=0",
            "        count by ()",
            "          shared 0",
            "    max by ()",
            "      scan [__name__=\"b\"] window=300000ms range=300001..=1200000 only=(__name__) reading=0",
        ],
    );
}
