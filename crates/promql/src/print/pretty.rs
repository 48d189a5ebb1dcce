//! A tree as indented text over several lines, as `/api/v1/format_query` gives it.
//!
//! What fits on one line stays there; the operators of a binary expression stand on lines of their own,
//! between operands that are indented once more.

use super::{show_aggregate_head, show_operator};
use crate::ast::{Aggregate, Expr, ExprKind};

/// Where upstream starts to split.
const LINE_CHARS_MAX: usize = 100;

impl Expr {
    /// The canonical form, split into indented lines where it is longer than 100 characters.
    #[must_use]
    pub fn pretty(&self) -> String {
        self.pretty_within(LINE_CHARS_MAX)
    }

    /// The canonical form, split into indented lines where it is longer than `chars_max`.
    #[must_use]
    pub fn pretty_within(&self, chars_max: usize) -> String {
        Pretty { chars_max }.at(self, 0)
    }
}

struct Pretty {
    chars_max: usize,
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

impl Pretty {
    fn at(&self, expr: &Expr, level: usize) -> String {
        let line = expr.to_string();
        let head = indent(level);
        if line.len() <= self.chars_max {
            return head + &line;
        }
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Matrix(_) => {
                head + &line
            }
            ExprKind::Binary(binary) => {
                let mut operator = String::new();
                _ = show_operator(&mut operator, binary);
                let (lhs, rhs) = (self.at(&binary.lhs, level + 1), self.at(&binary.rhs, level + 1));
                format!("{lhs}\n{head}{operator}\n{rhs}")
            }
            ExprKind::Call(call) => {
                let args: Vec<_> = call.args.iter().map(|arg| self.at(arg, level + 1)).collect();
                format!("{head}{}(\n{}\n{head})", call.function.name, args.join(",\n"))
            }
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, level),
            ExprKind::Paren(inner) => format!("{head}(\n{}\n{head})", self.at(inner, level + 1)),
            ExprKind::Unary(unary) => {
                let inner = self.at(&unary.expr, level);
                let sign = if unary.negative { '-' } else { '+' };
                format!("{head}{sign}{}", inner.trim_start())
            }
            ExprKind::Subquery(subquery) => {
                // The tail is what the one-line form has after the operand.
                let tail = &line[subquery.expr.to_string().len()..];
                self.at(&subquery.expr, level) + tail
            }
        }
    }

    fn aggregate(&self, aggregate: &Aggregate, level: usize) -> String {
        let head = indent(level);
        let mut out = head.clone();
        _ = show_aggregate_head(&mut out, aggregate);
        out.push_str("(\n");
        if let Some(param) = &aggregate.param {
            out.push_str(&self.at(param, level + 1));
            out.push_str(",\n");
        }
        out.push_str(&self.at(&aggregate.expr, level + 1));
        format!("{out}\n{head})")
    }
}
