//! Operators between two scalars, a vector and a scalar, or two vectors.

mod element;
mod vectors;

use nave_model::sample::Value;

use super::note::Note;
use super::{BoxOperator, Column, Context, Operator, Result, Series, operator as operator_of, scalar, set};
use crate::ast::{BinaryOp, Position};
use crate::error::QueryError;
use crate::plan::{Binary, Kind, Node, Steps};
use element::{Outcome, Remark, element};

/// The value of a scalar operation; `None` for operators that scalars do not have.
pub(crate) fn scalar_binary(op: BinaryOp, a: f64, b: f64) -> Option<f64> {
    element::arithmetic(op, a, b).or_else(|| element::compare(op, a, b).map(f64::from))
}

/// Whether results are values of the left side, and so of its metric.
pub(crate) fn keeps_name(op: BinaryOp) -> bool {
    op.is_comparison() || op.is_set() || op.is_trim()
}

/// The operator of `binary`.
pub(super) fn operator(node: &Node, binary: &Binary, steps: Steps, context: &Context) -> Result<BoxOperator> {
    let op = binary.op;
    let lhs = operator_of(&binary.lhs, steps, context)?;
    let rhs = operator_of(&binary.rhs, steps, context)?;
    match (&binary.matching, binary.lhs.is_scalar(), binary.rhs.is_scalar()) {
        (Some(matching), ..) if op.is_set() => {
            let may_fail = may_fail(&binary.rhs);
            Ok(set::operator(op, lhs, (rhs, may_fail), matching.clone(), steps.len(), context))
        }
        (Some(matching), ..) => vectors::operator(node.pos, binary, matching, (lhs, rhs), steps, context),
        (None, true, true) if scalar_binary(op, 0.0, 0.0).is_none() => Err(QueryError::execution(format!(
            "operator {:?} not allowed for Scalar operations",
            op.as_str()
        ))),
        (None, true, true) => {
            Ok(scalar::zip(lhs, rhs, move |a, b| scalar_binary(op, a, b).unwrap_or(f64::NAN)))
        }
        (None, scalar_left, _) => {
            let (vector, number) = if scalar_left { (rhs, lhs) } else { (lhs, rhs) };
            Ok(Box::new(WithScalar {
                input: vector,
                number: scalar::values(number)?,
                op,
                scalar_left,
                return_bool: binary.return_bool,
                pos: node.pos,
                context: context.clone(),
            }))
        }
    }
}

/// Whether samples of `node` can turn out to be an error or to be remarked on. Such a side is read even where nothing
/// depends on it, so
/// that a query fails, and says, the same as upstream.
fn may_fail(node: &Node) -> bool {
    !matches!(node.kind, Kind::Number(_) | Kind::Scan(_) | Kind::Timestamps(_) | Kind::StartTimes(_))
}

/// A vector and a number per step.
struct WithScalar {
    input: BoxOperator,
    number: Vec<f64>,
    op: BinaryOp,
    scalar_left: bool,
    return_bool: bool,
    pos: Position,
    context: Context,
}

impl WithScalar {
    fn note(&self, Remark { level, text }: Remark) {
        self.context.note(|notes| notes.add(Note::new(level, text, Some(self.pos))));
    }

    /// As [`Self::value`], for the common case.
    fn float(&self, step: usize, value: f64) -> Option<f64> {
        match self.value(step, Value::Float(value))? {
            Value::Float(result) => Some(result),
            Value::Histogram(_) => None,
        }
    }

    fn value(&self, step: usize, value: Value) -> Option<Value> {
        let number = Value::Float(self.number[step]);
        let (left, right) = if self.scalar_left { (number, value.clone()) } else { (value.clone(), number) };
        match element(self.op, &left, &right) {
            Outcome::Value(value) => Some(value),
            Outcome::Compared(holds) if self.return_bool => Some(Value::Float(f64::from(u8::from(holds)))),
            // A comparison shows the vector's value whichever side it stands on.
            Outcome::Compared(holds) => holds.then_some(value),
            Outcome::Odd(value, remarks) => {
                remarks.into_iter().for_each(|remark| self.note(remark));
                Some(value)
            }
            Outcome::Nothing(remark) => {
                self.note(remark);
                None
            }
        }
    }
}

impl Operator for WithScalar {
    fn series(&mut self) -> Result<Vec<Series>> {
        let series = self.input.series()?;
        if keeps_name(self.op) && !self.return_bool {
            return Ok(series);
        }
        Ok(series.into_iter().map(|series| self.context.without_name(series)).collect())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.input.next(column)?;
        if !column.has_histograms() {
            column.filter_map_floats(|step, value| self.float(step, value));
            return Ok(());
        }
        let input = std::mem::take(column);
        column.reset(input.steps());
        for step in 0..input.steps() {
            if let Some(value) = input.value(step).and_then(|value| self.value(step, value)) {
                column.set_value(step, value);
            }
        }
        Ok(())
    }
}
