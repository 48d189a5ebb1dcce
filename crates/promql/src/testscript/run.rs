//! Runs a script on an engine.
//!
//! An instant evaluation is also run as part of a range, and with its selectors pinned by `@` at other
//! times, where that must give the same; see [`Modes`].

use std::sync::Arc;

use nave_model::time::Timestamp;

use super::compare;
use super::nhcb;
use super::pin::pinned;
use super::script::{Command, Eval, Load, Script, ScriptError, When};
use super::store::{Conflict, MemoryStore};
use crate::answer::{Answer, Value};
use crate::ast::ExprKind;
use crate::engine::{Engine, QueryOptions};
use crate::error::QueryError;
use crate::function::FunctionId;
use crate::parse::{ParseOptions, parse};

/// In which ways an evaluation is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modes {
    /// As written.
    Written,
    /// Also in the middle of a range, and pinned by `@`.
    All,
}

/// What became of one evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The line of the `eval`, from 1.
    pub line: usize,
    /// The query.
    pub query: String,
    /// How it differs from what the script expects.
    pub failure: Option<String>,
}

/// Runs `script` from an empty store; gives a verdict per evaluation.
///
/// # Errors
/// When a load cannot be stored.
pub async fn run(script: &Script, engine: &Engine, modes: Modes) -> Result<Vec<Verdict>, ScriptError> {
    let mut store = Arc::new(MemoryStore::new());
    let mut verdicts = Vec::new();
    for command in &script.commands {
        match command {
            Command::Clear => store = Arc::new(MemoryStore::new()),
            Command::Load(load) => {
                append(load, &store).map_err(|message| ScriptError { line: load.line, message })?;
            }
            Command::Eval(eval) => {
                let failure = Runner { engine, store: &store, eval }.run(modes).await.err();
                verdicts.push(Verdict { line: eval.line, query: eval.query.clone(), failure });
            }
        }
    }
    Ok(verdicts)
}

fn append(load: &Load, store: &MemoryStore) -> Result<(), String> {
    let conflict = |conflict: Conflict| conflict.to_string();
    for series in &load.series {
        for (index, value) in series.values.iter().enumerate() {
            let Some(value) = value else { continue };
            let at = Timestamp(load.step_ms.saturating_mul(i64::try_from(index).unwrap_or(i64::MAX)));
            let start = series.starts.get(index).copied().flatten();
            store.append(&series.labels, at, value.value.clone(), start).map_err(conflict)?;
        }
    }
    if !load.with_nhcb {
        return Ok(());
    }
    for (labels, at, histogram) in nhcb::convert(load)? {
        store.append(&labels, at, histogram, None).map_err(conflict)?;
    }
    Ok(())
}

struct Runner<'a> {
    engine: &'a Engine,
    store: &'a Arc<MemoryStore>,
    eval: &'a Eval,
}

