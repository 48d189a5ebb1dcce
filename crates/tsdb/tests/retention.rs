//! What is dropped, what is kept, and what a restart makes of it.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{NOW, append, dump, labels, options};
use nave_base::clock::FakeClock;
use nave_base::disk::{Disk, MemoryDisk, SharedDisk};
use nave_base::metric::Registry;
use nave_model::append::{Append, SeriesRef};
use nave_model::label::Labels;
use nave_model::metadata::Metadata;
use nave_model::select::{MetadataIndex, Scope};
use nave_model::time::Timestamp;
use nave_tsdb::{Options, Tsdb};

fn metric(name: &str) -> Labels {
    labels(&[("__name__", name)])
}

fn open(disk: &MemoryDisk, options: &Options, clock: &Arc<FakeClock>) -> Tsdb {
    let shared: SharedDisk = Arc::new(disk.clone());
    Tsdb::open(options.clone(), shared, clock.clone(), &Registry::default()).unwrap()
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list(std::path::Path::new("/data/log")).unwrap();
    names.into_iter().map(|entry| entry.name).collect()
}

#[tokio::test]
async fn old_segments_go_and_their_series_are_carried_over() {
    let disk = MemoryDisk::default();
    let clock = FakeClock::at(NOW);
    let options = Options { retention_ms: Some(100_000), segment_bytes: 400, hot_ms: 0, ..options() };
    let tsdb = open(&disk, &options, &clock);
    let mut builder = common::builder();
    builder.series(&metric("lives"), SeriesRef::NONE).sample(Timestamp(NOW), 1.0);
    builder.metadata("lives", Metadata { help: "Lives on.".into(), ..Metadata::default() });
    tsdb.append(builder.build()).await.unwrap();
    append(&tsdb, &[(metric("ends"), NOW, 1.0)]).await;
    for step in 0..40 {
        clock.advance(Duration::from_secs(10));
        let now = NOW + i64::try_from(clock_ms(&clock)).unwrap();
        append(&tsdb, &[(metric("lives"), now, 0.25)]).await;
        tsdb.retain().await.unwrap();
        if step % 7 == 0 {
            tsdb.flush().await.unwrap();
        }
    }
    let names = segments(&disk);
    assert!(!names.contains(&"00000001.wal".to_owned()), "{names:?}");
    // A series keeps its number while a part names it.
    let now = NOW + i64::try_from(clock_ms(&clock)).unwrap();
    append(&tsdb, &[(metric("ends"), now, 2.0)]).await;
    let whole = dump(&tsdb).await;
    let after = open(&disk.after_power_cut(0), &options, &clock);
    assert_eq!(dump(&after).await, whole);
    assert_eq!((after.replayed().lost, after.head_stats().series), (0, 2));
    let metadata = after.metadata(&Scope::default(), Some("lives"));
    assert_eq!(metadata.len(), 1);
    assert_eq!(&*metadata[0].1.help, "Lives on.");
}

fn clock_ms(clock: &FakeClock) -> u128 {
    use nave_base::clock::Clock;
    clock.monotonic().as_millis()
}

#[tokio::test]
async fn a_series_that_was_removed_comes_back() {
    let disk = MemoryDisk::default();
    let clock = FakeClock::at(NOW);
    let options = Options { retention_ms: Some(100_000), ..options() };
    let tsdb = open(&disk, &options, &clock);
    let first = append(&tsdb, &[(metric("a"), NOW, 1.0)]).await.references[0];
    clock.advance(Duration::from_secs(200));
    tsdb.set_retention(None, None);
    assert_eq!(tsdb.retain().await.unwrap().series_removed, 0);
    tsdb.set_retention(Some(100_000), None);
    assert_eq!(tsdb.retain().await.unwrap().series_removed, 1);
    assert_eq!(dump(&tsdb).await.len(), 0);
    let mut builder = common::builder();
    builder.series(&metric("a"), first).sample(Timestamp(NOW + 200_000), 2.0);
    let second = tsdb.append(builder.build()).await.unwrap().references[0];
    assert_ne!(second, first, "numbers are never used twice");
    let after = open(&disk.after_power_cut(0), &options, &clock);
    assert_eq!(dump(&after).await, dump(&tsdb).await);
    append(&after, &[(metric("a"), NOW + 200_001, 3.0)]).await;
    assert_eq!((dump(&after).await.len(), after.head_stats().series), (2, 1));
}

#[tokio::test]
async fn the_log_stays_under_its_size() {
    let disk = MemoryDisk::default();
    let clock = FakeClock::at(NOW);
    let options =
        Options { retention_ms: None, retention_bytes: Some(5000), segment_bytes: 1000, ..options() };
    let tsdb = open(&disk, &options, &clock);
    for i in 0..300 {
        append(&tsdb, &[(metric("a"), NOW + i, 0.1)]).await;
        if i % 10 == 0 {
            let retained = tsdb.retain().await.unwrap();
            assert!(retained.log_bytes <= 6000, "{retained:?}");
        }
    }
    let after = open(&disk.after_power_cut(0), &options, &clock);
    assert_eq!(dump(&after).await, dump(&tsdb).await);
    assert_eq!(dump(&after).await.len(), 300);
}

/// A folder as releases before the registry wrote it: a checkpoint and segments.
#[tokio::test]
async fn an_old_folder_is_imported() {
    let disk = MemoryDisk::default();
    let clock = FakeClock::at(NOW);
    let options = Options { retention_ms: Some(1_000_000), segment_bytes: 300, ..options() };
    let tsdb = open(&disk, &options, &clock);
    for i in 0..40 {
        append(&tsdb, &[(metric("a"), NOW + i, 0.1), (metric("b"), NOW - 3 * i, 0.2)]).await;
    }
    let whole = dump(&tsdb).await;
    let old = MemoryDisk::default();
    for name in segments(&disk) {
        let file = std::path::Path::new("/data/log").join(name);
        let bytes = disk.open(&file).unwrap().read_from(0).unwrap();
        old.append(&file).unwrap().append(&bytes).unwrap();
    }
    old.append(std::path::Path::new("/data/log/checkpoint-00000098")).unwrap().append(b"damaged").unwrap();
    let after = open(&old, &options, &clock);
    assert_eq!(after.replayed().damages.len(), 1, "{:?}", after.replayed());
    assert_eq!(dump(&after).await, whole);
    after.flush().await.unwrap();
    assert_eq!(segments(&old).len(), 1, "checkpoints are gone with the segments");
    assert_eq!(dump(&after).await, whole);
    drop(after);
    let again = open(&old, &options, &clock);
    assert_eq!(again.replayed().damages.len(), 0);
    assert_eq!(dump(&again).await, whole);
}
