//! What all operators of one query share: the store, limits, cancellation and notes.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hashbrown::HashMap;
use nave_base::Shutdown;
use nave_base::budget::{Budget, Charge};
use nave_model::select::{Scope, Select};
use parking_lot::Mutex;

use super::ledger::{Ledger, LookedAt, Record};
use super::note::{Note, Notes};
use super::{Meter, Result, Series};
use crate::answer::Stats;
use crate::error::{EVALUATION, QueryError};

/// Shared by the operators of one query. Clones share.
#[derive(Clone)]
pub(crate) struct Context {
    shared: Arc<Shared>,
    /// Where notes and counts go: the query's, or that of a part of it whose result has several readers.
    ledger: Arc<Ledger>,
    /// Expressions that several places read are evaluated by each of them.
    evaluates_alone: bool,
    /// Whether samples looked at are counted.
    counts: bool,
}

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
    samples_max: u64,
    figures: bool,
    series: AtomicU64,
    read: AtomicU64,
    /// Of the query's budget, for results that wait for another reader.
    waiting: Budget,
    /// What several places of the plan read, by its number in the plan.
    common: Mutex<HashMap<usize, Arc<dyn Any + Send + Sync>>>,
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
    /// The figures of the answer are looked at.
    pub(crate) figures: bool,
    /// Samples looked at are counted by step too.
    pub(crate) counts_steps: bool,
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
            figures,
            counts_steps,
            meter,
        } = parts;
        let waiting = budget.child("shared results", WAITING_BYTES_MAX.min(budget.limit() / 4));
        let shared = Arc::new(Shared {
            store,
            scope,
            runtime,
            budget,
            cancel,
            stop,
            delayed_names,
            use_starts,
            meter,
            samples_max,
            figures,
            series: AtomicU64::default(),
            read: AtomicU64::default(),
            waiting,
            common: Mutex::default(),
        });
        let ledger = Arc::new(Ledger::new(counts_steps));
        Self { shared, ledger, evaluates_alone: false, counts: true }
    }

    /// The same query, with notes and counts kept apart until they are [`Self::taken`].
    pub(super) fn apart(&self) -> Self {
        Self { ledger: Arc::new(Ledger::below(self.ledger.clone())), ..self.clone() }
    }

    /// The same query for what is evaluated below a subquery: upstream counts the samples that the subquery gives instead.
    pub(super) fn below_subquery(&self) -> Self {
        Self { counts: false, ..self.clone() }
    }

    /// The same query, but nothing is read by several places.
    pub(super) fn alone(&self) -> Self {
        Self { evaluates_alone: true, ..self.clone() }
    }

    /// Whether each place evaluates what it reads.
    pub(super) fn evaluates_alone(&self) -> bool {
        self.evaluates_alone
    }

    /// The notes and counts since they were last taken.
    pub(super) fn taken(&self) -> Record {
        self.ledger.take()
    }

    /// Adds what was taken elsewhere.
    ///
    /// # Errors
    /// When the query then holds too many samples.
    pub(super) fn add(&self, record: Record) -> Result<()> {
        self.note(|notes| notes.append(record.notes));
        self.count_samples(&record.looked_at);
        self.hold_samples(record.kept, record.window)
    }

    /// Takes memory for results that wait for another reader; `None` when they must not wait.
    pub(super) fn charge_waiting(&self, bytes: usize) -> Option<Charge> {
        self.shared.waiting.charge(bytes).ok()
    }

    /// What number `id` of the plan is to all its readers; the first one makes it.
    pub(super) fn common<T: Send + Sync + 'static>(
        &self,
        id: usize,
        make: impl FnOnce() -> T,
    ) -> Result<Arc<T>> {
        let mut common = self.shared.common.lock();
        let known = common.entry(id).or_insert_with(|| Arc::new(make())).clone();
        known.downcast().map_err(|_| QueryError::Internal(format!("number {id} of the plan is of two kinds")))
    }

    pub(crate) fn store(&self) -> &dyn Select {
        &*self.shared.store
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.shared.scope
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    pub(crate) fn cancel(&self) -> &Shutdown {
        &self.shared.cancel
    }

    /// Whether start timestamps count.
    pub(crate) fn use_starts(&self) -> bool {
        self.shared.use_starts
    }

    /// Whether metric names are dropped at the end of the query.
    pub(crate) fn delays_names(&self) -> bool {
        self.shared.delayed_names
    }

    /// Counts per node.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.shared.meter.as_ref()
    }

    /// Drops what several places read; at the end of the query, as operators in there refer to this context.
    pub(crate) fn forget_common(&self) {
        let common = std::mem::take(&mut *self.shared.common.lock());
        drop(common);
    }

    /// Waits for I/O; only on the thread of the query. What is ready at once may also be had on a runtime worker.
    pub(crate) fn wait<T>(&self, mut work: BoxFuture<'_, T>) -> T {
        match (&mut work).now_or_never() {
            Some(done) => done,
            None => self.shared.runtime.block_on(work),
        }
    }

    /// The error if the query has to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.shared.cancel.is_cancelled() { Err(self.stopped()) } else { Ok(()) }
    }

    /// The error of a query that was stopped.
    pub(crate) fn stopped(&self) -> QueryError {
        match self.shared.stop.load(Ordering::Acquire) {
            0 => QueryError::Canceled(EVALUATION),
            _ => QueryError::Timeout(EVALUATION),
        }
    }

    /// Takes memory for `count` columns of `steps` steps.
    pub(crate) fn charge(&self, bytes: usize) -> Result<Charge> {
        Ok(self.shared.budget.charge(bytes)?)
    }

    /// Counts samples that stay until the end of the query, and a window that was held meanwhile.
    pub(crate) fn hold_samples(&self, kept: u64, window: u64) -> Result<()> {
        if self.ledger.hold(kept, window) > self.shared.samples_max {
            return Err(QueryError::execution(TOO_MANY_SAMPLES));
        }
        Ok(())
    }

    /// Counts samples that were looked at.
    pub(super) fn count_samples(&self, looked_at: &LookedAt) {
        if self.counts {
            self.ledger.count(looked_at);
        }
    }

    /// An empty count, by step where that is asked for.
    pub(super) fn looked_at(&self) -> LookedAt {
        LookedAt::new(self.ledger.counts_steps() && self.counts)
    }

    /// How many samples were looked at by step, where that was asked for.
    pub(crate) fn samples_per_step(&self) -> Option<Vec<u64>> {
        self.ledger.total().by_step
    }

    /// Counts samples that the store gave.
    pub(crate) fn count_read(&self, samples: usize) {
        self.shared.read.fetch_add(samples as u64, Ordering::Relaxed);
    }

    /// Counts series that a selector found.
    pub(crate) fn count_series(&self, found: usize) {
        self.shared.series.fetch_add(found as u64, Ordering::Relaxed);
    }

    /// Whether everything that upstream evaluates has to be, so that it is counted.
    pub(super) fn wants_figures(&self) -> bool {
        self.shared.figures
    }

    /// What was counted so far.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            samples_total: self.ledger.total().all,
            samples_peak: self.ledger.peak(),
            samples_read: self.shared.read.load(Ordering::Relaxed),
            series: self.shared.series.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }

    /// Adds notes.
    pub(crate) fn note(&self, add: impl FnOnce(&mut Notes)) {
        self.ledger.note(add);
    }

    /// Adds what the store says.
    pub(crate) fn store_warnings(&self, texts: Vec<String>) {
        self.note(|notes| {
            for text in texts {
                notes.add(Note::new(super::note::Level::Warning, text, None));
            }
        });
    }

    /// All notes so far; none are left.
    pub(crate) fn take_notes(&self) -> Notes {
        self.ledger.take_notes()
    }

    /// The series after its metric name was dropped, now or at the end.
    pub(crate) fn without_name(&self, series: Series) -> Series {
        if self.shared.delayed_names {
            Series { drop_name: true, ..series }
        } else {
            Series { labels: super::without_metadata(&series.labels), ..series }
        }
    }
}

/// Results that wait for another reader take at most this, and a quarter of the query's memory; what would take more is
/// evaluated again.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// Upstream's text, which users look for.
const TOO_MANY_SAMPLES: &str = "query processing would load too many samples into memory in query execution";
