//! The label index of blocks: parts behind checksums that fit are damage, or labels and series that exist.

use nave_base::varint;
use nave_block::Damage;
use nave_block::index::{Index, IndexWriter, Parts, RowCache};
use nave_block::page::Scratch;
use nave_model::label::Labels;

/// Checks one input: the first byte chooses the part, and whether the rest replaces or changes it.
pub fn block_index(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    let mut parts = written();
    let part = match how % 3 {
        0 => &mut parts.dictionary,
        1 => &mut parts.postings,
        _ => &mut parts.rows,
    };
    if how / 3 % 2 == 0 {
        part.truncate(4);
        part.extend_from_slice(rest);
    } else {
        for change in rest.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % part.len();
            part[at] ^= change[2];
        }
    }
    if how % 3 == 2 {
        seal_rows(part)
    } else {
        seal(part)
    }
    let mut scratch = Scratch::new();
    if let Ok(index) = Index::open(parts, &mut scratch) {
        read(&index, &mut scratch);
    }
}

/// Makes a checksum fit.
fn seal(bytes: &mut [u8]) {
    if let Some((crc, rest)) = bytes.split_first_chunk_mut::<4>() {
        *crc = crc32c::crc32c(rest).to_le_bytes();
    }
}

/// Makes the checksums of rows fit: of their head and of each block that the head names.
fn seal_rows(rows: &mut [u8]) {
    let mut rest = &rows[..];
    let Some(head) = varint::take_bytes(&mut rest) else { return };
    let (head_len, mut at) = (head.len(), rows.len() - rest.len());
    let mut heads = head.get(4..).unwrap_or_default();
    _ = varint::take_u64(&mut heads);
    let schemas = varint::take_u64(&mut heads).unwrap_or_default();
    for _ in 0..schemas.min(1000) {
        _ = varint::take_bytes(&mut heads);
    }
    let mut lens = Vec::new();
    while let Some(head) = varint::take_u64(&mut heads) {
        lens.push(usize::try_from(head >> 1).unwrap_or(usize::MAX));
    }
    seal(&mut rows[at - head_len..at]);
    for len in lens {
        let Some(block) = at.checked_add(len).and_then(|end| rows.get_mut(at..end)) else { return };
        seal(block);
        at += len;
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

fn read(index: &Index, scratch: &mut Scratch) {
    let mut cache = RowCache::default();
    for series in [0, 127, 128, 199] {
        _ = index.labels(series, &mut cache, scratch);
    }
    for name in ["__name__", "pod"] {
        _ = index.values_count(name, "p");
        if let Ok(found) = index.postings_where(name, "", |_| Ok::<_, Damage>(true)) {
            assert!(found.max().is_none_or(|last| last < index.series()), "only series that exist");
        }
    }
}
