//! Runs of native histograms as columns of doubles.
//!
//! A run is cut into segments whose histograms have the same buckets, or buckets of one numbering that is not much
//! wider than each: then each bucket of the union is a column, and where a histogram lacks the bucket the column
//! repeats its neighbour, for nobody reads it there. What a histogram has besides its numbers is a [`Layout`],
//! which changes seldom, and flags.
//!
//! Columns of a segment: counts (unless each is the sum of its buckets), counts of the zero bucket, sums, then
//! the positive and the negative buckets in order.

mod read;
mod write;

use std::collections::BTreeSet;

use nave_base::varint;
use nave_model::histogram::{CounterResetHint, Histogram, Span};

use crate::damage::{Cursor, Damage};

pub(super) use read::Run;
pub(super) use write::Segments;

/// The most buckets, spans and bounds of one histogram together.
pub(crate) const HISTOGRAM_MAX: usize = 1 << 21;

/// Counter-reset hints by their code.
const HINTS: [CounterResetHint; 4] =
    [CounterResetHint::Unknown, CounterResetHint::Reset, CounterResetHint::NotReset, CounterResetHint::Gauge];

/// What is the same in many histograms of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Layout {
    schema: i32,
    zero_threshold: u64,
    positive: Side,
    negative: Side,
    /// Bits of the bounds.
    bounds: Vec<u64>,
}

/// The buckets above or below zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Side {
    spans: Vec<Span>,
    buckets: usize,
}

/// How often a layout is used in a row, and what else is known of these histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    layout: u32,
    hint: CounterResetHint,
    integer: bool,
    len: u32,
}

impl Layout {
    fn of(histogram: &Histogram) -> Self {
        let side = |spans: &[Span], buckets: &[f64]| Side { spans: spans.to_vec(), buckets: buckets.len() };
        Self {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold.to_bits(),
            positive: side(&histogram.positive_spans, &histogram.positive_buckets),
            negative: side(&histogram.negative_spans, &histogram.negative_buckets),
            bounds: histogram.custom_bounds.iter().map(|bound| bound.to_bits()).collect(),
        }
    }

    /// Whether `histogram` has it, without building one.
    fn is_of(&self, histogram: &Histogram) -> bool {
        let same = |side: &Side, spans: &[Span], buckets: &[f64]| {
            side.buckets == buckets.len() && side.spans == spans
        };
        let bounds = histogram.custom_bounds.iter().map(|bound| bound.to_bits());
        self.schema == histogram.schema
            && self.zero_threshold == histogram.zero_threshold.to_bits()
            && same(&self.positive, &histogram.positive_spans, &histogram.positive_buckets)
            && same(&self.negative, &histogram.negative_spans, &histogram.negative_buckets)
            && self.bounds.len() == histogram.custom_bounds.len()
            && bounds.eq(self.bounds.iter().copied())
    }

    fn buckets(&self) -> usize {
        self.positive.buckets.saturating_add(self.negative.buckets)
    }

    /// Whether buckets of the two have the same numbering.
    fn fits(&self, other: &Self) -> bool {
        self.buckets() == 0
            || other.buckets() == 0
            || (self.schema == other.schema && self.bounds == other.bounds)
    }

    fn put(&self, out: &mut Vec<u8>) {
        varint::put_i64(out, i64::from(self.schema));
        varint::put_u64(out, self.zero_threshold.rotate_left(16));
        for side in [&self.positive, &self.negative] {
            varint::put_u64(out, side.buckets as u64);
            varint::put_u64(out, side.spans.len() as u64);
            for span in &side.spans {
                varint::put_i64(out, i64::from(span.offset));
                varint::put_u64(out, u64::from(span.length));
            }
        }
        varint::put_u64(out, self.bounds.len() as u64);
        self.bounds.iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes()));
    }

    fn take(cursor: &mut Cursor<'_>) -> Result<Self, Damage> {
        let schema = cursor.i64()?;
        let schema =
            i32::try_from(schema).map_err(|_| cursor.damage(format!("there is no schema {schema}")))?;
        let zero_threshold = cursor.u64()?.rotate_right(16);
        let (positive, negative) = (Side::take(cursor)?, Side::take(cursor)?);
        let count = cursor.count("bounds", cursor.left() / 8)?;
        let bounds = (0..count).map(|_| cursor.fixed().map(u64::from_le_bytes)).collect::<Result<_, _>>()?;
        Ok(Self { schema, zero_threshold, positive, negative, bounds })
    }
}

impl Side {
    /// The number of each bucket; `None` when they do not ascend, or are not as many as the spans say.
    fn numbers(&self) -> Option<Vec<i64>> {
        let total: u64 = self.spans.iter().map(|span| u64::from(span.length)).sum();
        if total != self.buckets as u64 {
            return None;
        }
        let mut numbers = Vec::with_capacity(self.buckets);
        let mut next = 0i64;
        for span in &self.spans {
            next = next.checked_add(i64::from(span.offset))?;
            if numbers.last().is_some_and(|last| *last >= next) && span.length > 0 {
                return None;
            }
            numbers.extend(next..next + i64::from(span.length));
            next += i64::from(span.length);
        }
        Some(numbers)
    }

    fn take(cursor: &mut Cursor<'_>) -> Result<Self, Damage> {
        let buckets = cursor.count("buckets", HISTOGRAM_MAX)?;
        let count = cursor.count("spans", cursor.left())?;
        let mut spans = Vec::with_capacity(count);
        for _ in 0..count {
            let offset = cursor.i64()?;
            let offset = i32::try_from(offset).map_err(|_| cursor.damage("a span is too far"))?;
            spans.push(Span { offset, length: cursor.count("buckets", u32::MAX as usize)? as u32 });
        }
        Ok(Self { spans, buckets })
    }
}

/// The columns of the buckets of one side: the numbers that occur, ascending.
fn columns_of(union: &BTreeSet<i64>, numbers: &[i64]) -> Vec<u32> {
    let mut all = union.iter().zip(0u32..);
    let place = |number: &i64| all.by_ref().find(|(known, _)| *known == number).map(|(_, column)| column);
    numbers.iter().filter_map(place).collect()
}
