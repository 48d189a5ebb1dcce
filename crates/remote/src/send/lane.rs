//! Samples in memory between the log and the requests.
//!
//! A series belongs to one lane, by the hash of its labels. A worker takes lanes whole and nobody else
//! touches them until its request is through; so the order of every series is kept whatever the number of
//! workers, and that number can change at any moment without moving a series.
//!
//! Invariants: a lane is in `ready` exactly when it holds samples and no worker has it. `waiting` counts
//! samples in lanes, `ready_samples` those in ready lanes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nave_base::clock::SharedClock;
use nave_model::append::HistogramSample;
use nave_model::label::Labels;
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;
use nave_wal::Position;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::batches::{Left, Mark};
use crate::metric::{Counts, Kind};

/// Where samples of a series go, and under which labels.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) labels: Labels,
    pub(super) lane: u32,
}

/// What a series has at a time.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Float(f64),
    /// A float and since when it counts.
    Started(Box<(f64, Timestamp)>),
    Histogram(Arc<HistogramSample>),
    Exemplar(Arc<Exemplar>),
}

impl Value {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Float(_) | Self::Started(_) => Kind::Sample,
            Self::Histogram(_) => Kind::Histogram,
            Self::Exemplar(_) => Kind::Exemplar,
        }
    }
}

/// How many of `samples` there are of each kind.
pub(super) fn counts<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Counts {
    let mut counts = Counts::default();
    for sample in samples {
        counts[sample.value.kind() as usize] += 1;
    }
    counts
}

/// A float, histogram or exemplar on its way.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) target: Arc<Target>,
    /// The record it came from, for [`super::progress::Progress`].
    pub(super) record: u64,
    pub(super) timestamp: Timestamp,
    pub(super) value: Value,
}

/// What one request will carry. Its lanes stay taken until [`Lanes::release`].
#[derive(Debug, Default)]
pub(super) struct Claim {
    pub(super) lanes: Vec<Taken>,
    pub(super) samples: Vec<Sample>,
    /// The number under which the life before was sending it.
    pub(super) again: Option<u64>,
}

/// A lane of a claim, and where what was taken from it ends: with so many of its samples of this record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) lane: u32,
    pub(super) record: u64,
    pub(super) count: u32,
}

#[derive(Debug, Default)]
struct Lane {
    samples: VecDeque<Sample>,
    taken: bool,
    /// When the oldest sample came, or earlier.
    since: Duration,
    /// The record of the last sample that left, and how many of this record's samples have left.
    left: (u64, u32),
}

impl Lane {
    fn leave(&mut self, record: u64) {
        self.left = (record, if self.left.0 == record { self.left.1 + 1 } else { 1 });
    }
}

/// Forms the batches of the life before anew.
#[derive(Debug)]
struct Restoring {
    until: Position,
    done: HashMap<u32, Mark>,
    /// Per lane the place in `claims` and where it ends.
    open: HashMap<u32, (usize, Mark)>,
    claims: Vec<Claim>,
}

#[derive(Debug)]
struct Inner {
    lanes: Vec<Lane>,
    ready: VecDeque<u32>,
    waiting: usize,
    ready_samples: usize,
    capacity: usize,
    closed: bool,
    restoring: Option<Restoring>,
    /// Batches of the life before, whole again.
    formed: VecDeque<Claim>,
}

/// All lanes of an endpoint.
#[derive(Debug)]
pub(super) struct Lanes {
    inner: Mutex<Inner>,
    clock: SharedClock,
    batch_max: usize,
    deadline: Duration,
    /// Workers listen: there may be a batch, or one worker too many.
    changed: Notify,
    /// The reader listens: there may be room.
    room: Notify,
}

enum Look {
    Claimed(Claim),
    Closed,
    /// Nothing until something changes, or until this much time has passed.
    Wait(Option<Duration>),
}

impl Lanes {
    pub(super) fn new(count: usize, batch_max: usize, deadline: Duration, clock: SharedClock) -> Self {
        let inner = Inner {
            lanes: (0..count).map(|_| Lane::default()).collect(),
            ready: VecDeque::new(),
            waiting: 0,
            ready_samples: 0,
            capacity: 1,
            closed: false,
            restoring: None,
            formed: VecDeque::new(),
        };
        let (changed, room) = (Notify::new(), Notify::new());
        Self { inner: Mutex::new(inner), clock, batch_max, deadline, changed, room }
    }

    pub(super) fn count(&self) -> usize {
        self.inner.lock().lanes.len()
    }

    /// How many samples may wait in all lanes together.
    pub(super) fn set_capacity(&self, samples: usize) {
        self.inner.lock().capacity = samples.max(1);
        self.room.notify_one();
        self.wake_workers();
    }

