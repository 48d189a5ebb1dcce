//! Rewrite: arithmetic on constants is done once, before the query runs.

use super::{Kind, Node};
use crate::execute::scalar_binary;

/// Replaces operators whose operands are numbers by their result.
pub(super) fn fold(node: &mut Node) {
    for child in node.children_mut() {
        fold(child);
    }
    let folded = match &node.kind {
        Kind::Negate(input) => number(input).map(|value| -value),
        Kind::Binary(binary) => match (number(&binary.lhs), number(&binary.rhs)) {
            (Some(a), Some(b)) => scalar_binary(binary.op, a, b),
            _ => None,
        },
        _ => None,
    };
    if let Some(value) = folded {
        node.kind = Kind::Number(value);
    }
}

fn number(node: &Node) -> Option<f64> {
    match node.kind {
        Kind::Number(value) => Some(value),
        _ => None,
    }
}
