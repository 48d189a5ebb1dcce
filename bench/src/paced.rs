//! A given rate from many senders: how long acknowledgements take, while the server compacts too.

use crate::report::{Round, quantile};
use crate::server::{self, Def, Server};
use crate::stream::{self, Ack, Plan};
use crate::{Load, results, upkeep};
use anyhow::Result;
use serde::Serialize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How fast, and for how long.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Options {
    /// Samples per second; 0: `peak-share` of what the target takes at most, measured first.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    #[arg(long, default_value_t = 0.5)]
    pub peak_share: f64,
    /// Seconds for which the peak is measured.
    #[arg(long, default_value_t = 20)]
    pub peak_seconds: u64,
    /// Senders, each with a connection and targets of its own.
    #[arg(long, default_value_t = 50)]
    pub senders: usize,
    /// Measured time, seconds.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Ask for a compaction each time so many seconds have passed; 0: never.
    #[arg(long, default_value_t = 15)]
    pub compact_every: u64,
}

/// Measures every target.
pub async fn run(load: Load, o: Options) -> Result<()> {
    let mut rounds = Vec::new();
    for round in 1..=load.rounds {
        for def in &server::load(&load.place.targets_file, &load.place.work, &load.place.only, &[])? {
            eprintln!("{} round {round}", def.name);
            let mut r = results::round(def, round);
            if let Err(e) = one(def, &load, &o, &mut r).await {
                eprintln!("{}: {e:#}", def.name);
                r.remarks.push(format!("ended early: {e:#}"));
            }
            rounds.push(r);
        }
    }
    let workload = serde_json::json!({ "spec": load.spec, "send": load.send, "paced": o });
    results::finish(&load.place, "paced", Some(workload), &rounds)
}

/// A plan that ends now, of as many rounds as take `seconds` at `speedup`.
fn plan(load: &Load, connections: usize, speedup: f64, rounds: u32, seconds: u64) -> Result<Plan> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let interval = load.spec.interval_ms;
    Ok(Plan {
        spec: load.spec.clone(),
        connections,
        batch: load.send.batch,
        rounds,
        start_ms: now / interval * interval - i64::from(rounds) * interval,
        speedup,
        max: Duration::from_secs(seconds),
    })
}

async fn one(def: &Def, load: &Load, o: &Options, r: &mut Round) -> Result<()> {
    let mut rate = o.rate;
    if rate <= 0.0 {
        let peak = peak(def, load, o).await?;
        r.add("peak rate", "samples/s", peak);
        rate = peak * o.peak_share;
    }
    let server = Server::start(def, true).await?;
    let series = crate::live::live(&load.spec, 1).series as f64;
    let interval = load.spec.interval_ms as f64 / 1e3;
    let rounds = (rate * o.seconds as f64 / series).ceil().max(2.0) as u32;
    let (speedup, limit) = (rate * interval / series, o.seconds * 3 + 60);
    let plan = plan(load, o.senders, speedup, rounds, limit)?;
    let before = server.usage()?;
    let stream = stream::start(&plan, &def.write_url, 0)?;
    let progress = stream.progress.clone();
    let compactions = compact_while(def, o, &plan, &progress.done);
    let (ended, spans) = tokio::join!(stream.finish(), compactions);
    let (ended, usage) = (ended?, server.usage()?);
    let millions = progress.taken() as f64 / 1e6;
    r.add("rate asked for", "samples/s", rate);
    r.add("rate", "samples/s", millions * 1e6 / ended.wall_seconds);
    r.add("CPU per million samples", "CPU-s", (usage.cpu_seconds - before.cpu_seconds) / millions);
    let acks = progress.take_acks();
    // The first scrape makes all series; it is shown apart.
    let settled = acks.iter().map(|a| a.asked).min().map(|t| t + Duration::from_secs_f64(interval / speedup));
    let (new, old): (Vec<Ack>, Vec<Ack>) = acks.iter().partition(|a| settled.is_some_and(|s| a.asked < s));
    let during = |a: &&Ack| {
        spans.iter().any(|s| s.0 <= a.asked + Duration::from_secs_f64(a.ms / 1e3) && a.asked <= s.1)
    };
    add(r, "ack", &old);
    add(r, "first scrape, new series: ack", &new);
    if spans.is_empty() {
        r.remarks.push("no compaction was asked for".into());
    } else {
        add(r, "while it compacts: ack", &old.iter().filter(during).copied().collect::<Vec<_>>());
        r.add("compactions", "", spans.len() as f64);
        let seconds: f64 = spans.iter().map(|s| (s.1 - s.0).as_secs_f64()).sum();
        r.add("share of the time with a compaction", "%", seconds / ended.wall_seconds * 100.0);
    }
    let mut due: Vec<f64> = old.iter().map(|a| a.due_ms).collect();
    due.sort_by(f64::total_cmp);
    r.add("ack p99, from when it was due", "ms", quantile(&due, 0.99));
    r.add("retries", "requests", progress.retries.load(Relaxed) as f64);
    r.add("samples refused", "samples", progress.failed.load(Relaxed) as f64);
    r.add("peak RSS", "MiB", usage.peak_rss_mib);
    r.add("simulated time", "min", f64::from(rounds) * interval / 60.0);
    if let Some(e) = progress.first_error.lock().expect("lock").take() {
        r.remarks.push(format!("samples not taken; first answer: {e}"));
    }
    server.stop().await
}

fn add(r: &mut Round, what: &str, acks: &[Ack]) {
    let mut ms: Vec<f64> = acks.iter().map(|a| a.ms).collect();
    ms.sort_by(f64::total_cmp);
    for (name, q) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        r.add(&format!("{what} {name}"), "ms", if ms.is_empty() { f64::NAN } else { quantile(&ms, q) });
    }
}

/// The rate that the target takes on an empty directory, after its series are made.
async fn peak(def: &Def, load: &Load, o: &Options) -> Result<f64> {
    let server = Server::start(def, true).await?;
    let plan = plan(load, load.send.connections, 0.0, 4 * 3600, o.peak_seconds * 20)?;
    let stream = stream::start(&plan, &def.write_url, 0)?;
    let progress = stream.progress.clone();
    progress.done.reach(1).await;
    let (begun, taken) = (Instant::now(), progress.taken());
    tokio::time::sleep(Duration::from_secs(o.peak_seconds)).await;
    let rate = (progress.taken() - taken) as f64 / begun.elapsed().as_secs_f64();
    progress.abort.store(true, Relaxed);
    stream.finish().await?;
    server.stop().await?;
    Ok(rate)
}

/// Asks for compactions until all is sent; returns when each began and ended.
async fn compact_while(
    def: &Def,
    o: &Options,
    plan: &Plan,
    done: &stream::Slowest,
) -> Vec<(Instant, Instant)> {
    let mut spans = Vec::new();
    if o.compact_every == 0 || def.compact_url.is_none() {
        return spans;
    }
    let every = Duration::from_secs(o.compact_every);
    while tokio::time::timeout(every, done.reach(plan.rounds)).await.is_err() {
        let begun = Instant::now();
        if !upkeep::compact(def).await.unwrap_or(false) {
            break;
        }
        let least = if def.compact_background { LEAST } else { Duration::ZERO };
        spans.push((begun, Instant::now().max(begun + least)));
    }
    spans
}

/// A server that compacts in the background counts as compacting for this long.
const LEAST: Duration = Duration::from_secs(2);
