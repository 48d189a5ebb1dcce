//! Which segments go: those that every endpoint has, and the oldest when bytes or age pass their bound.
//!
//! Lost samples are counted and named by their time range, once per interval.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nave_base::clock::SharedClock;
use nave_base::disk::SharedDisk;
use nave_model::time::{TimeRange, Timestamp};
use nave_wal::{Log, Position, Reader, Record, SegmentInfo};

use super::metric::QueueMetrics;
use super::position::Positions;
use super::tail::QueueTail;
use super::{QueueOptions, record};
use crate::{Delivered, Error, Metrics, Piece, Step, Tail as _};

/// Losses are logged no more often.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Samples that are gone.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Lost {
    samples: usize,
    range: TimeRange,
}

#[derive(Debug)]
pub(super) struct Retention {
    options: QueueOptions,
    disk: SharedDisk,
    clock: SharedClock,
    positions: Arc<Positions>,
    metrics: Arc<QueueMetrics>,
    shared: Arc<Metrics>,
    /// When each segment was begun.
    begun_ms: BTreeMap<u64, i64>,
    lost: Option<Lost>,
    logged_at: Option<Duration>,
}

impl Retention {
    pub(super) fn new(
        options: QueueOptions,
        disk: SharedDisk,
        clock: SharedClock,
        positions: Arc<Positions>,
        metrics: Arc<QueueMetrics>,
        shared: Arc<Metrics>,
        log: &Log,
    ) -> Self {
        let mut retention = Self {
            options,
            disk,
            clock,
            positions,
            metrics,
            shared,
            begun_ms: BTreeMap::new(),
            lost: None,
            logged_at: None,
        };
        for SegmentInfo { number, .. } in log.segments() {
            if let Some(begun_ms) = retention.read_begin(number) {
                retention.begun_ms.insert(number, begun_ms);
            }
        }
        retention
    }

    fn read_begin(&self, segment: u64) -> Option<i64> {
        let mut reader = Reader::at(self.disk.clone(), &self.options.dir, Position::start_of(segment));
        let mut found = Record::default();
        let next = reader.next(&mut found).ok()?;
        let here = next == nave_wal::Next::Record && found.position.segment == segment;
        (here && found.kind == record::BEGIN).then(|| record::read_begin(&found.payload).ok())?
    }

    /// A segment begins now.
    pub(super) fn segment_begun(&mut self, segment: u64, now_ms: i64) {
        self.begun_ms.insert(segment, now_ms);
    }

    /// Removes what may and what must go.
    pub(super) fn enforce(&mut self, log: &mut Log) {
        let segments = log.segments();
        let delivered = self.positions.slowest().map_or(0, |slowest| slowest.segment);
        let keep_from = self.bounded(&segments, delivered);
        let last = segments.last().map_or(0, |last| last.number);
        let keep_from = keep_from.max(delivered).min(last);
        self.remove_before(log, &segments, keep_from);
        self.log_loss();
    }

    /// Makes room on a full disk: removes the oldest segment; `false` when there is only one.
    pub(super) fn make_room(&mut self, log: &mut Log) -> bool {
        let segments = log.segments();
        let [_, second, ..] = segments[..] else { return false };
        self.remove_before(log, &segments, second.number);
        true
    }

    /// The first segment that both bounds let stay.
    fn bounded(&self, segments: &[SegmentInfo], delivered: u64) -> u64 {
        let left = segments.iter().filter(|segment| segment.number >= delivered);
        let mut bytes: u64 = left.clone().map(|segment| segment.bytes).sum();
        let oldest_ms = self
            .clock
            .now_ms()
            .saturating_sub(i64::try_from(self.options.retention_max.as_millis()).unwrap_or(i64::MAX));
        let mut keep_from = delivered;
        for (segment, next) in left.clone().zip(left.skip(1)) {
            // A segment is as young as the moment when the next one was begun.
            let too_old = self.begun_ms.get(&next.number).is_some_and(|ended_ms| *ended_ms < oldest_ms);
            if bytes <= self.options.bytes_max && !too_old {
                break;
            }
            bytes -= segment.bytes;
            keep_from = next.number;
        }
        keep_from
    }

