//! What evaluation leaves behind beside values: notes and counts of samples.
//!
//! A query has one ledger. A part of it whose result is read in several places has one of its own, below the query's:
//! what stands there is taken piece by piece and added for every reader, as if each had evaluated that part itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::note::Notes;

/// Notes and counts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    outer: Option<Arc<Ledger>>,
    notes: Mutex<Notes>,
    /// Samples that stay until the end of the query.
    now: AtomicU64,
    peak: AtomicU64,
    /// Samples looked at.
    total: AtomicU64,
}

/// What was added to a ledger for a while.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) notes: Notes,
    /// Samples looked at.
    pub(super) looked_at: u64,
    /// Samples that stay until the end of the query.
    pub(super) kept: u64,
    /// Samples that were held beside them.
    pub(super) window: u64,
}

impl Ledger {
    /// A ledger for a part of what `outer` counts.
    pub(super) fn below(outer: Arc<Self>) -> Self {
        Self { outer: Some(outer), ..Self::default() }
    }

    pub(super) fn note(&self, add: impl FnOnce(&mut Notes)) {
        add(&mut self.notes.lock());
    }

    pub(super) fn count(&self, looked_at: u64) {
        self.total.fetch_add(looked_at, Ordering::Relaxed);
    }

    /// Counts samples that stay and some that were held meanwhile; gives how many are held in all.
    pub(super) fn hold(&self, kept: u64, window: u64) -> u64 {
        let held = self.now.fetch_add(kept, Ordering::Relaxed) + kept + window;
        self.peak.fetch_max(held, Ordering::Relaxed);
        held + self.outer.as_ref().map_or(0, |outer| outer.held())
    }

    fn held(&self) -> u64 {
        self.now.load(Ordering::Relaxed) + self.outer.as_ref().map_or(0, |outer| outer.held())
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    pub(super) fn take_notes(&self) -> Notes {
        std::mem::take(&mut *self.notes.lock())
    }

    /// Everything so far; nothing is left.
    pub(super) fn take(&self) -> Record {
        let kept = self.now.swap(0, Ordering::Relaxed);
        Record {
            notes: self.take_notes(),
            looked_at: self.total.swap(0, Ordering::Relaxed),
            kept,
            window: self.peak.swap(0, Ordering::Relaxed).saturating_sub(kept),
        }
    }
}
