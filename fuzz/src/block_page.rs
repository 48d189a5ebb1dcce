//! Pages of blocks: bytes behind a checksum that fits are damage or columns of the declared lengths; what is
//! written comes back bit for bit.

use nave_block::Effort;
use nave_block::page::{Kind, Origin, Page, PageWriter, SAMPLES_MAX, Scratch};

/// Checks one input: the first byte chooses what is made of the rest.
pub fn block_page(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    match how % 6 {
        4 => read(Kind::Histograms, sealed(rest)),
        5 => read(Kind::Ids, sealed(rest)),
        0 => read(Kind::Values, sealed(rest)),
        1 => read(Kind::Times, sealed(rest)),
        2 => round_trip(rest),
        _ => damaged(rest),
    }
}

/// `bytes` behind their checksum.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut page = crc32c::crc32c(bytes).to_le_bytes().to_vec();
    page.extend_from_slice(bytes);
    page
}

fn read(kind: Kind, bytes: Vec<u8>) {
    let mut scratch = Scratch::new();
    let Ok(page) = Page::open(kind, bytes, &mut scratch) else { return };
    let counts: usize = (0..page.columns()).filter_map(|i| page.count(i)).sum();
    assert!(counts == page.samples() && (counts <= SAMPLES_MAX || kind == Kind::Histograms), "counts add up");
    for i in 0..page.runs().min(256) {
        let mut histograms = Vec::new();
        _ = page.histograms(i, 0..u32::MAX, &mut scratch, &mut histograms);
    }
    for i in 0..page.columns().min(256) {
        let (mut values, mut times) = (Vec::new(), Vec::new());
        let result = match kind {
            Kind::Histograms => continue,
            Kind::Values => page.values(i, &mut scratch, &mut values),
            _ => page.numbers(i, &mut scratch, &mut times),
        };
        if result.is_ok() {
            assert_eq!(Some(values.len() + times.len()), page.count(i), "as many as declared");
        }
    }
}

/// Doubles of the input, as columns of up to 16.
fn write(input: &[u8]) -> (Vec<Vec<f64>>, Vec<u8>) {
    let values: Vec<f64> = input.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let columns: Vec<Vec<f64>> = values.chunks(16).map(<[f64]>::to_vec).collect();
    let mut writer = PageWriter::new(Kind::Values, Effort::Small).expect("memory for a compressor");
    for (series, column) in (0..).zip(&columns) {
        writer.push_values(Origin { series, ..Origin::default() }, column);
    }
    let mut page = Vec::new();
    writer.finish(&mut page).expect("a page can be written");
    (columns, page)
}

fn round_trip(input: &[u8]) {
    let (columns, bytes) = write(&input[..input.len().min(SAMPLES_MAX)]);
    let mut scratch = Scratch::new();
    let page = Page::open(Kind::Values, bytes, &mut scratch).expect("what was written opens");
    for (i, column) in columns.iter().enumerate() {
        let mut values = Vec::new();
        page.values(i, &mut scratch, &mut values).expect("what was written is read");
        assert!(values.iter().map(|v| v.to_bits()).eq(column.iter().map(|v| v.to_bits())), "bit for bit");
    }
}

/// A page with bytes changed by the input (pairs of place and change), its checksum made to fit.
fn damaged(input: &[u8]) {
    let seed: Vec<u8> = (0..64u32).flat_map(|i| (f64::from(i * i % 97) / 8.0).to_le_bytes()).collect();
    let (_, mut bytes) = write(&seed);
    for change in input.chunks_exact(2) {
        let at = 4 + usize::from(change[0]) % (bytes.len() - 4);
        bytes[at] ^= change[1];
    }
    read(Kind::Values, sealed(&bytes[4..]));
}
