//! Every byte of files with pages of all kinds is changed once: a clear report or the same data, never another number.

use std::path::Path;
use std::sync::Arc;

use nave_base::Shutdown;
use nave_base::disk::{Disk, MemoryDisk};
use nave_model::histogram::{CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

use super::layout::{FOOTER_LEN, Footer};
use super::*;
use crate::page::{Kind, Scratch};
use crate::{Error, RowCache, select};

/// Two targets with times of their own: doubles, sums, constants, a stale marker, histograms and start timestamps.
fn fleet() -> Vec<(Labels, Columns)> {
    let mut all = Vec::new();
    for (n, name) in ["a", "b", "c", "d", "h", "s"].iter().enumerate() {
        for target in 0..2i64 {
            let labels = Labels::from_pairs([("__name__", *name), ("on", &format!("t{target}"))]).unwrap();
            let mut columns = Columns::default();
            for i in 0..24i64 {
                let time = Timestamp(1_700_000_000_000 + i * 15_000 + target * (i * i % 7));
                match n {
                    0 => columns.push(time, ((i * 7919 + target) % 97) as f64 / 8.0),
                    1 => columns.push(time, 4.0),
                    2 => columns.push(time, (i as f64 / 10.0).sin()),
                    3 if i == 23 => columns.push(time, f64::from_bits(0x7ff0_0000_0000_0002)),
                    4 if i > 3 => columns.push_histogram(time, Arc::new(histogram(i + target))),
                    _ => columns.push(time, (i * i) as f64),
                }
                if n == 5 {
                    columns.start_timestamps.push(Timestamp(1_600_000_000_000 + i / 12));
                }
            }
            all.push((labels, columns));
        }
    }
    all
}

fn histogram(i: i64) -> Histogram {
    Histogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: (4 * i) as f64,
        sum: i as f64 * 0.37,
        positive_spans: vec![Span { offset: i as i32 / 9, length: 3 }],
        positive_buckets: vec![i as f64, (2 * i) as f64, (i - 1) as f64],
        negative_spans: vec![],
        negative_buckets: vec![],
        custom_bounds: vec![],
        counter_reset_hint: CounterResetHint::NotReset,
        integer: true,
    }
}

fn written(kind: FileKind, series: &[(Labels, Columns)]) -> Vec<u8> {
    let disk = MemoryDisk::default();
    let options = Options { page_samples: 200, kind, tenant: "t".to_owned(), ..Options::default() };
    let path = Path::new("/a");
    let mut writer = BlockWriter::create(Arc::new(disk.clone()), path, BlockId(9), options).unwrap();
    for (i, (labels, columns)) in series.iter().enumerate() {
        writer.push(labels, 40 + i as u32, columns).unwrap();
    }
    writer.finish().unwrap();
    disk.open(path).unwrap().read_from(0).unwrap()
}

type Sample = (i64, u64, Option<String>, i64);

fn samples(columns: &Columns) -> Vec<Sample> {
    let histogram = |i: usize| {
        columns.histograms.iter().find(|(at, _)| *at as usize == i).map(|(_, one)| format!("{one:?}"))
    };
    let start = |i: usize| columns.start_timestamps.get(i).map_or(0, |start| start.0);
    let each = columns.timestamps.iter().zip(&columns.values).enumerate();
    each.map(|(i, (time, value))| (time.0, value.to_bits(), histogram(i), start(i))).collect()
}

/// What the file gives is what was written, or damage is named.
fn check(bytes: Vec<u8>, series: &[(Labels, Columns)], at: usize) {
    let block = match Block::open(bytes.clone(), PageCache::none()) {
        Ok(block) => block,
        Err(error) => {
            let named = matches!(error, Error::Damaged { .. } | Error::Version { .. });
            assert!(named, "byte {at}: {error}");
            // Where it was the index, the pages are whole.
            if let Ok(block) = Block::open_pages(bytes, PageCache::none()) {
                assert!(block.ids().unwrap().iter().copied().eq(40..40 + series.len() as u32));
                assert!(block.verify(&mut Scratch::new()).unwrap().is_empty());
            }
            return;
        }
    };
    let mut scratch = Scratch::new();
    let found = block.verify(&mut scratch).unwrap();
    assert!(!found.is_empty(), "byte {at} was not noticed");
    assert!(found.iter().all(|error| matches!(error, Error::Damaged { .. })), "byte {at}: {found:?}");
    if let Ok(ids) = block.ids() {
        assert!(ids.iter().zip(40..).all(|(id, expected)| *id == expected), "byte {at}");
    }
    let (left, lost) = block.ids_left().unwrap();
    let known = left.iter().zip(40..).all(|(id, expected)| *id == expected || *id == NO_ID);
    assert!(known && lost.is_empty() != left.contains(&NO_ID), "byte {at}");
    let (mut cache, mut out, mut damages) = (RowCache::default(), Columns::default(), Vec::new());
    for (i, (labels, expected)) in series.iter().enumerate() {
        out.clear();
        damages.clear();
        block.read(i as u32, TimeRange::ALL, &mut scratch, &mut out, &mut damages).unwrap();
        let (came, expected) = (samples(&out), samples(expected));
        assert!(came.iter().all(|sample| expected.contains(sample)), "byte {at}: other samples of {labels}");
        assert!(came.len() == expected.len() || !damages.is_empty(), "byte {at}: lost samples of {labels}");
        let Some(index) = block.index() else { continue };
        if let Ok(came) = index.labels(i as u32, &mut cache, &mut scratch) {
            assert_eq!(came, *labels, "byte {at}");
        }
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        let found = select(index, &matchers.iter().collect::<Vec<_>>(), &Shutdown::new());
        assert!(found.is_err() || found.is_ok_and(|found| found.iter().eq([i as u32])), "byte {at}");
    }
}

