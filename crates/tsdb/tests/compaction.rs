//! Merging, deletes, copies and full disks as callers of the store see them.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use common::{append, dump, labels, options};
use nave_base::clock::FakeClock;
use nave_base::disk::{Disk, MemoryDisk, SharedDisk};
use nave_base::metric::{Format, Registry};
use nave_model::append::{Append, AppendError, Tenant};
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Options, RetentionRule, Tsdb};

const HOUR: i64 = 3_600_000;
/// Hour 100, the begin of a window of two hours.
const NOW: i64 = 100 * HOUR;

fn metric(name: &str) -> Labels {
    labels(&[("__name__", name), ("cluster", if name == "a" { "staging" } else { "live" })])
}

fn open(disk: &MemoryDisk, options: Options) -> (Tsdb, Registry) {
    let (shared, registry): (SharedDisk, _) = (Arc::new(disk.clone()), Registry::default());
    let options = Options { disk_free_bytes_min: 0, ..options };
    (Tsdb::open(options, shared, FakeClock::at(NOW), &registry).unwrap(), registry)
}

/// Hours `from .. to`, a sample of `a` and `b` each ten minutes, a flush each hour.
async fn fill(tsdb: &Tsdb, from: i64, to: i64) {
    for hour in from..to {
        for minute in (0..60).step_by(10) {
            let t = hour * HOUR + minute * 60_000;
            append(tsdb, &[(metric("a"), t, t as f64), (metric("b"), t, 1.0)]).await;
        }
        tsdb.flush().await.unwrap();
    }
}

fn levels(tsdb: &Tsdb) -> Vec<&'static str> {
    tsdb.blocks().iter().map(|block| block.level).collect()
}

fn without(
    all: &BTreeMap<(Labels, i64), u64>,
    gone: impl Fn(&str, i64) -> bool,
) -> BTreeMap<(Labels, i64), u64> {
    let mut left = all.clone();
    left.retain(|(labels, t), _| !gone(labels.metric_name(), *t));
    left
}

#[tokio::test]
async fn merged_files_say_the_same() {
    let disk = MemoryDisk::default();
    let (tsdb, registry) = open(&disk, options());
    fill(&tsdb, 50, 99).await;
    // Late, one of them another value for a known time: the first written stays.
    append(&tsdb, &[(metric("a"), 60 * HOUR + 1, 7.0), (metric("b"), 50 * HOUR, 2.0)]).await;
    let before = dump(&tsdb).await;
    tsdb.compact_all().await.unwrap();
    assert_eq!(dump(&tsdb).await, before);
    assert_eq!(levels(&tsdb).iter().filter(|level| **level == "part").count(), 0);
    assert_eq!(levels(&tsdb)[..2], ["day", "window"], "days that ended hours ago");
    let page = registry.page(Format::Text);
    for line in ["prometheus_tsdb_compactions_total", "prometheus_tsdb_blocks_loaded"] {
        let found = page.lines().find(|found| found.starts_with(line)).unwrap();
        assert!(!found.ends_with(" 0"), "{found}");
    }
    let samples: u64 = tsdb.blocks().iter().map(|block| block.samples).sum();
    assert_eq!(samples, before.len() as u64);
    let (after, _) = open(&disk.after_power_cut(0), options());
    assert_eq!(dump(&after).await, before);
}

#[tokio::test]
async fn deleted_samples_are_gone_at_once_and_stay_gone() {
    let disk = MemoryDisk::default();
    let (tsdb, _) = open(&disk, options());
    fill(&tsdb, 90, 98).await;
    append(&tsdb, &[(metric("a"), 99 * HOUR, 1.0), (metric("b"), 99 * HOUR, 1.0)]).await;
    let all = dump(&tsdb).await;
    let range = TimeRange { min: Timestamp(95 * HOUR), max: Timestamp(99 * HOUR) };
    tsdb.delete_series(&Tenant::default(), vec![vec![Matcher::metric_name("a")]], range).await.unwrap();
    let gone = |name: &str, t: i64| name == "a" && range.contains(Timestamp(t));
    let want = without(&all, gone);
    assert!(dump(&tsdb).await == want, "memory among it");
    // What comes later stays, a deleted time among it.
    append(&tsdb, &[(metric("a"), 99 * HOUR, 5.0), (metric("a"), 99 * HOUR + 1, 6.0)]).await;
    let mut want = want;
    want.insert((metric("a"), 99 * HOUR), 5.0_f64.to_bits());
    want.insert((metric("a"), 99 * HOUR + 1), 6.0_f64.to_bits());
    assert_eq!(dump(&tsdb).await, want);
    let (after, _) = open(&disk.after_power_cut(0), options());
    assert_eq!(dump(&after).await, want, "over a restart");
    assert!(tsdb.blocks().iter().any(|block| block.tombstones > 0));
    tsdb.clean_tombstones().await.unwrap();
    assert!(tsdb.blocks().iter().all(|block| block.tombstones == 0));
    assert_eq!(dump(&tsdb).await, want);
    tsdb.flush().await.unwrap();
    let samples: u64 = tsdb.blocks().iter().map(|block| block.samples).sum();
    assert_eq!(samples, want.len() as u64, "gone from the disk");
    tsdb.compact_all().await.unwrap();
    assert_eq!(dump(&tsdb).await, want);
}

