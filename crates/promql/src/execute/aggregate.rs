//! Aggregations that keep a few numbers per group and step: sum, avg, count, min, max, group, stddev,
//! stdvar. One input series is held at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use nave_base::budget::Charge;

use super::grouping::{Groups, group};
use super::range_histogram::{colliding, mixed_schemas, reconciled};
use super::{BoxOperator, Column, Context, Operator, Result, Series};
use crate::ast::{AggregateOp, Position};
use crate::kernel::histogram::Total;
use crate::kernel::sum::{Mean, Sum};
use crate::plan::{Aggregate, Steps};

/// The operator of `aggregate` over `input`.
pub(super) fn operator(
    input: BoxOperator,
    aggregate: &Aggregate,
    steps: Steps,
    context: &Context,
) -> BoxOperator {
    Box::new(Aggregation {
        input,
        aggregate: aggregate.clone(),
        pos: aggregate.input.pos,
        steps: steps.len(),
        context: context.clone(),
        inputs: Vec::new(),
        groups: Groups::default(),
        states: Vec::new(),
        totals: Vec::new(),
        at: 0,
        charge: None,
    })
}

struct Aggregation {
    input: BoxOperator,
    aggregate: Aggregate,
    pos: Position,
    steps: usize,
    context: Context,
    inputs: Vec<Series>,
    groups: Groups,
    /// Per group.
    states: Vec<States>,
    /// Per group and step the histograms of sum and avg; `None` when their layouts do not mix.
    totals: Vec<BTreeMap<usize, Option<Total>>>,
    at: usize,
    charge: Option<Charge>,
}

/// Per step what an aggregation has seen so far.
enum States {
    Sum(Vec<(Sum, u64)>),
    Avg(Vec<Mean>),
    /// count, and group, whose result is 1.
    Count(Vec<u64>),
    /// min, max
    Extreme(Vec<Option<f64>>),
    /// stddev, stdvar
    Variance(Vec<Variance>),
}

/// Welford's method.
#[derive(Debug, Clone, Copy, Default)]
struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Variance {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }
}

impl States {
    fn new(op: AggregateOp, steps: usize) -> Self {
        match op {
            AggregateOp::Sum => Self::Sum(vec![Default::default(); steps]),
            AggregateOp::Avg => Self::Avg(vec![Mean::default(); steps]),
            AggregateOp::Min | AggregateOp::Max => Self::Extreme(vec![None; steps]),
            AggregateOp::Stddev | AggregateOp::Stdvar => Self::Variance(vec![Variance::default(); steps]),
            _ => Self::Count(vec![0; steps]),
        }
    }

    fn bytes(op: AggregateOp, steps: usize) -> usize {
        let per_step = match op {
            AggregateOp::Sum => size_of::<(Sum, u64)>(),
            AggregateOp::Avg => size_of::<Mean>(),
            AggregateOp::Min | AggregateOp::Max => size_of::<Option<f64>>(),
            AggregateOp::Stddev | AggregateOp::Stdvar => size_of::<Variance>(),
            _ => size_of::<u64>(),
        };
        per_step * steps
    }

    fn add(&mut self, op: AggregateOp, column: &Column) {
        match self {
            Self::Sum(states) => {
                for (step, value) in column.floats() {
                    let (sum, count) = &mut states[step];
                    *sum = if *count == 0 { Sum::from(value) } else { sum.plus(value) };
                    *count += 1;
                }
            }
            Self::Avg(states) => column.floats().for_each(|(step, value)| states[step].add(value)),
            Self::Count(states) => {
                column.floats().for_each(|(step, _)| states[step] += 1);
                column.histograms().for_each(|(step, _)| states[step] += 1);
            }
            Self::Extreme(states) => {
                for (step, value) in column.floats() {
                    let state = &mut states[step];
                    let better = match *state {
                        None => true,
                        Some(best) if op == AggregateOp::Min => value < best || best.is_nan(),
                        Some(best) => value > best || best.is_nan(),
                    };
                    if better {
                        *state = Some(value);
                    }
                }
            }
            Self::Variance(states) => column.floats().for_each(|(step, value)| states[step].add(value)),
        }
    }

