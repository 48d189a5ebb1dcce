//! Series and histograms by number, and what was read of a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use nave_model::append::{Batch, BatchBuilder, HistogramSample, Principal, SeriesRef, Tenant};
use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::sample::stale_nan;
use nave_model::select::{Columns, Need, Select, SelectError, Selection};
use nave_model::time::Timestamp;
use nave_tsdb::Tsdb;

use crate::script::{Value, Write};

pub fn tenant(number: u8) -> Tenant {
    if number == 0 { Tenant::default() } else { Tenant(Arc::from("other")) }
}

/// Some label names are missing on some series, so that matchers of the empty value matter.
pub fn labels(series: u16) -> Labels {
    let mut pairs = vec![
        ("__name__", format!("metric_{}", series % 4)),
        ("instance", format!("host-{}:9100", series % 5)),
    ];
    if series.is_multiple_of(3) {
        pairs.push(("number", series.to_string()));
    } else {
        pairs.push(("pod", format!("pod-{series}")));
    }
    Labels::from_pairs(pairs).expect("label names are unique")
}

/// Since when a sample counts: nothing for most series, one time for hours, another one for each sample, or only now and
/// then. Given by labels and time alone, so that it is known of every sample that is read.
pub fn start(labels: &Labels, t: i64) -> i64 {
    let kind = labels.as_bytes().iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) % 8;
    match kind {
        0 => t - t.rem_euclid(3_600_000) - 1000,
        1 => t - 15_000,
        2 if t.rem_euclid(600_000) < 300_000 => t - t.rem_euclid(600_000),
        _ => 0,
    }
}

/// Histogram number 0..24: integer and float, exponential and custom buckets, hints, stale.
pub fn histogram(number: u8) -> Histogram {
    if number == STALE {
        return stale();
    }
    let n = f64::from(number);
    let (integer, custom) = (number.is_multiple_of(2), number.is_multiple_of(5));
    let part = if integer { 0.0 } else { 0.25 };
    let hints = [CounterResetHint::Unknown, CounterResetHint::Gauge, CounterResetHint::Unknown];
    Histogram {
        schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { i32::from(number % 12) - 4 },
        zero_threshold: if custom { 0.0 } else { 0.001 },
        zero_count: if custom { 0.0 } else { 2.0 + part },
        count: if custom { 4.0 + n } else { 6.0 + n + part } + part,
        sum: n * 1.5,
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
        positive_buckets: vec![1.0 + part, 2.0, 1.0 + n],
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        custom_bounds: if custom { vec![0.5, 1.0, 2.5, 5.0] } else { Vec::new() },
        counter_reset_hint: hints[usize::from(number % 3)],
        integer,
    }
}

const STALE: u8 = 7;

/// The end of a series of histograms, as upstream writes it: only the sum counts.
fn stale() -> Histogram {
    Histogram {
        schema: 0,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: 0.0,
        sum: stale_nan(),
        positive_spans: Vec::new(),
        positive_buckets: Vec::new(),
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        custom_bounds: Vec::new(),
        counter_reset_hint: CounterResetHint::Unknown,
        integer: true,
    }
}

/// The batch of a write; references by series number.
pub fn batch(write: &Write, references: &BTreeMap<(u8, u16), SeriesRef>) -> Batch {
    let principal = Principal {
        id: write.tenant.into(),
        tenant: tenant(write.tenant),
        ..Principal::anonymous("simulation")
    };
    let mut builder = BatchBuilder::new(Arc::new(principal));
    let mut before = None;
    for point in &write.points {
        if before != Some(point.series) {
            let known = references.get(&(write.tenant, point.series)).filter(|_| write.references);
            builder.series(&labels(point.series), known.copied().unwrap_or(SeriesRef::NONE));
            before = Some(point.series);
        }
        let timestamp = Timestamp(point.t);
        let start = Some(start(&labels(point.series), point.t)).filter(|start| *start != 0).map(Timestamp);
        match (point.value, start) {
            (Value::Float(bits), None) => _ = builder.sample(timestamp, f64::from_bits(bits)),
            (Value::Float(bits), Some(start)) => {
                builder.started_sample(timestamp, start, f64::from_bits(bits));
            }
            (Value::Histogram(number), start_timestamp) => {
                let histogram = Arc::new(histogram(number));
                builder.histogram(HistogramSample { timestamp, start_timestamp, histogram });
            }
        }
    }
    builder.build()
}

/// A sample as it was read.
#[derive(Debug, Clone)]
pub enum Seen {
    Float(u64),
    Histogram(Arc<Histogram>),
}

impl Seen {
    pub fn is(&self, value: Value) -> bool {
        match (self, value) {
            (Self::Float(bits), Value::Float(sent)) => *bits == sent,
            (Self::Histogram(read), Value::Histogram(number)) => same(read, &histogram(number)),
            _ => false,
        }
    }
}

/// Equal bit for bit: the stale marker is a NaN.
fn same(a: &Histogram, b: &Histogram) -> bool {
    let plain = |h: &Histogram| Histogram { sum: 0.0, ..h.clone() };
    a.sum.to_bits() == b.sum.to_bits() && plain(a) == plain(b)
}

/// Series in the order of the answer, with their samples by time.
pub type Answer = Vec<(Labels, Vec<(i64, Seen)>)>;

/// Reads a selection and checks its form: order, bounds, no time twice.
pub async fn read(tsdb: &Tsdb, selection: Selection) -> Result<(Answer, Vec<String>), SelectError> {
    let (range, last_only) = (selection.range, selection.need == Need::LastSample);
    let selected = tsdb.open(selection).await?;
    let pages = selected.fetch(0..selected.len()).await?;
    let mut columns = Columns::default();
    let mut answer: Answer = Vec::new();
    for index in 0..selected.len() {
        pages.decode(index, &mut columns)?;
        let labels = selected.labels(index);
        assert!(answer.last().is_none_or(|(last, _)| *last < labels), "series out of order: {labels}");
        assert_eq!(columns.timestamps.len(), columns.values.len());
        assert!(!last_only || columns.len() <= 1, "more than the last sample of {labels}");
        assert!(columns.timestamps.iter().all(|t| range.contains(*t)), "outside the range: {labels}");
        assert!(columns.timestamps.is_sorted_by(|a, b| a < b), "times not ascending: {labels}");
        for (i, t) in columns.timestamps.iter().enumerate() {
            let found = columns.start_timestamps.get(i).map_or(0, |start| start.0);
            assert_eq!(found, start(&labels, t.0), "since when a sample of {labels} at {t:?} counts");
        }
        let mut histograms = columns.histograms.iter().peekable();
        let mut sample = |i: usize| match histograms.next_if(|(at, _)| *at as usize == i) {
            Some((_, histogram)) => Seen::Histogram(histogram.clone()),
            None => Seen::Float(columns.values[i].to_bits()),
        };
        let samples = (0..columns.len()).map(|i| (columns.timestamps[i].0, sample(i))).collect();
        answer.push((labels, samples));
    }
    Ok((answer, selected.warnings()))
}
