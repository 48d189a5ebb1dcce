//! Ingest of a load that was encoded before, queries, compaction, restart: the stages of one target.

use crate::query;
use crate::recovery::{self, Expected};
use crate::report::Round;
use crate::server::{self, Def, Server};
use crate::write::{self, Encoded, Facts};
use crate::{Ask, Load, Place, results, upkeep};
use anyhow::{Context, Result};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Ingest, and as asked queries and restart, for every target and round.
pub async fn run(load: Load, ask: Option<Ask>, restart: bool, mode: &str) -> Result<()> {
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
            let mut r = results::round(def, round);
            if let Err(e) = one(def, &encoded, &queries, warm, (load.compact, restart), &mut r).await {
                eprintln!("{}: {e:#}", def.name);
                r.remarks.push(format!("ended early: {e:#}"));
            }
            rounds.push(r);
        }
    }
    results::finish(&load.place, mode, Some(serde_json::to_value(facts)?), &rounds)
}

/// One target in one round.
async fn one(
    def: &Def,
    encoded: &Encoded,
    queries: &[query::Query],
    warm: usize,
    (compact, restart): (bool, bool),
    r: &mut Round,
) -> Result<()> {
    let (facts, max) = (&encoded.facts, Duration::from_secs(encoded.facts.send.max_seconds));
    let server = Server::start(def, true).await?;
    r.add("ready on an empty directory", "s", server.ready_seconds);

    let (before, machine) = (server.usage()?, results::machine_cpu_seconds()?);
    let sent = write::send(&encoded.main, &def.write_url, max).await?;
    let (after, machine) = (server.usage()?, results::machine_cpu_seconds()? - machine);
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

    upkeep::flush(def).await?;
    server.settle(def, Duration::from_secs(60)).await?;
    let settled = server.usage()?;
    r.add(
        "ingest and settling, CPU per million samples",
        "CPU-s",
        (settled.cpu_seconds - before.cpu_seconds) / millions,
    );
    r.add("RSS after settling", "MiB", settled.rss_mib);
    r.add("RSS after settling, anonymous", "MiB", settled.rss_anon_mib);
    let per_series = settled.rss_mib * 1_048_576.0 / facts.active_series as f64;
    r.add("RSS after settling, per active series", "bytes", per_series);
    r.add("written to storage", "MiB", settled.write_mib - before.write_mib);
    r.disk = server::disk_usage(&def.data());
    let disk = r.disk.iter().map(|d| d.1).sum::<u64>() as f64;
    r.add("disk after settling", "MiB", disk / 1_048_576.0);
    r.add("disk per sample", "bytes", disk / (sent.acked as f64));
    std::fs::write(def.dir().join("facts.json"), serde_json::to_vec_pretty(facts)?)?;

    if !queries.is_empty() {
        query::growth(def, &server, facts, r).await?;
        let before = server.usage()?;
        r.queries = query::run(def, &server, queries, facts, warm).await?;
        r.add("queries, CPU in all", "CPU-s", server.usage()?.cpu_seconds - before.cpu_seconds);
        r.add("peak RSS after queries", "MiB", server.usage()?.peak_rss_mib);
    }
    let client = query::Client::new(def)?;
    let begun = Instant::now();
    let stored = client.count(facts.oldest_ms, facts.end_ms).await?;
    r.add("count of all samples takes", "s", begun.elapsed().as_secs_f64());
    r.add("acknowledged samples not found", "samples", sent.acked as f64 - stored as f64);

    if compact {
        upkeep::compacted(def, &server, "", (sent.acked, facts.all_series), r).await?;
        r.add("disk after compaction", "MiB", server::disk_mib(&def.data()));
    }
    if !restart {
        return server.stop().await;
    }

    let tail = write::send(&encoded.tail, &def.write_url, max).await?;
    let before = server.usage()?;
    server.kill()?; // at once after the last acknowledgement
    r.add("tail sent in", "s", tail.wall_seconds);
    r.add("tail refused", "samples", tail.failed as f64);
    let targets = (facts.spec.churn == 0.0 && facts.spec.late_share == 0.0).then_some(facts.targets);
    let expected = Expected { newest_ms: tail.last_ts, at_ms: facts.tail_end_ms, targets };
    let server = recovery::recover(def, expected, &before, r).await?;
    let stored = client.count(facts.oldest_ms, facts.tail_end_ms).await?;
    r.add("samples acknowledged just before the kill", "samples", tail.acked as f64);
    r.add(
        "acknowledged samples lost by kill -9",
        "samples",
        (sent.acked + tail.acked) as f64 - stored as f64,
    );
    server.stop().await
}

/// Queries against servers that `ingest` filled.
pub async fn query_only(place: Place, ask: Ask) -> Result<()> {
    let queries = query::load(&ask.queries)?;
    let mut rounds = Vec::new();
    for def in &server::load(&place.targets_file, &place.work, &place.only, &[])? {
        let facts: Facts = serde_json::from_slice(
            &std::fs::read(def.dir().join("facts.json")).context("no facts.json: run `ingest` first")?,
        )?;
        let mut r = results::round(def, 1);
        let server = Server::start(def, false).await?;
        r.add("start until ready", "s", server.ready_seconds);
        server.settle(def, Duration::from_secs(30)).await?;
        query::growth(def, &server, &facts, &mut r).await?;
        r.queries = query::run(def, &server, &queries, &facts, ask.warm).await?;
        r.add("peak RSS", "MiB", server.usage()?.peak_rss_mib);
        server.stop().await?;
        rounds.push(r);
    }
    results::finish(&place, "query", None, &rounds)
}
