//! What the tests of the store share: opening it on a disk in memory, batches, reading everything back.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::sync::Arc;

use nave_base::clock::FakeClock;
use nave_base::disk::{MemoryDisk, SharedDisk};
use nave_base::metric::Registry;
use nave_model::append::{Append, Batch, BatchBuilder, Outcome, Principal, SeriesRef};
use nave_model::label::Labels;
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::select::{Columns, Select, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Options, Tsdb};

/// The fake clock's start, in ms.
pub const NOW: i64 = 1_700_000_000_000;

pub fn options() -> Options {
    Options { segment_bytes: 2000, ..Options::new("/data") }
}

pub fn open_with(disk: &MemoryDisk, options: Options) -> Tsdb {
    let shared: SharedDisk = Arc::new(disk.clone());
    Tsdb::open(options, shared, FakeClock::at(NOW), &Registry::default()).unwrap()
}

pub fn open(disk: &MemoryDisk) -> Tsdb {
    open_with(disk, options())
}

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

pub fn builder() -> BatchBuilder {
    BatchBuilder::new(Arc::new(Principal::anonymous("test")))
}

/// A batch of (series, time, value).
pub fn batch(samples: &[(Labels, i64, f64)]) -> Batch {
    let mut builder = builder();
    for (labels, t, value) in samples {
        builder.series(labels, SeriesRef::NONE).sample(Timestamp(*t), *value);
    }
    builder.build()
}

pub async fn append(tsdb: &Tsdb, samples: &[(Labels, i64, f64)]) -> Outcome {
    tsdb.append(batch(samples)).await.unwrap()
}

pub fn matcher(op: &str, name: &str, value: &str) -> Matcher {
    let op = match op {
        "=" => MatchOp::Equal,
        "!=" => MatchOp::NotEqual,
        "=~" => MatchOp::Regex,
        _ => MatchOp::NotRegex,
    };
    Matcher::new(op, name, value).unwrap()
}

/// Everything that a selection gives: labels, then (time, bits).
pub async fn read(tsdb: &Tsdb, selection: Selection) -> Vec<(Labels, Vec<(i64, u64)>)> {
    let selected = tsdb.open(selection).await.unwrap();
    let pages = selected.fetch(0..selected.len()).await.unwrap();
    let mut columns = Columns::default();
    let read = |index| {
        pages.decode(index, &mut columns).unwrap();
        let values = columns.values.iter().map(|value| value.to_bits());
        (selected.labels(index), columns.timestamps.iter().map(|t| t.0).zip(values).collect())
    };
    (0..selected.len()).map(read).collect()
}

/// Everything in the store, as a map.
pub async fn dump(tsdb: &Tsdb) -> BTreeMap<(Labels, i64), u64> {
    let all = read(tsdb, Selection::new(vec![], TimeRange::ALL)).await;
    let points = |(labels, points): (Labels, Vec<(i64, u64)>)| {
        points.into_iter().map(move |(t, value)| ((labels.clone(), t), value))
    };
    all.into_iter().flat_map(points).collect()
}

/// Everything in the store with its start, 0 where that is unknown.
pub async fn dump_started(tsdb: &Tsdb) -> BTreeMap<(Labels, i64), (u64, i64)> {
    let selected = tsdb.open(Selection::new(vec![], TimeRange::ALL)).await.unwrap();
    let pages = selected.fetch(0..selected.len()).await.unwrap();
    let (mut columns, mut all) = (Columns::default(), BTreeMap::new());
    for index in 0..selected.len() {
        pages.decode(index, &mut columns).unwrap();
        assert!([0, columns.len()].contains(&columns.start_timestamps.len()), "one of each or none");
        let labels = selected.labels(index);
        for (i, (t, value)) in columns.timestamps.iter().zip(&columns.values).enumerate() {
            let start = columns.start_timestamps.get(i).map_or(0, |start| start.0);
            all.insert((labels.clone(), t.0), (value.to_bits(), start));
        }
    }
    all
}
