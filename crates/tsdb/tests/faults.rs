//! Failing logs, damage on disk, limits, and several writers at once.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{NOW, append, batch, builder, dump, labels, open, open_with, options, read};
use nave_base::clock::{FakeClock, SystemClock};
use nave_base::disk::{Disk, LocalDisk, MemoryDisk, SharedDisk};
use nave_base::metric::{Format, Registry};
use nave_model::append::{Append, AppendError, BatchBuilder, Item, Principal, Reason, SeriesRef, Tally};
use nave_model::label::Labels;
use nave_model::select::Selection;
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Error, Options, Tsdb};

fn metric(name: &str) -> Labels {
    labels(&[("__name__", name)])
}

#[tokio::test]
async fn a_write_that_failed_is_written_when_it_is_sent_again() {
    let disk = MemoryDisk::default();
    let tsdb = open(&disk);
    append(&tsdb, &[(metric("a"), NOW, 1.0)]).await;
    disk.set_limit(Some(0));
    let lost = [(metric("a"), NOW + 1, 2.0), (metric("b"), NOW, 3.0)];
    assert!(matches!(tsdb.append(batch(&lost)).await, Err(AppendError::Full { .. })));
    let series = tsdb.head_stats().series;
    let more = [(metric("c"), NOW, 4.0)];
    assert!(matches!(tsdb.append(batch(&more)).await, Err(AppendError::Full { .. })));
    assert_eq!(tsdb.head_stats().series, series, "while the log fails, nothing more goes to memory");
    assert_eq!(dump(&tsdb).await.len(), 3, "reads go on");
    disk.set_limit(None);
    let again = append(&tsdb, &lost).await;
    assert_eq!(again.samples, Tally { stored: 0, duplicate: 2, rejected: 0 });
    let again = append(&tsdb, &lost).await;
    assert_eq!(again.samples.duplicate, 2);
    let after = open(&disk.after_power_cut(0));
    assert_eq!(dump(&after).await, dump(&tsdb).await);
    assert_eq!(dump(&after).await.len(), 3);
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_is_marked() {
    let disk = MemoryDisk::default();
    let tsdb = open(&disk);
    let samples = [(metric("a"), NOW, 1.0)];
    {
        let mut future = tsdb.append(batch(&samples));
        // One step puts the sample into memory and hands the records over.
        let _ = futures_util::poll!(&mut future);
    }
    let again = append(&tsdb, &samples).await;
    assert_eq!(again.samples.duplicate, 1);
    assert_eq!(dump(&open(&disk.after_power_cut(0))).await.len(), 1);
}

#[tokio::test]
async fn every_cut_of_the_log_opens_and_gives_a_prefix() {
    let disk = MemoryDisk::default();
    let tsdb = open_with(&disk, Options { segment_bytes: 1 << 20, ..options() });
    for i in 0..6u8 {
        append(
            &tsdb,
            &[(metric("a"), NOW + i64::from(i), f64::from(i)), (metric(&format!("m{i}")), NOW, 0.5)],
        )
        .await;
    }
    tsdb.close().await;
    let path = Path::new("/data/log/00000001.wal");
    let bytes = disk.open(path).unwrap().read_from(0).unwrap();
    let mut most = 0;
    for cut in 0..=bytes.len() {
        let torn = MemoryDisk::default();
        torn.append(path).unwrap().append(&bytes[..cut]).unwrap();
        let tsdb = open(&torn);
        let found = dump(&tsdb).await.len();
        assert!(found >= most && found % 2 == 0, "cut at {cut}: {found}, before {most}");
        assert!(tsdb.replayed().damages.is_empty());
        most = found;
        append(&tsdb, &[(metric("new"), NOW, 1.0)]).await;
    }
    assert_eq!(most, 12);
}

#[tokio::test]
async fn a_flipped_byte_is_named_and_the_rest_is_served() {
    let disk = MemoryDisk::default();
    let tsdb = open_with(&disk, Options { segment_bytes: 150, ..options() });
    for i in 0..12i32 {
        append(&tsdb, &[(metric("a"), NOW + i64::from(i), f64::from(i))]).await;
    }
    let whole = dump(&tsdb).await;
    tsdb.close().await;
    let path = Path::new("/data/log/00000001.wal");
    let bytes = disk.open(path).unwrap().read_from(0).unwrap();
    assert!(disk.open(Path::new("/data/log/00000002.wal")).is_ok());
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x04;
        let file = disk.append(path).unwrap();
        file.truncate(0).unwrap();
        file.append(&flipped).unwrap();
        let tsdb = open(&disk);
        assert!(!tsdb.replayed().damages.is_empty(), "flip at {at}");
        assert!(dump(&tsdb).await.iter().all(|(key, value)| whole.get(key) == Some(value)), "flip at {at}");
        tsdb.close().await;
    }
}

