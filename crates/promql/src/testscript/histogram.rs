//! Histogram literals of the series notation, and their addition by the naive way over a map of buckets.

use std::collections::BTreeMap;

use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};

use super::series::Cursor;
use crate::parse::ParseError;

/// A histogram as written.
#[derive(Debug, Clone)]
pub(super) struct Literal {
    pub(super) histogram: Histogram,
    /// Whether `counter_reset_hint` was written.
    pub(super) hint_named: bool,
}

/// No observations.
pub(super) fn empty() -> Histogram {
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
        integer: false,
    }
}

const KEYS: [&str; 11] = [
    "schema",
    "sum",
    "count",
    "z_bucket",
    "z_bucket_w",
    "custom_values",
    "buckets",
    "offset",
    "n_buckets",
    "n_offset",
    "counter_reset_hint",
];

/// What is written between the braces, as far as it was read.
struct Draft {
    histogram: Histogram,
    positive_offset: i32,
    negative_offset: i32,
    seen: Vec<&'static str>,
}

impl Literal {
    /// Reads up to and with the closing braces.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mut draft =
            Draft { histogram: empty(), positive_offset: 0, negative_offset: 0, seen: Vec::new() };
        if cursor.skip_blank() && !cursor.text[cursor.at..].starts_with("}}") {
            return Err(cursor.unexpected());
        }
        while !cursor.text[cursor.at..].starts_with("}}") {
            draft.item(cursor)?;
            if !cursor.skip_blank() && !cursor.text[cursor.at..].starts_with("}}") {
                return Err(cursor.unexpected());
            }
        }
        cursor.at += 2;
        let hint_named = draft.seen.contains(&"counter_reset_hint");
        Ok(Self { histogram: draft.finish(), hint_named })
    }
}

impl Draft {
    fn item(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
        let start = cursor.at;
        let key = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_').to_ascii_lowercase();
        let Some(key) = KEYS.iter().find(|known| **known == key) else {
            if key.is_empty() {
                return Err(cursor.unexpected());
            }
            return Err(cursor.error(start, format!("bad histogram descriptor found: \"{key}\"")));
        };
        if !cursor.accept(b':') {
            return Err(cursor.error(start, "missing `:` for histogram descriptor"));
        }
        if self.seen.contains(key) {
            return Err(cursor.error(0, format!("duplicate key \"{key}\" in histogram")));
        }
        self.seen.push(key);
        let histogram = &mut self.histogram;
        match *key {
            "schema" => histogram.schema = integer(cursor)?,
            "sum" => histogram.sum = cursor.signed_number()?,
            "count" => histogram.count = cursor.signed_number()?,
            "z_bucket" => histogram.zero_count = cursor.signed_number()?,
            "z_bucket_w" => histogram.zero_threshold = cursor.signed_number()?,
            "custom_values" => histogram.custom_bounds = list(cursor)?,
            "buckets" => histogram.positive_buckets = list(cursor)?,
            "offset" => self.positive_offset = integer(cursor)?,
            "n_buckets" => histogram.negative_buckets = list(cursor)?,
            "n_offset" => self.negative_offset = integer(cursor)?,
            _ => histogram.counter_reset_hint = hint(cursor)?,
        }
        Ok(())
    }

    fn finish(mut self) -> Histogram {
        let span = |offset: i32, buckets: &[f64]| match u32::try_from(buckets.len()) {
            Ok(length) if length > 0 => vec![Span { offset, length }],
            _ => Vec::new(),
        };
        self.histogram.positive_spans = span(self.positive_offset, &self.histogram.positive_buckets);
        self.histogram.negative_spans = span(self.negative_offset, &self.histogram.negative_buckets);
        self.histogram
    }
}

fn integer(cursor: &mut Cursor<'_>) -> Result<i32, ParseError> {
    let start = cursor.at;
    let negative = cursor.accept(b'-');
    let digits = cursor.take_while(|byte| byte.is_ascii_digit());
    match digits.parse::<i32>() {
        Ok(value) => Ok(if negative { -value } else { value }),
        Err(_) if digits.is_empty() => Err(cursor.unexpected()),
        Err(error) => {
            let message = format!("integer {digits:?} in histogram: {error}");
            Err(cursor.error(start, message))
        }
    }
}