    fn remove_before(&mut self, log: &mut Log, segments: &[SegmentInfo], keep_from: u64) {
        let began = self.clock.monotonic();
        let going = segments.iter().filter(|segment| segment.number < keep_from);
        let going: Vec<u64> = going.map(|segment| segment.number).collect();
        if going.is_empty() {
            return;
        }
        for segment in &going {
            self.count_loss(*segment);
        }
        match log.remove_before(keep_from) {
            Ok(()) => self.metrics.truncations.inc(),
            Err(error) => {
                self.metrics.truncations_failed.inc();
                tracing::error!(err = %error, "remote_write: old segments of the queue could not be removed");
            }
        }
        self.begun_ms = self.begun_ms.split_off(&keep_from);
        self.metrics.truncate_seconds.observe_duration(self.clock.monotonic().saturating_sub(began));
    }

    /// Counts what some endpoint does not have yet. What a sender has in memory may still arrive, so this
    /// is the most that can be missing.
    fn count_loss(&mut self, segment: u64) {
        let mut behind = self.positions.behind(segment);
        behind.sort_by_key(|(_, delivered)| delivered.oldest());
        let mut before: Option<(Delivered, usize)> = None;
        for (name, delivered) in behind {
            let samples = match &before {
                Some((counted, samples)) if *counted == delivered => *samples,
                // What the others miss, the slowest one misses too, but for gaps: then this is a lower bound.
                _ => self.count_missing(segment, &delivered, before.is_none()),
            };
            before = Some((delivered, samples));
            self.shared.lost(&name, samples);
        }
    }

    fn count_missing(&mut self, segment: u64, delivered: &Delivered, slowest: bool) -> usize {
        match self.scan(segment, delivered) {
            Ok(None) => 0,
            Ok(Some(lost)) => {
                if slowest {
                    self.metrics.lost_samples.add(lost.samples as f64);
                    self.lost = Some(self.lost.map_or(lost, |before| before.and(lost)));
                }
                lost.samples
            }
            Err(error) => {
                tracing::warn!(segment, err = %error, "remote_write: lost samples could not be counted");
                0
            }
        }
    }

    fn scan(&self, segment: u64, delivered: &Delivered) -> Result<Option<Lost>, Error> {
        let reader = |at| Reader::at(self.disk.clone(), &self.options.dir, at);
        let mut tail = QueueTail::new(delivered.oldest(), reader);
        let (mut piece, mut lost) = (Piece::default(), None);
        loop {
            match tail.next(&mut piece)? {
                Step::End => return Ok(lost),
                _ if piece.next.segment > segment => return Ok(lost),
                Step::Damaged(_) => {}
                Step::Record if !delivered.lacks(piece.next) => {}
                Step::Record => {
                    for timestamp in piece.times() {
                        let one = Lost { samples: 1, range: TimeRange { min: timestamp, max: timestamp } };
                        lost = Some(lost.map_or(one, |before: Lost| before.and(one)));
                    }
                }
            }
        }
    }

    fn log_loss(&mut self) {
        let now = self.clock.monotonic();
        let soon = self.logged_at.is_some_and(|at| now < at + LOG_INTERVAL);
        if soon {
            return;
        }
        let Some(Lost { samples, range: TimeRange { min, max } }) = self.lost.take() else { return };
        self.logged_at = Some(now);
        let (from, to) = (seconds(min), seconds(max));
        let bytes_max = self.options.bytes_max;
        tracing::error!(
            samples,
            from,
            to,
            bytes_max,
            "remote_write: the queue is full or too old, samples of this time range were removed before every \
             endpoint had them"
        );
    }
}

impl Lost {
    fn and(self, other: Self) -> Self {
        let range =
            TimeRange { min: self.range.min.min(other.range.min), max: self.range.max.max(other.range.max) };
        Self { samples: self.samples + other.samples, range }
    }
}

fn seconds(timestamp: Timestamp) -> f64 {
    timestamp.seconds()
}
