//! The workers of an endpoint: each sends one batch at a time; their number follows the load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nave_model::time::Timestamp;
use tokio::task::JoinSet;

use super::deliver::Fate;
use super::desired::{INTERVAL, Scaler};
use super::encode::Bodies;
use super::link::Link;

/// Runs the workers until the lanes are closed and empty, or the hard stop.
pub(super) async fn run(link: Arc<Link>) {
    let mut workers = JoinSet::new();
    resize(&link, &mut workers, link.queue.min_shards);
    let mut scaler = Scaler::default();
    let mut at = link.clock.monotonic();
    loop {
        tokio::select! {
            // A worker ends by itself when it is one too many, or when all is done.
            ended = workers.join_next() => match ended {
                None => break,
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(_) => {}
            },
            () = link.clock.sleep(INTERVAL) => {
                let now = link.clock.monotonic();
                let elapsed = now.saturating_sub(at);
                at = now;
                if let Some(shards) = look(&link, &mut scaler, elapsed) {
                    resize(&link, &mut workers, shards);
                }
            }
        }
    }
    link.metrics.shards.set(0.0);
}

/// The number of shards to run, when it should change.
fn look(link: &Link, scaler: &mut Scaler, elapsed: Duration) -> Option<usize> {
    if link.soft_stop.is_cancelled() {
        return None;
    }
    let (totals, last_sent) = {
        let flow = link.flow.lock();
        (flow.totals, flow.last_sent)
    };
    let current = link.shards_wanted.load(Ordering::Relaxed);
    let sent = Timestamp(link.newest_sent_ms.load(Ordering::Relaxed));
    let delay = (link.source.newest().seconds() - sent.seconds()).max(0.0);
    let delay = if sent.0 == 0 { 0.0 } else { delay };
    let bounds = (link.queue.min_shards, link.queue.max_shards);
    let desired = scaler.update(totals, elapsed, delay, current, bounds);
    link.metrics.shards_desired.set(desired.wanted);
    // While nothing gets through, its slowness says nothing about how many shards are needed.
    let patience = Duration::from(link.queue.batch_send_deadline) * 2;
    let silent = link.clock.monotonic().saturating_sub(last_sent) > patience.max(INTERVAL);
    (!silent && desired.shards != current).then_some(desired.shards)
}

fn resize(link: &Arc<Link>, workers: &mut JoinSet<()>, shards: usize) {
    let before = link.shards_wanted.swap(shards, Ordering::Relaxed);
    if before > 0 {
        let remote_name = &link.name;
        tracing::info!(remote_name, from = before, to = shards, "remote_write: resharding");
    }
    link.metrics.shards.set(shards as f64);
    link.lanes.set_capacity(link.queue.capacity.saturating_mul(shards));
    while link.shards_running.load(Ordering::Relaxed) < shards {
        link.shards_running.fetch_add(1, Ordering::Relaxed);
        workers.spawn(work(link.clone()));
    }
}

async fn work(link: Arc<Link>) {
    let mut bodies = Bodies::default();
    // One too many takes itself off the count and ends; `left` remembers that it did.
    let left = AtomicBool::new(false);
    let surplus = || {
        let running = |count: usize| (count > link.shards_wanted.load(Ordering::Relaxed)).then(|| count - 1);
        let gone = link.shards_running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, running).is_ok();
        left.store(gone, Ordering::Relaxed);
        gone
    };
    loop {
        let claim = tokio::select! {
            claim = link.lanes.claim(&surplus) => claim,
            () = link.hard_stop.cancelled() => None,
        };
        let Some(mut claim) = claim else { break };
        let samples = std::mem::take(&mut claim.samples);
        if link.deliver(samples, &mut bodies).await == Fate::Abandoned {
            break;
        }
        link.lanes.release(&claim);
    }
    if !left.load(Ordering::Relaxed) {
        link.shards_running.fetch_sub(1, Ordering::Relaxed);
    }
}
