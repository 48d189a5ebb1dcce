//! Writes that are taken while the samples of the log are still being put into memory.

mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{NOW, builder, dump, dump_started, labels, options};
use futures_util::FutureExt;
use nave_base::clock::FakeClock;
use nave_base::disk::{Disk, Entry, File, Lock, MemoryDisk};
use nave_base::metric::Registry;
use nave_model::append::{Append, Batch, HistogramSample, Reason, SeriesRef};
use nave_model::histogram::Histogram;
use nave_model::select::{Select, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Options, Tsdb};
use parking_lot::{Condvar, Mutex};

/// Until it is opened, the thread that puts samples into memory does not get at the log; after that so many of its
/// attempts fail.
#[derive(Debug, Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    failures: AtomicUsize,
}

impl Gate {
    fn open(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        let mut open = self.open.lock();
        self.opened.wait_while(&mut open, |open| !*open);
        let left =
            self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() { Err(io::Error::other("the disk is tired")) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct Gated(MemoryDisk, Arc<Gate>);

impl Disk for Gated {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let is_log = path.extension().is_some_and(|extension| extension == "wal");
        if is_log && std::thread::current().name() == Some("tsdb-warm") {
            self.1.pass()?;
        }
        self.0.open(path)
    }
    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.0.append(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Lock> {
        self.0.lock(path)
    }
}

fn settings() -> Options {
    Options { background_series_min: 0, replay_threads: Some(1), retention_ms: None, hot_ms: 0, ..options() }
}

fn open(disk: &MemoryDisk, gate: &Arc<Gate>) -> Tsdb {
    let disk = Arc::new(Gated(disk.clone(), gate.clone()));
    Tsdb::open(settings(), disk, FakeClock::at(NOW), &Registry::default()).unwrap()
}

/// Floats of series: name, seconds before now, start, value.
fn floats(samples: &[(&str, i64, i64, f64)]) -> Batch {
    let mut builder = builder();
    for (name, ago, start, value) in samples {
        let builder = builder.series(&labels(&[("__name__", name)]), SeriesRef::NONE);
        builder.started_sample(Timestamp(NOW - ago * 1000), Timestamp(*start), *value);
    }
    builder.build()
}

fn histogram(ago: i64) -> Batch {
    let mut builder = builder();
    let histogram = Arc::new(Histogram { count: 3.0, sum: 1.0, ..Histogram::default() });
    let sample = HistogramSample { timestamp: Timestamp(NOW - ago * 1000), start_timestamp: None, histogram };
    builder.series(&labels(&[("__name__", "h")]), SeriesRef::NONE).histogram(sample);
    builder.build()
}

/// What a killed process leaves: in-order and late floats, a histogram, all of it in the log alone.
async fn fill(gate: &Arc<Gate>) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let tsdb = open(&disk, gate);
    // The registry knows how the sender spells the series.
    tsdb.append(floats(&[("a", 200, 5, 1.0), ("b", 200, 0, 1.0), ("h", 200, 0, 1.0)])).await.unwrap();
    tsdb.flush().await.unwrap();
    for batch in [
        floats(&[("a", 90, 5, 1.0), ("a", 80, 5, 2.0), ("b", 50, 0, 3.0)]),
        floats(&[("a", 100, 4, 0.0), ("b", 40, 0, 4.0)]),
        histogram(30),
    ] {
        tsdb.append(batch).await.unwrap();
    }
    disk.after_power_cut(0)
}

fn opened() -> Arc<Gate> {
    let gate = Arc::new(Gate::default());
    gate.open();
    gate
}

#[tokio::test]
async fn newer_floats_of_known_series_are_taken_at_once_and_exactly() {
    let disk = fill(&opened()).await;
    let before = dump_started(&open(&disk.after_power_cut(0), &opened())).await;
    let gate = Arc::new(Gate::default());
    gate.failures.store(2, Ordering::Relaxed);
    let tsdb = open(&disk, &gate);
    let outcome = tsdb.append(floats(&[("a", 9, 7, 1.0), ("b", 9, 0, 1.0), ("a", 5, 7, 2.0)])).await.unwrap();
    assert_eq!(outcome.samples.stored, 3);
    // Again, with another start: no news. Another value: refused. Older than these, newer than the log's: taken.
    let outcome = tsdb.append(floats(&[("a", 9, 8, 1.0), ("a", 9, 7, 1.5), ("a", 7, 6, 9.0)])).await.unwrap();
    let tally = outcome.samples;
    assert_eq!((tally.duplicate, tally.rejected, tally.stored), (1, 1, 1));
    let refused = &outcome.rejections[0].reason;
    assert!(matches!(refused, Reason::Conflict { stored: 1.0, sent: 1.5, .. }), "{refused}");

    // What the log may know better waits.
    let mut again = tsdb.append(floats(&[("a", 80, 5, 2.0), ("a", 4, 7, 3.0)]));
    let mut other = tsdb.append(floats(&[("b", 40, 0, 9.0)]));
    let mut on_histogram = tsdb.append(floats(&[("h", 30, 0, 9.0)]));
    let mut unknown = tsdb.append(floats(&[("c", 1, 0, 1.0)]));
    let mut query = Select::open(&tsdb, Selection::new(vec![], TimeRange::ALL));
    for waiting in [&mut again, &mut other, &mut on_histogram, &mut unknown] {
        assert!(waiting.now_or_never().is_none());
    }
    assert!((&mut query).now_or_never().is_none());

    // A kill in this moment: what was acknowledged is in the log.
    let mut want = before;
    let key = |name: &str, ago: i64| (labels(&[("__name__", name)]), NOW - ago * 1000);
    for (name, ago, start, value) in [("a", 9, 7, 1.0), ("b", 9, 0, 1.0), ("a", 5, 7, 2.0), ("a", 7, 6, 9.0)]
    {
        want.insert(key(name, ago), (f64::to_bits(value), start));
    }
    assert_eq!(dump_started(&open(&disk.after_power_cut(0), &opened())).await, want);

    gate.open();
    let tally = again.await.unwrap().samples;
    assert_eq!((tally.duplicate, tally.stored), (1, 1));
    assert_eq!(other.await.unwrap().samples.rejected, 1);
    assert_eq!(on_histogram.await.unwrap().samples.rejected, 1);
    assert_eq!(unknown.await.unwrap().samples.stored, 1);
    want.insert(key("a", 4), (3.0_f64.to_bits(), 7));
    want.insert(key("c", 1), (1.0_f64.to_bits(), 0));
    assert_eq!(query.await.unwrap().len(), 4);
    assert_eq!(dump_started(&tsdb).await, want);
    assert_eq!(tsdb.replayed().samples, 6);
    let outcome = tsdb.append(floats(&[("a", 5, 7, 2.5), ("a", 7, 0, 9.0)])).await.unwrap();
    assert_eq!(
        (outcome.samples.rejected, outcome.samples.duplicate),
        (1, 1),
        "what was held is in its series"
    );
    for round in 0..3 {
        tsdb.flush().await.unwrap();
        assert_eq!(dump_started(&tsdb).await, want, "flush {round}");
    }
    assert_eq!(dump_started(&open(&disk.after_power_cut(0), &opened())).await, want);
}

/// A write that fails leaves its samples in memory here too; sending it again makes it durable.
#[tokio::test]
async fn a_write_that_failed_is_logged_again() {
    let disk = fill(&opened()).await;
    let gate = Arc::new(Gate::default());
    let tsdb = open(&disk, &gate);
    disk.set_limit(Some(0));
    tsdb.append(floats(&[("a", 9, 7, 1.0)])).await.unwrap_err();
    disk.set_limit(None);
    let again = tsdb.append(floats(&[("a", 9, 7, 1.0)])).await.unwrap();
    assert_eq!(again.samples.duplicate, 1);
    gate.open();
    let want = dump(&tsdb).await;
    assert!(want.contains_key(&(labels(&[("__name__", "a")]), NOW - 9000)));
    assert_eq!(dump(&open(&disk.after_power_cut(0), &opened())).await, want);
}

/// A flush and retention wait: a series without a sample may have some in the log.
#[tokio::test]
async fn nothing_is_dropped_before_all_is_there() {
    let disk = fill(&opened()).await;
    let want = dump(&open(&disk.after_power_cut(0), &opened())).await;
    let gate = Arc::new(Gate::default());
    let tsdb = open(&disk, &gate);
    let (mut flush, mut retain) = (Box::pin(tsdb.flush()), Box::pin(tsdb.retain()));
    assert!((&mut flush).now_or_never().is_none() && (&mut retain).now_or_never().is_none());
    gate.open();
    assert_eq!(retain.await.unwrap().series_removed, 0);
    assert_eq!(flush.await.unwrap().samples, 6);
    assert_eq!(dump(&tsdb).await, want);
}
