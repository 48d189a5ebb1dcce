//! What a log survives: cuts at every byte, flips of every byte, power cuts, full disks, failing syncs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nave_base::disk::{Disk, Entry, File, MemoryDisk, SharedDisk};
use nave_wal::{Damage, Error, Log, Next, Options, Position, Reader, Record, snapshot};
use proptest::prelude::*;

const DIR: &str = "/wal";

fn options(segment_bytes: u64) -> Options {
    Options { segment_bytes }
}

fn open(disk: &MemoryDisk, segment_bytes: u64) -> nave_wal::Opened {
    Log::open(Arc::new(disk.clone()), Path::new(DIR), options(segment_bytes)).unwrap()
}

type Content = Vec<(u8, Vec<u8>)>;

fn read_all(disk: &MemoryDisk) -> (Content, Vec<Damage>) {
    let mut reader = Reader::at(Arc::new(disk.clone()), Path::new(DIR), Position::START);
    let (mut records, mut damages, mut record) = (Vec::new(), Vec::new(), Record::default());
    loop {
        match reader.next(&mut record).unwrap() {
            Next::Record => records.push((record.kind, record.payload.clone())),
            Next::Damaged(damage) => damages.push(damage),
            Next::End => return (records, damages),
        }
    }
}

fn sample(count: u8) -> Content {
    (0..count).map(|i| (i % 7, vec![i; usize::from(i) * 3 % 11])).collect()
}

fn segment(number: u64) -> PathBuf {
    Path::new(DIR).join(format!("{number:08}.wal"))
}

fn bytes_of(disk: &MemoryDisk, number: u64) -> Vec<u8> {
    disk.open(&segment(number)).unwrap().read_from(0).unwrap()
}

/// A disk with these segments, numbered from 1.
fn disk_of(segments: &[Vec<u8>]) -> MemoryDisk {
    let disk = MemoryDisk::default();
    for (number, bytes) in (1..).zip(segments) {
        disk.append(&segment(number)).unwrap().append(bytes).unwrap();
    }
    disk
}

#[test]
fn every_prefix_yields_the_whole_records_before_it() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 1 << 20).log;
    let records = sample(12);
    let mut ends = Vec::new();
    for (kind, payload) in &records {
        log.append(*kind, payload).unwrap();
        ends.push(usize::try_from(log.end().offset).unwrap());
    }
    let whole = bytes_of(&disk, 1);
    for cut in 0..=whole.len() {
        let torn = disk_of(&[whole[..cut].to_vec()]);
        let before = ends.iter().filter(|end| **end <= cut).count();
        let mut opened = open(&torn, 1 << 20);
        let kept = if before == 0 { 24 } else { ends[before - 1] };
        let lost = if cut < 24 { cut } else { cut - kept };
        assert_eq!(opened.repair.map_or(0, |repair| repair.lost_bytes), lost as u64, "cut at {cut}");
        opened.log.append(99, b"after").unwrap();
        let mut want = records[..before].to_vec();
        want.push((99, b"after".to_vec()));
        assert_eq!(read_all(&torn), (want, vec![]), "cut at {cut}");
    }
}

#[test]
fn a_flip_of_any_byte_is_named_and_gives_no_wrong_record() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 100).log;
    let records = sample(30);
    for (kind, payload) in &records {
        log.append(*kind, payload).unwrap();
    }
    let segments: Vec<_> = log.segments().iter().map(|info| bytes_of(&disk, info.number)).collect();
    assert!(segments.len() > 3);
    for number in 0..segments.len() {
        for at in 0..segments[number].len() {
            let mut flipped = segments.clone();
            flipped[number][at] ^= 0x10;
            let disk = disk_of(&flipped);
            let last = number + 1 == segments.len();
            let (found, damages) = read_all(&disk);
            let mut rest = records.iter();
            assert!(found.iter().all(|record| rest.any(|known| known == record)), "{number} {at}");
            let repair = open(&disk, 100).repair;
            let after = read_all(&disk);
            assert!(after.0.len() < records.len(), "{number} {at}: a record of flipped bytes was given");
            assert!(!after.1.is_empty() || repair.is_some(), "{number} {at}: not named");
            if !last {
                assert_eq!(damages.len(), 1, "{number} {at}");
            }
            if at >= 24 {
                assert_eq!((found.len(), after.0.len()), (29, 29), "{number} {at}: costs one record");
            }
        }
    }
}

