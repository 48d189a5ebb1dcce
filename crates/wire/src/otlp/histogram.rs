//! Histogram points: exponential ones become native, explicit ones classic or native with custom bounds.

use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, SCHEMA_MAX, SCHEMA_MIN, Span};
use nave_model::sample::stale_nan;

use crate::write_v1::Error;
use crate::write_v1::field::{Fields, Wire, each, unzigzag};

/// The width of the zero bucket where the point does not say it, as upstream sets it.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Empty buckets that are kept between others, as upstream keeps them.
const EMPTY_BUCKETS: u32 = 2;

/// Buckets of one sign of an exponential point.
#[derive(Default)]
pub(super) struct Buckets {
    offset: i32,
    counts: Vec<u64>,
}

impl Buckets {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Error> {
        let mut buckets = Self::default();
        each(fields, |number, wire, fields| {
            match (number, wire) {
                (1, Wire::Varint) => buckets.offset = unzigzag(fields.varint()?) as i32,
                (2, Wire::Varint) => buckets.counts.push(fields.varint()?),
                (2, Wire::Bytes) => {
                    let mut packed = fields.nested()?;
                    while !packed.is_empty() {
                        buckets.counts.push(packed.varint()?);
                    }
                }
                (1 | 2, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
            Ok(())
        })?;
        Ok(buckets)
    }

    /// Bucket 0 of OTLP is bucket 1 here: its upper bound is the base, not 1.
    fn spans(&self) -> Option<(Vec<Span>, Vec<f64>)> {
        if self.counts.is_empty() {
            return Some((Vec::new(), Vec::new()));
        }
        let length = u32::try_from(self.counts.len()).ok()?;
        let offset = self.offset.checked_add(1)?;
        offset.checked_add(i32::try_from(length).ok()?)?;
        Some((vec![Span { offset, length }], self.counts.iter().map(|count| *count as f64).collect()))
    }
}

/// An exponential histogram point.
#[derive(Default)]
pub(super) struct Exponential {
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) scale: i32,
    pub(super) zero_count: u64,
    pub(super) zero_threshold: f64,
    pub(super) positive: Buckets,
    pub(super) negative: Buckets,
    pub(super) stale: bool,
}

impl Exponential {
    /// The native histogram, or why it cannot be one.
    pub(super) fn native(&self) -> Result<Histogram, String> {
        if self.scale < SCHEMA_MIN {
            return Err(format!(
                "cannot convert exponential to native histogram. Scale must be >= {SCHEMA_MIN}, was {}",
                self.scale
            ));
        }
        if self.stale {
            return Ok(Histogram { schema: self.scale.min(SCHEMA_MAX), ..stale() });
        }
        let far = || "bucket indexes are beyond what a histogram can have".to_owned();
        // A scale beyond ours is taken down in steps that a schema has; the difference is made by merging first.
        let down = (self.scale - SCHEMA_MAX).max(0);
        let (positive, negative) = (self.positive.merged(down), self.negative.merged(down));
        let (positive_spans, positive_buckets) = positive.spans().ok_or_else(far)?;
        let (negative_spans, negative_buckets) = negative.spans().ok_or_else(far)?;
        let mut histogram = Histogram {
            schema: self.scale.min(SCHEMA_MAX),
            zero_threshold: if self.zero_threshold > 0.0 { self.zero_threshold } else { ZERO_THRESHOLD },
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            integer: true,
            ..Histogram::default()
        };
        histogram.check()?;
        histogram.compact(EMPTY_BUCKETS);
        Ok(histogram)
    }
}

impl Buckets {
    /// Every 2^`down` buckets as one.
    fn merged(&self, down: i32) -> Self {
        let shift = u32::try_from(down).unwrap_or(0).min(31);
        let first = self.offset >> shift;
        let mut counts: Vec<u64> = Vec::new();
        for (index, count) in (i64::from(self.offset)..).zip(&self.counts) {
            let at = usize::try_from((index >> shift) - i64::from(first)).unwrap_or(0);
            if counts.len() <= at {
                counts.resize(at + 1, 0);
            }
            counts[at] = counts[at].saturating_add(*count);
        }
        Self { offset: first, counts }
    }
}

/// An explicit histogram point.
#[derive(Default)]
pub(super) struct Explicit {
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) counts: Vec<u64>,
    pub(super) bounds: Vec<f64>,
    pub(super) stale: bool,
}

impl Explicit {
    /// The native histogram with custom bounds, or why it cannot be one.
    pub(super) fn native(&self) -> Result<Histogram, String> {
        if self.stale {
            return Ok(Histogram {
                schema: CUSTOM_BUCKETS_SCHEMA,
                custom_bounds: self.bounds.clone(),
                ..stale()
            });
        }
        let length = u32::try_from(self.counts.len()).map_err(|_| "too many buckets".to_owned())?;
        let spans = if length == 0 { Vec::new() } else { vec![Span { offset: 0, length }] };
        let mut histogram = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: self.count as f64,
            sum: self.sum.unwrap_or(0.0),
            positive_spans: spans,
            positive_buckets: self.counts.iter().map(|count| *count as f64).collect(),
            custom_bounds: self.bounds.clone(),
            integer: true,
            ..Histogram::default()
        };
        histogram.check()?;
        histogram.compact(EMPTY_BUCKETS);
        Ok(histogram)
    }
}

fn stale() -> Histogram {
    Histogram { sum: stale_nan(), integer: true, ..Histogram::default() }
}