    /// Makes every idle worker look again, also at whether it should end.
    pub(super) fn wake_workers(&self) {
        self.changed.notify_waiters();
    }

    /// Takes samples off the front of `samples` as long as there is room. `false` when some are left.
    pub(super) fn push(&self, samples: &mut VecDeque<Sample>) -> bool {
        let now = self.clock.monotonic();
        {
            let mut inner = self.inner.lock();
            let Inner { lanes, ready, waiting, ready_samples, capacity, restoring, .. } = &mut *inner;
            // The life before had room for what is read until its batches are whole.
            while (*waiting < *capacity || restoring.is_some())
                && let Some(sample) = samples.pop_front()
            {
                let number = sample.target.lane;
                let lane = &mut lanes[number as usize];
                if lane.samples.is_empty() {
                    lane.since = now;
                    if !lane.taken {
                        ready.push_back(number);
                    }
                }
                lane.samples.push_back(sample);
                *waiting += 1;
                *ready_samples += usize::from(!lane.taken);
            }
        }
        self.wake_workers();
        samples.is_empty()
    }

    /// Before anything is pushed: what the life before was sending is to be sent as it was.
    pub(super) fn restore(&self, left: Left) {
        let Some(until) = left.until() else { return };
        let mut inner = self.inner.lock();
        let (mut open, mut claims) = (HashMap::new(), Vec::new());
        for (number, marks) in left.open {
            let marks = marks.into_iter().filter(|(lane, _)| (*lane as usize) < inner.lanes.len());
            let mut claim = Claim { again: Some(number), ..Claim::default() };
            for (lane, mark) in marks.collect::<Vec<_>>() {
                inner.lanes[lane as usize].taken = true;
                open.insert(lane, (claims.len(), mark));
                claim.lanes.push(Taken { lane, record: 0, count: 0 });
            }
            claims.push(claim);
        }
        inner.restoring = Some(Restoring { until, done: left.done, open, claims });
    }

    /// Takes out of `samples`, which were read just now, what belongs to batches of the life before. Gives back
    /// those that were delivered. `end_of` knows where a record ends.
    pub(super) fn sift(
        &self,
        samples: &mut VecDeque<Sample>,
        end_of: impl Fn(u64) -> Position,
    ) -> Vec<Sample> {
        let mut inner = self.inner.lock();
        let Inner { lanes, restoring: Some(restoring), .. } = &mut *inner else { return Vec::new() };
        let mut delivered = Vec::new();
        let mut rest = VecDeque::new();
        for sample in samples.drain(..) {
            let number = sample.target.lane;
            let lane = &mut lanes[number as usize];
            let count = if lane.left.0 == sample.record { lane.left.1 } else { 0 };
            let at = Mark { end: end_of(sample.record), count };
            if restoring.done.get(&number).is_some_and(|done| at < *done) {
                lane.leave(sample.record);
                delivered.push(sample);
            } else if let Some((claim, _)) = restoring.open.get(&number).filter(|(_, end)| at < *end) {
                lane.leave(sample.record);
                restoring.claims[*claim].samples.push(sample);
            } else {
                rest.push_back(sample);
            }
        }
        *samples = rest;
        delivered
    }

    /// The log was read up to `position`: from the end of the last batch of the life before on, all are whole.
    pub(super) fn read_up_to(&self, position: Position) {
        let mut inner = self.inner.lock();
        if inner.restoring.as_ref().is_some_and(|restoring| position >= restoring.until) {
            let claims = inner.restoring.take().map(|restoring| restoring.claims).unwrap_or_default();
            inner.formed.extend(claims);
            drop(inner);
            self.wake_workers();
        }
    }

    /// Resolves when there may be room again. Only one task may wait.
    pub(super) async fn wait_for_room(&self) {
        self.room.notified().await;
    }