#[test]
fn every_flipped_byte_of_a_block_and_a_part() {
    let series = fleet();
    for kind in [FileKind::Block, FileKind::Part] {
        let bytes = written(kind, &series);
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x21;
            check(broken, &series, at);
        }
    }
}

/// A damaged page costs that page: the other series are there.
#[test]
fn damage_costs_its_page() {
    let series = fleet();
    let mut bytes = written(FileKind::Part, &series);
    let offset = {
        let block = Block::open(bytes.clone(), PageCache::none()).unwrap();
        block.pages(Kind::Values)[0].offset as usize
    };
    bytes[offset + 9] ^= 4;
    let block = Block::open(bytes, PageCache::none()).unwrap();
    let mut cursor = block.cursor();
    let (mut scratch, mut out, mut damages) = (Scratch::new(), Columns::default(), Vec::new());
    let mut whole = 0;
    for (_, expected) in &series {
        cursor.next(&mut scratch, &mut out, &mut damages).unwrap().unwrap();
        whole += usize::from(samples(&out) == samples(expected));
    }
    assert!(whole >= 3 && whole < series.len() && damages.len() == 1, "{whole} whole, {damages:?}");
    assert!(damages[0].to_string().contains("page of values at offset"), "{}", damages[0]);
}

/// The ranges of a file that begin with their checksum.
fn sealed(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let block = Block::open(bytes.to_vec(), PageCache::none()).unwrap();
    let footer = Footer::take(&bytes[bytes.len() - FOOTER_LEN..], bytes.len() as u64).unwrap();
    let mut ranges = Vec::new();
    for kind in [Kind::Values, Kind::Times, Kind::Histograms, Kind::Ids] {
        ranges.extend(
            block.pages(kind).iter().map(|page| page.offset as usize..page.offset as usize + page.len),
        );
    }
    let sections = [footer.dictionary, footer.postings, footer.directory, footer.meta].into_iter();
    let ranges_of = sections.map(|section| section.offset as usize..(section.offset + section.len) as usize);
    ranges.extend(ranges_of.filter(|range| !range.is_empty()));
    ranges
}

/// What is behind checksums that were made to fit is damage or columns that fit each other, never a panic.
#[test]
fn forged_files_do_not_panic() {
    let series = fleet();
    let (mut scratch, mut out, mut damages) = (Scratch::new(), Columns::default(), Vec::new());
    for kind in [FileKind::Block, FileKind::Part] {
        let bytes = written(kind, &series);
        for range in sealed(&bytes) {
            for (at, flip) in (range.start + 4..range.end).flat_map(|at| [(at, 0x01), (at, 0xc0)]) {
                let mut forged = bytes.clone();
                forged[at] ^= flip;
                crate::damage::seal(&mut forged[range.clone()], 0);
                let Ok(block) = Block::open(forged, PageCache::none()) else { continue };
                _ = block.verify(&mut scratch);
                let mut cursor = block.cursor();
                for _ in 0..series.len() {
                    if !matches!(cursor.next(&mut scratch, &mut out, &mut damages), Ok(Some(_))) {
                        break;
                    }
                    let count = out.len();
                    assert!(
                        out.values.len() == count && out.timestamps.is_sorted_by(|a, b| a < b),
                        "byte {at}"
                    );
                    assert!([0, count].contains(&out.start_timestamps.len()), "byte {at}");
                    assert!(out.histograms.iter().all(|(i, _)| (*i as usize) < count), "byte {at}");
                }
            }
        }
    }
}
