//! Payloads of the log's records: `docs/format/tsdb-log.md` draws them.
//!
//! Public, so that a remote-write sender can tail the hub's own log. Decoding gives `None` on damage and
//! allocates no more than the payload could hold.

mod started;

use std::sync::Arc;

use nave_base::varint::{put_i64, put_u64, take_bytes, take_i64, take_u64};
use nave_model::append::Tenant;
use nave_model::histogram::{CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::metadata::{Metadata, MetricType};

pub use started::{
    StartedEncoder, put_started_histogram, started_histograms, started_samples, started_times,
};

/// Nothing; written to see whether there is room again.
pub const PROBE: u8 = 0;
/// Names series: what later records call by number.
pub const SERIES: u8 = 1;
/// Float samples.
pub const SAMPLES: u8 = 2;
/// Native histograms.
pub const HISTOGRAMS: u8 = 3;
/// Metadata of metric families.
pub const METADATA: u8 = 4;
/// Exemplars of series.
pub const EXEMPLARS: u8 = 6;
/// Float samples that say since when they count.
pub const STARTED_SAMPLES: u8 = 7;
/// Native histograms that say since when they count.
pub const STARTED_HISTOGRAMS: u8 = 8;
/// In checkpoints: the oldest time kept and the next free number.
pub const STATE: u8 = 5;

/// Adds the tenant at the start of a [`SERIES`] or [`METADATA`] payload.
pub fn put_tenant(out: &mut Vec<u8>, tenant: &Tenant) {
    put_text(out, &tenant.0);
}

/// Adds a series to a [`SERIES`] payload.
pub fn put_series(out: &mut Vec<u8>, id: u32, labels: &Labels) {
    put_u64(out, u64::from(id));
    put_u64(out, labels.as_bytes().len() as u64);
    out.extend_from_slice(labels.as_bytes());
}

/// Adds an exemplar to an [`EXEMPLARS`] payload.
pub fn put_exemplar(out: &mut Vec<u8>, id: u32, t: i64, value: f64, labels: &Labels) {
    put_u64(out, u64::from(id));
    put_i64(out, t);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    put_u64(out, labels.as_bytes().len() as u64);
    out.extend_from_slice(labels.as_bytes());
}

/// Decodes an [`EXEMPLARS`] payload: series number, time, value and labels of each.
#[must_use]
pub fn exemplars(mut payload: &[u8]) -> Option<Vec<(u32, i64, f64, Labels)>> {
    let rest = &mut payload;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (id, t) = (take_id(rest)?, take_i64(rest)?);
        let (value, after) = rest.split_first_chunk()?;
        *rest = after;
        let value = f64::from_bits(u64::from_le_bytes(*value));
        all.push((id, t, value, Labels::from_bytes(take_bytes(rest)?).ok()?));
    }
    Some(all)
}

/// Decodes a [`SERIES`] payload.
#[must_use]
pub fn series(mut payload: &[u8]) -> Option<(Tenant, Vec<(u32, Labels)>)> {
    let rest = &mut payload;
    let tenant = Tenant(take_text(rest)?);
    let mut all = Vec::new();
    while !rest.is_empty() {
        let id = take_id(rest)?;
        all.push((id, Labels::from_bytes(take_bytes(rest)?).ok()?));
    }
    Some((tenant, all))
}

/// Builds a [`SAMPLES`] payload: columns of series numbers, times and values.
#[derive(Debug, Default)]
pub struct SamplesEncoder {
    ids: Vec<u8>,
    times: Vec<u8>,
    values: Vec<u8>,
    series: u64,
    last_id: u32,
    last_time: i64,
    open: Option<(u32, u64)>,
}

impl SamplesEncoder {
    /// Adds a sample; those of one series are best added one after the other.
    #[inline]
    pub fn push(&mut self, id: u32, t: i64, value: f64) {
        match &mut self.open {
            Some((open, count)) if *open == id => *count += 1,
            _ => {
                self.close();
                self.open = Some((id, 1));
            }
        }
        put_i64(&mut self.times, t.wrapping_sub(self.last_time));
        self.last_time = t;
        put_value(&mut self.values, value);
    }

