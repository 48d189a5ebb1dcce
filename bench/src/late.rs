//! Late samples beside the same amount in order: what they cost more.

use crate::report::Round;
use crate::server::{self, Def, Server};
use crate::write::{self, Encoded};
use crate::{Load, query, results, upkeep};
use anyhow::Result;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Measures every target with everything in order, then with `--late-share` (20 % unless given) late.
pub async fn run(mut load: Load) -> Result<()> {
    if load.spec.late_share <= 0.0 {
        load.spec.late_share = 0.2;
    }
    load.spec.tail_minutes = 0;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let mut defs = server::load(&load.place.targets_file, &load.place.work, &load.place.only, &[])?;
    for def in &mut defs {
        // For both runs, so that they differ by the order of the samples alone.
        def.files.extend(std::mem::take(&mut def.late_files));
    }
    let mut rounds: Vec<Round> = (1..=load.rounds)
        .flat_map(|round| defs.iter().map(move |def| results::round(def, round)).collect::<Vec<_>>())
        .collect();
    for share in [0.0, load.spec.late_share] {
        let mut spec = load.spec.clone();
        spec.late_share = share;
        let encoded = write::encode(&spec, &load.send, now)?;
        for (i, r) in rounds.iter_mut().enumerate() {
            let def = &defs[i % defs.len()];
            let prefix = if share > 0.0 { "late: " } else { "in order: " };
            eprintln!("{} round {}, {prefix}{} samples", def.name, r.round, encoded.facts.main_samples);
            if let Err(e) = one(def, &encoded, prefix, load.compact, r).await {
                eprintln!("{}: {e:#}", def.name);
                r.remarks.push(format!("{prefix}ended early: {e:#}"));
            }
        }
    }
    for r in &mut rounds {
        for name in [
            "ingest CPU per million samples",
            "CPU with settling per million samples",
            "CPU with compaction per million samples",
            "peak RSS",
            "RSS after settling",
        ] {
            let get = |prefix: &str| r.get(&format!("{prefix}{name}"));
            if let (Some(late), Some(ordered)) = (get("late: "), get("in order: ")) {
                r.add(&format!("late to in order: {name}"), "x", late / ordered);
            }
        }
    }
    let workload = serde_json::json!({ "spec": load.spec, "send": load.send });
    results::finish(&load.place, "late", Some(workload), &rounds)
}

async fn one(def: &Def, encoded: &Encoded, prefix: &str, compact: bool, r: &mut Round) -> Result<()> {
    let facts = &encoded.facts;
    let server = Server::start(def, true).await?;
    let before = server.usage()?;
    let sent =
        write::send(&encoded.main, &def.write_url, Duration::from_secs(facts.send.max_seconds)).await?;
    let after = server.usage()?;
    let millions = (sent.acked + sent.acked_stale) as f64 / 1e6;
    let mut add = |name: &str, unit: &str, value: f64| r.add(&format!("{prefix}{name}"), unit, value);
    add("ingest rate", "samples/s", millions * 1e6 / sent.wall_seconds);
    add("ingest CPU per million samples", "CPU-s", (after.cpu_seconds - before.cpu_seconds) / millions);
    add("ack p99", "ms", sent.ack_p99_ms);
    add("samples refused", "samples", sent.failed as f64);
    upkeep::flush(def).await?;
    server.settle(def, Duration::from_secs(60)).await?;
    let settled = server.usage()?;
    add(
        "CPU with settling per million samples",
        "CPU-s",
        (settled.cpu_seconds - before.cpu_seconds) / millions,
    );
    if compact && upkeep::compact(def).await? {
        if def.compact_background {
            server.settle(def, Duration::from_secs(300)).await?;
        }
        let cpu = server.usage()?.cpu_seconds - before.cpu_seconds;
        add("CPU with compaction per million samples", "CPU-s", cpu / millions);
    }
    add("peak RSS", "MiB", settled.peak_rss_mib);
    add("RSS after settling", "MiB", settled.rss_mib);
    add("disk", "MiB", server::disk_mib(&def.data()));
    let stored = query::Client::new(def)?.count(facts.oldest_ms, facts.tail_end_ms).await?;
    add("acknowledged samples not found", "samples", sent.acked as f64 - stored as f64);
    if let Some(e) = &sent.first_error {
        r.remarks.push(format!("{prefix}{} samples not taken; first answer: {e}", sent.failed));
    }
    server.stop().await
}
