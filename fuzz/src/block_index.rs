//! The label index of blocks: postings and rows behind a checksum that fits are damage, or labels and series
//! that exist. The dictionary stays as written: an FST is taken on its checksum alone.

use nave_block::index::{Index, IndexWriter, Parts, RowCache};
use nave_block::page::Scratch;
use nave_model::label::Labels;

/// Checks one input: the first byte chooses the part, and whether the rest replaces or changes it.
pub fn block_index(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    let mut parts = written();
    let part = if how % 2 == 0 { &mut parts.postings } else { &mut parts.rows };
    if how / 2 % 2 == 0 {
        part.truncate(4);
        part.extend_from_slice(rest);
    } else {
        for change in rest.chunks_exact(3) {
            let at = 4 + usize::from(u16::from_le_bytes([change[0], change[1]])) % (part.len() - 4);
            part[at] ^= change[2];
        }
    }
    let crc = crc32c::crc32c(&part[4..]).to_le_bytes();
    part[..4].copy_from_slice(&crc);
    if let Ok(index) = Index::open(parts) {
        read(&index);
    }
}

fn written() -> Parts {
    let mut writer = IndexWriter::new();
    for metric in ["requests_total", "up"] {
        for pod in 0..100 {
            let pod = format!("pod-{pod:02}");
            let labels = Labels::from_pairs([("__name__", metric), ("pod", &pod)]).expect("labels");
            writer.push(&labels).expect("series in order");
        }
    }
    writer.finish().expect("an index can be written")
}

fn read(index: &Index) {
    let (mut cache, mut scratch) = (RowCache::default(), Scratch::new().expect("memory for a decompressor"));
    for series in [0, 127, 128, 199] {
        _ = index.labels(series, &mut cache, &mut scratch);
    }
    for name in ["__name__", "pod"] {
        if let Ok(found) = index.postings_where(name, "", |_| Ok(true)) {
            assert!(found.max().is_none_or(|last| last < index.series()), "only series that exist");
        }
    }
}
