//! The table of all functions: names, argument types, results.
//!
//! One row per function of the language, sorted by name. The parser and the type check read signatures here;
//! the executor has one kernel per [`FunctionId`] and refuses by name what has none.
//! Source: the function reference of Prometheus 3.14.

use crate::ast::ValueType;
use crate::ast::ValueType::{Matrix, Scalar, String, Vector};

/// How many arguments a function takes beyond the fixed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variadic {
    /// Exactly as listed.
    Fixed,
    /// The last listed one may be absent or stand up to this many times.
    Optional(u8),
    /// The last listed one may be absent or stand any number of times.
    Repeats,
}

/// The signature of a function.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// What the executor looks at.
    pub id: FunctionId,
    /// As written.
    pub name: &'static str,
    /// Types of the arguments; a repeated one has the type of the last.
    pub args: &'static [ValueType],
    /// Which of them may be absent or repeated.
    pub variadic: Variadic,
    /// What it gives.
    pub returns: ValueType,
    /// Only with [`crate::ParseOptions::experimental_functions`].
    pub experimental: bool,
}

impl Function {
    /// The type of argument `index`; the last listed one repeats.
    #[must_use]
    pub fn arg_type(&self, index: usize) -> Option<ValueType> {
        self.args.get(index).or(self.args.last()).copied()
    }

    /// How many arguments there must be at least.
    #[must_use]
    pub fn args_min(&self) -> usize {
        match self.variadic {
            Variadic::Fixed => self.args.len(),
            Variadic::Optional(_) | Variadic::Repeats => self.args.len() - 1,
        }
    }

    /// How many arguments there may be at most; `None` is any number.
    #[must_use]
    pub fn args_max(&self) -> Option<usize> {
        match self.variadic {
            Variadic::Fixed => Some(self.args.len()),
            Variadic::Optional(more) => Some(self.args.len() - 1 + usize::from(more)),
            Variadic::Repeats => None,
        }
    }
}

/// The function called `name`.
#[must_use]
pub fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|known| known.name.cmp(name)).ok().map(|index| &FUNCTIONS[index])
}

/// Names every function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the function of that name")]
pub enum FunctionId {
    Abs,
    Absent,
    AbsentOverTime,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    AvgOverTime,
    Ceil,
    Changes,
    Clamp,
    ClampMax,
    ClampMin,
    Cos,
    Cosh,
    CountOverTime,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Deg,
    Delta,
    Deriv,
    DoubleExponentialSmoothing,
    End,
    Exp,
    FirstOverTime,
    Floor,
    HistogramAvg,
    HistogramCount,
    HistogramFraction,
    HistogramQuantile,
    HistogramQuantiles,
    HistogramStddev,
    HistogramStdvar,
    HistogramSum,
    Hour,
    Idelta,
    Increase,
    Info,
    Irate,
    LabelJoin,
    LabelReplace,
    LastOverTime,
    Ln,
    Log10,
    Log2,
    MadOverTime,
    MaxOf,
    MaxOverTime,
    MinOf,
    MinOverTime,
    Minute,
    Month,
    Pi,
    PredictLinear,
    PresentOverTime,
    QuantileOverTime,
    Rad,
    Range,
    Rate,
    Resets,
    Round,
    Scalar,
    Sgn,
    Sin,
    Sinh,
    Sort,
    SortByLabel,
    SortByLabelDesc,
    SortDesc,
    Sqrt,
    Start,
    StartTimestamp,
    StddevOverTime,
    StdvarOverTime,
    Step,
    SumOverTime,
    Tan,
    Tanh,
    Time,
    Timestamp,
    TsOfFirstOverTime,
    TsOfLastOverTime,
    TsOfMaxOverTime,
    TsOfMinOverTime,
    Vector,
    Year,
}

const fn row(
    id: FunctionId,
    name: &'static str,
    args: &'static [ValueType],
    variadic: Variadic,
    returns: ValueType,
) -> Function {
    Function { id, name, args, variadic, returns, experimental: false }
}

const fn experimental(
    id: FunctionId,
    name: &'static str,
    args: &'static [ValueType],
    variadic: Variadic,
    returns: ValueType,
) -> Function {
    Function { id, name, args, variadic, returns, experimental: true }
}

use FunctionId as Id;
use Variadic::{Fixed, Optional, Repeats};

