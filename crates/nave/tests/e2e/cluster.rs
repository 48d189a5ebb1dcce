//! Clusters: joining by the printed command, credentials, stamps, limits, and what never shows a secret.

use std::fs;
use std::path::Path;
use std::process::Command;

use nave_base::clock::SystemClock;
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_wire::write_v1::Encoder;

use crate::harness::{NAVE, Server, client};

const HUB: [&str; 5] = [
    "hub",
    "--config.file=prometheus.yml",
    "--storage.tsdb.path=data",
    "--web.listen-address=127.0.0.1:{port}",
    "--clusters.file=clusters.yml",
];

/// Standard output of `nave cluster ...` in `home`.
fn cluster(home: &Path, args: &[&str]) -> String {
    let output = Command::new(NAVE).arg("cluster").args(args).current_dir(home).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A hub with clusters whose tokens are in files called as they are; `more` is appended to the file.
pub(crate) async fn hub(names: &[&str], more: &[&str]) -> Server {
    let mut args = HUB.to_vec();
    args.extend(more);
    let mut hub = Server::prepare(NAVE, &args, &[("prometheus.yml", "global: {}\n")], "/-/ready");
    for name in names {
        cluster(&hub.home, &["add", name, &format!("--hub.token-file={name}")]);
    }
    hub.launch();
    hub.wait_ready().await;
    hub
}

fn token(hub: &Server, name: &str) -> String {
    fs::read_to_string(hub.home.join(name)).unwrap()
}

/// Writes one sample of each series; gives status, `Retry-After` and text.
async fn write(hub: &Server, token: &str, series: &[&[(&str, &str)]]) -> (u16, Option<String>, String) {
    let now = Timestamp(SystemClock::shared().now_ms());
    let mut encoder = Encoder::new();
    for pairs in series {
        encoder.series(&Labels::from_pairs(pairs.iter().copied()).unwrap(), &[(now, 1.0)]);
    }
    let mut request = client().post(hub.url("/api/v1/write")).body(encoder.finish());
    if !token.is_empty() {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let answer = request.send().await.unwrap();
    let retry = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), retry, answer.text().await.unwrap())
}

