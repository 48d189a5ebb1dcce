//! Rewrite: an equality that one side of an operator has is asked of the other side too.
//!
//! In `a{job="x"} / b` every result has `job="x"`, so series of `b` with another job are read for nothing. The answer is the
//! same without them, but upstream also looks at what never meets: its errors and annotations must stay. So `job="x"` is pushed
//! to the other side only where
//!
//! - the operator is `and`, `unless` (to the right only), or arithmetic or a comparison without `fill`,
//! - both sides must agree in `job` to meet, and every series of the one side has `job="x"`,
//! - the other side takes each of its series from one of a selector, or from some with the same `job`, and can neither fail nor
//!   remark on anything: a selector, `last_over_time` and the like, functions of single samples, `count` and `group` by that
//!   label,
//! - for arithmetic and comparisons, the side that must be unique cannot have two series that belong together: a selector of
//!   one metric that is matched by all labels, or an aggregation by labels that are all matched. Else upstream refuses two
//!   such series even if nothing meets them, and also asks whether there is anything on the other side.
//!
//! What is not read is not counted, so queries whose figures are asked for are not rewritten.

use nave_model::matcher::{MatchOp, Matcher};

use super::pinned::has_one_name;
use super::{Binary, Kind, Node, RangeInput, Source};
use crate::ast::{AggregateOp, BinaryOp, Cardinality, Matching};
use crate::execute::is_metadata;
use crate::function::FunctionId;

/// Pushes equalities below `node`.
pub(super) fn propagate(node: &mut Node) {
    for child in node.children_mut() {
        propagate(child);
    }
    if let Kind::Binary(binary) = &mut node.kind
        && let Some(matching) = binary.matching.clone()
    {
        between(binary, &matching);
    }
}

fn between(binary: &mut Binary, matching: &Matching) {
    let (to_left, to_right) = match binary.op {
        BinaryOp::And => (true, true),
        BinaryOp::Unless => (false, true),
        BinaryOp::Or => (false, false),
        _ => {
            let one = if matching.cardinality == Cardinality::OneToMany { &binary.lhs } else { &binary.rhs };
            let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
            let legal = !fills && matching.cardinality != Cardinality::ManyToMany && is_unique(one, matching);
            (legal, legal)
        }
    };
    let (left, right) = (equalities(&binary.lhs, matching), equalities(&binary.rhs, matching));
    for (wanted, from, to) in [(to_right, &left, &mut binary.rhs), (to_left, &right, &mut binary.lhs)] {
        for matcher in from {
            if wanted && takes(to, matcher.name()) {
                push(to, matcher);
            }
        }
    }
}

/// What every series of `node` has, of labels that decide what meets.
fn equalities(node: &Node, matching: &Matching) -> Vec<Matcher> {
    let mut all = Vec::new();
    if let Some(source) = origin(node) {
        for matcher in &source.matchers {
            let name = matcher.name();
            let listed = matching.labels.iter().any(|label| label == name);
            if matcher.op() == MatchOp::Equal
                && !matcher.value().is_empty()
                && !is_metadata(name)
                && listed == matching.on
                && keeps(node, name)
            {
                all.push(matcher.clone());
            }
        }
    }
    all
}

/// The selector that the series of `node` come from, where there is one.
fn origin(node: &Node) -> Option<&Source> {
    match &node.kind {
        Kind::Scan(source) | Kind::Timestamps(source) => Some(source),
        Kind::Range(call) => match &call.input {
            RangeInput::Source(source) => Some(source),
            RangeInput::Subquery(inner) => origin(&inner.input),
        },
        Kind::Negate(input) | Kind::Dedupe { input, .. } => origin(input),
        Kind::Call { function, args, .. } if is_plain(*function) => args.iter().find_map(origin),
        Kind::Aggregate(aggregate) => origin(&aggregate.input),
        Kind::Binary(binary) if binary.matching.is_none() => {
            origin(&binary.lhs).or_else(|| origin(&binary.rhs))
        }
        _ => None,
    }
}

