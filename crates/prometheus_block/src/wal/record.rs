//! Records of the log: series, samples, tombstones, exemplars, metadata.
//!
//! ```text
//!  1 series       (u64 series, uvarint labels, (name, value)*)*
//!  2 samples      u64 series, i64 t, then (varint, varint against these, 64 bits)*
//!  3 tombstones   (u64 series, varint min, varint max)*
//!  4 exemplars    as samples, with labels behind each
//!  5 markers      (u64 series, u64 chunk)*: all until here is in that memory-mapped chunk
//!  6 metadata     (uvarint series, type, uvarint fields, (name, value)*)*
//!  7 8 9 10       histograms: integers, floats, and both with custom buckets
//! 11 12 13        samples, integer and float histograms with start timestamps
//! 14              i64: nothing older was kept by the checkpoint
//! ```

use std::sync::Arc;

use nave_base::varint;
use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::sample::{Exemplar, Value};
use nave_model::time::{TimeRange, Timestamp};

use crate::error::Damage;

/// A sample of the series `reference`.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Which series, as a record before said.
    pub reference: u64,
    /// When.
    pub timestamp: Timestamp,
    /// Since when it counts; `Timestamp(0)` is unknown.
    pub start: Timestamp,
    /// What.
    pub value: Value,
}

/// A decoded record. References are those of the series records.
#[derive(Debug, Clone)]
pub enum Record {
    /// New series.
    Series(Vec<(u64, Labels)>),
    /// Floats or histograms.
    Samples(Vec<Sample>),
    /// Deleted stretches, both ends inside.
    Tombstones(Vec<(u64, TimeRange)>),
    /// Exemplars.
    Exemplars(Vec<(u64, Exemplar)>),
    /// What came before for the series is in this chunk of `chunks_head`: file number in the upper 32 bits.
    Markers(Vec<(u64, u64)>),
    /// Metadata of the series' metric.
    Metadata(Vec<(u64, Metadata)>),
    /// Nothing older was kept by the checkpoint.
    MinValidTime(Timestamp),
}

impl Record {
    /// Decodes the bytes of one record.
    ///
    /// # Errors
    /// When they are of no known type or cut short.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let (kind, rest) = bytes.split_first().ok_or("an empty record")?;
        let mut input = Input(rest);
        let decoded = match kind {
            1 => input.all(|input| Ok((input.u64()?, input.labels()?))).map(Self::Series),
            2 => input.samples(|input| Ok(Value::Float(f64::from_bits(input.u64()?)))),
            3 => input.all(|input| Ok((input.u64()?, input.range()?))).map(Self::Tombstones),
            4 => input.exemplars().map(Self::Exemplars),
            5 => input.all(|input| Ok((input.u64()?, input.u64()?))).map(Self::Markers),
            6 => input.all(|input| Ok((input.uvarint()?, input.metadata()?))).map(Self::Metadata),
            7 | 9 => input.samples(Input::integers),
            8 | 10 => input.samples(Input::floats),
            11 => input.samples_with_starts(|input| Ok(Value::Float(f64::from_bits(input.u64()?)))),
            12 => input.samples_with_starts(Input::integers),
            13 => input.samples_with_starts(Input::floats),
            14 => input.u64().map(|t| Self::MinValidTime(Timestamp(t as i64))),
            other => return Err(format!("record type {other} is unknown").into()),
        };
        decoded.map_err(|Short| format!("a record of type {kind} is cut short or malformed").into())
    }
}

