//! Flushes: what was acknowledged is read before, during and after them, over crashes and failures.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{NOW, append, builder, dump, labels, options};
use nave_base::clock::FakeClock;
use nave_base::disk::{FaultDisk, MemoryDisk, SharedDisk};
use nave_base::metric::Registry;
use nave_model::append::{Append, HistogramSample, SeriesRef};
use nave_model::histogram::Histogram;
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::select::{Select, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Error, Options, Tsdb};

const HOUR: i64 = 3_600_000;

fn metric(name: &str, instance: usize) -> Labels {
    labels(&[("__name__", name), ("instance", &format!("host{instance}"))])
}

fn try_open(disk: SharedDisk, options: Options) -> Result<Tsdb, Error> {
    Tsdb::open(options, disk, FakeClock::at(NOW), &Registry::default())
}

fn open(disk: &MemoryDisk, options: Options) -> Tsdb {
    try_open(Arc::new(disk.clone()), options).unwrap()
}

/// In-order samples of many windows, late ones, series that end and that begin.
async fn fill(tsdb: &Tsdb, round: i64) {
    for step in 0..6 {
        let t = NOW - 40 * HOUR + round * 3 * HOUR + step * HOUR / 2;
        let mut samples = Vec::new();
        for instance in 0..7 {
            let name = ["up", "cpu", "mem"][instance % 3];
            samples.push((metric(name, instance), t, (round * 100 + step) as f64));
            if step == 5 {
                // Late: before everything that memory can have.
                samples.push((metric(name, instance), t - 100 * HOUR + instance as i64 * 10 * HOUR, 0.5));
            }
        }
        samples.push((metric("churn", (round * 10 + step) as usize), t, 1.0));
        let outcome = append(tsdb, &samples).await;
        assert_eq!(outcome.samples.rejected, 0, "{:?}", outcome.rejections);
    }
}

#[tokio::test]
async fn nothing_changes_for_readers() {
    for hot_ms in [0, 45 * 60_000] {
        let disk = MemoryDisk::default();
        let options = Options { hot_ms, retention_ms: None, ..options() };
        let tsdb = open(&disk, options.clone());
        for round in 0..8 {
            fill(&tsdb, round).await;
            let before = dump(&tsdb).await;
            let done = tsdb.flush().await.unwrap();
            assert!(done.parts > 1 && done.samples > 0, "{done:?}");
            assert_eq!(dump(&tsdb).await, before, "round {round}, hot {hot_ms}");
            assert_eq!(tsdb.flush().await.unwrap().samples, 0, "once is enough");
            let after = open(&disk.after_power_cut(0), options.clone());
            assert_eq!(dump(&after).await, before, "after a restart, round {round}, hot {hot_ms}");
            assert_eq!(after.replayed().samples, 0, "nothing is left to replay");
            assert_eq!(after.replayed().damages, Vec::<String>::new());
        }
        if hot_ms == 0 {
            // What was flushed before the last flush has left memory.
            tsdb.flush().await.unwrap();
            assert_eq!(tsdb.sample_bytes(), 0);
        }
    }
}

#[tokio::test]
async fn appends_after_a_restart_go_on() {
    let disk = MemoryDisk::default();
    let options = Options { hot_ms: 0, retention_ms: None, ..options() };
    let mut tsdb = open(&disk, options.clone());
    let mut want = BTreeMap::new();
    for round in 0..6 {
        fill(&tsdb, round).await;
        // The same again: duplicates of what is in memory, in the log, or in files.
        fill(&tsdb, round).await;
        if round > 0 {
            fill(&tsdb, round - 1).await;
        }
        want.append(&mut dump(&tsdb).await);
        if round % 2 == 0 {
            tsdb.flush().await.unwrap();
        }
        if round % 3 == 0 {
            drop(tsdb);
            tsdb = open(&disk, options.clone());
        }
        assert_eq!(dump(&tsdb).await, want, "round {round}");
    }
}

#[tokio::test]
async fn a_reader_keeps_what_it_opened() {
    let disk = MemoryDisk::default();
    let tsdb = open(&disk, Options { hot_ms: 0, retention_ms: None, ..options() });
    fill(&tsdb, 1).await;
    let before = dump(&tsdb).await;
    let selected = tsdb.open(Selection::new(vec![], TimeRange::ALL)).await.unwrap();
    for round in 2..5 {
        tsdb.flush().await.unwrap();
        fill(&tsdb, round).await;
    }
    let pages = selected.fetch(0..selected.len()).await.unwrap();
    let mut columns = nave_model::select::Columns::default();
    let mut found = 0;
    for index in 0..selected.len() {
        pages.decode(index, &mut columns).unwrap();
        for (t, value) in columns.timestamps.iter().zip(&columns.values) {
            found += usize::from(before.get(&(selected.labels(index), t.0)) == Some(&value.to_bits()));
        }
    }
    assert_eq!(found, before.len());
}

