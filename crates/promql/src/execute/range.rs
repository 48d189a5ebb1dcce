//! A function over a range vector, per series and step.

use std::sync::Arc;

use nave_model::select::Columns;

use super::edge::Reach;
use super::ledger::weight;
use super::note::quoted;
use super::range_function::{Step, apply};
use super::scan::{self, Evaluate, Scratch};
use super::{BoxOperator, Column, Context, Result, Series, operator as operator_of, scalar, subquery};
use crate::ast::Position;
use crate::function::FunctionId;
use crate::kernel::window::Cursor;
use crate::plan::{RangeCall, RangeInput, Shift, Steps};

/// The operator of `call`.
pub(super) fn operator(call: &RangeCall, steps: Steps, context: &Context) -> Result<BoxOperator> {
    let params = call.params.iter().map(|param| scalar::values(operator_of(param, steps, context)?));
    let params = params.collect::<Result<Vec<_>>>()?;
    let (shift, range_ms, reach) = match &call.input {
        RangeInput::Source(source) => {
            let reach = source.edge.map(|edge| Reach { edge, lookback_ms: source.lookback_ms });
            (source.shift, source.window_ms, reach)
        }
        RangeInput::Subquery(subquery) => (subquery.shift, subquery.range_ms, None),
    };
    let windows = Windows {
        function: call.function,
        name: call.name,
        pos: call.input_pos,
        param_pos: call.param_pos,
        steps,
        shift,
        range_ms,
        reach,
        params,
        // With delayed removal dropping costs nothing, and whether it was asked for counts.
        keeps_name: call.name_unseen && !context.delays_names(),
    };
    Ok(match &call.input {
        RangeInput::Source(source) => scan::reader(source, steps, context, Arc::new(windows))?,
        RangeInput::Subquery(inner) => subquery::operator(inner, windows, context)?,
    })
}

/// A function applied to one window per step.
pub(super) struct Windows {
    function: FunctionId,
    name: &'static str,
    pos: Position,
    /// Where the first scalar argument stands.
    param_pos: Position,
    pub(super) steps: Steps,
    shift: Shift,
    range_ms: i64,
    /// `anchored` or `smoothed`.
    reach: Option<Reach>,
    /// Per scalar argument its values at all steps.
    params: Vec<Vec<f64>>,
    /// Nobody looks at the metric name.
    keeps_name: bool,
}

impl Windows {
    /// With `@` and nothing else that changes from step to step, one window serves all steps.
    fn is_constant(&self) -> bool {
        self.shift.at.is_some() && self.params.is_empty()
    }

    fn looks_at_starts(&self) -> bool {
        matches!(self.function, FunctionId::Rate | FunctionId::Increase | FunctionId::Irate)
    }

    fn note_not_counter(&self, series: &Series, column: &Column, scratch: &mut Scratch) {
        use FunctionId as F;
        let name = series.labels.metric_name();
        let counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
        let asks = matches!(self.function, F::Rate | F::Increase | F::Irate);
        if asks && !counter && !name.is_empty() && column.floats().next().is_some() {
            let text = format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quoted(name)
            );
            scratch.notes.info(self.pos, text);
        }
    }
}

impl Evaluate for Windows {
    fn evaluate(
        &self,
        series: &Series,
        samples: &mut Columns,
        scratch: &mut Scratch,
        column: &mut Column,
    ) -> Result<()> {
        scratch.points.take(samples);
        if matches!(self.function, FunctionId::Rate | FunctionId::Increase) {
            scratch.points.find_resets();
        }
        let mut cursor = Cursor::default();
        let mut params = vec![0.0; self.params.len()];
        for (index, time) in self.steps.iter().enumerate() {
            if index > 0 && self.is_constant() {
                if let Some(value) = column.value(0) {
                    column.set_value(index, value);
                }
                continue;
            }
            let end = self.shift.apply(time);
            let start = end.saturating_sub(self.range_ms);
            let (from, to) = self.reach.map_or((start, end), |reach| reach.widen(start, end));
            let window = cursor.window(&scratch.points, from, to, time);
            if window.len() == 0 {
                continue;
            }
            let histograms = window.histograms.iter().map(|(_, histogram)| weight(histogram));
            let weight = window.values.len() as u64 + histograms.sum::<u64>();
            scratch.looked_at.add(index, weight);
            if self.is_constant() {
                (1..self.steps.len()).for_each(|step| scratch.looked_at.add(step, weight));
            }
            scratch.window = scratch.window.max(window.len() as u64);
            for (param, values) in params.iter_mut().zip(&self.params) {
                *param = values[index];
            }
            if self.looks_at_starts() && window.has_overlap() {
                scratch.notes.overlap(self.pos, series.labels.metric_name());
            }
            let mut step = Step {
                function: self.function,
                name: self.name,
                params: &params,
                metric: series.labels.metric_name(),
                pos: self.pos,
                param_pos: self.param_pos,
                buffer: &mut scratch.buffer,
                notes: &mut scratch.notes,
            };
            let value = match self.reach {
                Some(reach) => reach.apply(&mut step, &window, (start, end)),
                None => apply(step, &window)?,
            };
            if let Some(value) = value {
                column.set_value(index, value);
            }
        }
        self.note_not_counter(series, column, scratch);
        Ok(())
    }

    fn drops_name(&self) -> bool {
        !self.keeps_name && !matches!(self.function, FunctionId::LastOverTime | FunctionId::FirstOverTime)
    }
}