    fn close(&mut self) {
        let Some((id, count)) = self.open.take() else { return };
        let step = i64::from(id) - i64::from(self.last_id);
        self.last_id = id;
        let zigzag = ((step << 1) ^ (step >> 63)) as u64;
        put_u64(&mut self.ids, zigzag << 1 | u64::from(count != 1));
        if count != 1 {
            put_u64(&mut self.ids, count);
        }
        self.series += 1;
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series == 0 && self.open.is_none()
    }

    /// The payload.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.close();
        let mut out = Vec::with_capacity(self.ids.len() + self.times.len() + self.values.len() + 16);
        put_u64(&mut out, self.ids.len() as u64);
        put_u64(&mut out, self.times.len() as u64);
        for column in [&self.ids, &self.times, &self.values] {
            out.extend_from_slice(column);
        }
        out
    }
}

/// Decodes a [`SAMPLES`] payload sample by sample: series number, time, value. `None` when it is damaged; what
/// was given before that is then as it was written.
pub fn samples(mut payload: &[u8], mut each: impl FnMut(u32, i64, f64)) -> Option<()> {
    let rest = &mut payload;
    let (ids, times) = (usize::try_from(take_u64(rest)?).ok()?, usize::try_from(take_u64(rest)?).ok()?);
    let (ids, rest) = rest.split_at_checked(ids)?;
    let (mut times, mut values) = rest.split_at_checked(times)?;
    let mut t = 0i64;
    each_id(ids, |id| {
        t = t.wrapping_add(take_i64(&mut times)?);
        each(id, t, take_value(&mut values)?);
        Some(())
    })?;
    (times.is_empty() && values.is_empty()).then_some(())
}

/// As [`samples`], series number and time alone; values are not looked at.
pub fn times(mut payload: &[u8], mut each: impl FnMut(u32, i64)) -> Option<()> {
    let rest = &mut payload;
    let (ids, times) = (usize::try_from(take_u64(rest)?).ok()?, usize::try_from(take_u64(rest)?).ok()?);
    let (ids, rest) = rest.split_at_checked(ids)?;
    let mut times = rest.get(..times)?;
    let mut t = 0i64;
    each_id(ids, |id| {
        t = t.wrapping_add(take_i64(&mut times)?);
        each(id, t);
        Some(())
    })?;
    times.is_empty().then_some(())
}

/// Gives the series number of every sample, from the column of runs.
#[inline]
fn each_id(mut ids: &[u8], mut each: impl FnMut(u32) -> Option<()>) -> Option<()> {
    let mut id = 0i64;
    while !ids.is_empty() {
        let word = take_u64(&mut ids)?;
        let zigzag = word >> 1;
        id = id.checked_add((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))?;
        let count = if word & 1 == 1 { take_u64(&mut ids)? } else { 1 };
        let id = u32::try_from(id).ok()?;
        for _ in 0..count {
            each(id)?;
        }
    }
    Some(())
}

/// Adds a histogram to a [`HISTOGRAMS`] payload.
pub fn put_histogram(out: &mut Vec<u8>, id: u32, t: i64, histogram: &Histogram) {
    put_u64(out, u64::from(id));
    put_i64(out, t);
    put_numbers(out, histogram);
}

fn put_numbers(out: &mut Vec<u8>, h: &Histogram) {
    put_i64(out, i64::from(h.schema));
    let hint = match h.counter_reset_hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    };
    out.push(hint << 1 | u8::from(h.integer));
    for value in [h.zero_threshold, h.zero_count, h.count, h.sum] {
        put_value(out, value);
    }
    for spans in [&h.positive_spans, &h.negative_spans] {
        put_u64(out, spans.len() as u64);
        for span in spans {
            put_i64(out, i64::from(span.offset));
            put_u64(out, u64::from(span.length));
        }
    }
    for values in [&h.positive_buckets, &h.negative_buckets, &h.custom_bounds] {
        put_u64(out, values.len() as u64);
        values.iter().for_each(|value| put_value(out, *value));
    }
}

