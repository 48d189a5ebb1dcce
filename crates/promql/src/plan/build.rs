//! From syntax tree to plan.
//!
//! What depends on the query as a whole is resolved here: `@ start()`, computed durations, default
//! resolutions of subqueries, functions that are constants. What is not built is refused here, by name,
//! before any data is read.

use nave_model::label::{Builder, Labels, METRIC_NAME};
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::select::{Need, Projection};
use nave_model::time::TimeRange;

use crate::ast::{self, At, Expr, ExprKind, Position, Span, ValueType};
use crate::error::QueryError;
use crate::execute::{is_elementwise, keeps_name, range_kernel, refuses_edge};
use crate::function::FunctionId;

use super::duration::{milliseconds, positive};
use super::{Aggregate, Binary, Info, Kind, Node, RangeCall, RangeInput, Shift, Source, Steps, Subquery};

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    /// When the whole expression is evaluated.
    pub(crate) steps: Steps,
    /// An instant query, whose step counts as 0.
    pub(crate) is_instant: bool,
    /// How far instant selectors look back, in ms.
    pub(crate) lookback_ms: i64,
    /// The resolution of subqueries without one, in ms.
    pub(crate) default_step_ms: i64,
    /// Metric names are dropped at the end of the query instead of at once.
    pub(crate) delayed_names: bool,
    /// Start timestamps count.
    pub(crate) use_starts: bool,
}

/// The plan of `expr`.
pub(crate) fn build(expr: &Expr, query: Query) -> Result<Node, QueryError> {
    let builder = PlanBuilder { query, function: "", figures: Figures::No };
    let node = builder.node(expr, query.steps)?;
    let vector = matches!(node.ty, ValueType::Vector | ValueType::Matrix);
    if query.delayed_names && vector && !matches!(node.kind, Kind::Raw(RangeInput::Source(_))) {
        return Ok(dedupe(node, true));
    }
    Ok(node)
}

fn dedupe(node: Node, strip: bool) -> Node {
    Node { pos: node.pos, ty: node.ty, kind: Kind::Dedupe { input: Box::new(node), strip } }
}

#[derive(Clone, Copy)]
struct PlanBuilder {
    query: Query,
    /// The function or aggregation around the current expression.
    function: &'static str,
    figures: Figures,
}

/// Whether only count and sum of histograms are wanted of an expression, as far as upstream can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figures {
    No,
    Yes,
    /// Not below a subquery, whatever stands there.
    Never,
}

impl Figures {
    fn inside(self, function: FunctionId) -> Self {
        use FunctionId as F;
        match function {
            _ if self == Self::Never => self,
            F::HistogramCount | F::HistogramSum | F::HistogramAvg => Self::Yes,
            F::HistogramQuantile
            | F::HistogramQuantiles
            | F::HistogramFraction
            | F::HistogramStddev
            | F::HistogramStdvar => Self::No,
            _ => self,
        }
    }
}

impl PlanBuilder {
    fn node(self, expr: &Expr, steps: Steps) -> Result<Node, QueryError> {
        let make = |kind| Node { pos: expr.pos, ty: expr.value_type(), kind };
        Ok(match &expr.kind {
            ExprKind::Number(number) => make(Kind::Number(number.value)),
            ExprKind::String(text) => make(Kind::Text(text.clone())),
            ExprKind::Paren(inner) => self.node(inner, steps)?,
            ExprKind::Selector(selector) => make(Kind::Scan(self.source(selector, None)?)),
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => make(Kind::Raw(self.range_input(expr, steps)?)),
            ExprKind::Call(call) => self.call(expr, call, steps)?,
            ExprKind::Aggregate(aggregate) => make(self.aggregate(aggregate, steps)?),
            ExprKind::Binary(binary) => self.binary(expr, binary, steps)?,
            ExprKind::Unary(unary) => {
                let input = self.node(&unary.expr, steps)?;
                if unary.negative { self.named(make(Kind::Negate(Box::new(input)))) } else { input }
            }
        })
    }

    /// A node that drops the metric name: equal label sets may result.
    fn named(self, node: Node) -> Node {
        if self.query.delayed_names || node.ty != ValueType::Vector { node } else { dedupe(node, false) }
    }

    fn shift(self, offset: &Span, at: Option<At>) -> Result<Shift, QueryError> {
        let at = at.map(|at| match at {
            At::Time(time) => time.0,
            At::Start => self.query.steps.start,
            At::End => self.query.steps.end,
        });
        Ok(Shift { offset: milliseconds(offset, self.query.steps, self.query.is_instant)?, at })
    }

