//! Acknowledged is durable, and an outage loses nothing: processes are killed while samples flow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nave_base::clock::SystemClock;
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_wire::write_v1::Encoder;

use crate::harness::{PATIENCE, Server, free_port};

const WRITERS: usize = 4;
/// Kills, unless `NAVE_KILL_ROUNDS` says another number; 50 before a release.
const ROUNDS: usize = 10;
const SERIES_PER_WRITER: usize = 5;
/// How often the delay from scrape to query is looked at.
const LOOKS: usize = 4;

fn request(writer: usize, at: i64) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for series in 0..SERIES_PER_WRITER {
        let labels = Labels::from_pairs([
            ("__name__", "durable"),
            ("writer", &writer.to_string()),
            ("series", &series.to_string()),
        ]);
        encoder.series(&labels.unwrap(), &[(Timestamp(at), at as f64)]);
    }
    encoder.finish()
}

/// Writes one step after the other until told to stop; gives the acknowledged times and those that were
/// sent without an answer.
async fn write(hub: Arc<Server>, writer: usize, start: i64, stop: Arc<AtomicBool>) -> (Vec<i64>, Vec<i64>) {
    let (mut acknowledged, mut unanswered) = (Vec::new(), Vec::new());
    let mut at = start;
    while !stop.load(Ordering::SeqCst) {
        match hub.write(request(writer, at)).await {
            Ok((status, _)) if (200..300).contains(&status) => acknowledged.push(at),
            Ok((status, body)) => panic!("write answered {status}: {body}"),
            Err(_) => unanswered.push(at),
        }
        at += 1;
    }
    (acknowledged, unanswered)
}

/// Kills the hub at random moments while several connections write. Every acknowledged sample is there
/// afterwards, and none that was never sent.
#[tokio::test(flavor = "multi_thread")]
async fn sigkill_loses_no_acknowledged_sample() {
    let clock = SystemClock::shared();
    let mut random = fastrand::Rng::with_seed(7);
    let base = clock.now_ms() - 1_200_000;
    let mut hub = Arc::new(Server::hub("global: {}\n", &[]).await);
    let mut acknowledged = vec![Vec::new(); WRITERS];
    let mut sent = vec![Vec::new(); WRITERS];
    let rounds = std::env::var("NAVE_KILL_ROUNDS").map_or(ROUNDS, |n| n.parse().expect("a number of rounds"));
    for round in 0..rounds {
        let stop = Arc::new(AtomicBool::new(false));
        let start = base + (round as i64) * 20_000;
        let tasks: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(hub.clone(), writer, start, stop.clone())))
            .collect();
        clock.sleep(Duration::from_millis(random.u64(20..250))).await;
        hub.kill_in_use();
        stop.store(true, Ordering::SeqCst);
        for (writer, task) in tasks.into_iter().enumerate() {
            let (kept, open) = task.await.unwrap();
            sent[writer].extend(kept.iter().chain(&open).copied());
            acknowledged[writer].extend(kept);
        }
        let server = Arc::get_mut(&mut hub).expect("all writers have ended");
        server.reap();
        server.launch();
        server.wait_ready().await;
    }
    let total: usize = acknowledged.iter().map(Vec::len).sum();
    assert!(total > rounds, "the test wrote next to nothing: {total}");
    check_ledger(&hub, base, &acknowledged, &sent).await;
    eprintln!("{rounds} kills, {} acknowledged samples, 0 lost", total * SERIES_PER_WRITER);
}

async fn check_ledger(hub: &Server, base: i64, acknowledged: &[Vec<i64>], sent: &[Vec<i64>]) {
    let now = format!("{}", (base + 1_200_000) as f64 / 1000.0);
    let query = "durable[1300s]";
    let answer = hub.api("/api/v1/query", &[("query", query), ("time", &now)]).await;
    let rows = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(rows.len(), WRITERS * SERIES_PER_WRITER);
    for row in rows {
        let writer: usize = row["metric"]["writer"].as_str().unwrap().parse().unwrap();
        let found: BTreeMap<i64, f64> = row["values"].as_array().unwrap().iter().map(sample).collect();
        for at in &acknowledged[writer] {
            assert_eq!(found.get(at), Some(&(*at as f64)), "an acknowledged sample is missing");
        }
        for (at, value) in &found {
            assert!(sent[writer].contains(at) && *value == *at as f64, "a sample at {at} was never sent");
        }
    }
}

