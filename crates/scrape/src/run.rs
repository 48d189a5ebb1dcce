//! The loop of one target: wait, fetch, read, store, report; and the stale markers at its end.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use nave_base::metric::Summary;
use nave_model::append::{Append, Principal, Reason, SeriesRef};
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use parking_lot::Mutex;

use crate::cache::Cache;
use crate::config::ScrapeConfig;
use crate::draft::Draft;
use crate::failure_log;
use crate::fetch::{Failure, Page, Source};
use crate::histogram::Choice;
use crate::ingest::{Broken, Ingest, State, Tally};
use crate::metric::Metrics;
use crate::report::{Figures, Report};
use crate::target::{Health, Last, Target};

/// A scrape that comes at most this late is given the time it should have had: equal steps compress better.
const ALIGN_TOLERANCE_MS: i64 = 2;

/// What all loops share.
pub(crate) struct Env {
    pub(crate) append: Arc<dyn Append>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    pub(crate) principal: Principal,
    pub(crate) offset_seed: u64,
    pub(crate) align_timestamps: bool,
    pub(crate) zero_starts: bool,
    pub(crate) page_bytes_max: usize,
    pub(crate) live: Live,
    pub(crate) shutdown: Shutdown,
}

/// Labels of all targets that are scraped now, over all jobs.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<HashMap<Labels, usize>>);

impl Live {
    pub(crate) fn add(&self, labels: &Labels) {
        *self.0.lock().entry(labels.clone()).or_default() += 1;
    }

    pub(crate) fn remove(&self, labels: &Labels) {
        let mut all = self.0.lock();
        if let Some(count) = all.get_mut(labels) {
            *count -= 1;
            if *count == 0 {
                all.remove(labels);
            }
        }
    }

    fn has(&self, labels: &Labels) -> bool {
        self.0.lock().contains_key(labels)
    }
}

impl Env {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }
}

/// Why a loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The target is gone: its series end.
    Removed,
    /// Another loop goes on with the same series.
    Replaced,
}

/// The way to end a loop. A loop that is cancelled without a reason ends with the process, and its series go on
/// after the restart.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) stop: Shutdown,
    reason: Arc<OnceLock<Stop>>,
}

impl Control {
    pub(crate) fn new(parent: &Shutdown) -> Self {
        Self { stop: parent.child_token(), reason: Arc::default() }
    }

    pub(crate) fn stop(&self, why: Stop) {
        // The first reason counts.
        let _ = self.reason.set(why);
        self.stop.cancel();
    }
}

/// What a loop asks its pool.
pub(crate) trait Siblings: Send + Sync {
    /// Why nothing may be scraped at all.
    fn forced_error(&self) -> Option<String>;
}

/// One target's loop.
pub(crate) struct Loop {
    env: Arc<Env>,
    config: Arc<ScrapeConfig>,
    source: Source,
    target: Arc<Target>,
    siblings: Arc<dyn Siblings>,
    control: Control,
    principal: Arc<Principal>,
    interval_length: Summary,
    cache: Cache,
    report: Report,
    /// Of the last page, to reserve room for the next one.
    page_bytes: usize,
    samples: usize,
    last_begun: Option<Duration>,
}

/// When to scrape, in wall time: the newest time that fits the grid of intervals.
#[derive(Debug, Clone, Copy)]
struct Grid {
    at: i64,
}

impl Grid {
    fn align(&mut self, now: i64, interval: i64) -> i64 {
        if now < self.at {
            // The clock was set back.
            self.at = now;
        }
        self.at += (now - self.at) / interval * interval;
        let tolerance = ALIGN_TOLERANCE_MS.min(interval / 100);
        if now - self.at <= tolerance { self.at } else { now }
    }
}

impl Loop {
    pub(crate) fn new(
        env: &Arc<Env>,
        config: &Arc<ScrapeConfig>,
        source: &Source,
        target: &Arc<Target>,
        siblings: Arc<dyn Siblings>,
        control: Control,
    ) -> Self {
        let principal = Principal { sender: target.name(), ..env.principal.clone() };
        Self {
            env: env.clone(),
            config: config.clone(),
            source: source.clone(),
            target: target.clone(),
            siblings,
            control,
            principal: Arc::new(principal),
            interval_length: env.metrics.interval_length.with(&[&target.interval.to_string()]),
            cache: Cache::default(),
            report: Report::new(config, &target.labels, target.timeout.as_secs_f64()),
            page_bytes: 0,
            samples: 0,
            last_begun: None,
        }
    }

