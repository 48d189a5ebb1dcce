//! Every flipped byte is named by `verify`; `repair` keeps the rest, and makes a lost manifest anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::clock::FakeClock;
use nave_base::disk::{Disk, MemoryDisk, SharedDisk};
use nave_base::random::Random;
use nave_block::{Block, BlockWriter, FileKind, LocalFile, Options, PageCache, RowCache, SeqRange};
use nave_model::append::Tenant;
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

use super::*;
use crate::catalog::{Catalog, RegistryLength, WINDOW_MS, Window};
use crate::registry::Writer;

const DIR: &str = "/data";
const SERIES: u32 = 6;
const SAMPLES: i64 = 50;

fn labels(id: u32) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("id", &id.to_string())]).unwrap()
}

fn shared(disk: &MemoryDisk) -> SharedDisk {
    Arc::new(disk.clone())
}

fn write(catalog: &Catalog, disk: &MemoryDisk, kind: FileKind, seq: u64) -> (Meta, Window) {
    let (id, path) = catalog.new_path(kind);
    let seq = SeqRange { lo: seq, hi: seq };
    let tenant = Tenant::default().0.to_string();
    let options = Options { page_samples: 40, tenant, seq, kind };
    let mut writer = BlockWriter::create(shared(disk), &path, id, options).unwrap();
    for id in 1..=SERIES {
        let mut columns = Columns::default();
        for i in 0..SAMPLES {
            columns.push(Timestamp(i * 1000 + i64::from(id) % 3), f64::from(id) + (i * i) as f64 / 7.0);
        }
        writer.push(&labels(id), id, &columns).unwrap();
    }
    (writer.finish().unwrap(), Window::aligned(0, WINDOW_MS))
}

/// A folder with a registry, a part and a block.
fn folder() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let (clock, random) = (FakeClock::at(1_700_000_000_000), Random::from_seed(1));
    let (catalog, _) =
        Catalog::open(shared(&disk), Path::new(DIR), clock, random, PageCache::none()).unwrap();
    let mut registry = Writer::append(&shared(&disk), Path::new(DIR), RegistryLength::default()).unwrap();
    (1..=SERIES).for_each(|id| registry.series(&Tenant::default(), id, &labels(id)).unwrap());
    let registry = registry.finish().unwrap();
    let files = [write(&catalog, &disk, FileKind::Part, 1), write(&catalog, &disk, FileKind::Block, 2)];
    let entries = files.map(|(meta, window)| catalog.entry(meta, window, true).unwrap());
    let done = catalog.commit(|edit| {
        entries.into_iter().for_each(|entry| edit.add(entry));
        edit.flushed(2, 0, registry, SERIES + 1);
    });
    done.unwrap();
    disk
}

fn flip(disk: &MemoryDisk, path: &Path, at: usize) {
    let mut bytes = disk.open(path).unwrap().read_from(0).unwrap();
    bytes[at] ^= 4;
    replace(disk, path, &bytes);
}

fn replace(disk: &MemoryDisk, path: &Path, bytes: &[u8]) {
    disk.remove(path).unwrap();
    disk.append(path).unwrap().append(bytes).unwrap();
}

fn check(disk: &MemoryDisk) -> Verified {
    verify(&shared(disk), Path::new(DIR)).unwrap()
}

fn fix(disk: &MemoryDisk) -> Repaired {
    repair(&shared(disk), Path::new(DIR), FakeClock::at(1_700_000_000_000)).unwrap()
}

fn files(disk: &MemoryDisk) -> Vec<File> {
    contents(&shared(disk), Path::new(DIR)).unwrap().files
}

/// Times by the number of the series, of one file.
fn read(disk: &MemoryDisk, path: &Path) -> BTreeMap<u32, Vec<i64>> {
    let file = LocalFile(disk.open(path).unwrap());
    let block = Block::open(file, PageCache::none()).unwrap();
    let (ids, mut scratch) = (block.ids().unwrap(), nave_block::Scratch::new());
    let mut rows = RowCache::default();
    let mut one = |ordinal: u32| {
        // In a block the numbers are a hint that may be lost.
        let id = match block.index() {
            Some(index) => index.labels(ordinal, &mut rows, &mut scratch).unwrap().get("id").parse().unwrap(),
            None => ids[ordinal as usize],
        };
        let (mut columns, mut damages) = (Columns::default(), Vec::new());
        block.read(ordinal, TimeRange::ALL, &mut scratch, &mut columns, &mut damages).unwrap();
        assert!(damages.is_empty());
        for (t, value) in columns.timestamps.iter().zip(&columns.values) {
            let i = t.0 / 1000;
            assert_eq!(*value, f64::from(id) + (i * i) as f64 / 7.0);
        }
        (id, columns.timestamps.iter().map(|t| t.0).collect())
    };
    (0..block.meta().series).map(&mut one).collect()
}

#[test]
fn a_whole_folder_is_whole() {
    let disk = folder();
    let report = check(&disk);
    let expect = Verified { files: 2, bytes: report.bytes, samples: 600, series: 6, ..Verified::default() };
    assert_eq!(report, expect);
    assert_eq!(files(&disk).len(), 2);
}

#[tokio::test]
async fn every_flip_is_named_and_repair_keeps_the_rest() {
    let whole = folder();
    let (mut rewritten, mut aside) = (0, 0);
    for file in files(&whole) {
        for at in (0..file.bytes as usize).step_by(61) {
            let disk = folder();
            let path =
                files(&disk).iter().find(|other| other.meta.kind == file.meta.kind).unwrap().path.clone();
            flip(&disk, &path, at);
            let report = check(&disk);
            assert!(
                report.damages.iter().any(|found| found.path == path),
                "byte {at} of {path:?}: {report:?}"
            );
            let repaired = fix(&disk);
            assert!(!repaired.done.is_empty(), "byte {at}");
            let after = check(&disk);
            assert!(after.damages.is_empty(), "byte {at}: {after:?}");
            let kept: usize = files(&disk)
                .iter()
                .flat_map(|file| read(&disk, &file.path))
                .map(|(_, times)| times.len())
                .sum();
            assert_eq!(kept as u64 + repaired.samples_lost, 600, "byte {at}: {repaired:?}");
            rewritten += repaired.files_rewritten;
            aside += repaired.files_aside;
            assert_eq!(fix(&disk), Repaired::default(), "a second run has nothing to do");
        }
    }
    assert!(rewritten > 4 && aside > 1, "{rewritten} {aside}");
}

#[tokio::test]
async fn a_lost_manifest_is_made_anew() {
    let disk = folder();
    let before: Vec<PathBuf> = files(&disk).into_iter().map(|file| file.path).collect();
    let path = Path::new(DIR).join("manifest");
    for damage in [None, Some(20)] {
        match damage {
            None => disk.remove(&path).unwrap(),
            Some(at) => flip(&disk, &path, at),
        }
        // The rest of a flush that did not happen.
        let registry = Path::new(DIR).join(SERIES_DIR).join("0000000001");
        disk.append(&registry).unwrap().append(&[7; 30]).unwrap();
        assert_eq!(check(&disk).damages[0].path, path);
        let repaired = fix(&disk);
        assert_eq!((repaired.done.len(), repaired.samples_lost), (1, 0), "{repaired:?}");
        let after = check(&disk);
        assert_eq!((after.damages, after.samples, after.series), (vec![], 600, 6));
        assert_eq!(files(&disk).into_iter().map(|file| file.path).collect::<Vec<_>>(), before);
    }
}