    fn source(self, selector: &ast::Selector, range_ms: Option<i64>) -> Result<Source, QueryError> {
        if let Some(error) =
            selector.edge.and_then(|edge| refuses_edge(edge, self.function, range_ms.is_some()))
        {
            return Err(error);
        }
        Ok(Source {
            matchers: selector.matchers.clone(),
            shift: self.shift(&selector.offset, selector.at)?,
            window_ms: range_ms.unwrap_or(self.query.lookback_ms),
            is_range: range_ms.is_some(),
            edge: selector.edge,
            lookback_ms: self.query.lookback_ms,
            range: TimeRange::ALL,
            need: Need::Samples,
            projection: Projection::All,
            detects_resets: self.figures == Figures::Yes,
            function: self.function,
            reading: None,
        })
    }

    fn range_input(self, expr: &Expr, steps: Steps) -> Result<RangeInput, QueryError> {
        let Query { steps: whole, is_instant, default_step_ms, .. } = self.query;
        match &expr.unparenthesized().kind {
            ExprKind::Matrix(matrix) => {
                let range = positive(&matrix.range, whole, is_instant)?;
                Ok(RangeInput::Source(self.source(&matrix.selector, Some(range))?))
            }
            ExprKind::Subquery(subquery) => {
                let range_ms = positive(&subquery.range, whole, is_instant)?;
                let step = match &subquery.step {
                    Some(step) => positive(step, whole, is_instant)?,
                    None => default_step_ms.max(1),
                };
                let shift = self.shift(&subquery.offset, subquery.at)?;
                let inner = steps.subquery(shift, range_ms, step);
                let input =
                    Self { function: "", figures: Figures::Never, ..self }.node(&subquery.expr, inner)?;
                Ok(RangeInput::Subquery(Box::new(Subquery { input, steps: inner, range_ms, shift })))
            }
            _ => Err(QueryError::Internal(format!("expected a range vector, got {:?}", expr.value_type()))),
        }
    }

    fn call(self, expr: &Expr, call: &ast::Call, steps: Steps) -> Result<Node, QueryError> {
        use FunctionId as F;
        let function = call.function;
        let figures = self.figures.inside(function.id);
        let inside = Self { function: function.name, figures, ..self };
        let make = |kind| Node { pos: expr.pos, ty: function.returns, kind };
        let number = |value| Ok(make(Kind::Number(value)));
        let whole = self.query.steps;
        match function.id {
            F::Pi => return number(std::f64::consts::PI),
            F::Start => return number(whole.start as f64 / 1000.0),
            F::End => return number(whole.end as f64 / 1000.0),
            F::Range => return number((whole.end - whole.start) as f64 / 1000.0),
            F::Step if self.query.is_instant => return number(0.0),
            F::Step => return number(whole.step as f64 / 1000.0),
            F::Absent => {
                let labels = absent_labels(&call.args[0]);
                let input = Box::new(inside.node(&call.args[0], steps)?);
                return Ok(make(Kind::Absent { input, labels }));
            }
            F::AbsentOverTime => {
                let labels = absent_labels(&call.args[0]);
                let input = Box::new(inside.range_call(expr.pos, F::PresentOverTime, call, steps)?);
                return Ok(make(Kind::Absent { input, labels }));
            }
            F::Timestamp => {
                if let ExprKind::Selector(selector) = &call.args[0].unparenthesized().kind {
                    let source = inside.source(selector, None)?;
                    return Ok(self.named(make(Kind::Timestamps(source))));
                }
            }
            F::StartTimestamp if !self.query.use_starts => return Err(no_starts()),
            F::StartTimestamp => {
                if let ExprKind::Selector(selector) = &call.args[0].unparenthesized().kind {
                    let source = inside.source(selector, None)?;
                    return Ok(self.named(make(Kind::StartTimes(source))));
                }
            }
            F::Info => return Ok(dedupe(make(inside.info(call, steps)?), false)),
            _ => {}
        }
        if call.args.iter().any(|arg| arg.value_type() == ValueType::Matrix) {
            let node = inside.range_call(expr.pos, function.id, call, steps)?;
            let keeps_name = matches!(function.id, F::LastOverTime | F::FirstOverTime);
            return Ok(if keeps_name { node } else { self.named(node) });
        }
        if !is_elementwise(function.id) {
            return Err(QueryError::not_built(&format!("function {}()", function.name)));
        }
        let args = call.args.iter().map(|arg| inside.node(arg, steps)).collect::<Result<_, _>>()?;
        let positions = call.args.iter().map(|arg| arg.pos).collect();
        let node = make(Kind::Call { function: function.id, args, positions });
        Ok(match function.id {
            F::LabelReplace | F::LabelJoin => dedupe(node, false),
            F::Sort | F::SortDesc | F::SortByLabel | F::SortByLabelDesc | F::Vector | F::Scalar => node,
            _ => self.named(node),
        })
    }

