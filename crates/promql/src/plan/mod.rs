//! The logical plan: what is evaluated, over which times, from which selections.
//!
//! [`build`] turns a syntax tree into a plan for one query, with `@ start()`, durations and the steps of
//! subqueries resolved. [`optimize`] then applies the rewrites, one per file; each of them leaves every
//! answer as it was. [`explain`] prints a plan, one node per line.

mod build;
mod duration;
mod explain;
mod fold;
mod narrow;
mod pinned;
mod project;
mod propagate;
#[cfg(test)]
mod property;
mod reading;
mod rewrite;
mod share;
mod steps;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::select::{Need, Projection};
use nave_model::time::TimeRange;

use crate::ast::{AggregateOp, BinaryOp, ByteString, Edge, Matching, Position, ValueType};
use crate::function::FunctionId;

pub(crate) use build::{Query, build};
pub(crate) use explain::explain;
pub(crate) use rewrite::optimize;
pub use rewrite::{Rewrite, Rewrites};
pub(crate) use steps::{Shift, Steps};

/// An expression of the plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// The expression in the query, for annotations.
    pub(crate) pos: Position,
    /// What it gives.
    pub(crate) ty: ValueType,
    /// What it does.
    pub(crate) kind: Kind,
}

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// The same number at every step.
    Number(f64),
    /// A text; only as an argument or as the whole query.
    Text(ByteString),
    /// The newest sample per step.
    Scan(Source),
    /// The time of the newest sample per step.
    Timestamps(Source),
    /// Since when the newest sample per step counts.
    StartTimes(Source),
    /// Series with the labels of info series.
    Info(Box<Info>),
    /// A function over a range vector.
    Range(Box<RangeCall>),
    /// The samples themselves; only as the whole query.
    Raw(RangeInput),
    /// Any other function.
    Call {
        function: FunctionId,
        args: Vec<Node>,
        /// Where the arguments stand, with their parentheses.
        positions: Vec<Position>,
    },
    /// 1 where the input has no sample.
    Absent { input: Box<Node>, labels: Labels },
    /// An aggregation.
    Aggregate(Box<Aggregate>),
    /// An operator.
    Binary(Box<Binary>),
    /// Unary minus.
    Negate(Box<Node>),
    /// Merges series that became equal, where they do not overlap; strips names that were only marked.
    Dedupe { input: Box<Node>, strip: bool },
    /// An expression that stands in several places and is evaluated once.
    Shared(Shared),
}

/// A selector: which series and which times.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    /// All must match.
    pub(crate) matchers: Vec<Matcher>,
    /// `offset` and `@`.
    pub(crate) shift: Shift,
    /// How far a step looks back: the lookback or the range; in ms.
    pub(crate) window_ms: i64,
    /// Whether it stands in `[...]`.
    pub(crate) is_range: bool,
    /// `anchored` or `smoothed`.
    pub(crate) edge: Option<Edge>,
    /// How far beyond its range an edge looks, in ms.
    pub(crate) lookback_ms: i64,
    /// The times asked from the store.
    pub(crate) range: TimeRange,
    /// What is asked from the store.
    pub(crate) need: Need,
    /// The labels asked from the store.
    pub(crate) projection: Projection,
    /// Counter reset hints that the store leaves open are filled in; upstream does so where only the figures
    /// of histograms are wanted.
    pub(crate) detects_resets: bool,
    /// The function or aggregation around it.
    pub(crate) function: &'static str,
    /// What it reads together with other selectors.
    pub(crate) reading: Option<Box<Reading>>,
}

/// What several selectors read together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// The same for all of them, and no number of a [`Shared`].
    pub(crate) id: usize,
    /// What is asked from the store: enough for each of them.
    pub(crate) range: TimeRange,
    pub(crate) need: Need,
    pub(crate) projection: Projection,
}

/// An expression that stands in several places of the plan. Each place has it as it stands there, with its positions in the
/// query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shared {
    /// The same at every place.
    pub(crate) id: usize,
    /// How many places there are.
    pub(crate) readers: usize,
    pub(crate) input: Arc<Node>,
}