    /// The next batch: full, or as old as the deadline, or whatever there is when no more fits or comes.
    /// `None` when the worker should end: `surplus` says so, or the lanes are closed and empty.
    pub(super) async fn claim(&self, surplus: impl Fn() -> bool) -> Option<Claim> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if surplus() {
                return None;
            }
            match self.look() {
                Look::Claimed(claim) => {
                    self.room.notify_one();
                    return Some(claim);
                }
                Look::Closed => return None,
                Look::Wait(None) => changed.await,
                Look::Wait(Some(wait)) => tokio::select! {
                    () = changed => {}
                    () = self.clock.sleep(wait) => {}
                },
            }
        }
    }

    fn look(&self) -> Look {
        let mut inner = self.inner.lock();
        if let Some(claim) = inner.formed.pop_front() {
            return Look::Claimed(claim);
        }
        if inner.ready.is_empty() {
            return if inner.closed && inner.waiting == 0 { Look::Closed } else { Look::Wait(None) };
        }
        if inner.ready_samples < self.batch_max && !inner.closed && inner.waiting < inner.capacity {
            let oldest = inner.ready.iter().map(|lane| inner.lanes[*lane as usize].since).min();
            let due = oldest.unwrap_or_default() + self.deadline;
            let now = self.clock.monotonic();
            if now < due {
                return Look::Wait(Some(due - now));
            }
        }
        Look::Claimed(inner.claim(self.batch_max))
    }

    /// Gives the lanes of a claim back after its samples were delivered or dropped.
    pub(super) fn release(&self, claim: &Claim) {
        {
            let mut inner = self.inner.lock();
            let Inner { lanes, ready, ready_samples, .. } = &mut *inner;
            for Taken { lane: number, .. } in &claim.lanes {
                let lane = &mut lanes[*number as usize];
                lane.taken = false;
                if !lane.samples.is_empty() {
                    *ready_samples += lane.samples.len();
                    ready.push_back(*number);
                }
            }
        }
        self.room.notify_one();
        self.wake_workers();
    }

    /// No more samples come: part batches are given out at once.
    pub(super) fn close(&self) {
        self.inner.lock().closed = true;
        self.wake_workers();
    }
}

impl Inner {
    fn claim(&mut self, max: usize) -> Claim {
        let samples = Vec::with_capacity(self.ready_samples.min(max));
        let mut claim = Claim { samples, ..Claim::default() };
        while claim.samples.len() < max
            && let Some(number) = self.ready.pop_front()
        {
            let lane = &mut self.lanes[number as usize];
            lane.taken = true;
            self.ready_samples -= lane.samples.len();
            let count = lane.samples.len().min(max - claim.samples.len());
            let first = claim.samples.len();
            claim.samples.extend(lane.samples.drain(..count));
            claim.samples[first..].iter().for_each(|sample| lane.leave(sample.record));
            let (record, count_left) = lane.left;
            claim.lanes.push(Taken { lane: number, record, count: count_left });
            self.waiting -= count;
        }
        claim
    }
}

#[cfg(test)]
mod tests {
    use nave_base::clock::FakeClock;

    use super::*;

    fn samples(lane: u32, values: std::ops::Range<u32>) -> VecDeque<Sample> {
        let target = Arc::new(Target { labels: Labels::empty(), lane });
        values
            .map(|value| Sample {
                target: target.clone(),
                record: 0,
                timestamp: Timestamp(i64::from(value)),
                value: Value::Float(f64::from(value)),
            })
            .collect()
    }

    fn values(claim: &Claim) -> Vec<f64> {
        let float = |sample: &Sample| if let Value::Float(value) = sample.value { value } else { f64::NAN };
        claim.samples.iter().map(float).collect()
    }

    #[tokio::test]
    async fn a_lane_is_never_in_two_batches_at_once() {
        let clock = FakeClock::at(0);
        let lanes = Lanes::new(4, 3, Duration::from_secs(5), clock.clone());
        lanes.set_capacity(100);
        assert!(lanes.push(&mut samples(1, 0..5)));
        let first = lanes.claim(|| false).await.unwrap();
        assert_eq!(values(&first), [0.0, 1.0, 2.0]);
        assert!(lanes.push(&mut samples(2, 10..13)));
        let other = lanes.claim(|| false).await.unwrap();
        assert_eq!(values(&other), [10.0, 11.0, 12.0], "lane 1 is taken");
        assert!(matches!(lanes.look(), Look::Wait(None)), "what is left belongs to a taken lane");
        lanes.release(&first);
        clock.advance(Duration::from_secs(5));
        assert_eq!(values(&lanes.claim(|| false).await.unwrap()), [3.0, 4.0]);
    }

    #[tokio::test]
    async fn part_batches_wait_for_the_deadline_and_full_lanes_do_not() {
        let clock = FakeClock::at(0);
        let lanes = Lanes::new(4, 10, Duration::from_secs(5), clock.clone());
        lanes.set_capacity(3);
        assert!(lanes.push(&mut samples(0, 0..2)));
        clock.advance(Duration::from_secs(2));
        assert!(matches!(lanes.look(), Look::Wait(Some(wait)) if wait == Duration::from_secs(3)));
        let mut more = samples(1, 5..8);
        assert!(!lanes.push(&mut more), "room for one more only");
        assert_eq!(more.len(), 2);
        assert_eq!(lanes.claim(|| false).await.unwrap().samples.len(), 3, "no room: do not wait");
        assert!(lanes.push(&mut more));
        assert!(lanes.claim(|| true).await.is_none(), "a surplus worker ends");
        lanes.close();
        assert!(matches!(lanes.look(), Look::Wait(None)), "lanes 0 and 1 are taken");
    }
}