    fn info(self, call: &ast::Call, steps: Steps) -> Result<Kind, QueryError> {
        let input = self.node(&call.args[0], steps)?;
        let asked: &[Matcher] = match call.args.get(1).map(|arg| &arg.kind) {
            Some(ExprKind::Selector(selector)) => &selector.matchers,
            _ => &[],
        };
        let (mut names, labels): (Vec<Matcher>, Vec<Matcher>) =
            asked.iter().cloned().partition(|matcher| matcher.name() == METRIC_NAME);
        let positive = |matcher: &Matcher| matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex);
        if names.is_empty() {
            names.push(Matcher::metric_name("target_info"));
        } else if !names.iter().any(positive) {
            // What names do not say, the convention does.
            let convention = Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info");
            names.push(convention.map_err(|error| QueryError::Internal(error.to_string()))?);
        }
        let source = Source {
            matchers: names.iter().chain(&labels).cloned().collect(),
            shift: input.first_shift().unwrap_or_default(),
            window_ms: self.query.lookback_ms,
            is_range: false,
            edge: None,
            lookback_ms: self.query.lookback_ms,
            range: TimeRange::ALL,
            need: Need::Samples,
            projection: Projection::All,
            detects_resets: false,
            function: self.function,
            reading: None,
        };
        Ok(Kind::Info(Box::new(Info { input, source, labels, names })))
    }

    fn range_call(
        self,
        pos: Position,
        function: FunctionId,
        call: &ast::Call,
        steps: Steps,
    ) -> Result<Node, QueryError> {
        if !range_kernel(function) {
            return Err(QueryError::not_built(&format!("function {}()", call.function.name)));
        }
        let (mut input, mut param_pos, mut params) = (None, None, Vec::new());
        for arg in &call.args {
            if arg.value_type() == ValueType::Matrix {
                let input_now = self.range_input(arg, steps)?;
                // Upstream puts remarks on a subquery's samples at the start of the query.
                let at_start = matches!(input_now, RangeInput::Subquery(_));
                let pos = if at_start { Position::default() } else { arg.pos };
                input = Some((input_now, pos));
            } else {
                param_pos.get_or_insert(arg.pos);
                params.push(self.node(arg, steps)?);
            }
        }
        let Some((input, input_pos)) = input else {
            return Err(QueryError::Internal(format!("{}() without a range vector", call.function.name)));
        };
        let param_pos = param_pos.unwrap_or(input_pos);
        let (name, name_unseen) = (call.function.name, false);
        let call = RangeCall { function, name, input, input_pos, param_pos, params, name_unseen };
        Ok(Node { pos, ty: ValueType::Vector, kind: Kind::Range(Box::new(call)) })
    }

    fn aggregate(self, aggregate: &ast::Aggregate, steps: Steps) -> Result<Kind, QueryError> {
        let inside = Self { function: aggregate.op.as_str(), ..self };
        let mut grouping = aggregate.grouping.clone();
        grouping.sort();
        grouping.dedup();
        let param = aggregate.param.as_ref().map(|param| inside.node(param, steps)).transpose()?;
        let input = inside.node(&aggregate.expr, steps)?;
        let without = aggregate.without;
        Ok(Kind::Aggregate(Box::new(Aggregate { op: aggregate.op, input, param, grouping, without })))
    }

    fn binary(self, expr: &Expr, binary: &ast::Binary, steps: Steps) -> Result<Node, QueryError> {
        let lhs = self.node(&binary.lhs, steps)?;
        let rhs = self.node(&binary.rhs, steps)?;
        let vectors = lhs.ty == ValueType::Vector && rhs.ty == ValueType::Vector;
        let matching = vectors.then(|| binary.matching.clone().unwrap_or_default());
        let kind = Kind::Binary(Box::new(Binary {
            op: binary.op,
            lhs,
            rhs,
            return_bool: binary.return_bool,
            matching,
        }));
        let node = Node { pos: expr.pos, ty: expr.value_type(), kind };
        if vectors && !binary.op.is_set() || binary.op == ast::BinaryOp::Or {
            return Ok(dedupe(node, false));
        }
        let drops_name = !keeps_name(binary.op) || binary.return_bool;
        Ok(if drops_name { self.named(node) } else { node })
    }
}

fn no_starts() -> QueryError {
    QueryError::Invalid("start_timestamp() needs the feature \"use-start-timestamps\", which is off".into())
}

/// The labels that `absent` can know: those that one equality matcher, and nothing else, fixes.
fn absent_labels(expr: &Expr) -> Labels {
    let matchers: &[Matcher] = match &expr.unparenthesized().kind {
        ExprKind::Selector(selector) => &selector.matchers,
        ExprKind::Matrix(matrix) => &matrix.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut labels = Builder::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name() != METRIC_NAME) {
        if matcher.op() == MatchOp::Equal && !seen.contains(&matcher.name()) {
            labels.set(matcher.name(), matcher.value());
            seen.push(matcher.name());
        } else {
            labels.remove(matcher.name());
        }
    }
    labels.build()
}