impl Runner<'_> {
    async fn run(&self, modes: Modes) -> Result<(), String> {
        match self.eval.at {
            When::Range { start, end, step } => {
                let answer = self.range(&self.eval.query, start, end, step).await;
                self.judge(answer).map(|_| ())
            }
            When::Instant(time) => {
                self.instant(&self.eval.query, time, modes).await?;
                if modes == Modes::All { self.pinned(time).await } else { Ok(()) }
            }
        }
    }

    async fn range(&self, query: &str, start: i64, end: i64, step: i64) -> Result<Answer, QueryError> {
        let store = Arc::clone(self.store);
        let (start, end) = (Timestamp(start), Timestamp(end));
        self.engine.range(store, query, start, end, step, QueryOptions::default()).await
    }

    /// Whether the answer is as expected; gives it unless it should fail and does.
    fn judge(&self, answer: Result<Answer, QueryError>) -> Result<Option<Answer>, String> {
        let expect = &self.eval.expect;
        let answer = match (answer, &expect.fail) {
            (Err(error), Some(pattern)) if pattern.matches(&error.to_string()) => return Ok(None),
            (Err(error), Some(pattern)) => {
                return Err(format!("expected an error matching {pattern}, but got: {error}"));
            }
            (Err(error), None) => return Err(format!("failed: {error}")),
            (Ok(_), Some(pattern)) => {
                return Err(format!("expected an error matching {pattern}, but got none"));
            }
            (Ok(answer), None) => answer,
        };
        compare::annotations("warning", &answer.warnings, &expect.warnings, expect.no_warnings)?;
        compare::annotations("info", &answer.infos, &expect.infos, expect.no_infos)?;
        compare::value(&answer.value, expect, self.eval.at)?;
        Ok(Some(answer))
    }

    async fn instant(&self, query: &str, time: i64, modes: Modes) -> Result<(), String> {
        let store = Arc::clone(self.store);
        let answer = self.engine.instant(store, query, Timestamp(time), QueryOptions::default()).await;
        match self.judge(answer)? {
            Some(answer) if modes == Modes::All => self.in_the_middle(query, time, &answer.value).await,
            _ => Ok(()),
        }
    }

    /// The same query as a step of a range.
    async fn in_the_middle(&self, query: &str, time: i64, value: &Value) -> Result<(), String> {
        const STEP_MS: i64 = 60_000;
        let expect = &self.eval.expect;
        let depends_on_range =
            ["start()", "end()", "range()", "step()"].iter().any(|call| query.contains(call));
        if expect.range_vector.is_some() || expect.string.is_some() || depends_on_range {
            return Ok(());
        }
        let answer = self.range(query, time - STEP_MS, time + STEP_MS, STEP_MS).await;
        let answer = answer.map_err(|error| format!("as a range: failed: {error}"))?;
        let Value::Matrix(series) = answer.value else {
            return Err("as a range: expected a matrix".to_owned());
        };
        compare::sorted(&series).map_err(|how| format!("as a range: {how}"))?;
        if expect.ordered {
            return Ok(());
        }
        let samples = compare::slice(&series, time);
        let middle = match (value, samples.first()) {
            (Value::Scalar { timestamp, .. }, Some(sample)) => match sample.value {
                nave_model::sample::Value::Float(value) => Value::Scalar { timestamp: *timestamp, value },
                nave_model::sample::Value::Histogram(_) => Value::Vector(samples),
            },
            _ => Value::Vector(samples),
        };
        compare::value(&middle, expect, self.eval.at).map_err(|how| format!("as a range: {how}"))
    }

    /// The same query with every selector pinned to its time, evaluated at other times.
    async fn pinned(&self, time: i64) -> Result<(), String> {
        let Ok(mut expr) = parse(&self.eval.query, &ParseOptions::ALL) else { return Ok(()) };
        let mut depends_on_time = false;
        expr.walk(&mut |expr| {
            if let ExprKind::Call(call) = &expr.kind {
                depends_on_time |= depends_on_evaluation_time(call.function.id);
            }
        });
        if depends_on_time {
            return Ok(());
        }
        pinned(&mut expr, Timestamp(time));
        let query = expr.to_string();
        let times =
            if time == 0 { vec![-1000, 0, 1000] } else { vec![-10 * time, 0, time / 5, time, 10 * time] };
        for time in times {
            let at = |how| format!("pinned ({query}) at {time}: {how}");
            self.instant(&query, time, Modes::All).await.map_err(at)?;
        }
        Ok(())
    }
}

/// Whether a function looks at the time of evaluation besides the samples.
fn depends_on_evaluation_time(function: FunctionId) -> bool {
    use FunctionId as F;
    matches!(
        function,
        F::DaysInMonth
            | F::DayOfMonth
            | F::DayOfWeek
            | F::DayOfYear
            | F::Hour
            | F::Minute
            | F::Month
            | F::Year
            | F::End
            | F::Start
            | F::Step
            | F::Range
            | F::Time
            | F::Timestamp
            | F::PredictLinear
    )
}
