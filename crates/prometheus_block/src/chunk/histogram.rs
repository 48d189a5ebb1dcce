//! Encodings 2, 3, 5 and 6: native histograms, read.
//!
//! ```text
//! 2, 3   u16 count | flags: 2 bits of counter reset
//! 5, 6   2 bits of counter reset, 14 bits count | start byte
//! layout zero threshold | schema | spans positive, negative | custom bounds when the schema is -53
//! then samples; integers: t, count, zero count, sum, bucket deltas; floats: t, and all else as XOR
//! ```
//!
//! All samples of a chunk share the layout. A stale sample carries no buckets, and only stale ones follow it.

use std::sync::Arc;

use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};
use nave_model::sample::is_stale;
use nave_model::select::Columns;
use nave_model::time::Timestamp;

use super::xor2::Starts;
use super::{Window, ascending};
use crate::bit::BitReader;
use crate::error::Damage;

/// A chunk that would take more memory than this is damage.
const DECODED_BYTES_MAX: usize = 64 << 20;
/// Spans, bounds and buckets of one histogram; Prometheus stays below a few hundred.
const NUMBERS_MAX: usize = 1 << 20;
/// Largest custom bound that is written as thousandths, plus one.
pub(super) const BOUND_CODES: u64 = 33_554_431;

/// The fixed head of a chunk.
pub(super) struct Header<'a> {
    count: u16,
    /// The two bits: 0 unknown, 1 no reset, 2 reset, 3 gauge.
    reset: u8,
    starts: Starts,
    rest: &'a [u8],
}

impl<'a> Header<'a> {
    pub(super) fn read(bytes: &'a [u8], with_starts: bool) -> Result<Self, Damage> {
        let (header, rest) = bytes.split_first_chunk::<3>().ok_or("the chunk has no header")?;
        let count = u16::from_be_bytes([header[0], header[1]]);
        Ok(if with_starts {
            Self { count: count & 0x3fff, reset: header[0] >> 6, starts: Starts::new(header[2]), rest }
        } else {
            Self { count, reset: header[2] >> 6, starts: Starts::new(0), rest }
        })
    }

    /// What upstream tells of sample `n`: inside a chunk there are no resets, its first sample is compared.
    fn hint(&self, n: u16) -> CounterResetHint {
        match (self.reset, n) {
            (3, _) => CounterResetHint::Gauge,
            (_, 0) => CounterResetHint::Unknown,
            _ => CounterResetHint::NotReset,
        }
    }

    /// The layout, as a histogram without counts.
    fn layout(&self, reader: &mut BitReader<'_>) -> Result<Layout, Damage> {
        let zero_threshold = take_threshold(reader)?;
        let schema = reader.varbit_i64()?;
        let schema = i32::try_from(schema).ok().filter(|schema| is_known(*schema));
        let schema = schema.ok_or("a histogram of an unknown schema")?;
        let (positive_spans, positive) = take_spans(reader)?;
        let (negative_spans, negative) = take_spans(reader)?;
        let custom_bounds = if schema == CUSTOM_BUCKETS_SCHEMA { take_bounds(reader)? } else { Vec::new() };
        let numbers = positive_spans.len() + negative_spans.len() + custom_bounds.len() + positive + negative;
        let memory = (numbers + 24).saturating_mul(8 * usize::from(self.count.max(1)));
        let memory_max = numbers <= NUMBERS_MAX && memory <= DECODED_BYTES_MAX;
        if positive.max(negative) > reader.left() || !memory_max {
            return Err(format!("{} histograms of {numbers} numbers are too large", self.count).into());
        }
        let histogram = Histogram {
            schema,
            zero_threshold,
            positive_spans,
            negative_spans,
            custom_bounds,
            ..stale(0.0, true)
        };
        Ok(Layout { histogram, positive, negative })
    }
}

/// What all samples of a chunk share.
struct Layout {
    histogram: Histogram,
    positive: usize,
    negative: usize,
}

pub(crate) fn is_known(schema: i32) -> bool {
    (-4..=8).contains(&schema) || schema == CUSTOM_BUCKETS_SCHEMA
}

/// A histogram of which only the sum says something.
fn stale(sum: f64, integer: bool) -> Histogram {
    Histogram {
        schema: 0,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: 0.0,
        sum,
        positive_spans: Vec::new(),
        positive_buckets: Vec::new(),
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        custom_bounds: Vec::new(),
        counter_reset_hint: CounterResetHint::Unknown,
        integer,
    }
}

fn take_threshold(reader: &mut BitReader<'_>) -> Result<f64, Damage> {
    Ok(match reader.take(8)? {
        0 => 0.0,
        255 => f64::from_bits(reader.take(64)?),
        exponent => 2f64.powi(exponent as i32 - 244),
    })
}

/// Spans, and how many buckets they make.
fn take_spans(reader: &mut BitReader<'_>) -> Result<(Vec<Span>, usize), Damage> {
    let count = reader.varbit_u64()?;
    let (mut spans, mut buckets) = (Vec::new(), 0usize);
    for _ in 0..count {
        let length = u32::try_from(reader.varbit_u64()?).map_err(|_| "a span is too long")?;
        let offset = i32::try_from(reader.varbit_i64()?).map_err(|_| "a span is too far away")?;
        buckets = buckets.saturating_add(length as usize);
        spans.push(Span { offset, length });
    }
    Ok((spans, buckets))
}

