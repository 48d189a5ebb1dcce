//! Prometheus' blocks: an index with bytes changed behind checksums that fit is damage or series, never a panic.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use nave_base::disk::{Disk, LocalDisk, MemoryDisk, SharedDisk};
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};
use nave_prometheus_block::block::{Block, BlockId, BlockWriter, Options};

/// The files of a small block.
struct Template {
    files: Vec<(&'static str, Vec<u8>)>,
    index: Vec<u8>,
}

/// Checks one input: pairs of a place and a byte that are changed in a small index.
pub fn prometheus_index(input: &[u8]) {
    let template = template();
    let mut index = template.index.clone();
    for change in input.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % index.len();
        index[at] = change[2];
    }
    seal(&mut index);
    let disk = MemoryDisk::default();
    let put = |name: &str, bytes: &[u8]| {
        let file = disk.append(&Path::new("/b").join(name)).expect("a file in memory");
        file.append(bytes).expect("room in memory");
    };
    template.files.iter().for_each(|(name, bytes)| put(name, bytes));
    put("index", &index);
    let disk: SharedDisk = Arc::new(disk.clone());
    let Ok(block) = Block::open(&disk, Path::new("/b")) else { return };
    let (mut cursor, mut columns) = (block.series(), Columns::default());
    for _ in 0..64 {
        let Some(series) = cursor.next() else { break };
        let Ok(series) = series else { continue };
        columns.clear();
        cursor.read(&series, TimeRange::ALL, &mut columns, &mut Vec::new()).expect("memory does not fail");
        assert!(columns.timestamps.windows(2).all(|pair| pair[0] < pair[1]), "samples ascend");
    }
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("nave-fuzz-{}", std::process::id()));
        let id = BlockId(1);
        let range = TimeRange { min: Timestamp(0), max: Timestamp(7_199_999) };
        let mut writer = BlockWriter::create(LocalDisk::shared(), &dir, Options::new(id, range))
            .expect("a temporary folder");
        for n in 0..4 {
            let labels = Labels::from_pairs([("__name__", "m"), ("n", &n.to_string())]).expect("labels");
            let mut columns = Columns::default();
            (0..130).for_each(|i| columns.push(Timestamp(i * 15_000), (i * n) as f64));
            writer.push(&labels, &columns).expect("a series");
        }
        writer.finish().expect("a block");
        let block = dir.join(id.to_string());
        let read = |name: &str| std::fs::read(block.join(name)).expect("a file of the block");
        let names = ["meta.json", "tombstones", "chunks/000001"];
        let files = names.into_iter().map(|name| (name, read(name))).collect();
        let index = read("index");
        std::fs::remove_dir_all(&dir).expect("a temporary folder");
        Template { files, index }
    })
}

/// Makes the checksums of the table of contents and of the sections and series that it leads to right.
fn seal(index: &mut [u8]) {
    let end = index.len() - 4;
    let toc = end - 48;
    let offset = |index: &[u8], at: usize| {
        usize::try_from(u64::from_be_bytes(index[at..at + 8].try_into().expect("8 bytes")))
            .unwrap_or(usize::MAX)
    };
    let (symbols, series, postings) = (offset(index, toc), offset(index, toc + 8), offset(index, toc + 32));
    for section in [symbols, postings] {
        let Some(bytes) = index.get(section..section.saturating_add(4)) else { continue };
        let len = u32::from_be_bytes(bytes.try_into().expect("4 bytes")) as usize;
        put_crc(index, section + 4, len, toc);
    }
    let mut at = series;
    while at < postings.min(toc) {
        let len = usize::from(index[at]);
        put_crc(index, at + 1, len, toc);
        at = (at + 1 + len + 4).next_multiple_of(16);
    }
    put_crc(index, toc, 48, index.len());
}

fn put_crc(index: &mut [u8], start: usize, len: usize, limit: usize) {
    if start.saturating_add(len).saturating_add(4) <= limit {
        let crc = crc32c::crc32c(&index[start..start + len]);
        index[start + len..start + len + 4].copy_from_slice(&crc.to_be_bytes());
    }
}