fn sample(pair: &serde_json::Value) -> (i64, f64) {
    let at = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
    (at, pair[1].as_str().unwrap().parse().unwrap())
}

/// The hub is away, the agent is killed in the middle, both come back: every scrape is at the hub.
///
/// `NAVE_OUTAGE_SECONDS` makes the outage longer for a run by hand.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_with_a_killed_agent_loses_no_scrape() {
    let outage = std::env::var("NAVE_OUTAGE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(12);
    let clock = SystemClock::shared();
    let pages = Pages::start().await;
    let mut hub = Server::hub("global: {}\n", &[]).await;
    let config = format!(
        "global:\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  external_labels: {{cluster: away}}\n\
         scrape_configs:\n  - job_name: pages\n    static_configs: [{{targets: ['127.0.0.1:{}']}}]\n\
         remote_write:\n  - url: http://127.0.0.1:{}/api/v1/write\n    queue_config: {{batch_send_deadline: 200ms}}\n",
        pages.port, hub.port
    );
    let mut agent = Server::agent(&config, &[]).await;
    hub.until("first sample", || async { hub.number("page_number").await }).await;
    hub.kill();
    clock.sleep(Duration::from_millis(outage * 500)).await;
    agent.kill();
    agent.launch();
    agent.wait_ready().await;
    clock.sleep(Duration::from_millis(outage * 500)).await;
    hub.launch();
    hub.wait_ready().await;
    let served = pages.served();
    hub.until("the newest page", || async {
        hub.number("page_number").await.filter(|n| *n >= served as f64)
    })
    .await;
    pages.stop();
    let query = format!("page_number[{}s]", outage * 2 + 120);
    let missing = hub
        .until("the backlog to drain", || async {
            let rows = hub.query(&query).await;
            let found: std::collections::BTreeSet<i64> = rows
                .iter()
                .flat_map(|row| row["values"].as_array().unwrap().iter().map(|pair| sample(pair).1 as i64))
                .collect();
            let missing: Vec<i64> = (1..=served as i64).filter(|n| !found.contains(n)).collect();
            // The agent was killed by SIGKILL: a page that it was reading just then was never scraped.
            (missing.len() <= 1).then_some(missing)
        })
        .await;
    eprintln!("{served} pages served over an outage of {outage} s, missing: {missing:?}");
}

/// A target whose only metric counts how often it was fully served.
struct Pages {
    port: u16,
    count: Arc<std::sync::atomic::AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Pages {
    async fn start() -> Self {
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let port = free_port();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let counter = count.clone();
        let page = move || {
            let counter = counter.clone();
            async move { format!("page_number {}\n", counter.fetch_add(1, Ordering::SeqCst) + 1) }
        };
        let app = axum::Router::new().route("/metrics", axum::routing::get(page));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { port, count, task }
    }

    fn served(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn stop(&self) {
        self.task.abort();
    }
}

/// Scrape to queryable with default queue settings. A part batch waits up to 5 s, so every look sees the
/// newest page of a batch.
#[tokio::test(flavor = "multi_thread")]
async fn scrape_to_queryable_takes_less_than_ten_seconds() {
    let clock = SystemClock::shared();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let page_clock = clock.clone();
    let page = move || {
        let now = page_clock.now_ms();
        async move { format!("served_at_seconds {}\n", now as f64 / 1000.0) }
    };
    let app = axum::Router::new().route("/metrics", axum::routing::get(page));
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let hub = Server::hub("global: {}\n", &[]).await;
    let config = format!(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n\
         scrape_configs:\n  - job_name: pages\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n\
         remote_write:\n  - url: http://127.0.0.1:{}/api/v1/write\n",
        hub.port
    );
    let _agent = Server::agent(&config, &[]).await;
    let mut delays: Vec<f64> = Vec::new();
    let mut seen = 0.0;
    let deadline = Instant::now() + PATIENCE;
    while delays.len() < LOOKS && Instant::now() < deadline {
        if let Some(served) = hub.number("served_at_seconds").await
            && served > seen
        {
            seen = served;
            delays.push(clock.now_ms() as f64 / 1000.0 - served);
        }
        clock.sleep(Duration::from_millis(20)).await;
    }
    task.abort();
    delays.sort_by(f64::total_cmp);
    assert_eq!(delays.len(), LOOKS, "different pages arrive");
    eprintln!("scrape to queryable: median {:.2} s, worst {:.2} s", delays[LOOKS / 2], delays[LOOKS - 1]);
    assert!(delays[LOOKS - 1] < 10.0);
}
