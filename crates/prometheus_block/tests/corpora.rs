//! What a real Prometheus wrote is read exactly: blocks of both index versions, logs of every compression, head
//! chunks.
#![allow(clippy::print_stderr, reason = "a skipped test is said loudly")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nave_base::disk::LocalDisk;
use nave_model::histogram::Histogram;
use nave_model::label::Labels;
use nave_model::sample::is_stale;
use nave_model::select::Columns;
use nave_model::time::TimeRange;
use nave_prometheus_block::Error;
use nave_prometheus_block::block::Block;
use nave_prometheus_block::directory::{Directory, Item, Report};
use serde_json::Value;

/// A folder of the corpora, or `None` after saying loudly that the test is skipped.
fn corpora() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let dir = std::env::var_os("NAVE_CORPORA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let dir = dir.join("tsdb");
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(std::env::var_os("CI").is_none(), "corpora not found at {}; set NAVE_CORPORA", dir.display());
    eprintln!("SKIPPED: corpora not found at {}", dir.display());
    None
}

/// By labels as text: samples as (ms, what they are).
type Content = BTreeMap<String, BTreeMap<i64, String>>;

fn number(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { format!("{value:?}") }
}

/// Count, sum and the counts of all buckets that are not empty, ascending.
fn histogram_text(count: f64, sum: f64, mut buckets: Vec<f64>) -> String {
    buckets.retain(|count| *count != 0.0);
    buckets.sort_by(f64::total_cmp);
    format!("{} {} {buckets:?}", number(count), number(sum))
}

fn histogram(h: &Histogram) -> String {
    let mut buckets = h.positive_buckets.clone();
    buckets.extend(&h.negative_buckets);
    buckets.push(h.zero_count);
    histogram_text(h.count, h.sum, buckets)
}

/// Adds samples, without stale markers, which the query API does not show.
fn put(content: &mut Content, labels: &Labels, columns: &Columns) {
    let mut histograms = columns.histograms.iter().peekable();
    for (i, (t, value)) in columns.timestamps.iter().zip(&columns.values).enumerate() {
        let text = match histograms.next_if(|(at, _)| *at as usize == i) {
            Some((_, h)) if is_stale(h.sum) => continue,
            Some((_, h)) => histogram(h),
            None if is_stale(*value) => continue,
            None => number(*value),
        };
        let before = content.entry(labels.to_string()).or_default().insert(t.0, text);
        assert_eq!(before, None, "{labels} at {t}: twice");
    }
}

fn read(dir: &Path) -> (Content, Report) {
    let mut content = Content::new();
    let directory = Directory::open(&LocalDisk::shared(), dir).unwrap();
    let report = directory.read::<Error>(TimeRange::ALL, |item| {
        if let Item::Samples(labels, columns) = item {
            put(&mut content, labels, columns);
        }
        Ok(())
    });
    let report = report.unwrap();
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    (content, report)
}

fn ms(value: &Value) -> i64 {
    (value.as_f64().unwrap() * 1000.0).round() as i64
}

fn float(value: &Value) -> f64 {
    match value.as_str().unwrap() {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().unwrap(),
    }
}

fn api_histogram(h: &Value) -> String {
    let buckets = h["buckets"].as_array().into_iter().flatten().map(|bucket| float(&bucket[3]));
    histogram_text(float(&h["count"]), float(&h["sum"]), buckets.collect())
}

fn labels(value: &Value) -> String {
    let pairs = value.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
    Labels::from_pairs(pairs).unwrap().to_string()
}

