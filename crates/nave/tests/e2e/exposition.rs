//! Protobuf pages, scraped by us and by a real Prometheus: the same series and values, histograms included.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use serde_json::Value;

use crate::harness::{NAVE, Server, peer};
use crate::protobuf::page;

/// A target that answers in protobuf to those who ask for it first.
struct Target {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Target {
    async fn start(body: Vec<u8>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = move |headers: HeaderMap| {
            let body = body.clone();
            async move {
                let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
                if accept.starts_with(
                    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
                ) {
                    let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
                    ([("content-type", kind)], body)
                } else {
                    ([("content-type", "text/plain; version=0.0.4")], b"only_text 1\n".to_vec())
                }
            }
        };
        let app = axum::Router::new().route("/metrics", axum::routing::get(answer));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { port, task }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Three jobs over one target; `more` stands in each.
fn config(port: u16, native: &str, remote: &str) -> String {
    let job = |name: &str, more: &str| {
        format!(
            "  - job_name: {name}\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n    {native}\n{more}"
        )
    };
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{}{}{}{}{}{remote}",
        job("native", ""),
        job("both", "    always_scrape_classic_histograms: true\n"),
        job("nhcb", "    convert_classic_histograms_to_nhcb: true\n"),
        job(
            "kept",
            "    convert_classic_histograms_to_nhcb: true\n    always_scrape_classic_histograms: true\n"
        ),
        job("coarse", "    native_histogram_bucket_limit: 3\n    native_histogram_min_bucket_factor: 1.2\n"),
    )
}

/// All series of the jobs with their values, without those that measure the scrape's time.
async fn stored(server: &Server) -> BTreeMap<String, String> {
    let rows = server.query("{job!=\"\",__name__!=\"scrape_duration_seconds\"}").await;
    let value = |row: &Value| {
        let found = if row["histogram"].is_null() { &row["value"][1] } else { &row["histogram"][1] };
        found.to_string()
    };
    rows.iter().map(|row| (row["metric"].to_string(), value(row))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_pages_are_stored_as_by_a_real_prometheus() {
    let Some(program) = peer("prometheus") else { return };
    let target = Target::start(page()).await;
    let hub = Server::prometheus(NAVE, &config(target.port, "scrape_native_histograms: true", ""), &[]).await;
    let theirs = config(target.port, "honor_labels: false", "");
    let features = "--enable-feature=native-histograms,exemplar-storage";
    let prometheus = Server::prometheus(program, &theirs, &[features]).await;
    // Once the second scrape has passed, scrape_series_added is 0 on both sides.
    let settled = |server| async move {
        let all = stored(server).await;
        let added = all.iter().filter(|(series, _)| series.contains("scrape_series_added"));
        let calm = added.filter(|(_, value)| *value == "\"0\"").count();
        (calm == 5).then_some(all)
    };
    let theirs = prometheus.until("two scrapes of each job", || settled(&prometheus)).await;
    let ours = hub.until("two scrapes of each job", || settled(&hub)).await;
    for (series, value) in &theirs {
        assert_eq!(ours.get(series), Some(value), "{series}");
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert!(ours.values().filter(|value| value.contains("buckets")).count() > 10, "native histograms");
    for metric in ["requests_total", "latency_seconds"] {
        let query = [("query", metric), ("start", "0"), ("end", "4000000000")];
        let exemplars = |answer: &Value| {
            let rows = answer["data"].as_array().cloned().unwrap_or_default();
            let label =
                |row: &Value| (row["seriesLabels"].to_string(), row["exemplars"][0]["labels"].to_string());
            rows.iter().map(label).collect::<BTreeMap<_, _>>()
        };
        let ours = exemplars(&hub.api("/api/v1/query_exemplars", &query).await);
        let theirs = exemplars(&prometheus.api("/api/v1/query_exemplars", &query).await);
        assert!(!ours.is_empty() && ours == theirs, "{metric}: {ours:?}, theirs {theirs:?}");
    }
    eprintln!("{} series agree", ours.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn native_histograms_reach_the_hub_through_an_agent() {
    let target = Target::start(page()).await;
    let hub = Server::hub("global: {}\n", &[]).await;
    for message in ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] {
        let remote = format!(
            "remote_write:\n  - url: {}\n    protobuf_message: {message}\n    send_native_histograms: true\n    \
             queue_config: {{batch_send_deadline: 200ms}}\n    \
             write_relabel_configs: [{{target_label: via, replacement: '{message}'}}]\n",
            hub.url("/api/v1/write")
        );
        let _agent =
            Server::agent(&config(target.port, "scrape_native_histograms: true", &remote), &[]).await;
        let query = format!("histogram_count(latency_seconds{{job=\"native\",via=\"{message}\"}})");
        hub.until("the histogram", || async { (hub.number(&query).await? == 9.0).then_some(()) }).await;
        let nhcb = format!("histogram_count(classic_seconds{{job=\"nhcb\",via=\"{message}\"}})");
        hub.until("the converted one", || async { (hub.number(&nhcb).await? == 7.0).then_some(()) }).await;
    }
}
