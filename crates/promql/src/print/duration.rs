//! Durations: `1h30m`, and expressions over them.

use std::fmt::{self, Display};

use nave_model::duration::PromDuration;

use crate::ast::{DurationExpr, DurationKind, Span};

pub(super) fn show_ms(f: &mut fmt::Formatter<'_>, ms: i64) -> fmt::Result {
    if ms < 0 {
        f.write_str("-")?;
    }
    write!(f, "{}", PromDuration::from_ms(ms.unsigned_abs()))
}

pub(super) fn show_span(f: &mut fmt::Formatter<'_>, span: &Span) -> fmt::Result {
    match span {
        Span::Fixed(ms) => show_ms(f, *ms),
        Span::Computed(expr) => expr.fmt(f),
    }
}

pub(super) fn show_offset(f: &mut fmt::Formatter<'_>, offset: &Span) -> fmt::Result {
    if *offset == Span::Fixed(0) {
        return Ok(());
    }
    f.write_str(" offset ")?;
    show_span(f, offset)
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DurationKind::Number(number) => number.fmt(f),
            DurationKind::Step => f.write_str("step()"),
            DurationKind::Range => f.write_str("range()"),
            DurationKind::Negate(inner) => write!(f, "-{inner}"),
            DurationKind::Paren(inner) => write!(f, "({inner})"),
            DurationKind::Binary(op, a, b) => write!(f, "{a} {} {b}", op.as_str()),
            DurationKind::MinOf(a, b) => write!(f, "min_of({a}, {b})"),
            DurationKind::MaxOf(a, b) => write!(f, "max_of({a}, {b})"),
        }
    }
}
