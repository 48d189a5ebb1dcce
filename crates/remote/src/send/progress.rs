//! How far an endpoint is: the place in the log before which everything was delivered or dropped.
//!
//! Records are begun in log order and finished in any order; the position only moves over a prefix of
//! finished ones, so that a restart sends again what might be missing and skips nothing.

use std::collections::VecDeque;

use nave_wal::Position;
use parking_lot::Mutex;

#[derive(Debug)]
struct Open {
    next: Position,
    left: usize,
}

#[derive(Debug)]
struct Inner {
    first: u64,
    open: VecDeque<Open>,
    position: Position,
}

/// Records between the position and the reader.
#[derive(Debug)]
pub(super) struct Progress(Mutex<Inner>);

impl Progress {
    pub(super) fn new(position: Position) -> Self {
        Self(Mutex::new(Inner { first: 0, open: VecDeque::new(), position }))
    }

    /// The number that the next record will have.
    pub(super) fn next_record(&self) -> u64 {
        let inner = self.0.lock();
        inner.first + inner.open.len() as u64
    }

    /// A record with so many samples to deliver, which ends at `next`.
    pub(super) fn begin(&self, next: Position, samples: usize) {
        let mut inner = self.0.lock();
        inner.open.push_back(Open { next, left: samples });
        inner.settle();
    }

    /// One sample of each of these records is delivered or dropped.
    pub(super) fn done(&self, records: impl Iterator<Item = u64>) {
        let mut inner = self.0.lock();
        let first = inner.first;
        for record in records {
            let at = usize::try_from(record - first).expect("Progress: open records fit memory");
            inner.open[at].left -= 1;
        }
        inner.settle();
    }

    /// Where an unfinished record ends.
    pub(super) fn end_of(&self, record: u64) -> Position {
        let inner = self.0.lock();
        let at = usize::try_from(record - inner.first).expect("Progress: open records fit memory");
        inner.open[at].next
    }

    /// Everything before is delivered or dropped.
    pub(super) fn position(&self) -> Position {
        self.0.lock().position
    }

    /// How many records are not finished, or wait for an earlier one.
    pub(super) fn open(&self) -> usize {
        self.0.lock().open.len()
    }
}

impl Inner {
    fn settle(&mut self) {
        while let Some(record) = self.open.front().filter(|record| record.left == 0) {
            // A reader may begin before the position, to learn the names of series.
            self.position = self.position.max(record.next);
            self.open.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_over_finished_prefixes_only() {
        let at = |offset| Position { segment: 1, offset };
        let progress = Progress::new(at(0));
        progress.begin(at(10), 2);
        progress.begin(at(20), 0);
        progress.begin(at(30), 1);
        assert_eq!((progress.position(), progress.next_record()), (at(0), 3));
        progress.done([2, 0].into_iter());
        assert_eq!((progress.position(), progress.open()), (at(0), 3));
        progress.done([0].into_iter());
        assert_eq!((progress.position(), progress.open()), (at(30), 0));
        progress.begin(at(40), 0);
        assert_eq!((progress.position(), progress.next_record()), (at(40), 4));
    }
}
