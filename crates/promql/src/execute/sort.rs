//! `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`: only the order of an instant query.

use std::cmp::Ordering;

use super::{BoxOperator, Column, Context, Operator, Result, Series};
use crate::ast::Position;
use crate::error::QueryError;
use crate::function::FunctionId;
use crate::kernel::{natural, order};
use crate::plan::Steps;

/// How series are ordered.
pub(super) enum By {
    Value { descending: bool },
    Labels { names: Vec<String>, descending: bool },
}

impl By {
    /// The order that a function of the sort family gives.
    pub(super) fn of(function: FunctionId, names: Vec<String>) -> Result<Self> {
        Ok(match function {
            FunctionId::Sort => Self::Value { descending: false },
            FunctionId::SortDesc => Self::Value { descending: true },
            FunctionId::SortByLabel => Self::Labels { names, descending: false },
            FunctionId::SortByLabelDesc => Self::Labels { names, descending: true },
            other => return Err(QueryError::Internal(format!("{other:?} does not sort"))),
        })
    }
}

/// The operator; in a range query it orders nothing and warns, but what has no order is left out all the same.
pub(super) fn operator(
    input: BoxOperator,
    by: By,
    pos: Position,
    steps: Steps,
    context: &Context,
) -> BoxOperator {
    if steps.len() > 1 {
        let text = "sort is ineffective for range queries since results are always ordered by labels";
        context.note(|notes| notes.warn(pos, text));
        return if matches!(by, By::Value { .. }) { Box::new(Floats(input)) } else { input };
    }
    Box::new(Sort { input, by, sorted: Vec::new(), context: context.clone() })
}

/// The floats of the input: histograms have no order.
struct Floats(BoxOperator);

impl Operator for Floats {
    fn series(&mut self) -> Result<Vec<Series>> {
        self.0.series()
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.0.next(column)?;
        column.drop_histograms();
        Ok(())
    }
}

struct Sort {
    input: BoxOperator,
    by: By,
    /// Last one first.
    sorted: Vec<(Series, Column)>,
    context: Context,
}

impl Operator for Sort {
    fn series(&mut self) -> Result<Vec<Series>> {
        let series = self.input.series()?;
        for series in series {
            let mut column = Column::default();
            self.input.next(&mut column)?;
            // Histograms have no order.
            let ignored = matches!(self.by, By::Value { .. }) && column.has_histograms();
            if !column.is_empty() && !ignored {
                self.sorted.push((series, column));
            }
        }
        self.context.check()?;
        let by = &self.by;
        self.sorted.sort_by(|a, b| compare(by, a, b));
        let series = self.sorted.iter().map(|(series, _)| series.clone()).collect();
        self.sorted.reverse();
        Ok(series)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        if let Some((_, sorted)) = self.sorted.pop() {
            *column = sorted;
        }
        Ok(())
    }
}

fn compare(by: &By, a: &(Series, Column), b: &(Series, Column)) -> Ordering {
    let value = |entry: &(Series, Column)| entry.1.float(0).unwrap_or(f64::NAN);
    match by {
        By::Value { descending: false } => order::ascending_nan_last(value(a), value(b)),
        By::Value { descending: true } => order::descending_nan_last(value(a), value(b)),
        By::Labels { names, descending } => {
            let by_name = |name: &String| natural::compare(a.0.labels.get(name), b.0.labels.get(name));
            let first = names.iter().map(by_name).find(|order| order.is_ne());
            let order = first.unwrap_or_else(|| a.0.labels.cmp(&b.0.labels));
            if *descending { order.reverse() } else { order }
        }
    }
}