#[tokio::test]
async fn refusals_name_their_reason_and_keep_the_rest() {
    let disk = MemoryDisk::default();
    let tsdb =
        open_with(&disk, Options { series_max: 3, labels_max: 3, label_value_bytes_max: 5, ..options() });
    let old = NOW - 15 * 24 * 3_600_000 - 1;
    let points = [
        (metric("ok"), NOW, 1.0),
        (metric("ok"), NOW, 2.0),
        (metric("ok"), old, 1.0),
        (metric("ok"), NOW + 3_600_001, 1.0),
        (labels(&[("job", "a")]), NOW, 1.0),
        (labels(&[("__name__", "a"), ("b", "1"), ("c", "1"), ("d", "1")]), NOW, 1.0),
        (labels(&[("__name__", "a"), ("b", "123456")]), NOW, 1.0),
        (metric("two"), NOW, 1.0),
        (metric("three"), NOW, 1.0),
        (metric("four"), NOW, 1.0),
        (metric("ok"), NOW + 1, 1.0),
    ];
    let outcome = append(&tsdb, &points).await;
    assert_eq!(outcome.samples, Tally { stored: 4, duplicate: 0, rejected: 7 });
    let texts: Vec<_> =
        outcome.rejections.iter().map(|rejection| (rejection.series, rejection.reason.to_string())).collect();
    let text = |i: usize| texts[i].1.as_str();
    assert_eq!(text(0), format!("conflicting value at {NOW}: stored 1, sent 2"));
    assert!(text(1).contains("too old") && text(2).contains("too far in the future"));
    assert_eq!(text(3), "invalid labels: expected a metric name, got {job=\"a\"}");
    assert_eq!(text(4), "limit labels_max of 3 reached");
    assert_eq!(text(5), "limit label_value_bytes_max of 5 reached");
    assert_eq!(texts[6], (9, "limit series_max of 3 reached".to_owned()));
    assert_eq!(outcome.references[9], SeriesRef::NONE);
    assert_ne!(outcome.references[10], SeriesRef::NONE);
    assert_eq!(dump(&tsdb).await.len(), 4);
}

#[tokio::test]
async fn references_stamps_and_foreign_formats_lead_to_the_same_series() {
    let disk = MemoryDisk::default();
    let tsdb = open(&disk);
    let mut principal = Principal::anonymous("spoke");
    principal.id = 7;
    principal.stamp = vec![("cluster".to_owned(), "spoke1".to_owned())];
    let principal = Arc::new(principal);
    let send = |reference, t: i64| {
        let mut builder = BatchBuilder::new(principal.clone());
        let labels = labels(&[("__name__", "up"), ("cluster", "forged")]);
        builder.series(&labels, reference).sample(Timestamp(t), 1.0);
        builder.build()
    };
    let first = tsdb.append(send(SeriesRef::NONE, NOW)).await.unwrap().references[0];
    assert_eq!(tsdb.append(send(SeriesRef::NONE, NOW + 1)).await.unwrap().references[0], first);
    assert_eq!(tsdb.append(send(first, NOW + 2)).await.unwrap().references[0], first);
    let stale = SeriesRef { generation: first.generation.wrapping_add(1), id: 99 };
    assert_eq!(tsdb.append(send(stale, NOW + 3)).await.unwrap().references[0], first);
    let all = read(&tsdb, Selection::new(vec![], TimeRange::ALL)).await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0, labels(&[("__name__", "up"), ("cluster", "spoke1")]));
    assert_eq!(all[0].1.len(), 4);
    append(&tsdb, &[(labels(&[("__name__", "up"), ("cluster", "forged")]), NOW, 1.0)]).await;
    assert_eq!(tsdb.head_stats().series, 2, "equal bytes of another principal are another series");
}

