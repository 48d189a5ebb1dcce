//! Hours of simulated time: pods come and go, dashboards and rules ask, and everything that could grow is
//! written down over time. Plots are `plot.rs`.
//!
//! Time is that of the data: a day takes as long as the target needs for it, unless `--speedup` sets a pace.
//! Dashboards and rules ask when the data has come to their minute, and senders do not run ahead of them by
//! more than two minutes, so that every target is asked the same of the same data.

use crate::query::{self, Client, Query};
use crate::report::{Round, quantile};
use crate::server::{self, Def, Server};
use crate::stream::{self, Plan, Progress};
use crate::timetable::Table;
use crate::{Load, layout, results};
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long, who asks, and where the figures over time go.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Options {
    /// Simulated seconds per second; 0: as fast as the target takes it.
    #[arg(long, default_value_t = 0.0)]
    pub speedup: f64,
    /// Dashboards: a queries file.
    #[arg(long, default_value = "queries/dashboards.toml")]
    #[serde(skip)]
    pub queries: PathBuf,
    /// Simulated minutes between two times that all dashboards are asked; 0: never.
    #[arg(long, default_value_t = 10)]
    pub dashboard_minutes: u32,
    /// Leave out dashboards that look back further than this, minutes: how long they take follows from how
    /// much data there is by then.
    #[arg(long, default_value_t = 60)]
    pub range_minutes_max: u32,
    /// Rules: a queries file.
    #[arg(long, default_value = "queries/rules.toml")]
    #[serde(skip)]
    pub rules: PathBuf,
    /// Simulated minutes between two evaluations of all rules; 0: never.
    #[arg(long, default_value_t = 1)]
    pub rule_minutes: u32,
    /// Simulated minutes between two lines of the table over time.
    #[arg(long, default_value_t = 5)]
    pub sample_minutes: u32,
    /// Folder for one table over time for each target; the folder of --work unless given.
    #[arg(long)]
    #[serde(skip)]
    pub csv: Option<PathBuf>,
    /// Do not count all samples at the end.
    #[arg(long)]
    pub no_count: bool,
}

/// Senders run ahead of dashboards and rules by this many simulated minutes at most.
const AHEAD_MINUTES: u32 = 2;

/// Measures every target.
pub async fn run(load: Load, o: Options) -> Result<()> {
    let (mut dashboards, rules) = (query::load(&o.queries)?, query::load(&o.rules)?);
    dashboards.retain(|q| q.range_seconds() <= f64::from(o.range_minutes_max) * 60.0);
    let folder = o.csv.clone().unwrap_or_else(|| load.place.work.clone());
    std::fs::create_dir_all(&folder)?;
    let mut rounds = Vec::new();
    for round in 1..=load.rounds {
        for def in &server::load(&load.place.targets_file, &load.place.work, &load.place.only, &[])? {
            eprintln!("{} round {round}", def.name);
            let mut r = results::round(def, round);
            let suffix = if round > 1 { format!("-{round}") } else { String::new() };
            let csv = folder.join(format!("soak-{}{suffix}.csv", def.name));
            if let Err(e) = one(def, &load, &o, (&dashboards, &rules), &csv, &mut r).await {
                eprintln!("{}: {e:#}", def.name);
                r.remarks.push(format!("ended early: {e:#}"));
            }
            rounds.push(r);
        }
    }
    let workload = serde_json::json!({ "spec": load.spec, "send": load.send, "soak": o, "rules": rules.len(), "dashboards": dashboards.len() });
    results::finish(&load.place, "soak", Some(workload), &rounds)
}

