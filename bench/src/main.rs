//! `fleetbench`: measures servers that speak Prometheus remote write 1.0 and the Prometheus query
//! API, and agents that scrape and remote-write. See README.md for how to run it.

mod agent;
mod fleet;
mod live;
mod proto;
mod query;
mod report;
mod server;
mod workload;
mod write;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use report::Round;
use server::{Def, Server};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use write::{Encoded, Facts, SendOptions};

#[derive(Parser)]
#[command(about = "Benchmark for Prometheus-compatible metrics servers and agents")]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    /// Start each target on an empty directory, send the workload, report speed, CPU, memory, disk.
    Ingest(Load),
    /// As ingest, then send the tail, kill -9, start again: time until ready and samples lost.
    Restart(Load),
    /// Ingest, queries and restart for every target, in one table.
    Compare {
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        ask: Ask,
    },
    /// Ask the queries of servers filled by `ingest` before (the same --work).
    Query {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        ask: Ask,
    },
    /// Measure the agents of an agents file: scrape the built-in targets, write to the built-in sink.
    Agent {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        options: agent::Options,
    },
    /// Serve synthetic /t/<n>/metrics pages until stopped.
    Targets {
        #[arg(long, default_value = "127.0.0.1:19500")]
        listen: String,
        #[arg(long, default_value_t = 200)]
        targets: usize,
        /// Series per target.
        #[arg(long, default_value_t = 500)]
        series: usize,
    },
    /// Count what is written to /write; GET /stats; POST /outage?on=1 or ?on=0. Until stopped.
    Sink {
        #[arg(long, default_value = "127.0.0.1:19501")]
        listen: String,
    },
}

