//! Round trips, lookups and damage of the label index.

use nave_model::label::Labels;
use proptest::prelude::*;

use super::*;
use crate::page::Scratch;

fn sorted(mut series: Vec<Labels>) -> Vec<Labels> {
    series.sort_by(|a, b| (a.metric_name(), a).cmp(&(b.metric_name(), b)));
    series.dedup();
    series
}

fn write(series: &[Labels]) -> Parts {
    let mut writer = IndexWriter::new();
    for (i, labels) in series.iter().enumerate() {
        assert_eq!(writer.push(labels).unwrap(), i as u32);
    }
    writer.finish().unwrap()
}

fn fleet() -> Vec<Labels> {
    let mut series = Vec::new();
    for pod in 0..150 {
        for (metric, shared) in [("up", "1"), ("requests_total", "2"), ("seconds_bucket", "3")] {
            let pod = format!("pod-{pod:03}");
            let mut pairs = vec![("__name__", metric), ("pod", &pod), ("Zone", shared)];
            if metric == "up" {
                pairs.push(("job", "node"));
            }
            series.push(Labels::from_pairs(pairs).unwrap());
        }
    }
    sorted(series)
}

#[test]
fn series_are_found_and_come_back() {
    let series = fleet();
    let index = Index::open(write(&series)).unwrap();
    let (mut cache, mut scratch) = (RowCache::default(), Scratch::new().unwrap());
    for (i, labels) in series.iter().enumerate() {
        assert_eq!(index.labels(i as u32, &mut cache, &mut scratch).unwrap(), *labels);
        for (name, value) in labels {
            assert!(index.postings(name, value).unwrap().contains(i as u32));
        }
    }
    assert_eq!(index.postings("job", "node").unwrap().len(), 150);
    assert_eq!(index.postings("pod", "pod-007").unwrap().len(), 3);
    assert_eq!(index.postings("pod", "none").unwrap().len(), 0);
    assert_eq!(index.postings_where("pod", "pod-01", |_| Ok(true)).unwrap().len(), 30);
    assert_eq!(index.postings_where("pod", "", |value| Ok(value.ends_with('9'))).unwrap().len(), 45);
    assert_eq!(index.values("Zone", "").unwrap(), ["1", "2", "3"]);
    assert_eq!(index.values("po", "").unwrap(), [""; 0]);
    assert_eq!(index.names(), ["Zone", "__name__", "job", "pod"]);
    assert!(index.labels(450, &mut cache, &mut scratch).is_err());
}

#[test]
fn an_empty_index_and_a_series_without_labels() {
    let index = Index::open(write(&[])).unwrap();
    assert_eq!((index.series(), index.symbols()), (0, 0));
    let index = Index::open(write(&[Labels::empty()])).unwrap();
    let labels = index.labels(0, &mut RowCache::default(), &mut Scratch::new().unwrap());
    assert_eq!(labels.unwrap(), Labels::empty());
}

#[test]
fn what_is_refused() {
    let mut writer = IndexWriter::new();
    let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).unwrap();
    writer.push(&labels(&[("__name__", "b")])).unwrap();
    for late in [labels(&[("__name__", "b")]), labels(&[("__name__", "a"), ("x", "y")])] {
        assert!(matches!(writer.push(&late), Err(IndexError::OutOfOrder { .. })), "{late}");
    }
    let nul = labels(&[("__name__", "c"), ("a\0b", "x")]);
    assert!(matches!(writer.push(&nul), Err(IndexError::Unfit { .. })));
    assert_eq!(writer.series(), 1);
}

/// One of the parts.
type Part = fn(&mut Parts) -> &mut Vec<u8>;

#[test]
fn every_flipped_byte_is_named_damage() {
    let parts = write(&fleet());
    let each: [(Part, &str); 3] = [
        (|parts| &mut parts.dictionary, "index dictionary"),
        (|parts| &mut parts.postings, "index postings"),
        (|parts| &mut parts.rows, "index rows"),
    ];
    for (part, name) in each {
        for at in 0..part(&mut parts.clone()).len() {
            let mut broken = parts.clone();
            part(&mut broken)[at] ^= 0x10;
            let damage = Index::open(broken).expect_err("a flipped byte was not noticed");
            assert_eq!(damage.part, name, "byte {at}: {damage}");
        }
    }
}

/// Postings and rows whose checksum was made to fit are damage or labels, never a panic.
#[test]
fn forged_parts_do_not_panic() {
    let parts = write(&fleet()[..200]);
    let each: [Part; 2] = [|parts| &mut parts.postings, |parts| &mut parts.rows];
    for part in each {
        for at in 4..part(&mut parts.clone()).len() {
            let mut forged = parts.clone();
            part(&mut forged)[at] ^= 0x81;
            crate::damage::seal(part(&mut forged), 0);
            let Ok(index) = Index::open(forged) else { continue };
            let (mut cache, mut scratch) = (RowCache::default(), Scratch::new().unwrap());
            _ = index.labels(5, &mut cache, &mut scratch);
            _ = index.labels(199, &mut cache, &mut scratch);
            _ = index.postings_where("pod", "", |_| Ok(true));
            _ = index.postings("__name__", "up");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_label_sets_come_back(sets in prop::collection::vec(
        prop::collection::btree_map("[a-c_]{1,3}|\\PC{1,2}", "[a-z]{1,3}|\\PC{1,4}", 0..5), 0..40,
    )) {
        let usable = |set: &std::collections::BTreeMap<String, String>| !set.keys().any(|name| name.contains('\0'));
        let series = sets.iter().filter(|set| usable(set)).map(|set| Labels::from_pairs(set).unwrap());
        let series = sorted(series.collect());
        let index = Index::open(write(&series)).unwrap();
        let (mut cache, mut scratch) = (RowCache::default(), Scratch::new().unwrap());
        for (i, labels) in series.iter().enumerate() {
            assert_eq!(&index.labels(i as u32, &mut cache, &mut scratch).unwrap(), labels);
        }
    }
}
