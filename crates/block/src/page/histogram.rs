//! A column of native histograms as bytes.

use std::sync::Arc;

use nave_base::varint;
use nave_model::histogram::{CounterResetHint, Histogram, Span};

use crate::damage::{Cursor, Damage, put_sized};

/// The most spans or buckets of one histogram.
const BUCKETS_MAX: usize = 1 << 22;

const HINTS: [CounterResetHint; 4] =
    [CounterResetHint::Unknown, CounterResetHint::Reset, CounterResetHint::NotReset, CounterResetHint::Gauge];

/// Appends one `sized` column.
pub(super) fn put(out: &mut Vec<u8>, histograms: &[(u32, Arc<Histogram>)]) {
    let mut bytes = Vec::new();
    let mut next = 0;
    for (at, histogram) in histograms {
        varint::put_u64(&mut bytes, u64::from(at - next));
        next = at + 1;
        put_one(&mut bytes, histogram);
    }
    put_sized(out, &bytes);
}

fn put_one(out: &mut Vec<u8>, histogram: &Histogram) {
    varint::put_i64(out, i64::from(histogram.schema));
    let hint = HINTS.iter().position(|hint| *hint == histogram.counter_reset_hint).unwrap_or(0) as u8;
    out.push(hint << 1 | u8::from(histogram.integer));
    for value in [histogram.zero_threshold, histogram.zero_count, histogram.count, histogram.sum] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        varint::put_u64(out, spans.len() as u64);
        for span in spans {
            varint::put_i64(out, i64::from(span.offset));
            varint::put_u64(out, u64::from(span.length));
        }
    }
    for values in [&histogram.positive_buckets, &histogram.negative_buckets, &histogram.custom_bounds] {
        varint::put_u64(out, values.len() as u64);
        values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }
}

/// Appends the histograms of a column.
pub(super) fn take(bytes: &[u8], out: &mut Vec<(u32, Arc<Histogram>)>) -> Result<(), Damage> {
    let mut cursor = Cursor::new("histograms", bytes);
    let mut next = 0u32;
    while !cursor.is_empty() {
        let at = next.saturating_add(cursor.count("samples", u32::MAX as usize)? as u32);
        next = at.saturating_add(1);
        out.push((at, Arc::new(take_one(&mut cursor)?)));
    }
    Ok(())
}

fn take_one(cursor: &mut Cursor<'_>) -> Result<Histogram, Damage> {
    let schema = cursor.i64()?;
    let schema = i32::try_from(schema).map_err(|_| cursor.damage(format!("there is no schema {schema}")))?;
    let flags = cursor.byte()?;
    let mut double = || cursor.fixed().map(f64::from_le_bytes);
    let (zero_threshold, zero_count, count, sum) = (double()?, double()?, double()?, double()?);
    let (positive_spans, negative_spans) = (take_spans(cursor)?, take_spans(cursor)?);
    Ok(Histogram {
        schema,
        zero_threshold,
        zero_count,
        count,
        sum,
        positive_spans,
        negative_spans,
        positive_buckets: take_values(cursor)?,
        negative_buckets: take_values(cursor)?,
        custom_bounds: take_values(cursor)?,
        counter_reset_hint: HINTS[usize::from(flags >> 1 & 3)],
        integer: flags & 1 == 1,
    })
}

fn take_spans(cursor: &mut Cursor<'_>) -> Result<Vec<Span>, Damage> {
    let count = cursor.count("spans", BUCKETS_MAX.min(cursor.left()))?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = cursor.i64()?;
        let offset = i32::try_from(offset).map_err(|_| cursor.damage("a span is too far"))?;
        spans.push(Span { offset, length: cursor.count("buckets", u32::MAX as usize)? as u32 });
    }
    Ok(spans)
}

fn take_values(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, Damage> {
    let count = cursor.count("buckets", BUCKETS_MAX.min(cursor.left() / 8))?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(f64::from_le_bytes(cursor.fixed()?));
    }
    Ok(values)
}
