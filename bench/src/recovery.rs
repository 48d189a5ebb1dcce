//! After `kill -9`: when writes are taken, when answers are right, what memory it takes.

use crate::query::Client;
use crate::report::Round;
use crate::server::{self, Def, Server, Usage};
use crate::stream::{self, Plan};
use crate::write::{self, Packer, Payload};
use crate::{Load, proto, results};
use anyhow::Result;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest wait for each of the three.
const MAX: Duration = Duration::from_secs(900);
/// How long the right answer may take once the server says that it is ready.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// What the right answer is.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Time of the newest acknowledged sample of an `up`, Unix milliseconds; asked at `at_ms`.
    pub newest_ms: i64,
    pub at_ms: i64,
    /// Targets that have an `up` then; `None` where that is not known.
    pub targets: Option<usize>,
}

/// One sample of a series that counts leave out, for asking whether writes are taken.
pub fn probe(ts: i64) -> Payload {
    let mut packer = Packer::new(1);
    let labels = proto::encode_labels(&[("__name__", "fleetbench_probe")]);
    packer.put(&labels, 1.0, ts).expect("a request of one sample")
}

/// Starts a killed server again and adds what that took; `before` is what it used before.
pub async fn recover(def: &Def, expected: Expected, before: &Usage, r: &mut Round) -> Result<Server> {
    let mut server = Server::spawn(def, false)?;
    let (started, pid, probe) = (server.started, server.pid.clone(), probe(expected.at_ms));
    let (client, connection) = (Client::new(def)?, write::connection()?);
    let writable = async {
        while started.elapsed() < MAX {
            if write::post(&connection, &def.write_url, &probe)
                .await
                .is_ok_and(|(s, _)| (200..300).contains(&s))
            {
                return started.elapsed().as_secs_f64();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        f64::NAN
    };
    let ready = std::cell::Cell::new(None);
    let answered = async {
        while ready.get().is_none_or(|at: std::time::Instant| at.elapsed() < ANSWER_MAX)
            && started.elapsed() < MAX
        {
            if right(&client, expected).await {
                return started.elapsed().as_secs_f64();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        f64::NAN
    };
    let readied = async {
        let result = server.ready(def).await;
        ready.set(Some(std::time::Instant::now()));
        result.map(|()| crate::server::cpu_seconds(&pid).unwrap_or(f64::NAN))
    };
    let (cpu, write, answer) = tokio::join!(readied, writable, answered);
    r.add("restart until ready", "s", server.ready_seconds);
    r.add("restart, CPU until ready", "CPU-s", cpu?);
    r.add("restart until a write is taken", "s", write);
    r.add("restart until the first right answer", "s", answer);
    if answer.is_nan() {
        r.remarks.push("the last acknowledged sample was not found after the restart".into());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = server.usage()?;
    r.add("peak RSS before the kill", "MiB", before.peak_rss_mib);
    r.add("peak RSS while recovering", "MiB", after.peak_rss_mib);
    r.add("peak RSS while recovering, to before", "x", after.peak_rss_mib / before.peak_rss_mib);
    Ok(server)
}

/// As `restart`, but the kill comes while every connection is sending, after three quarters of the load.
pub async fn run_under_load(load: Load) -> Result<()> {
    let mut rounds = Vec::new();
    for round in 1..=load.rounds {
        for def in &server::load(&load.place.targets_file, &load.place.work, &load.place.only, &[])? {
            eprintln!("{} round {round}", def.name);
            let mut r = results::round(def, round);
            if let Err(e) = under_load(def, &load, &mut r).await {
                eprintln!("{}: {e:#}", def.name);
                r.remarks.push(format!("ended early: {e:#}"));
            }
            rounds.push(r);
        }
    }
    let workload = serde_json::json!({ "spec": load.spec, "send": load.send });
    results::finish(&load.place, "restart-under-load", Some(workload), &rounds)
}

async fn under_load(def: &Def, load: &Load, r: &mut Round) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let rounds = load.spec.rounds();
    let plan = Plan {
        spec: load.spec.clone(),
        connections: load.send.connections,
        batch: load.send.batch,
        rounds,
        start_ms: now / 60_000 * 60_000 - i64::from(rounds) * load.spec.interval_ms,
        speedup: 0.0,
        max: Duration::from_secs(load.send.max_seconds),
    };
    let server = Server::start(def, true).await?;
    let stream = stream::start(&plan, &def.write_url, 0)?;
    let (progress, targets) = (stream.progress.clone(), stream.targets);
    progress.done.reach((rounds * 3 / 4).max(1)).await;
    let (before, done) = (server.usage()?, progress.done.get());
    progress.abort.store(true, Relaxed); // so that no request is tried again before the kill
    server.kill()?;
    let ended = stream.finish().await?;
    let acked = progress.acked.load(Relaxed);
    let expected = Expected {
        newest_ms: plan.time_of(done - 1),
        // A little later than the last round sent, so that what was in flight does not matter.
        at_ms: plan.time_of(done + 2),
        targets: (load.spec.churn == 0.0).then_some(targets),
    };
    let server = recover(def, expected, &before, r).await?;
    // A sender sends again what was not acknowledged; after that, everything is there exactly once.
    let (connection, mut again) = (write::connection()?, 0);
    for payload in &ended.in_flight {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        let sent =
            write::send_one(&connection, &def.write_url, payload, deadline, &false.into(), &mut 0).await;
        sent.map_err(|e| anyhow::anyhow!("sending again: {e}"))?;
        again += u64::from(payload.samples);
    }
    crate::upkeep::flush(def).await?;
    let stored = Client::new(def)?.count(plan.start_ms, plan.time_of(rounds)).await?;
    r.add("samples acknowledged before the kill", "samples", acked as f64);
    r.add("samples in flight, sent again", "samples", again as f64);
    r.add("samples lost by kill -9 (below 0: doubled)", "samples", (acked + again) as f64 - stored as f64);
    server.stop().await
}

async fn right(client: &Client<'_>, expected: Expected) -> bool {
    let newest = client.scalar("max(timestamp(up))", expected.at_ms).await.ok().flatten();
    if newest.is_none_or(|t| ((t * 1e3).round() as i64) < expected.newest_ms) {
        return false;
    }
    let Some(targets) = expected.targets else { return true };
    client.scalar("count(up)", expected.at_ms).await.ok().flatten() == Some(targets as f64)
}