#[derive(Args)]
struct Place {
    /// Targets file.
    #[arg(long, default_value = "targets.toml")]
    targets_file: PathBuf,
    /// Directory to work in; each target gets its own below.
    #[arg(long, default_value = "runs")]
    work: PathBuf,
    /// Only these targets of the file.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also write everything as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct Load {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    spec: workload::Spec,
    #[command(flatten)]
    send: SendOptions,
    /// Rounds; each goes through all targets, and the table shows medians.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

#[derive(Args)]
struct Ask {
    /// Queries file.
    #[arg(long, default_value = "queries/dashboards.toml")]
    queries: PathBuf,
    /// Warm runs of each query.
    #[arg(long, default_value_t = 10)]
    warm: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Cli::parse().command {
        Cmd::Ingest(load) => run(load, None, false).await,
        Cmd::Restart(load) => run(load, None, true).await,
        Cmd::Compare { load, ask } => run(load, Some(ask), true).await,
        Cmd::Query { place, ask } => query_only(place, ask).await,
        Cmd::Agent { place, options } => {
            let rounds = agent::run(&place.targets_file, &place.work, &place.only, &options).await?;
            finish(&place, &rounds, None)
        }
        Cmd::Targets { listen, targets, series } => agent::serve_targets(&listen, targets, series).await,
        Cmd::Sink { listen } => agent::serve_sink(&listen).await,
    }
}

/// Ingest, and as asked queries and restart, for every target and round.
async fn run(load: Load, ask: Option<Ask>, restart: bool) -> Result<()> {
    let defs = server::load(&load.place.targets_file, &load.place.work, &load.place.only, &[])?;
    let queries = ask.as_ref().map(|a| query::load(&a.queries)).transpose()?.unwrap_or_default();
    let warm = ask.map_or(0, |a| a.warm);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let encoded = write::encode(&load.spec, &load.send, now)?;
    let facts = &encoded.facts;
    eprintln!(
        "{} targets, {} active series ({} in all), {} + {} samples, {} stale markers; {} requests, {:.0} MiB raw, {:.0} MiB snappy, encoded in {:.1} s",
        facts.targets,
        facts.active_series,
        facts.all_series,
        facts.main_samples,
        facts.tail_samples,
        facts.stale_markers,
        facts.requests,
        facts.raw_bytes as f64 / 1_048_576.0,
        facts.snappy_bytes as f64 / 1_048_576.0,
        facts.encode_seconds
    );
    let mut rounds: Vec<Round> = Vec::new();
    for round in 1..=load.rounds {
        for def in &defs {
            eprintln!("{} round {round}", def.name);
            let mut r =
                Round { target: def.name.clone(), round, load_before: load_average(), ..Default::default() };
            if let Err(e) = one(def, &encoded, &queries, warm, restart, &mut r).await {
                eprintln!("{}: {e:#}", def.name);
                r.remarks.push(format!("ended early: {e:#}"));
            }
            rounds.push(r);
        }
    }
    finish(&load.place, &rounds, Some(facts))
}

/// One target in one round.
async fn one(
    def: &Def,
    encoded: &Encoded,
    queries: &[query::Query],
    warm: usize,
    restart: bool,
    r: &mut Round,
) -> Result<()> {
    let (facts, max) = (&encoded.facts, Duration::from_secs(encoded.facts.send.max_seconds));
    let server = Server::start(def, true).await?;
    r.add("ready on an empty directory", "s", server.ready_seconds);

    let (before, machine) = (server.usage()?, machine_cpu_seconds()?);
    let sent = write::send(&encoded.main, &def.write_url, max).await?;
    let (after, machine) = (server.usage()?, machine_cpu_seconds()? - machine);
    let millions = (sent.acked + sent.acked_stale) as f64 / 1e6;
    let cpu = after.cpu_seconds - before.cpu_seconds;
    r.add("ingest rate", "samples/s", millions * 1e6 / sent.wall_seconds);
    r.add("ingest wall", "s", sent.wall_seconds);
    r.add("ingest CPU per million samples", "CPU-s", cpu / millions);
    r.add("ingest, sender's CPU per million samples", "CPU-s", sent.sender_cpu_seconds / millions);
    r.add(
        "ingest, others' CPU",
        "cores",
        ((machine - cpu - sent.sender_cpu_seconds) / sent.wall_seconds).max(0.0),
    );
    r.add("ack p50", "ms", sent.ack_p50_ms);
    r.add("ack p99", "ms", sent.ack_p99_ms);
    r.add("ack max", "ms", sent.ack_max_ms);
    r.add("retries", "requests", sent.retries as f64);
    r.add("samples refused", "samples", sent.failed as f64);
    r.add("peak RSS at end of ingest", "MiB", after.peak_rss_mib);
    if let Some(e) = &sent.first_error {
        r.remarks.push(format!("{} samples not taken; first answer: {e}", sent.failed));
    }

    if let Some(url) = &def.flush_url {
        reqwest::Client::builder()
            .timeout(Duration::from_secs(300))
            .build()?
            .get(url)
            .send()
            .await?
            .error_for_status()?;
    }
    server.settle(def, Duration::from_secs(60)).await?;
    let settled = server.usage()?;
    r.add(
        "ingest and settling, CPU per million samples",
        "CPU-s",
        (settled.cpu_seconds - before.cpu_seconds) / millions,
    );
    r.add("RSS after settling", "MiB", settled.rss_mib);
    r.add("RSS after settling, anonymous", "MiB", settled.rss_anon_mib);
    r.add("written to storage", "MiB", settled.write_mib - before.write_mib);
    r.disk = server::disk_usage(&def.data());
    let disk = r.disk.iter().map(|d| d.1).sum::<u64>() as f64;
    r.add("disk after settling", "MiB", disk / 1_048_576.0);
    r.add("disk per sample", "bytes", disk / (sent.acked as f64));
    std::fs::write(def.dir().join("facts.json"), serde_json::to_vec_pretty(facts)?)?;

    if !queries.is_empty() {
        let before = server.usage()?;
        r.queries = query::run(def, &server, queries, facts, warm).await?;
        r.add("queries, CPU in all", "CPU-s", server.usage()?.cpu_seconds - before.cpu_seconds);
        r.add("peak RSS after queries", "MiB", server.usage()?.peak_rss_mib);
    }
    let client = query::Client::new(def)?;
    let begun = Instant::now();
    let stored = client.count(facts.start_ms, facts.end_ms).await?;
    r.add("count of all samples takes", "s", begun.elapsed().as_secs_f64());
    r.add("acknowledged samples not found", "samples", sent.acked as f64 - stored as f64);

    if let (Some(url), Some(dir)) = (&def.snapshot_url, &def.snapshot_dir) {
        let begun = Instant::now();
        reqwest::Client::builder()
            .timeout(Duration::from_secs(600))
            .build()?
            .post(url)
            .send()
            .await?
            .error_for_status()?;
        let bytes = server::disk_usage(dir.as_ref()).iter().map(|d| d.1).sum::<u64>() as f64;
        r.add("as finished blocks, per sample", "bytes", bytes / sent.acked as f64);
        r.add("writing finished blocks takes", "s", begun.elapsed().as_secs_f64());
        std::fs::remove_dir_all(dir)?;
    }
    if !restart {
        return server.stop().await;
    }

    let tail = write::send(&encoded.tail, &def.write_url, max).await?;
    server.kill()?; // at once after the last acknowledgement
    r.add("tail sent in", "s", tail.wall_seconds);
    r.add("tail refused", "samples", tail.failed as f64);
    let server = Server::start(def, false).await?;
    r.add("restart until ready", "s", server.ready_seconds);
    r.add("restart, CPU until ready", "CPU-s", server.usage()?.cpu_seconds);
    let mut found = f64::NAN;
    while server.started.elapsed() < Duration::from_secs_f64(server.ready_seconds + 15.0) {
        let newest = client.scalar("max(timestamp(up))", facts.tail_end_ms).await.ok().flatten();
        if newest.is_some_and(|t| (t * 1e3).round() as i64 >= tail.last_ts) {
            found = server.started.elapsed().as_secs_f64();
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    r.add("restart until the last acknowledged sample is found", "s", found);
    if found.is_nan() {
        r.remarks.push("the last acknowledged sample was not found after the restart".into());
    }
    let stored = client.count(facts.start_ms, facts.tail_end_ms).await?;
    r.add("samples acknowledged just before the kill", "samples", tail.acked as f64);
    r.add(
        "acknowledged samples lost by kill -9",
        "samples",
        (sent.acked + tail.acked) as f64 - stored as f64,
    );
    r.add("peak RSS after the restart", "MiB", server.usage()?.peak_rss_mib);
    server.stop().await
}

/// Queries against servers that `ingest` filled.
async fn query_only(place: Place, ask: Ask) -> Result<()> {
    let queries = query::load(&ask.queries)?;
    let mut rounds = Vec::new();
    for def in &server::load(&place.targets_file, &place.work, &place.only, &[])? {
        let facts: Facts = serde_json::from_slice(
            &std::fs::read(def.dir().join("facts.json")).context("no facts.json: run `ingest` first")?,
        )?;
        let mut r =
            Round { target: def.name.clone(), round: 1, load_before: load_average(), ..Default::default() };
        let server = Server::start(def, false).await?;
        r.add("start until ready", "s", server.ready_seconds);
        server.settle(def, Duration::from_secs(30)).await?;
        r.queries = query::run(def, &server, &queries, &facts, ask.warm).await?;
        r.add("peak RSS", "MiB", server.usage()?.peak_rss_mib);
        server.stop().await?;
        rounds.push(r);
    }
    finish(&place, &rounds, None)
}

/// Compares the answers, prints the table, writes the JSON.
fn finish(place: &Place, rounds: &[Round], facts: Option<&Facts>) -> Result<()> {
    let mut differences = Vec::new();
    for other in rounds.iter().filter(|r| r.round == 1).skip(1) {
        let pairs = rounds[0].queries.iter().zip(&other.queries);
        differences.extend(pairs.filter_map(|(a, b)| query::difference(&other.target, a, b)));
    }
    print!("{}", report::table(rounds, &differences));
    if let Some(file) = &place.json {
        let all = serde_json::json!({ "workload": facts, "rounds": rounds, "differences": differences });
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)?;
    }
    Ok(())
}

fn load_average() -> f64 {
    std::fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|t| t.split(' ').next()?.parse().ok())
        .unwrap_or(f64::NAN)
}

/// CPU-seconds all of the machine has been busy, or kept from us, since it started.
fn machine_cpu_seconds() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<f64> = text
        .lines()
        .next()
        .context("/proc/stat")?
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal
    Ok([0, 1, 2, 5, 6, 7].iter().filter_map(|&i| fields.get(i)).sum::<f64>() / 100.0)
}
