//! An agent that is killed while it sends to a real Prometheus, which refuses a request whole for what it has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nave_base::clock::SystemClock;

use crate::harness::{Server, peer};

const TARGETS: usize = 6;
const SERIES: usize = 60;
const KILLS: usize = 6;

/// Pages of which every sample says which scrape it is of.
async fn targets() -> Vec<u16> {
    let mut ports = Vec::new();
    for _ in 0..TARGETS {
        let scrapes = Arc::new(AtomicU64::new(0));
        let page = move || {
            let scrape = scrapes.fetch_add(1, Ordering::SeqCst);
            async move { (0..SERIES).map(|series| format!("scrape_{series} {scrape}\n")).collect::<String>() }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        ports.push(listener.local_addr().unwrap().port());
        let app = axum::Router::new().route("/metrics", axum::routing::get(page));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    }
    ports
}

fn config(ports: &[u16], url: &str) -> String {
    let targets: Vec<_> = ports.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
    format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\n\
         scrape_configs:\n  - job_name: page\n    static_configs: [{{targets: [{}]}}]\n\
         remote_write:\n  - url: {url}\n    queue_config: {{batch_send_deadline: 150ms, max_samples_per_send: 50, min_shards: 4}}\n",
        targets.join(", ")
    )
}

/// A scrape is queued whole or not at all. So whatever of it is at Prometheus, all of it must be there.
#[tokio::test(flavor = "multi_thread")]
async fn prometheus_misses_nothing_of_a_killed_agent() {
    let Some(program) = peer("prometheus") else { return };
    let clock = SystemClock::shared();
    let prometheus = Server::prometheus(program, "global: {}\n", &[]).await;
    let ports = targets().await;
    let mut agent = Server::agent(&config(&ports, &prometheus.url("/api/v1/write")), &[]).await;
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..KILLS {
        clock.sleep(Duration::from_millis(random.u64(700..1700))).await;
        agent.kill();
        agent.launch();
        agent.wait_ready().await;
    }
    clock.sleep(Duration::from_secs(1)).await;
    let status = agent.stop().await;
    assert!(status.success(), "{}", agent.log());
    let mut scrapes: BTreeMap<String, BTreeMap<u64, usize>> = BTreeMap::new();
    for row in prometheus.query("{__name__=~\"scrape_.*\",__name__!~\"scrape_.*[a-z]\"}[5m]").await {
        let instance = scrapes.entry(row["metric"]["instance"].as_str().unwrap().to_owned()).or_default();
        let values = row["values"].as_array().unwrap().iter();
        // Stale markers are not in a range.
        let values: BTreeSet<u64> = values.map(|pair| pair[1].as_str().unwrap().parse().unwrap()).collect();
        values.into_iter().for_each(|scrape| *instance.entry(scrape).or_default() += 1);
    }
    assert_eq!(scrapes.len(), TARGETS);
    for (instance, scrapes) in scrapes {
        assert!(scrapes.len() > 5 * KILLS, "{instance}: only {} scrapes arrived", scrapes.len());
        let torn: Vec<_> = scrapes.iter().filter(|(_, series)| **series != SERIES).collect();
        assert!(torn.is_empty(), "{instance}: scrape and series of it: {torn:?}\n{}", agent.log());
        // At most what was being scraped at each kill, which nobody was promised.
        let last = *scrapes.keys().last().unwrap();
        let missing = usize::try_from(last).unwrap() + 1 - scrapes.len();
        assert!(missing <= 2 * KILLS, "{instance}: {missing} of {last} scrapes are missing");
    }
}