/// The result of a range selector as the query API gives it.
fn expected(file: &Path) -> Content {
    let rows: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let row = |row: &Value| {
        let floats = row["values"].as_array().into_iter().flatten();
        let floats = floats.map(|pair| (ms(&pair[0]), number(float(&pair[1]))));
        let histograms = row["histograms"].as_array().into_iter().flatten();
        let histograms = histograms.map(|pair| (ms(&pair[0]), api_histogram(&pair[1])));
        (labels(&row["metric"]), floats.chain(histograms).collect())
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

fn check(got: &Content, want: &Content) {
    let names = |content: &Content| content.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(want));
    for (labels, samples) in want {
        assert_eq!(&got[labels], samples, "{labels}");
    }
}

#[test]
fn a_block_with_deleted_stretches() {
    let Some(corpora) = corpora() else { return };
    let dir = corpora.join("block-level1");
    let (content, report) = read(&dir);
    check(&content, &expected(&dir.join("expected.json")));
    assert_eq!((report.blocks, report.head_series), (1, 0));
}

#[test]
fn a_compacted_block() {
    let Some(corpora) = corpora() else { return };
    let dir = corpora.join("block-level2");
    let (content, report) = read(&dir);
    assert_eq!(report.samples(), 41_315);
    let rows: Value = serde_json::from_slice(&fs::read(dir.join("expected.json")).unwrap()).unwrap();
    for row in rows.as_array().unwrap() {
        let labels = labels(&row["labels"]);
        let samples = &content[&labels];
        let (first, last) = (samples.first_key_value().unwrap(), samples.last_key_value().unwrap());
        if let Some(count) = row["histograms"].as_u64() {
            assert_eq!(samples.len() as u64, count, "{labels}");
            for (name, (t, text)) in [("first_h", first), ("last_h", last)] {
                assert_eq!((ms(&row[name][0]), api_histogram(&row[name][1])), (*t, text.clone()), "{labels}");
            }
            continue;
        }
        assert_eq!(row["floats"].as_u64(), Some(samples.len() as u64), "{labels}");
        let times: u64 = samples.keys().map(|t| *t as u64).fold(0, u64::wrapping_add) % (1 << 32);
        assert_eq!(row["sum_ts_ms_mod_2_32"].as_u64(), Some(times), "{labels}");
        for (name, (t, value)) in [("first", first), ("last", last)] {
            assert_eq!((ms(&row[name][0]), number(float(&row[name][1]))), (*t, value.clone()), "{labels}");
        }
        let values = samples.values().filter_map(|text| text.parse::<f64>().ok());
        let sum: f64 = values.filter(|value| value.abs() < 1e300).sum();
        let want = row["finite_sum"].as_f64().unwrap();
        assert!((sum - want).abs() <= 1e-9 * want.abs().max(1.0), "{labels}: {sum}, want {want}");
    }
    assert_eq!(content.len(), rows.as_array().unwrap().len());
}

#[test]
fn an_index_of_version_1() {
    let Some(corpora) = corpora() else { return };
    let block = Block::open(&LocalDisk::shared(), &corpora.join("index-v1")).unwrap();
    let (mut cursor, mut before, mut samples) = (block.series(), None, 0);
    while let Some(series) = cursor.next() {
        let series = series.unwrap();
        assert!(before < Some(series.labels.clone()), "label order");
        let (mut columns, mut damage) = (Columns::default(), Vec::new());
        cursor.read(&series, TimeRange::ALL, &mut columns, &mut damage).unwrap();
        assert!(damage.is_empty(), "{damage:?}");
        samples += columns.len();
        before = Some(series.labels);
    }
    assert_eq!((block.series_count(), samples as u64), (102, block.meta().stats.num_samples));
}

#[test]
fn logs_of_every_compression() {
    let Some(corpora) = corpora() else { return };
    let want = expected(&corpora.join("wal/expected.json"));
    for compression in ["none", "snappy", "zstd"] {
        let dir = corpora.join("wal").join(compression);
        assert!(Directory::is_one(&LocalDisk::shared(), &dir).unwrap());
        let (content, report) = read(&dir);
        check(&content, &want);
        assert_eq!((report.exemplars, report.without_series), (1, 0), "{compression}");
    }
}

#[test]
fn metadata_of_the_log() {
    let Some(corpora) = corpora() else { return };
    let directory = Directory::open(&LocalDisk::shared(), &corpora.join("wal/zstd")).unwrap();
    let mut families = Vec::new();
    let read = directory.read::<Error>(TimeRange::ALL, |item| {
        if let Item::Metadata(family, metadata) = item {
            families.push(format!("{family} {} {:?} {:?}", metadata.kind, metadata.help, metadata.unit));
        }
        Ok(())
    });
    read.unwrap();
    assert!(families.len() >= 2, "{families:?}");
}