#[tokio::test]
async fn histograms_are_flushed_and_dropped() {
    let disk = MemoryDisk::default();
    let options = Options { hot_ms: 0, ..options() };
    let tsdb = open(&disk, options.clone());
    for i in 0..5 {
        let histogram = Arc::new(Histogram { schema: 1, count: i as f64, sum: 2.0, ..Histogram::default() });
        let mut builder = builder();
        let sample =
            HistogramSample { timestamp: Timestamp(NOW - i * 1000), start_timestamp: None, histogram };
        builder.series(&metric("h", 1), SeriesRef::NONE).histogram(sample);
        builder.series(&metric("h", 1), SeriesRef::NONE).sample(Timestamp(NOW - i * 1000 - 500), 1.0);
        tsdb.append(builder.build()).await.unwrap();
    }
    let shown = |tsdb: Tsdb| async move {
        let selection = Selection::new(vec![Matcher::metric_name("h")], TimeRange::ALL);
        let selected = Select::open(&tsdb, selection).await.unwrap();
        let pages = selected.fetch(0..1).await.unwrap();
        let mut columns = nave_model::select::Columns::default();
        pages.decode(0, &mut columns).unwrap();
        (format!("{columns:?}"), tsdb)
    };
    let (before, tsdb) = shown(tsdb).await;
    for _ in 0..3 {
        tsdb.flush().await.unwrap();
    }
    assert_eq!(tsdb.sample_bytes(), 0);
    let (after, _) = shown(tsdb).await;
    assert_eq!(after, before);
    let (again, _) = shown(open(&disk.after_power_cut(0), options)).await;
    assert_eq!(again, before);
}

/// The power goes amid any operation of a flush: old or new, nothing lost. What fails leaves a store that goes on.
#[tokio::test]
async fn a_power_cut_anywhere_loses_nothing() {
    let options = Options { hot_ms: 0, retention_ms: None, ..options() };
    let mut operation = 0;
    loop {
        let disk = FaultDisk::new(operation, None);
        let tsdb = try_open(Arc::new(disk.clone()), options.clone()).unwrap();
        fill(&tsdb, 0).await;
        tsdb.flush().await.unwrap();
        fill(&tsdb, 1).await;
        let want = dump(&tsdb).await;
        disk.cut_power_after(Some(operation));
        let flushed = tsdb.flush().await;
        let done = !disk.is_down();
        let left = disk.after_power_cut();
        drop(tsdb);
        let again = try_open(Arc::new(left), options.clone()).unwrap();
        assert_eq!(again.replayed().lost, 0, "operation {operation}");
        assert_eq!(dump(&again).await, want, "operation {operation}, {flushed:?}");
        fill(&again, 2).await;
        let want = dump(&again).await;
        again.flush().await.unwrap();
        assert_eq!(dump(&again).await, want, "operation {operation}");
        if done {
            assert!(operation > 20, "{operation} operations");
            return;
        }
        operation += 1;
    }
}

/// A full disk at any point: the flush fails, readers see nothing of it, and when there is room it succeeds.
#[tokio::test]
async fn a_full_disk_leaves_everything_as_it_was() {
    let disk = FaultDisk::new(7, None);
    let options = Options { hot_ms: 0, retention_ms: None, ..options() };
    let tsdb = try_open(Arc::new(disk.clone()), options.clone()).unwrap();
    fill(&tsdb, 0).await;
    tsdb.flush().await.unwrap();
    let mut failed = 0;
    for round in 1..12 {
        fill(&tsdb, round).await;
        let want = dump(&tsdb).await;
        let used = disk.used();
        for room in [0, 10, 60, 400, 1500, 4000, 9000] {
            disk.set_limit(Some(used + room));
            failed += usize::from(tsdb.flush().await.is_err());
            assert_eq!(dump(&tsdb).await, want, "round {round}, room {room}");
        }
        disk.set_limit(None);
        tsdb.flush().await.unwrap();
        assert_eq!(dump(&tsdb).await, want, "round {round}");
    }
    assert!(failed > 20, "{failed}");
    let want = dump(&tsdb).await;
    let again = try_open(Arc::new(disk.after_power_cut()), options).unwrap();
    assert_eq!(dump(&again).await, want, "restarted");
}
