//! Merges series whose label sets became equal, such as after the metric name was dropped.
//!
//! They may follow each other in time; two values at one step are an error. Nothing is held as long as
//! all label sets differ.

use hashbrown::HashMap;
use nave_base::budget::Charge;
use nave_model::label::Labels;

use super::{BoxOperator, Column, Context, Operator, Result, Series, column};
use crate::error::QueryError;
use crate::plan::Steps;

/// Upstream's text for two series that became one.
pub(super) const SAME_LABELSET: &str = "vector cannot contain metrics with the same labelset";

/// The operator; `strip` removes names that were only marked so far, `message` is the error.
pub(super) fn operator(
    input: BoxOperator,
    strip: bool,
    message: &'static str,
    context: &Context,
    steps: Steps,
) -> BoxOperator {
    let (context, steps) = (context.clone(), steps.len());
    Box::new(Dedupe { input, strip, message, context, steps, merged: None, charge: None })
}

struct Dedupe {
    input: BoxOperator,
    strip: bool,
    message: &'static str,
    context: Context,
    steps: usize,
    /// The columns, last one first, when there was something to merge.
    merged: Option<Vec<Column>>,
    charge: Option<Charge>,
}

impl Dedupe {
    fn merge(&mut self, of: &[usize], count: usize) -> Result<()> {
        self.charge = Some(self.context.charge(count * column::bytes(self.steps))?);
        let mut columns = vec![Column::new(self.steps); count];
        let mut next = Column::default();
        for group in of {
            self.context.check()?;
            self.input.next(&mut next)?;
            for step in 0..self.steps {
                let Some(value) = next.value(step) else { continue };
                if columns[*group].is_present(step) {
                    return Err(QueryError::execution(self.message));
                }
                columns[*group].set_value(step, value);
            }
        }
        columns.reverse();
        self.merged = Some(columns);
        Ok(())
    }
}

impl Operator for Dedupe {
    fn series(&mut self) -> Result<Vec<Series>> {
        let mut series = self.input.series()?;
        if self.strip {
            for series in series.iter_mut().filter(|series| series.drop_name) {
                *series = Series { labels: super::without_metadata(&series.labels), drop_name: false };
            }
        }
        let mut groups: HashMap<Labels, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut unique: Vec<Series> = Vec::new();
        let mut of = Vec::with_capacity(series.len());
        for series in &series {
            let next = unique.len();
            let group = *groups.entry(series.labels.clone()).or_insert(next);
            if group == next {
                unique.push(series.clone());
            }
            unique[group].drop_name |= series.drop_name;
            of.push(group);
        }
        if unique.len() < series.len() {
            self.merge(&of, unique.len())?;
        }
        Ok(unique)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        match &mut self.merged {
            None => self.input.next(column),
            Some(columns) => {
                *column = columns.pop().unwrap_or_else(|| Column::new(self.steps));
                Ok(())
            }
        }
    }
}
