//! Encodings 2 and 3: native histograms, written. The format stands in [`super::histogram`].

use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};
use nave_model::sample::is_stale;

use super::histogram::BOUND_CODES;
use super::{FLOAT_HISTOGRAM, HISTOGRAM, Window};
use crate::bit::BitWriter;

/// Above this a float does not hold every integer, and counts are written as floats.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Whether all counts are integers that a chunk of integers can hold.
pub(super) fn is_integer(histogram: &Histogram) -> bool {
    let whole = |count: &f64| count.fract() == 0.0 && (0.0..=EXACT_MAX).contains(count);
    let counts = [&histogram.count, &histogram.zero_count].into_iter();
    let buckets = histogram.positive_buckets.iter().chain(&histogram.negative_buckets);
    histogram.integer && (is_stale(histogram.sum) || counts.chain(buckets).all(whole))
}

/// A chunk that grows by one histogram at a time, all of one layout.
pub(super) struct HistogramChunk {
    integer: bool,
    count: u16,
    bits: BitWriter,
    time: (i64, i64),
    counts: [(i64, i64); 2],
    buckets: Vec<(i64, i64)>,
    xors: Vec<(u64, Window)>,
}

impl HistogramChunk {
    /// An empty chunk in the layout of `first`; `reset` are its two bits.
    pub(super) fn new(first: &Histogram, reset: u8) -> Self {
        let mut bits = BitWriter::after(vec![0, 0, reset << 6]);
        let bare = is_stale(first.sum);
        put_threshold(&mut bits, if bare { 0.0 } else { first.zero_threshold });
        bits.put_varbit_i64(if bare { 0 } else { i64::from(first.schema) });
        put_spans(&mut bits, if bare { &[] } else { &first.positive_spans });
        put_spans(&mut bits, if bare { &[] } else { &first.negative_spans });
        if !bare && first.schema == CUSTOM_BUCKETS_SCHEMA {
            put_bounds(&mut bits, &first.custom_bounds);
        }
        let buckets = if bare { 0 } else { first.positive_buckets.len() + first.negative_buckets.len() };
        let integer = is_integer(first);
        Self {
            integer,
            count: 0,
            bits,
            time: (0, 0),
            counts: [(0, 0); 2],
            buckets: vec![(0, 0); if integer { buckets } else { 0 }],
            xors: vec![Default::default(); if integer { 1 } else { 3 + buckets }],
        }
    }

    pub(super) fn count(&self) -> u16 {
        self.count
    }

    pub(super) fn len(&self) -> usize {
        self.bits.len()
    }

    /// Adds a sample whose layout is that of the first, or a stale one.
    pub(super) fn push(&mut self, t: i64, histogram: &Histogram) {
        put_dod(&mut self.bits, &mut self.time, t, self.count == 0);
        if self.integer {
            self.push_integers(histogram);
        } else {
            self.push_floats(histogram);
        }
        self.count += 1;
    }

    fn push_integers(&mut self, histogram: &Histogram) {
        let first = self.count == 0;
        let bare = is_stale(histogram.sum);
        for (field, value) in self.counts.iter_mut().zip([histogram.count, histogram.zero_count]) {
            let value = if bare { 0 } else { value as i64 };
            match (first, bare) {
                (true, _) => {
                    field.0 = value;
                    self.bits.put_varbit_u64(value as u64);
                }
                // Nothing but stale samples follows, so that the counts need not be right.
                (false, true) => self.bits.put_varbit_i64(0),
                (false, false) => put_dod(&mut self.bits, field, value, false),
            }
        }
        put_xor(&mut self.bits, &mut self.xors[0], histogram.sum, first);
        if bare {
            return;
        }
        let sides = [&histogram.positive_buckets, &histogram.negative_buckets];
        let deltas = sides.into_iter().flat_map(|side| {
            let before = std::iter::once(0).chain(side.iter().map(|count| *count as i64));
            side.iter().zip(before).map(|(count, before)| *count as i64 - before)
        });
        for (field, delta) in self.buckets.iter_mut().zip(deltas) {
            put_dod(&mut self.bits, field, delta, first);
        }
    }

    fn push_floats(&mut self, histogram: &Histogram) {
        let first = self.count == 0;
        let bare = is_stale(histogram.sum);
        let (count, zero) = if bare { (0.0, 0.0) } else { (histogram.count, histogram.zero_count) };
        for (field, value) in self.xors.iter_mut().zip([count, zero, histogram.sum]) {
            put_xor(&mut self.bits, field, value, first);
        }
        if bare {
            return;
        }
        let buckets = histogram.positive_buckets.iter().chain(&histogram.negative_buckets);
        for (field, value) in self.xors[3..].iter_mut().zip(buckets) {
            put_xor(&mut self.bits, field, *value, first);
        }
    }

