//! How many samples a query looked at, in total and by step, as a real Prometheus counts them.

use nave_base::clock::SystemClock;
use nave_promql::testing::{Data, Grammar, When};
use serde_json::Value;

use crate::differential::feed;
use crate::harness::{Server, peer};

/// Queries that are asked.
const QUERIES: usize = 250;

async fn samples(server: &Server, query: &str, when: When) -> Option<Value> {
    let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let (path, times) = match when {
        When::At(time) => ("/api/v1/query", vec![("time", seconds(time))]),
        When::Range { start, end, step } => {
            let times = vec![("start", seconds(start)), ("end", seconds(end)), ("step", seconds(step))];
            ("/api/v1/query_range", times)
        }
    };
    let mut params = vec![("query", query), ("stats", "all")];
    params.extend(times.iter().map(|(name, value)| (*name, value.as_str())));
    let answer = server.api(path, &params).await;
    let samples = &answer["data"]["stats"]["samples"];
    samples.is_object().then(|| {
        let mut samples = samples.clone();
        // How much is held at once is each engine's own.
        assert!(
            samples["peakSamples"]
                .as_u64()
                .is_some_and(|peak| peak > 0 || samples["totalQueryableSamples"] == 0)
        );
        samples.as_object_mut().map(|samples| samples.remove("peakSamples"));
        samples
    })
}

/// What is counted otherwise.
fn known(query: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| query.contains(word));
    match () {
        () if has(&["histogram_count", "histogram_sum", "histogram_avg"]) => {
            Some("upstream does not decode the buckets where only the figures are wanted")
        }
        () => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_agree_with_a_real_prometheus() {
    let Some(program) = peer("prometheus") else { return };
    let features = ["--enable-feature=promql-experimental-functions,native-histograms,promql-per-step-stats"];
    let hub = Server::hub("global: {}\n", &features).await;
    let prometheus = Server::prometheus(program, "global: {}\n", &features).await;
    let data = Data::new(1, SystemClock::shared().now_ms());
    feed(&data, &[&hub, &prometheus]).await;
    let mut grammar = Grammar::new(1);
    let (mut compared, mut differ) = (0, Vec::new());
    for _ in 0..QUERIES {
        let (query, when) = (grammar.query().to_string(), data.when(&mut grammar));
        let (ours, theirs) = (samples(&hub, &query, when).await, samples(&prometheus, &query, when).await);
        let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
        compared += 1;
        if ours != theirs && known(&query).is_none() {
            differ.push(format!("{query}\n  {when:?}\n  ours   {ours}\n  theirs {theirs}"));
        }
    }
    assert!(compared > QUERIES / 2, "{compared} queries have an answer");
    assert!(
        differ.is_empty(),
        "{} of {compared} differ, such as\n{}",
        differ.len(),
        differ[..differ.len().min(15)].join("\n")
    );
}
