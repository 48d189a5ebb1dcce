//! The syntax tree of a query: plain data, as parsed, before any planning.
//!
//! - Every node knows which bytes of the query it came from ([`Position`]); annotations, errors and
//!   explain views point there.
//! - The tree of a successful [`crate::parse()`] is well typed (see `check`); trees built by hand need not be.
//! - Durations are milliseconds. A duration that is written as an expression stays one ([`Span::Computed`])
//!   and is computed by the executor, because it may depend on the step and the range of the query.
//! - Text is UTF-8 everywhere except in string literals, whose escapes may produce any byte.
//! - No tree is higher than [`crate::parse::DEPTH_MAX`], so that recursion over it is safe.

use nave_model::matcher::Matcher;
use nave_model::time::Timestamp;

use crate::function::Function;

/// A range of bytes in the query: `start .. end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Position {
    /// First byte.
    pub start: u32,
    /// One after the last byte.
    pub end: u32,
}

impl Position {
    /// From the start of `self` to the end of `other`.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }

    /// Line and column of the start in `query`, both from 1; columns count bytes.
    #[must_use]
    pub fn line_column(self, query: &str) -> (usize, usize) {
        line_column(query.as_bytes(), self.start)
    }
}

/// Line and column of byte `offset`, both from 1; columns count bytes.
pub(crate) fn line_column(query: &[u8], offset: u32) -> (usize, usize) {
    let before = &query[..(offset as usize).min(query.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

/// What an expression evaluates to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// A number per step.
    Scalar,
    /// A text; only as a literal.
    String,
    /// At most one sample per series and step: instant vector.
    Vector,
    /// Samples over a range per series and step: range vector.
    Matrix,
}

impl ValueType {
    /// As in error messages: `instant vector`.
    #[must_use]
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }

    /// As in the HTTP API: `vector`, `matrix`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
        }
    }
}

/// A node with its place in the query.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// The bytes it was parsed from, modifiers such as `offset` included.
    pub pos: Position,
    /// What it is.
    pub kind: ExprKind,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `1.5`, `0x1f`, `Inf`, `5m`.
    Number(Number),
    /// `"text"`.
    String(ByteString),
    /// `metric{label="value"}`: an instant vector.
    Selector(Selector),
    /// `metric[5m]`: a range vector.
    Matrix(Matrix),
    /// `expr[1h:5m]`: a range vector.
    Subquery(Subquery),
    /// `rate(...)`.
    Call(Call),
    /// `sum by (job) (...)`.
    Aggregate(Aggregate),
    /// `a + b`.
    Binary(Binary),
    /// `-a`.
    Unary(Unary),
    /// `(a)`. Kept, because it is printed again.
    Paren(Box<Expr>),
}

/// A number literal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// The value; seconds when it was written as a duration.
    pub value: f64,
    /// Written as a duration (`5m`), and printed as one again.
    pub is_duration: bool,
}

/// The bytes of a string literal after its escapes; usually UTF-8, but `"\xff"` is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ByteString(pub Vec<u8>);

impl ByteString {
    /// The text, when it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text, with replacement characters for what is not UTF-8.
    #[must_use]
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

/// A length of time: a range, a resolution or an offset.
#[derive(Debug, Clone, PartialEq)]
pub enum Span {
    /// Written as a number or duration; milliseconds, negative only in offsets.
    Fixed(i64),
    /// Written as an expression over step and range of the query.
    Computed(Box<DurationExpr>),
}

/// A duration that is computed when the query runs.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationExpr {
    /// Where it stands.
    pub pos: Position,
    /// What it is.
    pub kind: DurationKind,
}

/// What a duration expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationKind {
    /// Seconds.
    Number(Number),
    /// `step()`: the step of the query, 0 for an instant query.
    Step,
    /// `range()`: end minus start of the query.
    Range,
    /// `-d`.
    Negate(Box<DurationExpr>),
    /// `(d)`. Kept, because it is printed again.
    Paren(Box<DurationExpr>),
    /// One of `+ - * / % ^`.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
    /// `min_of(a, b)`.
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`.
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
}

/// The `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// `@ 1603774568`
    Time(Timestamp),
    /// `@ start()`
    Start,
    /// `@ end()`
    End,
}

/// How a selector treats the edges of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Samples at or before the edges stand for the edges.
    Anchored,
    /// Values at the edges are interpolated.
    Smoothed,
}

impl Edge {
    /// As written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anchored => "anchored",
            Self::Smoothed => "smoothed",
        }
    }
}

/// A series selector with its modifiers.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// The metric name that was written before the braces; empty when it was not.
    pub name: String,
    /// All conditions in the order written; the one for `name` is the last.
    pub matchers: Vec<Matcher>,
    /// Looks this far into the past; `Span::Fixed(0)` when not written.
    pub offset: Span,
    /// Evaluates at a fixed time.
    pub at: Option<At>,
    /// `anchored` or `smoothed`.
    pub edge: Option<Edge>,
}

/// A range selector.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// What is selected, with offset, `@` and edge.
    pub selector: Selector,
    /// Where the selector stands (without the range).
    pub selector_pos: Position,
    /// How far back.
    pub range: Span,
}

/// A range vector made by evaluating an expression repeatedly.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Box<Expr>,
    /// How far back.
    pub range: Span,
    /// How often; `None` takes the default of the engine.
    pub step: Option<Span>,
    /// Looks this far into the past; `Span::Fixed(0)` when not written.
    pub offset: Span,
    /// Evaluates at a fixed time.
    pub at: Option<At>,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What is called.
    pub function: &'static Function,
    /// The arguments; optional ones may be absent.
    pub args: Vec<Expr>,
}

