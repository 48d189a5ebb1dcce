//! When the store flushes: by bytes of the log, by age, when asked to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nave_base::Shutdown;
use nave_base::backoff::Backoff;
use nave_base::metric::{Counter, Registry, Summary};
use nave_wal::{Log, Position};
use tokio::sync::Notify;

use super::{Ending, Flushed, Flusher};
use crate::error::Error;
use crate::pressure::Level;
use crate::retain;
use crate::store::Tsdb;

/// How often it is looked whether a flush or retention is due, and what memory is in use.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// While memory is short, a flush is worth its parts with this much of the log.
const PRESSED_LOG_BYTES: u64 = 4 << 20;
const RETAIN_EVERY: Duration = Duration::from_secs(60);
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(120);

/// What flushing keeps beside the flusher.
#[derive(Debug)]
pub(crate) struct Flushing {
    pub(crate) flusher: Arc<Flusher>,
    one_at_a_time: tokio::sync::Mutex<()>,
    /// Bytes of the log since the last flush.
    unflushed: AtomicU64,
    enough: Notify,
    flushes: Counter,
    failures: Counter,
    samples: Counter,
    seconds: Summary,
}

impl Flushing {
    pub(crate) fn new(flusher: Flusher, log_bytes: u64, registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help);
        Self {
            flusher: Arc::new(flusher),
            one_at_a_time: tokio::sync::Mutex::default(),
            unflushed: AtomicU64::new(log_bytes),
            enough: Notify::new(),
            flushes: counter("nave_tsdb_flushes_total", "Flushes of memory and log into parts."),
            failures: counter(
                "nave_tsdb_flushes_failed_total",
                "Flushes that failed; the next one tries again.",
            ),
            samples: counter("nave_tsdb_flushed_samples_total", "Samples that flushes wrote into parts."),
            seconds: registry.summary("nave_tsdb_flush_duration_seconds", "Time of a flush."),
        }
    }

    pub(crate) fn note_logged(&self, bytes: u64, enough: u64) {
        if self.unflushed.fetch_add(bytes, Ordering::Relaxed) + bytes >= enough {
            self.enough.notify_one();
        }
    }
}

impl Tsdb {
    /// Writes what is only in log and memory into parts and drops the log before them. One at a time.
    ///
    /// # Errors
    /// Of the file system; everything is then as it was, and the next flush tries again.
    pub async fn flush(&self) -> Result<Flushed, Error> {
        self.flush_and_end(None).await
    }

    /// Flushes, and ends the open chunks of some series in the same moment in which the flush takes them.
    pub(crate) async fn flush_and_end(&self, ending: Ending) -> Result<Flushed, Error> {
        let _one_at_a_time = self.flushing.one_at_a_time.lock().await;
        self.head().ready().await;
        let start = self.head().clock.monotonic();
        let result = self.flush_now(ending).await;
        match &result {
            Ok(done) => {
                self.flushing.flushes.inc();
                self.flushing.samples.add(done.samples as f64);
                let took = self.head().clock.monotonic().saturating_sub(start);
                self.flushing.seconds.observe_duration(took);
                let Flushed { seq, parts, samples, bytes, .. } = *done;
                let seconds = took.as_secs_f64();
                tracing::debug!(component = "tsdb", seq, parts, samples, bytes, seconds, "flushed");
            }
            Err(_) => self.flushing.failures.inc(),
        }
        result
    }

    /// Waits until all appends that are under way have ended. New ones wait meanwhile: about as long as a sync takes,
    /// because no flush is let in.
    pub(crate) async fn appends_under_way(&self) {
        let _no_flush = self.flushing.one_at_a_time.lock().await;
        drop(self.commits.write().await);
    }