fn take_bounds(reader: &mut BitReader<'_>) -> Result<Vec<f64>, Damage> {
    let count = reader.varbit_u64()?;
    let mut bounds = Vec::new();
    for _ in 0..count {
        bounds.push(match reader.varbit_u64()? {
            0 => f64::from_bits(reader.take(64)?),
            code => (code - 1) as f64 / 1000.0,
        });
    }
    Ok(bounds)
}

/// An integer that is written as a difference of differences.
#[derive(Clone, Copy, Default)]
struct Dod {
    value: i64,
    delta: i64,
}

impl Dod {
    fn take(&mut self, reader: &mut BitReader<'_>) -> Result<i64, Damage> {
        self.delta = self.delta.wrapping_add(reader.varbit_i64()?);
        self.value = self.value.wrapping_add(self.delta);
        Ok(self.value)
    }
}

/// Adds sample `n` with what stands behind it.
fn push(
    header: &Header<'_>,
    starts: &mut Starts,
    reader: &mut BitReader<'_>,
    (n, t, before): (u16, i64, i64),
    histogram: Histogram,
    out: &mut Columns,
) -> Result<(), Damage> {
    starts.take(reader, n, t, before)?;
    ascending(out, t)?;
    let hint = if is_stale(histogram.sum) { CounterResetHint::Unknown } else { header.hint(n) };
    let histogram = Histogram { counter_reset_hint: hint, ..histogram };
    out.push_histogram(Timestamp(t), Arc::new(histogram));
    starts.push(out);
    Ok(())
}

/// Samples with integer counts.
pub(super) fn integers(header: &Header<'_>, out: &mut Columns) -> Result<(), Damage> {
    let mut reader = BitReader::new(header.rest);
    let mut starts = header.starts;
    let (mut time, mut count, mut zero_count) = (Dod::default(), Dod::default(), Dod::default());
    let (mut sum, mut window) = (0u64, Window::default());
    let mut layout = None;
    let mut buckets: Vec<Dod> = Vec::new();
    for n in 0..header.count {
        let before = time.value;
        if n == 0 {
            let read = header.layout(&mut reader)?;
            buckets.resize(read.positive + read.negative, Dod::default());
            layout = Some(read);
            time.value = reader.varbit_i64()?;
            count.value = reader.varbit_u64()? as i64;
            zero_count.value = reader.varbit_u64()? as i64;
            sum = reader.take(64)?;
        } else {
            time.take(&mut reader)?;
            count.take(&mut reader)?;
            zero_count.take(&mut reader)?;
            sum = window.take(&mut reader, sum)?;
        }
        let Some(layout) = &layout else { break };
        let histogram = if is_stale(f64::from_bits(sum)) && n > 0 {
            stale(f64::from_bits(sum), true)
        } else {
            for bucket in &mut buckets {
                if n == 0 {
                    bucket.value = reader.varbit_i64()?;
                } else {
                    bucket.take(&mut reader)?;
                }
            }
            let (positive, negative) = buckets.split_at(layout.positive);
            Histogram {
                count: count.value as u64 as f64,
                zero_count: zero_count.value as u64 as f64,
                sum: f64::from_bits(sum),
                positive_buckets: absolute(positive),
                negative_buckets: absolute(negative),
                ..layout.histogram.clone()
            }
        };
        push(header, &mut starts, &mut reader, (n, time.value, before), histogram, out)?;
    }
    Ok(())
}

/// Buckets hold what they have more than the one before.
fn absolute(buckets: &[Dod]) -> Vec<f64> {
    let mut sum = 0i64;
    let add = |bucket: &Dod| {
        sum = sum.wrapping_add(bucket.value);
        sum as f64
    };
    buckets.iter().map(add).collect()
}

/// A float that is written as XOR with the one before.
#[derive(Clone, Copy, Default)]
struct Xor {
    bits: u64,
    window: Window,
}

impl Xor {
    fn take(&mut self, reader: &mut BitReader<'_>, n: u16) -> Result<f64, Damage> {
        self.bits = if n == 0 { reader.take(64)? } else { self.window.take(reader, self.bits)? };
        Ok(f64::from_bits(self.bits))
    }
}

/// Samples with float counts.
pub(super) fn floats(header: &Header<'_>, out: &mut Columns) -> Result<(), Damage> {
    let mut reader = BitReader::new(header.rest);
    let mut starts = header.starts;
    let mut time = Dod::default();
    let (mut count, mut zero_count, mut sum) = (Xor::default(), Xor::default(), Xor::default());
    let mut layout = None;
    let mut buckets: Vec<Xor> = Vec::new();
    for n in 0..header.count {
        let before = time.value;
        if n == 0 {
            let read = header.layout(&mut reader)?;
            buckets.resize(read.positive + read.negative, Xor::default());
            layout = Some(read);
            time.value = reader.varbit_i64()?;
        } else {
            time.take(&mut reader)?;
        }
        let Some(layout) = &layout else { break };
        let (count, zero_count) = (count.take(&mut reader, n)?, zero_count.take(&mut reader, n)?);
        let sum = sum.take(&mut reader, n)?;
        let histogram = if is_stale(sum) && n > 0 {
            stale(sum, false)
        } else {
            let values: Result<Vec<f64>, Damage> =
                buckets.iter_mut().map(|bucket| bucket.take(&mut reader, n)).collect();
            let mut positive = values?;
            let negative = positive.split_off(layout.positive);
            Histogram {
                count,
                zero_count,
                sum,
                positive_buckets: positive,
                negative_buckets: negative,
                integer: false,
                ..layout.histogram.clone()
            }
        };
        push(header, &mut starts, &mut reader, (n, time.value, before), histogram, out)?;
    }
    Ok(())
}
