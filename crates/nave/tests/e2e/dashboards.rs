//! Every expression of real dashboards and rules, asked of a hub whose series are made from the expressions'
//! selectors, and of a real Prometheus with the same series.
//!
//! An expression may fail only where upstream's does too: series that are made from selectors meet in joins that real
//! ones would not.

use std::collections::{BTreeMap, BTreeSet};

use nave_base::clock::SystemClock;
use nave_model::label::{Labels, METRIC_NAME};
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::time::Timestamp;
use nave_promql::parse::{ParseOptions, parse};
use nave_wire::write_v1::Encoder;
use serde_json::Value;

use crate::differential::compare;
use crate::harness::{Server, corpus, peer};

const STEP_MS: i64 = 30_000;
const STEPS: i64 = 40;
const SERIES_PER_REQUEST: usize = 500;
/// Labels that dashboards join on; most selectors leave them open.
const COMMON: [(&str, &str); 7] = [
    ("cluster", "c"),
    ("container", "main"),
    ("job", "node"),
    ("namespace", "shop"),
    ("node", "n1"),
    ("pod", "shop-1"),
    ("service", "shop"),
];
/// What matchers are tried with; the last are for patterns that no other text fits.
const TEXTS: [&str; 12] =
    ["x", "5", "api", "node", "eth0", "sda", "/", "kube-system", "x-1", "a.b", "GET", "ip-10-0-0-1"];
const BOUNDS: [&str; 5] = ["0.1", "0.5", "1", "5", "+Inf"];
/// What upstream's engine says of data that does not fit a query.
const OWN_ERRORS: [&str; 4] = [
    "found duplicate series for the match group",
    "multiple matches for labels",
    "vector cannot contain metrics with the same labelset",
    "many-to-many matching not allowed",
];

/// Variables become `.*` and durations of panels `5m`, as the corpus says.
fn substituted(expr: &str) -> String {
    let variable = nave_model::regex::Regex::anchored(r"(?s)(.*?)(\$\{\w+(?::\w+)?\}|\[\[\w+\]\]|\$\w+)(.*)");
    let variable = variable.unwrap();
    let (mut out, mut rest) = (String::new(), expr.to_owned());
    while let Some(found) = variable.captures(&rest) {
        let [before, name, after] = [1, 2, 3].map(|group| found.get(group).unwrap_or_default().to_owned());
        out.push_str(&before);
        out.push_str(if name.contains("__") { "5m" } else { ".*" });
        rest = after;
    }
    out + &rest
}

fn expressions(text: &str) -> Vec<String> {
    let corpus: Value = serde_json::from_str(text).unwrap();
    let all = corpus["expressions"].as_array().unwrap().iter();
    let one = |case: &Value| {
        let expr = case["expr"].as_str().unwrap();
        if case["kind"] == "rule" { expr.to_owned() } else { substituted(expr) }
    };
    all.map(one).collect()
}

/// A text that all of `matchers` fit, one that they name if possible.
fn fitting(matchers: &[&Matcher], preferred: Option<&str>) -> Option<String> {
    let fits = |text: &&str| !text.is_empty() && matchers.iter().all(|matcher| matcher.matches(text));
    let alternatives = |matcher: &&Matcher| {
        let plain = matcher.value().replace(".*", "x").replace(".+", "x").replace(['^', '$', '\\'], "");
        let first = plain.split('|').next().unwrap_or_default().replace(['(', ')', '?'], "");
        let listed = matcher.regex().and_then(|regex| regex.literal_alternatives());
        let mut all: Vec<String> = listed.map(<[String]>::to_vec).unwrap_or_default();
        all.extend([matcher.value().to_owned(), plain, first]);
        all
    };
    let positive = matchers.iter().filter(|matcher| matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex));
    let own: Vec<String> = positive.flat_map(alternatives).collect();
    let texts = preferred.into_iter().chain(own.iter().map(String::as_str)).chain(TEXTS);
    texts.into_iter().find(fits).map(ToOwned::to_owned)
}

/// Series that `matchers` select; none where no text was found that fits.
fn series(matchers: &[Matcher]) -> Vec<Labels> {
    let mut by_name: BTreeMap<&str, Vec<&Matcher>> = BTreeMap::new();
    COMMON.iter().for_each(|(name, _)| _ = by_name.insert(name, Vec::new()));
    matchers.iter().for_each(|matcher| by_name.entry(matcher.name()).or_default().push(matcher));
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for (name, matchers) in by_name {
        let preferred = COMMON.iter().find(|(common, _)| *common == name).map(|(_, value)| *value);
        match fitting(&matchers, preferred) {
            Some(value) => pairs.push((name, value)),
            None if matchers.iter().all(|matcher| matcher.matches_empty()) => {}
            None => return Vec::new(),
        }
    }
    let metric = pairs.iter().find(|(name, _)| *name == METRIC_NAME).map(|(_, value)| value.clone());
    let is_bucket = metric.is_some_and(|metric| metric.ends_with("_bucket"));
    let has = |name: &str| matchers.iter().any(|matcher| matcher.name() == name);
    let open = |name: &'static str, values: &[&'static str]| {
        if has(name) { vec![None] } else { values.iter().map(|value| Some((name, *value))).collect() }
    };
    let mut all = Vec::new();
    for instance in open("instance", &["a:9100", "b:9100"]) {
        for bound in if is_bucket { open("le", &BOUNDS) } else { vec![None] } {
            let own = pairs.iter().map(|(name, value)| (*name, value.as_str()));
            all.push(Labels::from_pairs(own.chain(instance).chain(bound)).unwrap());
        }
    }
    all
}