/// A power cut while a segment was made can leave any bytes in its header; nobody need hear of damage.
#[test]
fn a_torn_header_without_records_is_made_again() {
    let disk = MemoryDisk::default();
    open(&disk, 100).log.append(1, b"one").unwrap();
    let first = bytes_of(&disk, 1);
    for torn in [vec![0; 24], vec![0xa5; 24], vec![0; 7]] {
        let disk = disk_of(&[first.clone(), torn.clone()]);
        let opened = open(&disk, 100);
        assert_eq!(opened.repair.map(|repair| repair.lost_bytes), Some(torn.len() as u64));
        let mut log = opened.log;
        log.append(2, b"two").unwrap();
        assert_eq!(read_all(&disk), (vec![(1, b"one".to_vec()), (2, b"two".to_vec())], vec![]));
    }
}

#[test]
fn damage_costs_one_record_when_the_next_is_whole() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 1 << 20).log;
    for (kind, payload) in [(1, b"one"), (2, b"two"), (3, b"six")] {
        log.append(kind, payload).unwrap();
    }
    let mut bytes = bytes_of(&disk, 1);
    bytes[24 + 16 + 14] ^= 1;
    let disk = disk_of(&[bytes]);
    assert_eq!(open(&disk, 1 << 20).repair, None, "what follows is whole, so nothing is cut");
    let (records, damages) = read_all(&disk);
    assert_eq!(records, [(1, b"one".to_vec()), (3, b"six".to_vec())]);
    let named = damages[0].to_string();
    assert!(named.contains("00000001.wal is damaged at segment 1 offset 40"), "{named}");
}

#[test]
fn a_flipped_bit_of_a_length_costs_one_record() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 1 << 20).log;
    let records = sample(20);
    let starts: Vec<_> = records
        .iter()
        .map(|(kind, payload)| usize::try_from(log.append(*kind, payload).unwrap().offset).unwrap())
        .collect();
    let newest = bytes_of(&disk, 1);
    log.cut().unwrap();
    for bit in 0..32 {
        for (victim, start) in starts[..19].iter().enumerate() {
            let mut flipped = newest.clone();
            flipped[start + bit / 8] ^= 1 << (bit % 8);
            let mut left = records.clone();
            left.remove(victim);
            let older = disk_of(&[flipped.clone(), bytes_of(&disk, 2)]);
            let newest = disk_of(&[flipped]);
            assert_eq!(open(&newest, 1 << 20).repair, None, "bit {bit} of {victim}: cut as a torn tail");
            for disk in [newest, older] {
                let (found, damages) = read_all(&disk);
                assert_eq!(found, left, "bit {bit} of {victim}");
                let lost = (starts[victim + 1] - start) as u64;
                assert_eq!(damages.len(), 1);
                assert_eq!((damages[0].position.offset, damages[0].lost_bytes), (*start as u64, lost));
            }
        }
    }
}

/// Bytes that others chose, and bytes of an earlier life of the file: a reader that looks for the next record behind
/// damage takes none of them for one.
#[test]
fn a_record_inside_a_payload_is_none() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 1 << 20).log;
    (0..9u8).for_each(|i| _ = log.append(i, b"an earlier life").unwrap());
    let earlier = bytes_of(&disk, 1);
    let plain = plain_segment(1, &sample(9));
    for forged in [&earlier[..], &earlier[24..], &earlier[37..], &plain, &plain[24..]] {
        let disk = MemoryDisk::default();
        let mut log = open(&disk, 1 << 20).log;
        log.append(1, forged).unwrap();
        log.append(2, b"behind").unwrap();
        let mut bytes = bytes_of(&disk, 1);
        bytes[24] ^= 1;
        let damaged = disk_of(&[bytes.clone()]);
        assert_eq!(open(&damaged, 1 << 20).repair, None);
        assert_eq!(read_all(&damaged).0, [(2, b"behind".to_vec())]);
        // As the last record, with the bytes of an earlier life behind it: a torn tail.
        bytes.truncate(24 + 13 + forged.len());
        bytes.extend_from_slice(&earlier);
        let cut = disk_of(&[bytes]);
        assert_eq!(open(&cut, 1 << 20).repair.map(|repair| repair.offset), Some(24));
        assert_eq!(read_all(&cut), (vec![], vec![]));
    }
}

