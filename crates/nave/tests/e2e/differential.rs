//! Random queries over random data, asked of the hub and of a real Prometheus that was fed the same bytes.
//!
//! `NAVE_DIFF_QUERIES` says how many (default 1,500), `NAVE_DIFF_SEED` with which seed; the same seed asks the same
//! queries of the same data. A query on which the two differ is taken apart until no part of it differs any more.
//!
//! Answers agree when they have the same series and times and bit-equal values (every NaN is one), or errors of the same
//! type. Looser is only what [`compare`] lists, with the reason; what 3.14 does otherwise stands in [`known`].

pub(crate) mod compare;

use futures_util::StreamExt as _;
use nave_base::clock::SystemClock;
use nave_promql::testing::{Data, Expr, Grammar, Stored, When};
use nave_wire::write_v1::{Encoder, Series};
use serde_json::Value;

use crate::harness::{Server, peer};

/// Queries under way at once.
const AT_ONCE: usize = 4;
/// Findings that are taken apart and shown.
const SHOWN: usize = 20;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}")))
}

/// Sends everything, in order of time, to all of `servers`.
pub(crate) async fn feed(data: &Data, servers: &[&Server]) {
    let mut encoder = Encoder::new();
    for Stored { labels, floats, histograms } in &data.series {
        encoder.write(&Series { labels, samples: floats, histograms, exemplars: &[] });
    }
    let body = encoder.finish();
    for server in servers {
        let (status, text) = server.write(body.clone()).await.unwrap();
        assert!((200..300).contains(&status), "{status}: {text}");
    }
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

/// What is not compared: what 3.14 does otherwise than 3.5.3, the newest that can be installed, and what is left open.
fn known(query: &str, when: When) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| query.contains(word));
    let is_range = matches!(when, When::Range { .. });
    let native = has(&compare::NATIVE);
    match () {
        () if has(&["limitk"]) => Some("which series are first is for the store to say"),
        () if has(&["topk", "bottomk"])
            && (is_range || !query.starts_with("topk") && !query.starts_with("bottomk")) =>
        {
            Some("operators hand on series in the random order of a Go map, which decides between equals")
        }
        () if is_range && has(&["quantile"]) && has(&["scalar("]) => {
            Some("3.5 goes on with the last parameter where the next is NaN")
        }
        () if has(&["mad_over_time("]) => Some("a NaN among the samples makes the result NaN"),
        () if native && has(&["rate(", "increase("]) => {
            Some("the extrapolation of native histograms ends at zero, as that of counters")
        }
        // `m:` is in every subquery, which is a range too.
        () if (is_range || has(&["m:"])) && has(&["__name__=~", "label_replace", "label_join"]) => {
            Some("series that follow each other under one label set are one; 3.5 refuses some of them")
        }
        () if is_range && has(&["std"]) => Some(
            "operators hand on series in the random order of a Go map, and variances are not compensated",
        ),
        () if has(&["timestamp("]) && has(&["offset "]) && has(&["@"]) => {
            Some("3.5 forgets the offset in timestamp(x offset d @ t), and looks outside of what it has read")
        }
        () if native && has(&["(0 * ", " * 0)"]) => {
            Some("NaN times what was multiplied by 0 has no buckets in 3.5")
        }
        () if has(&["count_values"]) => {
            Some("the text of a number shows its last bit, and which of two equally near decimals is taken")
        }
        () => None,
    }
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
    let features = ["--enable-feature=promql-experimental-functions,native-histograms"];
    let hub = Server::hub("global: {}\n", &features).await;
    let prometheus = Server::prometheus(program, "global: {}\n", &features).await;
    let servers = [&hub, &prometheus];
    let data = Data::new(seed, SystemClock::shared().now_ms());
    feed(&data, &servers).await;
    let mut grammar = Grammar::new(seed);
    let asked: Vec<(Expr, When)> = (0..queries).map(|_| (grammar.query(), data.when(&mut grammar))).collect();
    let mut differ = Vec::new();
    let mut answers = futures_util::stream::iter(asked)
        .map(|(expr, when)| async move { (difference(servers, &expr.to_string(), when).await, expr, when) })
        .buffer_unordered(AT_ONCE);
    while let Some((found, expr, when)) = answers.next().await {
        if let Some(why) = found
            && known(&expr.to_string(), when).is_none()
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