/// `info()`: a join with series whose labels describe others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Info {
    pub(crate) input: Node,
    /// The info series, by name and by the labels that are asked for.
    pub(crate) source: Source,
    /// Conditions on the labels to add; without any all are added.
    pub(crate) labels: Vec<Matcher>,
    /// Conditions on the name; series of the input that meet all of them are not touched.
    pub(crate) names: Vec<Matcher>,
}

/// A range vector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RangeInput {
    /// `metric[5m]`
    Source(Source),
    /// `expr[5m:1m]`
    Subquery(Box<Subquery>),
}

/// An expression evaluated at steps of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subquery {
    pub(crate) input: Node,
    /// When the input is evaluated.
    pub(crate) steps: Steps,
    /// How far a step looks back.
    pub(crate) range_ms: i64,
    /// `offset` and `@`.
    pub(crate) shift: Shift,
}

/// A function over a range vector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RangeCall {
    pub(crate) function: FunctionId,
    pub(crate) name: &'static str,
    pub(crate) input: RangeInput,
    /// Where the range vector stands.
    pub(crate) input_pos: Position,
    /// Where the first scalar argument stands, with its parentheses.
    pub(crate) param_pos: Position,
    /// The scalar arguments, in order.
    pub(crate) params: Vec<Node>,
    /// The metric name need not be dropped: what reads this looks at other labels only.
    pub(crate) name_unseen: bool,
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) input: Node,
    pub(crate) param: Option<Node>,
    /// Sorted, unique.
    pub(crate) grouping: Vec<String>,
    pub(crate) without: bool,
}

/// An operator with two operands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binary {
    pub(crate) op: BinaryOp,
    pub(crate) lhs: Node,
    pub(crate) rhs: Node,
    pub(crate) return_bool: bool,
    /// `Some` when both sides are vectors.
    pub(crate) matching: Option<Matching>,
}

impl Node {
    /// The nodes below, in the order of evaluation.
    fn children_mut(&mut self) -> Vec<&mut Node> {
        match &mut self.kind {
            Kind::Number(_) | Kind::Text(_) | Kind::Scan(_) => Vec::new(),
            Kind::Timestamps(_) | Kind::StartTimes(_) => Vec::new(),
            Kind::Info(info) => vec![&mut info.input],
            Kind::Raw(RangeInput::Source(_)) => Vec::new(),
            Kind::Raw(RangeInput::Subquery(subquery)) => vec![&mut subquery.input],
            Kind::Range(call) => {
                let RangeCall { input, params, .. } = &mut **call;
                let inner = match input {
                    RangeInput::Source(_) => None,
                    RangeInput::Subquery(subquery) => Some(&mut subquery.input),
                };
                inner.into_iter().chain(params).collect()
            }
            Kind::Call { args, .. } => args.iter_mut().collect(),
            Kind::Aggregate(aggregate) => {
                let Aggregate { input, param, .. } = &mut **aggregate;
                std::iter::once(input).chain(param).collect()
            }
            Kind::Binary(binary) => {
                let Binary { lhs, rhs, .. } = &mut **binary;
                vec![lhs, rhs]
            }
            Kind::Absent { input, .. } | Kind::Negate(input) | Kind::Dedupe { input, .. } => vec![input],
            Kind::Shared(shared) => vec![Arc::make_mut(&mut shared.input)],
        }
    }

    /// The nodes below, as [`Self::children_mut`], and when they are evaluated.
    fn children(&self, steps: Steps) -> Vec<(&Node, Steps)> {
        let here = |node| (node, steps);
        match &self.kind {
            Kind::Number(_) | Kind::Text(_) | Kind::Scan(_) => Vec::new(),
            Kind::Timestamps(_) | Kind::StartTimes(_) => Vec::new(),
            Kind::Info(info) => vec![here(&info.input)],
            Kind::Raw(RangeInput::Source(_)) => Vec::new(),
            Kind::Raw(RangeInput::Subquery(subquery)) => vec![(&subquery.input, subquery.steps)],
            Kind::Range(call) => {
                let inner = match &call.input {
                    RangeInput::Source(_) => None,
                    RangeInput::Subquery(subquery) => Some((&subquery.input, subquery.steps)),
                };
                inner.into_iter().chain(call.params.iter().map(here)).collect()
            }
            Kind::Call { args, .. } => args.iter().map(here).collect(),
            Kind::Aggregate(aggregate) => {
                std::iter::once(&aggregate.input).chain(&aggregate.param).map(here).collect()
            }
            Kind::Binary(binary) => vec![here(&binary.lhs), here(&binary.rhs)],
            Kind::Absent { input, .. } | Kind::Negate(input) | Kind::Dedupe { input, .. } => {
                vec![here(input)]
            }
            Kind::Shared(shared) => vec![here(&shared.input)],
        }
    }