#[tokio::test]
async fn a_snapshot_opens_as_a_store() {
    let disk = MemoryDisk::default();
    let (tsdb, _) = open(&disk, options());
    fill(&tsdb, 90, 95).await;
    let flushed = dump(&tsdb).await;
    append(&tsdb, &[(metric("c"), 99 * HOUR, 1.0)]).await;
    let without_head = tsdb.snapshot(true).await.unwrap();
    let all = dump(&tsdb).await;
    let with_head = tsdb.snapshot(false).await.unwrap();
    append(&tsdb, &[(metric("d"), 99 * HOUR, 1.0)]).await;
    tsdb.compact_all().await.unwrap();
    let mine = dump(&tsdb).await;
    for (name, want) in [(without_head, flushed), (with_head, all)] {
        let dir = Path::new("/data/snapshots").join(name);
        let (copy, _) = open(&disk, Options { dir: dir.clone(), ..options() });
        assert_eq!(dump(&copy).await, want);
        // It lives on by itself.
        append(&copy, &[(metric("e"), 99 * HOUR, 1.0)]).await;
        copy.compact_all().await.unwrap();
        append(&copy, &[(metric("e"), 99 * HOUR + 1, 1.0)]).await;
        let whole = dump(&copy).await;
        copy.close().await;
        drop(copy);
        let (again, _) = open(&disk, Options { dir, ..options() });
        assert_eq!((dump(&again).await, whole.len()), (whole, want.len() + 2));
    }
    assert_eq!(dump(&tsdb).await, mine);
}

#[tokio::test]
async fn rules_keep_some_for_less_and_some_for_longer() {
    let disk = MemoryDisk::default();
    let (tsdb, _) = open(&disk, Options { retention_ms: Some(24 * HOUR), hot_ms: 0, ..options() });
    let rule = |cluster: &str, hours: i64| RetentionRule {
        matchers: vec![Matcher::equal("cluster", cluster)],
        keep_ms: Some(hours * HOUR),
    };
    tsdb.set_retention_rules(vec![rule("staging", 6), rule("live", 48)]);
    fill(&tsdb, 60, 99).await;
    tsdb.compact_all().await.unwrap();
    // What was flushed last is in memory still.
    let (tsdb, _) = open(&disk.after_power_cut(0), Options { retention_ms: Some(48 * HOUR), ..options() });
    let all = dump(&tsdb).await;
    let oldest = |name: &str| {
        all.keys().filter(|(labels, _)| labels.metric_name() == name).map(|(_, t)| t / HOUR).min()
    };
    assert_eq!((oldest("a"), oldest("b")), (Some(94), Some(60)));
}

#[tokio::test]
async fn a_full_folder_refuses_writes_and_goes_on_by_itself() {
    let disk = MemoryDisk::default();
    let (tsdb, _) = open(&disk, Options { retention_bytes: Some(100_000), ..options() });
    let tsdb = Arc::new(tsdb);
    let clock_runs = nave_base::Shutdown::new();
    let used = || {
        let dirs = ["/data", "/data/log", "/data/block", "/data/series"];
        let bytes = |dir: &str| {
            disk.list(Path::new(dir)).unwrap().iter().filter(|e| !e.is_dir).map(|e| e.len).sum::<u64>()
        };
        dirs.iter().map(|dir| bytes(dir)).sum::<u64>()
    };
    let keeping = tokio::spawn({
        let (tsdb, shutdown) = (tsdb.clone(), clock_runs.clone());
        async move { tsdb.keep(shutdown).await }
    });
    let mut refused = 0;
    let mut peak = 0;
    for step in 0..4000 {
        // Windows of the past, so that they can be dropped.
        let t = NOW - 90 * HOUR + step * 60_000;
        let samples: Vec<_> =
            (0..20).map(|i| (metric(&format!("m{i}")), t, (step * i) as f64 / 7.0)).collect();
        match tsdb.append(common::batch(&samples)).await {
            Ok(_) => {}
            Err(AppendError::Full { what }) => {
                refused += 1;
                assert!(what.contains("--storage.tsdb.retention.size"), "{what}");
                // The task that makes room is told; let it work.
                tokio::time::timeout(std::time::Duration::from_secs(20), async {
                    while matches!(tsdb.append(common::batch(&[])).await, Err(AppendError::Full { .. })) {
                        tokio::task::yield_now().await;
                    }
                })
                .await
                .expect("there is room again");
            }
            Err(other) => panic!("{other}"),
        }
        peak = peak.max(used());
    }
    clock_runs.cancel();
    keeping.await.unwrap();
    assert!(peak <= 100_000, "{peak} bytes");
    assert!(refused > 0, "otherwise nothing was tested");
    let (after, _) = open(&disk.after_power_cut(0), options());
    assert_eq!(dump(&after).await, dump(&tsdb).await);
}
