//! An operator between two samples.

use std::sync::Arc;

use nave_model::sample::Value;

use crate::ast::BinaryOp;
use crate::kernel::histogram;

/// What an operator gives for two samples.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Of arithmetic.
    Value(Value),
    /// Of a comparison: whether it holds.
    Compared(bool),
    /// The kinds do not fit; upstream's info.
    Incompatible(String),
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
            Outcome::Value(scale(h, *factor, |count, factor| count * factor))
        }
        (Value::Histogram(h), Value::Float(divisor)) if op == BinaryOp::Div => {
            Outcome::Value(scale(h, *divisor, |count, divisor| count / divisor))
        }
        _ => incompatible(op, left, right),
    }
}

fn scale(h: &nave_model::histogram::Histogram, by: f64, with: impl Fn(f64, f64) -> f64) -> Value {
    let scaled = histogram::scaled(h, |count| with(count, by));
    Value::Histogram(Arc::new(if by < 0.0 { histogram::as_gauge(scaled) } else { scaled }))
}

fn incompatible(op: BinaryOp, left: &Value, right: &Value) -> Outcome {
    let kind = |value: &Value| match value {
        Value::Float(_) => "float",
        Value::Histogram(_) => "histogram",
    };
    let (op, left, right) = (op.as_str(), kind(left), kind(right));
    Outcome::Incompatible(format!(
        "incompatible sample types encountered for binary operator \"{op}\": {left} {op} {right}"
    ))
}

/// The result of an arithmetic operator.
pub(super) fn arithmetic(op: BinaryOp, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
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