    /// What is evaluated here, shared or not.
    pub(crate) fn unshared(&self) -> &Node {
        match &self.kind {
            Kind::Shared(shared) => shared.input.unshared(),
            _ => self,
        }
    }

    /// Where this node and all below it stand in the query; in the same order for equal nodes.
    pub(crate) fn positions(&self) -> Vec<Position> {
        let mut all = vec![self.pos];
        match &self.kind {
            Kind::Range(call) => all.extend([call.input_pos, call.param_pos]),
            Kind::Call { positions, .. } => all.extend(positions),
            _ => {}
        }
        for (child, _) in self.children(Steps::instant(0)) {
            all.extend(child.positions());
        }
        all
    }

    /// The selector that this node reads itself.
    fn source_mut(&mut self) -> Option<&mut Source> {
        match &mut self.kind {
            Kind::Scan(source)
            | Kind::Timestamps(source)
            | Kind::StartTimes(source)
            | Kind::Raw(RangeInput::Source(source)) => Some(source),
            Kind::Info(info) => Some(&mut info.source),
            Kind::Range(call) => match &mut call.input {
                RangeInput::Source(source) => Some(source),
                RangeInput::Subquery(_) => None,
            },
            _ => None,
        }
    }

    /// As [`Self::source_mut`].
    fn source(&self) -> Option<&Source> {
        match &self.kind {
            Kind::Scan(source)
            | Kind::Timestamps(source)
            | Kind::StartTimes(source)
            | Kind::Raw(RangeInput::Source(source)) => Some(source),
            Kind::Info(info) => Some(&info.source),
            Kind::Range(call) => match &call.input {
                RangeInput::Source(source) => Some(source),
                RangeInput::Subquery(_) => None,
            },
            _ => None,
        }
    }

    /// The newest time that any selector in or below this node asks from the store; `None` without selectors.
    pub(crate) fn newest_read(&mut self) -> Option<i64> {
        let own = self.source_mut().map(|source| source.range.max.0);
        let below = self.children_mut().into_iter().filter_map(Self::newest_read);
        own.into_iter().chain(below).max()
    }

    /// The shift of the first selector in or below this node, with those of the subqueries around it.
    fn first_shift(&self) -> Option<Shift> {
        let of_range = |input: &RangeInput| match input {
            RangeInput::Source(source) => Some(source.shift),
            RangeInput::Subquery(subquery) => {
                subquery.input.first_shift().map(|inner| inner.below(subquery.shift))
            }
        };
        match &self.kind {
            Kind::Number(_) | Kind::Text(_) => None,
            Kind::Scan(source) | Kind::Timestamps(source) | Kind::StartTimes(source) => Some(source.shift),
            Kind::Raw(input) => of_range(input),
            Kind::Range(call) => of_range(&call.input),
            Kind::Info(info) => info.input.first_shift(),
            Kind::Call { args, .. } => args.iter().find_map(Self::first_shift),
            Kind::Aggregate(aggregate) => aggregate.input.first_shift(),
            Kind::Binary(binary) => binary.lhs.first_shift().or_else(|| binary.rhs.first_shift()),
            Kind::Absent { input, .. } | Kind::Negate(input) | Kind::Dedupe { input, .. } => {
                input.first_shift()
            }
            Kind::Shared(shared) => shared.input.first_shift(),
        }
    }

    /// The steps at which the children of this node are evaluated.
    fn inner_steps(&self, steps: Steps) -> Steps {
        match &self.kind {
            Kind::Raw(RangeInput::Subquery(subquery)) => subquery.steps,
            _ => steps,
        }
    }
}
