//! Fresh first: after an outage new samples go out at once, and what piled up drains beside them.
//!
//! ```text
//!            gap        gap                 next                end of the log
//!   ---------[====]-----[==========]---------|xxxxxxxxxxxxxxxxxxx|
//!    delivered  filled, the oldest first      the fresh stream
//! ```
//!
//! The fresh stream follows the end of the log. When it is late and the endpoint answers again, it is ended:
//! what it did not deliver becomes a gap, and a new one begins at the end of the log. One more stream fills the
//! gaps, the oldest first, at the [`super::pace::Pace`]. A second outage adds a gap, or makes the last one longer when
//! nothing came through between. What the ended stream had in memory is sent again, which an endpoint that
//! takes late samples answers like any other duplicate.
//!
//! Each stream keeps the order of its series. The gaps stand in the position file, so a restart goes on with all
//! of them. There are at most [`GAPS_MAX`]; then the fresh stream goes on in order until one is filled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nave_wal::Position;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::batches::Left;
use super::link::Link;
use super::series::SeriesRules;
use super::stream::{Part, Stream};
use super::{join, read, shard};
use crate::{Delivered, Gap, QueueConfig};

/// How often the fresh stream is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// A stream this late, or three times as late as a part batch may be, is not fresh any more.
const LATE: Duration = Duration::from_secs(15);
/// Fresh samples this late, or twice as late as a part batch may be, have the endpoint for themselves.
const HURRY: Duration = Duration::from_secs(10);
/// Gaps at once.
const GAPS_MAX: usize = 64;

/// In which order samples are sent after an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// As they came, as the specification of remote write demands.
    InOrder,
    /// New ones at once, the others beside them.
    FreshFirst,
}

/// How to catch up after an outage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CatchUpOptions {
    /// In which order; `None` is fresh first where the endpoint says that it takes late samples.
    pub order: Option<CatchUp>,
    /// Which part of all samples may be older ones while both are sent, more than 0 and less than 1. What piled
    /// up in an hour is gone after `(1 - share) / share` hours.
    pub share: f64,
}

impl Default for CatchUpOptions {
    fn default() -> Self {
        Self { order: None, share: 0.85 }
    }
}

impl CatchUpOptions {
    /// From which lateness on the backlog stands still.
    pub(super) fn hurry(&self, queue: &QueueConfig) -> Duration {
        HURRY.max(Duration::from(queue.batch_send_deadline) * 2)
    }

    fn late(queue: &QueueConfig) -> Duration {
        LATE.max(Duration::from(queue.batch_send_deadline) * 3)
    }
}

/// The streams of one endpoint.
#[derive(Debug)]
pub(super) struct Streams(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    fresh: Arc<Stream>,
    /// Oldest first; the first one is being filled.
    gaps: VecDeque<Gap>,
    filling: Option<Arc<Stream>>,
}

impl Streams {
    /// Goes on with what was delivered before, and with what was on its way.
    pub(super) fn new(link: &Arc<Link>, delivered: Delivered, left: Left) -> Self {
        let fresh = Arc::new(Stream::new(link.clone(), delivered.next, Part::Fresh));
        fresh.lanes.restore(left);
        Self(Mutex::new(Inner { fresh, gaps: delivered.gaps.into(), filling: None }))
    }

    /// What the endpoint has now.
    pub(super) fn delivered(&self) -> Delivered {
        let inner = self.0.lock();
        let mut gaps: Vec<Gap> = inner.gaps.iter().copied().collect();
        if let (Some(filling), Some(first)) = (&inner.filling, gaps.first_mut()) {
            first.from = filling.progress.position().clamp(first.from, first.to);
        }
        gaps.retain(|gap| gap.from < gap.to);
        Delivered { next: inner.fresh.progress.position(), gaps }
    }

    /// The newest timestamps that the fresh stream and the one that fills a gap have sent, in ms.
    pub(super) fn newest_sent_ms(&self) -> (i64, Option<i64>) {
        use std::sync::atomic::Ordering::Relaxed;
        let inner = self.0.lock();
        let of = |stream: &Arc<Stream>| stream.newest_sent_ms.load(Relaxed);
        (of(&inner.fresh), inner.filling.as_ref().map(of))
    }

    fn fresh(&self) -> Arc<Stream> {
        self.0.lock().fresh.clone()
    }

