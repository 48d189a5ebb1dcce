//! Prometheus' logs and head chunks: any bytes are damage or records, and reading ends.

use std::path::Path;
use std::sync::Arc;

use nave_base::disk::{Disk, MemoryDisk, SharedDisk};
use nave_prometheus_block::head_chunk::HeadChunkReader;
use nave_prometheus_block::wal::{LogReader, Record};

/// Checks one input: the first byte chooses what is made of the rest.
pub fn prometheus_wal(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    match how % 4 {
        0 => drop(Record::decode(rest)),
        1 => log(&[rest]),
        2 => framed(rest),
        _ => chunks(rest),
    }
}

fn disk(name: &str, parts: &[&[u8]]) -> SharedDisk {
    let disk = MemoryDisk::default();
    for (i, part) in parts.iter().enumerate() {
        let path = Path::new("/p").join(name.replace('#', &i.to_string()));
        disk.append(&path).expect("a file in memory").append(part).expect("room in memory");
    }
    Arc::new(disk)
}

fn log(segments: &[&[u8]]) {
    let disk = disk("wal/0000000#", segments);
    let mut reader = LogReader::open(&disk, Path::new("/p/wal")).expect("a log in memory");
    let bytes: usize = segments.iter().map(|segment| segment.len()).sum();
    let mut items = 0;
    while reader.next().is_some() {
        items += 1;
        assert!(items <= bytes + 1, "reading goes on");
    }
}

/// Fragments with right checksums: type, length, bytes, again and again.
fn framed(mut rest: &[u8]) {
    let mut segment = Vec::new();
    while let Some(([kind, len], more)) = rest.split_first_chunk::<2>() {
        let bytes = &more[..usize::from(*len).min(more.len())];
        segment.push(kind % 32);
        segment.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        segment.extend_from_slice(&crc32c::crc32c(bytes).to_be_bytes());
        segment.extend_from_slice(bytes);
        rest = &more[bytes.len()..];
    }
    let (first, second) = segment.split_at(segment.len() / 2);
    log(&[&segment]);
    log(&[first, second]);
}

/// A file of head chunks whose first chunk has the right checksum.
fn chunks(rest: &[u8]) {
    let mut file = vec![0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0];
    let split = rest.len().min(80);
    file.extend_from_slice(&rest[..split]);
    file.extend_from_slice(&crc32c::crc32c(&rest[..split]).to_be_bytes());
    file.extend_from_slice(&rest[split..]);
    let disk = disk("chunks_head/00000#", &[&file]);
    let mut reader = HeadChunkReader::open(&disk, Path::new("/p/chunks_head")).expect("a folder in memory");
    let mut items = 0;
    while reader.next().is_some() {
        items += 1;
        assert!(items <= file.len(), "reading goes on");
    }
}
