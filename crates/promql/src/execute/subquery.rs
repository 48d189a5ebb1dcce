//! A function over an expression that is evaluated at steps of its own.

use std::sync::Arc;

use nave_model::histogram::{CounterResetHint, Histogram};
use nave_model::select::Columns;
use nave_model::time::Timestamp;

use super::range::Windows;
use super::scan::{Evaluate, Scratch};
use super::{BoxOperator, Column, Context, Operator, Result, Series, operator as operator_of};
use crate::plan::{Steps, Subquery};

/// `windows` over the values of `subquery`.
pub(super) fn operator(subquery: &Subquery, windows: Windows, context: &Context) -> Result<BoxOperator> {
    let charge = context.charge(super::column::bytes(subquery.steps.len()))?;
    Ok(Box::new(OverSubquery {
        _charge: charge,
        input: operator_of(&subquery.input, subquery.steps, &context.below_subquery())?,
        steps: subquery.steps,
        windows,
        context: context.clone(),
        series: Vec::new(),
        at: 0,
        inner: Column::default(),
        samples: Columns::default(),
        scratch: Scratch::default(),
    }))
}

struct OverSubquery {
    /// For `inner`: so that absurd resolutions fail before they are computed.
    _charge: nave_base::budget::Charge,
    input: BoxOperator,
    steps: Steps,
    windows: Windows,
    context: Context,
    series: Vec<Series>,
    at: usize,
    inner: Column,
    samples: Columns,
    scratch: Scratch,
}

impl Operator for OverSubquery {
    fn series(&mut self) -> Result<Vec<Series>> {
        self.series = self.input.series()?;
        let series = self.series.iter().cloned();
        Ok(if self.windows.drops_name() {
            series.map(|series| self.context.without_name(series)).collect()
        } else {
            series.collect()
        })
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.context.check()?;
        self.input.next(&mut self.inner)?;
        samples(&self.inner, self.steps, &mut self.samples);
        column.reset(self.windows.steps.len());
        (self.scratch.looked_at, self.scratch.window) = (self.context.looked_at(), 0);
        self.windows.evaluate(&self.series[self.at], &mut self.samples, &mut self.scratch, column)?;
        self.at += 1;
        let notes = std::mem::take(&mut self.scratch.notes);
        self.context.note(|all| all.append(notes));
        self.context.count_samples(&self.scratch.looked_at);
        self.context.hold_samples(column.count() as u64, self.scratch.window)
    }
}

/// Hints speak of the sample before in the store, which a subquery may have skipped.
fn without_hint(histogram: &Arc<Histogram>) -> Arc<Histogram> {
    match histogram.counter_reset_hint {
        CounterResetHint::Reset | CounterResetHint::NotReset => {
            let hint = CounterResetHint::Unknown;
            Arc::new(Histogram { counter_reset_hint: hint, ..(**histogram).clone() })
        }
        CounterResetHint::Unknown | CounterResetHint::Gauge => histogram.clone(),
    }
}

/// The values of `column` as samples at the times of `steps`.
pub(super) fn samples(column: &Column, steps: Steps, samples: &mut Columns) {
    samples.clear();
    if !column.has_histograms() {
        for (step, value) in column.floats() {
            samples.push(Timestamp(steps.at(step)), value);
        }
        return;
    }
    for step in 0..column.steps() {
        let time = Timestamp(steps.at(step));
        if let Some(value) = column.float(step) {
            samples.push(time, value);
        } else if let Some(histogram) = column.histogram(step) {
            samples.push_histogram(time, without_hint(histogram));
        }
    }
}
