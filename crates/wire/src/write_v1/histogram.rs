//! `prometheus.Histogram` and the same message of 2.0, to and from the model's form: deltas become absolute counts and back.

use std::sync::Arc;

use nave_base::varint;
use nave_model::append::HistogramSample;
use nave_model::histogram::{CounterResetHint, Histogram, Span};
use nave_model::time::Timestamp;

use super::Error;
use super::encode::{put_bytes, put_double, put_int64, put_tag};
use super::field::{Fields, Wire, unzigzag};

/// Counts of one sign in the two ways they are sent.
#[derive(Default)]
pub(crate) struct Buckets {
    pub(crate) spans: Vec<Span>,
    pub(crate) deltas: Vec<i64>,
    pub(crate) counts: Vec<f64>,
}

impl Buckets {
    /// Absolute counts; deltas add up modulo 2^64, as upstream's do.
    pub(crate) fn absolute(&self, integer: bool) -> Vec<f64> {
        if !integer {
            return self.counts.clone();
        }
        let running = self.deltas.iter().scan(0i64, |sum, delta| {
            *sum = sum.wrapping_add(*delta);
            Some(*sum as f64)
        });
        running.collect()
    }
}

/// Decodes one message. What its counts add up to is the appender's to check.
pub(crate) fn decode(mut fields: Fields<'_>) -> Result<HistogramSample, Error> {
    let mut histogram = empty();
    let (mut timestamp, mut start) = (0, 0);
    let (mut negative, mut positive) = (Buckets::default(), Buckets::default());
    while let Some((number, wire)) = fields.tag()? {
        match (number, wire) {
            (1, Wire::Varint) => {
                histogram.count = fields.varint()? as f64;
                histogram.integer = true;
            }
            (2, Wire::Fixed64) => {
                histogram.count = fields.double()?;
                histogram.integer = false;
            }
            (3, Wire::Fixed64) => histogram.sum = fields.double()?,
            (4, Wire::Varint) => histogram.schema = unzigzag(fields.varint()?) as i32,
            (5, Wire::Fixed64) => histogram.zero_threshold = fields.double()?,
            (6, Wire::Varint) => histogram.zero_count = fields.varint()? as f64,
            (7, Wire::Fixed64) => histogram.zero_count = fields.double()?,
            (8, Wire::Bytes) => negative.spans.push(span(fields.nested()?)?),
            (9, _) => deltas(&mut fields, wire, &mut negative.deltas)?,
            (10, _) => doubles(&mut fields, wire, &mut negative.counts)?,
            (11, Wire::Bytes) => positive.spans.push(span(fields.nested()?)?),
            (12, _) => deltas(&mut fields, wire, &mut positive.deltas)?,
            (13, _) => doubles(&mut fields, wire, &mut positive.counts)?,
            (14, Wire::Varint) => histogram.counter_reset_hint = hint(fields.varint()?),
            (15, Wire::Varint) => timestamp = fields.varint()? as i64,
            (16, _) => doubles(&mut fields, wire, &mut histogram.custom_bounds)?,
            (17, Wire::Varint) => start = fields.varint()? as i64,
            (1..=15 | 17, _) => return fields.wrong_wire(),
            _ => fields.skip(wire)?,
        }
    }
    histogram.negative_buckets = negative.absolute(histogram.integer);
    histogram.positive_buckets = positive.absolute(histogram.integer);
    histogram.negative_spans = negative.spans;
    histogram.positive_spans = positive.spans;
    let timestamp = Timestamp(timestamp);
    let start_timestamp = (start != 0).then_some(Timestamp(start));
    Ok(HistogramSample { timestamp, start_timestamp, histogram: Arc::new(histogram) })
}

/// What a message without fields says: upstream takes a missing count for an integer one.
fn empty() -> Histogram {
    Histogram {
        schema: 0,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: 0.0,
        sum: 0.0,
        positive_spans: Vec::new(),
        positive_buckets: Vec::new(),
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        custom_bounds: Vec::new(),
        counter_reset_hint: CounterResetHint::Unknown,
        integer: true,
    }
}

