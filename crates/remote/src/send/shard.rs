//! The workers of a stream: each sends one batch at a time; their number follows the load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nave_model::time::Timestamp;
use tokio::task::JoinSet;

use super::batches::Mark;
use super::deliver::Fate;
use super::desired::{INTERVAL, Scaler};
use super::encode::Bodies;
use super::lane::{Claim, Taken};
use super::stream::Stream;

/// How far behind a gap counts as, so that its shards grow to at most four times their number at once.
const GAP_DELAY_MAX_SECONDS: f64 = 60.0;

/// Runs the workers until the lanes are closed and empty, or the hard stop.
pub(super) async fn run(stream: Arc<Stream>) {
    let mut workers = JoinSet::new();
    resize(&stream, &mut workers, stream.queue.min_shards);
    let mut scaler = Scaler::default();
    let mut at = stream.clock.monotonic();
    loop {
        tokio::select! {
            // A worker ends by itself when it is one too many, or when all is done.
            ended = workers.join_next() => match ended {
                None => break,
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(_) => {}
            },
            () = stream.clock.sleep(INTERVAL) => {
                let now = stream.clock.monotonic();
                let elapsed = now.saturating_sub(at);
                at = now;
                if let Some(shards) = look(&stream, &mut scaler, elapsed) {
                    resize(&stream, &mut workers, shards);
                }
            }
        }
    }
    let left = stream.shards_wanted.swap(0, Ordering::Relaxed);
    stream.metrics.shards.add(-(left as f64));
}

/// The number of shards to run, when it should change.
fn look(stream: &Stream, scaler: &mut Scaler, elapsed: Duration) -> Option<usize> {
    if stream.soft_stop.is_cancelled() {
        return None;
    }
    let (totals, last_sent) = {
        let flow = stream.flow.lock();
        (flow.totals, flow.last_sent)
    };
    let current = stream.shards_wanted.load(Ordering::Relaxed);
    let sent = Timestamp(stream.newest_sent_ms.load(Ordering::Relaxed));
    let delay = (stream.source.newest().seconds() - sent.seconds()).max(0.0);
    let delay = if sent.0 == 0 { 0.0 } else { delay };
    // A gap is as far behind as it is; how fast it may be filled is the pace's business.
    let delay = if stream.is_fresh() { delay } else { delay.min(GAP_DELAY_MAX_SECONDS) };
    let bounds = (stream.queue.min_shards, stream.shards_max);
    let desired = scaler.update(totals, elapsed, delay, current, bounds);
    if stream.is_fresh() {
        stream.metrics.shards_desired.set(desired.wanted);
    }
    // While nothing gets through, its slowness says nothing about how many shards are needed.
    let patience = Duration::from(stream.queue.batch_send_deadline) * 2;
    let silent = stream.clock.monotonic().saturating_sub(last_sent) > patience.max(INTERVAL);
    (!silent && desired.shards != current).then_some(desired.shards)
}

fn resize(stream: &Arc<Stream>, workers: &mut JoinSet<()>, shards: usize) {
    let before = stream.shards_wanted.swap(shards, Ordering::Relaxed);
    if before > 0 {
        let remote_name = &stream.name;
        tracing::info!(remote_name, from = before, to = shards, "remote_write: resharding");
    }
    stream.metrics.shards.add(shards as f64 - before as f64);
    stream.lanes.set_capacity(stream.queue.capacity.saturating_mul(shards));
    while stream.shards_running.load(Ordering::Relaxed) < shards {
        stream.shards_running.fetch_add(1, Ordering::Relaxed);
        workers.spawn(work(stream.clone()));
    }
}

/// Notes that the batch is on its way, where a receiver may refuse it for what it has seen of it.
async fn note(stream: &Arc<Stream>, claim: &Claim) -> Option<u64> {
    if claim.again.is_some() || !stream.is_fresh() || stream.transport.takes_late() {
        return claim.again;
    }
    let mark =
        |taken: &Taken| (taken.lane, Mark { end: stream.progress.end_of(taken.record), count: taken.count });
    let marks = claim.lanes.iter().map(mark).collect();
    let noting = stream.clone();
    on_disk(move || noting.batches.begin(marks)).await
}

/// `None` when the runtime ends.
async fn on_disk<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(act).await {
        Ok(done) => Some(done),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

async fn work(stream: Arc<Stream>) {
    let mut bodies = Bodies::default();
    // One too many takes itself off the count and ends; `left` remembers that it did.
    let left = AtomicBool::new(false);
    let surplus = || {
        let running =
            |count: usize| (count > stream.shards_wanted.load(Ordering::Relaxed)).then(|| count - 1);
        let gone = stream.shards_running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, running).is_ok();
        left.store(gone, Ordering::Relaxed);
        gone
    };
    loop {
        let claim = tokio::select! {
            claim = stream.lanes.claim(&surplus) => claim,
            () = stream.hard_stop.cancelled() => None,
        };
        let Some(mut claim) = claim else { break };
        let samples = std::mem::take(&mut claim.samples);
        let noted = note(&stream, &claim).await;
        if stream.deliver(samples, claim.again.is_some(), &mut bodies).await == Fate::Abandoned {
            break;
        }
        if let Some(number) = noted {
            let noting = stream.clone();
            on_disk(move || noting.batches.done(number)).await;
        }
        stream.lanes.release(&claim);
    }
    if !left.load(Ordering::Relaxed) {
        stream.shards_running.fetch_sub(1, Ordering::Relaxed);
    }
}
