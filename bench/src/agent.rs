//! Agents: synthetic scrape targets, a sink for remote write, and the measurement between them.

use crate::report::Round;
use crate::server::{self, Server};
use crate::workload::{self, Spec, Target};
use crate::{fleet, proto, results};
use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What to measure agents with.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Scrape targets.
    #[arg(long, default_value_t = 200)]
    pub targets: usize,
    /// Series per target.
    #[arg(long, default_value_t = 500)]
    pub series: usize,
    /// Scrape interval, seconds.
    #[arg(long, default_value_t = 10)]
    pub interval: u64,
    /// Measured time, seconds, after a warm-up of three intervals and at least 15 s.
    #[arg(long, default_value_t = 120)]
    pub seconds: u64,
    /// Then let the sink answer 503 for this many seconds, and see what arrives late or never; 0: don't.
    #[arg(long, default_value_t = 0)]
    pub outage: u64,
}

/// The pages served, and how many were asked for.
struct Pages {
    targets: Vec<Mutex<(Target, Instant)>>,
    series: usize,
    served: AtomicU64,
}

/// One node's node-exporter and cadvisor series per page, cut to `series`.
fn pages(count: usize, series: usize) -> Result<Arc<Pages>> {
    let pods = series.saturating_sub(200).div_ceil(28).max(1) as u32;
    let per_node = 300 + 100 * pods; // more than there are, so that there are nodes enough
    let spec = Spec {
        clusters: 1,
        series: count as u32 * per_node,
        cpus: 8,
        pods,
        interval_ms: 10_000,
        jitter_ms: 0,
        churn: 0.0,
        churn_minutes: 10,
        late_share: 0.0,
        late_burst: 20,
        minutes: 1,
        tail_minutes: 0,
        seed: 1,
    };
    let mut by_job: HashMap<&str, Vec<Target>> = HashMap::new();
    for mut target in fleet::fleet(&spec) {
        target.series.retain(|s| {
            let name = proto::labels(&s.labels).first().map_or("", |l| l.1).to_string();
            name != "up" && !name.starts_with("scrape_")
        });
        by_job.entry(target.job).or_default().push(target);
    }
    let (nodes, kubelets) =
        (by_job.remove("node-exporter").context("nodes")?, by_job.remove("kubelet").context("kubelets")?);
    let mut targets = Vec::new();
    for (mut node, kubelet) in nodes.into_iter().zip(kubelets).take(count) {
        node.series.extend(kubelet.series);
        anyhow::ensure!(node.series.len() >= series, "a page has only {} series", node.series.len());
        targets.push(Mutex::new((node, Instant::now())));
    }
    anyhow::ensure!(targets.len() == count, "only {} pages", targets.len());
    Ok(Arc::new(Pages { targets, series, served: AtomicU64::new(0) }))
}

