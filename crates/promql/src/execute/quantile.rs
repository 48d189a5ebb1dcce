//! `quantile(q, v)`: keeps every value of a group and step until all came.

use nave_base::budget::Charge;

use super::grouping::{Groups, group};
use super::note::Notes;
use super::{BoxOperator, Column, Context, Operator, Result, Series};
use crate::ast::Position;
use crate::error::QueryError;
use crate::kernel::quantile::quantile;
use crate::plan::{Aggregate, Steps};

/// The operator; `q` per step.
pub(super) fn operator(
    input: BoxOperator,
    aggregate: &Aggregate,
    q: Vec<f64>,
    steps: Steps,
    context: &Context,
) -> Result<BoxOperator> {
    let Some(param) = &aggregate.param else {
        return Err(QueryError::Internal("quantile without its parameter".into()));
    };
    warn_extremes(param.pos, &q, context);
    Ok(Box::new(Quantile {
        input,
        aggregate: aggregate.clone(),
        q,
        steps: steps.len(),
        context: context.clone(),
        groups: Groups::default(),
        values: Vec::new(),
        at: 0,
        charge: None,
    }))
}

/// Notes every step's `q` that is not between 0 and 1.
pub(super) fn warn_outside(pos: Position, q: &[f64], context: &Context) {
    context.note(|notes| q.iter().for_each(|q| warn_one(pos, *q, notes)));
}

/// Notes `q` when it is not between 0 and 1.
pub(super) fn warn_one(pos: Position, q: f64, notes: &mut Notes) {
    if !(0.0..=1.0).contains(&q) {
        let text = format!("quantile value should be between 0 and 1, got {}", super::note::number(q));
        notes.warn(pos, text);
    }
}

/// The aggregation notes NaN, the greatest and the smallest only.
fn warn_extremes(pos: Position, q: &[f64], context: &Context) {
    let nan = q.iter().copied().find(|q| q.is_nan());
    let greatest = q.iter().copied().fold(1.0, f64::max);
    let smallest = q.iter().copied().fold(0.0, f64::min);
    let extremes = nan.into_iter().chain([greatest, smallest]);
    context.note(|notes| extremes.for_each(|q| warn_one(pos, q, notes)));
}

struct Quantile {
    input: BoxOperator,
    aggregate: Aggregate,
    q: Vec<f64>,
    steps: usize,
    context: Context,
    groups: Groups,
    /// By group, then step.
    values: Vec<Vec<Vec<f64>>>,
    at: usize,
    charge: Option<Charge>,
}

impl Quantile {
    fn consume(&mut self) -> Result<()> {
        self.values = vec![vec![Vec::new(); self.steps]; self.groups.series.len()];
        let mut charge = self.context.charge(self.values.len() * self.steps * size_of::<Vec<f64>>())?;
        let mut column = Column::default();
        for index in 0..self.groups.of.len() {
            self.context.check()?;
            self.input.next(&mut column)?;
            if column.has_histograms() {
                let pos = self.aggregate.input.pos;
                self.context.note(|notes| notes.info(pos, "ignored histogram in quantile aggregation"));
            }
            charge.grow(column.bytes())?;
            for (step, value) in column.floats() {
                self.values[self.groups.of[index]][step].push(value);
            }
        }
        self.charge = Some(charge);
        Ok(())
    }
}

impl Operator for Quantile {
    fn series(&mut self) -> Result<Vec<Series>> {
        self.groups = group(&self.input.series()?, &self.aggregate);
        Ok(self.groups.series.clone())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        if self.at == 0 {
            self.consume()?;
        }
        column.reset(self.steps);
        for (step, values) in self.values[self.at].iter_mut().enumerate() {
            if !values.is_empty() {
                column.set(step, quantile(self.q[step], values));
            }
        }
        self.values[self.at] = Vec::new();
        self.at += 1;
        Ok(())
    }
}
