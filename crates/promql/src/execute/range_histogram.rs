//! Functions of windows with native histograms.
//!
//! `Some` is the final answer for the window; `None` means that the floats decide alone.

use nave_model::sample::Value;

use super::Result;
use super::range_function::{Step, info_ignored, warn_mixed};
use crate::error::QueryError;
use crate::function::FunctionId;
use crate::kernel::window::Window;

/// What a window with histograms gives.
pub(super) struct Decided(pub(super) Option<Value>);

pub(super) fn range_histogram(step: &mut Step<'_>, window: &Window<'_>) -> Result<Option<Decided>> {
    use FunctionId as F;
    match step.function {
        F::Rate | F::Increase | F::Delta | F::SumOverTime | F::AvgOverTime if window.is_mixed() => {
            warn_mixed(step);
            Ok(Some(Decided(None)))
        }
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
        F::Rate | F::Increase | F::Delta if window.histograms.len() < 2 => Ok(Some(Decided(None))),
        F::Irate | F::Idelta if window.len() < 2 => Ok(Some(Decided(None))),
        _ => Err(QueryError::not_built(&format!("native histograms in {}()", step.name))),
    }
}
