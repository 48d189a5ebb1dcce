//! The bytes of the queue's log records; `docs/format/queue.md` draws them.
//!
//! Every segment stands alone: it begins with [`BEGIN`] and names each series before its first sample in
//! that segment. Foreign bytes give an error, never a panic.

use nave_base::varint::{put_i64, put_u64, take_bytes, take_i64, take_u64};
use nave_model::append::HistogramSample;
use nave_model::label::Labels;
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;
use nave_wire::write_v2;

use crate::Piece;

/// First record of a segment: format version, and when the segment was begun.
pub(super) const BEGIN: u8 = 1;
/// Names series.
pub(super) const SERIES: u8 = 2;
/// Float samples.
pub(super) const SAMPLES: u8 = 3;
/// Native histograms.
pub(super) const HISTOGRAMS: u8 = 4;
/// Exemplars.
pub(super) const EXEMPLARS: u8 = 5;
/// Float samples, each with the time since when it counts.
pub(super) const STARTED: u8 = 6;

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

/// Builds the payload of [`SAMPLES`], or of [`STARTED`] when it is told starts.
#[derive(Debug, Default)]
pub(super) struct SamplesWriter {
    payload: Vec<u8>,
    before: i64,
    start_before: i64,
}

impl SamplesWriter {
    /// Adds the samples of one series; nothing for none. `starts` is empty in all calls or in none that
    /// adds something.
    pub(super) fn series(
        &mut self,
        id: u32,
        samples: impl ExactSizeIterator<Item = (Timestamp, f64)>,
        starts: &[Timestamp],
    ) {
        let count = samples.len() as u64;
        if count == 0 {
            return;
        }
        // One sample is by far the usual case: its count costs a bit.
        put_u64(&mut self.payload, u64::from(id) << 1 | u64::from(count > 1));
        if count > 1 {
            put_u64(&mut self.payload, count);
        }
        for (at, (timestamp, value)) in samples.enumerate() {
            put_i64(&mut self.payload, timestamp.0.wrapping_sub(self.before));
            self.before = timestamp.0;
            self.payload.extend_from_slice(&value.to_bits().to_le_bytes());
            if let Some(start) = starts.get(at) {
                put_i64(&mut self.payload, start.0.wrapping_sub(self.start_before));
                self.start_before = start.0;
            }
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.payload
    }
}

/// Appends one histogram to the payload of [`HISTOGRAMS`].
pub(super) fn put_histogram(payload: &mut Vec<u8>, id: u32, histogram: &HistogramSample) {
    put_u64(payload, u64::from(id));
    let mut message = Vec::new();
    write_v2::put_histogram(&mut message, histogram);
    put_u64(payload, message.len() as u64);
    payload.extend_from_slice(&message);
}

/// Appends one exemplar to the payload of [`EXEMPLARS`].
pub(super) fn put_exemplar(payload: &mut Vec<u8>, id: u32, exemplar: &Exemplar) {
    put_u64(payload, u64::from(id) << 1 | u64::from(exemplar.timestamp.is_some()));
    if let Some(timestamp) = exemplar.timestamp {
        put_i64(payload, timestamp.0);
    }
    payload.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
    put_u64(payload, exemplar.labels.as_bytes().len() as u64);
    payload.extend_from_slice(exemplar.labels.as_bytes());
}

/// Adds what `payload` says to `piece`.
pub(super) fn read(kind: u8, payload: &[u8], piece: &mut Piece) -> Result<(), String> {
    match kind {
        BEGIN => read_begin(payload).map(drop),
        SERIES => read_series(payload, piece),
        SAMPLES => read_samples(payload, false, piece).ok_or_else(|| cut_short("samples")),
        STARTED => read_samples(payload, true, piece).ok_or_else(|| cut_short("samples")),
        HISTOGRAMS => read_histograms(payload, piece),
        EXEMPLARS => read_exemplars(payload, piece),
        other => Err(format!("unknown record kind {other}, expected {BEGIN} to {STARTED}")),
    }
}

fn read_series(mut rest: &[u8], piece: &mut Piece) -> Result<(), String> {
    while !rest.is_empty() {
        let id = take_u64(&mut rest).and_then(|id| u32::try_from(id).ok());
        let (Some(id), Some(labels)) = (id, take_bytes(&mut rest)) else {
            return Err(cut_short("series"));
        };
        let labels = Labels::from_bytes(labels).map_err(|error| error.to_string())?;
        piece.series.push((id, labels));
    }
    Ok(())
}

fn cut_short(what: &str) -> String {
    format!("{what} record is cut short")
}

fn read_samples(mut rest: &[u8], started: bool, piece: &mut Piece) -> Option<()> {
    let (mut before, mut start_before) = (0i64, 0i64);
    while !rest.is_empty() {
        let head = take_u64(&mut rest)?;
        let id = u32::try_from(head >> 1).ok()?;
        let count = if head & 1 == 1 { take_u64(&mut rest)? } else { 1 };
        for _ in 0..count {
            before = before.wrapping_add(take_i64(&mut rest)?);
            let (bits, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            piece.samples.push((id, Timestamp(before), f64::from_bits(u64::from_le_bytes(*bits))));
            if started {
                start_before = start_before.wrapping_add(take_i64(&mut rest)?);
                piece.starts.push(Timestamp(start_before));
            }
        }
    }
    Some(())
}

fn read_histograms(mut rest: &[u8], piece: &mut Piece) -> Result<(), String> {
    while !rest.is_empty() {
        let id = take_u64(&mut rest).and_then(|id| u32::try_from(id).ok());
        let (Some(id), Some(message)) = (id, take_bytes(&mut rest)) else {
            return Err(cut_short("histograms"));
        };
        let histogram = write_v2::read_histogram(message).map_err(|error| error.to_string())?;
        piece.histograms.push((id, histogram));
    }
    Ok(())
}

fn read_exemplars(mut rest: &[u8], piece: &mut Piece) -> Result<(), String> {
    while !rest.is_empty() {
        let (id, timestamp, value, labels) =
            take_exemplar(&mut rest).ok_or_else(|| cut_short("exemplars"))?;
        let labels = Labels::from_bytes(labels).map_err(|error| error.to_string())?;
        piece.exemplars.push((id, Exemplar { labels, value, timestamp }));
    }
    Ok(())
}

fn take_exemplar<'a>(rest: &mut &'a [u8]) -> Option<(u32, Option<Timestamp>, f64, &'a [u8])> {
    let head = take_u64(rest)?;
    let id = u32::try_from(head >> 1).ok()?;
    let timestamp = if head & 1 == 1 { Some(Timestamp(take_i64(rest)?)) } else { None };
    let (bits, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some((id, timestamp, f64::from_bits(u64::from_le_bytes(*bits)), take_bytes(rest)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scrape_costs_eleven_bytes_a_sample() {
        let mut writer = SamplesWriter::default();
        for id in 0..100 {
            writer.series(id, [(Timestamp(1_700_000_000_000), 1.0)].into_iter(), &[]);
        }
        // Number (1 or 2 bytes), time (1, the first 6), value (8).
        assert_eq!(writer.finish().len(), 100 * 10 + 5 + 36);
    }

    #[test]
    fn everything_else_reads_back() {
        let mut piece = Piece::default();
        let mut samples = SamplesWriter::default();
        let starts = [Timestamp(7), Timestamp(0)];
        samples.series(3, [(Timestamp(10), 1.5), (Timestamp(20), 2.5)].into_iter(), &starts);
        samples.series(4, [(Timestamp(20), 0.0)].into_iter(), &[Timestamp(-9)]);
        read(STARTED, &samples.finish(), &mut piece).unwrap();
        assert_eq!(
            piece.samples,
            [(3, Timestamp(10), 1.5), (3, Timestamp(20), 2.5), (4, Timestamp(20), 0.0)]
        );
        assert_eq!(piece.starts, [Timestamp(7), Timestamp(0), Timestamp(-9)]);
        let exemplar = |timestamp| Exemplar {
            labels: Labels::from_pairs([("trace_id", "x")]).unwrap(),
            value: -0.5,
            timestamp,
        };
        let mut payload = Vec::new();
        put_exemplar(&mut payload, u32::MAX, &exemplar(Some(Timestamp(-1))));
        let first = payload.len();
        put_exemplar(&mut payload, 1, &exemplar(None));
        read(EXEMPLARS, &payload, &mut piece).unwrap();
        assert_eq!(piece.exemplars, [(u32::MAX, exemplar(Some(Timestamp(-1)))), (1, exemplar(None))]);
        for cut in 1..payload.len() {
            let read = read(EXEMPLARS, &payload[..cut], &mut Piece::default());
            assert!(read.is_err() || cut == first, "cut at {cut}");
        }
        assert_eq!(read(7, b"", &mut piece).unwrap_err(), "unknown record kind 7, expected 1 to 6");
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
                samples.series(id, values.into_iter(), &[]);
            }
            let mut got = Piece::default();
            read(SERIES, &names, &mut got).unwrap();
            read(SAMPLES, &samples.finish(), &mut got).unwrap();
            prop_assert_eq!(&got.series, &want.series);
            let bits = |piece: &Piece| piece.samples.iter().map(|(i, t, v)| (*i, *t, v.to_bits())).collect::<Vec<_>>();
            prop_assert_eq!(bits(&got), bits(&want));
        }

        #[test]
        fn foreign_bytes_never_panic(kind in 0u8..8, payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(kind, &payload, &mut Piece::default());
        }
    }
}
