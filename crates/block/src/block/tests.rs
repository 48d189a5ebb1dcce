//! Whole blocks: round trips, sharing, damage, and the disk's failures.

use std::path::Path;
use std::sync::Arc;

use nave_base::disk::{Disk, MemoryDisk};
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

use super::*;
use crate::Error;
use crate::page::{Kind, Scratch};

const ID: BlockId = BlockId(0x0190_0000_0000_0000_0000_0000_0000_0001);
const PATH: &str = "/blocks/a.nave";

type Series = (Labels, Vec<i64>, Vec<f64>);

fn columns(times: &[i64], values: &[f64]) -> Columns {
    Columns {
        timestamps: times.iter().map(|time| Timestamp(*time)).collect(),
        values: values.to_vec(),
        ..Columns::default()
    }
}

fn open(bytes: Vec<u8>) -> Result<Block<Vec<u8>>, Error> {
    Block::open(bytes, PageCache::none())
}

/// All samples of a series, or its first damage.
fn read_one<R: ReadRange>(block: &Block<R>, ordinal: u32) -> Result<(Vec<i64>, Vec<f64>), Error> {
    let (mut scratch, mut out, mut damages) = (Scratch::new(), Columns::default(), Vec::new());
    block.read(ordinal, TimeRange::ALL, &mut scratch, &mut out, &mut damages)?;
    match damages.pop() {
        Some(damage) => Err(damage),
        None => Ok((out.timestamps.iter().map(|time| time.0).collect(), out.values)),
    }
}

/// Series of two targets with times of their own, one that ended, and one longer than a page.
fn fleet() -> Vec<Series> {
    let mut all = Vec::new();
    for (n, name) in ["a", "b", "c", "d", "long"].iter().enumerate() {
        for target in 0..4i64 {
            let labels =
                Labels::from_pairs([("__name__", *name), ("instance", &format!("t{target}"))]).unwrap();
            let count = if *name == "long" { 700 } else { 60 - 20 * i64::from(n == 3) };
            let times: Vec<i64> =
                (0..count).map(|i| 1_700_000_000_000 + i * 15_000 + target % 2 * 123).collect();
            let mut values: Vec<f64> =
                (0..count).map(|i| ((i * 7919 + target) % 97 * n as i64) as f64 / 8.0).collect();
            if n == 2 {
                values[59] = f64::from_bits(0x7ff0_0000_0000_0002);
            }
            all.push((labels, times, values));
        }
    }
    all
}

fn write(disk: &MemoryDisk, series: &[Series]) -> Result<Meta, Error> {
    let options = Options { page_samples: 256, tenant: "ops".to_owned(), ..Options::default() };
    let mut writer = BlockWriter::create(Arc::new(disk.clone()), Path::new(PATH), ID, options)?;
    for (i, (labels, times, values)) in series.iter().enumerate() {
        writer.push(labels, 3 * i as u32, &columns(times, values))?;
    }
    writer.finish()
}

fn written(series: &[Series]) -> Vec<u8> {
    let disk = MemoryDisk::default();
    write(&disk, series).unwrap();
    disk.open(Path::new(PATH)).unwrap().read_from(0).unwrap()
}

/// Everything of a block, or its first error.
fn read_all<R: ReadRange>(source: R) -> Result<Vec<Series>, Error> {
    let block = Block::open(source, PageCache::none())?;
    let (mut scratch, mut cache) = (Scratch::new(), crate::index::RowCache::default());
    let mut all = Vec::new();
    for series in 0..block.meta().series {
        let labels = block
            .index()
            .unwrap()
            .labels(series, &mut cache, &mut scratch)
            .map_err(Error::damaged("index", 0))?;
        let (times, values) = read_one(&block, series)?;
        all.push((labels, times, values));
    }
    Ok(all)
}

fn assert_same(came: &[Series], expected: &[Series]) {
    let bits = |series: &Series| {
        (series.0.clone(), series.1.clone(), series.2.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    assert_eq!(came.iter().map(bits).collect::<Vec<_>>(), expected.iter().map(bits).collect::<Vec<_>>());
}

#[test]
fn a_block_comes_back_from_a_file_and_from_bytes() {
    let disk = MemoryDisk::default();
    let meta = write(&disk, &fleet()).unwrap();
    assert_eq!((meta.id, meta.tenant.as_str(), meta.series), (ID, "ops", 20));
    assert_eq!(meta.samples, fleet().iter().map(|series| series.1.len() as u64).sum::<u64>());
    assert_eq!(meta.range.min, Timestamp(1_700_000_000_000));
    assert_eq!(meta.range.max, Timestamp(1_700_000_000_000 + 699 * 15_000 + 123));
    let file = disk.open(Path::new(PATH)).unwrap();
    assert_same(&read_all(LocalFile(file)).unwrap(), &fleet());
    let block = open(written(&fleet())).unwrap();
    assert_eq!(block.meta(), &meta);
    assert!(block.verify(&mut Scratch::new()).unwrap().is_empty());
    // Two targets differ in their times; four lengths of series, one of them in three pieces.
    let columns: u32 = block.pages(Kind::Times).iter().map(|page| page.last - page.first + 1).sum();
    assert_eq!(columns, 2 * (1 + 1 + 3));
    assert_eq!(block.index().unwrap().postings("instance", "t3").unwrap().len(), 5);
}

#[test]
fn an_empty_block() {
    let block = open(written(&[])).unwrap();
    assert_eq!((block.meta().series, block.meta().samples), (0, 0));
    assert_eq!(read_one(&block, 0).unwrap(), (vec![], vec![]));
}

#[test]
fn every_cut_is_noticed() {
    let bytes = written(&fleet()[..6]);
    for len in 0..bytes.len() {
        assert!(open(bytes[..len].to_vec()).is_err(), "cut at {len}");
    }
}

#[test]
fn a_later_version_says_so() {
    let mut bytes = written(&[]);
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..28]).to_le_bytes();
    bytes[28..32].copy_from_slice(&crc);
    let report = open(bytes).unwrap_err().to_string();
    assert_eq!(report, "block has format version 2, this program reads version 1: use a later release");
}

#[test]
fn what_is_refused() {
    let disk = MemoryDisk::default();
    let (labels, times, values) = fleet().remove(0);
    let mut late = times.clone();
    late.swap(3, 4);
    for (times, values) in [(&times, &values[..3]), (&vec![], &[][..]), (&late, &values[..])] {
        let error = write(&disk, &[(labels.clone(), times.clone(), values.to_vec())]).unwrap_err();
        assert!(matches!(error, Error::Samples { .. }), "{error}");
    }
    let twice = [fleet().remove(0), fleet().remove(0)];
    assert!(matches!(write(&disk, &twice).unwrap_err(), Error::Series(_)));
    assert!(disk.open(Path::new(PATH)).is_err(), "a block that was not finished has no name");
}

/// A full disk leaves no block, or the one that was there.
#[test]
fn a_full_disk_leaves_the_old_block() {
    let disk = MemoryDisk::default();
    write(&disk, &fleet()[..2]).unwrap();
    let old = disk.open(Path::new(PATH)).unwrap().read_from(0).unwrap();
    let whole = written(&fleet()).len();
    for room in (0..whole).step_by(199) {
        disk.set_limit(Some(old.len() + room));
        let error = write(&disk, &fleet()).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert_eq!(disk.open(Path::new(PATH)).unwrap().read_from(0).unwrap(), old);
    }
    disk.set_limit(None);
    write(&disk, &fleet()).unwrap();
    assert_same(&read_all(LocalFile(disk.open(Path::new(PATH)).unwrap())).unwrap(), &fleet());
}
