//! The store against a map: any batches in any order, restarts, power cuts and full disks at any point.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{NOW, builder, dump_started, labels, open_with, options};
use nave_base::disk::{Disk, MemoryDisk};
use nave_model::append::{Append, Batch, Item, Reason, SeriesRef};
use nave_model::label::Labels;
use nave_model::sample::STALE_NAN_BITS;
use nave_model::time::Timestamp;
use nave_tsdb::{Options, Tsdb};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(u8, i64, u8)>),
    /// A write with this much room on the disk.
    Full(Vec<(u8, i64, u8)>, usize),
    Restart,
    PowerCut(usize),
    Retain,
}

fn samples() -> impl Strategy<Value = Vec<(u8, i64, u8)>> {
    let any_order = proptest::collection::vec((0..4u8, 0..300i64, 0..20u8), 1..80);
    let in_order = (0..4u8, 0..200i64, 1..100i64)
        .prop_map(|(series, from, count)| (from..from + count).map(|t| (series, t, 0)).collect());
    prop_oneof![any_order, in_order]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => samples().prop_map(Step::Append),
        2 => (samples(), 0..400usize).prop_map(|(samples, room)| Step::Full(samples, room)),
        1 => Just(Step::Restart),
        1 => (0..300usize).prop_map(Step::PowerCut),
        1 => Just(Step::Retain),
    ]
}

/// Mostly equal values, so that duplicates happen; a few others, so that conflicts do.
fn value(number: u8) -> f64 {
    match number {
        17 => f64::from_bits(STALE_NAN_BITS),
        18 => 0.1,
        19 => -0.0,
        _ => 1.0,
    }
}

/// One series has no starts; the others begin anew now and then, and senders do not always agree about it.
fn start((series, t, number): (u8, i64, u8)) -> i64 {
    match (series, number) {
        (0, _) | (_, 3) => 0,
        (1, 4) => NOW - 7,
        (3, _) => NOW - 1_000_001 + t * 1000,
        _ => NOW - 2_000_000 + t / 40,
    }
}

fn sample((series, t, number): (u8, i64, u8)) -> (Labels, i64, f64) {
    let series = labels(&[("__name__", "m"), ("series", &series.to_string())]);
    (series, NOW - 1_000_000 + t * 1000, value(number))
}

fn batch(raw: &[(u8, i64, u8)]) -> Batch {
    let mut builder = builder();
    for one in raw {
        let (labels, t, value) = sample(*one);
        let builder = builder.series(&labels, SeriesRef::NONE);
        match start(*one) {
            0 => builder.sample(Timestamp(t), value),
            start => builder.started_sample(Timestamp(t), Timestamp(start), value),
        };
    }
    builder.build()
}

#[derive(Default)]
struct Naive {
    acknowledged: BTreeMap<(Labels, i64), u64>,
    /// Sent but not acknowledged: may be there or not.
    possible: BTreeMap<(Labels, i64), BTreeSet<u64>>,
    /// One of these is the start; of what was acknowledged at once the first one.
    starts: BTreeMap<(Labels, i64), BTreeSet<i64>>,
}

impl Naive {
    async fn append(&mut self, tsdb: &Tsdb, raw: &[(u8, i64, u8)]) {
        let points: Vec<_> = raw.iter().copied().map(sample).collect();
        let Ok(outcome) = tsdb.append(batch(raw)).await else {
            for ((labels, t, value), raw) in points.into_iter().zip(raw) {
                self.starts.entry((labels.clone(), t)).or_default().insert(start(*raw));
                self.possible.entry((labels, t)).or_default().insert(value.to_bits());
            }
            return;
        };
        let refused: BTreeMap<u32, &Reason> = outcome
            .rejections
            .iter()
            .map(|rejection| match rejection.item {
                Item::Sample(i) => (i, &rejection.reason),
                other => panic!("{other:?}"),
            })
            .collect();
        let tally = outcome.samples;
        assert_eq!(tally.stored + tally.duplicate + tally.rejected, points.len());
        let mut duplicates = 0;
        for (i, (labels, t, value)) in (0..).zip(points) {
            let key = (labels, t);
            let known = self.acknowledged.get(&key).copied();
            let unsure = self.possible.contains_key(&key);
            match refused.get(&i) {
                Some(Reason::Conflict { stored, .. }) => {
                    assert!(unsure || known == Some(stored.to_bits()));
                    assert_ne!(stored.to_bits(), value.to_bits());
                }
                Some(other) => panic!("{other}"),
                None => {
                    assert!(known.is_none_or(|known| known == value.to_bits()), "a conflict was not seen");
                    duplicates += usize::from(known.is_some());
                    if unsure || known.is_none() {
                        self.starts.entry(key.clone()).or_default().insert(start(raw[i as usize]));
                    }
                    self.acknowledged.insert(key, value.to_bits());
                }
            }
        }
        assert!(tally.duplicate >= duplicates);
    }

    async fn check(&self, tsdb: &Tsdb) {
        let found = dump_started(tsdb).await;
        for (key, value) in &self.acknowledged {
            let there = found.get(key).map(|there| there.0);
            assert_eq!(there, Some(*value), "acknowledged, and not there: {key:?}");
        }
        for (key, (value, start)) in &found {
            let known = self.acknowledged.get(key) == Some(value);
            let possible = self.possible.get(key).is_some_and(|values| values.contains(value));
            assert!(known || possible, "nobody sent {key:?} = {value:x}");
            let expected = &self.starts[key];
            assert!(expected.contains(start), "{key:?} counts since {start}, expected one of {expected:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn acknowledged_samples_are_there_and_no_invented_one(
        steps in proptest::collection::vec(step(), 1..25),
        background in any::<bool>(),
    ) {
        // Whether the log's samples come to memory while writes are taken already.
        let open = |disk: &MemoryDisk| {
            let background_series_min = if background { 0 } else { usize::MAX };
            open_with(disk, Options { background_series_min, ..options() })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut disk = MemoryDisk::default();
            let mut tsdb = open(&disk);
            let mut naive = Naive::default();
            if background {
                // Only series whose spelling the registry knows are written to while memory is rebuilt.
                let all: Vec<_> = (0..4).map(|series| (series, -10, 0)).collect();
                naive.append(&tsdb, &all).await;
                tsdb.flush().await.unwrap();
            }
            for step in steps {
                match step {
                    Step::Append(samples) => naive.append(&tsdb, &samples).await,
                    Step::Full(samples, room) => {
                        let dir = std::path::Path::new("/data/log");
                        let used: u64 = disk.list(dir).unwrap().iter().map(|entry| entry.len).sum();
                        disk.set_limit(Some(usize::try_from(used).unwrap() + room));
                        naive.append(&tsdb, &samples).await;
                        disk.set_limit(None);
                    }
                    Step::Restart => {
                        tsdb.close().await;
                        tsdb = open(&disk);
                    }
                    Step::PowerCut(torn) => {
                        let after = disk.after_power_cut(torn);
                        tsdb.close().await;
                        disk = after;
                        tsdb = open(&disk);
                    }
                    Step::Retain => _ = tsdb.retain().await.unwrap(),
                }
                naive.check(&tsdb).await;
                assert!(tsdb.replayed().damages.is_empty(), "{:?}", tsdb.replayed());
            }
        });
    }
}
