//! A tree back to text, in upstream's canonical form: `Display`, on one line.
//!
//! What is printed parses again to the same tree, positions aside.

mod duration;
mod label;
mod pretty;

use std::fmt::{self, Display, Write as _};

use crate::ast::{
    Aggregate, At, Binary, ByteString, Call, Cardinality, Expr, ExprKind, Matching, Number, Selector, Span,
    Subquery,
};
use crate::parse::is_name_matcher;
use crate::quote::quote_into;
use duration::{show_offset, show_span};
pub(crate) use label::{label_list, show_matcher};

impl Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => number.fmt(f),
            ExprKind::String(text) => text.fmt(f),
            ExprKind::Selector(selector) => {
                show_selector(f, selector)?;
                show_modifiers(f, selector)
            }
            ExprKind::Matrix(matrix) => {
                show_selector(f, &matrix.selector)?;
                f.write_str("[")?;
                show_span(f, &matrix.range)?;
                f.write_str("]")?;
                show_modifiers(f, &matrix.selector)
            }
            ExprKind::Subquery(subquery) => {
                subquery.expr.fmt(f)?;
                show_subquery_tail(f, subquery)
            }
            ExprKind::Call(call) => show_call(f, call),
            ExprKind::Aggregate(aggregate) => show_aggregate(f, aggregate),
            ExprKind::Binary(binary) => {
                binary.lhs.fmt(f)?;
                f.write_char(' ')?;
                show_operator(f, binary)?;
                f.write_char(' ')?;
                binary.rhs.fmt(f)
            }
            ExprKind::Unary(unary) => {
                f.write_char(if unary.negative { '-' } else { '+' })?;
                unary.expr.fmt(f)
            }
            ExprKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

/// The shortest decimal form without an exponent, or a duration.
impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            return duration::show_ms(f, (self.value * 1000.0).round() as i64);
        }
        show_float(f, self.value)
    }
}

fn show_float(f: &mut impl fmt::Write, value: f64) -> fmt::Result {
    if value.is_infinite() {
        return f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    write!(f, "{value}")
}

impl Display for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut quoted = String::with_capacity(self.0.len() + 2);
        quote_into(&mut quoted, &self.0);
        f.write_str(&quoted)
    }
}

/// Name and matchers, sorted as text.
fn show_selector(f: &mut fmt::Formatter<'_>, selector: &Selector) -> fmt::Result {
    f.write_str(&selector.name)?;
    let mut matchers: Vec<String> = selector
        .matchers
        .iter()
        .filter(|matcher| selector.name.is_empty() || !is_name_matcher(matcher, &selector.name))
        .map(show_matcher)
        .collect();
    if matchers.is_empty() && !selector.name.is_empty() {
        return Ok(());
    }
    matchers.sort_unstable();
    write!(f, "{{{}}}", matchers.join(","))
}

fn show_modifiers(f: &mut fmt::Formatter<'_>, selector: &Selector) -> fmt::Result {
    if let Some(edge) = selector.edge {
        write!(f, " {}", edge.as_str())?;
    }
    show_time(f, selector.at, &selector.offset)
}

fn show_time(f: &mut fmt::Formatter<'_>, at: Option<At>, offset: &Span) -> fmt::Result {
    match at {
        Some(At::Time(time)) => write!(f, " @ {:.3}", time.seconds())?,
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        None => {}
    }
    show_offset(f, offset)
}

fn show_subquery_tail(f: &mut fmt::Formatter<'_>, subquery: &Subquery) -> fmt::Result {
    f.write_str("[")?;
    show_span(f, &subquery.range)?;
    f.write_str(":")?;
    if let Some(step) = &subquery.step {
        show_span(f, step)?;
    }
    f.write_str("]")?;
    show_time(f, subquery.at, &subquery.offset)
}

fn show_call(f: &mut fmt::Formatter<'_>, call: &Call) -> fmt::Result {
    write!(f, "{}(", call.function.name)?;
    for (index, arg) in call.args.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        arg.fmt(f)?;
    }
    f.write_str(")")
}

fn show_aggregate(f: &mut fmt::Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    show_aggregate_head(f, aggregate)?;
    f.write_str("(")?;
    if let Some(param) = &aggregate.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", aggregate.expr)
}

/// `sum by (a) `, with a blank at the end where there is a grouping.
fn show_aggregate_head(f: &mut impl fmt::Write, aggregate: &Aggregate) -> fmt::Result {
    f.write_str(aggregate.op.as_str())?;
    match (aggregate.without, aggregate.grouping.is_empty()) {
        (true, _) => write!(f, " without ({}) ", label_list(&aggregate.grouping)),
        (false, false) => write!(f, " by ({}) ", label_list(&aggregate.grouping)),
        (false, true) => Ok(()),
    }
}

/// `+ on (a) group_left (b)`
fn show_operator(f: &mut impl fmt::Write, binary: &Binary) -> fmt::Result {
    f.write_str(binary.op.as_str())?;
    if binary.return_bool {
        f.write_str(" bool")?;
    }
    match &binary.matching {
        Some(matching) => show_matching(f, matching),
        None => Ok(()),
    }
}

fn show_matching(f: &mut impl fmt::Write, matching: &Matching) -> fmt::Result {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if matching.on || group.is_some() || !matching.labels.is_empty() {
        let how = if matching.on { "on" } else { "ignoring" };
        write!(f, " {how} ({})", label_list(&matching.labels))?;
    }
    if let Some(group) = group {
        write!(f, " {group} ({})", label_list(&matching.include))?;
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => show_fill(f, "fill", left),
        (left, right) => {
            left.map_or(Ok(()), |value| show_fill(f, "fill_left", value))?;
            right.map_or(Ok(()), |value| show_fill(f, "fill_right", value))
        }
    }
}

fn show_fill(f: &mut impl fmt::Write, name: &str, value: f64) -> fmt::Result {
    write!(f, " {name} (")?;
    show_float(f, value)?;
    f.write_str(")")
}
