//! One reader's way to the endpoint: from a place in the log over lanes and shards to the requests.
//!
//! An endpoint has one stream that follows the end of the log and, while it catches up, one more that fills
//! a gap. They share the [`Link`]: name, settings, connections and metrics.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize};
use std::time::Duration;

use nave_base::Shutdown;
use nave_wal::Position;
use parking_lot::Mutex;

use super::desired::Totals;
use super::lane::Lanes;
use super::link::Link;
use super::progress::Progress;
use crate::QueueConfig;
use crate::metric::Counts;

/// Lanes per shard that can ever run: enough that a batch rarely finds its lanes taken.
const LANES_PER_SHARD: usize = 8;

/// How many lanes a stream of these settings has.
pub(super) fn lane_count(queue: &QueueConfig) -> usize {
    queue.max_shards.saturating_mul(LANES_PER_SHARD).clamp(64, 4096)
}

/// Which part of the log a stream reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The newest, without an end.
    Fresh,
    /// A gap up to this place, at the pace that the fresh samples set.
    Gap(Position),
}

/// See the module. It derefs to what all streams of an endpoint share.
pub(super) struct Stream {
    pub(super) link: Arc<Link>,
    pub(super) part: Part,
    /// Where it began.
    pub(super) from: Position,
    pub(super) lanes: Lanes,
    pub(super) progress: Progress,
    pub(super) flow: Mutex<Flow>,
    /// Newest timestamp that was delivered or refused, in ms.
    pub(super) newest_sent_ms: AtomicI64,
    marks: Mutex<Marks>,
    /// Samples in memory, of each kind.
    pending: Mutex<Counts>,
    pub(super) shards_max: usize,
    /// Workers that should run, and that do.
    pub(super) shards_wanted: AtomicUsize,
    pub(super) shards_running: AtomicUsize,
    /// Stop reading; send what is in memory.
    pub(super) soft_stop: Shutdown,
    /// Stop everything.
    pub(super) hard_stop: Shutdown,
}

/// What the number of shards follows.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) totals: Totals,
    /// When a request last got through, on the monotonic clock.
    pub(super) last_sent: Duration,
}

/// A mark is set no more often, and when there are too many every other one goes.
const MARK_INTERVAL: Duration = Duration::from_secs(1);
const MARKS_MAX: usize = 64;

/// Where the log ended at times of the monotonic clock: so a place in it has an age without the timestamps of
/// samples, which come from anywhere. Marks of long ago are sparse: an age may come out too high there, never too
/// low.
#[derive(Debug)]
struct Marks(VecDeque<(Duration, Position)>);

impl Marks {
    fn new(now: Duration, end: Position) -> Self {
        Self(VecDeque::from([(now, end)]))
    }

    /// When the log ended at `position`, or a little earlier.
    fn time_of(&mut self, position: Position, now: Duration, end: Position) -> Duration {
        if position >= end {
            *self = Self::new(now, end);
        }
        while self.0.get(1).is_some_and(|(_, next)| *next <= position) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|(at, _)| now >= *at + MARK_INTERVAL) {
            if self.0.len() == MARKS_MAX {
                let mut drop = true;
                self.0.retain(|_| {
                    drop = !drop;
                    !drop
                });
            }
            self.0.push_back((now, end));
        }
        self.0.front().map_or(now, |(at, _)| *at)
    }
}

impl Stream {
    pub(super) fn new(link: Arc<Link>, from: Position, part: Part) -> Self {
        let queue = &link.queue;
        // What catches up comes on top of what an endpoint may take in memory and connections: by half.
        let shards_max = match part {
            Part::Fresh => queue.max_shards,
            Part::Gap(_) => (queue.max_shards / 2).max(queue.min_shards),
        };
        let deadline = queue.batch_send_deadline.into();
        Self {
            lanes: Lanes::new(lane_count(queue), queue.max_samples_per_send, deadline, link.clock.clone()),
            progress: Progress::new(from),
            from,
            part,
            flow: Mutex::new(Flow::default()),
            newest_sent_ms: AtomicI64::new(0),
            marks: Mutex::new(Marks::new(link.clock.monotonic(), *link.source.durable_end().borrow())),
            pending: Mutex::default(),
            shards_max,
            shards_wanted: AtomicUsize::new(0),
            shards_running: AtomicUsize::new(0),
            soft_stop: link.soft_stop.child_token(),
            hard_stop: link.hard_stop.child_token(),
            link,
        }
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.part == Part::Fresh
    }

    /// Where to stop reading for now, by the end of the log.
    pub(super) fn limit(&self, end: Position) -> Position {
        match self.part {
            Part::Fresh => end,
            Part::Gap(to) => to,
        }
    }

    /// When the log ended where everything is delivered, or a little earlier.
    pub(super) fn late_since(&self) -> Duration {
        let end = *self.source.durable_end().borrow();
        self.marks.lock().time_of(self.progress.position(), self.clock.monotonic(), end)
    }

    /// For how long that was.
    pub(super) fn late_for(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.late_since())
    }

    /// So many samples came into memory.
    pub(super) fn pending_more(&self, counts: Counts) {
        self.metrics.pending(counts, 1.0);
        let mut pending = self.pending.lock();
        pending.iter_mut().zip(counts).for_each(|(pending, count)| *pending += count);
    }

    /// So many samples left it.
    pub(super) fn pending_less(&self, counts: Counts) {
        self.metrics.pending(counts, -1.0);
        let mut pending = self.pending.lock();
        pending.iter_mut().zip(counts).for_each(|(pending, count)| *pending -= count);
    }

    /// What is in memory is forgotten: another stream will read it again.
    pub(super) fn forget_pending(&self) {
        let counts = std::mem::take(&mut *self.pending.lock());
        self.metrics.pending(counts, -1.0);
    }
}

impl Deref for Stream {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({} {:?} from {})", self.name, self.part, self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_log_have_an_age() {
        let at = |offset| Position { segment: 1, offset };
        let time = Duration::from_secs;
        let mut marks = Marks::new(time(0), at(0));
        // The log grows by one a second, and nothing is delivered after the fifth.
        for second in 1..=1000 {
            let position = at(second.min(5));
            let since = marks.time_of(position, time(second), at(second));
            assert_eq!(since, time(second.min(5)), "at {second}");
            assert!(marks.0.len() <= MARKS_MAX);
        }
        // Older marks are few; the age is never too small.
        let since = marks.time_of(at(500), time(1001), at(1001)).as_secs();
        assert!(since <= 500, "{since}");
        let since = marks.time_of(at(995), time(1001), at(1001)).as_secs();
        assert!((993..=995).contains(&since), "{since}");
        assert_eq!(marks.time_of(at(1001), time(1002), at(1001)), time(1002), "it has caught up");
    }
}
