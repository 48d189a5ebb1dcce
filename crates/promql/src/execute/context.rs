//! What all operators of one query share: the store, limits, cancellation and notes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use nave_base::Shutdown;
use nave_base::budget::{Budget, Charge};
use nave_model::select::{Scope, Select};
use parking_lot::Mutex;

use super::note::{Note, Notes};
use super::{Meter, Result, Series};
use crate::answer::Stats;
use crate::error::{EVALUATION, QueryError};

/// Shared by the operators of one query. Clones share.
#[derive(Clone)]
pub(crate) struct Context(Arc<Shared>);

struct Shared {
    store: Arc<dyn Select>,
    scope: Scope,
    runtime: tokio::runtime::Handle,
    budget: Budget,
    cancel: Shutdown,
    stop: Arc<AtomicU8>,
    delayed_names: bool,
    use_starts: bool,
    meter: Option<Meter>,
    samples: Samples,
    notes: Mutex<Notes>,
}

/// Counts of samples, for limits and statistics.
#[derive(Debug, Default)]
struct Samples {
    max: u64,
    now: AtomicU64,
    peak: AtomicU64,
    total: AtomicU64,
    series: AtomicU64,
    read: AtomicU64,
}

/// What a [`Context`] is made of.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Select>,
    pub(crate) scope: Scope,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) budget: Budget,
    /// Fires when the query has to stop.
    pub(crate) cancel: Shutdown,
    /// Set to 1 before `cancel` fires because of the timeout.
    pub(crate) stop: Arc<AtomicU8>,
    pub(crate) delayed_names: bool,
    /// Whether start timestamps count.
    pub(crate) use_starts: bool,
    /// Counts per node, where that is asked for.
    pub(crate) meter: Option<Meter>,
    pub(crate) samples_max: u64,
}

impl Context {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            store,
            scope,
            runtime,
            budget,
            cancel,
            stop,
            delayed_names,
            use_starts,
            samples_max,
            meter,
        } = parts;
        let samples = Samples { max: samples_max, ..Samples::default() };
        let notes = Mutex::default();
        Self(Arc::new(Shared {
            store,
            scope,
            runtime,
            budget,
            cancel,
            stop,
            delayed_names,
            use_starts,
            meter,
            samples,
            notes,
        }))
    }

    pub(crate) fn store(&self) -> &dyn Select {
        &*self.0.store
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.0.scope
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    pub(crate) fn cancel(&self) -> &Shutdown {
        &self.0.cancel
    }

    /// Whether start timestamps count.
    pub(crate) fn use_starts(&self) -> bool {
        self.0.use_starts
    }

    /// Whether metric names are dropped at the end of the query.
    pub(crate) fn delays_names(&self) -> bool {
        self.0.delayed_names
    }

    /// Counts per node.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.0.meter.as_ref()
    }

    /// Waits for I/O; only on the thread of the query. What is ready at once may also be had on a runtime worker.
    pub(crate) fn wait<T>(&self, mut work: BoxFuture<'_, T>) -> T {
        match (&mut work).now_or_never() {
            Some(done) => done,
            None => self.0.runtime.block_on(work),
        }
    }

    /// The error if the query has to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.cancel.is_cancelled() { Err(self.stopped()) } else { Ok(()) }
    }

    /// The error of a query that was stopped.
    pub(crate) fn stopped(&self) -> QueryError {
        match self.0.stop.load(Ordering::Acquire) {
            0 => QueryError::Canceled(EVALUATION),
            _ => QueryError::Timeout(EVALUATION),
        }
    }

    /// Takes memory for `count` columns of `steps` steps.
    pub(crate) fn charge(&self, bytes: usize) -> Result<Charge> {
        Ok(self.0.budget.charge(bytes)?)
    }

    /// Counts samples that stay until the end of the query, and a window that was held meanwhile.
    pub(crate) fn hold_samples(&self, kept: u64, window: u64) -> Result<()> {
        let Samples { max, now, peak, .. } = &self.0.samples;
        let held = now.fetch_add(kept, Ordering::Relaxed) + kept + window;
        peak.fetch_max(held, Ordering::Relaxed);
        if held > *max {
            return Err(QueryError::execution(TOO_MANY_SAMPLES));
        }
        Ok(())
    }

    /// Counts samples that were looked at.
    pub(crate) fn count_samples(&self, looked_at: u64) {
        self.0.samples.total.fetch_add(looked_at, Ordering::Relaxed);
    }

    /// Counts samples that the store gave.
    pub(crate) fn count_read(&self, samples: usize) {
        self.0.samples.read.fetch_add(samples as u64, Ordering::Relaxed);
    }

    /// Counts series that a selector found.
    pub(crate) fn count_series(&self, found: usize) {
        self.0.samples.series.fetch_add(found as u64, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn stats(&self) -> Stats {
        let Samples { total, peak, series, read, .. } = &self.0.samples;
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            samples_total: get(total),
            samples_peak: get(peak),
            samples_read: get(read),
            series: get(series),
            ..Stats::default()
        }
    }

    /// Adds notes.
    pub(crate) fn note(&self, add: impl FnOnce(&mut Notes)) {
        add(&mut self.0.notes.lock());
    }

    /// Adds what the store says.
    pub(crate) fn store_warnings(&self, texts: Vec<String>) {
        let mut notes = self.0.notes.lock();
        for text in texts {
            notes.add(Note::new(super::note::Level::Warning, text, None));
        }
    }

    /// All notes so far; none are left.
    pub(crate) fn take_notes(&self) -> Notes {
        std::mem::take(&mut self.0.notes.lock())
    }

    /// The series after its metric name was dropped, now or at the end.
    pub(crate) fn without_name(&self, series: Series) -> Series {
        if self.0.delayed_names {
            Series { drop_name: true, ..series }
        } else {
            Series { labels: super::without_metadata(&series.labels), ..series }
        }
    }
}

/// Upstream's text, which users look for.
const TOO_MANY_SAMPLES: &str = "query processing would load too many samples into memory in query execution";
