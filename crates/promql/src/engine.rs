//! Runs queries: parses and plans them, lets a bounded number of them run at once, and ends those that
//! take too long, take too much memory, are canceled or panic.
//!
//! - A query runs on one blocking thread of the runtime and on the CPU pool. Only one that is known to take well
//!   under a millisecond (`small`) runs where it is asked: handing it to another thread would take longer.
//! - A query whose future is dropped ends soon.
//! - A panic is an internal error of that query and of nothing else.

mod cache;
mod metric;
mod reuse;
mod run;
mod small;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use nave_base::Shutdown;
use nave_base::budget::Budget;
use nave_base::clock::SharedClock;
use nave_base::metric::Registry;
use nave_model::select::{Scope, Select};
use nave_model::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::Answer;
use crate::ast::ValueType;
use crate::error::{EVALUATION, QUEUE, QueryError};
use crate::execute::{Context, Meter, Parts};
use crate::follow::{Asked, Follow, Followed, Origin};
use crate::parse::{ParseOptions, parse};
use crate::plan::{self, Node, Query, Rewrite, Rewrites, Steps};
use cache::Cache;
use metric::Metrics;
pub(crate) use run::Job;

/// What an engine allows.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How far an instant selector looks back; upstream's `--query.lookback-delta`.
    pub lookback: Duration,
    /// How long a query may take, queue included.
    pub timeout: Duration,
    /// How many samples a query may hold at once.
    pub max_samples: u64,
    /// How many queries run at once.
    pub max_concurrency: usize,
    /// Charged for all queries together.
    pub memory: Budget,
    /// How many bytes one query may take.
    pub query_memory_bytes_max: usize,
    /// The resolution of subqueries without one, in ms: the global evaluation interval, which a reload may change.
    pub default_step_ms: Arc<AtomicI64>,
    /// Which experimental syntax is on.
    pub parse: ParseOptions,
    /// Drops metric names at the end of a query (`promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// `rate` and its like look at start timestamps (`use-start-timestamps`).
    pub use_start_timestamps: bool,
    /// Queries may ask for figures of each step (`promql-per-step-stats`).
    pub per_step_stats: bool,
    /// For the settled steps of range queries, which the next refresh need not evaluate again; with a limit of 0
    /// none are kept.
    pub cache: Budget,
    /// How plans are rewritten; all rewrites, except to look for the reason of something.
    pub rewrites: Rewrites,
    /// Told of every query that is evaluated.
    pub follow: Vec<Arc<dyn Follow>>,
}

impl Default for EngineOptions {
    /// Upstream's defaults; memory is not bounded.
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            timeout: Duration::from_secs(120),
            max_samples: 50_000_000,
            max_concurrency: 20,
            memory: Budget::unlimited(),
            query_memory_bytes_max: usize::MAX,
            default_step_ms: Arc::new(AtomicI64::new(60_000)),
            parse: ParseOptions::default(),
            delayed_name_removal: false,
            use_start_timestamps: false,
            per_step_stats: false,
            cache: Budget::new("query cache", 0),
            rewrites: Rewrites::ALL,
            follow: Vec::new(),
        }
    }
}

/// What one query may differ in.
#[derive(Debug, Clone, Default)]
pub struct QueryOptions {
    /// What it may see.
    pub scope: Scope,
    /// Instead of the engine's lookback.
    pub lookback: Option<Duration>,
    /// Shorter than the engine's timeout.
    pub timeout: Option<Duration>,
    /// At most this many series in the answer; a warning says when there were more.
    pub limit: Option<usize>,
    /// The answer has the plan, with what each node gave.
    pub explain: bool,
    /// The answer may be put together from steps that were evaluated before. It is the same, its figures are not.
    pub reuse: bool,
    /// The figures of the answer are looked at. Nothing that upstream counts is then left unread.
    pub figures: bool,
    /// They are wanted for each step too, where [`EngineOptions::per_step_stats`] allows it.
    pub figures_per_step: bool,
    /// Who asks, for those who follow queries.
    pub origin: Option<Arc<Origin>>,
    /// Ends the query.
    pub cancel: Shutdown,
}

