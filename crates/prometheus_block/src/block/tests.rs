//! Round trips and damage of whole blocks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::LocalDisk;
use nave_model::histogram::{CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::sample::{STALE_NAN_BITS, stale_nan};
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::columns::same_histogram;
use crate::error::Error;

const START: i64 = 1_700_006_400_000;
const HOURS: i64 = 2 * 3_600_000;
const ID: BlockId = BlockId(0x0190_0000_0000_0000_0000_0000_0000_0001);

type Sample = (i64, Value);
type Content = (Vec<(Labels, Columns)>, Vec<Error>);

#[derive(Debug, Clone)]
enum Value {
    Float(f64),
    Histogram(Histogram),
}

fn columns(samples: &[Sample]) -> Columns {
    let mut columns = Columns::default();
    for (t, value) in samples {
        match value {
            Value::Float(value) => columns.push(Timestamp(START + t), *value),
            Value::Histogram(h) => columns.push_histogram(Timestamp(START + t), Arc::new(h.clone())),
        }
    }
    columns
}

fn write(dir: &Path, series: &[(Labels, Columns)]) -> Result<Option<Meta>, Error> {
    let range = TimeRange { min: Timestamp(START), max: Timestamp(START + HOURS - 1) };
    let options = Options { segment_bytes_max: 4096, ..Options::new(ID, range) };
    let mut writer = BlockWriter::create(LocalDisk::shared(), dir, options)?;
    for (labels, columns) in series {
        writer.push(labels, columns)?;
    }
    writer.finish()
}

fn path(dir: &Path) -> PathBuf {
    dir.join(ID.to_string())
}

/// Everything of a block, and what was damaged.
fn read(dir: &Path) -> Result<Content, Error> {
    let block = Block::open(&LocalDisk::shared(), dir)?;
    let (mut cursor, mut all, mut damage) = (block.series(), Vec::new(), Vec::new());
    while let Some(series) = cursor.next() {
        match series {
            Ok(series) => {
                let mut columns = Columns::default();
                cursor.read(&series, TimeRange::ALL, &mut columns, &mut damage)?;
                all.push((series.labels, columns));
            }
            Err(error) => damage.push(error),
        }
    }
    Ok((all, damage))
}

fn same(a: &Columns, b: &Columns) -> bool {
    let bits = |columns: &Columns| columns.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let histograms = a.histograms.len() == b.histograms.len()
        && a.histograms.iter().zip(&b.histograms).all(|((i, a), (j, b))| i == j && same_histogram(a, b));
    a.timestamps == b.timestamps && bits(a) == bits(b) && histograms
}

fn labels(n: usize) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("n", &format!("{n:05}")), ("söme.label", "a\"b")]).unwrap()
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-50i32..50).prop_map(f64::from),
        2 => any::<f64>(),
        1 => Just(stale_nan()),
        1 => any::<u64>().prop_map(f64::from_bits),
    ]
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec((-3i32..40, 0u32..4).prop_map(|(offset, length)| Span { offset, length }), 0..4)
}

/// Some histograms of one layout; those of integers grow mostly.
fn histograms() -> impl Strategy<Value = Vec<Histogram>> {
    let layout = (spans(), spans(), prop_oneof![Just(-53i32), -4i32..=8], any::<bool>(), 0u8..4);
    let threshold = prop_oneof![Just(0.0), Just(2f64.powi(-128)), Just(0.001)];
    let bounds = prop::collection::vec(prop_oneof![0.0..1e6f64, Just(0.5), Just(1000.0)], 0..4);
    let counts = prop::collection::vec((0u32..1000, float(), 0u8..20), 1..30);
    (layout, threshold, bounds, counts).prop_map(|(layout, zero_threshold, custom_bounds, counts)| {
        let (positive_spans, negative_spans, schema, integer, hint) = layout;
        let len = |spans: &[Span]| spans.iter().map(|span| span.length as usize).sum::<usize>();
        let mut total = 0.0;
        let one = |(more, sum, special): (u32, f64, u8)| {
            total += f64::from(more) * if integer { 1.0 } else { 0.37 };
            if special == 0 {
                total = 1.0;
            }
            let buckets = |spans: &[Span]| (0..len(spans)).map(|i| total + i as f64).collect::<Vec<_>>();
            Histogram {
                schema,
                zero_threshold,
                zero_count: total,
                count: total * 3.0,
                sum: if special == 1 { f64::from_bits(STALE_NAN_BITS) } else { sum },
                positive_buckets: buckets(&positive_spans),
                negative_buckets: buckets(&negative_spans),
                positive_spans: positive_spans.clone(),
                negative_spans: negative_spans.clone(),
                custom_bounds: if schema == -53 { custom_bounds.clone() } else { Vec::new() },
                counter_reset_hint: match hint {
                    0 => CounterResetHint::Gauge,
                    1 => CounterResetHint::Reset,
                    _ => CounterResetHint::Unknown,
                },
                integer: integer && total.fract() == 0.0,
            }
        };
        counts.into_iter().map(one).collect()
    })
}