    /// Encoding and bytes.
    pub(super) fn finish(mut self) -> (u8, Vec<u8>) {
        self.bits.bytes_mut()[..2].copy_from_slice(&self.count.to_be_bytes());
        (if self.integer { HISTOGRAM } else { FLOAT_HISTOGRAM }, self.bits.into_bytes())
    }
}

fn put_dod(bits: &mut BitWriter, field: &mut (i64, i64), value: i64, first: bool) {
    if first {
        bits.put_varbit_i64(value);
        *field = (value, 0);
        return;
    }
    let delta = value.wrapping_sub(field.0);
    bits.put_varbit_i64(delta.wrapping_sub(field.1));
    *field = (value, delta);
}

fn put_xor(bits: &mut BitWriter, field: &mut (u64, Window), value: f64, first: bool) {
    if first {
        bits.put(value.to_bits(), 64);
    } else {
        field.1.put(bits, field.0, value.to_bits());
    }
    field.0 = value.to_bits();
}

/// A power of two is one byte, anything else nine.
fn put_threshold(bits: &mut BitWriter, threshold: f64) {
    if threshold == 0.0 {
        return bits.put(0, 8);
    }
    let exponent = threshold.log2().round();
    if (-243.0..=10.0).contains(&exponent) && 2f64.powi(exponent as i32) == threshold {
        return bits.put((exponent as i64 + 244) as u64, 8);
    }
    bits.put(255, 8);
    bits.put(threshold.to_bits(), 64);
}

fn put_spans(bits: &mut BitWriter, spans: &[Span]) {
    bits.put_varbit_u64(spans.len() as u64);
    for span in spans {
        bits.put_varbit_u64(u64::from(span.length));
        bits.put_varbit_i64(i64::from(span.offset));
    }
}

/// Bounds that are whole thousandths are short.
fn put_bounds(bits: &mut BitWriter, bounds: &[f64]) {
    bits.put_varbit_u64(bounds.len() as u64);
    for bound in bounds {
        let thousandths = (bound * 1000.0).round();
        let short = (0.0..BOUND_CODES as f64).contains(&thousandths) && thousandths / 1000.0 == *bound;
        if short && bound.is_sign_positive() {
            bits.put_varbit_u64(thousandths as u64 + 1);
        } else {
            bits.put(0, 1);
            bits.put(bound.to_bits(), 64);
        }
    }
}

/// What becomes of a histogram after the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// It goes into the same chunk.
    Same,
    /// It begins a chunk with these two bits.
    New(u8),
}

/// The two bits of a chunk that `first` begins without anything before it.
pub(super) fn reset_bits(first: &Histogram) -> u8 {
    match first.counter_reset_hint {
        CounterResetHint::Gauge => 0b11,
        CounterResetHint::Reset => 0b10,
        _ => 0b00,
    }
}

/// Readers take it that there is no reset inside a chunk, so that every decrease begins one.
pub(super) fn follow(before: &Histogram, next: &Histogram) -> Follow {
    if is_stale(next.sum) && next.integer == before.integer {
        return Follow::Same;
    }
    let gauge = |histogram: &Histogram| histogram.counter_reset_hint == CounterResetHint::Gauge;
    let same_layout = before.schema == next.schema
        && before.zero_threshold.to_bits() == next.zero_threshold.to_bits()
        && before.positive_spans == next.positive_spans
        && before.negative_spans == next.negative_spans
        && before.custom_bounds == next.custom_bounds;
    if is_stale(before.sum)
        || is_integer(before) != is_integer(next)
        || gauge(before) != gauge(next)
        || !same_layout
        || next.counter_reset_hint == CounterResetHint::Reset
    {
        return Follow::New(reset_bits(next));
    }
    let grows = |(before, next): (&f64, &f64)| before <= next;
    let grown = grows((&before.count, &next.count))
        && grows((&before.zero_count, &next.zero_count))
        && before.positive_buckets.iter().zip(&next.positive_buckets).all(grows)
        && before.negative_buckets.iter().zip(&next.negative_buckets).all(grows);
    if grown || gauge(next) { Follow::Same } else { Follow::New(0b10) }
}