/// Runs queries. Clones share.
#[derive(Debug, Clone)]
pub struct Engine {
    options: Arc<EngineOptions>,
    clock: SharedClock,
    queue: Arc<Semaphore>,
    cache: Arc<Cache>,
    metrics: Metrics,
}

impl Engine {
    /// An engine; its metrics `prometheus_engine_*` go into `registry`.
    #[must_use]
    pub fn new(options: EngineOptions, clock: SharedClock, registry: &Registry) -> Self {
        let queue = Arc::new(Semaphore::new(options.max_concurrency.clamp(1, Semaphore::MAX_PERMITS)));
        let metrics = Metrics::new(registry, options.max_concurrency);
        let cache = Arc::new(Cache::new(options.cache.clone(), registry));
        Self { options: Arc::new(options), clock, queue, cache, metrics }
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates `query` at one time.
    ///
    /// # Errors
    /// As [`QueryError`] says.
    pub async fn instant(
        &self,
        store: Arc<dyn Select>,
        query: &str,
        time: Timestamp,
        options: QueryOptions,
    ) -> Result<Answer, QueryError> {
        self.run(store, query, Steps::instant(time.0), true, options).await
    }

    /// Evaluates `query` at `start`, `start + step_ms` ... up to `end`.
    ///
    /// # Errors
    /// As [`QueryError`] says; also when the query gives a range vector or a string.
    pub async fn range(
        &self,
        store: Arc<dyn Select>,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
        options: QueryOptions,
    ) -> Result<Answer, QueryError> {
        let steps = range_steps(start, end, step_ms)?;
        if options.reuse {
            return self.range_with_reuse(store, query, steps, options).await;
        }
        self.run(store, query, steps, false, options).await
    }

    /// The plan of `query` as text, one node per line.
    ///
    /// # Errors
    /// When the query does not parse or uses what is not built. [`QueryOptions::explain`] also gives figures.
    pub fn explain(
        &self,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
    ) -> Result<String, QueryError> {
        let steps = range_steps(start, end, step_ms)?;
        let plan = self.plan(query, steps, start == end, &QueryOptions::default())?;
        Ok(plan::explain(&plan, None))
    }

    fn plan(
        &self,
        query: &str,
        steps: Steps,
        is_instant: bool,
        options: &QueryOptions,
    ) -> Result<Node, QueryError> {
        let expr = parse(query, &self.options.parse)?;
        let ty = expr.value_type();
        if !is_instant && matches!(ty, ValueType::Matrix | ValueType::String) {
            let ty = ty.documented();
            return Err(QueryError::Invalid(format!(
                "invalid expression type {ty:?} for range query, must be Scalar or instant Vector"
            )));
        }
        let query = Query {
            steps,
            is_instant,
            lookback_ms: self.lookback_ms(options.lookback),
            default_step_ms: self.options.default_step_ms.load(Ordering::Relaxed),
            delayed_names: self.options.delayed_name_removal,
            use_starts: self.options.use_start_timestamps,
        };
        let mut plan = plan::build(&expr, query)?;
        let all = self.options.rewrites;
        let rewrites = if options.figures { all.without(Rewrite::Propagate) } else { all };
        plan::optimize(&mut plan, steps, rewrites);
        Ok(plan)
    }

    fn lookback_ms(&self, own: Option<Duration>) -> i64 {
        let lookback = own.filter(|lookback| !lookback.is_zero()).unwrap_or(self.options.lookback);
        i64::try_from(lookback.as_millis()).unwrap_or(i64::MAX)
    }

    async fn run(
        &self,
        store: Arc<dyn Select>,
        query: &str,
        steps: Steps,
        is_instant: bool,
        options: QueryOptions,
    ) -> Result<Answer, QueryError> {
        let started = self.clock.monotonic();
        let plan = self.plan(query, steps, is_instant, &options)?;
        self.execute(store, (query, plan, started), steps, is_instant, options).await
    }

    /// Evaluates a plan that was made since `started`.
    async fn execute(
        &self,
        store: Arc<dyn Select>,
        (query, plan, started): (&str, Node, Duration),
        steps: Steps,
        is_instant: bool,
        options: QueryOptions,
    ) -> Result<Answer, QueryError> {
        let prepared = self.clock.monotonic();
        let timeout = options.timeout.map_or(self.options.timeout, |own| own.min(self.options.timeout));
        let cancel = options.cancel.child_token();
        // Ends the work when the caller drops this future.
        let _guard = cancel.clone().drop_guard();
        let stop = Arc::new(AtomicU8::new(0));
        let mut deadline = self.clock.sleep(timeout);
        let permit = self.enter(&cancel, &mut deadline).await?;
        let entered = self.clock.monotonic();
        let followed = Followed::begin(&self.options.follow, asked(query, steps, is_instant, options.origin));
        let budget = self.options.memory.child("query", self.options.query_memory_bytes_max);
        let is_small = small::is_small(&plan, steps, &*store, &options.scope);
        let context = Context::new(Parts {
            store,
            scope: options.scope,
            runtime: tokio::runtime::Handle::current(),
            budget: budget.clone(),
            cancel: cancel.clone(),
            stop: stop.clone(),
            delayed_names: self.options.delayed_name_removal,
            use_starts: self.options.use_start_timestamps,
            meter: options.explain.then(|| Meter::new(self.clock.clone())),
            samples_max: self.options.max_samples,
            figures: options.figures,
            counts_steps: options.figures_per_step && self.options.per_step_stats,
        });
        let job = Job { plan, steps, is_instant, query: query.to_owned(), limit: options.limit, context };
        let running = self.metrics.running();
        let work = move || {
            let result = job.run();
            drop((permit, running));
            result
        };
        let result = if is_small {
            work()
        } else {
            tokio::select! {
                done = tokio::task::spawn_blocking(work) => {
                    done.unwrap_or_else(|lost| Err(QueryError::Internal(lost.to_string())))
                }
                () = &mut deadline => {
                    stop.store(1, Ordering::Release);
                    Err(QueryError::Timeout(EVALUATION))
                }
                () = cancel.cancelled() => Err(QueryError::Canceled(EVALUATION)),
            }
        };
        let mut answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                followed.end(Err(&error));
                return Err(error);
            }
        };
        answer.stats.prepare_seconds = (prepared - started).as_secs_f64();
        answer.stats.queue_seconds = (entered - prepared).as_secs_f64();
        answer.stats.evaluation_seconds = (self.clock.monotonic() - entered).as_secs_f64();
        answer.stats.memory_peak = budget.peak();
        self.metrics.observe(&answer.stats);
        followed.end(Ok(&answer.stats));
        Ok(answer)
    }

    async fn enter(
        &self,
        cancel: &Shutdown,
        deadline: &mut nave_base::clock::Sleep,
    ) -> Result<OwnedSemaphorePermit, QueryError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(QueryError::Canceled(QUEUE)),
            permit = self.queue.clone().acquire_owned() => {
                permit.map_err(|closed| QueryError::Internal(closed.to_string()))
            }
            () = deadline => Err(QueryError::Timeout(QUEUE)),
        }
    }
}

fn asked(query: &str, steps: Steps, is_instant: bool, origin: Option<Arc<Origin>>) -> Asked {
    let step_ms = if is_instant { 0 } else { steps.step };
    Asked {
        query: query.to_owned(),
        start: Timestamp(steps.start),
        end: Timestamp(steps.end),
        step_ms,
        origin,
    }
}

fn range_steps(start: Timestamp, end: Timestamp, step_ms: i64) -> Result<Steps, QueryError> {
    if step_ms <= 0 {
        return Err(QueryError::Invalid(format!("expected a step greater than 0, got {step_ms} ms")));
    }
    if end < start {
        return Err(QueryError::Invalid(format!("expected an end at or after the start {start}, got {end}")));
    }
    Ok(Steps { start: start.0, end: end.0, step: step_ms })
}