    /// Whether the fresh stream should leave what it has not delivered behind.
    fn is_late(&self, link: &Link) -> bool {
        let inner = self.0.lock();
        let wanted = match link.catch_up.order {
            Some(order) => order == CatchUp::FreshFirst,
            None => link.transport.takes_late(),
        };
        // A success after it became late: the endpoint is there again.
        let late = CatchUpOptions::late(&link.queue);
        let since = inner.fresh.late_since();
        wanted
            && inner.gaps.len() < GAPS_MAX
            && inner.fresh.late_for() > late
            && link.delivered_at() >= since + late
    }

    /// Leaves what the fresh stream, which has ended, did not deliver as a gap; the new fresh stream.
    fn leave_behind(&self, link: &Arc<Link>) -> Arc<Stream> {
        let end = *link.source.durable_end().borrow();
        let mut inner = self.0.lock();
        let gap = Gap { from: inner.fresh.progress.position(), to: end };
        match inner.gaps.back_mut() {
            Some(last) if last.to >= gap.from => last.to = end,
            _ => inner.gaps.push_back(gap),
        }
        inner.fresh = Arc::new(Stream::new(link.clone(), end, Part::Fresh));
        inner.fresh.clone()
    }

    /// A stream for the oldest gap.
    fn fill(&self, link: &Arc<Link>) -> Option<Arc<Stream>> {
        let mut inner = self.0.lock();
        let gap = *inner.gaps.front()?;
        let stream = Arc::new(Stream::new(link.clone(), gap.from, Part::Gap(gap.to)));
        inner.filling = Some(stream.clone());
        link.pace.begin();
        Some(stream)
    }

    /// The stream that filled a gap has ended. The gap may have grown meanwhile.
    fn filled(&self) {
        let mut inner = self.0.lock();
        let Some(stream) = inner.filling.take() else { return };
        let Some(first) = inner.gaps.front_mut() else { return };
        first.from = stream.progress.position().max(first.from);
        if first.from >= first.to {
            inner.gaps.pop_front();
        }
    }
}

/// A stream with its tasks.
struct Running {
    stream: Arc<Stream>,
    reader: JoinHandle<()>,
    shards: JoinHandle<()>,
}

impl Running {
    fn start(stream: Arc<Stream>, rules: &SeriesRules) -> Self {
        let cache = rules.cache(stream.lanes.count());
        let reader = tokio::spawn(read::run(stream.clone(), cache));
        let shards = tokio::spawn(shard::run(stream.clone()));
        Self { stream, reader, shards }
    }

    /// Resolves when everything is delivered that it has read, after which its reader has ended too.
    async fn ended(&mut self) {
        join(&mut self.shards).await;
    }

    /// Ends it at once.
    async fn abandon(mut self) {
        self.stream.soft_stop.cancel();
        self.stream.hard_stop.cancel();
        join(&mut self.reader).await;
        join(&mut self.shards).await;
        self.stream.forget_pending();
    }
}

/// Runs all streams of the endpoint until they have ended by the soft or the hard stop.
pub(super) async fn run(link: Arc<Link>, streams: Arc<Streams>, rules: SeriesRules) {
    let mut fresh = Running::start(streams.fresh(), &rules);
    let mut filling: Option<Running> = None;
    loop {
        if filling.is_none() && !link.soft_stop.is_cancelled() {
            filling = streams.fill(&link).map(|stream| Running::start(stream, &rules));
        }
        let filled = async {
            match &mut filling {
                Some(filling) => filling.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = fresh.ended() => break,
            () = filled => {
                filling = None;
                streams.filled();
                continue;
            }
            () = link.clock.sleep(INTERVAL) => {}
        }
        if streams.is_late(&link) && !link.soft_stop.is_cancelled() {
            fresh.abandon().await;
            let stream = streams.leave_behind(&link);
            let clearing = link.clone();
            // Their lanes are another stream's now.
            let _ = tokio::task::spawn_blocking(move || clearing.batches.clear()).await;
            log_left_behind(&link, &streams.delivered());
            fresh = Running::start(stream, &rules);
        }
    }
    if let Some(mut filling) = filling {
        filling.ended().await;
        streams.filled();
    }
}

fn log_left_behind(link: &Link, delivered: &Delivered) {
    link.metrics.left_behind.inc();
    let (remote_name, url, gaps) = (&link.name, &link.url, delivered.gaps.len());
    let Delivered { next: Position { segment, offset }, .. } = delivered;
    tracing::info!(
        remote_name,
        url,
        gaps,
        segment,
        offset,
        "remote_write: sending new samples first, what piled up follows beside them"
    );
}
