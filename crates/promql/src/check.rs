//! Types: what may be given to which function, operator and aggregation.
//!
//! Walks a tree once, bottom up, reports what is wrong with upstream's texts and settles what depends on
//! types: whether vectors are matched at all, and that set operators match many to many.

use nave_model::label::METRIC_NAME;

use crate::ast::{
    Aggregate, Binary, Call, Cardinality, Expr, ExprKind, Position, Selector, Subquery, ValueType,
};
use crate::function::FunctionId;
use crate::parse::ParseError;
use crate::quote::quote;

/// Checks `expr`, which was parsed from `query`, and appends what is wrong to `errors`.
pub(crate) fn check(expr: &mut Expr, query: &[u8], errors: &mut Vec<ParseError>) {
    Checker { query, errors }.expr(expr);
}

struct Checker<'a> {
    query: &'a [u8],
    errors: &'a mut Vec<ParseError>,
}

impl Checker<'_> {
    fn error(&mut self, pos: Position, message: impl Into<String>) {
        self.errors.push(ParseError::new(pos, message.into(), self.query));
    }

    fn expr(&mut self, expr: &mut Expr) -> ValueType {
        let pos = expr.pos;
        match &mut expr.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Selector(selector) => {
                self.selector(selector, pos);
                ValueType::Vector
            }
            ExprKind::Matrix(matrix) => {
                self.selector(&matrix.selector, matrix.selector_pos);
                ValueType::Matrix
            }
            ExprKind::Subquery(subquery) => self.subquery(subquery, pos),
            ExprKind::Call(call) => self.call(call, pos),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate),
            ExprKind::Binary(binary) => self.binary(binary, pos),
            ExprKind::Unary(unary) => {
                let got = self.expr(&mut unary.expr);
                if !matches!(got, ValueType::Scalar | ValueType::Vector) {
                    let message = format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got \"{}\"",
                        got.documented()
                    );
                    self.error(pos, message);
                }
                got
            }
            ExprKind::Paren(inner) => self.expr(inner),
        }
    }

    fn expect(&mut self, expr: &mut Expr, want: ValueType, context: &str) {
        let got = self.expr(expr);
        if got != want {
            let message =
                format!("expected type {} in {context}, got {}", want.documented(), got.documented());
            self.error(expr.pos, message);
        }
    }

    fn selector(&mut self, selector: &Selector, pos: Position) {
        let Selector { name, matchers, .. } = selector;
        if name.is_empty() {
            // Would select everything, by a typo or in earnest.
            if matchers.iter().all(nave_model::matcher::Matcher::matches_empty) {
                self.error(pos, "vector selector must contain at least one non-empty matcher");
            }
            return;
        }
        let (_, in_braces) = matchers.split_last().expect("selector: a name has its matcher");
        for matcher in in_braces.iter().filter(|matcher| matcher.name() == METRIC_NAME) {
            let message = format!(
                "metric name must not be set twice: {} or {}",
                quote(name.as_bytes()),
                quote(matcher.value().as_bytes())
            );
            self.error(pos, message);
        }
    }

    fn subquery(&mut self, subquery: &mut Subquery, pos: Position) -> ValueType {
        let got = self.expr(&mut subquery.expr);
        if got != ValueType::Vector {
            let message = format!("subquery is only allowed on instant vector, got {} instead", got.as_str());
            self.error(pos, message);
        }
        ValueType::Matrix
    }

    fn aggregate(&mut self, aggregate: &mut Aggregate) -> ValueType {
        self.expect(&mut aggregate.expr, ValueType::Vector, "aggregation expression");
        if let (Some(param), Some(want)) = (&mut aggregate.param, aggregate.op.param_type()) {
            self.expect(param, want, "aggregation parameter");
        }
        ValueType::Vector
    }

    fn call(&mut self, call: &mut Call, pos: Position) -> ValueType {
        let function = call.function;
        self.argument_count(call, pos);
        let context = format!("call to function \"{}\"", function.name);
        let is_info = function.id == FunctionId::Info;
        if is_info && let Some(labels) = call.args.get(1) {
            self.info_labels(labels);
        }
        let fixed = function.args_max() == Some(function.args_min());
        for (index, arg) in call.args.iter_mut().enumerate() {
            if fixed && index >= function.args.len() {
                break;
            }
            if is_info && index == 1 && matches!(arg.kind, ExprKind::Selector(_)) {
                // May match everything: it narrows what the first argument finds.
                continue;
            }
            if let Some(want) = function.arg_type(index) {
                self.expect(arg, want, &context);
            }
        }
        function.returns
    }

    fn argument_count(&mut self, call: &Call, pos: Position) {
        let (min, max, got) = (call.function.args_min(), call.function.args_max(), call.args.len());
        let wanted = match max {
            Some(max) if max == min && got != min => format!("{min}"),
            _ if got < min => format!("at least {min}"),
            Some(max) if got > max => format!("at most {max}"),
            _ => return,
        };
        self.error(
            pos,
            format!("expected {wanted} argument(s) in call to \"{}\", got {got}", call.function.name),
        );
    }

    fn info_labels(&mut self, labels: &Expr) {
        match &labels.kind {
            ExprKind::Selector(selector) if selector.name.is_empty() => {}
            ExprKind::Selector(_) => {
                self.error(labels.pos, "expected label selectors only, got vector selector instead");
            }
            _ => self.error(labels.pos, "expected label selectors only"),
        }
    }

    fn binary(&mut self, binary: &mut Binary, pos: Position) -> ValueType {
        let left = self.expr(&mut binary.lhs);
        let right = self.expr(&mut binary.rhs);
        let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
        if binary.return_bool && !binary.op.is_comparison() {
            self.error(self.op_pos(binary), "bool modifier can only be used on comparison operators");
        }
        if binary.op.is_comparison() && !binary.return_bool && scalars {
            self.error(self.op_pos(binary), "comparisons between scalars must use BOOL modifier");
        }
        self.doubled_labels(binary);
        for (got, side) in [(left, binary.lhs.pos), (right, binary.rhs.pos)] {
            if !matches!(got, ValueType::Scalar | ValueType::Vector) {
                self.error(side, "binary expression must contain only scalar and instant vector types");
            }
        }
        if left == ValueType::Vector && right == ValueType::Vector {
            self.vector_matching(binary, pos);
        } else {
            self.no_matching(binary, pos);
        }
        if binary.op.is_set() && (left == ValueType::Scalar || right == ValueType::Scalar) {
            let op = binary.op.as_str();
            self.error(pos, format!("set operator \"{op}\" not allowed in binary scalar expression"));
        }
        if scalars { ValueType::Scalar } else { ValueType::Vector }
    }

    fn doubled_labels(&mut self, binary: &Binary) {
        let Some(matching) = binary.matching.as_ref().filter(|matching| matching.on) else { return };
        for label in matching.labels.iter().filter(|label| matching.include.contains(label)) {
            let message =
                format!("label {} must not occur in ON and GROUP clause at once", quote(label.as_bytes()));
            self.error(self.op_pos(binary), message);
        }
    }

    fn vector_matching(&mut self, binary: &mut Binary, pos: Position) {
        let Some(matching) = binary.matching.as_mut().filter(|_| binary.op.is_set()) else { return };
        let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
        if matching.cardinality == Cardinality::OneToOne {
            matching.cardinality = Cardinality::ManyToMany;
        } else {
            let op = binary.op.as_str();
            self.error(pos, format!("no grouping allowed for \"{op}\" operation"));
            self.error(pos, "set operations must always be many-to-many");
        }
        if filled {
            self.error(pos, "filling in missing series not allowed for set operators");
        }
    }

    fn no_matching(&mut self, binary: &mut Binary, pos: Position) {
        let Some(matching) = binary.matching.take() else { return };
        if !matching.labels.is_empty() {
            self.error(pos, "vector matching only allowed between instant vectors");
        }
        if matching.fill_left.is_some() || matching.fill_right.is_some() {
            self.error(pos, "filling in missing series only allowed between instant vectors");
        }
    }

    /// Operator and modifiers, from the end of the left side to the start of the right one. The end is
    /// one short, as upstream's.
    fn op_pos(&self, binary: &Binary) -> Position {
        let blank = |at: usize| self.query.get(at).is_some_and(u8::is_ascii_whitespace);
        let (mut start, mut end) = (binary.lhs.pos.end as usize, binary.rhs.pos.start as usize);
        while blank(start) {
            start += 1;
        }
        end = end.saturating_sub(1);
        while end > start && blank(end) {
            end -= 1;
        }
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Position { start: narrow(start), end: narrow(end) }
    }
}
