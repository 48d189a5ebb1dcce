//! Functions of windows with native histograms.
//!
//! `Some` is the final answer for the window; `None` means that the floats decide alone.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::sample::Value;

use super::Result;
use super::note::{for_metric, quoted};
use super::range_function::{Step, info_ignored, warn_mixed};
use crate::error::QueryError;
use crate::function::FunctionId;
use crate::kernel::histogram::{self, Remark, difference, last_difference};
use crate::kernel::rate::{Extent, extrapolation_factor};
use crate::kernel::window::Window;

/// What a window with histograms gives.
pub(super) struct Decided(pub(super) Option<Value>);

pub(super) fn range_histogram(step: &mut Step<'_>, window: &Window<'_>) -> Result<Option<Decided>> {
    use FunctionId as F;
    let decided = |value: Option<Value>| Ok(Some(Decided(value)));
    let float = |value: f64| Ok(Some(Decided(Some(Value::Float(value)))));
    match step.function {
        F::Changes => float(transitions(
            window,
            |a, b| !histogram::same(a, b),
            |a, b| a != b && !(a.is_nan() && b.is_nan()),
        )),
        F::Resets => float(transitions(window, |a, b| histogram::is_reset(b, a), |a, b| b < a)),
        F::Irate | F::Idelta => decided(instant(step, window)),
        F::Rate | F::Increase | F::Delta | F::SumOverTime | F::AvgOverTime if window.is_mixed() => {
            warn_mixed(step);
            decided(None)
        }
        F::Rate | F::Increase | F::Delta => decided(extrapolated(step, window)),
        F::SumOverTime | F::AvgOverTime => decided(sum(step, window)),
        F::Deriv
        | F::PredictLinear
        | F::DoubleExponentialSmoothing
        | F::MinOverTime
        | F::MaxOverTime
        | F::TsOfMinOverTime
        | F::TsOfMaxOverTime
        | F::StddevOverTime
        | F::StdvarOverTime
        | F::QuantileOverTime
        | F::MadOverTime => {
            if window.is_mixed() {
                info_ignored(step);
            }
            Ok(None)
        }
        _ => Err(QueryError::not_built(&format!("native histograms in {}()", step.name))),
    }
}

fn note(step: &mut Step<'_>, remark: Remark) {
    let metric = quoted(step.metric);
    match remark {
        Remark::NotCounter => {
            step.notes.warn(step.pos, format!("this native histogram metric is not a counter: {metric}"));
        }
        Remark::NotGauge => {
            step.notes.warn(step.pos, format!("this native histogram metric is not a gauge: {metric}"));
        }
        Remark::MixedSchemas => step.notes.warn(step.pos, mixed_schemas(step.metric)),
        Remark::Reconciled { subtraction } => {
            let what = if subtraction { "subtraction" } else { "addition" };
            step.notes.info(step.pos, reconciled(what));
        }
    }
}

/// The info for custom bounds that differed.
pub(super) fn reconciled(operation: &str) -> String {
    format!("mismatched custom buckets were reconciled during {operation}")
}

/// The warning for layouts that cannot be combined.
pub(super) fn mixed_schemas(metric: &str) -> String {
    let suffix = for_metric(metric);
    let suffix = if suffix.is_empty() { " for metric name \"\"".to_owned() } else { suffix };
    format!("vector contains a mix of histograms with exponential and custom buckets schemas{suffix}")
}

/// The warning for hints that contradict each other.
pub(super) fn colliding(operation: &str) -> String {
    format!("conflicting counter resets during histogram {operation}")
}

fn extrapolated(step: &mut Step<'_>, window: &Window<'_>) -> Option<Value> {
    let counter = step.function != FunctionId::Delta;
    let histograms: Vec<&Histogram> = window.histograms.iter().map(|(_, histogram)| &**histogram).collect();
    let result = difference(&histograms, counter, &mut |remark| note(step, remark))?;
    let extent = Extent {
        first: window.histograms[0].0.0,
        last: window.histograms[window.histograms.len() - 1].0.0,
        count: window.histograms.len(),
    };
    let first = histograms[0].count;
    let at_zero = (counter && result.count > 0.0 && first >= 0.0).then(|| first / result.count);
    let factor = extrapolation_factor(window, extent, at_zero, step.function == FunctionId::Rate);
    Some(Value::Histogram(Arc::new(histogram::scaled(&result, |count| count * factor))))
}

/// A sample of either kind at a time.
type Timed<'a> = (i64, Result<f64, &'a Histogram>);

fn samples<'a>(window: &Window<'a>) -> Vec<Timed<'a>> {
    let floats = window.times.iter().zip(window.values).map(|(time, value)| (time.0, Ok(*value)));
    let histograms = window.histograms.iter().map(|(time, histogram)| (time.0, Err(&**histogram)));
    let mut all: Vec<Timed<'a>> = floats.chain(histograms).collect();
    all.sort_by_key(|(time, _)| *time);
    all
}

fn transitions(
    window: &Window<'_>,
    histograms: impl Fn(&Histogram, &Histogram) -> bool,
    floats: impl Fn(f64, f64) -> bool,
) -> f64 {
    let counts = |pair: &&[Timed<'_>]| match (pair[0].1, pair[1].1) {
        (Ok(a), Ok(b)) => floats(a, b),
        (Err(a), Err(b)) => histograms(a, b),
        _ => true,
    };
    samples(window).windows(2).filter(counts).count() as f64
}

fn instant(step: &mut Step<'_>, window: &Window<'_>) -> Option<Value> {
    let all = samples(window);
    let [.., (from, before), (to, last)] = all.as_slice() else { return None };
    let counter = step.function == FunctionId::Irate;
    let seconds = (to - from) as f64 / 1000.0;
    match (before, last) {
        (Ok(a), Ok(b)) => {
            let difference = if counter && b < a { *b } else { b - a };
            Some(Value::Float(if counter { difference / seconds } else { difference }))
        }
        (Err(a), Err(b)) => {
            let result = last_difference(a, b, counter, &mut |remark| note(step, remark))?;
            let result = if counter { histogram::scaled(&result, |count| count / seconds) } else { result };
            Some(Value::Histogram(Arc::new(result)))
        }
        _ => {
            warn_mixed(step);
            None
        }
    }
}

fn sum(step: &mut Step<'_>, window: &Window<'_>) -> Option<Value> {
    let mean = step.function == FunctionId::AvgOverTime;
    let mut sum = histogram::Total::default();
    for (_, histogram) in window.histograms {
        if sum.add(histogram, mean).is_err() {
            note(step, Remark::MixedSchemas);
            return None;
        }
    }
    if sum.hints_collide() {
        step.notes.warn(step.pos, colliding("aggregation"));
    }
    if sum.bounds_reconciled {
        step.notes.info(step.pos, reconciled("aggregation"));
    }
    Some(Value::Histogram(Arc::new(if mean { sum.mean()? } else { sum.total()? })))
}
