//! What a user sees of one hub and one agent: endpoints, errors, reload, logs.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use nave_base::clock::{SharedClock, SystemClock};
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_wire::write_v1::Encoder;

use crate::harness::{NAVE, Server, client, free_port};

const SELF_SCRAPE: &str = "global: {scrape_interval: 1s, scrape_timeout: 1s}\n\
scrape_configs:\n  - job_name: hub\n    static_configs: [{targets: ['127.0.0.1:{port}']}]\n";

fn one_sample(name: &str, at: i64, value: f64) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let labels = Labels::from_pairs([("__name__", name)]).unwrap();
    encoder.series(&labels, &[(Timestamp(at), value)]);
    encoder.finish()
}

/// Status and body of a request with raw headers.
async fn post(hub: &Server, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
    let mut request = client().post(hub.url("/api/v1/write")).body(body.to_vec());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_write_endpoint_answers_as_documented() {
    let hub = Server::hub("global: {}\n", &[]).await;
    let now = SystemClock::shared().now_ms();
    let proto = ("Content-Type", "application/x-protobuf");
    let snappy = ("Content-Encoding", "snappy");
    assert_eq!(post(&hub, &[], b"").await.0, 400, "the seed check: an empty body");
    assert_eq!(post(&hub, &[proto, snappy], b"garbage").await.0, 400);
    assert_eq!(post(&hub, &[("Content-Type", "text/plain"), snappy], b"x").await.0, 415);
    assert_eq!(post(&hub, &[proto, ("Content-Encoding", "gzip")], b"x").await.0, 415);
    let (status, body) = post(
        &hub,
        &[("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v3.Request"), snappy],
        b"x",
    )
    .await;
    assert_eq!(status, 415, "{body}");
    assert_eq!(
        post(&hub, &[], &one_sample("bare", now, 1.0)).await.0,
        204,
        "missing headers mean 1.0 with snappy"
    );
    assert_eq!(
        post(&hub, &[proto, snappy, ("Host", "x.y:9090")], &one_sample("bare", now, 1.0)).await.0,
        204,
        "an exact duplicate"
    );
    let (status, body) = post(&hub, &[proto, snappy], &one_sample("bare", now, 2.0)).await;
    assert!(status == 400 && body.contains("bare") && body.contains("conflict"), "{status}: {body}");
    let mut encoder = Encoder::new();
    encoder.series(&Labels::from_pairs([("no_name", "x")]).unwrap(), &[(Timestamp(now), 1.0)]);
    encoder.series(&Labels::from_pairs([("__name__", "kept")]).unwrap(), &[(Timestamp(now), 1.0)]);
    let (status, body) = post(&hub, &[proto, snappy], &encoder.finish()).await;
    assert!(status == 400 && body.contains("no_name"), "{status}: {body}");
    assert_eq!(hub.number("kept").await, Some(1.0), "the valid series of the request is kept");
    for alias in ["/api/v1/push", "/api/v1/receive"] {
        let answer = client().post(hub.url(alias)).body("").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 400, "{alias}");
    }
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    let (status, _) = post(&hub, &[proto, snappy], &bomb).await;
    assert!(status == 400 || status == 413, "a declared length of 4 GiB: {status}");
    assert!(hub.log().contains("remote_write"), "the receiver says that it is on");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_the_write_endpoint_says_how_to_switch_it_on() {
    let hub = Server::start(
        NAVE,
        &[
            "hub",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:{port}",
        ],
        &[("prometheus.yml", "global: {}\n")],
        "/-/ready",
    )
    .await;
    let (status, body) = post(&hub, &[], b"").await;
    assert!(status == 404 && body.contains("--web.enable-remote-write-receiver"), "{status}: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_hub_scrapes_itself_and_answers() {
    let hub = Server::hub(SELF_SCRAPE, &[]).await;
    hub.until("up", || async { hub.number("up{job=\"hub\"}").await.filter(|up| *up == 1.0) }).await;
    hub.until("the target's health", || async {
        let targets = hub.api("/api/v1/targets", &[]).await;
        (targets["data"]["activeTargets"][0]["health"] == "up").then_some(())
    })
    .await;
    for name in
        ["prometheus_tsdb_head_series", "prometheus_http_requests_total", "process_resident_memory_bytes"]
    {
        hub.until(name, || async { (!hub.query(name).await.is_empty()).then_some(()) }).await;
    }
    let names = hub.api("/api/v1/label/__name__/values", &[]).await;
    assert!(names["data"].as_array().unwrap().iter().any(|name| name == "up"));
    let status = hub.api("/api/v1/status/tsdb", &[]).await;
    assert!(status["data"]["headStats"]["numSeries"].as_u64().unwrap() > 50, "{status}");
    let build = hub.api("/api/v1/status/buildinfo", &[]).await;
    assert!(build["data"]["version"].is_string());
    let config = hub.api("/api/v1/status/config", &[]).await;
    assert!(config["data"]["yaml"].as_str().unwrap().contains("job_name: hub"), "{config}");
    let flags = hub.api("/api/v1/status/flags", &[]).await;
    assert_eq!(flags["data"]["web.enable-remote-write-receiver"], "true");
    assert_eq!(hub.get("/-/healthy").await.0, 200);
    assert_eq!(hub.get("/query").await.0, 200);
    assert!(hub.log().contains("listening"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_refuses_queries_and_keeps_no_store() {
    let config =
        format!("{SELF_SCRAPE}remote_write:\n  - url: http://127.0.0.1:{}/api/v1/write\n", free_port());
    let agent = Server::agent(&config, &["--exporter.node"]).await;
    let (status, body) = agent.get("/api/v1/query?query=up").await;
    assert!(status != 200 && body.contains("unavailable with Prometheus Agent"), "{status}: {body}");
    agent
        .until("both targets up", || async {
            let targets = agent.api("/api/v1/targets", &[]).await;
            let targets = targets["data"]["activeTargets"].as_array().unwrap().clone();
            (targets.len() == 2 && targets.iter().all(|target| target["health"] == "up")).then_some(())
        })
        .await;
    assert_eq!(agent.get("/agent").await.0, 200);
    let (_, metrics) = agent.get("/metrics").await;
    for name in [
        "prometheus_remote_storage_samples_pending",
        "prometheus_remote_storage_queue_length",
        "prometheus_remote_storage_shards_max",
    ] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
    assert!(!agent.home.join("data").exists(), "no tsdb folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_reload_keeps_the_running_configuration() {
    let mut hub = Server::hub(SELF_SCRAPE, &["--web.enable-lifecycle"]).await;
    let file = hub.home.join("prometheus.yml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{good}    metrics_pth: /x\n")).unwrap();
    let answer = client().post(hub.url("/-/reload")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 500);
    let body = answer.text().await.unwrap();
    assert!(
        body.contains("prometheus.yml:5") && body.contains("metrics_pth"),
        "names file, line and field: {body}"
    );
    assert_eq!(hub.api("/api/v1/targets", &[]).await["data"]["activeTargets"].as_array().unwrap().len(), 1);
    let (_, metrics) = hub.get("/metrics").await;
    assert!(metrics.contains("prometheus_config_last_reload_successful 0"));
    fs::write(&file, good.replace("job_name: hub", "job_name: renamed")).unwrap();
    hub.hang_up();
    hub.until("the renamed job", || async { hub.number("up{job=\"renamed\"}").await }).await;
    assert!(hub.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_record_is_cut_and_reported() {
    let now = SystemClock::shared().now_ms();
    let mut hub = Server::hub("global: {}\n", &[]).await;
    for n in 0..20 {
        assert_eq!(hub.write(one_sample("torn", now - 20_000 + n * 1_000, n as f64)).await.unwrap().0, 204);
    }
    hub.kill();
    let log = newest_file(&hub.home.join("data"));
    fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(&[0x21, 0x7f, 3, 3]).unwrap();
    hub.launch();
    hub.wait_ready().await;
    assert_eq!(hub.number("count_over_time(torn[1m])").await, Some(20.0));
    assert!(
        hub.log().contains("torn") || hub.log().contains("cut"),
        "the repair is reported:\n{}",
        hub.log()
    );
    assert_eq!(hub.write(one_sample("torn", now, 99.0)).await.unwrap().0, 204);
    assert_eq!(hub.number("torn").await, Some(99.0));
}

fn newest_file(dir: &std::path::Path) -> std::path::PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.parent().is_some_and(|parent| parent.ends_with("log")) {
                files.push(path);
            }
        }
    }
    files.sort();
    files.pop().unwrap_or_else(|| panic!("no log segment below {}", dir.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hubs_side_by_side_and_one_feeds_the_other() {
    let central = Server::hub("global: {}\n", &[]).await;
    let config = format!(
        "{SELF_SCRAPE}remote_write:\n  - url: {}\n    queue_config: {{batch_send_deadline: 200ms}}\n",
        central.url("/api/v1/write")
    );
    let local = Server::hub(&config, &[]).await;
    for hub in [&local, &central] {
        hub.until("the local hub's up", || async { hub.number("up{job=\"hub\"}").await }).await;
    }
    assert_ne!(local.home, central.home);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_json_when_asked() {
    let mut hub = Server::hub("global: {}\n", &["--log.format=json"]).await;
    hub.stop().await;
    let log = hub.log();
    assert!(log.lines().count() > 2);
    for line in log.lines() {
        let parsed: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(parsed["msg"].is_string() && parsed["level"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_command_lines_and_configurations_exit_with_a_reason() {
    let run = |args: &[&str], config: &str| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let output = std::process::Command::new(NAVE).args(args).current_dir(dir.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let check = |args: &[&str], config: &str, want: &str| {
        let (code, text) = run(args, config);
        assert!(code != Some(0) && text.contains(want), "{args:?}: {code:?}: {text} should hold {want:?}");
    };
    check(&["--config.fil=x"], "", "--config.file");
    check(&["--agent", "--storage.tsdb.path=x"], "", "can not be used in agent mode");
    check(
        &["check", "config", "prometheus.yml"],
        "scrape_configs:\n  - job_name: a\n  - job_name: a\n",
        "multiple scrape configs with job name \"a\"",
    );
    check(
        &["check", "config", "prometheus.yml"],
        "remote_write:\n  - url: http://x/\n    queueConfig: {}\n",
        "queue_config",
    );
    check(
        &["check", "config", "prometheus.yml"],
        "remote_write:\n  - url: http://x/\n    external_labels: {a: b}\n",
        "global",
    );
    check(
        &["check", "config", "--agent", "prometheus.yml"],
        "rule_files: [x]\n",
        "rule_files is not allowed in agent mode",
    );
    let (code, text) = run(
        &["check", "config", "prometheus.yml"],
        "scrape_configs:\n  - job_name: a\n    relabel_configs: [{action: keep, regex: true, source_labels: [x]}]\n",
    );
    assert_eq!(code, Some(0), "{text}");
}

/// The demo comes up, shows both clusters and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_runs_and_stops() {
    let clock = SystemClock::shared();
    let port = (0..50)
        .map(|_| free_port())
        .find(|port| (1..3).all(|n| std::net::TcpListener::bind(("0.0.0.0", port.saturating_add(n))).is_ok()))
        .expect("three free ports in a row");
    let dir = tempfile::tempdir().unwrap();
    let out = fs::File::create(dir.path().join("out")).unwrap();
    let demo = std::process::Command::new(NAVE)
        .args(["demo", &format!("--port={port}"), "--interval=1s", "--dir"])
        .arg(dir.path().join("demo"))
        .stdout(out)
        .spawn()
        .unwrap();
    let mut demo = Ended(demo);
    let output = || fs::read_to_string(dir.path().join("out")).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !output().contains("Both clusters' samples are at the hub") {
        assert!(demo.0.try_wait().unwrap().is_none(), "the demo ended:\n{}", output());
        assert!(std::time::Instant::now() < deadline, "{}", output());
        clock.sleep(Duration::from_millis(100)).await;
    }
    ask_what_the_requirements_ask(port, &clock).await;
    let taken = std::process::Command::new(NAVE).args(["demo", &format!("--port={port}")]).output().unwrap();
    let text = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(!taken.status.success() && text.contains(&format!("port {port} is taken")), "{text}");
    let pid = rustix::process::Pid::from_raw(i32::try_from(demo.0.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(demo.0.wait().unwrap().success());
    std::net::TcpListener::bind(("0.0.0.0", port)).expect("the hub's port is free again");
}

/// A process that does not outlive its test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Queries of the requirement documents that need only host metrics: each answers within a few scrapes, those
/// that filter by a threshold with whatever is above it.
async fn ask_what_the_requirements_ask(port: u16, clock: &SharedClock) {
    const CPU: &str = "100 - (avg by (cluster) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) * 100)";
    let filters = [
        format!("{CPU} > 70"),
        format!("min_over_time(({CPU})[5m:]) > 70"),
        "(1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) * 100 > 85".to_owned(),
        "count({cluster=\"\",job=\"node\"})".to_owned(),
    ];
    let answers = [
        "up",
        "up{cluster=~\"spoke1|spoke2\"}",
        "sum by (cluster) (up)",
        "min by (cluster) (up{cluster!=\"\"}) == 1",
        "node_cpu_seconds_total",
        "node_cpu_seconds_total{cluster=\"spoke1\"}",
        "count by (mode) (node_cpu_seconds_total)",
        "node_cpu_guest_seconds_total",
        CPU,
        "avg by (cluster) (irate(node_cpu_seconds_total{mode=\"idle\"}[5m]))",
        "min_over_time((avg by (cluster) (rate(node_cpu_seconds_total[5m])))[5m:1s])",
        "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
        "count({__name__=~\".+\"}) by (__name__)",
        "rate(prometheus_remote_storage_samples_total[5m])",
        "prometheus_remote_storage_samples_failed_total == 0",
        "prometheus_remote_storage_queue_length",
    ];
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    for (query, rows_wanted) in
        filters.iter().map(|query| (query.as_str(), false)).chain(answers.map(|query| (query, true)))
    {
        loop {
            let mut url = reqwest::Url::parse(&format!("http://127.0.0.1:{port}/api/v1/query")).unwrap();
            url.query_pairs_mut().append_pair("query", query);
            let body = client().get(url).send().await.unwrap().bytes().await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(answer["status"], "success", "{query}: {answer}");
            if !rows_wanted || !answer["data"]["result"].as_array().unwrap().is_empty() {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{query} has no rows");
            clock.sleep(Duration::from_millis(200)).await;
        }
    }
}