#[tokio::test]
async fn exemplars_are_refused_one_by_one_when_none_may_be_kept() {
    let disk = MemoryDisk::default();
    let tsdb = open_with(&disk, Options { exemplars_max: 0, ..options() });
    let mut builder = builder();
    let exemplar =
        nave_model::sample::Exemplar { labels: labels(&[("trace_id", "x")]), value: 1.0, timestamp: None };
    builder.series(&metric("a"), SeriesRef::NONE).sample(Timestamp(NOW), 1.0).exemplar(exemplar);
    let outcome = tsdb.append(builder.build()).await.unwrap();
    assert_eq!((outcome.samples.stored, outcome.exemplars.rejected), (1, 1));
    assert_eq!(outcome.rejections[0].item, Item::Exemplar(0));
    assert_eq!(outcome.rejections[0].reason, Reason::Unsupported("exemplars"));
}

#[tokio::test]
async fn a_folder_belongs_to_one_store_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let options = Options::new(dir.path());
        Tsdb::open(options, LocalDisk::shared(), SystemClock::shared(), &Registry::default())
    };
    let tsdb = open().unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, Error::InUse { .. }) && error.to_string().contains("in use by another process"));
    tsdb.close().await;
    assert!(matches!(tsdb.append(batch(&[])).await, Err(AppendError::Closed(_))));
    drop(open().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_and_readers_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::default();
    let options = Options { segment_bytes: 20_000, ..Options::new(dir.path()) };
    let clock = FakeClock::at(NOW);
    let tsdb = Arc::new(Tsdb::open(options.clone(), LocalDisk::shared(), clock.clone(), &registry).unwrap());
    let write = |task: i64| {
        let tsdb = tsdb.clone();
        async move {
            for round in 0..30i64 {
                // Two tasks share a series set, so that equal samples and new series meet.
                let points: Vec<_> = (0..40)
                    .map(|i| {
                        (labels(&[("__name__", "m"), ("i", &format!("{}-{i}", task / 2))]), NOW + round, 1.0)
                    })
                    .collect();
                let tally = append(&tsdb, &points).await.samples;
                assert_eq!((tally.stored + tally.duplicate, tally.rejected), (40, 0));
                let found = dump(&tsdb).await;
                assert!(points.iter().all(|(labels, t, _)| found.contains_key(&(labels.clone(), *t))));
                if round % 10 == 9 {
                    tsdb.retain().await.unwrap();
                }
            }
        }
    };
    let tasks: Vec<_> = (0..6).map(|task| tokio::spawn(write(task))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let whole = dump(&tsdb).await;
    assert_eq!(whole.len(), 3 * 40 * 30);
    let page = registry.page(Format::Text);
    assert!(page.contains("prometheus_tsdb_head_series 120\n"), "{page}");
    assert!(page.contains("prometheus_tsdb_head_samples_appended_total{type=\"float\"} 3600\n"), "{page}");
    tsdb.close().await;
    let disk: SharedDisk = LocalDisk::shared();
    let again = Tsdb::open(options, disk, clock, &Registry::default()).unwrap();
    assert_eq!(dump(&again).await, whole);
    assert_eq!(again.replayed().lost, 0);
}