/// All functions, sorted by name.
pub static FUNCTIONS: [Function; 90] = [
    row(Id::Abs, "abs", &[Vector], Fixed, Vector),
    row(Id::Absent, "absent", &[Vector], Fixed, Vector),
    row(Id::AbsentOverTime, "absent_over_time", &[Matrix], Fixed, Vector),
    row(Id::Acos, "acos", &[Vector], Fixed, Vector),
    row(Id::Acosh, "acosh", &[Vector], Fixed, Vector),
    row(Id::Asin, "asin", &[Vector], Fixed, Vector),
    row(Id::Asinh, "asinh", &[Vector], Fixed, Vector),
    row(Id::Atan, "atan", &[Vector], Fixed, Vector),
    row(Id::Atanh, "atanh", &[Vector], Fixed, Vector),
    row(Id::AvgOverTime, "avg_over_time", &[Matrix], Fixed, Vector),
    row(Id::Ceil, "ceil", &[Vector], Fixed, Vector),
    row(Id::Changes, "changes", &[Matrix], Fixed, Vector),
    row(Id::Clamp, "clamp", &[Vector, Scalar, Scalar], Fixed, Vector),
    row(Id::ClampMax, "clamp_max", &[Vector, Scalar], Fixed, Vector),
    row(Id::ClampMin, "clamp_min", &[Vector, Scalar], Fixed, Vector),
    row(Id::Cos, "cos", &[Vector], Fixed, Vector),
    row(Id::Cosh, "cosh", &[Vector], Fixed, Vector),
    row(Id::CountOverTime, "count_over_time", &[Matrix], Fixed, Vector),
    row(Id::DayOfMonth, "day_of_month", &[Vector], Optional(1), Vector),
    row(Id::DayOfWeek, "day_of_week", &[Vector], Optional(1), Vector),
    row(Id::DayOfYear, "day_of_year", &[Vector], Optional(1), Vector),
    row(Id::DaysInMonth, "days_in_month", &[Vector], Optional(1), Vector),
    row(Id::Deg, "deg", &[Vector], Fixed, Vector),
    row(Id::Delta, "delta", &[Matrix], Fixed, Vector),
    row(Id::Deriv, "deriv", &[Matrix], Fixed, Vector),
    experimental(
        Id::DoubleExponentialSmoothing,
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        Fixed,
        Vector,
    ),
    experimental(Id::End, "end", &[], Fixed, Scalar),
    row(Id::Exp, "exp", &[Vector], Fixed, Vector),
    row(Id::FirstOverTime, "first_over_time", &[Matrix], Fixed, Vector),
    row(Id::Floor, "floor", &[Vector], Fixed, Vector),
    row(Id::HistogramAvg, "histogram_avg", &[Vector], Fixed, Vector),
    row(Id::HistogramCount, "histogram_count", &[Vector], Fixed, Vector),
    row(Id::HistogramFraction, "histogram_fraction", &[Scalar, Scalar, Vector], Fixed, Vector),
    row(Id::HistogramQuantile, "histogram_quantile", &[Scalar, Vector], Fixed, Vector),
    experimental(
        Id::HistogramQuantiles,
        "histogram_quantiles",
        &[Vector, String, Scalar, Scalar],
        Optional(9),
        Vector,
    ),
    row(Id::HistogramStddev, "histogram_stddev", &[Vector], Fixed, Vector),
    row(Id::HistogramStdvar, "histogram_stdvar", &[Vector], Fixed, Vector),
    row(Id::HistogramSum, "histogram_sum", &[Vector], Fixed, Vector),
    row(Id::Hour, "hour", &[Vector], Optional(1), Vector),
    row(Id::Idelta, "idelta", &[Matrix], Fixed, Vector),
    row(Id::Increase, "increase", &[Matrix], Fixed, Vector),
    experimental(Id::Info, "info", &[Vector, Vector], Optional(1), Vector),
    row(Id::Irate, "irate", &[Matrix], Fixed, Vector),
    row(Id::LabelJoin, "label_join", &[Vector, String, String, String], Repeats, Vector),
    row(Id::LabelReplace, "label_replace", &[Vector, String, String, String, String], Fixed, Vector),
    row(Id::LastOverTime, "last_over_time", &[Matrix], Fixed, Vector),
    row(Id::Ln, "ln", &[Vector], Fixed, Vector),
    row(Id::Log10, "log10", &[Vector], Fixed, Vector),
    row(Id::Log2, "log2", &[Vector], Fixed, Vector),
    experimental(Id::MadOverTime, "mad_over_time", &[Matrix], Fixed, Vector),
    experimental(Id::MaxOf, "max_of", &[Scalar, Scalar], Fixed, Scalar),
    row(Id::MaxOverTime, "max_over_time", &[Matrix], Fixed, Vector),
    experimental(Id::MinOf, "min_of", &[Scalar, Scalar], Fixed, Scalar),
    row(Id::MinOverTime, "min_over_time", &[Matrix], Fixed, Vector),
    row(Id::Minute, "minute", &[Vector], Optional(1), Vector),
    row(Id::Month, "month", &[Vector], Optional(1), Vector),
    row(Id::Pi, "pi", &[], Fixed, Scalar),
    row(Id::PredictLinear, "predict_linear", &[Matrix, Scalar], Fixed, Vector),
    row(Id::PresentOverTime, "present_over_time", &[Matrix], Fixed, Vector),
    row(Id::QuantileOverTime, "quantile_over_time", &[Scalar, Matrix], Fixed, Vector),
    row(Id::Rad, "rad", &[Vector], Fixed, Vector),
    experimental(Id::Range, "range", &[], Fixed, Scalar),
    row(Id::Rate, "rate", &[Matrix], Fixed, Vector),
    row(Id::Resets, "resets", &[Matrix], Fixed, Vector),
    row(Id::Round, "round", &[Vector, Scalar], Optional(1), Vector),
    row(Id::Scalar, "scalar", &[Vector], Fixed, Scalar),
    row(Id::Sgn, "sgn", &[Vector], Fixed, Vector),
    row(Id::Sin, "sin", &[Vector], Fixed, Vector),
    row(Id::Sinh, "sinh", &[Vector], Fixed, Vector),
    row(Id::Sort, "sort", &[Vector], Fixed, Vector),
    experimental(Id::SortByLabel, "sort_by_label", &[Vector, String], Repeats, Vector),
    experimental(Id::SortByLabelDesc, "sort_by_label_desc", &[Vector, String], Repeats, Vector),
    row(Id::SortDesc, "sort_desc", &[Vector], Fixed, Vector),
    row(Id::Sqrt, "sqrt", &[Vector], Fixed, Vector),
    experimental(Id::Start, "start", &[], Fixed, Scalar),
    experimental(Id::StartTimestamp, "start_timestamp", &[Vector], Fixed, Vector),
    row(Id::StddevOverTime, "stddev_over_time", &[Matrix], Fixed, Vector),
    row(Id::StdvarOverTime, "stdvar_over_time", &[Matrix], Fixed, Vector),
    experimental(Id::Step, "step", &[], Fixed, Scalar),
    row(Id::SumOverTime, "sum_over_time", &[Matrix], Fixed, Vector),
    row(Id::Tan, "tan", &[Vector], Fixed, Vector),
    row(Id::Tanh, "tanh", &[Vector], Fixed, Vector),
    row(Id::Time, "time", &[], Fixed, Scalar),
    row(Id::Timestamp, "timestamp", &[Vector], Fixed, Vector),
    experimental(Id::TsOfFirstOverTime, "ts_of_first_over_time", &[Matrix], Fixed, Vector),
    experimental(Id::TsOfLastOverTime, "ts_of_last_over_time", &[Matrix], Fixed, Vector),
    experimental(Id::TsOfMaxOverTime, "ts_of_max_over_time", &[Matrix], Fixed, Vector),
    experimental(Id::TsOfMinOverTime, "ts_of_min_over_time", &[Matrix], Fixed, Vector),
    row(Id::Vector, "vector", &[Scalar], Fixed, Vector),
    row(Id::Year, "year", &[Vector], Optional(1), Vector),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_counted() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(FUNCTIONS.iter().filter(|function| function.experimental).count(), 17);
        assert!(FUNCTIONS.iter().enumerate().all(|(index, function)| function.id as usize == index));
    }

    #[test]
    fn argument_counts() {
        let check = |name: &str, min: usize, max: Option<usize>| {
            let function = function(name).unwrap();
            assert_eq!((function.args_min(), function.args_max()), (min, max), "{name}");
        };
        check("rate", 1, Some(1));
        check("round", 1, Some(2));
        check("hour", 0, Some(1));
        check("label_join", 3, None);
        check("histogram_quantiles", 3, Some(12));
        assert!(function("nothing").is_none());
    }
}