/// An aggregation over labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// How.
    pub op: AggregateOp,
    /// Over what.
    pub expr: Box<Expr>,
    /// `k` of `topk`, the label of `count_values` ...
    pub param: Option<Box<Expr>>,
    /// Labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// `without` instead of `by`.
    pub without: bool,
}

/// An operator between two expressions.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// Which.
    pub op: BinaryOp,
    /// Left side.
    pub lhs: Box<Expr>,
    /// Right side.
    pub rhs: Box<Expr>,
    /// `bool`: a comparison gives 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How series find each other; `None` unless both sides are vectors.
    pub matching: Option<Matching>,
}

/// `+a` or `-a`.
#[derive(Debug, Clone, PartialEq)]
pub struct Unary {
    /// `-` instead of `+`.
    pub negative: bool,
    /// Operand.
    pub expr: Box<Expr>,
}

/// Which side of a match may have several series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// Neither.
    OneToOne,
    /// The left: `group_left`.
    ManyToOne,
    /// The right: `group_right`.
    OneToMany,
    /// Both: the set operators.
    ManyToMany,
}

impl Cardinality {
    /// As in the HTTP API: `one-to-one`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneToOne => "one-to-one",
            Self::ManyToOne => "many-to-one",
            Self::OneToMany => "one-to-many",
            Self::ManyToMany => "many-to-many",
        }
    }
}

/// How series of two vectors find each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Matching {
    /// Which side is the many.
    pub cardinality: Cardinality,
    /// `on` instead of `ignoring`.
    pub on: bool,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Labels of `group_left` or `group_right`, copied from the one side.
    pub include: Vec<String>,
    /// Value in place of a missing series on the left.
    pub fill_left: Option<f64>,
    /// Value in place of a missing series on the right.
    pub fill_right: Option<f64>,
}

impl Default for Matching {
    fn default() -> Self {
        Self {
            cardinality: Cardinality::OneToOne,
            on: false,
            labels: Vec::new(),
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        }
    }
}

/// Binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `</`: the part of a histogram below a value.
    TrimUpper,
    /// `>/`: the part of a histogram above a value.
    TrimLower,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
}

impl BinaryOp {
    /// As written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    /// `==`, `!=`, `<`, `<=`, `>`, `>=`.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }

    /// `</` and `>/`.
    #[must_use]
    pub fn is_trim(self) -> bool {
        matches!(self, Self::TrimUpper | Self::TrimLower)
    }

    /// `and`, `or`, `unless`.
    #[must_use]
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// Aggregation operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateOp {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `count`
    Count,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `group`
    Group,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `topk(k, v)`
    Topk,
    /// `bottomk(k, v)`
    Bottomk,
    /// `count_values("label", v)`
    CountValues,
    /// `quantile(q, v)`
    Quantile,
    /// `limitk(k, v)`, experimental.
    Limitk,
    /// `limit_ratio(r, v)`, experimental.
    LimitRatio,
}

impl AggregateOp {
    /// As written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// The type of its parameter, when it takes one.
    #[must_use]
    pub fn param_type(self) -> Option<ValueType> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile | Self::Limitk | Self::LimitRatio => {
                Some(ValueType::Scalar)
            }
            Self::CountValues => Some(ValueType::String),
            _ => None,
        }
    }

    /// Only with [`crate::ParseOptions::experimental_functions`].
    #[must_use]
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

impl Expr {
    /// What it evaluates to.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Selector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::Matrix,
            ExprKind::Call(call) => call.function.returns,
            ExprKind::Binary(binary) => binary.value_type(),
            ExprKind::Unary(unary) => unary.expr.value_type(),
            ExprKind::Paren(inner) => inner.value_type(),
        }
    }

    /// The expression inside any number of parentheses.
    #[must_use]
    pub fn unparenthesized(&self) -> &Self {
        let mut expr = self;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }

    /// Calls `visit` with this node and every node below it, parents first, in the order written.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        for child in self.children().into_iter().flatten() {
            child.walk(visit);
        }
        if let ExprKind::Call(call) = &self.kind {
            for arg in &call.args {
                arg.walk(visit);
            }
        }
    }

    /// The operands, except the arguments of a call.
    fn children(&self) -> [Option<&Self>; 2] {
        match &self.kind {
            ExprKind::Subquery(subquery) => [Some(&subquery.expr), None],
            ExprKind::Aggregate(aggregate) => [aggregate.param.as_deref(), Some(&aggregate.expr)],
            ExprKind::Binary(binary) => [Some(&binary.lhs), Some(&binary.rhs)],
            ExprKind::Unary(unary) => [Some(&unary.expr), None],
            ExprKind::Paren(inner) => [Some(inner), None],
            _ => [None, None],
        }
    }

    /// The selectors of the expression, in the order written, range selectors included.
    #[must_use]
    pub fn selectors(&self) -> Vec<&Selector> {
        let mut found = Vec::new();
        self.walk(&mut |expr| match &expr.kind {
            ExprKind::Selector(selector) => found.push(selector),
            ExprKind::Matrix(matrix) => found.push(&matrix.selector),
            _ => {}
        });
        found
    }
}

impl Binary {
    /// Scalar when both sides are.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        let scalar = |expr: &Expr| expr.value_type() == ValueType::Scalar;
        if scalar(&self.lhs) && scalar(&self.rhs) { ValueType::Scalar } else { ValueType::Vector }
    }
}