/// What the readers of one kind have measured since it was last taken.
#[derive(Default)]
struct Asked {
    ms: Mutex<Vec<f64>>,
    /// Answers in all, and those without any series: right for an alert that does not fire, and what a server
    /// says that does not show fresh samples yet.
    answers: AtomicU64,
    empty: AtomicU64,
    errors: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl Asked {
    fn take(&self) -> Vec<f64> {
        let mut ms = std::mem::take(&mut *self.ms.lock().expect("lock"));
        ms.sort_by(f64::total_cmp);
        ms
    }
}

/// Asks all queries each time the data has come `every` minutes further.
async fn ask(
    client: &Client<'_>,
    queries: &[Query],
    every: u32,
    reader: usize,
    plan: &Plan,
    progress: &Progress,
    asked: &Asked,
) -> Result<()> {
    let step = plan.spec.rounds_of(every).max(1);
    let ahead = plan.spec.rounds_of(AHEAD_MINUTES).max(1);
    let mut next = step;
    progress.allowed.set(reader, next + ahead);
    while next <= plan.rounds {
        progress.done.reach(next).await;
        if progress.abort.load(Relaxed) {
            break;
        }
        for query in queries {
            let (api, args) = query.request(plan.start_ms, plan.time_of(next))?;
            let begun = Instant::now();
            match client.ask(api, &args).await {
                Ok(body) => {
                    asked.ms.lock().expect("lock").push(begun.elapsed().as_secs_f64() * 1e3);
                    asked.answers.fetch_add(1, Relaxed);
                    let empty = !body.windows(10).take(200).any(|w| w == b"\"metric\":{");
                    asked.empty.fetch_add(u64::from(empty && query.api.is_none()), Relaxed);
                }
                Err(e) => {
                    asked.errors.fetch_add(1, Relaxed);
                    asked.first_error.lock().expect("lock").get_or_insert(format!("{}: {e:#}", query.name));
                }
            }
        }
        next += step;
        progress.allowed.set(reader, next + ahead);
    }
    progress.allowed.set(reader, u32::MAX);
    Ok(())
}

/// Reads the memory often enough to see its peaks; ends the run when the process has ended.
struct Peak {
    pid: String,
    largest: Mutex<f64>,
}

impl Peak {
    async fn watch(&self, progress: &Progress, rounds: u32) {
        let every = Duration::from_millis(250);
        while tokio::time::timeout(every, progress.done.reach(rounds)).await.is_err() {
            let rss = server::rss_mib(&self.pid);
            if rss == 0.0 {
                progress.abort.store(true, Relaxed);
            }
            let mut largest = self.largest.lock().expect("lock");
            *largest = largest.max(rss);
        }
    }
}

async fn one(
    def: &Def,
    load: &Load,
    o: &Options,
    (dashboards, rules): (&[Query], &[Query]),
    csv: &std::path::Path,
    r: &mut Round,
) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let (interval, rounds) = (load.spec.interval_ms, load.spec.rounds());
    let plan = Plan {
        spec: load.spec.clone(),
        connections: load.send.connections,
        batch: load.send.batch,
        rounds,
        // Whole minutes, so that everything can be counted.
        start_ms: now / 60_000 * 60_000 - i64::from(rounds) * interval,
        speedup: o.speedup,
        max: Duration::from_secs(load.send.max_seconds),
    };
    let server = Server::start(def, true).await?;
    let readers = [(dashboards, o.dashboard_minutes), (rules, o.rule_minutes)];
    let before = server.usage()?;
    let stream = stream::start(&plan, &def.write_url, readers.len())?;
    let progress = stream.progress.clone();
    r.add("series at any one time", "series", stream.series as f64);
    let client = Client::new(def)?;
    let asked = [Asked::default(), Asked::default()];
    let peak = Peak { pid: server.pid.clone(), largest: Mutex::new(0.0) };
    let mut table = Table::default();
    let asking = async {
        let of = |i: usize| {
            let (queries, every) = readers[i];
            let queries = if every == 0 { &[] } else { queries };
            ask(&client, queries, every.max(1), i, &plan, &progress, &asked[i])
        };
        tokio::try_join!(of(0), of(1)).map(|_| ())
    };
    let sampling = sample(def, &server, &plan, o, &progress, &asked, &peak, &mut table, csv);
    let (ended, answered, sampled, ()) =
        tokio::join!(stream.finish(), asking, sampling, peak.watch(&progress, rounds));
    let (ended, ()) = (ended?, answered.and(sampled)?);
    anyhow::ensure!(server::rss_mib(&server.pid) > 0.0, "the server ended; see {}/log", def.dir().display());
    let after = server.usage()?;
    let millions = progress.taken() as f64 / 1e6;
    r.add("wall", "s", ended.wall_seconds);
    r.add("samples", "", progress.acked.load(Relaxed) as f64);
    r.add("samples refused", "samples", progress.failed.load(Relaxed) as f64);
    r.add("retries", "requests", progress.retries.load(Relaxed) as f64);
    r.add(
        "CPU per million samples, readers included",
        "CPU-s",
        (after.cpu_seconds - before.cpu_seconds) / millions,
    );
    r.add("sender's CPU per million samples", "CPU-s", ended.sender_cpu_seconds / millions);
    r.add("peak RSS", "MiB", after.peak_rss_mib);
    table.summarise(f64::from(load.spec.minutes) / 60.0, r);
    r.add(
        "disk per sample",
        "bytes",
        server::disk_mib(&def.data()) * 1_048_576.0 / progress.acked.load(Relaxed) as f64,
    );
    let sum = |f: fn(&Asked) -> &AtomicU64| asked.iter().map(|a| f(a).load(Relaxed)).sum::<u64>();
    let (errors, empty) = (sum(|a| &a.errors), sum(|a| &a.empty));
    r.add("queries answered", "queries", sum(|a| &a.answers) as f64);
    r.add("answers without any series", "%", empty as f64 / sum(|a| &a.answers) as f64 * 100.0);
    r.add("queries that failed", "queries", errors as f64);
    let refused = progress.first_error.lock().expect("lock").take();
    let failed = asked.iter().filter_map(|a| a.first_error.lock().expect("lock").take());
    r.remarks
        .extend(refused.map(|e| format!("samples not taken; first answer: {e}")).into_iter().chain(failed));
    if !o.no_count {
        crate::upkeep::flush(def).await?;
        let stored = client.count(plan.start_ms, plan.time_of(rounds)).await?;
        r.add(
            "acknowledged samples not found",
            "samples",
            progress.acked.load(Relaxed) as f64 - stored as f64,
        );
    }
    server.stop().await
}

