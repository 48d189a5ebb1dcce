//! Round trips, lookups and damage of the label index.

use nave_model::label::Labels;
use proptest::prelude::*;

use super::*;
use crate::Damage;
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

fn open(parts: Parts) -> Result<Index, Damage> {
    Index::open(parts, &mut Scratch::new())
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
    let index = open(write(&series)).unwrap();
    let (mut cache, mut scratch) = (RowCache::default(), Scratch::new());
    for (i, labels) in series.iter().enumerate() {
        assert_eq!(index.labels(i as u32, &mut cache, &mut scratch).unwrap(), *labels);
        for (name, value) in labels {
            assert!(index.postings(name, value).unwrap().contains(i as u32));
        }
    }
    assert_eq!(index.postings("job", "node").unwrap().len(), 150);
    assert_eq!(index.postings("pod", "pod-007").unwrap().len(), 3);
    assert_eq!(index.postings("pod", "none").unwrap().len(), 0);
    assert_eq!(index.postings_where("pod", "pod-01", |_| Ok::<_, Damage>(true)).unwrap().len(), 30);
    assert_eq!(
        index.postings_where("pod", "", |value| Ok::<_, Damage>(value.ends_with('9'))).unwrap().len(),
        45
    );
    assert_eq!(index.values_count("pod", "pod-01").unwrap(), 10);
    assert_eq!(index.values_count("pod", "").unwrap(), 150);
    assert_eq!(index.values_count("nothing", "").unwrap(), 0);
    assert!(index.verify(&mut scratch).is_empty());
    assert_eq!(index.values("Zone", "").unwrap(), ["1", "2", "3"]);
    assert_eq!(index.values("po", "").unwrap(), [""; 0]);
    assert_eq!(index.names(), ["Zone", "__name__", "job", "pod"]);
    assert!(index.labels(450, &mut cache, &mut scratch).is_err());
}

#[test]
fn a_cache_of_another_index_is_emptied() {
    let one = fleet();
    let other: Vec<Labels> = one.iter().skip(1).cloned().collect();
    let (a, b) = (open(write(&one)).unwrap(), open(write(&other)).unwrap());
    let (mut cache, mut scratch) = (RowCache::default(), Scratch::new());
    for i in 0..300 {
        assert_eq!(a.labels(i, &mut cache, &mut scratch).unwrap(), one[i as usize]);
        assert_eq!(b.labels(i, &mut cache, &mut scratch).unwrap(), other[i as usize]);
    }
}

#[test]
fn an_empty_index_and_a_series_without_labels() {
    let index = open(write(&[])).unwrap();
    assert_eq!((index.series(), index.symbols()), (0, 0));
    let index = open(write(&[Labels::empty()])).unwrap();
    let labels = index.labels(0, &mut RowCache::default(), &mut Scratch::new());
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

/// What is not noticed when the index is opened is a damaged block of rows: it costs the labels of its series only.
#[test]
fn every_flipped_byte_is_named_damage() {
    let series = fleet();
    let parts = write(&series);
    let each: [(Part, &str); 3] = [
        (|parts| &mut parts.dictionary, "index dictionary"),
        (|parts| &mut parts.postings, "index postings"),
        (|parts| &mut parts.rows, "index rows"),
    ];
    let mut scratch = Scratch::new();
    for (part, name) in each {
        let mut noticed_late = 0;
        for at in 0..part(&mut parts.clone()).len() {
            let mut broken = parts.clone();
            part(&mut broken)[at] ^= 0x10;
            let damage = match open(broken) {
                Err(damage) => damage,
                Ok(index) => {
                    noticed_late += 1;
                    let mut cache = RowCache::default();
                    let mut labels = |i| index.labels(i as u32, &mut cache, &mut scratch);
                    let lost = series.iter().enumerate().filter(|(i, expected)| match labels(*i) {
                        Ok(labels) => {
                            assert_eq!(labels, **expected, "byte {at}");
                            false
                        }
                        Err(_) => true,
                    });
                    assert!((1..=ROWS).contains(&lost.count()), "byte {at}");
                    index.verify(&mut scratch).remove(0)
                }
            };
            assert_eq!(damage.part, name, "byte {at}: {damage}");
        }
        assert_eq!(noticed_late > 0, name == "index rows", "{name}: {noticed_late}");
    }
}

/// Makes the checksums of rows fit: of their head and of each block that the head names.
fn seal_rows(rows: &mut [u8]) {
    let mut rest = &rows[..];
    let Some(head) = nave_base::varint::take_bytes(&mut rest) else { return };
    let (head_len, mut at) = (head.len(), rows.len() - rest.len());
    let mut heads = head.get(4..).unwrap_or_default();
    let mut number = || nave_base::varint::take_u64(&mut heads);
    let (_, schemas) = (number(), number().unwrap_or_default());
    for _ in 0..schemas.min(100) {
        _ = nave_base::varint::take_bytes(&mut heads);
    }
    let lens: Vec<usize> = std::iter::from_fn(|| nave_base::varint::take_u64(&mut heads))
        .map(|head| (head >> 1) as usize)
        .collect();
    if head_len >= 4 {
        crate::damage::seal(&mut rows[at - head_len..at], 0);
    }
    for len in lens {
        let Some(block) = at.checked_add(len).and_then(|end| rows.get_mut(at..end)) else { return };
        if block.len() >= 4 {
            crate::damage::seal(block, 0);
        }
        at += len;
    }
}

/// Whatever is behind checksums that were made to fit is damage or labels, never a panic.
#[test]
fn forged_parts_do_not_panic() {
    let parts = write(&fleet()[..200]);
    type Seal = fn(&mut [u8]);
    let each: [(Part, Seal); 3] = [
        (|parts| &mut parts.dictionary, |bytes| crate::damage::seal(bytes, 0)),
        (|parts| &mut parts.postings, |bytes| crate::damage::seal(bytes, 0)),
        (|parts| &mut parts.rows, seal_rows),
    ];
    for (part, seal) in each {
        for (at, flip) in (0..part(&mut parts.clone()).len()).flat_map(|at| [(at, 0x81), (at, 0x02)]) {
            let mut forged = parts.clone();
            part(&mut forged)[at] ^= flip;
            seal(part(&mut forged));
            let Ok(index) = open(forged) else { continue };
            let (mut cache, mut scratch) = (RowCache::default(), Scratch::new());
            _ = index.labels(5, &mut cache, &mut scratch);
            _ = index.labels(199, &mut cache, &mut scratch);
            _ = index.postings_where("pod", "", |_| Ok::<_, Damage>(true));
            _ = index.postings("__name__", "up");
            _ = index.values_count("pod", "pod-0");
            _ = index.verify(&mut scratch);
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
        let index = open(write(&series)).unwrap();
        let (mut cache, mut scratch) = (RowCache::default(), Scratch::new());
        for (i, labels) in series.iter().enumerate() {
            assert_eq!(&index.labels(i as u32, &mut cache, &mut scratch).unwrap(), labels);
        }
        assert_eq!(index.verify(&mut scratch), []);
    }
}
