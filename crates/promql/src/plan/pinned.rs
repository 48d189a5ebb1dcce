//! Rewrite: the check for equal label sets is dropped where none can arise.
//!
//! Dropping the metric name makes two series equal only when they had different names. A selector with
//! `__name__="x"` has one name, and an aggregation usually has none. Without the check, series stream.
//!
//! The labels `__type__` and `__unit__` go together with the name. Series of one name that differ only in
//! them are not told apart here: such a query is answered where upstream refuses it.

use nave_model::label::METRIC_NAME;
use nave_model::matcher::MatchOp;

use super::{Aggregate, Kind, Node, RangeCall, RangeInput, Source};
use crate::ast::AggregateOp;
use crate::function::FunctionId;

/// Removes what is not needed.
pub(super) fn remove_dedupe(node: &mut Node) {
    while let Kind::Dedupe { input, strip: false } = &mut node.kind
        && only_drops_name(input)
        && has_one_name(input)
    {
        let placeholder = Node { pos: input.pos, ty: input.ty, kind: Kind::Number(0.0) };
        *node = std::mem::replace(&mut **input, placeholder);
    }
    for child in node.children_mut() {
        remove_dedupe(child);
    }
}

/// Whether the node changes no other label than the name.
fn only_drops_name(node: &Node) -> bool {
    match &node.kind {
        Kind::Timestamps(_) | Kind::StartTimes(_) | Kind::Range(_) | Kind::Negate(_) => true,
        Kind::Call { function, .. } => !changes_labels(*function),
        Kind::Binary(binary) => binary.matching.is_none(),
        _ => false,
    }
}

/// Whether all series of the node have the same metric name, or none.
pub(super) fn has_one_name(node: &Node) -> bool {
    match &node.kind {
        Kind::Scan(source) | Kind::Timestamps(source) | Kind::StartTimes(source) => is_pinned(source),
        Kind::Info(info) => has_one_name(&info.input),
        Kind::Range(call) => range_has_one_name(call),
        Kind::Call { function, args, .. } => !changes_labels(*function) && args.iter().all(has_one_name),
        Kind::Aggregate(aggregate) => aggregate_has_one_name(aggregate),
        Kind::Binary(binary) => {
            binary.matching.is_none() && has_one_name(&binary.lhs) && has_one_name(&binary.rhs)
        }
        Kind::Negate(input) | Kind::Dedupe { input, .. } => has_one_name(input),
        Kind::Number(_) | Kind::Text(_) | Kind::Absent { .. } => true,
        Kind::Shared(shared) => has_one_name(&shared.input),
        Kind::Raw(_) => false,
    }
}

fn range_has_one_name(call: &RangeCall) -> bool {
    match &call.input {
        RangeInput::Source(source) => is_pinned(source),
        RangeInput::Subquery(subquery) => has_one_name(&subquery.input),
    }
}

fn aggregate_has_one_name(aggregate: &Aggregate) -> bool {
    use AggregateOp::{Bottomk, LimitRatio, Limitk, Topk};
    match aggregate.op {
        Topk | Bottomk | Limitk | LimitRatio => has_one_name(&aggregate.input),
        AggregateOp::CountValues => false,
        _ => aggregate.without || !aggregate.grouping.iter().any(|name| name == METRIC_NAME),
    }
}

fn is_pinned(source: &Source) -> bool {
    source.matchers.iter().any(|matcher| matcher.op() == MatchOp::Equal && matcher.name() == METRIC_NAME)
}

fn changes_labels(function: FunctionId) -> bool {
    use FunctionId as F;
    matches!(
        function,
        F::LabelReplace | F::LabelJoin | F::HistogramQuantile | F::HistogramQuantiles | F::HistogramFraction
    )
}
