//! Rewrite: selectors below an aggregation ask only for the labels it looks at.
//!
//! It reaches through operators that treat all series alike. It stops at everything that reads or
//! compares label sets. The metric name always stays: annotations show it. A range function right below such an
//! aggregation need not drop it, which would build a new label set per series.

use nave_model::label::METRIC_NAME;
use nave_model::select::Projection;

use super::{Kind, Node, RangeInput};
use crate::ast::{AggregateOp, ValueType};
use crate::execute::is_metadata;
use crate::function::FunctionId;

/// Sets the projection of all selectors below `node`.
pub(super) fn project(node: &mut Node) {
    visit(node, &Projection::All);
}

fn visit(node: &mut Node, wanted: &Projection) {
    // Any label of info series may be asked for.
    if !matches!(node.kind, Kind::Info(_))
        && let Some(source) = node.source_mut()
    {
        source.projection = wanted.clone();
    }
    match &mut node.kind {
        Kind::Aggregate(aggregate) => {
            let inner = match aggregate.op {
                AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
                    Projection::All
                }
                _ if aggregate.without => {
                    let unseen = aggregate.grouping.iter().filter(|name| *name != METRIC_NAME);
                    Projection::Without(unseen.cloned().collect())
                }
                _ => only(&aggregate.grouping),
            };
            visit(&mut aggregate.input, &inner);
            if let (Projection::Only(_), Kind::Range(call)) = (&inner, &mut aggregate.input.kind) {
                call.name_unseen = !aggregate.grouping.iter().any(|name| is_metadata(name));
            }
            if let Some(param) = &mut aggregate.param {
                visit(param, &Projection::All);
            }
        }
        Kind::Negate(input) => visit(input, wanted),
        Kind::Binary(binary) if binary.matching.is_none() => {
            visit(&mut binary.lhs, wanted);
            visit(&mut binary.rhs, wanted);
        }
        Kind::Call { function, args, .. } if is_blind(*function) => {
            args.iter_mut().for_each(|arg| visit(arg, wanted));
        }
        Kind::Range(call) => {
            if let RangeInput::Subquery(subquery) = &mut call.input {
                visit(&mut subquery.input, wanted);
            }
            call.params.iter_mut().for_each(|param| visit(param, &Projection::All));
        }
        _ => node.children_mut().into_iter().for_each(|child| visit(child, &Projection::All)),
    }
}

fn only(grouping: &[String]) -> Projection {
    let mut labels = grouping.to_vec();
    if let Err(at) = labels.binary_search_by(|label| label.as_str().cmp(METRIC_NAME)) {
        labels.insert(at, METRIC_NAME.to_owned());
    }
    Projection::Only(labels)
}

/// Functions of single samples.
fn is_blind(function: FunctionId) -> bool {
    use FunctionId as F;
    matches!(
        function,
        F::Abs
            | F::Ceil
            | F::Floor
            | F::Exp
            | F::Ln
            | F::Log2
            | F::Log10
            | F::Sqrt
            | F::Round
            | F::Sgn
            | F::Clamp
            | F::ClampMin
            | F::ClampMax
            | F::Timestamp
    )
}

impl Node {
    /// Whether it gives one number per step.
    pub(crate) fn is_scalar(&self) -> bool {
        self.ty == ValueType::Scalar
    }
}
