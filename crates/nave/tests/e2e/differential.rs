//! Random queries over random data, asked of the hub and of a real Prometheus that was fed the same bytes.
//!
//! `NAVE_DIFF_QUERIES` says how many (default 1,500), `NAVE_DIFF_SEED` with which seed; the same seed asks the same
//! queries of the same data. A query on which the two differ is taken apart until no part of it differs any more.
//!
//! Answers agree when they have the same series and times and bit-equal values (every NaN is one), or errors of the same
//! type. Looser is only what [`compare::ulp_max`] lists, with the reason. What Prometheus itself does wrong stands in [`known`].

mod compare;
mod data;
mod grammar;

use futures_util::StreamExt as _;
use serde_json::Value;

use self::grammar::{Expr, Grammar};
use crate::harness::{NAVE, Server, peer};

/// Queries under way at once.
const AT_ONCE: usize = 4;
/// Findings that are taken apart and shown.
const SHOWN: usize = 20;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}")))
}

/// When a query is evaluated.
#[derive(Debug, Clone, Copy)]
enum When {
    At(i64),
    Range { start: i64, end: i64, step: i64 },
}

async fn ask(server: &Server, query: &str, when: When) -> Value {
    let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
    match when {
        When::At(time) => server.api("/api/v1/query", &[("query", query), ("time", &seconds(time))]).await,
        When::Range { start, end, step } => {
            let (start, end, step) = (seconds(start), seconds(end), seconds(step));
            let params = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
            server.api("/api/v1/query_range", &params).await
        }
    }
}

/// Both answers to one query.
async fn difference(servers: [&Server; 2], query: &str, when: When) -> Option<String> {
    let [ours, theirs] = futures_util::future::join_all(servers.map(|server| ask(server, query, when)))
        .await
        .try_into()
        .ok()?;
    compare::difference(query, &ours, &theirs)
}

/// What Prometheus 3.5.3 does that later versions do not, or that is plainly wrong there.
fn known(query: &str) -> Option<&'static str> {
    let _ = query;
    None
}

/// The smallest part that still differs.
async fn shrink(servers: [&Server; 2], expr: Expr, when: When) -> (Expr, String) {
    let mut smallest = (expr, String::new());
    'smaller: loop {
        for part in smallest.0.simpler() {
            if let Some(why) = difference(servers, &part.to_string(), when).await {
                smallest = (part, why);
                continue 'smaller;
            }
        }
        return smallest;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_queries_agree_with_a_real_prometheus() {
    let Some(program) = peer("prometheus") else { return };
    let (queries, seed) = (number("NAVE_DIFF_QUERIES", 1_500), number("NAVE_DIFF_SEED", 1));
    let args = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--enable-feature=promql-experimental-functions,native-histograms",
    ];
    let files = [("prometheus.yml", "global: {}\n")];
    let hub = Server::start(NAVE, &args, &files, "/-/ready").await;
    let prometheus = Server::start(program, &args, &files, "/-/ready").await;
    let servers = [&hub, &prometheus];
    let data = data::Data::new(seed);
    data.feed(&servers).await;
    let mut grammar = Grammar::new(seed);
    let asked: Vec<(Expr, When)> = (0..queries).map(|_| (grammar.query(), data.when(&mut grammar))).collect();
    let mut differ = Vec::new();
    let mut answers = futures_util::stream::iter(asked)
        .map(|(expr, when)| async move { (difference(servers, &expr.to_string(), when).await, expr, when) })
        .buffer_unordered(AT_ONCE);
    while let Some((found, expr, when)) = answers.next().await {
        if let Some(why) = found
            && known(&expr.to_string()).is_none()
        {
            differ.push((expr, when, why));
        }
    }
    drop(answers);
    eprintln!(
        "differential: {} of {queries} random queries agree (seed {seed})",
        queries - differ.len() as u64
    );
    let count = differ.len();
    let mut texts = Vec::new();
    for (expr, when, why) in differ.into_iter().take(SHOWN) {
        let whole = expr.to_string();
        let (small, small_why) = shrink(servers, expr, when).await;
        let why = if small_why.is_empty() { why } else { small_why };
        texts.push(format!("{small}\n  {when:?}: {why}\n  in {whole}"));
    }
    assert!(count == 0, "{count} differ, such as\n{}", texts.join("\n"));
}
