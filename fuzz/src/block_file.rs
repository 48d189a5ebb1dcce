//! Whole blocks and parts whose bytes are changed behind checksums that fit: damage, or columns that fit each other.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use nave_base::disk::{Disk, MemoryDisk};
use nave_block::page::Kind;
use nave_block::{Block, BlockId, BlockWriter, FileKind, Options, PageCache, RowCache, Scratch};
use nave_model::histogram::{CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

/// Bytes of the header and of the footer in front of their checksums.
const HEADER: usize = 28;
const FOOTER: usize = 84;
/// Bytes of the footer with everything.
const FOOTER_LEN: usize = 96;

/// A file and the ranges that begin with their checksum.
struct Seed {
    bytes: Vec<u8>,
    sealed: Vec<Range<usize>>,
}

/// Checks one input: the first byte chooses the file, then come changes of five bytes: place (4 bytes) and change.
pub fn block_file(input: &[u8]) {
    static SEEDS: OnceLock<[Seed; 2]> = OnceLock::new();
    let seeds = SEEDS.get_or_init(|| [FileKind::Block, FileKind::Part].map(seed));
    let Some((how, rest)) = input.split_first() else { return };
    let seed = &seeds[usize::from(how % 2)];
    let mut bytes = seed.bytes.clone();
    for change in rest.chunks_exact(5) {
        let place = u32::from_le_bytes([change[0], change[1], change[2], change[3]]);
        let at = place as usize % bytes.len();
        bytes[at] ^= change[4];
    }
    for range in &seed.sealed {
        let crc = crc32c::crc32c(&bytes[range.start + 4..range.end]).to_le_bytes();
        bytes[range.start..range.start + 4].copy_from_slice(&crc);
    }
    let crc = crc32c::crc32c(&bytes[..HEADER]).to_le_bytes();
    bytes[HEADER..HEADER + 4].copy_from_slice(&crc);
    let footer = bytes.len() - FOOTER_LEN;
    let crc = crc32c::crc32c(&bytes[footer..footer + FOOTER]).to_le_bytes();
    bytes[footer + FOOTER..footer + FOOTER + 4].copy_from_slice(&crc);
    if let Ok(block) = Block::open(bytes, PageCache::none()) {
        read(&block);
    }
}

fn read(block: &Block<Vec<u8>>) {
    let mut scratch = Scratch::new();
    let (mut out, mut damages, mut cache) = (Columns::default(), Vec::new(), RowCache::default());
    _ = block.verify(&mut scratch);
    _ = block.ids();
    for ordinal in 0..block.meta().series.min(40) {
        out.clear();
        _ = block.read(ordinal, TimeRange::ALL, &mut scratch, &mut out, &mut damages);
        whole(&out);
        if let Some(index) = block.index() {
            _ = index.labels(ordinal, &mut cache, &mut scratch);
        }
    }
    let mut cursor = block.cursor();
    for _ in 0..40 {
        if !matches!(cursor.next(&mut scratch, &mut out, &mut damages), Ok(Some(_))) {
            break;
        }
        whole(&out);
    }
}

/// Columns are as the contract says, whatever the bytes were.
fn whole(columns: &Columns) {
    let count = columns.len();
    assert_eq!(columns.values.len(), count, "a value for each time");
    assert!(columns.timestamps.windows(2).all(|pair| pair[0] < pair[1]), "times ascend");
    assert!([0, count].contains(&columns.start_timestamps.len()), "no starts or all");
    assert!(columns.histograms.windows(2).all(|pair| pair[0].0 < pair[1].0), "histograms ascend");
    assert!(columns.histograms.last().is_none_or(|(at, _)| (*at as usize) < count), "at a sample");
}

fn seed(kind: FileKind) -> Seed {
    let disk = MemoryDisk::default();
    let options = Options { page_samples: 300, kind, ..Options::default() };
    let path = Path::new("/a");
    let writer = BlockWriter::create(Arc::new(disk.clone()), path, BlockId(3), options);
    let mut writer = writer.expect("a file in memory");
    for series in 0..20i64 {
        let labels = Labels::from_pairs([("__name__", format!("m{series:02}")), ("on", "x".to_owned())]);
        writer.push(&labels.expect("labels"), series as u32 * 3, &samples(series)).expect("a series");
    }
    writer.finish().expect("a file can be written");
    let bytes = disk.open(path).and_then(|file| file.read_from(0)).expect("a file in memory");
    let block = Block::open(bytes.clone(), PageCache::none()).expect("what was written opens");
    let mut sealed = Vec::new();
    for kind in [Kind::Values, Kind::Times, Kind::Histograms, Kind::Ids] {
        let ranges =
            block.pages(kind).iter().map(|page| page.offset as usize..page.offset as usize + page.len);
        sealed.extend(ranges);
    }
    let footer = bytes.len() - FOOTER_LEN;
    for section in bytes[footer..footer + 80].chunks_exact(16) {
        let number =
            |at: usize| u64::from_le_bytes(section[at..at + 8].try_into().expect("8 bytes")) as usize;
        // Rows have checksums inside; `block_index` forges them.
        let is_rows = section.as_ptr() == bytes[footer + 32..].as_ptr();
        if number(8) > 4 && !is_rows {
            sealed.push(number(0)..number(0) + number(8));
        }
    }
    Seed { bytes, sealed }
}

fn samples(series: i64) -> Columns {
    let mut columns = Columns::default();
    for i in 0..30i64 {
        let time = Timestamp(1_700_000_000_000 + i * 15_000 + series % 3 * (i % 5));
        match series % 5 {
            0 => columns.push(time, ((i * 7919 + series) % 97) as f64 / 8.0),
            1 => columns.push(time, (i as f64).sqrt()),
            2 if i > 2 => columns.push_histogram(time, Arc::new(histogram(i))),
            3 if i == 29 => columns.push(time, f64::from_bits(0x7ff0_0000_0000_0002)),
            _ => columns.push(time, (i * 4) as f64),
        }
        if series % 7 == 0 {
            columns.start_timestamps.push(Timestamp(1_600_000_000_000));
        }
    }
    columns
}

fn histogram(i: i64) -> Histogram {
    Histogram {
        schema: 2,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: (3 * i) as f64,
        sum: i as f64 / 3.0,
        positive_spans: vec![Span { offset: i as i32 / 10, length: 2 }],
        positive_buckets: vec![i as f64, (2 * i) as f64],
        negative_spans: vec![Span { offset: 1, length: 1 }],
        negative_buckets: vec![0.0],
        custom_bounds: vec![],
        counter_reset_hint: CounterResetHint::Unknown,
        integer: i % 2 == 0,
    }
}
