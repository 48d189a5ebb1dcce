//! The agent's queue: samples on disk until every endpoint has them.
//!
//! It takes everything in order of arrival and judges nothing but label sets; duplicates and samples out
//! of order are the receiver's business. What is acknowledged is in the log, synced once per group of
//! batches. The queue is bounded in bytes and age: when it is full the oldest segment goes, and what was
//! lost is counted and logged with its time range. The bytes are described in `docs/format/queue.md`.
//!
//! One thread owns the log; readers open the files themselves and stop at the durable end.

mod metric;
mod position;
mod record;
mod retention;
mod series;
mod tail;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nave_base::clock::SharedClock;
use nave_base::disk::{Lock, SharedDisk};
use nave_base::metric::Registry;
use nave_model::append::{Append, AppendError, Batch, Outcome};
use nave_model::time::Timestamp;
use nave_wal::{Log, Opened, Position, Reader};
use tokio::sync::{mpsc, oneshot, watch};

use self::metric::QueueMetrics;
use self::position::Positions;
use self::retention::Retention;
use self::series::SeriesTable;
use self::tail::QueueTail;
use self::writer::{Request, Writer};
use crate::{Delivered, Error, Gap, Metrics, Source, Tail};

/// Batches that may wait for the writer; more callers wait to be let in.
const WAITING_MAX: usize = 256;
/// A segment is at most this large and this old, so that what was delivered goes soon.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
const SEGMENT_BYTES_MIN: u64 = 4 << 10;
const SEGMENT_AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// The bounds hold to this part: a segment is a sixteenth of the bytes and of the age.
const SEGMENTS: u32 = 16;

/// Where the queue is and how large it may grow.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// The folder of the log and of the position files; nobody else writes there.
    pub dir: PathBuf,
    /// Bound on the bytes of all segments. The newest segment stays whatever its size.
    pub bytes_max: u64,
    /// Samples that came longer ago are removed, delivered or not.
    pub retention_max: Duration,
    /// Whether an append waits until the disk has it (one sync per group). Without it a power cut, but no
    /// `kill -9`, may lose what was acknowledged last.
    pub fsync: bool,
    /// A new segment begins when the current one has this size (`--storage.agent.wal-segment-size`); the
    /// bounds hold to this grain.
    pub segment_bytes: u64,
    /// Whether the folder is locked, so that no second process writes there.
    pub lock: bool,
}

impl QueueOptions {
    /// Synced, up to `bytes_max` bytes and four hours, which is upstream's
    /// `--storage.agent.retention.max-time`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, bytes_max: u64) -> Self {
        let segment_bytes = (bytes_max / u64::from(SEGMENTS)).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        Self {
            dir: dir.into(),
            bytes_max,
            retention_max: Duration::from_secs(4 * 3600),
            fsync: true,
            segment_bytes,
            lock: true,
        }
    }

    fn segment_age(&self) -> Duration {
        (self.retention_max / SEGMENTS).min(SEGMENT_AGE_MAX).max(Duration::from_secs(1))
    }
}

/// See the module. Dropping it ends the writer after what waits has been written.
#[derive(Debug)]
pub struct Queue {
    options: QueueOptions,
    disk: SharedDisk,
    positions: Arc<Positions>,
    newest_ms: Arc<AtomicI64>,
    durable: watch::Receiver<Position>,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<thread::JoinHandle<()>>,
    _lock: Option<Lock>,
}

impl Queue {
    /// Opens or makes the queue. A torn end is cut and logged; a new segment begins. Blocks on the disk.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or another process has it.
    pub fn open(
        options: QueueOptions,
        disk: SharedDisk,
        clock: SharedClock,
        registry: &Registry,
        shared: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let began = clock.monotonic();
        let metrics = Arc::new(QueueMetrics::register(registry));
        let lock = if options.lock { Some(lock(&disk, &options.dir)?) } else { None };
        // Segments are cut by the writer, which must know where one begins.
        let log = open_log(&options, &disk, &metrics)?;
        let positions = Arc::new(Positions::load(disk.clone(), &options.dir, log.end())?);
        let retention = Retention::new(
            options.clone(),
            disk.clone(),
            clock.clone(),
            positions.clone(),
            metrics.clone(),
            shared.clone(),
            &log,
        );
        metrics.bytes_max.set(options.bytes_max as f64);
        metrics.replay_seconds.set((clock.monotonic().saturating_sub(began)).as_secs_f64());
        let newest_ms = Arc::new(AtomicI64::new(i64::MIN));
        let (say, durable) = watch::channel(log.end());
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        let fresh = log.end() == Position::start_of(log.end().segment);
        let writer = Writer {
            log,
            options: options.clone(),
            clock,
            series: SeriesTable::new(),
            retention,
            metrics,
            shared,
            durable: say,
            newest_ms: newest_ms.clone(),
            broken: true,
            segment_begun_ms: 0,
            fresh,
        };
        let writer =
            thread::Builder::new().name("remote-queue".to_owned()).spawn(move || writer.run(waiting));
        let writer = writer.map_err(|error| Error::File { path: options.dir.clone(), error })?;
        let (requests, writer) = (Some(requests), Some(writer));
        Ok(Self { options, disk, positions, newest_ms, durable, requests, writer, _lock: lock })
    }