    async fn flush_now(&self, ending: Ending) -> Result<Flushed, Error> {
        let commits = self.commits.read().await;
        let Some(commits) = commits.as_ref() else { return Err(nave_wal::Error::Closed.into()) };
        let unflushed = self.flushing.unflushed.load(Ordering::Relaxed);
        let log_start = commits.with(cut).await??;
        let flusher = self.flushing.flusher.clone();
        let work = move || flusher.run(log_start, &ending);
        let mut done = tokio::task::spawn_blocking(work).await.map_err(|_| nave_wal::Error::Closed)??;
        self.flushing.unflushed.fetch_sub(unflushed, Ordering::Relaxed);
        if self.reader().catalog.is_synced() {
            let remove = move |log: &mut Log| {
                let before = log.segments().len();
                log.remove_before(log_start).map(|()| before - log.segments().len())
            };
            self.head().counters.wal_truncations.inc();
            let removed = commits.with(remove).await?;
            done.segments_removed =
                removed.inspect_err(|_| self.head().counters.wal_truncations_failed.inc())?;
            retain::remove_checkpoints(&self.disk, &self.log_dir)?;
        }
        let hot_since = self.head().clock.now_ms().saturating_sub(self.head().options.hot_ms);
        self.flushing.flusher.cool(hot_since);
        Ok(done)
    }

    /// Flushes, merges and drops what is due, and watches the space in use, until `shutdown`.
    pub async fn keep(&self, shutdown: Shutdown) {
        tokio::join!(self.keep_flushed(shutdown.clone()), self.keep_files(shutdown));
    }

    async fn keep_flushed(&self, shutdown: Shutdown) {
        let clock = self.head().clock.clone();
        let mut retry = Backoff::new(RETRY_MIN, RETRY_MAX);
        let (mut retained, mut flushed, mut wait) = (clock.monotonic(), clock.monotonic(), Duration::ZERO);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = clock.sleep(LOOK_EVERY) => {}
                () = self.flushing.enough.notified() => {}
            }
            let now = clock.monotonic();
            let pressed = self.relieve(wait.is_zero()).await;
            if self.is_due(now.saturating_sub(flushed), pressed) && now.saturating_sub(flushed) >= wait {
                flushed = now;
                wait = match self.flush().await {
                    Ok(_) => {
                        retry = Backoff::new(RETRY_MIN, RETRY_MAX);
                        Duration::ZERO
                    }
                    Err(error) => {
                        if wait.is_zero() {
                            tracing::error!(component = "tsdb", %error, "flush failed: it is tried again and again");
                        }
                        retry.next_wait()
                    }
                };
            }
            if now.saturating_sub(retained) >= RETAIN_EVERY {
                retained = now;
                if let Err(error) = self.retain().await {
                    tracing::error!(component = "tsdb", %error, "retention failed, the next run tries again");
                }
            }
        }
    }

    /// While memory is short, drops what files have. Gives whether it is short.
    async fn relieve(&self, was_well: bool) -> bool {
        let before = self.pressure.level();
        let level = self.pressure.look(self.head());
        if level > before && was_well {
            tracing::warn!(
                component = "tsdb",
                ?level,
                "memory runs short: less is kept, writes may be slowed down"
            );
        }
        if level == Level::Calm {
            return false;
        }
        let flusher = self.flushing.flusher.clone();
        let work = move || {
            if flusher.cool(i64::MAX) {
                flusher.drop_all_flushed();
            }
        };
        // A panic there was reported by the panic hook.
        let _ = tokio::task::spawn_blocking(work).await;
        true
    }

    fn is_due(&self, since: Duration, pressed: bool) -> bool {
        let options = &self.head().options;
        let bytes = self.flushing.unflushed.load(Ordering::Relaxed);
        let age = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let enough =
            if pressed { PRESSED_LOG_BYTES.min(options.flush_log_bytes) } else { options.flush_log_bytes };
        bytes >= enough || bytes > 0 && age >= options.flush_age_ms
    }
}

/// Begins a segment unless the last one is empty; gives the first that is not flushed then.
fn cut(log: &mut Log) -> Result<u64, nave_wal::Error> {
    let end = log.end();
    if end == Position::start_of(end.segment) { Ok(end.segment) } else { log.cut() }
}