/// Counters grow at a pace of their own and start over, others wander.
fn samples(number: usize, labels: &Labels, start: i64) -> Vec<(Timestamp, f64)> {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let name = labels.get(METRIC_NAME);
    let counts = ["_total", "_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end));
    let bound = BOUNDS.iter().position(|bound| *bound == labels.get("le")).map_or(1.0, |at| at as f64 + 1.0);
    let mut value = 0.0;
    let mut next = |step: i64| {
        value = match counts {
            true if step % 29 == 28 => 0.0,
            true => value + bound * random.u32(0..50) as f64 / 4.0,
            false => random.u32(0..1000) as f64 / 8.0,
        };
        (Timestamp(start + step * STEP_MS), value)
    };
    (0..STEPS).map(&mut next).collect()
}

async fn feed(servers: &[&Server], all: &BTreeSet<Labels>, start: i64) {
    let numbered: Vec<(usize, &Labels)> = all.iter().enumerate().collect();
    for some in numbered.chunks(SERIES_PER_REQUEST) {
        let mut encoder = Encoder::new();
        for (number, labels) in some {
            encoder.series(labels, &samples(*number, labels, start));
        }
        let body = encoder.finish();
        for server in servers {
            let (status, text) = server.write(body.clone()).await.unwrap();
            assert!((200..300).contains(&status), "{status}: {text}");
        }
    }
}

/// What is wrong with the answers; `theirs` is `None` without a real Prometheus.
fn complaint(query: &str, ours: &Value, theirs: Option<&Value>) -> Option<String> {
    if let Some(theirs) = theirs {
        return compare::difference(query, ours, theirs);
    }
    let error = ours["error"].as_str()?;
    (!OWN_ERRORS.iter().any(|own| error.contains(own))).then(|| error.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_expressions_run_and_agree_with_a_real_prometheus() {
    let Some(text) = corpus("dashboards/promql-expressions.json") else { return };
    let queries = expressions(&text);
    let parsed = queries.iter().map(|query| {
        parse(query, &ParseOptions::default()).unwrap_or_else(|error| panic!("{query}: {error}"))
    });
    let all: BTreeSet<Labels> = parsed
        .flat_map(|expr| expr.selectors().iter().flat_map(|one| series(&one.matchers)).collect::<Vec<_>>())
        .collect();
    let hub = Server::hub("global: {}\n", &[]).await;
    let prometheus = match peer("prometheus") {
        Some(program) => Some(Server::prometheus(program, "global: {}\n", &[]).await),
        None => None,
    };
    let end = SystemClock::shared().now_ms() / STEP_MS * STEP_MS;
    let start = end - (STEPS - 1) * STEP_MS;
    let servers: Vec<&Server> = std::iter::once(&hub).chain(&prometheus).collect();
    feed(&servers, &all, start).await;
    let times = [start + 15 * STEP_MS, end].map(|ms| (ms / 1000).to_string());
    let (mut wrong, mut filled) = (Vec::new(), 0);
    for query in &queries {
        let instant = [("query", query.as_str()), ("time", &times[1])];
        let range = [("query", query.as_str()), ("start", &times[0]), ("end", &times[1]), ("step", "60")];
        for (path, params) in [("/api/v1/query", &instant[..]), ("/api/v1/query_range", &range[..])] {
            let ours = hub.api(path, params).await;
            let theirs = match &prometheus {
                Some(prometheus) => Some(prometheus.api(path, params).await),
                None => None,
            };
            filled += usize::from(ours["data"]["result"].as_array().is_some_and(|rows| !rows.is_empty()));
            wrong.extend(
                complaint(query, &ours, theirs.as_ref()).map(|why| format!("{path} {query}\n  {why}")),
            );
        }
    }
    eprintln!(
        "dashboards: {} expressions over {} series, {filled} of {} answers with series, {} wrong",
        queries.len(),
        all.len(),
        2 * queries.len(),
        wrong.len()
    );
    assert_eq!(queries.len(), 1_259);
    assert!(wrong.is_empty(), "{} wrong, such as\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    assert!(filled * 10 >= 2 * queries.len() * 8, "only {filled} answers have series");
}
