//! Functions of instant vectors and scalars.

use super::sort::By;
use super::{BoxOperator, Column, Context, Operator, Result, Series, label, scalar, sort};
use super::{histogram_call, operator as operator_of};
use crate::ast::Position;
use crate::error::QueryError;
use crate::function::FunctionId;
use crate::kernel::date::Date;
use crate::kernel::{histogram, logarithm, math};
use crate::plan::{Kind, Node, Steps};

/// Whether [`operator`] knows `function`.
pub(crate) fn is_elementwise(function: FunctionId) -> bool {
    use FunctionId as F;
    let other = matches!(
        function,
        F::Clamp
            | F::ClampMin
            | F::ClampMax
            | F::Round
            | F::Timestamp
            | F::Vector
            | F::Scalar
            | F::StartTimestamp
            | F::Time
            | F::LabelReplace
            | F::LabelJoin
            | F::Sort
            | F::SortDesc
            | F::SortByLabel
            | F::SortByLabelDesc
            | F::HistogramQuantile
            | F::HistogramFraction
            | F::MinOf
            | F::MaxOf
            | F::HistogramCount
            | F::HistogramSum
            | F::HistogramAvg
            | F::HistogramStddev
            | F::HistogramQuantiles
            | F::HistogramStdvar
    );
    other || of_number(function).is_some() || of_date(function).is_some()
}

/// The operator of a call.
pub(super) fn operator(
    node: &Node,
    function: FunctionId,
    (args, positions): (&[Node], &[Position]),
    steps: Steps,
    context: &Context,
) -> Result<BoxOperator> {
    use FunctionId as F;
    let arg = |index: usize| match args.get(index) {
        Some(node) => operator_of(node, steps, context),
        None => Err(QueryError::Internal(format!("{function:?} without argument {index}"))),
    };
    let number = |index: usize| scalar::values(arg(index)?);
    if let Some(of_number) = of_number(function) {
        return Ok(each(arg(0)?, context, move |_, value| Some(of_number(value))));
    }
    if let Some(of_date) = of_date(function) {
        let input = if args.is_empty() { scalar::time(steps) } else { arg(0)? };
        return Ok(each(input, context, move |_, value| Some(of_date(Date::at(value)) as f64)));
    }
    Ok(match function {
        F::Time => scalar::time(steps),
        F::Vector => arg(0)?,
        F::Scalar => scalar::of_vector(arg(0)?, steps, context),
        F::MinOf => scalar::zip(arg(0)?, arg(1)?, math::min),
        F::MaxOf => scalar::zip(arg(0)?, arg(1)?, math::max),
        F::ClampMin => {
            let min = number(1)?;
            each(arg(0)?, context, move |step, value| Some(math::max(min[step], value)))
        }
        F::ClampMax => {
            let max = number(1)?;
            each(arg(0)?, context, move |step, value| Some(math::min(max[step], value)))
        }
        F::Clamp => {
            let (min, max) = (number(1)?, number(2)?);
            each(arg(0)?, context, move |step, value| {
                (max[step] >= min[step] || max[step].is_nan() || min[step].is_nan())
                    .then(|| math::max(min[step], math::min(max[step], value)))
            })
        }
        F::Round => {
            let to = if args.len() > 1 { number(1)? } else { vec![1.0; steps.len()] };
            each(arg(0)?, context, move |step, value| Some(math::round(value, to[step])))
        }
        F::Timestamp => Box::new(StepTimes { input: arg(0)?, steps, context: context.clone() }),
        F::StartTimestamp => Box::new(Nothing { input: arg(0)? }),
        F::HistogramCount | F::HistogramSum | F::HistogramAvg | F::HistogramStddev | F::HistogramStdvar => {
            Box::new(OfHistogram { input: arg(0)?, function, context: context.clone() })
        }
        F::LabelReplace => label::replace(arg(0)?, &args[1..])?,
        F::LabelJoin => label::join(arg(0)?, &args[1..])?,
        F::Sort | F::SortDesc | F::SortByLabel | F::SortByLabelDesc => {
            let by = By::of(function, names(&args[1..]))?;
            sort::operator(arg(0)?, by, node.pos, steps, context)
        }
        F::HistogramQuantile => histogram_call::quantile(number(0)?, positions, arg(1)?, steps, context),
        F::HistogramQuantiles => {
            let qs = (2..args.len()).map(number).collect::<Result<Vec<_>>>()?;
            histogram_call::quantiles(qs, (args, positions), arg(0)?, steps, context)?
        }
        F::HistogramFraction => {
            histogram_call::fraction((number(0)?, number(1)?), positions, arg(2)?, steps, context)
        }
        _ => return Err(QueryError::not_built(&format!("function {function:?}"))),
    })
}

fn names(args: &[Node]) -> Vec<String> {
    let text = |node: &Node| match &node.kind {
        Kind::Text(text) => Some(text.to_text().into_owned()),
        _ => None,
    };
    args.iter().filter_map(text).collect()
}

