//! One query under two plans.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, LazyLock};

use nave_base::Shutdown;
use nave_base::budget::Budget;
use nave_model::histogram::Histogram;
use nave_model::sample::Value as Sample;
use nave_model::select::{Columns, Scope, Select};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::answer::{Answer, Value};
use crate::engine::Job;
use crate::error::QueryError;
use crate::execute::{Context, Parts};
use crate::parse::{ParseOptions, parse};
use crate::plan::{self, Query, Rewrites, Steps};

/// When a query is evaluated; in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Once.
    At(i64),
    /// At all steps.
    Range {
        /// The first step.
        start: i64,
        /// No step is after it.
        end: i64,
        /// Between steps.
        step: i64,
    },
}

/// What is wrong with the answer to `query` under `rewrites`: `None` when it is the one of the plan as built, bit for bit,
/// with the same error and the same annotations.
///
/// # Panics
/// When the query panics.
#[must_use]
pub fn difference(store: &Arc<dyn Select>, query: &str, when: When, rewrites: Rewrites) -> Option<String> {
    let want = text(answer(store, query, when, Rewrites::NONE));
    let got = text(answer(store, query, when, rewrites));
    (want != got).then(|| format!("{query}\n  {when:?} {rewrites:?}\nplain plan: {want}\nrewritten:  {got}"))
}

/// The answer to `query` under `rewrites`, on this thread, without limits.
///
/// # Errors
/// As the engine.
///
/// # Panics
/// When no runtime can be made.
pub fn answer(
    store: &Arc<dyn Select>,
    query: &str,
    when: When,
    rewrites: Rewrites,
) -> Result<Answer, QueryError> {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime without drivers"));
    let expr = parse(query, &ParseOptions::ALL)?;
    let (steps, is_instant) = match when {
        When::At(time) => (Steps::instant(time), true),
        When::Range { start, end, step } => (Steps { start, end, step }, false),
    };
    let whole = Query {
        steps,
        is_instant,
        lookback_ms: 300_000,
        default_step_ms: 60_000,
        delayed_names: false,
        use_starts: false,
    };
    let mut plan = plan::build(&expr, whole)?;
    plan::optimize(&mut plan, steps, rewrites);
    let context = Context::new(parts(store.clone(), RUNTIME.handle().clone()));
    Job { plan, steps, is_instant, query: query.to_owned(), limit: None, context }.run()
}

/// What a query runs in: no limits, nothing measured, nothing experimental.
pub(crate) fn parts(store: Arc<dyn Select>, runtime: Handle) -> Parts {
    Parts {
        store,
        scope: Scope::default(),
        runtime,
        budget: Budget::unlimited(),
        cancel: Shutdown::new(),
        stop: Arc::new(AtomicU8::new(0)),
        delayed_names: false,
        use_starts: false,
        meter: None,
        samples_max: u64::MAX,
        figures: false,
        counts_steps: false,
    }
}

/// Everything that is promised of an answer. Series that an instant query gives without order are sorted by it already;
/// annotations have no order.
fn text(answer: Result<Answer, QueryError>) -> String {
    let Answer { value, mut warnings, mut infos, .. } = match answer {
        Ok(answer) => answer,
        Err(error) => return format!("error {}: {error}", error.kind()),
    };
    let mut text = String::new();
    match value {
        Value::Scalar { timestamp, value } => _ = write!(text, "scalar {timestamp} {:016x}", bits(value)),
        Value::String { timestamp, value } => _ = write!(text, "string {timestamp} {value:?}"),
        Value::Vector(samples) => samples.iter().for_each(|sample| {
            _ = write!(text, "\n{} {}", sample.labels, sample.timestamp);
            write_sample(&mut text, &sample.value);
        }),
        Value::Matrix(all) => all.iter().for_each(|series| {
            _ = write!(text, "\n{}", series.labels);
            write_columns(&mut text, &series.columns);
        }),
    }
    warnings.sort();
    infos.sort();
    _ = write!(text, "\nwarnings {warnings:?} infos {infos:?}");
    text
}

fn write_columns(text: &mut String, columns: &Columns) {
    let mut histograms = columns.histograms.iter().peekable();
    for (index, (time, value)) in columns.timestamps.iter().zip(&columns.values).enumerate() {
        _ = write!(text, "\n  {time}");
        match histograms.next_if(|(at, _)| *at as usize == index) {
            Some((_, histogram)) => write_histogram(text, histogram),
            None => _ = write!(text, " {:016x} {value}", bits(*value)),
        }
    }
}

fn write_sample(text: &mut String, sample: &Sample) {
    match sample {
        Sample::Float(value) => _ = write!(text, " {:016x} {value}", bits(*value)),
        Sample::Histogram(histogram) => write_histogram(text, histogram),
    }
}

fn write_histogram(text: &mut String, histogram: &Histogram) {
    _ = write!(text, " {histogram:?}");
}

/// Of a NaN neither sign nor payload are promised.
fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}