/// Decodes a [`HISTOGRAMS`] payload; `None` as in [`samples`].
pub fn histograms(mut payload: &[u8], mut each: impl FnMut(u32, i64, Arc<Histogram>)) -> Option<()> {
    let rest = &mut payload;
    while !rest.is_empty() {
        let id = take_id(rest)?;
        let t = take_i64(rest)?;
        each(id, t, Arc::new(take_histogram(rest)?));
    }
    Some(())
}

fn take_histogram(rest: &mut &[u8]) -> Option<Histogram> {
    let schema = i32::try_from(take_i64(rest)?).ok()?;
    let flags = take_byte(rest)?;
    let counter_reset_hint = match flags >> 1 {
        0 => CounterResetHint::Unknown,
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => return None,
    };
    Some(Histogram {
        schema,
        counter_reset_hint,
        integer: flags & 1 == 1,
        zero_threshold: take_value(rest)?,
        zero_count: take_value(rest)?,
        count: take_value(rest)?,
        sum: take_value(rest)?,
        positive_spans: take_spans(rest)?,
        negative_spans: take_spans(rest)?,
        positive_buckets: take_values(rest)?,
        negative_buckets: take_values(rest)?,
        custom_bounds: take_values(rest)?,
    })
}

fn take_spans(rest: &mut &[u8]) -> Option<Vec<Span>> {
    let count = usize::try_from(take_u64(rest)?).ok().filter(|count| *count <= rest.len())?;
    let span = |rest: &mut &[u8]| {
        let offset = i32::try_from(take_i64(rest)?).ok()?;
        Some(Span { offset, length: u32::try_from(take_u64(rest)?).ok()? })
    };
    (0..count).map(|_| span(rest)).collect()
}

fn take_values(rest: &mut &[u8]) -> Option<Vec<f64>> {
    let count = usize::try_from(take_u64(rest)?).ok().filter(|count| *count <= rest.len())?;
    (0..count).map(|_| take_value(rest)).collect()
}

/// Adds a family to a [`METADATA`] payload.
pub fn put_metadata(out: &mut Vec<u8>, family: &str, metadata: &Metadata) {
    put_text(out, family);
    put_text(out, metadata.kind.as_str());
    put_text(out, &metadata.help);
    put_text(out, &metadata.unit);
}

/// A family's name with what it says about itself.
pub type Family = (Arc<str>, Metadata);

/// Decodes a [`METADATA`] payload.
#[must_use]
pub fn metadata(mut payload: &[u8]) -> Option<(Tenant, Vec<Family>)> {
    let rest = &mut payload;
    let tenant = Tenant(take_text(rest)?);
    let mut all = Vec::new();
    while !rest.is_empty() {
        let family = take_text(rest)?;
        let kind: MetricType = take_text(rest)?.parse().ok()?;
        all.push((family, Metadata { kind, help: take_text(rest)?, unit: take_text(rest)? }));
    }
    Some((tenant, all))
}

/// A [`STATE`] payload: the oldest time kept, and the next free series number.
#[must_use]
pub fn state(oldest: i64, next_id: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put_i64(&mut out, oldest);
    put_u64(&mut out, u64::from(next_id));
    out
}

