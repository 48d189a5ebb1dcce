//! Functions of one window of samples, by name.
//!
//! What upstream remarks on (mixed samples, quantiles outside of 0..1) is noted here too. A window
//! without samples never gets here.

use nave_model::sample::Value;

use super::Result;
use super::note::{Notes, quoted};
use super::quantile::warn_one;
use crate::ast::Position;
use crate::error::QueryError;
use crate::function::FunctionId;
use crate::kernel::rate::Extrapolation;
use crate::kernel::window::Window;
use crate::kernel::{over_time, quantile, rate, regression};

/// Whether there is a kernel for `function`.
pub(crate) fn range_kernel(function: FunctionId) -> bool {
    use FunctionId as F;
    matches!(
        function,
        F::Rate
            | F::Increase
            | F::Delta
            | F::Irate
            | F::Idelta
            | F::Changes
            | F::Resets
            | F::Deriv
            | F::PredictLinear
            | F::DoubleExponentialSmoothing
            | F::SumOverTime
            | F::AvgOverTime
            | F::MinOverTime
            | F::MaxOverTime
            | F::CountOverTime
            | F::StddevOverTime
            | F::StdvarOverTime
            | F::QuantileOverTime
            | F::MadOverTime
            | F::PresentOverTime
            | F::FirstOverTime
            | F::LastOverTime
            | F::TsOfFirstOverTime
            | F::TsOfLastOverTime
            | F::TsOfMaxOverTime
            | F::TsOfMinOverTime
    )
}

/// A call at one step.
pub(super) struct Step<'a> {
    pub(super) function: FunctionId,
    /// As written.
    pub(super) name: &'static str,
    /// The scalar arguments at this step.
    pub(super) params: &'a [f64],
    /// Metric name of the series, or empty.
    pub(super) metric: &'a str,
    /// Where the range vector stands.
    pub(super) pos: Position,
    /// Where the first scalar argument stands.
    pub(super) param_pos: Position,
    pub(super) buffer: &'a mut Vec<f64>,
    pub(super) notes: &'a mut Notes,
}

/// The value for one window; `None` when there is none.
pub(super) fn apply(mut step: Step<'_>, window: &Window<'_>) -> Result<Option<Value>> {
    use FunctionId as F;
    match step.function {
        F::LastOverTime => return Ok(Some(edge(window, true).1)),
        F::FirstOverTime => return Ok(Some(edge(window, false).1)),
        F::TsOfLastOverTime => return float(edge(window, true).0 as f64 / 1000.0),
        F::TsOfFirstOverTime => return float(edge(window, false).0 as f64 / 1000.0),
        F::CountOverTime => return float(window.len() as f64),
        F::PresentOverTime => return float(1.0),
        _ => {}
    }
    if !window.histograms.is_empty()
        && let Some(result) = super::range_histogram(&mut step, window)?
    {
        return Ok(result.0);
    }
    if window.values.is_empty() { Ok(None) } else { Ok(floats(&mut step, window)?.map(Value::Float)) }
}

fn float(value: f64) -> Result<Option<Value>> {
    Ok(Some(Value::Float(value)))
}

/// Time and value of the first or last sample of either kind.
fn edge(window: &Window<'_>, last: bool) -> (i64, Value) {
    let float =
        if last { window.values.len().checked_sub(1) } else { (!window.values.is_empty()).then_some(0) };
    let histogram = if last { window.histograms.last() } else { window.histograms.first() };
    let float = float.map(|index| (window.times[index].0, Value::Float(window.values[index])));
    let histogram = histogram.map(|(time, histogram)| (time.0, Value::Histogram(histogram.clone())));
    match (float, histogram) {
        (Some(float), Some(histogram)) if (float.0 < histogram.0) != last => float,
        (Some(_), Some(histogram)) | (None, Some(histogram)) => histogram,
        (Some(float), None) => float,
        (None, None) => (window.end, Value::Float(f64::NAN)),
    }
}

fn floats(step: &mut Step<'_>, window: &Window<'_>) -> Result<Option<f64>> {
    use FunctionId as F;
    let values = window.values;
    let seconds = |index: usize| window.times[index].seconds();
    Ok(match step.function {
        F::Rate => rate::extrapolated(window, Extrapolation { counter: true, per_second: true }),
        F::Increase => rate::extrapolated(window, Extrapolation { counter: true, per_second: false }),
        F::Delta => rate::extrapolated(window, Extrapolation { counter: false, per_second: false }),
        F::Irate => rate::instant(window, true),
        F::Idelta => rate::instant(window, false),
        F::Changes => Some(rate::changes(values)),
        F::Resets => Some(rate::window_resets(window)),
        F::Deriv if values.len() < 2 => None,
        F::Deriv => Some(regression::linear_regression(window.times, values, window.times[0].0).0),
        F::PredictLinear if values.len() < 2 => None,
        F::PredictLinear => {
            let (slope, now) = regression::linear_regression(window.times, values, window.step);
            Some(slope * step.params[0] + now)
        }
        F::DoubleExponentialSmoothing => {
            let (factor, trend) = (step.params[0], step.params[1]);
            check_factor("smoothing", "sf", factor)?;
            check_factor("trend", "tf", trend)?;
            regression::double_exponential(values, factor, trend)
        }
        F::SumOverTime => Some(over_time::sum(values)),
        F::AvgOverTime => Some(over_time::mean(values)),
        F::MinOverTime => Some(over_time::min(values, false).1),
        F::MaxOverTime => Some(over_time::max(values, false).1),
        F::TsOfMinOverTime => Some(seconds(over_time::min(values, true).0)),
        F::TsOfMaxOverTime => Some(seconds(over_time::max(values, true).0)),
        F::StdvarOverTime => Some(over_time::variance(values)),
        F::StddevOverTime => Some(over_time::variance(values).sqrt()),
        F::QuantileOverTime => {
            warn_one(step.param_pos, step.params[0], step.notes);
            step.buffer.clear();
            step.buffer.extend_from_slice(values);
            Some(quantile::quantile(step.params[0], step.buffer))
        }
        F::MadOverTime => {
            step.buffer.clear();
            step.buffer.extend_from_slice(values);
            Some(quantile::median_absolute_deviation(step.buffer))
        }
        _ => return Err(QueryError::not_built(&format!("function {}()", step.name))),
    })
}

fn check_factor(what: &str, short: &str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(QueryError::execution(format!("invalid {what} factor. Expected: 0 < {short} < 1, got: {value:.6}")))
}

/// The warning for a window with both kinds.
pub(super) fn warn_mixed(step: &mut Step<'_>) {
    warn_mixed_samples(step.notes, step.pos, step.metric);
}

/// The warning for samples of both kinds.
pub(super) fn warn_mixed_samples(notes: &mut Notes, pos: Position, metric: &str) {
    notes.warn(pos, format!("encountered a mix of histograms and floats for metric name {}", quoted(metric)));
}

/// The info for a function of floats that saw histograms too.
pub(super) fn info_ignored(step: &mut Step<'_>) {
    let text = format!(
        "ignored histograms in a range containing both floats and histograms for metric name {}",
        quoted(step.metric)
    );
    step.notes.info(step.pos, text);
}
