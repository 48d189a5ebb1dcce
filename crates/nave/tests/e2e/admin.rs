//! The admin API of a real hub: deletes, what frees their space, snapshots, blocks; and retention that follows a reload.

use nave_base::clock::SystemClock;
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_wire::write_v1::Encoder;

use crate::harness::{NAVE, Server, client};

const CONFIG: &str = "global: {}\n";
const SERIES: usize = 20;
const SAMPLES: i64 = 100;

/// A hub with hours of samples of twenty series, whose newest is a minute old.
async fn filled(more: &[&str]) -> Server {
    let hub = Server::hub(CONFIG, more).await;
    let now = SystemClock::shared().now_ms();
    let mut encoder = Encoder::new();
    for series in 0..SERIES {
        let pairs = [("__name__", "kept".to_owned()), ("n", series.to_string())];
        let samples =
            (1..=SAMPLES).map(|at| (Timestamp(now - at * 60_000), at as f64)).rev().collect::<Vec<_>>();
        encoder.series(&Labels::from_pairs(pairs).unwrap(), &samples);
    }
    assert_eq!(hub.write(encoder.finish()).await.unwrap().0, 204);
    hub
}

/// Posts to the admin API; status and text.
async fn admin(hub: &Server, path: &str) -> (u16, String) {
    let answer = client().post(hub.url(&format!("/api/v1/admin/tsdb/{path}"))).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// How many samples there are, of all series and of one.
async fn counts(hub: &Server) -> (f64, f64) {
    let of = |selector: &str| format!("sum(count_over_time({selector}[12h]))");
    let (all, one) = (of("kept"), of("kept{n=\"3\"}"));
    (hub.number(&all).await.unwrap_or(0.0), hub.number(&one).await.unwrap_or(0.0))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_nothing_is_changed() {
    let hub = filled(&[]).await;
    for path in ["delete_series?match[]=kept", "clean_tombstones", "snapshot"] {
        let (status, text) = admin(&hub, path).await;
        assert!(status == 503 && text.contains("admin APIs disabled"), "{path}: {status} {text}");
    }
    assert_eq!(counts(&hub).await, (SERIES as f64 * SAMPLES as f64, SAMPLES as f64));
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_hide_at_once_and_free_their_space_later() {
    let mut hub = filled(&["--web.enable-admin-api"]).await;
    let whole = SERIES as f64 * SAMPLES as f64;
    assert_eq!(admin(&hub, "compact").await.0, 204);
    let samples = |blocks: &serde_json::Value| -> u64 {
        let blocks = blocks["data"]["blocks"].as_array().expect("a list of blocks").clone();
        blocks.iter().map(|block| block["stats"]["numSamples"].as_u64().expect("a count")).sum()
    };
    assert_eq!(samples(&hub.api("/api/v1/status/tsdb/blocks", &[]).await), whole as u64);

    let (status, text) = admin(&hub, "delete_series?match[]=kept{n=\"3\"}").await;
    assert_eq!(status, 204, "{text}");
    assert_eq!(counts(&hub).await, (whole - SAMPLES as f64, 0.0));
    let (status, text) = admin(&hub, "delete_series").await;
    assert!(status == 400 && text.contains("no match[] parameter provided"), "{status} {text}");
    hub.kill();
    hub.launch();
    hub.wait_ready().await;
    assert_eq!(counts(&hub).await, (whole - SAMPLES as f64, 0.0), "a kill brought it back");

    assert_eq!(admin(&hub, "clean_tombstones").await.0, 204);
    assert_eq!(samples(&hub.api("/api/v1/status/tsdb/blocks", &[]).await), (whole - SAMPLES as f64) as u64);
    assert_eq!(counts(&hub).await, (whole - SAMPLES as f64, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_answers_as_its_hub_did() {
    let hub = filled(&["--web.enable-admin-api"]).await;
    let (status, text) = admin(&hub, "snapshot").await;
    assert_eq!(status, 200, "{text}");
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let name = answer["data"]["name"].as_str().expect("a name").to_owned();
    assert_eq!(admin(&hub, "delete_series?match[]=kept").await.0, 204);
    assert_eq!(counts(&hub).await, (0.0, 0.0));
    let dir = hub.home.join("data/snapshots").join(name);
    let args = [
        "--config.file=prometheus.yml",
        &format!("--storage.tsdb.path={}", dir.display()),
        "--web.listen-address=127.0.0.1:{port}",
    ];
    let copy = Server::start(NAVE, &args, &[("prometheus.yml", CONFIG)], "/-/ready").await;
    assert_eq!(counts(&copy).await, (SERIES as f64 * SAMPLES as f64, SAMPLES as f64));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shown_retention_follows_a_reload() {
    let hub = Server::hub(CONFIG, &[]).await;
    let shown = async || hub.api("/api/v1/status/runtimeinfo", &[]).await["data"]["storageRetention"].clone();
    assert_eq!(shown().await, "15d");
    let config = "global: {}\nstorage: {tsdb: {retention: {time: 3d, size: 1GB}}}\n";
    std::fs::write(hub.home.join("prometheus.yml"), config).unwrap();
    hub.hang_up();
    hub.until("the new retention", || async { (shown().await == "3d or 1GiB").then_some(()) }).await;
}