/// Decodes a [`STATE`] payload.
#[must_use]
pub fn take_state(mut payload: &[u8]) -> Option<(i64, u32)> {
    Some((take_i64(&mut payload)?, take_id(&mut payload)?))
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u64(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn take_text(rest: &mut &[u8]) -> Option<Arc<str>> {
    std::str::from_utf8(take_bytes(rest)?).ok().map(Arc::from)
}

fn take_id(rest: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_u64(rest)?).ok()
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    Some(*first)
}

/// Whole numbers up to 2^53 as zigzag plus 1, everything else as a 0 and eight bytes.
#[inline]
fn put_value(out: &mut Vec<u8>, value: f64) {
    let whole = value as i64;
    if (whole as f64).to_bits() == value.to_bits() && whole.unsigned_abs() <= 1 << 53 {
        return put_u64(out, ((whole << 1) ^ (whole >> 63)) as u64 + 1);
    }
    out.push(0);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

#[inline]
fn take_value(rest: &mut &[u8]) -> Option<f64> {
    let Some(zigzag) = take_u64(rest)?.checked_sub(1) else {
        let (eight, tail) = rest.split_first_chunk::<8>()?;
        *rest = tail;
        return Some(f64::from_bits(u64::from_le_bytes(*eight)));
    };
    Some(((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)) as f64)
}

#[cfg(test)]
mod tests {
    use nave_model::sample::stale_nan;
    use proptest::prelude::*;

    use super::*;

    pub(super) fn encode(points: &[(u32, i64, f64)]) -> Vec<u8> {
        let mut encoder = SamplesEncoder::default();
        points.iter().for_each(|(id, t, value)| encoder.push(*id, *t, *value));
        encoder.finish()
    }

    fn decode(payload: &[u8]) -> (Vec<(u32, i64, u64)>, bool) {
        let mut points = Vec::new();
        let whole = samples(payload, |id, t, value| points.push((id, t, value.to_bits())));
        let mut places = Vec::new();
        if times(payload, |id, t| places.push((id, t))).is_some() && whole.is_some() {
            assert_eq!(places, points.iter().map(|(id, t, _)| (*id, *t)).collect::<Vec<_>>());
        }
        (points, whole.is_some())
    }

    fn check(points: &[(u32, i64, f64)]) {
        let bits: Vec<_> = points.iter().map(|(id, t, value)| (*id, *t, value.to_bits())).collect();
        assert_eq!(decode(&encode(points)), (bits, true));
    }

    #[test]
    fn samples_come_back_bit_for_bit() {
        check(&[]);
        let values =
            [0.0, -0.0, 1.0, -1.0, 9007199254740992.0, 1e16, 0.1, f64::NAN, stale_nan(), f64::INFINITY];
        check(&values.map(|value| (7, 1000, value)));
        check(&[(u32::MAX, i64::MAX, 1.0), (0, i64::MIN, 2.0), (u32::MAX, 0, 3.0)]);
    }

    #[test]
    fn a_scrape_of_counters_is_small() {
        let points: Vec<_> = (0..1000).map(|id| (id, 1_700_000_000_000, f64::from(id) * 3.0)).collect();
        assert!(encode(&points).len() < 4100, "about 4 bytes per sample");
    }

    proptest! {
        #[test]
        fn samples_round_trip(points in proptest::collection::vec((any::<u32>(), any::<i64>(), any::<f64>()), 0..50)) {
            check(&points);
        }

        #[test]
        fn damage_is_none_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
            let _ = (series(&bytes), metadata(&bytes), take_state(&bytes), histograms(&bytes, |_, _, _| ()));
        }
    }

    #[test]
    fn the_other_payloads_round_trip() {
        let tenant = Tenant::default();
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]).unwrap();
        let mut out = Vec::new();
        put_tenant(&mut out, &tenant);
        put_series(&mut out, 7, &labels);
        assert_eq!(series(&out), Some((tenant.clone(), vec![(7, labels)])));
        let mut out = Vec::new();
        put_tenant(&mut out, &tenant);
        let family = Metadata { kind: MetricType::Gauge, help: "Goes.".into(), unit: "".into() };
        put_metadata(&mut out, "up", &family);
        assert_eq!(metadata(&out), Some((tenant, vec![("up".into(), family)])));
        assert_eq!(take_state(&state(-5, 9)), Some((-5, 9)));
        let histogram = Histogram {
            schema: 3,
            zero_threshold: 1e-128,
            zero_count: 2.0,
            count: 9.0,
            sum: 0.5,
            positive_spans: vec![Span { offset: -2, length: 2 }],
            positive_buckets: vec![3.0, 4.0],
            negative_spans: vec![],
            negative_buckets: vec![],
            custom_bounds: vec![],
            counter_reset_hint: CounterResetHint::Gauge,
            integer: true,
        };
        let mut out = Vec::new();
        put_histogram(&mut out, 4, 1000, &histogram);
        let mut found = Vec::new();
        histograms(&out, |id, t, histogram| found.push((id, t, histogram))).unwrap();
        assert_eq!(found, [(4, 1000, Arc::new(histogram))]);
    }
}