/// Damage in a record that is larger than what a reader buffers, and many pages of zeros.
#[test]
fn the_next_record_is_found_far_behind_the_damage() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 8 << 20).log;
    let large: Vec<u8> = (0..700_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    for (kind, payload) in [(1, &large[..]), (2, &[0; 300_000]), (3, b"far")] {
        log.append(kind, payload).unwrap();
    }
    let mut bytes = bytes_of(&disk, 1);
    bytes[25] ^= 0x80;
    bytes[24 + 13 + 700_000..][..4096].fill(0);
    let damaged = disk_of(&[bytes]);
    assert_eq!(open(&damaged, 8 << 20).repair, None);
    let (found, damages) = read_all(&damaged);
    assert_eq!(found, [(3, b"far".to_vec())]);
    assert_eq!((damages.len(), damages[0].lost_bytes), (1, 2 * 13 + 1_000_000));
}

/// A segment as releases before the salted heads wrote it.
fn plain_segment(number: u64, records: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = [&b"NAVEWAL\n\x01\0\0\0"[..], &number.to_le_bytes()].concat();
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    for (kind, payload) in records {
        let len = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let check = crc32c::crc32c(&[&len[..], &[*kind], payload].concat());
        bytes.extend([&len[..], &check.to_le_bytes(), &[*kind], payload].concat());
    }
    bytes
}

#[test]
fn a_segment_of_an_older_release_is_read_and_left_as_it_is() {
    let records = sample(12);
    let whole = plain_segment(1, &records);
    let mut ends = vec![24];
    records.iter().for_each(|(_, payload)| ends.push(ends.last().unwrap() + 9 + payload.len()));
    for cut in 24..=whole.len() {
        let disk = disk_of(&[whole[..cut].to_vec()]);
        let kept = ends.iter().filter(|end| **end <= cut).count() - 1;
        let mut opened = open(&disk, 1 << 20);
        assert_eq!(opened.repair.is_some(), cut > ends[kept], "cut at {cut}");
        assert_eq!(opened.log.append(99, b"new").unwrap(), Position { segment: 2, offset: 24 });
        assert_eq!(bytes_of(&disk, 1), &whole[..ends[kept]]);
        let mut want = records[..kept].to_vec();
        want.push((99, b"new".to_vec()));
        assert_eq!(read_all(&disk), (want, vec![]), "cut at {cut}");
    }
    // What stands behind a length that cannot be trusted may be part of a payload.
    let mut flipped = whole;
    flipped[ends[5]] ^= 1;
    let disk = disk_of(&[flipped]);
    assert!(open(&disk, 1 << 20).repair.is_some());
    assert_eq!(read_all(&disk), (records[..5].to_vec(), vec![]));
}

#[test]
fn a_missing_segment_is_named_and_a_removed_beginning_is_not() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 40).log;
    for i in 0..4u8 {
        log.append(i, &[i; 10]).unwrap();
    }
    assert_eq!(log.segments().len(), 4);
    log.remove_before(2).unwrap();
    assert_eq!(log.segments().len(), 3);
    let payload = |i: u8| (i, vec![i; 10]);
    assert_eq!(read_all(&disk), (vec![payload(1), payload(2), payload(3)], vec![]));
    disk.remove(&segment(3)).unwrap();
    let (records, damages) = read_all(&disk);
    assert_eq!(records, [payload(1), payload(3)]);
    assert_eq!((damages.len(), damages[0].what), (1, "a segment is missing"));
    log.remove_before(99).unwrap();
    assert_eq!(log.segments().len(), 1, "the newest stays");
}

#[test]
fn a_power_cut_keeps_what_was_synced() {
    for torn in [0, 1, 5, 9, 14, 1000] {
        let disk = MemoryDisk::default();
        let mut log = open(&disk, 64).log;
        let records = sample(20);
        for (kind, payload) in &records[..15] {
            log.append(*kind, payload).unwrap();
        }
        log.sync().unwrap();
        for (kind, payload) in &records[15..17] {
            log.append(*kind, payload).unwrap();
        }
        let disk = disk.after_power_cut(torn);
        let _ = open(&disk, 64);
        let (found, damages) = read_all(&disk);
        assert!(damages.is_empty());
        assert!(found.len() >= 15 && found == records[..found.len()], "torn {torn}: {}", found.len());
    }
}

#[test]
fn a_full_disk_leaves_the_log_usable() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 60).log;
    log.append(1, b"kept").unwrap();
    for room in 41..104 {
        disk.set_limit(Some(room));
        let error = log.append(2, &[7; 40]).unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{room}: {error}");
    }
    disk.set_limit(None);
    log.append(3, b"later").unwrap();
    log.sync().unwrap();
    let want = vec![(1, b"kept".to_vec()), (3, b"later".to_vec())];
    assert_eq!(read_all(&disk), (want.clone(), vec![]));
    assert_eq!(open(&disk, 60).repair, None);
    assert_eq!(read_all(&disk.after_power_cut(0)), (want, vec![]));
}

