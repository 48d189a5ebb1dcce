//! Rewrite: every selector asks for the samples it can use, and no others.
//!
//! The range follows from the steps at which the selector is evaluated, its offset, `@` and how far it
//! looks back. Windows are open on the left, hence the millisecond.

use nave_model::select::Need;
use nave_model::time::{TimeRange, Timestamp};

use crate::ast::Edge;

use super::{Kind, Node, RangeInput, Steps};

/// Narrows all selectors below `node`, which is evaluated at `steps`.
pub(super) fn narrow(node: &mut Node, steps: Steps) {
    if let Some(source) = node.source_mut() {
        let (first, last) = source.shift.bounds(&steps);
        // Instant windows are as wide as the lookback already.
        let left = if source.edge.is_some() && source.is_range { source.lookback_ms } else { 0 };
        let right = if source.edge == Some(Edge::Smoothed) { source.lookback_ms } else { 0 };
        source.range = TimeRange {
            min: Timestamp(first.saturating_sub(source.window_ms).saturating_sub(left).saturating_add(1)),
            max: Timestamp(last.saturating_add(right)),
        };
        if !source.is_range && source.edge.is_none() && first == last && !source.detects_resets {
            source.need = Need::LastSample;
        }
    }
    if let Kind::Range(call) = &mut node.kind {
        if let RangeInput::Subquery(subquery) = &mut call.input {
            let inner = subquery.steps;
            narrow(&mut subquery.input, inner);
        }
        for param in &mut call.params {
            narrow(param, steps);
        }
        return;
    }
    let inner = node.inner_steps(steps);
    for child in node.children_mut() {
        narrow(child, inner);
    }
}