/// Whether series of `node` have `label` as the series of their origin have it.
fn keeps(node: &Node, label: &str) -> bool {
    match &node.kind {
        Kind::Scan(_) | Kind::Timestamps(_) => true,
        Kind::Range(call) => match &call.input {
            RangeInput::Source(_) => true,
            RangeInput::Subquery(inner) => keeps(&inner.input, label),
        },
        Kind::Negate(input) | Kind::Dedupe { input, .. } => keeps(input, label),
        Kind::Call { args, .. } => {
            args.iter().filter(|arg| origin(arg).is_some()).all(|arg| keeps(arg, label))
        }
        Kind::Aggregate(aggregate) => {
            let grouped = aggregate.grouping.iter().any(|name| name == label) != aggregate.without;
            let picks = matches!(
                aggregate.op,
                AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio
            );
            // `count_values` writes a label of its own.
            aggregate.op != AggregateOp::CountValues && (picks || grouped) && keeps(&aggregate.input, label)
        }
        Kind::Binary(binary) => [&binary.lhs, &binary.rhs]
            .into_iter()
            .filter(|side| origin(side).is_some())
            .all(|side| keeps(side, label)),
        _ => false,
    }
}

/// Whether `label` can be pushed to the selector of `node` without anybody seeing more than the missing series.
fn takes(node: &Node, label: &str) -> bool {
    match &node.kind {
        Kind::Scan(source) | Kind::Timestamps(source) => source.edge.is_none(),
        Kind::Range(call) => {
            let alone =
                call.params.is_empty() && matches!(&call.input, RangeInput::Source(s) if s.edge.is_none());
            alone && is_quiet_over_time(call.function)
        }
        Kind::Call { function, args, .. } => {
            is_plain(*function) && args.len() == 1 && args.iter().all(|arg| takes(arg, label))
        }
        Kind::Aggregate(aggregate) => {
            let quiet = matches!(aggregate.op, AggregateOp::Count | AggregateOp::Group);
            quiet && keeps(node, label) && takes(&aggregate.input, label)
        }
        _ => false,
    }
}

/// Adds `matcher` to the selector of `node`, which takes it.
fn push(node: &mut Node, matcher: &Matcher) {
    if let Some(source) = node.source_mut() {
        if !source.matchers.contains(matcher) {
            source.matchers.push(matcher.clone());
        }
        return;
    }
    for child in node.children_mut() {
        push(child, matcher);
    }
}

/// Whether no two series of `node` are equal in the labels that decide what meets.
fn is_unique(node: &Node, matching: &Matching) -> bool {
    match &node.kind {
        Kind::Aggregate(aggregate) => {
            let picks = matches!(
                aggregate.op,
                AggregateOp::Topk
                    | AggregateOp::Bottomk
                    | AggregateOp::Limitk
                    | AggregateOp::LimitRatio
                    | AggregateOp::CountValues
            );
            let matched =
                |name: &String| (matching.labels.contains(name) == matching.on) && !is_metadata(name);
            !picks && !aggregate.without && aggregate.grouping.iter().all(matched)
        }
        Kind::Scan(_) | Kind::Timestamps(_) | Kind::Range(_) => {
            !matching.on && matching.labels.is_empty() && has_one_name(node)
        }
        Kind::Call { function, args, .. } => {
            is_plain(*function) && args.first().is_some_and(|arg| is_unique(arg, matching))
        }
        _ => false,
    }
}

/// Functions of single samples, which leave out histograms and say nothing.
fn is_plain(function: FunctionId) -> bool {
    use FunctionId as F;
    matches!(
        function,
        F::Abs | F::Ceil | F::Floor | F::Exp | F::Ln | F::Log2 | F::Log10 | F::Sqrt | F::Sgn | F::Round
    )
}

/// Functions over time that say nothing, whatever they see.
fn is_quiet_over_time(function: FunctionId) -> bool {
    use FunctionId as F;
    matches!(
        function,
        F::LastOverTime | F::FirstOverTime | F::CountOverTime | F::PresentOverTime | F::Changes | F::Resets
    )
}
