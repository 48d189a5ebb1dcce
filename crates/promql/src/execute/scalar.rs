//! Numbers per step: literals, `time()`, `scalar()`, `vector()` and what is computed from them.
//!
//! A scalar is a series without labels that has a float at every step.

use nave_model::label::Labels;

use super::{BoxOperator, Column, Context, Operator, Result, Series};
use crate::plan::Steps;

/// The series of a scalar.
pub(super) fn nameless() -> Vec<Series> {
    vec![Series { labels: Labels::empty(), drop_name: false }]
}

/// All values of a scalar operator.
pub(super) fn values(mut input: BoxOperator) -> Result<Vec<f64>> {
    input.series()?;
    let mut column = Column::default();
    input.next(&mut column)?;
    Ok((0..column.steps()).map(|step| column.float(step).unwrap_or(f64::NAN)).collect())
}

/// The same number at every step.
pub(super) fn number(value: f64, steps: Steps) -> BoxOperator {
    computed(steps, move |_| value)
}

/// The time of each step in seconds.
pub(super) fn time(steps: Steps) -> BoxOperator {
    computed(steps, move |time| time as f64 / 1000.0)
}

fn computed(steps: Steps, value: impl Fn(i64) -> f64 + Send + 'static) -> BoxOperator {
    Box::new(Computed { steps, value })
}

struct Computed<F> {
    steps: Steps,
    value: F,
}

impl<F: Fn(i64) -> f64 + Send> Operator for Computed<F> {
    fn series(&mut self) -> Result<Vec<Series>> {
        Ok(nameless())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        column.reset(self.steps.len());
        for (step, time) in self.steps.iter().enumerate() {
            column.set(step, (self.value)(time));
        }
        Ok(())
    }
}

/// Every float of `input` through `map`; series stay as they are.
pub(super) fn map(input: BoxOperator, map: impl Fn(f64) -> f64 + Send + 'static) -> BoxOperator {
    Box::new(Map { input, map })
}

struct Map<F> {
    input: BoxOperator,
    map: F,
}

impl<F: Fn(f64) -> f64 + Send> Operator for Map<F> {
    fn series(&mut self) -> Result<Vec<Series>> {
        self.input.series()
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.input.next(column)?;
        column.map_floats(|_, value| (self.map)(value));
        Ok(())
    }
}

/// Two scalars, step by step.
pub(super) fn zip(
    lhs: BoxOperator,
    rhs: BoxOperator,
    with: impl Fn(f64, f64) -> f64 + Send + 'static,
) -> BoxOperator {
    Box::new(Zip { lhs, rhs, with })
}

struct Zip<F> {
    lhs: BoxOperator,
    rhs: BoxOperator,
    with: F,
}

impl<F: Fn(f64, f64) -> f64 + Send> Operator for Zip<F> {
    fn series(&mut self) -> Result<Vec<Series>> {
        self.lhs.series()?;
        self.rhs.series()
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.lhs.next(column)?;
        let mut right = Column::default();
        self.rhs.next(&mut right)?;
        column.map_floats(|step, left| (self.with)(left, right.float(step).unwrap_or(f64::NAN)));
        Ok(())
    }
}

/// `scalar(v)`: the only float of a step, or NaN.
pub(super) fn of_vector(input: BoxOperator, steps: Steps, context: &Context) -> BoxOperator {
    Box::new(OfVector { input, steps, context: context.clone() })
}

struct OfVector {
    input: BoxOperator,
    steps: Steps,
    context: Context,
}

impl Operator for OfVector {
    fn series(&mut self) -> Result<Vec<Series>> {
        Ok(nameless())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        let mut found = vec![0_u32; self.steps.len()];
        let mut values = vec![f64::NAN; self.steps.len()];
        let mut input = Column::default();
        for _ in 0..self.input.series()?.len() {
            self.context.check()?;
            self.input.next(&mut input)?;
            for (step, value) in input.floats() {
                found[step] += 1;
                values[step] = value;
            }
        }
        column.reset(self.steps.len());
        for (step, count) in found.into_iter().enumerate() {
            column.set(step, if count == 1 { values[step] } else { f64::NAN });
        }
        Ok(())
    }
}
