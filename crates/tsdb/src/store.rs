//! The store as its callers see it: open, append, keep, close.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use nave_base::clock::SharedClock;
use nave_base::disk::{Lock, SharedDisk};
use nave_base::metric::{Histogram, Registry, Summary};
use nave_base::random::Random;
use nave_model::append::{Append, AppendError, Batch, Outcome, Tenant};
use nave_model::label::Labels;
use nave_wal::{GroupCommit, Log, Position};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::catalog::Catalog;
use crate::compact::{self, Compactor};
use crate::error::Error;
use crate::flush::{Flusher, Flushing};
use crate::head::Head;
use crate::ingest::{self, Applied};
use crate::lookup::Secret;
use crate::options::Options;
use crate::pressure::Pressure;
use crate::replay::{self, Replayed};
use crate::retain::{self, Retained};
use crate::select::{Damages, Reader};
use crate::statistics::{self, HeadStatistics, Statistics};
use crate::{metric, record};

/// The same name and kind of lock as upstream's, so that the two never share a folder.
const LOCK_FILE: &str = "lock";
pub(crate) const LOG_DIR: &str = "log";
const COMMIT: &str = "From handing records to the log until they were durable, with one fsync per group.";
const COMMIT_BOUNDS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];
/// A probe writes as much as the write that failed, up to this.
const PROBE_BYTES_MAX: usize = 32 << 20;

/// Recent samples of all tenants: in memory for queries, in a log for safety. Share it in an `Arc`.
#[derive(Debug)]
pub struct Tsdb {
    head: Arc<Head>,
    pub(crate) disk: SharedDisk,
    pub(crate) log_dir: PathBuf,
    pub(crate) commits: tokio::sync::RwLock<Option<GroupCommit>>,
    durable: watch::Receiver<Position>,
    /// The last log write failed: new batches first wait for a probe to succeed.
    failing: AtomicBool,
    failed_bytes: AtomicUsize,
    probe: tokio::sync::Mutex<()>,
    retaining: tokio::sync::Mutex<()>,
    pub(crate) flushing: Flushing,
    pub(crate) compactor: Arc<Compactor>,
    pub(crate) pressure: Pressure,
    replayed: Arc<Mutex<Replayed>>,
    commit_seconds: Histogram,
    fsync: Summary,
    gc: Summary,
    lock: Mutex<Option<Lock>>,
    /// What queries see: memory and files.
    reader: Reader,
}

impl Tsdb {
    /// Opens the store in `options.dir` and rebuilds memory from its log. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has the folder, else of the file system or a log of the future.
    /// Damage is no error: see [`Tsdb::replayed`].
    pub fn open(
        options: Options,
        disk: SharedDisk,
        clock: SharedClock,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let dir = options.dir.clone();
        let log_dir = dir.join(LOG_DIR);
        let lock = if options.lock { Some(take_lock(&dir, &disk)?) } else { None };
        let start = clock.monotonic();
        let wal = nave_wal::Options { segment_bytes: options.segment_bytes };
        let secret = Secret::open(&disk, &dir).map_err(|error| Error::folder(&dir, &error))?;
        let pressure = Pressure::new(&options);
        pressure.register(registry);
        let (random, cache) = (Random::from_system(), pressure.page_cache());
        let (catalog, _) = Catalog::open(disk.clone(), &dir, clock.clone(), random, cache)?;
        let catalog = Arc::new(catalog);
        let head = Arc::new(Head::new(options, clock, secret));
        let opened = Log::open(disk.clone(), &log_dir, wal)?;
        if let Some(repair) = opened.repair {
            tracing::warn!(
                component = "tsdb",
                segment = repair.segment,
                offset = repair.offset,
                lost_bytes = repair.lost_bytes,
                "cut the torn tail of the log: the write that was under way at the last stop"
            );
        }
        let damages = Arc::new(Damages::register(registry));
        let reader = Reader { head: head.clone(), catalog: catalog.clone(), damages };
        let (mut found, samples) = replay::replay(&head, &disk, (&dir, &log_dir), &catalog.version())?;
        found.cut_bytes = opened.repair.map_or(0, |repair| repair.lost_bytes);
        let (named, series) = (found.named, found.series);
        let replayed = Arc::new(Mutex::new(found.clone()));
        replay::warm(&head, samples, found, whole(&head, registry, start, replayed.clone()))?;
        let log_bytes = opened.log.segments().iter().map(|segment| segment.bytes).sum();
        let compactor = compact::of(&head, &catalog, &disk, registry);
        let flusher = Flusher::new(head.clone(), catalog, disk.clone(), dir, named);
        let flushing = Flushing::new(flusher, log_bytes, registry);
        let seconds = (head.clock.monotonic() - start).as_secs_f64();
        metric::register(registry, &head);
        tracing::info!(component = "tsdb", series, seconds, "writes are taken");
        *head.counters.wal_segment.lock() = opened.log.end().segment;
        *head.counters.wal_bytes.lock() = log_bytes;
        let commits = GroupCommit::start(opened.log, "tsdb-log")?;
        Ok(Self {
            head,
            disk,
            log_dir,
            durable: commits.subscribe(),
            commits: tokio::sync::RwLock::new(Some(commits)),
            failing: AtomicBool::new(false),
            failed_bytes: AtomicUsize::new(0),
            probe: tokio::sync::Mutex::default(),
            retaining: tokio::sync::Mutex::default(),
            flushing,
            compactor,
            pressure,
            replayed,
            commit_seconds: registry.histogram(
                "nave_tsdb_wal_commit_duration_seconds",
                COMMIT,
                COMMIT_BOUNDS,
            ),
            fsync: registry.summary("prometheus_tsdb_wal_fsync_duration_seconds", COMMIT),
            gc: registry.summary("prometheus_tsdb_head_gc_duration_seconds", "Time of a run of retention."),
            lock: Mutex::new(lock),
            reader,
        })
    }