/// Replaces the entry of a cluster by one with further fields, and waits until the hub uses it.
async fn set(hub: &Server, name: &str, fields: &str) {
    let path = hub.home.join("clusters.yml");
    let text = fs::read_to_string(&path).unwrap();
    let entry = format!("  \"{name}\":\n");
    assert!(text.contains(&entry), "{text}");
    let before = hub.log().matches("completed loading of the clusters file").count();
    let fresh = hub.home.join("fresh.yml");
    fs::write(&fresh, text.replace(&entry, &format!("{entry}    {fields}\n"))).unwrap();
    fs::rename(fresh, path).unwrap();
    hub.until("the clusters file is used", || async {
        (hub.log().matches("completed loading of the clusters file").count() > before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_joins_by_the_printed_command_and_no_page_shows_its_token() {
    let mut hub = Server::prepare(NAVE, &HUB, &[("prometheus.yml", "global: {}\n")], "/-/ready");
    let printed = cluster(&hub.home, &["add", "spoke1", &format!("--hub.url=http://127.0.0.1:{}", hub.port)]);
    hub.launch();
    hub.wait_ready().await;
    let command = printed.lines().find(|line| line.contains("nave agent")).expect("a command").trim();
    let token = command.split_whitespace().find(|word| word.starts_with("nave_")).unwrap().to_owned();
    let command = command.replace("&& nave agent", &format!("&& exec {NAVE} agent"));
    let command =
        format!("{command} --web.listen-address=127.0.0.1:{{port}} --storage.agent.path=data-agent");
    let agent = Server::start("/bin/sh", &["-c", &command], &[], "/-/ready").await;

    hub.until("host and agent arrive", || async {
        hub.number("count(count by (job) (up{cluster=\"spoke1\"} == 1))").await.filter(|jobs| *jobs == 2.0)
    })
    .await;
    assert!(hub.number("count({__name__=~\"node_.+\",cluster!=\"spoke1\"})").await.is_none());
    // A sample can be asked for a moment before the write that brought it is counted.
    let row = &hub
        .until("the cluster's figures", || async {
            let answer = hub.api("/api/v1/clusters", &[]).await;
            let row = answer["data"]["clusters"][0].clone();
            let known = row["lagSeconds"].is_number() && row["clockSkewSeconds"].is_number();
            (known && row["activeSeries"].as_u64() > Some(100)).then_some(row)
        })
        .await;
    assert_eq!(
        (&row["name"], &row["silent"], &row["labels"]["cluster"]),
        (&"spoke1".into(), &false.into(), &"spoke1".into())
    );
    assert!(
        row["activeSeries"].as_u64().unwrap() > 100 && row["lagSeconds"].as_f64().unwrap() < 30.0,
        "{row}"
    );
    assert!(row["clockSkewSeconds"].as_f64().unwrap().abs() < 5.0, "{row}");
    assert!(row["senderVersion"].as_str().is_some_and(|version| !version.is_empty()), "{row}");

    let mut shown = vec![hub.log(), agent.log(), fs::read_to_string(hub.home.join("clusters.yml")).unwrap()];
    for server in [&hub, &agent] {
        for path in [
            "/metrics",
            "/api/v1/status/config",
            "/api/v1/status/flags",
            "/api/v1/targets",
            "/api/v1/clusters",
        ] {
            shown.push(server.get(path).await.1);
        }
    }
    for text in shown {
        assert!(!text.contains(&token), "the token is in\n{text}");
    }

    // A cluster that is added while the hub runs is known soon.
    cluster(&hub.home, &["add", "spoke2", "--hub.token-file=spoke2"]);
    let token = self::token(&hub, "spoke2");
    hub.until("spoke2 may write", || async {
        (write(&hub, &token, &[&[("__name__", "late")]]).await.0 == 204).then_some(())
    })
    .await;
    let list = cluster(&hub.home, &["list"]);
    assert!(list.contains("spoke1") && list.contains("spoke2") && !list.contains(&token), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_decide_the_cluster_label() {
    let hub = hub(&["spoke1", "spoke2"], &[]).await;
    let (one, two) = (token(&hub, "spoke1"), token(&hub, "spoke2"));
    let foreign: &[(&str, &str)] = &[("__name__", "x"), ("cluster", "spoke2")];
    assert_eq!(write(&hub, &one, &[foreign]).await.0, 204, "relabelled by default");
    assert_eq!(hub.number("x{cluster=\"spoke1\"}").await, Some(1.0));
    assert_eq!(hub.number("x{cluster=\"spoke2\"}").await, None);
    set(&hub, "spoke1", "contradicting_labels: refuse").await;
    let (status, _, text) = write(&hub, &one, &[foreign, &[("__name__", "y")]]).await;
    assert!(status == 400 && text.contains("credentials are those of \"spoke1\""), "{status}: {text}");
    assert_eq!(hub.number("y{cluster=\"spoke1\"}").await, Some(1.0), "the rest of the request is kept");
    assert_eq!(write(&hub, &two, &[foreign]).await.0, 204);

    let wrong = format!("nave_{}", "0".repeat(64));
    for (token, reason) in [(wrong.as_str(), "unknown"), ("", "missing")] {
        let (status, _, text) = write(&hub, token, &[&[("__name__", "z")]]).await;
        assert!(status == 401 && !text.contains("nave_0"), "{status}: {text}");
        let (_, metrics) = hub.get("/metrics").await;
        let line = format!("nave_receiver_unauthorized_requests_total{{reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&line), "{line} is missing in\n{metrics}");
    }
    assert_eq!(hub.number("z").await, None, "nothing is stored");
    let log = hub.log();
    assert!(![one, two, wrong].iter().any(|token| log.contains(token.as_str())), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn above_its_limit_only_the_offender_is_shed() {
    let hub = hub(&["spoke1", "spoke2"], &[]).await;
    let (one, two) = (token(&hub, "spoke1"), token(&hub, "spoke2"));
    set(&hub, "spoke1", "limits: {series: 2, samples_per_second: 1}").await;
    let series: [&[(&str, &str)]; 3] = [&[("__name__", "a")], &[("__name__", "b")], &[("__name__", "c")]];
    let (status, _, text) = write(&hub, &one, &series).await;
    assert!(
        status == 400 && text.contains("c") && text.contains("limits.series of the cluster of 2"),
        "{text}"
    );
    assert_eq!(write(&hub, &one, &series[..2]).await.0, 204, "known series go on");
    let mut last = (0, None, String::new());
    for _ in 0..20 {
        last = write(&hub, &one, &series[..2]).await;
        assert_eq!(write(&hub, &two, &series).await.0, 204, "the other cluster is not touched");
    }
    let (status, retry, text) = last;
    assert!(status == 429 && retry.is_some(), "{status}: {text}");
    assert!(text.contains("spoke1") && text.contains("limits.samples_per_second of 1"), "{text}");
    let rows = hub.api("/api/v1/clusters", &[]).await;
    let row = &rows["data"]["clusters"][0];
    assert!(row["throttledRequests"]["limits.samples_per_second"].as_u64().unwrap() > 0, "{row}");
    assert_eq!((&row["rejectedSamples"]["limit"], &row["activeSeries"]), (&1.into(), &2.into()));
    assert_eq!(rows["data"]["clusters"][1]["throttledRequests"], serde_json::json!({}), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_clusters_file_changes_nothing_and_says_where() {
    let hub = hub(&["spoke1"], &["--web.enable-lifecycle"]).await;
    let one = token(&hub, "spoke1");
    fs::write(hub.home.join("clusters.yml"), "clusters:\n  spoke2: {tokens: []}\n").unwrap();
    let answer = client().post(hub.url("/-/reload")).send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert!(status == 500 && text.contains("clusters.yml:2:"), "{status}: {text}");
    assert_eq!(write(&hub, &one, &[&[("__name__", "a")]]).await.0, 204);
    let (_, metrics) = hub.get("/metrics").await;
    assert!(metrics.contains("nave_clusters_file_last_reload_successful 0"), "{metrics}");
    assert!(metrics.contains("nave_cluster_silent{cluster=\"spoke1\"} 0"), "{metrics}");
}