async fn page(
    State(pages): State<Arc<Pages>>,
    UrlPath(index): UrlPath<usize>,
) -> Result<([(&'static str, &'static str); 1], String), StatusCode> {
    let mut guard = pages.targets.get(index).ok_or(StatusCode::NOT_FOUND)?.lock().expect("page lock");
    let (target, last) = &mut *guard;
    let dt = last.elapsed().as_secs_f64();
    *last = Instant::now();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    let mut text = String::with_capacity(pages.series * 200);
    workload::exposition(target, pages.series, now, dt, &mut text);
    pages.served.fetch_add(1, Relaxed);
    Ok(([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// What the sink has received.
#[derive(Default)]
struct Sink {
    outage: AtomicBool,
    samples: AtomicU64,
    stale: AtomicU64,
    requests: AtomicU64,
    wire_bytes: AtomicU64,
    refused: AtomicU64,
}

async fn write(State(sink): State<Arc<Sink>>, body: bytes::Bytes) -> StatusCode {
    if sink.outage.load(Relaxed) {
        sink.refused.fetch_add(1, Relaxed);
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let Some((samples, stale)) =
        snap::raw::Decoder::new().decompress_vec(&body).ok().and_then(|raw| proto::count_samples(&raw))
    else {
        return StatusCode::BAD_REQUEST;
    };
    sink.samples.fetch_add(samples - stale, Relaxed);
    sink.stale.fetch_add(stale, Relaxed);
    sink.requests.fetch_add(1, Relaxed);
    sink.wire_bytes.fetch_add(body.len() as u64, Relaxed);
    StatusCode::NO_CONTENT
}

async fn stats(State(sink): State<Arc<Sink>>) -> String {
    let v = |a: &AtomicU64| a.load(Relaxed);
    serde_json::json!({
        "samples": v(&sink.samples), "stale_markers": v(&sink.stale), "requests": v(&sink.requests),
        "wire_bytes": v(&sink.wire_bytes), "refused_requests": v(&sink.refused), "outage": sink.outage.load(Relaxed),
    })
    .to_string()
}

async fn set_outage(
    State(sink): State<Arc<Sink>>,
    UrlQuery(args): UrlQuery<HashMap<String, String>>,
) -> StatusCode {
    sink.outage.store(args.get("on").is_some_and(|v| v == "1"), Relaxed);
    StatusCode::NO_CONTENT
}

fn pages_router(pages: Arc<Pages>) -> Router {
    Router::new().route("/t/{index}/metrics", get(page)).with_state(pages)
}

fn sink_router(sink: Arc<Sink>) -> Router {
    Router::new()
        .route("/write", post(write))
        .route("/stats", get(stats))
        .route("/outage", post(set_outage))
        .layer(DefaultBodyLimit::max(64 << 20))
        .with_state(sink)
}

/// The `targets` subcommand.
pub async fn serve_targets(listen: &str, count: usize, series: usize) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    Ok(axum::serve(listener, pages_router(pages(count, series)?)).await?)
}

/// The `sink` subcommand.
pub async fn serve_sink(listen: &str) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    Ok(axum::serve(listener, sink_router(Arc::default())).await?)
}

/// The `agent` subcommand: measures each agent of the file in turn.
pub async fn run(file: &Path, work: &Path, only: &[String], o: &Options) -> Result<Vec<Round>> {
    let pages = pages(o.targets, o.series)?;
    let sink: Arc<Sink> = Arc::default();
    let (page_listener, sink_listener) = (
        tokio::net::TcpListener::bind("127.0.0.1:0").await?,
        tokio::net::TcpListener::bind("127.0.0.1:0").await?,
    );
    let (page_addr, sink_addr) = (page_listener.local_addr()?, sink_listener.local_addr()?);
    tokio::spawn(axum::serve(page_listener, pages_router(pages.clone())).into_future());
    tokio::spawn(axum::serve(sink_listener, sink_router(sink.clone())).into_future());

    std::fs::create_dir_all(work)?;
    let sd_file = work.canonicalize()?.join("targets.json");
    let entries: Vec<_> = (0..o.targets)
        .map(|i| serde_json::json!({ "targets": [page_addr.to_string()], "labels": { "__metrics_path__": format!("/t/{i}/metrics"), "instance": format!("node-{i}:9100") } }))
        .collect();
    std::fs::write(&sd_file, serde_json::to_vec(&entries)?)?;
    let vars = [
        ("interval", format!("{}s", o.interval)),
        ("sink_url", format!("http://{sink_addr}/write")),
        ("sd_file", sd_file.display().to_string()),
    ];

    let mut rounds = Vec::new();
    for def in server::load(file, work, only, &vars)? {
        eprintln!("{}", def.name);
        let mut r = results::round(&def, 1);
        let agent = Server::start(&def, true).await?;
        tokio::time::sleep(Duration::from_secs((3 * o.interval).max(15))).await;
        let now = || -> Result<[f64; 6]> {
            let get = |a: &AtomicU64| a.load(Relaxed) as f64;
            Ok([
                agent.usage()?.cpu_seconds,
                get(&pages.served),
                get(&sink.samples),
                get(&sink.wire_bytes),
                get(&sink.requests),
                server::cpu_seconds("self")?,
            ])
        };
        let a = now()?;
        tokio::time::sleep(Duration::from_secs(o.seconds)).await;
        let b = now()?;
        let [cpu, served, samples, wire, requests, own] = std::array::from_fn(|i| b[i] - a[i]);
        let scraped = served * o.series as f64;
        r.add("scraped", "samples/s", scraped / o.seconds as f64);
        r.add("sent to the sink per scraped sample", "samples", samples / scraped);
        r.add("CPU per million scraped samples", "CPU-s", cpu / scraped * 1e6);
        r.add("CPU in use", "% of one core", cpu / o.seconds as f64 * 100.0);
        r.add("wire bytes per sample sent", "bytes", wire / samples);
        r.add("samples per request", "samples", samples / requests);
        r.add("targets' and sink's CPU per million samples", "CPU-s", own / scraped * 1e6);
        let usage = agent.usage()?;
        r.add("RSS", "MiB", usage.rss_mib);
        r.add("RSS, anonymous", "MiB", usage.rss_anon_mib);
        r.add("peak RSS", "MiB", usage.peak_rss_mib);
        r.disk = server::disk_usage(&def.data());
        r.add("disk", "MiB", r.disk.iter().map(|d| d.1).sum::<u64>() as f64 / 1_048_576.0);
        if o.outage > 0 {
            outage(o, &sink, &pages, &agent, samples / served, &mut r).await?;
        }
        agent.stop().await?;
        rounds.push(r);
    }
    Ok(rounds)
}

/// Lets the sink fail for a while; `per_page` is how many samples one scrape brings to the sink.
async fn outage(
    o: &Options,
    sink: &Sink,
    pages: &Pages,
    agent: &Server,
    per_page: f64,
    r: &mut Round,
) -> Result<()> {
    let (served, samples, cpu) =
        (pages.served.load(Relaxed) as f64, sink.samples.load(Relaxed) as f64, agent.usage()?.cpu_seconds);
    let missing = || {
        (pages.served.load(Relaxed) as f64 - served) * per_page
            - (sink.samples.load(Relaxed) as f64 - samples)
    };
    sink.outage.store(true, Relaxed);
    tokio::time::sleep(Duration::from_secs(o.outage)).await;
    sink.outage.store(false, Relaxed);
    r.add("outage: backlog at its end", "samples", missing());
    let ended = Instant::now();
    // Within two scrapes of all targets, the agent counts as having caught up.
    let near = per_page * o.targets as f64 * 2.0;
    while missing() > near && ended.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    r.add("outage: caught up after", "s", ended.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(2 * o.interval)).await;
    r.add("outage: still missing two intervals later", "samples", missing());
    r.add("outage: refused requests", "requests", sink.refused.swap(0, Relaxed) as f64);
    let usage = agent.usage()?;
    r.add("outage: peak RSS", "MiB", usage.peak_rss_mib);
    r.add("outage: CPU through outage and recovery", "CPU-s", usage.cpu_seconds - cpu);
    Ok(())
}
