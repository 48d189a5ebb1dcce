//! Random expressions of the language of 3.5, most of them well typed, some not.

use std::fmt;

use super::Choices;

/// An expression: text with smaller expressions in it.
#[derive(Debug, Clone)]
pub struct Expr {
    /// One more than there are `parts`.
    texts: Vec<String>,
    parts: Vec<Expr>,
    is_range: bool,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (text, part) in self.texts.iter().zip(&self.parts) {
            write!(f, "{text}{part}")?;
        }
        f.write_str(self.texts.last().map_or("", String::as_str))
    }
}

impl Expr {
    fn leaf(text: impl Into<String>) -> Self {
        Self { texts: vec![text.into()], parts: Vec::new(), is_range: false }
    }

    /// `template` with `{}` for each part.
    fn of(template: &str, parts: Vec<Expr>) -> Self {
        let texts = template.split("{}").map(ToOwned::to_owned).collect();
        Self { texts, parts, is_range: false }
    }

    /// Its parts that are queries of their own, and itself with one part made smaller.
    #[must_use]
    pub fn simpler(&self) -> Vec<Expr> {
        let mut all: Vec<Expr> = self.parts.iter().filter(|part| !part.is_range).cloned().collect();
        for (i, part) in self.parts.iter().enumerate() {
            for smaller in part.simpler().into_iter().filter(|smaller| smaller.is_range == part.is_range) {
                let mut whole = self.clone();
                whole.parts[i] = smaller;
                all.push(whole);
            }
        }
        all
    }
}

/// Makes queries from a seed.
#[derive(Debug)]
pub struct Grammar {
    random: Choices,
}

const SELECTORS: [&str; 16] = [
    "cpu_seconds_total",
    "cpu_seconds_total{mode=\"idle\"}",
    "memory_bytes",
    "memory_bytes{instance=~\"a.*|b.*\"}",
    "odd",
    "odd{job=\"x\"}",
    "up",
    "latency_bucket",
    "latency_native",
    "latency_native{job!=\"y\"}",
    "latency_custom",
    "mixed",
    "{__name__=~\"memory_bytes|odd\"}",
    "{__name__=~\"latency_.*\",instance=\"a:1\"}",
    "nothing",
    "up{instance!~\"(a|b):1\"}",
];
const LABELS: [&str; 7] = ["instance", "job", "mode", "le", "nothing", "__name__", "job"];
const DURATIONS: [&str; 9] = ["1s", "15s", "30s", "47s", "1m", "90s", "3m", "5m", "11m"];
const OVER_TIME: [&str; 25] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "changes",
    "resets",
    "deriv",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "last_over_time",
    "present_over_time",
    "absent_over_time",
    "mad_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "ts_of_last_over_time",
    "rate",
    "increase",
    "avg_over_time",
];
const FUNCTIONS: [&str; 28] = [
    "abs",
    "ceil",
    "floor",
    "sqrt",
    "round",
    "sgn",
    "timestamp",
    "day_of_month",
    "day_of_week",
    "hour",
    "minute",
    "month",
    "year",
    "days_in_month",
    "day_of_year",
    "rad",
    "deg",
    "absent",
    "sort",
    "sort_desc",
    "-",
    "histogram_count",
    "histogram_sum",
    "histogram_avg",
    "histogram_stddev",
    "histogram_stdvar",
    "+",
    "abs",
];
/// Only around everything else: what they round differently would grow in further operations.
const LOOSE: [&str; 14] = [
    "exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "asinh",
];
const NUMBERS: [&str; 13] =
    ["0", "1", "2", "-1", "0.5", "1e9", "4", "NaN", "Inf", "-Inf", "3", "100", "0x1F"];