fn hint(value: u64) -> CounterResetHint {
    match value {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

pub(crate) fn span(mut fields: Fields<'_>) -> Result<Span, Error> {
    let mut span = Span { offset: 0, length: 0 };
    while let Some((number, wire)) = fields.tag()? {
        match (number, wire) {
            (1, Wire::Varint) => span.offset = unzigzag(fields.varint()?) as i32,
            (2, Wire::Varint) => span.length = fields.varint()? as u32,
            (1 | 2, _) => return fields.wrong_wire(),
            _ => fields.skip(wire)?,
        }
    }
    Ok(span)
}

/// A repeated number comes packed or one by one.
pub(crate) fn deltas(fields: &mut Fields<'_>, wire: Wire, out: &mut Vec<i64>) -> Result<(), Error> {
    match wire {
        Wire::Varint => out.push(unzigzag(fields.varint()?)),
        Wire::Bytes => {
            let mut packed = fields.nested()?;
            while !packed.is_empty() {
                out.push(unzigzag(packed.varint()?));
            }
        }
        _ => return fields.wrong_wire(),
    }
    Ok(())
}

pub(crate) fn doubles(fields: &mut Fields<'_>, wire: Wire, out: &mut Vec<f64>) -> Result<(), Error> {
    match wire {
        Wire::Fixed64 => out.push(fields.double()?),
        Wire::Bytes => {
            let mut packed = fields.nested()?;
            while !packed.is_empty() {
                out.push(packed.double()?);
            }
        }
        _ => return fields.wrong_wire(),
    }
    Ok(())
}

/// Appends the message of `sample` to `out`, with its start where the message knows one (2.0). An integer
/// histogram's counts are whole numbers.
pub(crate) fn encode(sample: &HistogramSample, with_start: bool, out: &mut Vec<u8>) {
    let h = &*sample.histogram;
    // Both counts are members of a oneof: written even when zero.
    if h.integer {
        put_tag(out, 1, 0);
        varint::put_u64(out, h.count as u64);
    } else {
        put_tag(out, 2, 1);
        out.extend_from_slice(&h.count.to_le_bytes());
    }
    put_double(out, 3, h.sum);
    put_zigzag(out, 4, i64::from(h.schema));
    put_double(out, 5, h.zero_threshold);
    if h.integer {
        put_tag(out, 6, 0);
        varint::put_u64(out, h.zero_count as u64);
    } else {
        put_tag(out, 7, 1);
        out.extend_from_slice(&h.zero_count.to_le_bytes());
    }
    put_buckets(out, [8, 9, 10], &h.negative_spans, &h.negative_buckets, h.integer);
    put_buckets(out, [11, 12, 13], &h.positive_spans, &h.positive_buckets, h.integer);
    let hint = match h.counter_reset_hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    };
    put_int64(out, 14, hint);
    put_int64(out, 15, sample.timestamp.0);
    put_doubles(out, 16, &h.custom_bounds);
    if with_start {
        put_int64(out, 17, sample.start_timestamp.unwrap_or_default().0);
    }
}

fn put_zigzag(out: &mut Vec<u8>, number: u32, value: i64) {
    if value != 0 {
        put_tag(out, number, 0);
        varint::put_i64(out, value);
    }
}

/// `numbers` are the fields of spans, deltas and counts.
fn put_buckets(out: &mut Vec<u8>, numbers: [u32; 3], spans: &[Span], buckets: &[f64], integer: bool) {
    let mut part = Vec::new();
    for span in spans {
        part.clear();
        put_zigzag(&mut part, 1, i64::from(span.offset));
        put_int64(&mut part, 2, i64::from(span.length));
        put_bytes(out, numbers[0], &part);
    }
    if !integer {
        return put_doubles(out, numbers[2], buckets);
    }
    part.clear();
    let mut before = 0i64;
    for count in buckets {
        let count = *count as i64;
        varint::put_i64(&mut part, count.wrapping_sub(before));
        before = count;
    }
    if !part.is_empty() {
        put_bytes(out, numbers[1], &part);
    }
}

fn put_doubles(out: &mut Vec<u8>, number: u32, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    put_tag(out, number, 2);
    varint::put_u64(out, values.len() as u64 * 8);
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}