fn series() -> impl Strategy<Value = Vec<Sample>> {
    let floats =
        prop::collection::vec(float(), 0..300).prop_map(|v| v.into_iter().map(Value::Float).collect());
    let histograms = histograms().prop_map(|h| h.into_iter().map(Value::Histogram).collect::<Vec<_>>());
    let runs = prop::collection::vec(prop_oneof![floats, histograms], 1..4);
    let steps = prop::collection::vec(prop_oneof![8 => Just(5000i64), 1 => 1i64..9000, 1 => Just(1)], 1000);
    (runs, steps).prop_map(|(runs, steps): (Vec<Vec<Value>>, _)| {
        let mut t = 0;
        let next = |(value, step): (Value, &i64)| {
            t += step;
            (t, value)
        };
        runs.into_iter().flatten().zip(&steps).map(next).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_written_is_read(all in prop::collection::vec(series(), 1..6)) {
        let dir = tempfile::tempdir().unwrap();
        let all: Vec<_> = all.iter().enumerate().map(|(n, s)| (labels(n), columns(s))).collect();
        let meta = write(dir.path(), &all).unwrap();
        let all: Vec<_> = all.into_iter().filter(|(_, columns)| !columns.is_empty()).collect();
        prop_assert_eq!(meta.is_some(), !all.is_empty());
        let Some(meta) = meta else { return Ok(()) };
        let (back, damage) = read(&path(dir.path())).unwrap();
        prop_assert!(damage.is_empty(), "{:?}", damage);
        prop_assert_eq!(back.len(), all.len());
        for ((labels, columns), (want_labels, want)) in back.iter().zip(&all) {
            prop_assert_eq!(labels, want_labels);
            prop_assert!(same(columns, want), "{:?}\n{:?}", columns, want);
        }
        let samples: usize = all.iter().map(|(_, columns)| columns.len()).sum();
        prop_assert_eq!(meta.stats.num_samples, samples as u64);
        prop_assert_eq!(Meta::read(&LocalDisk, &path(dir.path())).unwrap(), meta);
    }
}

fn small() -> Vec<(Labels, Columns)> {
    let value = |n: usize, i: i64| Value::Float(((i * 7919 + n as i64) % 97) as f64 / 8.0);
    (0..4)
        .map(|n| (labels(n), columns(&(0..130).map(|i| (i * 15_000, value(n, i))).collect::<Vec<_>>())))
        .collect()
}

#[test]
fn a_flipped_byte_is_an_error_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let all = small();
    write(dir.path(), &all).unwrap();
    let block = path(dir.path());
    let chunks: Vec<_> = fs::read_dir(block.join("chunks")).unwrap().map(|e| e.unwrap().path()).collect();
    let mut named = 0;
    for file in [block.join("index"), block.join("tombstones"), block.join("meta.json")].iter().chain(&chunks)
    {
        let whole = fs::read(file).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(file, &bytes).unwrap();
            let Ok((back, damage)) = read(&block) else {
                named += 1;
                continue;
            };
            named += usize::from(!damage.is_empty());
            // What is given is right, and what is missing was named.
            for (labels, columns) in &back {
                let (_, want) =
                    all.iter().find(|(known, _)| known == labels).expect("a series that was written");
                let subset = columns.timestamps.iter().zip(&columns.values).all(|(t, value)| {
                    let at = want.timestamps.binary_search(t);
                    at.is_ok_and(|at| want.values[at].to_bits() == value.to_bits())
                });
                assert!(subset, "{} at {at}", file.display());
            }
            if file.ends_with("meta.json") {
                continue;
            }
            let complete = back.len() == all.len() && back.iter().zip(&all).all(|(a, b)| same(&a.1, &b.1));
            assert!(complete || !damage.is_empty(), "{} at {at}", file.display());
        }
        fs::write(file, &whole).unwrap();
    }
    assert!(named > 500, "{named} flips were named");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let check = |series: &[(Labels, Columns)], expect: &str| {
        let dir = tempfile::tempdir().unwrap();
        let error = write(dir.path(), series).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    let one = |t: i64| columns(&[(t, Value::Float(1.0))]);
    check(&[(labels(2), one(0)), (labels(1), one(0))], "must sort behind it");
    check(&[(labels(1), one(0)), (labels(1), one(1))], "must sort behind it");
    check(&[(labels(1), one(HOURS))], "are not in the block's");
    let dir = tempfile::tempdir().unwrap();
    assert!(write(dir.path(), &[]).unwrap().is_none(), "a block without series is none");
}
