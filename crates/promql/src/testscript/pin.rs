//! Adds `@ time` to the selectors and subqueries of an expression that have none.

use nave_model::time::Timestamp;

use crate::ast::{At, Expr, ExprKind};

/// Pins `expr`; what is inside a pinned subquery is pinned by it.
pub(super) fn pinned(expr: &mut Expr, time: Timestamp) {
    let pin = |at: &mut Option<At>| *at = at.or(Some(At::Time(time)));
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Selector(selector) => pin(&mut selector.at),
        ExprKind::Matrix(matrix) => pin(&mut matrix.selector.at),
        ExprKind::Subquery(subquery) => pin(&mut subquery.at),
        ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| pinned(arg, time)),
        ExprKind::Aggregate(aggregate) => {
            pinned(&mut aggregate.expr, time);
            if let Some(param) = &mut aggregate.param {
                pinned(param, time);
            }
        }
        ExprKind::Binary(binary) => {
            pinned(&mut binary.lhs, time);
            pinned(&mut binary.rhs, time);
        }
        ExprKind::Unary(unary) => pinned(&mut unary.expr, time),
        ExprKind::Paren(inner) => pinned(inner, time),
    }
}