/// Writes one line of the table each time the data has come `sample_minutes` further.
#[allow(clippy::too_many_arguments, reason = "one line of the table is made of all of them")]
async fn sample(
    def: &Def,
    server: &Server,
    plan: &Plan,
    o: &Options,
    progress: &Progress,
    asked: &[Asked; 2],
    peak: &Peak,
    table: &mut Table,
    csv: &std::path::Path,
) -> Result<()> {
    let step = plan.spec.rounds_of(o.sample_minutes.max(1)).max(1);
    let begun = Instant::now();
    let (mut last, mut taken, mut cpu) = (begun, 0, server.usage()?.cpu_seconds);
    let first_cpu = cpu;
    let hours = |rounds: u32| f64::from(rounds) * plan.spec.interval_ms as f64 / 3.6e6;
    for next in (step..=plan.rounds).step_by(step as usize) {
        progress.done.reach(next).await;
        if progress.abort.load(Relaxed) {
            break;
        }
        let (usage, seconds) = (server.usage()?, last.elapsed().as_secs_f64());
        let data = def.data();
        // Off this thread, so that walking the folder does not show as latency.
        let (disk, files) =
            tokio::task::spawn_blocking(move || (server::disk_mib(&data), layout::files(&data).len()))
                .await?;
        let mut acks: Vec<f64> = progress.take_acks().iter().map(|a| a.ms).collect();
        acks.sort_by(f64::total_cmp);
        let [dashboards, rules] = [0, 1].map(|i| asked[i].take());
        let q = |v: &[f64], q: f64| if v.is_empty() { f64::NAN } else { quantile(v, q) };
        let now = progress.taken();
        let largest = std::mem::replace(&mut *peak.largest.lock().expect("lock"), 0.0).max(usage.rss_mib);
        let fds = server::fds(&server.pid) as f64;
        let cores = (usage.cpu_seconds - cpu) / seconds;
        let errors = asked.iter().map(|a| a.errors.load(Relaxed)).sum::<u64>();
        #[rustfmt::skip]
        table.push(&[
            hours(next), begun.elapsed().as_secs_f64(), now as f64, (now - taken) as f64 / seconds, usage.cpu_seconds - first_cpu, cores,
            (usage.cpu_seconds - cpu) * 1e6 / (now - taken).max(1) as f64,
            usage.rss_mib, usage.rss_anon_mib, largest, disk, usage.write_mib, files as f64, fds,
            q(&acks, 0.5), q(&acks, 0.99), q(&acks, 1.0), q(&dashboards, 0.5), q(&dashboards, 0.99), q(&rules, 0.5), q(&rules, 0.99),
            errors as f64,
        ]);
        (last, taken, cpu) = (Instant::now(), now, usage.cpu_seconds);
        table.write(csv)?;
        if table.rows().is_multiple_of(12) {
            eprintln!(
                "  {:.1} h: {:.0} s, RSS {:.0} MiB, disk {disk:.0} MiB, {files} files",
                hours(next),
                begun.elapsed().as_secs_f64(),
                usage.rss_mib
            );
        }
    }
    Ok(())
}