fn of_number(function: FunctionId) -> Option<fn(f64) -> f64> {
    use FunctionId as F;
    Some(match function {
        F::Abs => f64::abs,
        F::Ceil => f64::ceil,
        F::Floor => f64::floor,
        F::Exp => f64::exp,
        F::Sqrt => f64::sqrt,
        F::Ln => logarithm::ln,
        F::Log2 => logarithm::log2,
        F::Log10 => logarithm::log10,
        F::Sin => f64::sin,
        F::Cos => f64::cos,
        F::Tan => f64::tan,
        F::Asin => f64::asin,
        F::Acos => f64::acos,
        F::Atan => f64::atan,
        F::Sinh => f64::sinh,
        F::Cosh => f64::cosh,
        F::Tanh => f64::tanh,
        F::Asinh => f64::asinh,
        F::Acosh => f64::acosh,
        F::Atanh => f64::atanh,
        F::Rad => |value| value * std::f64::consts::PI / 180.0,
        F::Deg => |value| value * 180.0 / std::f64::consts::PI,
        F::Sgn => math::sign,
        _ => return None,
    })
}

fn of_date(function: FunctionId) -> Option<fn(Date) -> i64> {
    use FunctionId as F;
    Some(match function {
        F::DayOfMonth => |date| date.day,
        F::DayOfWeek => Date::day_of_week,
        F::DayOfYear => Date::day_of_year,
        F::DaysInMonth => Date::days_in_month,
        F::Hour => |date| date.hour,
        F::Minute => |date| date.minute,
        F::Month => |date| date.month,
        F::Year => |date| date.year,
        _ => return None,
    })
}

/// Every float through `map`, without the metric name; histograms are left out.
pub(super) fn each(
    input: BoxOperator,
    context: &Context,
    map: impl Fn(usize, f64) -> Option<f64> + Send + 'static,
) -> BoxOperator {
    Box::new(Each { input, map, context: context.clone() })
}

struct Each<F> {
    input: BoxOperator,
    map: F,
    context: Context,
}

impl<F: Fn(usize, f64) -> Option<f64> + Send> Operator for Each<F> {
    fn series(&mut self) -> Result<Vec<Series>> {
        Ok(self.input.series()?.into_iter().map(|series| self.context.without_name(series)).collect())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.input.next(column)?;
        column.drop_histograms();
        column.filter_map_floats(&self.map);
        Ok(())
    }
}

/// `-v`
pub(super) fn negate(input: BoxOperator, context: &Context) -> BoxOperator {
    Box::new(Negate { input, context: context.clone() })
}

struct Negate {
    input: BoxOperator,
    context: Context,
}

impl Operator for Negate {
    fn series(&mut self) -> Result<Vec<Series>> {
        Ok(self.input.series()?.into_iter().map(|series| self.context.without_name(series)).collect())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.input.next(column)?;
        column.map_floats(|_, value| -value);
        column.map_histograms(|histogram| histogram::as_gauge(histogram::scaled(histogram, |count| -count)));
        Ok(())
    }
}

/// `timestamp(v)` of anything but a selector: the time of the step.
struct StepTimes {
    input: BoxOperator,
    steps: Steps,
    context: Context,
}

impl Operator for StepTimes {
    fn series(&mut self) -> Result<Vec<Series>> {
        Ok(self.input.series()?.into_iter().map(|series| self.context.without_name(series)).collect())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        let mut input = Column::default();
        self.input.next(&mut input)?;
        column.reset(self.steps.len());
        for (step, time) in self.steps.iter().enumerate().filter(|(step, _)| input.is_present(*step)) {
            column.set(step, time as f64 / 1000.0);
        }
        Ok(())
    }
}

/// `start_timestamp(v)` of anything but a selector: computed values have none.
struct Nothing {
    input: BoxOperator,
}

impl Operator for Nothing {
    fn series(&mut self) -> Result<Vec<Series>> {
        // For the errors that it may have.
        self.input.series()?;
        Ok(Vec::new())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        column.reset(0);
        Ok(())
    }
}

/// One figure of each histogram; floats are left out.
struct OfHistogram {
    input: BoxOperator,
    function: FunctionId,
    context: Context,
}

impl Operator for OfHistogram {
    fn series(&mut self) -> Result<Vec<Series>> {
        Ok(self.input.series()?.into_iter().map(|series| self.context.without_name(series)).collect())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        let mut input = Column::default();
        self.input.next(&mut input)?;
        column.reset(input.steps());
        for (step, histogram) in input.histograms() {
            let value = match self.function {
                FunctionId::HistogramCount => histogram.count,
                FunctionId::HistogramSum => histogram.sum,
                FunctionId::HistogramStdvar => histogram::variance(histogram),
                FunctionId::HistogramStddev => histogram::variance(histogram).sqrt(),
                _ => histogram::average(histogram),
            };
            column.set(step, value);
        }
        Ok(())
    }
}
