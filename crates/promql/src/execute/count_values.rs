//! `count_values("label", v)`: one output series per group and distinct value.

use hashbrown::HashMap;
use nave_base::budget::Charge;
use nave_model::label::Labels;
use nave_model::sample::Value;

use super::grouping::group;
use super::{BoxOperator, Column, Context, Operator, Result, Series, note};
use crate::error::QueryError;
use crate::kernel::histogram;
use crate::plan::{Aggregate, Kind, Steps};

/// The operator; the label is checked here.
pub(super) fn operator(
    input: BoxOperator,
    aggregate: &Aggregate,
    steps: Steps,
    context: &Context,
) -> Result<BoxOperator> {
    let Some(Kind::Text(text)) = aggregate.param.as_ref().map(|param| &param.kind) else {
        return Err(QueryError::Internal("count_values without its label".into()));
    };
    let label = match text.as_str() {
        Some(label) if !label.is_empty() => label.to_owned(),
        _ => {
            return Err(QueryError::execution(format!("invalid label name {}", note::quoted_bytes(&text.0))));
        }
    };
    let mut aggregate = aggregate.clone();
    if !aggregate.without {
        aggregate.grouping.push(label.clone());
        aggregate.grouping.sort();
        aggregate.grouping.dedup();
    }
    let (steps, context) = (steps.len(), context.clone());
    Ok(Box::new(CountValues {
        input,
        aggregate,
        label,
        steps,
        context,
        counted: Vec::new(),
        at: 0,
        charge: None,
    }))
}

/// A value as a label.
fn text(value: &Value) -> String {
    match value {
        Value::Float(value) => note::plain_number(*value),
        Value::Histogram(value) => histogram::text(value, note::number),
    }
}

struct CountValues {
    input: BoxOperator,
    aggregate: Aggregate,
    label: String,
    steps: usize,
    context: Context,
    counted: Vec<Column>,
    at: usize,
    charge: Option<Charge>,
}

impl CountValues {
    /// The group of `series` with `value` in the label.
    fn labels(&self, series: &Series, value: &str) -> Series {
        let mut labels = series.labels.to_builder();
        labels.set(&self.label, value);
        let one = Series { labels: labels.build(), drop_name: series.drop_name };
        group(&[one], &self.aggregate).series.remove(0)
    }
}

impl Operator for CountValues {
    fn series(&mut self) -> Result<Vec<Series>> {
        let mut charge = self.context.charge(0)?;
        let mut found: HashMap<Labels, usize> = HashMap::new();
        let mut order: Vec<Series> = Vec::new();
        let mut column = Column::default();
        for series in self.input.series()? {
            self.context.check()?;
            self.input.next(&mut column)?;
            let mut here: HashMap<String, usize> = HashMap::new();
            for step in 0..self.steps {
                let Some(value) = column.value(step).map(|value| text(&value)) else { continue };
                let at = match here.get(&value) {
                    Some(at) => *at,
                    None => {
                        let labelled = self.labels(&series, &value);
                        let next = order.len();
                        let at = *found.entry(labelled.labels.clone()).or_insert(next);
                        if at == next {
                            let output = Column::new(self.steps);
                            charge.grow(output.bytes())?;
                            order.push(labelled);
                            self.counted.push(output);
                        }
                        here.insert(value, at);
                        at
                    }
                };
                let before = self.counted[at].float(step).unwrap_or(0.0);
                self.counted[at].set(step, before + 1.0);
            }
        }
        self.charge = Some(charge);
        Ok(order)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        std::mem::swap(column, &mut self.counted[self.at]);
        self.at += 1;
        Ok(())
    }
}