/// The bytes end too early, or are none of what they should be.
struct Short;

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn u64(&mut self) -> Result<u64, Short> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Short)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*bytes))
    }

    fn byte(&mut self) -> Result<u8, Short> {
        let (byte, rest) = self.0.split_first().ok_or(Short)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn uvarint(&mut self) -> Result<u64, Short> {
        varint::take_u64(&mut self.0).ok_or(Short)
    }

    fn varint(&mut self) -> Result<i64, Short> {
        varint::take_i64(&mut self.0).ok_or(Short)
    }

    fn text(&mut self) -> Result<&str, Short> {
        let bytes = varint::take_bytes(&mut self.0).ok_or(Short)?;
        std::str::from_utf8(bytes).map_err(|_| Short)
    }

    fn float(&mut self) -> Result<f64, Short> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// Takes items until the bytes end.
    fn all<T>(&mut self, mut take: impl FnMut(&mut Self) -> Result<T, Short>) -> Result<Vec<T>, Short> {
        let mut items = Vec::new();
        while !self.0.is_empty() {
            items.push(take(self)?);
        }
        Ok(items)
    }

    /// Takes a number and as many items, which are at least a byte each.
    fn counted<T>(&mut self, mut take: impl FnMut(&mut Self) -> Result<T, Short>) -> Result<Vec<T>, Short> {
        let count = self.uvarint()?;
        if count > self.0.len() as u64 {
            return Err(Short);
        }
        (0..count).map(|_| take(self)).collect()
    }

    fn labels(&mut self) -> Result<Labels, Short> {
        let pairs = self.counted(|input| Ok((input.text()?.to_owned(), input.text()?.to_owned())))?;
        Labels::from_pairs(pairs).map_err(|_| Short)
    }

    fn range(&mut self) -> Result<TimeRange, Short> {
        let (min, max) = (self.varint()?, self.varint()?);
        Ok(TimeRange { min: Timestamp(min), max: Timestamp(max) })
    }

    fn samples(&mut self, value: impl Fn(&mut Self) -> Result<Value, Short>) -> Result<Record, Short> {
        if self.0.is_empty() {
            return Ok(Record::Samples(Vec::new()));
        }
        let (reference, t) = (self.u64()?, self.u64()? as i64);
        let samples = self.all(|input| {
            let reference = reference.wrapping_add(input.varint()? as u64);
            let timestamp = Timestamp(t.wrapping_add(input.varint()?));
            Ok(Sample { reference, timestamp, start: Timestamp(0), value: value(input)? })
        });
        samples.map(Record::Samples)
    }

    fn samples_with_starts(
        &mut self,
        value: impl Fn(&mut Self) -> Result<Value, Short>,
    ) -> Result<Record, Short> {
        let mut first: Option<(i64, i64)> = None;
        let (mut reference, mut start) = (0u64, 0i64);
        let samples = self.all(|input| {
            reference = reference.wrapping_add(input.varint()? as u64);
            let t = input.varint()?;
            let timestamp = match first {
                None => {
                    start = input.varint()?;
                    first = Some((t, start));
                    t
                }
                Some((first_t, first_start)) => {
                    start = match input.byte()? {
                        0 => 0,
                        1 => start,
                        _ => first_start.wrapping_add(input.varint()?),
                    };
                    first_t.wrapping_add(t)
                }
            };
            let (timestamp, start) = (Timestamp(timestamp), Timestamp(start));
            Ok(Sample { reference, timestamp, start, value: value(input)? })
        });
        samples.map(Record::Samples)
    }

    fn exemplars(&mut self) -> Result<Vec<(u64, Exemplar)>, Short> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let (reference, t) = (self.u64()?, self.u64()? as i64);
        self.all(|input| {
            let reference = reference.wrapping_add(input.varint()? as u64);
            let timestamp = Some(Timestamp(t.wrapping_add(input.varint()?)));
            let value = input.float()?;
            Ok((reference, Exemplar { labels: input.labels()?, value, timestamp }))
        })
    }

    fn metadata(&mut self) -> Result<Metadata, Short> {
        let kind = match self.byte()? {
            1 => MetricType::Counter,
            2 => MetricType::Gauge,
            3 => MetricType::Histogram,
            4 => MetricType::GaugeHistogram,
            5 => MetricType::Summary,
            6 => MetricType::Info,
            7 => MetricType::StateSet,
            _ => MetricType::Unknown,
        };
        let mut metadata = Metadata { kind, ..Metadata::default() };
        let fields = self.counted(|input| Ok((input.text()?.to_owned(), input.text()?.to_owned())))?;
        for (name, text) in fields {
            match name.as_str() {
                "UNIT" => metadata.unit = Arc::from(text),
                "HELP" => metadata.help = Arc::from(text),
                _ => {}
            }
        }
        Ok(metadata)
    }

    fn integers(&mut self) -> Result<Value, Short> {
        self.histogram(
            |input| Ok(input.uvarint()? as f64),
            |input| {
                let mut sum = 0i64;
                input.counted(|input| {
                    sum = sum.wrapping_add(input.varint()?);
                    Ok(sum as f64)
                })
            },
            true,
        )
    }

    fn floats(&mut self) -> Result<Value, Short> {
        self.histogram(Self::float, |input| input.counted(Self::float), false)
    }

    fn histogram(
        &mut self,
        count: impl Fn(&mut Self) -> Result<f64, Short>,
        buckets: impl Fn(&mut Self) -> Result<Vec<f64>, Short>,
        integer: bool,
    ) -> Result<Value, Short> {
        let counter_reset_hint = match self.byte()? {
            1 => CounterResetHint::Reset,
            2 => CounterResetHint::NotReset,
            3 => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        };
        let schema = i32::try_from(self.varint()?).map_err(|_| Short)?;
        let zero_threshold = self.float()?;
        let (zero_count, total) = (count(self)?, count(self)?);
        let sum = self.float()?;
        let spans = |input: &mut Self| {
            input.counted(|input| {
                let offset = i32::try_from(input.varint()?).map_err(|_| Short)?;
                Ok(Span { offset, length: u32::try_from(input.uvarint()?).map_err(|_| Short)? })
            })
        };
        let (positive_spans, negative_spans) = (spans(self)?, spans(self)?);
        let (positive_buckets, negative_buckets) = (buckets(self)?, buckets(self)?);
        let custom = schema == CUSTOM_BUCKETS_SCHEMA;
        let custom_bounds = if custom { self.counted(Self::float)? } else { Vec::new() };
        let fits = |spans: &[Span], buckets: &[f64]| {
            spans.iter().map(|span| u64::from(span.length)).sum::<u64>() == buckets.len() as u64
        };
        let stale = nave_model::sample::is_stale(sum);
        let known = crate::chunk::is_known_schema(schema);
        let whole = fits(&positive_spans, &positive_buckets) && fits(&negative_spans, &negative_buckets);
        if !(stale || (known && whole)) {
            return Err(Short);
        }
        Ok(Value::Histogram(Arc::new(Histogram {
            schema,
            zero_threshold,
            zero_count,
            count: total,
            sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_bounds,
            counter_reset_hint,
            integer,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(out: &mut Vec<u8>, numbers: &[i64]) {
        numbers.iter().for_each(|number| varint::put_i64(out, *number));
    }

    /// The samples of a record as text.
    fn check(bytes: &[u8], expect: Result<&[(u64, i64, i64, f64)], &str>) {
        let decoded = match Record::decode(bytes) {
            Ok(Record::Samples(samples)) => samples,
            Ok(other) => panic!("{other:?}"),
            Err(damage) => return assert_eq!(Err(damage.to_string().as_str()), expect),
        };
        let row = |s: &Sample| match s.value {
            Value::Float(value) => (s.reference, s.timestamp.0, s.start.0, value),
            Value::Histogram(ref h) => (s.reference, s.timestamp.0, s.start.0, h.count),
        };
        assert_eq!(decoded.iter().map(row).collect::<Vec<_>>(), expect.unwrap());
    }

    #[test]
    fn samples_with_and_without_starts() {
        let mut plain = vec![2];
        plain.extend_from_slice(&7u64.to_be_bytes());
        plain.extend_from_slice(&1000u64.to_be_bytes());
        for (numbers, value) in [([0, 0], 1.0f64), ([-2, 5], 2.0)] {
            put(&mut plain, &numbers);
            plain.extend_from_slice(&value.to_bits().to_be_bytes());
        }
        check(&plain, Ok(&[(7, 1000, 0, 1.0), (5, 1005, 0, 2.0)]));
        check(&plain[..plain.len() - 1], Err("a record of type 2 is cut short or malformed"));
        check(&[2], Ok(&[]));
        let mut starts = vec![11];
        put(&mut starts, &[7, 1000, 900]);
        starts.extend_from_slice(&1.0f64.to_bits().to_be_bytes());
        for (marker, more, value) in [(1u8, vec![], 2.0f64), (0, vec![], 3.0), (2, vec![50], 4.0)] {
            put(&mut starts, &[1, 10]);
            starts.push(marker);
            put(&mut starts, &more);
            starts.extend_from_slice(&value.to_bits().to_be_bytes());
        }
        check(
            &starts,
            Ok(&[(7, 1000, 900, 1.0), (8, 1010, 900, 2.0), (9, 1010, 0, 3.0), (10, 1010, 950, 4.0)]),
        );
        check(&[99], Err("record type 99 is unknown"));
        check(&[], Err("an empty record"));
    }
}
