//! Results against what a script expects.

use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram};
use nave_model::label::Labels;
use nave_model::sample::{self, is_stale};
use nave_model::select::Columns;

use super::expect::{Expectation, ExpectedSeries, Pattern};
use super::histogram::{Buckets, by_index};
use super::script::When;
use super::series::SeriesValue;
use crate::answer::{Series, Value, VectorSample};

/// Whether `value` is what `expect` wants; the message says how it differs.
pub(super) fn value(value: &Value, expect: &Expectation, at: When) -> Result<(), String> {
    if let (Some(want), Value::Vector(_) | Value::Matrix(_)) = (expect.scalar, value) {
        return Err(format!("expected scalar {want}, got series"));
    }
    if let (Some(_), Value::Scalar { .. } | Value::Vector(_) | Value::Matrix(_)) = (&expect.string, value) {
        return Err("expected a string, got something else".to_owned());
    }
    match value {
        Value::Scalar { value, .. } => scalar(*value, expect),
        Value::String { value, .. } => match &expect.string {
            Some(want) if String::from_utf8_lossy(want) == *value => Ok(()),
            Some(want) => Err(format!("expected string {:?}, got {value:?}", String::from_utf8_lossy(want))),
            None => Err(format!("got string {value:?}, expected none")),
        },
        Value::Vector(samples) if expect.ordered => ordered(samples, expect),
        Value::Vector(samples) => vector(samples, expect),
        Value::Matrix(series) => matrix(series, expect, expect.range_vector.unwrap_or(at)),
    }
}

fn scalar(got: f64, expect: &Expectation) -> Result<(), String> {
    match expect.scalar {
        Some(want) if almost_equal(want, got) => Ok(()),
        Some(want) => Err(format!("expected scalar {want}, got {got}")),
        None => Err(format!("got scalar {got}, expected none")),
    }
}

fn vector(samples: &[VectorSample], expect: &Expectation) -> Result<(), String> {
    for (index, sample) in samples.iter().enumerate() {
        let Some(want) = expect.series.iter().find(|series| series.labels == sample.labels) else {
            return Err(format!(
                "unexpected metric {} in result, has value {}",
                sample.labels,
                shown(&sample.value)
            ));
        };
        if samples[..index].iter().any(|other| other.labels == sample.labels) {
            return Err(format!("metric {} stands twice in the result", sample.labels));
        }
        single(want, &sample.value)?;
    }
    let missing = |series: &&ExpectedSeries| !samples.iter().any(|sample| sample.labels == series.labels);
    match expect.series.iter().find(missing) {
        Some(series) => Err(format!("expected metric {} not found", series.labels)),
        None => Ok(()),
    }
}

fn ordered(samples: &[VectorSample], expect: &Expectation) -> Result<(), String> {
    for (index, sample) in samples.iter().enumerate() {
        match expect.series.get(index) {
            Some(want) if want.labels == sample.labels => single(want, &sample.value)?,
            Some(want) => {
                return Err(format!(
                    "expected metric {} at position {}, got {}",
                    want.labels,
                    index + 1,
                    sample.labels
                ));
            }
            None => return Err(format!("unexpected metric {} at position {}", sample.labels, index + 1)),
        }
    }
    match expect.series.get(samples.len()) {
        Some(want) => {
            Err(format!("expected metric {} at position {} not found", want.labels, samples.len() + 1))
        }
        None => Ok(()),
    }
}

fn single(want: &ExpectedSeries, got: &sample::Value) -> Result<(), String> {
    match want.values.first().and_then(Option::as_ref) {
        Some(value) => same(value, got).map_err(|how| format!("{how} for {}", want.labels)),
        None => Err(format!("no value is expected for {}, got {}", want.labels, shown(got))),
    }
}

fn matrix(got: &[Series], expect: &Expectation, at: When) -> Result<(), String> {
    let When::Range { start, step, .. } = at else {
        return Err("expected an instant result, got a range vector".to_owned());
    };
    sorted(got)?;
    for series in got {
        let Some(want) = expect.series.iter().find(|known| known.labels == series.labels) else {
            return Err(format!(
                "unexpected metric {} in result, has {} samples",
                series.labels,
                series.columns.len()
            ));
        };
        points(want, &series.columns, start, step).map_err(|how| format!("{how} for {}", want.labels))?;
    }
    let missing = |known: &&ExpectedSeries| {
        known.values.iter().any(Option::is_some) && !got.iter().any(|series| series.labels == known.labels)
    };
    match expect.series.iter().find(missing) {
        Some(series) => Err(format!("expected metric {} not found", series.labels)),
        None => Ok(()),
    }
}

/// Whether series stand in order of labels, each once.
pub(super) fn sorted(series: &[Series]) -> Result<(), String> {
    match series.windows(2).find(|pair| pair[0].labels >= pair[1].labels) {
        Some(pair) => {
            Err(format!("result is not sorted by labels: {} before {}", pair[0].labels, pair[1].labels))
        }
        None => Ok(()),
    }
}