    /// Says who must get the samples. Until then nothing counts as delivered to all; positions of
    /// endpoints that are not named any more are forgotten. A new one starts at the oldest data.
    pub fn set_endpoints(&self, names: &[String]) {
        self.positions.set_endpoints(names);
        self.trim();
    }

    /// Lets the writer remove segments; when it is busy, its next group does so anyway.
    fn trim(&self) {
        if let Some(requests) = &self.requests {
            let _ = requests.try_send(Request::Trim);
        }
    }
}

/// As upstream names the file.
const LOCK_FILE: &str = "lock";

fn lock(disk: &SharedDisk, dir: &Path) -> Result<Lock, Error> {
    let path = dir.join(LOCK_FILE);
    let locked = disk.create_dir_all(dir).and_then(|()| disk.lock(&path));
    locked.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Locked { dir: dir.to_owned() },
        _ => Error::File { path, error },
    })
}

fn open_log(options: &QueueOptions, disk: &SharedDisk, metrics: &QueueMetrics) -> Result<Log, Error> {
    let log_options = nave_wal::Options { segment_bytes: u64::MAX };
    let Opened { log, repair } = Log::open(disk.clone(), &options.dir, log_options)?;
    if let Some(nave_wal::Repair { segment, offset, lost_bytes }) = repair {
        metrics.corruptions.inc();
        tracing::warn!(
            segment,
            offset,
            lost_bytes,
            "remote_write: the queue ended in a torn record, which was cut off"
        );
    }
    Ok(log)
}

impl Append for Queue {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>> {
        Box::pin(async move {
            let closed = AppendError::Closed("the queue is closed");
            let Some(requests) = &self.requests else { return Err(closed) };
            let (answer, answered) = oneshot::channel();
            if requests.send(Request::Append(Box::new(batch), answer)).await.is_err() {
                return Err(closed);
            }
            answered.await.unwrap_or(Err(closed))
        })
    }
}

impl Source for Queue {
    fn resume(&self, endpoint: &str) -> Delivered {
        self.positions.resume(endpoint)
    }

    fn tail(&self, from: Position) -> Box<dyn Tail> {
        Box::new(QueueTail::new(from, |at| Reader::at(self.disk.clone(), &self.options.dir, at)))
    }

    fn durable_end(&self) -> watch::Receiver<Position> {
        self.durable.clone()
    }

    fn delivered(&self, endpoint: &str, delivered: &Delivered) -> Result<(), Error> {
        let result = self.positions.set(endpoint, delivered);
        self.trim();
        result
    }

    fn notes(&self, endpoint: &str) -> Vec<u8> {
        self.positions.notes(endpoint)
    }

    fn set_notes(&self, endpoint: &str, notes: &[u8]) -> Result<(), Error> {
        self.positions.set_notes(endpoint, notes)
    }

    fn append_notes(&self, endpoint: &str, more: &[u8]) -> Result<(), Error> {
        self.positions.append_notes(endpoint, more)
    }

    fn newest(&self) -> Timestamp {
        Timestamp(self.newest_ms.load(Ordering::Relaxed).max(0))
    }

    fn bytes(&self, gap: Gap) -> u64 {
        let Ok(names) = self.disk.list(&self.options.dir) else { return 0 };
        let segments = names.iter().filter_map(|entry| {
            let number: u64 = entry.name.strip_suffix(".wal")?.parse().ok()?;
            (gap.from.segment..=gap.to.segment).contains(&number).then_some((number, entry.len))
        });
        let here = segments.map(|(number, len)| {
            let end = if number == gap.to.segment { len.min(gap.to.offset) } else { len };
            end.saturating_sub(if number == gap.from.segment { gap.from.offset } else { 0 })
        });
        here.sum()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was reported by its own thread.
            let _ = writer.join();
        }
    }
}
