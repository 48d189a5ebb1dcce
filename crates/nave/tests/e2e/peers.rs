//! Both ends of the wire against the real programs of the ecosystem.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Server, peer};

/// A small page with every type, the same for every scraper.
const PAGE: &str = "# HELP requests_total Requests.\n# TYPE requests_total counter\n\
requests_total{path=\"/\",code=\"200\"} 1027\nrequests_total{path=\"/a\\\"b\\\\\",code=\"500\"} 3\n\
# TYPE temperature gauge\ntemperature{place=\"h\u{f6}lle\"} -2.5\ntemperature{place=\"void\"} NaN\n\
# TYPE latency_seconds histogram\nlatency_seconds_bucket{le=\"0.1\"} 4\nlatency_seconds_bucket{le=\"+Inf\"} 9\n\
latency_seconds_sum 1.75\nlatency_seconds_count 9\n# TYPE size summary\nsize{quantile=\"0.5\"} 42\nsize_sum 99\nsize_count 2\n\
untyped_thing 1e300\n";

const PAGE_SERIES: usize = 12;

struct Target {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Target {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let page = || async { ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], PAGE) };
        let app = axum::Router::new().route("/metrics", axum::routing::get(page));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { port, task }
    }

    fn job(&self) -> String {
        format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, external_labels: {{cluster: real, origin_prometheus: here}}}}\n\
             scrape_configs:\n  - job_name: page\n    static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
            self.port
        )
    }

    fn job_and_write(&self, url: &str) -> String {
        format!(
            "{}remote_write:\n  - url: {url}\n    queue_config: {{batch_send_deadline: 200ms}}\n    metadata_config: {{send_interval: 1s}}\n",
            self.job()
        )
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Labels without those that name the way, and the value as text.
fn content(rows: &[Value]) -> BTreeMap<String, String> {
    rows.iter()
        .map(|row| (row["metric"].to_string(), row["value"][1].as_str().unwrap_or_default().to_owned()))
        .collect()
}

const PAGE_QUERY: &str = "{job=\"page\",__name__!~\"up|scrape_.*\"}";

async fn page_at(server: &Server) -> BTreeMap<String, String> {
    server
        .until("the page", || async {
            let rows = server.query(PAGE_QUERY).await;
            (rows.len() == PAGE_SERIES).then(|| content(&rows))
        })
        .await
}

/// What a lone Prometheus that scrapes the page itself shows: the truth to compare with.
async fn truth(target: &Target) -> Option<BTreeMap<String, String>> {
    let program = peer("prometheus")?;
    let prometheus = Server::start(
        program,
        &[
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:{port}",
        ],
        &[("prometheus.yml", &target.job())],
        "/-/ready",
    )
    .await;
    let mut page = page_at(&prometheus).await;
    // External labels are added on the way out only.
    page = page
        .into_iter()
        .map(|(labels, value)| {
            let mut labels: BTreeMap<String, String> = serde_json::from_str(&labels).unwrap();
            labels.insert("cluster".into(), "real".into());
            labels.insert("origin_prometheus".into(), "here".into());
            (serde_json::to_string(&labels).unwrap(), value)
        })
        .collect();
    Some(page)
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_agent_pushes_to_the_hub() {
    let Some(program) = peer("prometheus") else { return };
    let target = Target::start().await;
    let hub = Server::hub("global: {}\n", &[]).await;
    let _agent = Server::start(
        program,
        &[
            "--agent",
            "--config.file=prometheus.yml",
            "--storage.agent.path=data",
            "--web.listen-address=127.0.0.1:{port}",
        ],
        &[("prometheus.yml", &target.job_and_write(&hub.url("/api/v1/write")))],
        "/-/ready",
    )
    .await;
    let page = page_at(&hub).await;
    assert_eq!(Some(page), truth(&target).await);
    assert_eq!(hub.number("min by (cluster) (up{job=\"page\"})").await, Some(1.0));
    let metadata = hub
        .until("metadata", || async {
            let answer = hub.api("/api/v1/metadata", &[("metric", "requests_total")]).await;
            answer["data"]["requests_total"][0]
                .is_object()
                .then(|| answer["data"]["requests_total"][0].clone())
        })
        .await;
    assert_eq!((metadata["type"].as_str(), metadata["help"].as_str()), (Some("counter"), Some("Requests.")));
}

#[tokio::test(flavor = "multi_thread")]
async fn vmagent_pushes_to_the_hub() {
    let Some(program) = peer("vmagent") else { return };
    let target = Target::start().await;
    let hub = Server::hub("global: {}\n", &[]).await;
    let url = format!("-remoteWrite.url={}", hub.url("/api/v1/write"));
    // Without -remoteWrite.forcePromProto it first tries its own protocol and must find its way back.
    let _agent = Server::start(
        program,
        &[
            "-promscrape.config=scrape.yml",
            &url,
            "-remoteWrite.tmpDataPath=queue",
            "-httpListenAddr=127.0.0.1:{port}",
            "-remoteWrite.flushInterval=200ms",
        ],
        &[("scrape.yml", &target.job())],
        "/health",
    )
    .await;
    let page = page_at(&hub).await;
    assert_eq!(Some(page), truth(&target).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_pushes_to_a_real_prometheus() {
    let Some(program) = peer("prometheus") else { return };
    let target = Target::start().await;
    let prometheus = Server::prometheus(program, "global: {}\n", &[]).await;
    let agent = Server::agent(&target.job_and_write(&prometheus.url("/api/v1/write")), &[]).await;
    let page = page_at(&prometheus).await;
    assert_eq!(Some(page), truth(&target).await);
    let (_, metrics) = agent.get("/metrics").await;
    let failed =
        metrics.lines().find(|line| line.starts_with("prometheus_remote_storage_samples_failed_total{"));
    assert!(failed.is_some_and(|line| line.ends_with(" 0")), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_pushes_to_a_real_victoria_metrics() {
    let Some(program) = peer("victoria-metrics") else { return };
    let target = Target::start().await;
    let victoria = Server::start(
        program,
        &["-storageDataPath=data", "-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0s"],
        &[],
        "/health",
    )
    .await;
    let _agent = Server::agent(&target.job_and_write(&victoria.url("/api/v1/write")), &[]).await;
    // VictoriaMetrics keeps no NaN; everything else must be there.
    let rows = victoria
        .until("the page", || async {
            let rows = victoria.query(PAGE_QUERY).await;
            (rows.len() == PAGE_SERIES - 1).then_some(rows)
        })
        .await;
    // It writes large numbers in another form, so they are compared as numbers.
    let numbers = |rows: BTreeMap<String, String>| -> BTreeMap<String, f64> {
        rows.into_iter().map(|(labels, value)| (labels, value.parse().unwrap())).collect()
    };
    let Some(mut want) = truth(&target).await else { return };
    want.retain(|_, value| value != "NaN");
    assert_eq!(numbers(content(&rows)), numbers(want));
}

const SECOND_ONLY: &str =
    "--web.remote-write-receiver.accepted-protobuf-messages=io.prometheus.write.v2.Request";

/// As [`Target::job_and_write`], in remote write 2.0.
fn second_version(target: &Target, url: &str) -> String {
    let config = target.job_and_write(url);
    config.replace(
        "    queue_config:",
        "    protobuf_message: io.prometheus.write.v2.Request\n    queue_config:",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_pushes_the_second_version_to_the_hub() {
    let Some(program) = peer("prometheus") else { return };
    let target = Target::start().await;
    // 1.0 would be refused here: what arrives came as 2.0.
    let hub = Server::hub("global: {}\n", &[SECOND_ONLY]).await;
    // Not as an agent, which keeps no metadata with its series.
    let _sender = Server::start(
        program,
        &[
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=metadata-wal-records",
        ],
        &[("prometheus.yml", &second_version(&target, &hub.url("/api/v1/write")))],
        "/-/ready",
    )
    .await;
    assert_eq!(Some(page_at(&hub).await), truth(&target).await);
    let metadata = hub
        .until("metadata", || async {
            let answer = hub.api("/api/v1/metadata", &[("metric", "latency_seconds")]).await;
            let first = answer["data"]["latency_seconds"][0].clone();
            first.is_object().then_some(first)
        })
        .await;
    assert_eq!(metadata["type"].as_str(), Some("histogram"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_pushes_the_second_version_to_a_real_prometheus() {
    let Some(program) = peer("prometheus") else { return };
    let target = Target::start().await;
    let prometheus = Server::prometheus(program, "global: {}\n", &[SECOND_ONLY]).await;
    let agent = Server::agent(&second_version(&target, &prometheus.url("/api/v1/write")), &[]).await;
    assert_eq!(Some(page_at(&prometheus).await), truth(&target).await);
    assert_eq!(counter(&agent, "prometheus_remote_storage_samples_failed_total{").await, 0.0);
}

/// The agent's setting asks for 2.0, the receiver knows 1.0 only.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_falls_back_to_the_first_version() {
    let Some(program) = peer("prometheus") else { return };
    let target = Target::start().await;
    let prometheus = Server::prometheus(
        program,
        "global: {}\n",
        &["--web.remote-write-receiver.accepted-protobuf-messages=prometheus.WriteRequest"],
    )
    .await;
    let agent = Server::agent(&second_version(&target, &prometheus.url("/api/v1/write")), &[]).await;
    assert_eq!(Some(page_at(&prometheus).await), truth(&target).await);
    assert_eq!(counter(&agent, "prometheus_remote_storage_samples_failed_total{").await, 0.0);
}

/// The sum of a program's own samples whose line starts so.
async fn counter(server: &Server, start: &str) -> f64 {
    let (_, page) = server.get("/metrics").await;
    let lines = page.lines().filter(|line| line.starts_with(start));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// A page whose second series goes back in time from scrape to scrape, which a real Prometheus refuses
/// together with everything else in the request.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_that_refuses_one_sample_gets_the_others() {
    let Some(program) = peer("prometheus") else { return };
    let scrapes = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let page = {
        let scrapes = scrapes.clone();
        move || async move {
            let count = scrapes.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let back_ms = nave_base::clock::SystemClock::shared().now_ms() - count * 60_000;
            format!("good_total {count}\nbackwards 1 {back_ms}\n")
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = axum::Router::new().route("/metrics", axum::routing::get(page));
    let target =
        Target { port, task: tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }) };
    let prometheus = Server::prometheus(program, "global: {}\n", &[]).await;
    let agent = Server::agent(&target.job_and_write(&prometheus.url("/api/v1/write")), &[]).await;
    agent
        .until("three refused samples", || async {
            let failed = counter(&agent, "prometheus_remote_storage_samples_failed_total{").await;
            (failed >= 3.0).then_some(())
        })
        .await;
    let seen = scrapes.load(std::sync::atomic::Ordering::SeqCst) as f64 - 1.0;
    prometheus
        .until("the good series", || async {
            let newest = prometheus.number("good_total").await?;
            (newest >= seen).then_some(())
        })
        .await;
    let missing =
        "max_over_time(good_total[5m]) - min_over_time(good_total[5m]) + 1 - count_over_time(good_total[5m])";
    assert_eq!(prometheus.number(missing).await, Some(0.0), "every scrape of the good series is there");
}

/// The same real node_exporter, scraped by our agent and by a real Prometheus agent, gives the same
/// series at the hub, and the same values where the host does not change them.
#[tokio::test(flavor = "multi_thread")]
async fn our_scrape_agrees_with_a_real_one() {
    let (Some(prometheus), Some(exporter)) = (peer("prometheus"), peer("prometheus-node-exporter")) else {
        return;
    };
    let exporter = Server::start(exporter, &["--web.listen-address=127.0.0.1:{port}"], &[], "/").await;
    let hub = Server::hub("global: {}\n", &[]).await;
    let config = |cluster: &str| {
        format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, external_labels: {{cluster: {cluster}}}}}\n\
             scrape_configs:\n  - job_name: node\n    static_configs: [{{targets: ['127.0.0.1:{}']}}]\n\
             remote_write:\n  - url: {}\n    queue_config: {{batch_send_deadline: 200ms}}\n",
            exporter.port,
            hub.url("/api/v1/write")
        )
    };
    let _ours = Server::agent(&config("ours"), &[]).await;
    let _theirs = Server::start(
        prometheus,
        &[
            "--agent",
            "--config.file=prometheus.yml",
            "--storage.agent.path=data",
            "--web.listen-address=127.0.0.1:{port}",
        ],
        &[("prometheus.yml", &config("theirs"))],
        "/-/ready",
    )
    .await;
    let of = |rows: &[Value]| -> BTreeMap<String, String> {
        rows.iter()
            .map(|row| {
                let mut labels: BTreeMap<String, String> =
                    serde_json::from_value(row["metric"].clone()).unwrap();
                labels.remove("cluster");
                (format!("{labels:?}"), row["value"][1].as_str().unwrap_or_default().to_owned())
            })
            .collect()
    };
    let names = |rows: &BTreeMap<String, String>| rows.keys().cloned().collect::<Vec<_>>();
    let (ours, theirs) = hub
        .until("equal series sets of both agents", || async {
            let ours = of(&hub.query("{job=\"node\",cluster=\"ours\"}").await);
            let theirs = of(&hub.query("{job=\"node\",cluster=\"theirs\"}").await);
            (ours.len() > 100 && names(&ours) == names(&theirs)).then_some((ours, theirs))
        })
        .await;
    for constant in [
        "node_memory_MemTotal_bytes",
        "node_uname_info",
        "node_boot_time_seconds",
        "node_filesystem_size_bytes",
    ] {
        let pick = |rows: &BTreeMap<String, String>| -> Vec<(String, String)> {
            rows.iter()
                .filter(|(k, _)| k.contains(&format!("\"{constant}\"")))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        };
        assert_eq!(pick(&ours), pick(&theirs), "{constant}");
    }
    eprintln!("{} series agree", ours.len());
}