const AGGREGATES: [&str; 9] = ["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "sum"];
const OPERATORS: [&str; 15] =
    ["+", "-", "*", "/", "%", "==", "!=", "<", ">", "<=", ">=", "== bool", "> bool", "!= bool", "<= bool"];

impl Grammar {
    /// The queries of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::choosing(Choices::seeded(seed))
    }

    /// The queries that these choices lead to.
    #[must_use]
    pub fn choosing(random: Choices) -> Self {
        Self { random }
    }

    /// The choices to come.
    pub fn random(&mut self) -> &mut Choices {
        &mut self.random
    }

    /// A whole query.
    pub fn query(&mut self) -> Expr {
        let depth = self.random.u32(1..4);
        match self.random.u32(0..20) {
            0 => {
                let function = self.pick(&LOOSE);
                Expr::of(&format!("{function}({{}})"), vec![self.vector(depth)])
            }
            1 => self.scalar(depth),
            2 => Expr::of("{} ^ {}", vec![self.scalar(1), self.scalar(1)]),
            _ => self.vector(depth),
        }
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.random.usize(0..all.len())]
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.u32(0..100) < percent
    }

    fn modifier(&mut self) -> String {
        let mut text = String::new();
        if self.chance(12) {
            let sign = if self.chance(30) { "-" } else { "" };
            text = format!(" offset {sign}{}", self.pick(&DURATIONS));
        }
        if self.chance(6) {
            text.push_str(self.pick(&[" @ start()", " @ end()"]));
        }
        text
    }

    fn labels(&mut self) -> String {
        let count = self.random.usize(0..3);
        (0..count).map(|_| self.pick(&LABELS)).collect::<Vec<_>>().join(",")
    }

    fn grouping(&mut self) -> String {
        let labels = self.labels();
        match self.random.u32(0..3) {
            0 => String::new(),
            1 => format!(" by ({labels})"),
            _ => format!(" without ({labels})"),
        }
    }

    fn selector(&mut self) -> Expr {
        let modifier = self.modifier();
        Expr::leaf(format!("{}{modifier}", self.pick(&SELECTORS)))
    }

    fn range(&mut self, depth: u32) -> Expr {
        let modifier = self.modifier();
        let mut range = if depth > 0 && self.chance(25) {
            let (width, step) =
                (self.pick(&["1m", "3m", "5m", "10m"]), self.pick(&["", "10s", "7s", "1m", "30s"]));
            Expr::of(&format!("({{}})[{width}:{step}]{modifier}"), vec![self.vector(depth - 1)])
        } else {
            Expr::leaf(format!("{}[{}]{modifier}", self.pick(&SELECTORS), self.pick(&DURATIONS)))
        };
        range.is_range = true;
        range
    }

    fn scalar(&mut self, depth: u32) -> Expr {
        match self.random.u32(0..10) {
            0..=5 => Expr::leaf(self.pick(&NUMBERS)),
            6 => Expr::leaf("time()"),
            7 | 8 if depth > 0 => Expr::of("scalar({})", vec![self.vector(depth - 1)]),
            9 if depth > 0 => {
                let operator = self.pick(&["+", "-", "*", "/", "%", "== bool", "> bool"]);
                Expr::of(
                    &format!("({{}} {operator} {{}})"),
                    vec![self.scalar(depth - 1), self.scalar(depth - 1)],
                )
            }
            _ => Expr::leaf("2"),
        }
    }

    fn vector(&mut self, depth: u32) -> Expr {
        let Some(below) = depth.checked_sub(1) else { return self.selector() };
        match self.random.u32(0..100) {
            0..=7 => self.selector(),
            8..=29 => Expr::of(&format!("{}({{}})", self.pick(&OVER_TIME)), vec![self.range(below)]),
            30..=34 => self.range_with_numbers(below),
            35..=54 => {
                let template = format!("{}{} ({{}})", self.pick(&AGGREGATES), self.grouping());
                Expr::of(&template, vec![self.vector(below)])
            }
            55..=59 => self.aggregate_with_parameter(below),
            60..=71 => Expr::of(&format!("{}({{}})", self.pick(&FUNCTIONS)), vec![self.vector(below)]),
            72..=75 => self.with_numbers(below),
            76..=78 => self.relabel(below),
            79..=82 => self.histogram(below),
            83..=89 => self.with_scalar(below),
            _ => self.join(below),
        }
    }

    fn range_with_numbers(&mut self, depth: u32) -> Expr {
        let range = self.range(depth);
        let number = self.scalar(1);
        match self.random.u32(0..3) {
            0 => Expr::of("quantile_over_time({}, {})", vec![number, range]),
            1 => Expr::of("predict_linear({}, {})", vec![range, number]),
            _ => Expr::of("double_exponential_smoothing({}, 0.3, 0.6)", vec![range]),
        }
    }

    fn aggregate_with_parameter(&mut self, depth: u32) -> Expr {
        let grouping = self.grouping();
        let vector = self.vector(depth);
        match self.random.u32(0..5) {
            0 => Expr::of(&format!("quantile{grouping} ({{}}, {{}})"), vec![self.scalar(1), vector]),
            1 => Expr::of(&format!("count_values{grouping} (\"v\", {{}})"), vec![vector]),
            2 => Expr::of(&format!("limitk{grouping} (2, {{}})"), vec![vector]),
            3 => Expr::of(&format!("topk{grouping} ({}, {{}})", self.pick(&["1", "2", "5"])), vec![vector]),
            _ => {
                Expr::of(&format!("bottomk{grouping} ({}, {{}})", self.pick(&["1", "2", "5"])), vec![vector])
            }
        }
    }

    fn with_numbers(&mut self, depth: u32) -> Expr {
        let vector = self.vector(depth);
        match self.random.u32(0..5) {
            0 => Expr::of("clamp_min({}, {})", vec![vector, self.scalar(1)]),
            1 => Expr::of("clamp_max({}, {})", vec![vector, self.scalar(1)]),
            2 => Expr::of("clamp({}, {}, {})", vec![vector, self.scalar(1), self.scalar(1)]),
            3 => Expr::of("round({}, {})", vec![vector, self.scalar(1)]),
            _ => Expr::of("vector({})", vec![self.scalar(2)]),
        }
    }

    fn relabel(&mut self, depth: u32) -> Expr {
        let (to, from, other) = (self.pick(&LABELS), self.pick(&LABELS), self.pick(&LABELS));
        let vector = vec![self.vector(depth)];
        if self.chance(60) {
            return Expr::of(
                &format!("label_replace({{}}, \"{to}\", \"x$1\", \"{from}\", \"(.*)[a-z]?\")"),
                vector,
            );
        }
        Expr::of(&format!("label_join({{}}, \"{to}\", \"-\", \"{from}\", \"{other}\")"), vector)
    }

    fn histogram(&mut self, depth: u32) -> Expr {
        let width = self.pick(&DURATIONS);
        let native = self.pick(&["latency_native", "latency_custom", "mixed"]);
        match self.random.u32(0..4) {
            0 => {
                let rate = Expr::leaf(format!("sum by (le, instance) (rate(latency_bucket[{width}]))"));
                Expr::of("histogram_quantile({}, {})", vec![self.scalar(1), rate])
            }
            1 => {
                let rate = Expr::leaf(format!("rate({native}[{width}])"));
                Expr::of("histogram_quantile({}, {})", vec![self.scalar(1), rate])
            }
            2 => {
                let rate = Expr::leaf(format!("sum by (job) (rate({native}[{width}]))"));
                Expr::of("histogram_fraction({}, {}, {})", vec![self.scalar(1), self.scalar(1), rate])
            }
            _ => Expr::of("histogram_quantile({}, {})", vec![self.scalar(1), self.vector(depth)]),
        }
    }

    fn with_scalar(&mut self, depth: u32) -> Expr {
        let operator = self.pick(&OPERATORS);
        let (vector, scalar) = (self.vector(depth), self.scalar(depth));
        let parts = if self.chance(50) { vec![vector, scalar] } else { vec![scalar, vector] };
        Expr::of(&format!("({{}} {operator} {{}})"), parts)
    }

    fn join(&mut self, depth: u32) -> Expr {
        let is_set = self.chance(35);
        let operator = if is_set { self.pick(&["and", "or", "unless"]) } else { self.pick(&OPERATORS) };
        let labels = self.labels();
        let mut matching = match self.random.u32(0..3) {
            0 => String::new(),
            1 => format!(" on ({labels})"),
            _ => format!(" ignoring ({labels})"),
        };
        if !is_set && !matching.is_empty() && self.chance(50) {
            let more = self.pick(&["", "job", "mode"]);
            matching = format!("{matching} {}({more})", self.pick(&["group_left", "group_right"]));
        }
        let left = self.vector(depth);
        let right = if self.chance(60) { self.vector(depth) } else { left.clone() };
        Expr::of(&format!("({{}} {operator}{matching} {{}})"), vec![left, right])
    }
}