    #[cfg(test)]
    pub(crate) fn disk(&self) -> &SharedDisk {
        &self.disk
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// What the last start found in the log; with many series what became of their samples is known only when queries are
    /// answered.
    #[must_use]
    pub fn replayed(&self) -> Replayed {
        self.replayed.lock().clone()
    }

    /// Where the log lies, for a reader that tails it: [`crate::record`] decodes it.
    #[must_use]
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// The labels of the series that the log calls `id`, while it lives; for a reader that begins in the middle.
    #[must_use]
    pub fn labels_of(&self, id: u32) -> Option<Labels> {
        self.head.table.get(id).map(|series| series.labels.clone())
    }

    /// Follows the durable end of the log.
    #[must_use]
    pub fn log_end(&self) -> watch::Receiver<Position> {
        self.durable.clone()
    }

    /// The oldest time that is taken and kept now, by age and by size, in ms.
    #[must_use]
    pub fn oldest(&self) -> i64 {
        self.head.oldest_at(self.head.clock.now_ms())
    }

    /// Numbers about the head, cheap.
    #[must_use]
    pub fn head_stats(&self) -> HeadStatistics {
        statistics::head_statistics(&self.head)
    }

    /// Numbers with the labels of `tenant` that weigh most, at most `limit` per list.
    #[must_use]
    pub fn statistics(&self, tenant: &Tenant, limit: usize) -> Statistics {
        statistics::statistics(&self.head, tenant, limit)
    }

    /// Series in memory whose `cluster` label is `cluster`.
    #[must_use]
    pub fn series_of_cluster(&self, tenant: &Tenant, cluster: &str) -> usize {
        statistics::series_of_cluster(&self.head, tenant, cluster)
    }

    /// Bytes of samples in memory, without labels and tables. Visits every series.
    #[must_use]
    pub fn sample_bytes(&self) -> usize {
        statistics::sample_bytes(&self.head)
    }

    async fn take(&self, batch: Batch) -> Result<Outcome, AppendError> {
        self.compactor.check_writable()?;
        if self.failing.load(Ordering::Acquire) {
            self.try_again().await?;
        }
        self.pressure.check()?;
        let commits = self.commits.read().await;
        let Some(commits) = commits.as_ref() else { return Err(AppendError::Closed("the store is closed")) };
        if !self.head.is_ready() {
            self.until_taken(&batch).await;
        }
        let Applied { outcome, records, flight } = ingest::apply(&self.head, &batch)?;
        drop(batch);
        if !records.is_empty() {
            let bytes = records.iter().map(|(_, payload)| payload.len()).sum();
            let start = self.head.clock.monotonic();
            match commits.commit(records).await {
                Ok(position) => self.note(position, bytes),
                Err(error) => return Err(self.failed(&error, bytes)),
            }
            let took = self.head.clock.monotonic().saturating_sub(start);
            self.commit_seconds.observe_duration(took);
            self.fsync.observe_duration(took);
        }
        flight.landed();
        Ok(outcome)
    }

    /// After a start: resolves when `batch` can be taken.
    async fn until_taken(&self, batch: &Batch) {
        let waits = self.head.early.read().as_ref().is_some_and(|early| !early.takes(&self.head, batch));
        if waits {
            self.head.replayed().await;
        }
        if !ingest::is_known(&self.head, batch) {
            self.head.ready().await;
        }
    }

    fn note(&self, position: Position, bytes: usize) {
        *self.head.counters.wal_segment.lock() = position.segment;
        self.compactor.room.spend(bytes as u64);
        self.flushing.note_logged(bytes as u64, self.head.options.flush_log_bytes);
    }

    fn failed(&self, error: &nave_wal::Error, bytes: usize) -> AppendError {
        self.head.counters.wal_writes_failed.inc();
        if matches!(error, nave_wal::Error::Full { .. } | nave_wal::Error::Io { .. }) {
            self.failed_bytes.store(bytes.min(PROBE_BYTES_MAX), Ordering::Relaxed);
            if !self.failing.swap(true, Ordering::AcqRel) {
                tracing::error!(component = "tsdb", %error, "log write failed: writes are refused, reads go on");
            }
        }
        append_error(error)
    }

    /// While the log fails, nothing more goes to memory: a write of the size that failed must succeed first.
    async fn try_again(&self) -> Result<(), AppendError> {
        let _one_at_a_time = self.probe.lock().await;
        if !self.failing.load(Ordering::Acquire) {
            return Ok(());
        }
        let commits = self.commits.read().await;
        let Some(commits) = commits.as_ref() else { return Err(AppendError::Closed("the store is closed")) };
        let padding = vec![0; self.failed_bytes.load(Ordering::Relaxed)];
        let probed = commits.commit(vec![(record::PROBE, padding)]).await;
        probed.map_err(|error| append_error(&error))?;
        self.failing.store(false, Ordering::Release);
        tracing::info!(component = "tsdb", "log writes succeed again: writes are taken");
        Ok(())
    }

    /// Drops what is older than retention or over its size. Call it now and then, or use [`Tsdb::keep`].
    ///
    /// # Errors
    /// Of the log; what could not be dropped is tried again by the next run.
    pub async fn retain(&self) -> Result<Retained, Error> {
        let _one_at_a_time = self.retaining.lock().await;
        // Until then a series without a sample is not one that has none.
        self.head.ready().await;
        let start = self.head.clock.monotonic();
        let oldest = self.head.oldest_at(self.head.clock.now_ms());
        let head = self.head.clone();
        let oldest_part = self.flushing.flusher.oldest_part();
        let work = move || retain::drop_from_memory(&head, oldest, oldest_part);
        let series_removed = tokio::task::spawn_blocking(work).await.map_err(|_| nave_wal::Error::Closed)?;
        let mut segments_removed = 0;
        if self.log_bytes().await? > self.head.retention.read().1.unwrap_or(u64::MAX) {
            segments_removed = self.flush().await?.segments_removed;
        }
        let log_bytes = self.log_bytes().await?;
        *self.head.counters.wal_bytes.lock() = log_bytes;
        self.gc.observe_duration(self.head.clock.monotonic().saturating_sub(start));
        Ok(Retained { series_removed, segments_removed, oldest, log_bytes })
    }

    async fn log_bytes(&self) -> Result<u64, Error> {
        let commits = self.commits.read().await;
        let Some(commits) = commits.as_ref() else { return Err(nave_wal::Error::Closed.into()) };
        let segments = commits.with(|log| log.segments()).await?;
        Ok(segments.iter().map(|segment| segment.bytes).sum())
    }

    /// Waits for appends that are under way, syncs, and gives the folder free. Reads go on.
    pub async fn close(&self) {
        self.compactor.stop();
        let commits = self.commits.write().await.take();
        // Joining the log's thread may wait for a sync.
        let compactor = self.compactor.clone();
        let ended = move || {
            drop(commits);
            compactor.wait();
        };
        let joined = tokio::task::spawn_blocking(ended).await;
        if joined.is_err() {
            tracing::error!(component = "tsdb", "the log's thread ended by a panic");
        }
        *self.lock.lock() = None;
    }
}

/// What is told when memory is whole.
fn whole(
    head: &Arc<Head>,
    registry: &Registry,
    start: Duration,
    replayed: Arc<Mutex<Replayed>>,
) -> impl FnOnce(Replayed) + Send + 'static {
    let name = "prometheus_tsdb_data_replay_duration_seconds";
    let gauge = registry.gauge(name, "Time taken to rebuild memory from the log.");
    let clock = head.clock.clone();
    move |found| {
        let seconds = (clock.monotonic() - start).as_secs_f64();
        gauge.set(seconds);
        let (series, samples) = (found.series, found.samples);
        tracing::info!(
            component = "tsdb",
            series,
            samples,
            seconds,
            "memory is rebuilt: queries are answered"
        );
        *replayed.lock() = found;
    }
}

impl Append for Tsdb {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>> {
        Box::pin(self.take(batch))
    }
}

pub(crate) fn take_lock(dir: &Path, disk: &SharedDisk) -> Result<Lock, Error> {
    let failed = |error: std::io::Error| Error::Folder { dir: dir.to_owned(), message: error.to_string() };
    disk.create_dir_all(dir).map_err(failed)?;
    disk.lock(&dir.join(LOCK_FILE)).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::InUse { dir: dir.to_owned() },
        _ => failed(error),
    })
}

fn append_error(error: &nave_wal::Error) -> AppendError {
    match error {
        nave_wal::Error::Full { .. } => AppendError::Full { what: error.to_string() },
        nave_wal::Error::Closed => AppendError::Closed("the store is closed"),
        _ => AppendError::Io(error.to_string()),
    }
}
