//! Executes a plan: one operator per node, pulled series by series.
//!
//! The contract of an [`Operator`] has two calls. [`Operator::series`], once, says which series will
//! come; then [`Operator::next`], once per series and in that order, gives a column with a value per
//! step. Knowing the series first lets operators match and group before any sample is read; going
//! series by series lets an aggregation hold one input series and its groups.
//!
//! Operators run on one blocking thread per query. Decoding and range functions, where the time goes,
//! are split over the CPU pool by [`scan`] in chunks of series, and come back in series order.

mod absent;
mod aggregate;
mod binary;
mod call;
mod collect;
mod column;
mod context;
mod count_values;
mod dedupe;
mod edge;
mod edge_histogram;
mod grouping;
mod histogram_call;
mod info;
mod label;
mod ledger;
mod limit_ratio;
mod matching;
mod meter;
mod note;
mod quantile;
mod range;
mod range_function;
mod range_histogram;
mod raw;
mod reading;
mod scalar;
mod scan;
mod set;
mod shared;
mod sort;
mod subquery;
mod topk;

use nave_model::label::{Labels, METRIC_NAME};

use crate::ast::{AggregateOp, Edge};
use crate::error::QueryError;
use crate::plan::{Kind, Node, Steps};

pub(crate) use binary::{keeps_name, scalar_binary};
pub(crate) use call::is_elementwise;
pub(crate) use collect::{Collected, collect};
pub(crate) use column::{Column, bytes as column_bytes};
pub(crate) use context::{Context, Parts};
pub(crate) use meter::{Figures, Meter};
pub(crate) use note::Level;
pub(crate) use range_function::range_kernel;
use range_histogram::range_histogram;
pub(crate) use raw::raw;
use scan::Reading;

type Result<T, E = QueryError> = std::result::Result<T, E>;

/// What is known of a series before its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// The metric name goes at the end of the query (delayed name removal only).
    pub(crate) drop_name: bool,
}

/// Whether a label describes the metric as a whole: its name, type or unit. They go together.
pub(crate) fn is_metadata(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

/// `labels` after an operation whose result is another metric.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    labels.filtered(|name| !is_metadata(name))
}

/// Evaluates one node of the plan; see the module for when what may be called.
pub(crate) trait Operator: Send {
    /// Which series come. Called once, first.
    fn series(&mut self) -> Result<Vec<Series>>;

    /// The samples of the next series into `column`, which is cleared first. Called as often as there
    /// are series.
    fn next(&mut self, column: &mut Column) -> Result<()>;
}

type BoxOperator = Box<dyn Operator>;

/// The operator of `node`, evaluated at `steps`.
pub(crate) fn operator(node: &Node, steps: Steps, context: &Context) -> Result<BoxOperator> {
    let inner = |node: &Node| operator(node, steps, context);
    let operator = match &node.kind {
        Kind::Number(value) => scalar::number(*value, steps),
        Kind::Text(_) => return Err(QueryError::Internal("a text has no samples".into())),
        Kind::Scan(source) => scan::instant(source, steps, context, (Reading::Value, node.pos))?,
        Kind::Timestamps(source) => scan::instant(source, steps, context, (Reading::Time, node.pos))?,
        Kind::StartTimes(source) => scan::instant(source, steps, context, (Reading::StartTime, node.pos))?,
        Kind::Info(info) => info::operator(inner(&info.input)?, info, steps, context),
        Kind::Raw(_) => return Err(QueryError::Internal("range vector outside of a function".into())),
        Kind::Range(call) => range::operator(call, steps, context)?,
        Kind::Call { function, args, positions } => {
            call::operator(node, *function, (args, positions), steps, context)?
        }
        Kind::Absent { input, labels } => absent::operator(inner(input)?, labels, steps),
        Kind::Aggregate(aggregate) => aggregate_operator(aggregate, steps, context)?,
        Kind::Binary(node_binary) => binary::operator(node, node_binary, steps, context)?,
        Kind::Negate(input) if input.is_scalar() => scalar::map(inner(input)?, |value| -value),
        Kind::Negate(input) => call::negate(inner(input)?, context),
        Kind::Shared(_) if context.evaluates_alone() => inner(node.unshared())?,
        Kind::Shared(shared) => shared::operator(shared, steps, context)?,
        Kind::Dedupe { input, strip } => {
            dedupe::operator(inner(input)?, *strip, dedupe_message(input), context, steps)
        }
    };
    Ok(match context.meter() {
        Some(meter) => meter.wrap(node, operator),
        None => operator,
    })
}

fn dedupe_message(input: &Node) -> &'static str {
    match &input.unshared().kind {
        Kind::Binary(binary) if binary.matching.is_some() && !binary.op.is_set() => {
            "multiple matches for labels: grouping labels must ensure unique matches"
        }
        _ => dedupe::SAME_LABELSET,
    }
}

fn aggregate_operator(
    aggregate: &crate::plan::Aggregate,
    steps: Steps,
    context: &Context,
) -> Result<BoxOperator> {
    let input = operator(&aggregate.input, steps, context)?;
    let scalar = || match &aggregate.param {
        Some(param) => scalar::values(operator(param, steps, context)?),
        None => Err(QueryError::Internal(format!("{} without its parameter", aggregate.op.as_str()))),
    };
    match aggregate.op {
        AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk => {
            topk::operator(input, aggregate, &scalar()?, steps, context)
        }
        AggregateOp::Quantile => quantile::operator(input, aggregate, scalar()?, steps, context),
        AggregateOp::CountValues => count_values::operator(input, aggregate, steps, context),
        AggregateOp::LimitRatio => limit_ratio::operator(input, aggregate, scalar()?, context),
        _ => Ok(aggregate::operator(input, aggregate, steps, context)),
    }
}

/// Why a selector with `anchored` or `smoothed` cannot stand in `function`.
pub(crate) fn refuses_edge(edge: Edge, function: &str, is_range: bool) -> Option<QueryError> {
    let allowed: &[&str] = match edge {
        Edge::Anchored => &["changes", "delta", "increase", "rate", "resets"],
        Edge::Smoothed => &["delta", "increase", "rate"],
    };
    if is_range && function.is_empty() || !is_range && (edge == Edge::Anchored || function == "timestamp") {
        return Some(QueryError::not_built(&format!("modifier {} in this place", edge.as_str())));
    }
    if !is_range || allowed.contains(&function) {
        return None;
    }
    let (edge, allowed) = (edge.as_str(), allowed.join(", "));
    Some(QueryError::execution(format!(
        "{edge} modifier can only be used with: {allowed} - not with {function}"
    )))
}
