//! Logs and chunks that are cut and changed: what is given was written, and nothing panics.
#![allow(clippy::print_stderr, reason = "a skipped test is said loudly")]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::{Disk, LocalDisk, MemoryDisk, SharedDisk};
use nave_block::block::BlockId;
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};
use nave_prometheus_block::Error;
use nave_prometheus_block::block::{BlockWriter, Meta, Options, Parent};
use nave_prometheus_block::chunk::decode;
use nave_prometheus_block::directory::{Directory, Item, Report};
use nave_prometheus_block::head_chunk::HeadChunkReader;
use nave_prometheus_block::wal::LogReader;
use proptest::prelude::*;

/// A file of the corpora, or `None` after saying loudly that the test is skipped.
fn corpus(name: &str) -> Option<Vec<u8>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let dir = std::env::var_os("NAVE_CORPORA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let file = dir.join("tsdb").join(name);
    match fs::read(&file) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{}: {error}; set NAVE_CORPORA", file.display());
            eprintln!("SKIPPED: corpora not found at {}: {error}", file.display());
            None
        }
    }
}

fn disk(name: &str, bytes: &[u8]) -> SharedDisk {
    let disk = MemoryDisk::default();
    disk.append(&Path::new("/p").join(name)).unwrap().append(bytes).unwrap();
    Arc::new(disk)
}

/// The records of a log of one segment as text, and how many errors came between.
fn records(bytes: &[u8]) -> (Vec<String>, usize) {
    let mut log = LogReader::open(&disk("wal/00000000", bytes), Path::new("/p/wal")).unwrap();
    let (mut records, mut errors) = (Vec::new(), 0);
    while let Some(record) = log.next() {
        match record {
            Ok(record) => records.push(format!("{record:?}")),
            Err(_) => errors += 1,
        }
    }
    (records, errors)
}

#[test]
fn a_log_that_is_cut_ends_there() {
    let Some(whole) = corpus("wal/snappy/wal/00000000") else { return };
    let (all, errors) = records(&whole);
    assert!(all.len() > 20 && errors == 0, "{} records, {errors} errors", all.len());
    let mut shorter = 0;
    for len in (0..whole.len()).rev().step_by(151) {
        let (some, errors) = records(&whole[..len]);
        assert_eq!(errors, 0, "cut at {len}");
        assert_eq!(some, all[..some.len()], "cut at {len}");
        shorter += usize::from(some.len() < all.len());
    }
    assert!(shorter > 0);
}

#[test]
fn a_log_with_a_flipped_byte_gives_what_was_written() {
    for compression in ["none", "snappy", "zstd"] {
        let Some(whole) = corpus(&format!("wal/{compression}/wal/00000000")) else { return };
        let (all, _) = records(&whole);
        let known: HashSet<&String> = all.iter().collect();
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..60 {
            let mut bytes = whole.clone();
            let at = random.usize(..bytes.len());
            bytes[at] ^= 1 << random.u8(..8);
            let (some, errors) = records(&bytes);
            assert!(some.iter().all(|record| known.contains(record)), "{compression} at {at}");
            assert!(
                some.len() == all.len() || errors > 0 || at + (64 << 10) > whole.len(),
                "{compression} at {at}"
            );
        }
    }
}

#[test]
fn head_chunks_with_a_flipped_byte_end_there() {
    let Some(whole) = corpus("wal/snappy/chunks_head/000001") else { return };
    let read = |bytes: &[u8]| {
        let mut reader =
            HeadChunkReader::open(&disk("chunks_head/000001", bytes), Path::new("/p/chunks_head")).unwrap();
        let mut chunks = Vec::new();
        while let Some(Ok(chunk)) = reader.next() {
            chunks.push(chunk);
        }
        chunks
    };
    let all = read(&whole);
    assert!(!all.is_empty());
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..used).step_by(13) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let some = read(&bytes);
        assert_eq!(some, all[..some.len()], "flipped at {at}");
        assert!(some.len() < all.len(), "flipped at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_bytes_are_samples_or_damage(encoding in 0u8..8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut columns = Columns::default();
        let _ = decode(encoding, &bytes, &mut columns);
        prop_assert!(columns.timestamps.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

const HOUR: i64 = 3_600_000;

fn write(dir: &Path, id: u128, series: &[(&str, &[(i64, f64)])]) -> Meta {
    let range = TimeRange { min: Timestamp(0), max: Timestamp(2 * HOUR - 1) };
    let options = Options::new(BlockId(id), range);
    let mut writer = BlockWriter::create(LocalDisk::shared(), dir, options).unwrap();
    for (name, samples) in series {
        let mut columns = Columns::default();
        samples.iter().for_each(|(t, value)| columns.push(Timestamp(*t), *value));
        writer.push(&Labels::from_pairs([("__name__", *name)]).unwrap(), &columns).unwrap();
    }
    writer.finish().unwrap().unwrap()
}

/// What a directory gives, as `name: time=value ...`.
fn read(dir: &Path) -> (Vec<String>, Report) {
    let mut all = Vec::new();
    let directory = Directory::open(&LocalDisk::shared(), dir).unwrap();
    let report = directory.read::<Error>(TimeRange::ALL, |item| {
        if let Item::Samples(labels, columns) = item {
            let samples = columns.timestamps.iter().zip(&columns.values);
            let samples: Vec<_> = samples.map(|(t, value)| format!("{t}={value}")).collect();
            all.push(format!("{}: {}", labels.metric_name(), samples.join(" ")));
        }
        Ok(())
    });
    (all, report.unwrap())
}

#[test]
fn blocks_that_overlap_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1, &[("a", &[(1, 1.0), (3, 3.0)]), ("c", &[(1, 1.0)])]);
    write(dir.path(), 2, &[("a", &[(2, 2.0), (3, 9.0), (4, 4.0)]), ("b", &[(1, 1.0)])]);
    let (all, report) = read(dir.path());
    assert_eq!(all, ["a: 1=1 2=2 3=3 4=4", "b: 1=1", "c: 1=1"]);
    assert_eq!((report.blocks, report.samples(), report.blocks_superseded), (2, 6, 0));
}

#[test]
fn what_stands_in_another_block_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let parent = write(dir.path(), 1, &[("deleted", &[(1, 1.0)])]);
    let mut child = write(dir.path(), 2, &[("kept", &[(1, 1.0)])]);
    child.compaction.parents = vec![Parent { ulid: parent.ulid, min_time: 0, max_time: 2 * HOUR }];
    let path = dir.path().join(&child.ulid).join("meta.json");
    fs::write(path, serde_json::to_vec(&child).unwrap()).unwrap();
    // A block that is being removed has no meta; a folder of another name is none.
    write(dir.path(), 3, &[("going", &[(1, 1.0)])]);
    fs::remove_file(dir.path().join(BlockId(3).to_string()).join("meta.json")).unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    let (all, report) = read(dir.path());
    assert_eq!((all, report.blocks_superseded), (vec!["kept: 1=1".to_owned()], 1));
    assert!(report.damage.is_empty());
}

#[test]
fn a_block_without_its_index_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1, &[("a", &[(1, 1.0)])]);
    write(dir.path(), 2, &[("b", &[(1, 1.0)])]);
    fs::remove_file(dir.path().join(BlockId(1).to_string()).join("index")).unwrap();
    let (all, report) = read(dir.path());
    assert_eq!((all, report.damage_count), (vec!["b: 1=1".to_owned()], 1));
    assert!(!Directory::is_one(&LocalDisk::shared(), &dir.path().join("none")).unwrap());
    assert!(Directory::is_one(&LocalDisk::shared(), dir.path()).unwrap());
}