    fn result(&self, op: AggregateOp, step: usize) -> Option<f64> {
        match self {
            Self::Sum(states) => (states[step].1 > 0).then(|| states[step].0.total()),
            Self::Avg(states) => (states[step].count() > 0.0).then(|| states[step].mean()),
            Self::Count(states) if op == AggregateOp::Group => (states[step] > 0).then_some(1.0),
            Self::Count(states) => (states[step] > 0).then_some(states[step] as f64),
            Self::Extreme(states) => states[step],
            Self::Variance(states) => {
                let Variance { count, squares, .. } = states[step];
                let variance = squares / count;
                let result = if op == AggregateOp::Stddev { variance.sqrt() } else { variance };
                (count > 0.0).then_some(result)
            }
        }
    }
}

impl Aggregation {
    fn consume(&mut self) -> Result<()> {
        let op = self.aggregate.op;
        let mut column = Column::default();
        for index in 0..self.groups.of.len() {
            self.context.check()?;
            self.input.next(&mut column)?;
            if column.has_histograms() {
                self.histograms(index, &mut column)?;
            }
            self.states[self.groups.of[index]].add(op, &column);
        }
        Ok(())
    }

    /// Histograms count, are summed up, or are ignored where upstream ignores them.
    fn histograms(&mut self, index: usize, column: &mut Column) -> Result<()> {
        use AggregateOp::{Avg, Count, Group, Sum};
        match self.aggregate.op {
            Count | Group => Ok(()),
            Sum | Avg => self.add_histograms(index, column),
            op => {
                let text = format!("ignored histogram in {} aggregation", op.as_str());
                self.context.note(|notes| notes.info(self.pos, text));
                column.drop_histograms();
                Ok(())
            }
        }
    }

    fn add_histograms(&mut self, index: usize, column: &Column) -> Result<()> {
        let mean = self.aggregate.op == AggregateOp::Avg;
        let totals = &mut self.totals[self.groups.of[index]];
        for (step, histogram) in column.histograms() {
            if let Some(charge) = &mut self.charge
                && !totals.contains_key(&step)
            {
                charge.grow(size_of::<Total>() + 16 * histogram.positive_buckets.len())?;
            }
            let total = totals.entry(step).or_insert_with(|| Some(Total::default()));
            if total.as_mut().is_some_and(|sum| sum.add(histogram, mean).is_err()) {
                *total = None;
                let text = mixed_schemas(self.inputs[index].labels.metric_name());
                self.context.note(|notes| notes.warn(self.pos, text));
            }
        }
        Ok(())
    }

    /// Puts the histograms of a group into its column of floats.
    fn finish_histograms(&mut self, group: usize, column: &mut Column) {
        for (step, total) in std::mem::take(&mut self.totals[group]) {
            if column.float(step).is_some() {
                let text = "encountered a mix of histograms and floats for aggregation";
                self.context.note(|notes| notes.warn(self.pos, text));
                column.clear(step);
                continue;
            }
            let Some(total) = total else { continue };
            if total.hints_collide() {
                self.context.note(|notes| notes.warn(self.pos, colliding("aggregation")));
            }
            if total.bounds_reconciled {
                self.context.note(|notes| notes.info(self.pos, reconciled("aggregation")));
            }
            let result = if self.aggregate.op == AggregateOp::Avg { total.mean() } else { total.total() };
            if let Some(histogram) = result {
                column.set_histogram(step, Arc::new(histogram));
            }
        }
    }
}

impl Operator for Aggregation {
    fn series(&mut self) -> Result<Vec<Series>> {
        self.inputs = self.input.series()?;
        self.groups = group(&self.inputs, &self.aggregate);
        let count = self.groups.series.len();
        let op = self.aggregate.op;
        self.charge = Some(self.context.charge(count.saturating_mul(States::bytes(op, self.steps)))?);
        self.states = (0..count).map(|_| States::new(op, self.steps)).collect();
        self.totals = vec![BTreeMap::new(); count];
        Ok(self.groups.series.clone())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        if self.at == 0 {
            self.consume()?;
        }
        column.reset(self.steps);
        for step in 0..self.steps {
            if let Some(value) = self.states[self.at].result(self.aggregate.op, step) {
                column.set(step, value);
            }
        }
        self.finish_histograms(self.at, column);
        self.at += 1;
        Ok(())
    }
}
