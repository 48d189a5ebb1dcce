//! What servers are asked to do besides taking samples: flush, compact, write finished blocks.

use crate::layout::{self, Layout};
use crate::report::Round;
use crate::server::{Def, Server};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Longest wait for one such request.
const MAX: Duration = Duration::from_secs(1200);

async fn call(method: &str, url: &str) -> Result<u16> {
    let client = reqwest::Client::builder().timeout(MAX).build()?;
    let method = reqwest::Method::from_bytes(method.as_bytes())?;
    Ok(client.request(method, url).send().await.with_context(|| url.to_string())?.status().as_u16())
}

/// Makes what was written visible and puts it on disk, where the server has a request for that.
pub async fn flush(def: &Def) -> Result<()> {
    if let Some(url) = &def.flush_url {
        let status = call("GET", url).await?;
        anyhow::ensure!((200..300).contains(&status), "{url}: {status}");
    }
    Ok(())
}

/// Asks for a compaction of everything; false where the server has none to ask for.
pub async fn compact(def: &Def) -> Result<bool> {
    let Some(url) = &def.compact_url else { return Ok(false) };
    let status = call(&def.compact_method, url).await?;
    match status {
        200..=299 => Ok(true),
        404 | 405 | 501 => Ok(false),
        _ => anyhow::bail!("{url}: {status}"),
    }
}

/// Compacts what the server holds and adds what it takes then: `prefix` names the rows, `samples` and
/// `series` are what was stored.
pub async fn compacted(
    def: &Def,
    server: &Server,
    prefix: &str,
    (samples, series): (u64, usize),
    r: &mut Round,
) -> Result<Option<Layout>> {
    let (begun, cpu) = (Instant::now(), server.usage()?.cpu_seconds);
    let layout = if let (Some(url), Some(dir)) = (&def.snapshot_url, &def.snapshot_dir) {
        let status = call("POST", url).await?;
        anyhow::ensure!((200..300).contains(&status), "{url}: {status}");
        r.add(&format!("{prefix}compaction takes"), "s", begun.elapsed().as_secs_f64());
        let layout = layout::measure(def, dir.as_ref())?;
        std::fs::remove_dir_all(dir)?;
        layout
    } else if compact(def).await? {
        let mut took = begun.elapsed().as_secs_f64();
        if def.compact_background {
            let quiet = server.settle(def, Duration::from_secs(300)).await?;
            took = took.max(begun.elapsed().as_secs_f64() - quiet);
        }
        r.add(&format!("{prefix}compaction takes"), "s", took);
        layout::measure(def, &def.data())?
    } else {
        r.remarks.push(format!("{prefix}there is no compaction to ask for"));
        return Ok(None);
    };
    let per = |bytes: u64, n: f64| bytes as f64 / n;
    r.add(&format!("{prefix}compaction, CPU"), "CPU-s", server.usage()?.cpu_seconds - cpu);
    r.add(
        &format!("{prefix}compacted, with index, per sample"),
        "bytes",
        per(layout.finished(), samples as f64),
    );
    r.add(
        &format!("{prefix}compacted, numeric data per sample"),
        "bytes",
        per(layout.numeric, samples as f64),
    );
    r.add(&format!("{prefix}compacted, index per series"), "bytes", per(layout.index, series as f64));
    Ok(Some(layout))
}
