//! One query on its thread, from plan to answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nave_model::sample;
use nave_model::select::Columns;
use nave_model::time::Timestamp;

use crate::answer::{Answer, Series, Value, VectorSample};
use crate::ast::ValueType;
use crate::error::QueryError;
use crate::execute::{self, Collected, Column, Context, Level};
use crate::plan::{self, Kind, Node, Steps};

/// Everything a query needs on its thread.
pub(crate) struct Job {
    pub(crate) plan: Node,
    pub(crate) steps: Steps,
    pub(crate) is_instant: bool,
    pub(crate) query: String,
    pub(crate) limit: Option<usize>,
    pub(crate) context: Context,
}

impl Job {
    /// Evaluates the plan. A panic becomes an error.
    pub(crate) fn run(self) -> Result<Answer, QueryError> {
        let done = catch_unwind(AssertUnwindSafe(|| self.answer()));
        self.context.forget_common();
        match done {
            Ok(answer) => answer,
            Err(panic) => {
                let text = panic_text(&*panic);
                tracing::error!(query = self.query, panic = text, "query panicked");
                Err(QueryError::Internal(format!("unexpected error: {text}")))
            }
        }
    }

    fn answer(&self) -> Result<Answer, QueryError> {
        let value = self.value()?;
        let notes = self.context.take_notes();
        let warnings = notes.texts(Level::Warning, &self.query);
        let infos = notes.texts(Level::Info, &self.query);
        let stats = self.context.stats();
        let plan = self.context.meter().map(|meter| plan::explain(&self.plan, Some(meter)));
        let samples_per_step = self.samples_per_step();
        let mut answer = Answer { value, warnings, infos, stats, samples_per_step, plan };
        answer.cut(self.limit);
        Ok(answer)
    }

    fn samples_per_step(&self) -> Vec<(Timestamp, u64)> {
        let Some(mut counts) = self.context.samples_per_step() else { return Vec::new() };
        counts.resize(self.steps.len(), 0);
        self.steps.iter().map(Timestamp).zip(counts).collect()
    }

    fn value(&self) -> Result<Value, QueryError> {
        let timestamp = Timestamp(self.steps.start);
        match (&self.plan.kind, self.plan.ty) {
            (Kind::Text(text), _) => {
                return Ok(Value::String { timestamp, value: text.to_text().into_owned() });
            }
            (Kind::Raw(input), _) => return self.raw(input),
            (Kind::Dedupe { input, .. }, ValueType::Matrix) => {
                if let Kind::Raw(input) = &input.kind {
                    return self.raw(input);
                }
            }
            _ => {}
        }
        let _steps = self.context.charge(execute::column_bytes(self.steps.len()))?;
        let operator = execute::operator(&self.plan, self.steps, &self.context)?;
        let Collected { series, charge } = execute::collect(operator, &self.context)?;
        let value = match self.plan.ty {
            ValueType::Scalar if self.is_instant => {
                let value = series.first().and_then(|(_, column)| column.float(0)).unwrap_or(f64::NAN);
                Value::Scalar { timestamp, value }
            }
            _ if self.is_instant => {
                let sample = |(series, column): (execute::Series, Column)| {
                    let value = column.value(0)?;
                    Some(VectorSample { labels: series.labels, timestamp, value })
                };
                Value::Vector(series.into_iter().filter_map(sample).collect())
            }
            _ => {
                let series = series.into_iter().map(|(series, column)| Series {
                    labels: series.labels,
                    columns: columns(&column, self.steps),
                });
                sorted(series.collect())?
            }
        };
        drop(charge);
        Ok(value)
    }

    fn raw(&self, input: &crate::plan::RangeInput) -> Result<Value, QueryError> {
        let (series, charge) = execute::raw(input, self.steps.start, &self.context)?;
        drop(charge);
        sorted(series)
    }
}

fn sorted(mut series: Vec<Series>) -> Result<Value, QueryError> {
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    if series.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
        return Err(QueryError::execution("vector cannot contain metrics with the same labelset"));
    }
    Ok(Value::Matrix(series))
}

fn columns(column: &Column, steps: Steps) -> Columns {
    let mut columns = Columns::default();
    for (step, time) in steps.iter().enumerate() {
        match column.value(step) {
            Some(sample::Value::Float(value)) => columns.push(Timestamp(time), value),
            Some(sample::Value::Histogram(histogram)) => columns.push_histogram(Timestamp(time), histogram),
            None => {}
        }
    }
    columns
}

impl Answer {
    /// Leaves at most `limit` series, and says so.
    pub(super) fn cut(&mut self, limit: Option<usize>) {
        if let Some(limit) = limit
            && truncate(&mut self.value, limit)
        {
            self.warnings.push("results truncated due to limit".to_owned());
        }
    }
}

/// Whether something was cut.
fn truncate(value: &mut Value, limit: usize) -> bool {
    let (len, cut): (usize, &mut dyn FnMut()) = match value {
        Value::Vector(samples) => (samples.len(), &mut || samples.truncate(limit)),
        Value::Matrix(series) => (series.len(), &mut || series.truncate(limit)),
        _ => return false,
    };
    if limit > 0 && len > limit {
        cut();
        return true;
    }
    false
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a text".to_owned())
}
