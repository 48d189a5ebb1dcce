//! An operator between two samples.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::sample::Value;

use crate::ast::BinaryOp;
use crate::execute::note::Level;
use crate::execute::range_histogram::{colliding, reconciled};
use crate::kernel::{histogram, logarithm};

/// What an operator gives for two samples.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Of arithmetic.
    Value(Value),
    /// Of a comparison: whether it holds.
    Compared(bool),
    /// As `Value`, with something odd about it.
    Odd(Value, Vec<Remark>),
    /// The samples do not fit.
    Nothing(Remark),
}

/// What upstream remarks on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) level: Level,
    pub(super) text: String,
}

impl Remark {
    fn warning(text: String) -> Self {
        Self { level: Level::Warning, text }
    }

    fn info(text: String) -> Self {
        Self { level: Level::Info, text }
    }
}

/// `left op right`; not for set operators.
pub(super) fn element(op: BinaryOp, left: &Value, right: &Value) -> Outcome {
    match (left, right) {
        (Value::Float(a), Value::Float(b)) => {
            if let Some(value) = arithmetic(op, *a, *b) {
                return Outcome::Value(Value::Float(value));
            }
            match compare(op, *a, *b) {
                Some(holds) => Outcome::Compared(holds),
                None => incompatible(op, left, right),
            }
        }
        (Value::Histogram(h), Value::Float(factor)) | (Value::Float(factor), Value::Histogram(h))
            if op == BinaryOp::Mul =>
        {
            Outcome::Value(signed(histogram::scaled(h, |count| count * factor), *factor))
        }
        (Value::Histogram(h), Value::Float(divisor)) if op == BinaryOp::Div => {
            Outcome::Value(signed(histogram::divided(h, *divisor), *divisor))
        }
        (Value::Histogram(h), Value::Float(at)) if op.is_trim() => {
            let above = op == BinaryOp::TrimLower;
            Outcome::Value(Value::Histogram(Arc::new(histogram::trimmed(h, *at, above))))
        }
        (Value::Histogram(a), Value::Histogram(b)) => histograms(op, a, b, left, right),
        _ => incompatible(op, left, right),
    }
}

fn histograms(op: BinaryOp, a: &Histogram, b: &Histogram, left: &Value, right: &Value) -> Outcome {
    let (name, combined) = match op {
        BinaryOp::Add => ("addition", histogram::add(a, b)),
        BinaryOp::Sub => ("subtraction", histogram::subtract(a, b)),
        BinaryOp::Equal => return Outcome::Compared(histogram::same(a, b)),
        BinaryOp::NotEqual => return Outcome::Compared(!histogram::same(a, b)),
        _ => return incompatible(op, left, right),
    };
    let Ok(combined) = combined else {
        let text = format!("incompatible bucket layout encountered for binary operator {}", op.as_str());
        return Outcome::Nothing(Remark::warning(text));
    };
    let mut remarks = Vec::new();
    if combined.hints_collide {
        remarks.push(Remark::warning(colliding(name)));
    }
    if combined.bounds_reconciled {
        remarks.push(Remark::info(reconciled(name)));
    }
    // A difference is no counter.
    let gauge = op == BinaryOp::Sub;
    let result = if gauge { histogram::as_gauge(combined.histogram) } else { combined.histogram };
    Outcome::Odd(Value::Histogram(Arc::new(result)), remarks)
}

/// A histogram that was scaled; negative factors make it a gauge.
fn signed(scaled: Histogram, by: f64) -> Value {
    Value::Histogram(Arc::new(if by < 0.0 { histogram::as_gauge(scaled) } else { scaled }))
}

fn incompatible(op: BinaryOp, left: &Value, right: &Value) -> Outcome {
    let kind = |value: &Value| match value {
        Value::Float(_) => "float",
        Value::Histogram(_) => "histogram",
    };
    let (op, left, right) = (op.as_str(), kind(left), kind(right));
    Outcome::Nothing(Remark::info(format!(
        "incompatible sample types encountered for binary operator \"{op}\": {left} {op} {right}"
    )))
}

/// The result of an arithmetic operator.
pub(super) fn arithmetic(op: BinaryOp, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => logarithm::pow(a, b),
        BinaryOp::Atan2 => a.atan2(b),
        _ => return None,
    })
}

/// Whether a comparison holds.
pub(super) fn compare(op: BinaryOp, a: f64, b: f64) -> Option<bool> {
    Some(match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::LessEqual => a <= b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterEqual => a >= b,
        _ => return None,
    })
}
