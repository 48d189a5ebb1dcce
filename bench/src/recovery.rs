//! After `kill -9`: when writes are taken, when answers are right, what memory it takes.

use crate::proto;
use crate::query::Client;
use crate::report::Round;
use crate::server::{Def, Server, Usage};
use crate::write::{self, Packer, Payload};
use anyhow::Result;
use std::time::Duration;

/// Longest wait for each of the three.
const MAX: Duration = Duration::from_secs(900);
/// How long the right answer may take once the server says that it is ready.
const ANSWER_MAX: Duration = Duration::from_secs(30);

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

async fn right(client: &Client<'_>, expected: Expected) -> bool {
    let newest = client.scalar("max(timestamp(up))", expected.at_ms).await.ok().flatten();
    if newest.is_none_or(|t| ((t * 1e3).round() as i64) < expected.newest_ms) {
        return false;
    }
    let Some(targets) = expected.targets else { return true };
    client.scalar("count(up)", expected.at_ms).await.ok().flatten() == Some(targets as f64)
}