    /// Scrapes until it is stopped; gives what it knows of its series. `before` is the loop it takes over from.
    pub(crate) async fn run(mut self, before: Option<tokio::task::JoinHandle<Cache>>) -> Cache {
        if let Some(before) = before
            && let Ok(mut cache) = before.await
        {
            // Text may mean other labels now; labels and references are as they were.
            cache.forget_lines();
            self.cache = cache;
        }
        if let Err(error) = self.report.place(&mut self.cache) {
            tracing::error!(target = %self.principal.sender, %error, "target cannot be scraped");
            return self.cache;
        }
        let offset = self.target.offset(self.env.now(), self.env.offset_seed);
        if self.sleep(offset).await {
            self.scrape_on_time().await;
        }
        if self.control.reason.get() == Some(&Stop::Removed) && self.last_begun.is_some() {
            self.end().await;
        }
        self.cache
    }

    /// False when the loop is to end.
    async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.control.stop.cancelled() => false,
            () = self.env.clock.sleep(duration) => true,
        }
    }

    async fn scrape_on_time(&mut self) {
        let interval = Duration::from(self.target.interval);
        let mut grid = Grid { at: self.env.now().0 };
        let mut due = self.env.clock.monotonic();
        loop {
            let now = self.env.now().0;
            let aligned = grid.align(now, interval.as_millis() as i64);
            let at = if self.env.align_timestamps { aligned } else { now };
            self.scrape(Timestamp(at)).await;
            due += interval;
            let passed = self.env.clock.monotonic();
            // What was missed is not made up for.
            while due < passed {
                due += interval;
            }
            if !self.sleep(due - passed).await {
                return;
            }
        }
    }

    async fn scrape(&mut self, at: Timestamp) {
        let begun = self.env.clock.monotonic();
        if let Some(last) = self.last_begun.replace(begun) {
            self.interval_length.observe_duration(begun.saturating_sub(last));
        }
        let fetched = match self.siblings.forced_error() {
            Some(error) => Err(Failure::Other(error)),
            None => {
                tokio::select! {
                    biased;
                    () = self.control.stop.cancelled() => return,
                    page = self.source.page(&self.target, self.page_bytes) => page,
                }
            }
        };
        let mut draft = Draft::new(self.principal.clone(), self.samples);
        let (mut figures, error) = self.read(fetched, at, &mut draft);
        let vanished = if figures.up { self.cache.finish() } else { self.cache.fail() };
        for slot in &vanished {
            draft.push_stale(&self.cache, *slot, at);
        }
        let duration = self.env.clock.monotonic().saturating_sub(begun);
        figures.seconds = duration.as_secs_f64();
        self.report.push(&mut draft, &self.cache, at, &figures);
        let log = &self.config.scrape_failure_log_file;
        if let Some(error) = error.as_ref().filter(|_| !log.is_empty()) {
            failure_log::write(log, at, error, &self.config.job_name, self.target.url.as_str()).await;
        }
        let stored = self.store(draft, &vanished).await;
        let error = error.or(stored).unwrap_or_default();
        let health = if figures.up { Health::Up } else { Health::Down };
        *self.target.last.lock() = Last { health, error, at: Some(at), duration };
        if figures.up && self.cache.shrink() {
            self.env.metrics.cache_shrinks.inc();
            // They fitted before.
            let _ = self.report.place(&mut self.cache);
        }
    }

    /// Reads the page into the draft; on error the draft is empty.
    fn read(
        &mut self,
        fetched: Result<Page, Failure>,
        at: Timestamp,
        draft: &mut Draft,
    ) -> (Figures, Option<String>) {
        let metrics = &self.env.metrics;
        let page = match fetched {
            Ok(page) => page,
            Err(Failure::TooLarge) => {
                metrics.exceeded_body_size.inc();
                let figures = Figures { body_bytes: -1.0, ..Figures::default() };
                return (figures, Some("body size limit exceeded".to_owned()));
            }
            Err(Failure::Other(error)) => return (Figures::default(), Some(error)),
        };
        self.page_bytes = page.body.len();
        self.cache.begin();
        let mut families = self.target.families.lock();
        let mut ingest = Ingest {
            config: &self.config,
            choice: Choice::of(&self.config, &self.target),
            zero_starts: self.env.zero_starts,
            target: &self.target.labels,
            at,
            cache: &mut self.cache,
            families: &mut families,
            draft,
            tally: Tally::default(),
            state: State::default(),
        };
        let result = ingest.page(&page);
        let tally = ingest.tally;
        draft.batch.metadata = families.take_changed();
        self.samples = draft.slots.len() + draft.slots.len() / 64 + 16;
        metrics.duplicate_timestamp.add(tally.duplicates as f64);
        metrics.out_of_bounds.add(tally.out_of_bounds as f64);
        let body_bytes = page.body.len() as f64;
        let Err((broken, error)) = result else {
            return (Figures { up: true, tally, body_bytes, seconds: 0.0 }, None);
        };
        match broken {
            Broken::Page => {}
            Broken::SampleLimit => metrics.exceeded_sample_limit.inc(),
            Broken::LabelLimit => metrics.exceeded_label_limits.inc(),
            Broken::BucketLimit => metrics.exceeded_bucket_limit.inc(),
        }
        draft.clear();
        (Figures { up: false, tally, body_bytes, seconds: 0.0 }, Some(error))
    }

    /// Hands the batch over; gives an error when nothing of it is promised.
    async fn store(&mut self, mut draft: Draft, stale: &[u32]) -> Option<String> {
        draft.batch.bytes = self.cache.labels();
        let outcome = match self.env.append.append(draft.batch).await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.env.metrics.append_failures.inc();
                self.cache.not_stored(stale);
                tracing::warn!(target = %self.principal.sender, %error, "scrape was not stored");
                return Some(format!("scraped, but not stored: {error}"));
            }
        };
        for (slot, reference) in draft.slots.iter().zip(&outcome.references) {
            if *reference != SeriesRef::NONE {
                self.cache.set_reference(*slot, *reference);
            }
        }
        let metrics = &self.env.metrics;
        for rejection in &outcome.rejections {
            metrics.rejected.inc();
            match rejection.reason {
                Reason::Conflict { .. } | Reason::HistogramConflict { .. } => {
                    metrics.duplicate_timestamp.inc();
                }
                Reason::TooOld { .. } | Reason::TooNew { .. } => metrics.out_of_bounds.inc(),
                _ => {}
            }
        }
        if let Some(first) = outcome.rejections.first() {
            let (rejected, reason) = (outcome.rejections.len(), &first.reason);
            tracing::warn!(target = %self.principal.sender, rejected, first = %reason, "samples were refused");
        }
        None
    }

    /// Writes the stale markers of a target that is gone, as of the scrape it would have had next. It waits as long
    /// as upstream does, because the target may come back in another shape and go on with the same series.
    async fn end(&mut self) {
        let interval = Duration::from(self.target.interval);
        let wait = self.env.clock.monotonic().saturating_sub(self.last_begun.unwrap_or_default());
        let to_next = interval.saturating_sub(wait);
        let at = Timestamp(self.env.now().0 + to_next.as_millis() as i64);
        tokio::select! {
            () = self.env.shutdown.cancelled() => return,
            () = self.env.clock.sleep(to_next + interval + interval / 10) => {}
        }
        if self.env.live.has(&self.target.labels) {
            return;
        }
        let stale = self.cache.fail();
        let mut draft = Draft::new(self.principal.clone(), stale.len());
        for slot in &stale {
            draft.push_stale(&self.cache, *slot, at);
        }
        self.report.push_stale(&mut draft, &self.cache, at);
        self.store(draft, &stale).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stay_on_the_grid() {
        let mut grid = Grid { at: 1_000 };
        let mut check = |now: i64, want: i64| assert_eq!(grid.align(now, 1_000), want, "{now}");
        check(1_000, 1_000);
        check(2_002, 2_000);
        check(3_003, 3_003);
        check(9_001, 9_000);
        check(500, 500);
        check(1_501, 1_500);
        let mut short = Grid { at: 0 };
        assert_eq!(short.align(101, 100), 100);
        assert_eq!(short.align(202, 100), 202);
    }
}
