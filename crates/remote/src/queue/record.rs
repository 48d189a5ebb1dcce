//! The bytes of the queue's log records; `docs/format/queue.md` draws them.
//!
//! Every segment stands alone: it begins with [`BEGIN`] and names each series before its first sample in
//! that segment. Foreign bytes give an error, never a panic.

use nave_base::varint::{put_i64, put_u64, take_bytes, take_i64, take_u64};
use nave_model::label::Labels;
use nave_model::time::Timestamp;

use crate::Piece;

/// First record of a segment: format version, and when the segment was begun.
pub(super) const BEGIN: u8 = 1;
/// Names series.
pub(super) const SERIES: u8 = 2;
/// Float samples.
pub(super) const SAMPLES: u8 = 3;

const VERSION: u64 = 1;

/// The payload of [`BEGIN`].
pub(super) fn begin(created_ms: i64) -> Vec<u8> {
    let mut payload = Vec::new();
    put_u64(&mut payload, VERSION);
    put_i64(&mut payload, created_ms);
    payload
}

/// When the segment was begun, from the payload of [`BEGIN`].
pub(super) fn read_begin(mut payload: &[u8]) -> Result<i64, String> {
    match take_u64(&mut payload) {
        Some(VERSION) => {}
        Some(other) => {
            return Err(format!(
                "queue format version {other}, expected {VERSION}: start the program version that wrote it"
            ));
        }
        None => return Err("begin record is cut short".to_owned()),
    }
    take_i64(&mut payload).ok_or_else(|| "begin record has no time".to_owned())
}

/// Appends one series to the payload of [`SERIES`].
pub(super) fn put_series(payload: &mut Vec<u8>, id: u32, labels: &Labels) {
    put_u64(payload, u64::from(id));
    put_u64(payload, labels.as_bytes().len() as u64);
    payload.extend_from_slice(labels.as_bytes());
}

/// Builds the payload of [`SAMPLES`].
#[derive(Debug, Default)]
pub(super) struct SamplesWriter {
    payload: Vec<u8>,
    before: i64,
}

impl SamplesWriter {
    /// Adds the samples of one series; nothing for none.
    pub(super) fn series(&mut self, id: u32, samples: impl ExactSizeIterator<Item = (Timestamp, f64)>) {
        let count = samples.len() as u64;
        if count == 0 {
            return;
        }
        // One sample is by far the usual case: its count costs a bit.
        put_u64(&mut self.payload, u64::from(id) << 1 | u64::from(count > 1));
        if count > 1 {
            put_u64(&mut self.payload, count);
        }
        for (timestamp, value) in samples {
            put_i64(&mut self.payload, timestamp.0.wrapping_sub(self.before));
            self.before = timestamp.0;
            self.payload.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.payload
    }
}

/// Adds what `payload` says to `piece`.
pub(super) fn read(kind: u8, payload: &[u8], piece: &mut Piece) -> Result<(), String> {
    match kind {
        BEGIN => read_begin(payload).map(drop),
        SERIES => read_series(payload, piece),
        SAMPLES => read_samples(payload, piece).ok_or_else(|| "samples record is cut short".to_owned()),
        other => Err(format!("unknown record kind {other}, expected {BEGIN}, {SERIES} or {SAMPLES}")),
    }
}

fn read_series(mut rest: &[u8], piece: &mut Piece) -> Result<(), String> {
    while !rest.is_empty() {
        let id = take_u64(&mut rest).and_then(|id| u32::try_from(id).ok());
        let (Some(id), Some(labels)) = (id, take_bytes(&mut rest)) else {
            return Err("series record is cut short".to_owned());
        };
        let labels = Labels::from_bytes(labels).map_err(|error| error.to_string())?;
        piece.series.push((id, labels));
    }
    Ok(())
}

fn read_samples(mut rest: &[u8], piece: &mut Piece) -> Option<()> {
    let mut before = 0i64;
    while !rest.is_empty() {
        let head = take_u64(&mut rest)?;
        let id = u32::try_from(head >> 1).ok()?;
        let count = if head & 1 == 1 { take_u64(&mut rest)? } else { 1 };
        for _ in 0..count {
            before = before.wrapping_add(take_i64(&mut rest)?);
            let (bits, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            piece.samples.push((id, Timestamp(before), f64::from_bits(u64::from_le_bytes(*bits))));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scrape_costs_eleven_bytes_a_sample() {
        let mut writer = SamplesWriter::default();
        for id in 0..100 {
            writer.series(id, [(Timestamp(1_700_000_000_000), 1.0)].into_iter());
        }
        // Number (1 or 2 bytes), time (1, the first 6), value (8).
        assert_eq!(writer.finish().len(), 100 * 10 + 5 + 36);
    }

    proptest! {
        #[test]
        fn records_read_back(
            series in prop::collection::vec((any::<u32>(), "[a-z]{1,9}", prop::collection::vec(any::<(i64, u64)>(), 0..4)), 0..9)
        ) {
            let (mut names, mut samples) = (Vec::new(), SamplesWriter::default());
            let mut want = Piece::default();
            for (id, name, values) in series {
                let labels = Labels::from_pairs([("__name__", name)]).unwrap();
                put_series(&mut names, id, &labels);
                want.series.push((id, labels));
                let values: Vec<_> = values.into_iter().map(|(t, v)| (Timestamp(t), f64::from_bits(v))).collect();
                want.samples.extend(values.iter().map(|(t, v)| (id, *t, *v)));
                samples.series(id, values.into_iter());
            }
            let mut got = Piece::default();
            read(SERIES, &names, &mut got).unwrap();
            read(SAMPLES, &samples.finish(), &mut got).unwrap();
            prop_assert_eq!(&got.series, &want.series);
            let bits = |piece: &Piece| piece.samples.iter().map(|(i, t, v)| (*i, *t, v.to_bits())).collect::<Vec<_>>();
            prop_assert_eq!(bits(&got), bits(&want));
        }

        #[test]
        fn foreign_bytes_never_panic(kind in 0u8..5, payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(kind, &payload, &mut Piece::default());
        }
    }
}
