//! Ranges, resolutions and offsets as milliseconds.

use crate::ast::{BinaryOp, DurationExpr, DurationKind, Span};
use crate::error::QueryError;
use crate::kernel::logarithm;

use super::Steps;

/// The longest duration that is taken, in seconds: what fits 64-bit milliseconds with room to spare.
const SECONDS_MAX: f64 = 9.0e15;

/// A duration in ms; `steps` and `is_instant` are those of the whole query.
pub(super) fn milliseconds(span: &Span, steps: Steps, is_instant: bool) -> Result<i64, QueryError> {
    match span {
        Span::Fixed(ms) => Ok(*ms),
        Span::Computed(expr) => {
            let seconds = seconds(expr, steps, is_instant)?;
            if seconds.is_nan() || seconds.abs() >= SECONDS_MAX {
                return Err(QueryError::execution("duration out of range"));
            }
            Ok((seconds * 1000.0) as i64)
        }
    }
}

/// As [`milliseconds`], for ranges and resolutions.
pub(super) fn positive(span: &Span, steps: Steps, is_instant: bool) -> Result<i64, QueryError> {
    let ms = milliseconds(span, steps, is_instant)?;
    if ms > 0 { Ok(ms) } else { Err(QueryError::execution("duration must be greater than 0")) }
}

fn seconds(expr: &DurationExpr, steps: Steps, is_instant: bool) -> Result<f64, QueryError> {
    let value = |expr| seconds(expr, steps, is_instant);
    Ok(match &expr.kind {
        DurationKind::Number(number) => number.value,
        DurationKind::Step if is_instant => 0.0,
        DurationKind::Step => steps.step as f64 / 1000.0,
        DurationKind::Range => (steps.end - steps.start) as f64 / 1000.0,
        DurationKind::Negate(inner) => -value(inner)?,
        DurationKind::Paren(inner) => value(inner)?,
        DurationKind::MinOf(a, b) => value(a)?.min(value(b)?),
        DurationKind::MaxOf(a, b) => value(a)?.max(value(b)?),
        DurationKind::Binary(op, a, b) => binary(*op, value(a)?, value(b)?)?,
    })
}

fn binary(op: BinaryOp, a: f64, b: f64) -> Result<f64, QueryError> {
    match op {
        BinaryOp::Add => Ok(a + b),
        BinaryOp::Sub => Ok(a - b),
        BinaryOp::Mul => Ok(a * b),
        BinaryOp::Div if b == 0.0 => Err(QueryError::execution("division by zero")),
        BinaryOp::Div => Ok(a / b),
        BinaryOp::Mod if b == 0.0 => Err(QueryError::execution("modulo by zero")),
        BinaryOp::Mod => Ok(a % b),
        BinaryOp::Pow => Ok(logarithm::pow(a, b)),
        _ => Err(QueryError::execution(format!("unexpected duration expression operator {:?}", op.as_str()))),
    }
}
