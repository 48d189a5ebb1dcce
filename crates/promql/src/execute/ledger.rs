//! What evaluation leaves behind beside values: notes and counts of samples.
//!
//! A query has one ledger. A part of it whose result is read in several places has one of its own, below the query's:
//! what stands there is taken piece by piece and added for every reader, as if each had evaluated that part itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nave_model::histogram::Histogram;
use parking_lot::Mutex;

use super::note::Notes;

/// How many samples were looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct LookedAt {
    pub(super) all: u64,
    /// By step of the query, where that is asked for; steps behind the last are 0.
    pub(super) by_step: Option<Vec<u64>>,
}

impl LookedAt {
    pub(super) fn new(by_step: bool) -> Self {
        Self { all: 0, by_step: by_step.then(Vec::new) }
    }

    /// Counts `samples` at `step`.
    #[inline]
    pub(super) fn add(&mut self, step: usize, samples: u64) {
        self.all += samples;
        if let Some(steps) = &mut self.by_step {
            if steps.len() <= step {
                steps.resize(step + 1, 0);
            }
            steps[step] += samples;
        }
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.all += other.all;
        if let (Some(steps), Some(more)) = (&mut self.by_step, &other.by_step) {
            steps.resize(steps.len().max(more.len()), 0);
            steps.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
    }
}

/// Notes and counts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    outer: Option<Arc<Ledger>>,
    notes: Mutex<Notes>,
    /// Samples that stay until the end of the query.
    now: AtomicU64,
    peak: AtomicU64,
    /// Where they are not counted by step.
    total: AtomicU64,
    /// Where they are.
    steps: Option<Mutex<LookedAt>>,
}

/// What was added to a ledger for a while.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) notes: Notes,
    pub(super) looked_at: LookedAt,
    /// Samples that stay until the end of the query.
    pub(super) kept: u64,
    /// Samples that were held beside them.
    pub(super) window: u64,
}

impl Ledger {
    /// The ledger of a query.
    pub(super) fn new(counts_steps: bool) -> Self {
        let steps = counts_steps.then(|| Mutex::new(LookedAt::new(true)));
        Self { steps, ..Self::default() }
    }

    /// A ledger for a part of what `outer` counts.
    pub(super) fn below(outer: Arc<Self>) -> Self {
        let new = Self::new(outer.counts_steps());
        Self { outer: Some(outer), ..new }
    }

    pub(super) fn counts_steps(&self) -> bool {
        self.steps.is_some()
    }

    pub(super) fn note(&self, add: impl FnOnce(&mut Notes)) {
        add(&mut self.notes.lock());
    }

    pub(super) fn count(&self, looked_at: &LookedAt) {
        match &self.steps {
            Some(steps) => steps.lock().append(looked_at),
            None => _ = self.total.fetch_add(looked_at.all, Ordering::Relaxed),
        }
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

    pub(super) fn total(&self) -> LookedAt {
        match &self.steps {
            Some(steps) => steps.lock().clone(),
            None => LookedAt { all: self.total.load(Ordering::Relaxed), by_step: None },
        }
    }

    fn take_total(&self) -> LookedAt {
        match &self.steps {
            Some(steps) => std::mem::replace(&mut *steps.lock(), LookedAt::new(true)),
            None => LookedAt { all: self.total.swap(0, Ordering::Relaxed), by_step: None },
        }
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
            looked_at: self.take_total(),
            kept,
            window: self.peak.swap(0, Ordering::Relaxed).saturating_sub(kept),
        }
    }
}

/// As how many samples upstream counts a histogram: by the room that it takes there, in units of a float with its time.
pub(super) fn weight(histogram: &Histogram) -> u64 {
    let Histogram {
        positive_spans, negative_spans, positive_buckets, negative_buckets, custom_bounds, ..
    } = histogram;
    let spans = positive_spans.len() + negative_spans.len();
    let numbers = positive_buckets.len() + negative_buckets.len() + custom_bounds.len();
    (HISTOGRAM_BYTES + 8 * (spans + numbers) as u64 + 8) / 16
}

/// Without its lists.
const HISTOGRAM_BYTES: u64 = 168;
