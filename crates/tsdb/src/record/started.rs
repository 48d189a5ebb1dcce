//! Payloads of samples that say since when they count: those of samples without, and a start for each.

use std::sync::Arc;

use nave_base::varint::{put_i64, put_u64, take_bytes, take_i64};
use nave_model::histogram::Histogram;

use super::{SamplesEncoder, put_numbers, samples, take_histogram, take_id, times};

/// Builds a [`super::STARTED_SAMPLES`] payload: a column of starts, then a [`super::SAMPLES`] payload.
#[derive(Debug, Default)]
pub struct StartedEncoder {
    starts: Vec<u8>,
    last_start: i64,
    samples: SamplesEncoder,
}

impl StartedEncoder {
    /// Adds a sample that counts since `start`; those of one series are best added one after the other.
    pub fn push(&mut self, id: u32, t: i64, start: i64, value: f64) {
        put_i64(&mut self.starts, start.wrapping_sub(self.last_start));
        self.last_start = start;
        self.samples.push(id, t, value);
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The payload.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let samples = self.samples.finish();
        let mut out = Vec::with_capacity(self.starts.len() + samples.len() + 8);
        put_u64(&mut out, self.starts.len() as u64);
        out.extend_from_slice(&self.starts);
        out.extend_from_slice(&samples);
        out
    }
}

/// Decodes a [`super::STARTED_SAMPLES`] payload: series number, time, start, value of each. `None` when it is damaged;
/// what was given before that is then as it was written.
pub fn started_samples(mut payload: &[u8], mut each: impl FnMut(u32, i64, i64, f64)) -> Option<()> {
    let mut starts = take_bytes(&mut payload)?;
    let (mut start, mut whole) = (0i64, true);
    samples(payload, |id, t, value| match take_i64(&mut starts).filter(|_| whole) {
        Some(step) => {
            start = start.wrapping_add(step);
            each(id, t, start, value);
        }
        None => whole = false,
    })?;
    (whole && starts.is_empty()).then_some(())
}

/// As [`started_samples`], series number and time alone.
pub fn started_times(mut payload: &[u8], each: impl FnMut(u32, i64)) -> Option<()> {
    take_bytes(&mut payload)?;
    times(payload, each)
}

/// Adds a histogram that counts since `start` to a [`super::STARTED_HISTOGRAMS`] payload.
pub fn put_started_histogram(out: &mut Vec<u8>, id: u32, t: i64, start: i64, histogram: &Histogram) {
    put_u64(out, u64::from(id));
    put_i64(out, t);
    put_i64(out, start);
    put_numbers(out, histogram);
}

/// Decodes a [`super::STARTED_HISTOGRAMS`] payload: series number, time, start, histogram of each; `None` as in
/// [`started_samples`].
pub fn started_histograms(
    mut payload: &[u8],
    mut each: impl FnMut(u32, i64, i64, Arc<Histogram>),
) -> Option<()> {
    let rest = &mut payload;
    while !rest.is_empty() {
        let id = take_id(rest)?;
        let (t, start) = (take_i64(rest)?, take_i64(rest)?);
        each(id, t, start, Arc::new(take_histogram(rest)?));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(points: &[(u32, i64, i64, f64)]) -> Vec<u8> {
        let mut encoder = StartedEncoder::default();
        points.iter().for_each(|(id, t, start, value)| encoder.push(*id, *t, *start, *value));
        encoder.finish()
    }

    fn decode(payload: &[u8]) -> (Vec<(u32, i64, i64, u64)>, bool) {
        let mut points = Vec::new();
        let whole =
            started_samples(payload, |id, t, start, value| points.push((id, t, start, value.to_bits())));
        (points, whole.is_some())
    }

    #[test]
    fn a_scrape_of_one_process_costs_a_byte_more() {
        let points: Vec<_> = (0..1000).map(|id| (id, 1_700_000_000_000, 1_699_999_000_000, 1.0)).collect();
        let without =
            super::super::tests::encode(&points.iter().map(|p| (p.0, p.1, p.3)).collect::<Vec<_>>());
        assert!(encode(&points).len() < without.len() + 1010);
    }

    #[test]
    fn histograms_round_trip() {
        let histogram = Histogram { schema: 3, count: 9.0, sum: 0.5, ..Histogram::default() };
        let mut out = Vec::new();
        put_started_histogram(&mut out, 4, 1000, -7, &histogram);
        let mut found = Vec::new();
        let each = |id, t, start, histogram| found.push((id, t, start, histogram));
        assert_eq!(started_histograms(&out, each), Some(()));
        assert_eq!(found, [(4, 1000, -7, Arc::new(histogram))]);
    }

    proptest! {
        #[test]
        fn round_trip_and_cut(
            points in proptest::collection::vec((any::<u32>(), any::<i64>(), any::<i64>(), any::<f64>()), 0..50),
            cut in any::<prop::sample::Index>(),
        ) {
            let bits: Vec<_> = points.iter().map(|(id, t, start, v)| (*id, *t, *start, v.to_bits())).collect();
            let payload = encode(&points);
            prop_assert_eq!(decode(&payload), (bits.clone(), true));
            let (found, whole) = decode(&payload[..cut.index(payload.len())]);
            prop_assert!(!whole && bits.starts_with(&found));
        }

        #[test]
        fn damage_is_none_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (decode(&bytes), started_histograms(&bytes, |_, _, _, _| ()));
        }
    }
}
