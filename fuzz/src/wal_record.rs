//! Log segments: opening and reading never panic and always end; records before the damage are all there
//! and as they were written; without damage nothing is lost.

use std::path::Path;

use nave_base::disk::{Disk, MemoryDisk};
use nave_wal::{Log, Next, Options, Position, Reader, Record};

const DIR: &str = "log";
const SEGMENT: &str = "log/00000001.wal";

/// Records of the damaged log: a kind and six bytes of payload, framed with length and checksum.
const CHUNK: usize = 7;
const FRAME_BYTES_MAX: usize = 13 + CHUNK - 1;

/// Small inputs make few records; more steps than this mean that reading does not end.
const STEPS_MAX: usize = 100_000;

/// Checks one input: the first byte chooses what is made of the rest.
pub fn wal_record(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    if how % 2 == 0 {
        let mut segment = segment(&[]);
        segment.extend_from_slice(rest);
        read(&segment);
    } else {
        damaged(usize::from(how / 2), rest);
    }
}

/// The bytes of a segment that holds `records`.
fn segment(records: &[(u8, &[u8])]) -> Vec<u8> {
    let disk = MemoryDisk::default();
    let opened = Log::open(std::sync::Arc::new(disk.clone()), Path::new(DIR), Options::default());
    let mut log = opened.expect("an empty log opens").log;
    for (kind, payload) in records {
        log.append(*kind, payload).expect("a small record fits");
    }
    log.sync().expect("memory can be synced");
    disk.open(Path::new(SEGMENT)).and_then(|file| file.read_from(0)).expect("the first segment is there")
}

/// Everything that a reader gives after the log was opened for writing, which cuts a torn tail.
fn read(segment: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let disk = MemoryDisk::default();
    disk.create_dir_all(Path::new(DIR)).expect("a folder");
    disk.append(Path::new(SEGMENT)).and_then(|file| file.append(segment)).expect("the segment");
    disk.sync_dir(Path::new(DIR)).expect("the name");
    let shared: nave_base::disk::SharedDisk = std::sync::Arc::new(disk);
    let before = drain(Reader::at(shared.clone(), Path::new(DIR), Position::START));
    if Log::open(shared.clone(), Path::new(DIR), Options::default()).is_ok() {
        let after = drain(Reader::at(shared, Path::new(DIR), Position::START));
        assert_eq!(before, after, "opening loses no record that can be read");
    }
    before
}

fn drain(mut reader: Reader) -> Vec<(u8, Vec<u8>)> {
    let mut records = Vec::new();
    let mut record = Record::default();
    for _ in 0..STEPS_MAX {
        match reader.next(&mut record) {
            Ok(Next::Record) => records.push((record.kind, record.payload.clone())),
            Ok(Next::Damaged(_)) => {}
            Ok(Next::End) | Err(_) => return records,
        }
    }
    panic!("reading does not end");
}

/// `input` as records of up to six bytes, with one byte changed or the end cut off.
fn damaged(at: usize, input: &[u8]) {
    let records: Vec<(u8, &[u8])> = input.chunks(CHUNK).map(|chunk| (chunk[0], &chunk[1..])).collect();
    let whole = segment(&records);
    let expected = records.iter().map(|(kind, payload)| (*kind, payload.to_vec()));
    assert!(read(&whole).into_iter().eq(expected.clone()), "what was written is read");

    let place = at * whole.len() / 128;
    let mut changed = whole.clone();
    changed[place] ^= 1 << (at % 8);
    let intact = place.saturating_sub(segment(&[]).len()) / FRAME_BYTES_MAX;
    for damaged in [&changed[..], &whole[..place]] {
        let got = read(damaged);
        assert!(got.len() >= intact, "records before the damage are read");
        // What is read is a subsequence of what was written.
        let mut written = expected.clone();
        assert!(got.iter().all(|record| written.any(|known| known == *record)), "no record is made up");
    }
}