fn points(want: &ExpectedSeries, got: &Columns, start: i64, step: i64) -> Result<(), String> {
    let at = |index: usize| start + step * i64::try_from(index).unwrap_or(i64::MAX);
    let want: Vec<(i64, &SeriesValue)> = want
        .values
        .iter()
        .enumerate()
        .filter_map(|(index, value)| Some((at(index), value.as_ref()?)))
        .collect();
    let got: Vec<(i64, sample::Value)> =
        (0..got.len()).map(|index| (got.timestamps[index].0, value_at(got, index))).collect();
    for ((want_at, want), (got_at, got)) in want.iter().zip(&got) {
        if want_at != got_at {
            return Err(format!("expected a sample at {want_at}, got one at {got_at} ({})", shown(got)));
        }
        same(want, got).map_err(|how| format!("{how} at {got_at}"))?;
    }
    if want.len() == got.len() {
        return Ok(());
    }
    let times: Vec<i64> = got.iter().map(|(time, _)| *time).collect();
    Err(format!("expected {} samples, got {} at {times:?}", want.len(), got.len()))
}

pub(super) fn value_at(columns: &Columns, index: usize) -> sample::Value {
    let found = columns.histograms.binary_search_by_key(&index, |(at, _)| *at as usize);
    match found {
        Ok(at) => sample::Value::Histogram(std::sync::Arc::clone(&columns.histograms[at].1)),
        Err(_) => sample::Value::Float(columns.values[index]),
    }
}

fn shown(value: &sample::Value) -> String {
    match value {
        sample::Value::Float(value) => value.to_string(),
        sample::Value::Histogram(histogram) => format!("{histogram:?}"),
    }
}

fn same(want: &SeriesValue, got: &sample::Value) -> Result<(), String> {
    let equal = match (&want.value, got) {
        (sample::Value::Float(want), sample::Value::Float(got)) => almost_equal(*want, *got),
        (sample::Value::Histogram(want_histogram), sample::Value::Histogram(got)) => {
            same_histogram(want_histogram, got)
                && (!want.hint_named || want_histogram.counter_reset_hint == got.counter_reset_hint)
        }
        _ => false,
    };
    if equal { Ok(()) } else { Err(format!("expected {}, got {}", shown(&want.value), shown(got))) }
}

/// Equal, or different by no more than a millionth.
pub(super) fn almost_equal(a: f64, b: f64) -> bool {
    const EPSILON: f64 = 1e-6;
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let size = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || size < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / size.min(f64::MAX) < EPSILON
}

fn same_histogram(a: &Histogram, b: &Histogram) -> bool {
    let bits = |bounds: &[f64]| bounds.iter().map(|bound| bound.to_bits()).collect::<Vec<_>>();
    a.schema == b.schema
        && almost_equal(a.count, b.count)
        && almost_equal(a.sum, b.sum)
        && almost_equal(a.zero_count, b.zero_count)
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && (a.schema != CUSTOM_BUCKETS_SCHEMA || bits(&a.custom_bounds) == bits(&b.custom_bounds))
        && same_buckets(
            by_index(&a.positive_spans, &a.positive_buckets),
            by_index(&b.positive_spans, &b.positive_buckets),
        )
        && same_buckets(
            by_index(&a.negative_spans, &a.negative_buckets),
            by_index(&b.negative_spans, &b.negative_buckets),
        )
}

/// Equal where not empty.
fn same_buckets(mut a: Buckets, mut b: Buckets) -> bool {
    a.retain(|_, count| *count != 0.0);
    b.retain(|_, count| *count != 0.0);
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && almost_equal(*a.1, *b.1))
}

/// Whether annotations are as wanted.
pub(super) fn annotations(kind: &str, got: &[String], want: &[Pattern], none: bool) -> Result<(), String> {
    if none && !got.is_empty() {
        return Err(format!("unexpected {kind} annotations: {got:?}"));
    }
    if want.is_empty() {
        return Ok(());
    }
    if got.is_empty() {
        return Err(format!("expected {kind} annotations but none were found"));
    }
    if let Some(pattern) = want.iter().find(|pattern| !got.iter().any(|text| pattern.matches(text))) {
        return Err(format!("expected {kind} annotation {pattern} not found in {got:?}"));
    }
    match got.iter().find(|text| !want.iter().any(|pattern| pattern.matches(text))) {
        Some(text) => Err(format!("unexpected {kind} annotation {text:?}")),
        None => Ok(()),
    }
}

/// The samples of a range result at `time`, as an instant vector.
pub(super) fn slice(series: &[Series], time: i64) -> Vec<VectorSample> {
    let at = |series: &Series| -> Option<VectorSample> {
        let index = series.columns.timestamps.iter().position(|known| known.0 == time)?;
        let labels: Labels = series.labels.clone();
        Some(VectorSample {
            labels,
            timestamp: series.columns.timestamps[index],
            value: value_at(&series.columns, index),
        })
    };
    series.iter().filter_map(at).collect()
}
