//! `io.prometheus.client.Histogram`: what it is, its classic buckets, its native form.

use nave_model::histogram::{CounterResetHint, Histogram};
use nave_model::time::Timestamp;

use super::Error;
use super::metric::{each, time};
use crate::exposition::number::ordinary;
use crate::write_v1::field::{Fields, Wire, unzigzag};
use crate::write_v1::histogram::{Buckets as Counts, deltas, doubles, span};

/// What is known of a histogram without decoding its buckets.
pub(super) struct About {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) start: Option<Timestamp>,
    /// Whether it has native buckets: a span, or a zero bucket.
    pub(super) native: bool,
    /// Whether it has classic buckets.
    pub(super) buckets: bool,
}

impl About {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Error> {
        let mut about = Self { count: 0.0, sum: 0.0, start: None, native: false, buckets: false };
        let (mut whole, mut float) = (0, 0.0);
        each(fields, |number, wire, fields| {
            match (number, wire) {
                (1, Wire::Varint) => whole = fields.varint()?,
                (4, Wire::Fixed64) => float = fields.double()?,
                (2, Wire::Fixed64) => about.sum = fields.double()?,
                (15, Wire::Bytes) => about.start = time(fields.nested()?)?,
                (6, Wire::Fixed64) => about.native |= fields.double()? > 0.0,
                (7, Wire::Varint) => about.native |= fields.varint()? > 0,
                _ => {
                    about.native |= matches!(number, 9 | 12);
                    about.buckets |= number == 3;
                    fields.skip(wire)?;
                }
            }
            Ok(())
        })?;
        about.count = if float == 0.0 { whole as f64 } else { float };
        Ok(about)
    }
}

/// A classic bucket.
pub(super) struct Bucket<'a> {
    pub(super) bound: f64,
    pub(super) count: f64,
    pub(super) exemplar: Option<Fields<'a>>,
}

/// The classic buckets of a histogram, in order.
pub(super) struct Buckets<'a>(pub(super) Fields<'a>);

impl<'a> Iterator for Buckets<'a> {
    type Item = Result<Bucket<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (number, wire) = match self.0.tag() {
                Ok(tag) => tag?,
                Err(error) => return self.end(error),
            };
            let read = if (number, wire) == (3, Wire::Bytes) {
                self.0.nested().map(Some)
            } else {
                self.0.skip(wire).map(|()| None)
            };
            match read {
                Ok(Some(fields)) => return Some(bucket(fields)),
                Ok(None) => {}
                Err(error) => return self.end(error),
            }
        }
    }
}

impl<'a> Buckets<'a> {
    fn end(&mut self, error: crate::write_v1::Error) -> Option<Result<Bucket<'a>, Error>> {
        self.0.at = self.0.end;
        Some(Err(error.into()))
    }
}

fn bucket(fields: Fields<'_>) -> Result<Bucket<'_>, Error> {
    let mut bucket = Bucket { bound: 0.0, count: 0.0, exemplar: None };
    let (mut whole, mut float) = (0, 0.0);
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (1, Wire::Varint) => whole = fields.varint()?,
            (4, Wire::Fixed64) => float = fields.double()?,
            (2, Wire::Fixed64) => bucket.bound = fields.double()?,
            (3, Wire::Bytes) => bucket.exemplar = Some(fields.nested()?),
            _ => fields.skip(wire)?,
        }
        Ok(())
    })?;
    bucket.count = if float == 0.0 { whole as f64 } else { float };
    Ok(bucket)
}

/// The native histogram. It counts in floats when a float count says so, as upstream tells them apart.
pub(super) fn decode(fields: Fields<'_>, gauge: bool) -> Result<Histogram, String> {
    let mut h = Histogram { integer: true, ..Histogram::default() };
    let (mut count, mut zero_count) = ((0, 0.0), (0, 0.0));
    let (mut negative, mut positive) = (Counts::default(), Counts::default());
    let read = each(fields, |number, wire, fields| {
        match (number, wire) {
            (1, Wire::Varint) => count.0 = fields.varint()?,
            (4, Wire::Fixed64) => count.1 = fields.double()?,
            (2, Wire::Fixed64) => h.sum = ordinary(fields.double()?),
            (5, Wire::Varint) => h.schema = unzigzag(fields.varint()?) as i32,
            (6, Wire::Fixed64) => h.zero_threshold = fields.double()?,
            (7, Wire::Varint) => zero_count.0 = fields.varint()?,
            (8, Wire::Fixed64) => zero_count.1 = fields.double()?,
            (9, Wire::Bytes) => negative.spans.push(span(fields.nested()?)?),
            (10, _) => deltas(fields, wire, &mut negative.deltas)?,
            (11, _) => doubles(fields, wire, &mut negative.counts)?,
            (12, Wire::Bytes) => positive.spans.push(span(fields.nested()?)?),
            (13, _) => deltas(fields, wire, &mut positive.deltas)?,
            (14, _) => doubles(fields, wire, &mut positive.counts)?,
            _ => fields.skip(wire)?,
        }
        Ok(())
    });
    read.map_err(|error: Error| error.to_string())?;
    h.integer = !(count.1 > 0.0 || zero_count.1 > 0.0);
    (h.count, h.zero_count) =
        if h.integer { (count.0 as f64, zero_count.0 as f64) } else { (count.1, zero_count.1) };
    (h.negative_buckets, h.negative_spans) = (negative.absolute(h.integer), negative.spans);
    (h.positive_buckets, h.positive_spans) = (positive.absolute(h.integer), positive.spans);
    if gauge {
        h.counter_reset_hint = CounterResetHint::Gauge;
    }
    h.check()?;
    h.compact(0);
    Ok(h)
}