/// A disk whose syncs fail on demand.
#[derive(Debug, Clone, Default)]
struct Sick {
    inner: MemoryDisk,
    fails: Arc<AtomicBool>,
}

#[derive(Debug)]
struct SickFile {
    inner: Arc<dyn File>,
    fails: Arc<AtomicBool>,
}

impl Disk for Sick {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.inner.open(path)
    }
    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(SickFile { inner: self.inner.append(path)?, fails: self.fails.clone() }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }
}

impl File for SickFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.inner.append(bytes)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }
    fn sync(&self) -> io::Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("I/O error"));
        }
        self.inner.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }
}

#[test]
fn after_a_failed_sync_the_segment_is_given_up() {
    let sick = Sick::default();
    let shared: SharedDisk = Arc::new(sick.clone());
    let mut log = Log::open(shared, Path::new(DIR), Options::default()).unwrap().log;
    log.append(1, b"durable").unwrap();
    log.sync().unwrap();
    log.append(2, b"not known").unwrap();
    sick.fails.store(true, Ordering::SeqCst);
    assert!(matches!(log.sync().unwrap_err(), Error::Io { doing: "syncing", .. }));
    assert!(log.append(3, b"still sick").is_err());
    sick.fails.store(false, Ordering::SeqCst);
    let position = log.append(4, b"well").unwrap();
    assert_eq!(position.segment, 2);
    log.sync().unwrap();
    let (records, damages) = read_all(&sick.inner.after_power_cut(0));
    assert_eq!((records, damages), (vec![(1, b"durable".to_vec()), (4, b"well".to_vec())], vec![]));
}

#[test]
fn a_version_of_the_future_is_refused() {
    let disk = MemoryDisk::default();
    drop(open(&disk, 100));
    let mut bytes = bytes_of(&disk, 1);
    bytes[8] = 3;
    let check = crc32c::crc32c(&bytes[..20]);
    bytes[20..24].copy_from_slice(&check.to_le_bytes());
    let disk = disk_of(&[bytes]);
    let error = Log::open(Arc::new(disk), Path::new(DIR), options(100)).unwrap_err();
    assert!(matches!(error, Error::Version { found: 3, expected: 2, .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Foreign bytes behind good headers: no panic, no endless loop, no memory for a length that is a lie.
    #[test]
    fn any_bytes_can_be_opened_and_read(
        older in proptest::collection::vec(any::<u8>(), 0..200),
        newest in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..200),
    ) {
        let header = |number| {
            let disk = MemoryDisk::default();
            let mut log = open(&disk, 100).log;
            (1..number).for_each(|_| _ = log.cut().unwrap());
            bytes_of(&disk, number)
        };
        let disk = disk_of(&[[header(1), older].concat(), [header(2), newest].concat()]);
        let mut log = open(&disk, 1 << 20).log;
        log.append(9, b"after").unwrap();
        let (records, _) = read_all(&disk);
        prop_assert_eq!(records.last(), Some(&(9, b"after".to_vec())));
    }
}

#[test]
fn a_snapshot_is_there_whole_or_not_at_all() {
    let disk = MemoryDisk::default();
    let shared: SharedDisk = Arc::new(disk.clone());
    let path = Path::new("/wal/checkpoint");
    let read = |disk: &MemoryDisk| {
        let (shared, mut found): (SharedDisk, _) = (Arc::new(disk.clone()), Content::new());
        let whole = snapshot::read::<Error>(&shared, path, 7, |record| {
            found.push((record.kind, record.payload.clone()));
            Ok(())
        });
        whole.unwrap().then_some(found)
    };
    let records = sample(9);
    let mut writer = snapshot::Writer::create(shared.clone(), path, 7).unwrap();
    for (kind, payload) in &records {
        writer.append(*kind, payload).unwrap();
    }
    assert_eq!(read(&disk), None);
    writer.finish().unwrap();
    assert_eq!(read(&disk.after_power_cut(0)), Some(records));
    let bytes = disk.open(path).unwrap().read_from(0).unwrap();
    for cut in 0..bytes.len() {
        let file = disk.append(path).unwrap();
        file.truncate(0).unwrap();
        file.append(&bytes[..cut]).unwrap();
        assert_eq!(read(&disk), None, "cut at {cut}");
    }
}