fn list(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, ParseError> {
    if !cursor.accept(b'[') {
        return Err(cursor.unexpected());
    }
    let mut values = Vec::new();
    loop {
        values.push(cursor.signed_number()?);
        let blank = cursor.skip_blank();
        if cursor.accept(b']') {
            return Ok(values);
        }
        if !blank {
            return Err(cursor.unexpected());
        }
    }
}

fn hint(cursor: &mut Cursor<'_>) -> Result<CounterResetHint, ParseError> {
    let start = cursor.at;
    let word = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_').to_ascii_lowercase();
    match word.as_str() {
        "unknown" => Ok(CounterResetHint::Unknown),
        "reset" => Ok(CounterResetHint::Reset),
        "not_reset" => Ok(CounterResetHint::NotReset),
        "gauge" => Ok(CounterResetHint::Gauge),
        _ => Err(cursor.error(start, format!("bad histogram descriptor found: \"{word}\""))),
    }
}

/// Counts by bucket index.
pub(super) type Buckets = BTreeMap<i32, f64>;

/// The buckets of `spans` by index.
pub(super) fn by_index(spans: &[Span], counts: &[f64]) -> Buckets {
    let mut counts = counts.iter();
    let mut index = 0i32;
    let mut buckets = Buckets::new();
    for span in spans {
        index = index.saturating_add(span.offset);
        for _ in 0..span.length {
            if let Some(count) = counts.next() {
                buckets.insert(index, *count);
            }
            index = index.saturating_add(1);
        }
    }
    buckets
}

/// Spans and counts of `buckets`.
fn in_spans(buckets: &Buckets) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut end = 0;
    for index in buckets.keys() {
        match spans.last_mut() {
            Some(span) if *index == end => span.length += 1,
            _ => spans.push(Span { offset: index - end, length: 1 }),
        }
        end = index + 1;
    }
    (spans, buckets.values().copied().collect())
}

/// `a + b` or `a - b` at the schema of `a`.
pub(super) fn combined(a: &Histogram, b: &Histogram, subtract: bool) -> Result<Histogram, String> {
    if a.schema > b.schema {
        let (from, to) = (b.schema, a.schema);
        return Err(format!("error combining histograms: cannot merge from schema {from} to {to}"));
    }
    if (a.schema == CUSTOM_BUCKETS_SCHEMA) != (b.schema == CUSTOM_BUCKETS_SCHEMA) {
        return Err("error combining histograms: exponential and custom buckets".to_owned());
    }
    let sign = if subtract { -1.0 } else { 1.0 };
    let narrower = u32::try_from(b.schema - a.schema).unwrap_or(0).min(31);
    let merge = |spans_a: &[Span], counts_a: &[f64], spans_b: &[Span], counts_b: &[f64]| {
        let mut buckets = by_index(spans_a, counts_a);
        for (index, count) in by_index(spans_b, counts_b) {
            let index = if narrower == 0 { index } else { ((index - 1) >> narrower) + 1 };
            *buckets.entry(index).or_default() += sign * count;
        }
        in_spans(&buckets)
    };
    let (positive_spans, positive_buckets) =
        merge(&a.positive_spans, &a.positive_buckets, &b.positive_spans, &b.positive_buckets);
    let (negative_spans, negative_buckets) =
        merge(&a.negative_spans, &a.negative_buckets, &b.negative_spans, &b.negative_buckets);
    Ok(Histogram {
        schema: a.schema,
        zero_threshold: a.zero_threshold.max(b.zero_threshold),
        zero_count: a.zero_count + sign * b.zero_count,
        count: a.count + sign * b.count,
        sum: a.sum + sign * b.sum,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        custom_bounds: a.custom_bounds.clone(),
        counter_reset_hint: combined_hint(a.counter_reset_hint, b.counter_reset_hint),
        integer: false,
    })
}

fn combined_hint(a: CounterResetHint, b: CounterResetHint) -> CounterResetHint {
    use CounterResetHint::{Gauge, Unknown};
    match (a, b) {
        _ if a == b => a,
        (Gauge, _) | (_, Gauge) => Gauge,
        _ => Unknown,
    }
}
