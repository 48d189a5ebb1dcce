//! Since when samples count: kept from the sender to the query, over kills, flushes and merges.

mod common;

use std::sync::Arc;

use common::{NOW, builder, dump_started, labels, open_with, options};
use nave_base::disk::MemoryDisk;
use nave_model::append::{Append, HistogramSample, Outcome, SeriesRef};
use nave_model::histogram::Histogram;
use nave_model::time::Timestamp;
use nave_tsdb::{Options, Tsdb};

const MINUTE: i64 = 60_000;

/// Sends samples of a series: minutes before now, start (0 is none), value; below 0 it is the count of a histogram.
async fn send(tsdb: &Tsdb, name: &str, samples: &[(i64, i64, f64)]) -> Outcome {
    let mut builder = builder();
    builder.series(&labels(&[("__name__", name)]), SeriesRef::NONE);
    for (ago, start, value) in samples {
        let (t, start) = (Timestamp(NOW - ago * MINUTE), Timestamp(*start));
        if *value < 0.0 {
            let histogram = Arc::new(Histogram { count: -value, sum: 1.0, ..Histogram::default() });
            let start_timestamp = Some(start).filter(|start| start.0 != 0);
            builder.histogram(HistogramSample { timestamp: t, start_timestamp, histogram });
        } else if start.0 == 0 {
            builder.sample(t, *value);
        } else {
            builder.started_sample(t, start, *value);
        }
    }
    tsdb.append(builder.build()).await.unwrap()
}

/// (Name, minutes before now, start), ascending by name, then oldest first.
async fn shown(tsdb: &Tsdb) -> Vec<(String, i64, i64)> {
    let all = dump_started(tsdb).await.into_iter().filter(|(_, (_, start))| *start != 0);
    all.map(|((labels, t), (_, start))| (labels.metric_name().to_owned(), (NOW - t) / MINUTE, start))
        .collect()
}

fn settings() -> Options {
    Options { hot_ms: 0, retention_ms: None, ..options() }
}

/// Sends batch after batch, and expects the same of memory, of the log after a kill, of parts and of blocks.
async fn check(batches: &[&[(i64, i64, f64)]], expect: &[(i64, i64)]) {
    let disk = MemoryDisk::default();
    let mut tsdb = open_with(&disk, settings());
    let expect: Vec<_> = expect.iter().map(|(ago, start)| ("m".to_owned(), *ago, *start)).collect();
    for batch in batches {
        send(&tsdb, "m", batch).await;
    }
    assert_eq!(shown(&tsdb).await, expect, "memory");
    let disk = disk.after_power_cut(0);
    tsdb = open_with(&disk, settings());
    assert_eq!(shown(&tsdb).await, expect, "log");
    for round in 0..3 {
        tsdb.flush().await.unwrap();
        assert_eq!(shown(&tsdb).await, expect, "flush {round}");
    }
    assert_eq!(tsdb.sample_bytes(), 0, "nothing stays in memory");
    tsdb.compact_all().await.unwrap();
    assert_eq!(shown(&tsdb).await, expect, "block");
    tsdb.close().await;
    assert_eq!(shown(&open_with(&disk.after_power_cut(0), settings())).await, expect, "restart");
}

#[tokio::test]
async fn they_are_kept_everywhere() {
    check(&[&[(2, 0, 1.0), (1, 0, 2.0)]], &[]).await;
    check(&[&[(3, 5, 1.0), (2, 5, 2.0)], &[(1, 7, 0.0)]], &[(3, 5), (2, 5), (1, 7)]).await;
    // Known, unknown, known.
    check(&[&[(3, 5, 1.0)], &[(2, 0, 2.0)], &[(1, 5, 3.0)]], &[(3, 5), (1, 5)]).await;
    // Late ones, between and before.
    check(
        &[&[(9, 5, 1.0), (1, 5, 3.0)], &[(5, 4, 2.0)], &[(300, 3, 2.0), (7, 0, 1.0)]],
        &[(300, 3), (9, 5), (5, 4), (1, 5)],
    )
    .await;
    // Histograms among floats.
    check(
        &[&[(6, 5, -1.0), (4, 6, -2.0)], &[(5, 7, 1.0), (3, 0, -3.0)], &[(8, 9, -4.0)]],
        &[(8, 9), (6, 5), (5, 7), (4, 6)],
    )
    .await;
    // Before the epoch, and later than the sample: kept as sent.
    check(&[&[(2, -5, 1.0), (1, NOW + 5, 1.0)]], &[(2, -5), (1, NOW + 5)]).await;
    // Another one with every sample, over several chunks.
    let delta: Vec<_> = (1..400).rev().map(|ago| (ago, NOW - (ago + 1) * MINUTE, 1.0)).collect();
    let expect: Vec<_> = delta.iter().map(|(ago, start, _)| (*ago, *start)).collect();
    check(&[&delta[..250], &delta[250..]], &expect).await;
    let reversed: Vec<_> = delta.iter().rev().copied().collect();
    check(&[&reversed], &expect).await;
}

#[tokio::test]
async fn the_first_one_stays() {
    let disk = MemoryDisk::default();
    let tsdb = open_with(&disk, settings());
    send(&tsdb, "m", &[(2, 5, 1.0), (1, 0, -1.0)]).await;
    let again = send(&tsdb, "m", &[(2, 6, 1.0), (1, 6, -1.0)]).await;
    assert_eq!((again.samples.duplicate, again.histograms.duplicate), (1, 1));
    let conflict = send(&tsdb, "m", &[(2, 6, 2.0)]).await;
    assert_eq!(conflict.samples.rejected, 1);
    let expect = [("m".to_owned(), 2, 5)];
    assert_eq!(shown(&tsdb).await, expect);
    tsdb.flush().await.unwrap();
    tsdb.flush().await.unwrap();
    // Only files have the first ones by now.
    send(&tsdb, "m", &[(2, 6, 1.0), (1, 7, -1.0), (0, 8, 1.0)]).await;
    let expect = [("m".to_owned(), 2, 5), ("m".to_owned(), 0, 8)];
    assert_eq!(shown(&tsdb).await, expect);
    tsdb.flush().await.unwrap();
    tsdb.compact_all().await.unwrap();
    assert_eq!(shown(&tsdb).await, expect);
}

/// A write that failed leaves its samples in memory: what is sent again goes to the log with the start that memory has.
#[tokio::test]
async fn log_and_memory_agree_after_a_write_that_failed() {
    let disk = MemoryDisk::default();
    let tsdb = open_with(&disk, settings());
    send(&tsdb, "m", &[(3, 4, 1.0)]).await;
    disk.set_limit(Some(0));
    let mut builder = builder();
    builder.series(&labels(&[("__name__", "m")]), SeriesRef::NONE);
    builder.started_sample(Timestamp(NOW - 2 * MINUTE), Timestamp(5), 1.0);
    tsdb.append(builder.build()).await.unwrap_err();
    disk.set_limit(None);
    let again = send(&tsdb, "m", &[(2, 6, 1.0)]).await;
    assert_eq!(again.samples.duplicate, 1);
    let before = shown(&tsdb).await;
    assert_eq!(before, [("m".to_owned(), 3, 4), ("m".to_owned(), 2, 5)]);
    assert_eq!(shown(&open_with(&disk.after_power_cut(0), settings())).await, before);
}
