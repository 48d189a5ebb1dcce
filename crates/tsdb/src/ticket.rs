//! Which appends are under way, so that a duplicate of something not yet durable is not called durable.
//!
//! Every append takes a ticket before it touches a series and leaves it on the series; it ends the ticket
//! when its records are durable, or after it has marked its series as `unlogged`. A series whose ticket is
//! older than every ticket under way holds nothing that is neither durable nor marked.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

#[derive(Debug, Default)]
pub(crate) struct Tickets {
    under_way: Mutex<(u64, BTreeSet<u64>)>,
    /// The oldest ticket under way, or the next one. Only grows, so an old reading is on the safe side.
    oldest: AtomicU64,
}

impl Tickets {
    pub(crate) fn begin(&self) -> u64 {
        let mut guard = self.under_way.lock();
        let (next, set) = &mut *guard;
        // Ticket 0 is that of a series that nobody has appended to in this life.
        *next += 1;
        set.insert(*next);
        self.oldest.store(set.first().copied().unwrap_or(*next), Ordering::Release);
        *next
    }

    pub(crate) fn end(&self, ticket: u64) {
        let mut guard = self.under_way.lock();
        let (next, set) = &mut *guard;
        set.remove(&ticket);
        self.oldest.store(set.first().copied().unwrap_or(*next + 1), Ordering::Release);
    }

    /// Whether the append with this ticket has ended.
    #[inline]
    pub(crate) fn is_past(&self, ticket: u64) -> bool {
        ticket < self.oldest.load(Ordering::Acquire)
    }

    /// How many appends are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.lock().1.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_means_that_all_older_ones_ended() {
        let tickets = Tickets::default();
        let (a, b) = (tickets.begin(), tickets.begin());
        tickets.end(b);
        assert!(!tickets.is_past(b), "a is still under way");
        tickets.end(a);
        assert!(tickets.is_past(a) && tickets.is_past(b));
        let c = tickets.begin();
        assert!(tickets.is_past(b) && !tickets.is_past(c));
    }
}
