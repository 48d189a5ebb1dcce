//! Functions of windows with native histograms.
//!
//! `Some` is the final answer for the window; `None` means that the floats decide alone.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::sample::Value;
use nave_model::time::Timestamp;

use super::Result;
use super::note::{Notes, for_metric, quoted};
use super::range_function::{Step, info_ignored, warn_mixed};
use crate::ast::Position;
use crate::error::QueryError;
use crate::function::FunctionId;
use crate::kernel::histogram::{self, Remark, difference, last_difference};
use crate::kernel::rate::{Extent, Zero, extrapolation_factor};
use crate::kernel::start::Since;
use crate::kernel::window::Window;

/// What a window with histograms gives.
pub(super) struct Decided(pub(super) Option<Value>);

pub(super) fn range_histogram(step: &mut Step<'_>, window: &Window<'_>) -> Result<Option<Decided>> {
    use FunctionId as F;
    let decided = |value: Option<Value>| Ok(Some(Decided(value)));
    let float = |value: f64| Ok(Some(Decided(Some(Value::Float(value)))));
    match step.function {
        F::Changes => float(changes(&samples(window))),
        F::Resets => float(resets(&samples(window))),
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

pub(super) fn note(step: &mut Step<'_>, remark: Remark) {
    note_at(step.notes, step.pos, step.metric, remark);
}

/// Notes `remark` on the samples of `metric` at `pos`.
pub(super) fn note_at(notes: &mut Notes, pos: Position, metric: &str, remark: Remark) {
    let name = quoted(metric);
    match remark {
        Remark::NotCounter => {
            notes.warn(pos, format!("this native histogram metric is not a counter: {name}"));
        }
        Remark::NotGauge => {
            notes.warn(pos, format!("this native histogram metric is not a gauge: {name}"));
        }
        Remark::MixedSchemas => notes.warn(pos, mixed_schemas(metric)),
        Remark::Reconciled { subtraction } => {
            let what = if subtraction { "subtraction" } else { "addition" };
            notes.info(pos, reconciled(what));
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
    let known = window.histogram_starts.first().filter(|_| counter);
    let known = known.and_then(|first| first.zero_after(window.start));
    if histograms.len() < 2 && known.is_none() {
        return None;
    }
    let restarted = |at: usize| window.histogram_restarted(at);
    let by_start = (&restarted as &dyn Fn(usize) -> bool, known.is_some());
    let result = difference(&histograms, counter, by_start, &mut |remark| note(step, remark))?;
    let extent = Extent {
        first: window.histograms[0].0.0,
        last: window.histograms[window.histograms.len() - 1].0.0,
        count: window.histograms.len(),
    };
    let first = histograms[0].count;
    let zero = match known {
        Some(time) => Zero::At(time),
        None if counter && result.count > 0.0 && first >= 0.0 => Zero::Estimated(first / result.count),
        None => Zero::Unknown,
    };
    let factor = extrapolation_factor(window, extent, zero, step.function == FunctionId::Rate);
    Some(Value::Histogram(Arc::new(histogram::scaled(&result, |count| count * factor))))
}

/// A sample of either kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timed<'a> {
    pub(super) since: Since,
    pub(super) value: Result<f64, &'a Histogram>,
}

/// All samples of a window in order of time.
pub(super) fn samples<'a>(window: &Window<'a>) -> Vec<Timed<'a>> {
    let unknown = |time| Since { time, start: Timestamp(0) };
    let floats = window.times.iter().zip(window.values).enumerate().map(|(at, (time, value))| Timed {
        since: window.starts.get(at).map_or(unknown(*time), |start| Since { time: *time, start: *start }),
        value: Ok(*value),
    });
    let histograms = window.histograms.iter().enumerate().map(|(at, (time, histogram))| Timed {
        since: window.histogram_starts.get(at).copied().unwrap_or(unknown(*time)),
        value: Err(&**histogram),
    });
    let mut all: Vec<Timed<'a>> = floats.chain(histograms).collect();
    all.sort_by_key(|sample| sample.since.time);
    all
}

/// How often the value changed; another kind is a change.
pub(super) fn changes(samples: &[Timed<'_>]) -> f64 {
    let changed = |pair: &&[Timed<'_>]| match (pair[0].value, pair[1].value) {
        (Ok(a), Ok(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Err(a), Err(b)) => !histogram::same(a, b),
        _ => true,
    };
    samples.windows(2).filter(changed).count() as f64
}

/// How often the counter began again; another kind is a reset.
pub(super) fn resets(samples: &[Timed<'_>]) -> f64 {
    let reset = |pair: &&[Timed<'_>]| match (pair[0].value, pair[1].value) {
        _ if pair[1].since.restarted_after(pair[0].since) => true,
        (Ok(a), Ok(b)) => b < a,
        (Err(a), Err(b)) => histogram::is_reset(b, a),
        _ => true,
    };
    samples.windows(2).filter(reset).count() as f64
}

fn instant(step: &mut Step<'_>, window: &Window<'_>) -> Option<Value> {
    let all = samples(window);
    let [.., before, last] = all.as_slice() else { return None };
    let counter = step.function == FunctionId::Irate;
    let seconds = (last.since.time.0 - before.since.time.0) as f64 / 1000.0;
    let restarted = last.since.restarted_after(before.since);
    match (before.value, last.value) {
        (Ok(a), Ok(b)) => {
            let difference = if counter && (b < a || restarted) { b } else { b - a };
            Some(Value::Float(if counter { difference / seconds } else { difference }))
        }
        (Err(a), Err(b)) => {
            let result = last_difference(a, b, (counter, restarted), &mut |remark| note(step, remark))?;
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
