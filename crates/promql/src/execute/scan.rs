//! Reads series from the store, a chunk at a time, and evaluates each of them on the CPU pool.
//!
//! What is done per series is an [`Evaluate`]: the newest sample per step (here) or a function over
//! windows ([`super::range`]). Results and notes come back in series order whatever the pool does.

use std::collections::VecDeque;
use std::sync::Arc;

use nave_base::budget::Charge;
use nave_model::histogram::{CounterResetHint, Histogram};
use nave_model::sample::is_stale;
use nave_model::select::{Columns, Hint, Pages, Selected, Selection};
use rayon::prelude::*;

use super::column::{self, Column};
use super::edge::Smooth;
use super::ledger::{LookedAt, weight};
use super::note::Notes;
use super::reading;
use super::{BoxOperator, Context, Operator, Result, Series};
use crate::ast::Position;
use crate::kernel::histogram::is_reset;
use crate::plan::{Shift, Source, Steps};

/// What is computed from the samples of one series.
pub(crate) trait Evaluate: Send + Sync {
    /// Fills `column`, which has a step per step of the query, from `samples`, which it may take apart.
    fn evaluate(
        &self,
        series: &Series,
        samples: &mut Columns,
        scratch: &mut Scratch,
        column: &mut Column,
    ) -> Result<()>;

    /// Whether results lose the metric name.
    fn drops_name(&self) -> bool;
}

/// What an evaluation reuses from series to series, and what it leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) points: crate::kernel::window::Points,
    pub(crate) buffer: Vec<f64>,
    pub(crate) notes: Notes,
    pub(crate) looked_at: LookedAt,
    /// Samples in the largest window.
    pub(crate) window: u64,
}

/// Bytes of result columns that are computed ahead.
pub(super) const CHUNK_BYTES: usize = 8 << 20;
/// Series that are computed ahead.
pub(super) const CHUNK_SERIES: usize = 1024;
/// Below this many samples (series times steps) the pool does not pay.
pub(super) const PARALLEL_MIN: usize = 4096;

/// A selector with what is computed per series.
pub(crate) struct Scan {
    context: Context,
    selection: Option<Selection>,
    evaluate: Arc<dyn Evaluate>,
    detects_resets: bool,
    steps: usize,
    selected: Option<Box<dyn Selected>>,
    series: Vec<Series>,
    at: usize,
    ready: VecDeque<Column>,
    charge: Option<Charge>,
    labels_charge: Option<Charge>,
}

impl Scan {
    pub(crate) fn new(source: &Source, steps: Steps, context: &Context, evaluate: Arc<dyn Evaluate>) -> Self {
        Self {
            context: context.clone(),
            selection: Some(selection(source, steps, context)),
            evaluate,
            detects_resets: source.detects_resets,
            steps: steps.len(),
            selected: None,
            series: Vec::new(),
            at: 0,
            ready: VecDeque::new(),
            charge: None,
            labels_charge: None,
        }
    }

    fn fill(&mut self) -> Result<()> {
        self.context.check()?;
        let Some(selected) = &self.selected else { return Ok(()) };
        let chunk = (CHUNK_BYTES / column::bytes(self.steps)).clamp(1, CHUNK_SERIES);
        let range = self.at..self.series.len().min(self.at + chunk);
        self.charge = None;
        self.charge = Some(self.context.charge(range.len() * column::bytes(self.steps))?);
        let pages = self.context.wait(selected.fetch(range.clone()))?;
        let one = |state: &mut (Columns, Scratch), index: usize| self.one(&*pages, index, state);
        let is_small = range.len() < 2 || range.len() * self.steps < PARALLEL_MIN;
        let done: Vec<Result<(Column, Notes)>> = if is_small {
            let mut state = Default::default();
            range.clone().map(|index| one(&mut state, index)).collect()
        } else {
            range.clone().into_par_iter().map_init(Default::default, one).collect()
        };
        for result in done {
            let (column, notes) = result?;
            self.context.note(|all| all.append(notes));
            self.ready.push_back(column);
        }
        self.at = range.end;
        if self.at == self.series.len() {
            self.context.store_warnings(selected.warnings());
        }
        Ok(())
    }

    fn one(
        &self,
        pages: &dyn Pages,
        index: usize,
        state: &mut (Columns, Scratch),
    ) -> Result<(Column, Notes)> {
        self.context.check()?;
        let (samples, scratch) = state;
        pages.decode(index, samples)?;
        self.context.count_read(samples.len());
        if !self.context.use_starts() {
            samples.start_timestamps.clear();
        }
        if self.detects_resets && !samples.histograms.is_empty() {
            detect_resets(samples);
        }
        let mut column = Column::new(self.steps);
        (scratch.looked_at, scratch.window) = (self.context.looked_at(), 0);
        self.evaluate.evaluate(&self.series[index], samples, scratch, &mut column)?;
        self.context.count_samples(&scratch.looked_at);
        self.context.hold_samples(column.count() as u64, scratch.window)?;
        Ok((column, std::mem::take(&mut scratch.notes)))
    }
}

impl Operator for Scan {
    fn series(&mut self) -> Result<Vec<Series>> {
        self.context.check()?;
        let Some(selection) = self.selection.take() else { return Ok(Vec::new()) };
        if self.steps == 0 {
            return Ok(Vec::new());
        }
        let selected = match self.context.wait(self.context.store().open(selection)) {
            Ok(selected) => selected,
            Err(nave_model::select::SelectError::Cancelled) => return Err(self.context.stopped()),
            Err(other) => return Err(other.into()),
        };
        self.context.count_series(selected.len());
        let series = |index| Series { labels: selected.labels(index), drop_name: false };
        self.series = (0..selected.len()).map(series).collect();
        let bytes = |series: &Series| size_of::<Series>() + series.labels.as_bytes().len();
        self.labels_charge = Some(self.context.charge(self.series.iter().map(bytes).sum())?);
        if self.series.is_empty() {
            self.context.store_warnings(selected.warnings());
        }
        self.selected = Some(selected);
        let named = self.series.iter().cloned();
        Ok(if self.evaluate.drops_name() {
            named.map(|series| self.context.without_name(series)).collect()
        } else {
            named.collect()
        })
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        if self.ready.is_empty() {
            self.fill()?;
        }
        *column = self.ready.pop_front().unwrap_or_else(|| Column::new(self.steps));
        Ok(())
    }
}

/// What is asked from the store for `source`.
pub(crate) fn selection(source: &Source, steps: Steps, context: &Context) -> Selection {
    Selection {
        scope: context.scope().clone(),
        need: source.need,
        projection: source.projection.clone(),
        hint: Hint {
            function: source.function.to_owned(),
            range_ms: if source.is_range { source.window_ms } else { 0 },
            step_ms: if steps.len() > 1 { steps.step } else { 0 },
        },
        budget: context.budget().clone(),
        cancel: context.cancel().clone(),
        may_block: true,
        ..Selection::new(source.matchers.clone(), source.range)
    }
}

/// Fills in the counter reset hints that the store left open, from each histogram and the one before it.
pub(super) fn detect_resets(samples: &mut Columns) {
    let mut before: Option<(u32, Arc<Histogram>)> = None;
    for (index, histogram) in &mut samples.histograms {
        if is_stale(histogram.sum) {
            continue;
        }
        let previous = before.take().filter(|(at, _)| is_next(&samples.values, *at, *index));
        if let Some((_, previous)) = previous
            && histogram.counter_reset_hint == CounterResetHint::Unknown
        {
            let reset = is_reset(histogram, &previous);
            Arc::make_mut(histogram).counter_reset_hint =
                if reset { CounterResetHint::Reset } else { CounterResetHint::NotReset };
        }
        before = Some((*index, histogram.clone()));
    }
}

/// Whether no float stands between two samples; stale histograms, whose place is 0, may.
fn is_next(values: &[f64], from: u32, to: u32) -> bool {
    values[from as usize..to as usize].iter().all(|value| *value == 0.0)
}

/// What of the newest sample is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Value,
    /// Its time in seconds.
    Time,
    /// Since when it counts, in seconds; 0 where that is not known.
    StartTime,
}

/// The newest sample per step; `pos` is the selector's.
pub(crate) fn instant(
    source: &Source,
    steps: Steps,
    context: &Context,
    (reading, pos): (Reading, Position),
) -> Result<BoxOperator> {
    if source.edge.is_some() {
        let smooth = Smooth { steps, shift: source.shift, lookback_ms: source.lookback_ms, pos };
        return reader(source, steps, context, Arc::new(smooth));
    }
    let newest = Newest { steps, shift: source.shift, lookback: source.window_ms, reading };
    reader(source, steps, context, Arc::new(newest))
}

/// `evaluate` over the series of `source`, which others may read too.
pub(super) fn reader(
    source: &Source,
    steps: Steps,
    context: &Context,
    evaluate: Arc<dyn Evaluate>,
) -> Result<BoxOperator> {
    match &source.reading {
        Some(reading) => reading::operator(source, reading, steps, context, evaluate),
        None => Ok(Box::new(Scan::new(source, steps, context, evaluate))),
    }
}

struct Newest {
    steps: Steps,
    shift: Shift,
    lookback: i64,
    reading: Reading,
}

impl Evaluate for Newest {
    fn evaluate(
        &self,
        _: &Series,
        samples: &mut Columns,
        scratch: &mut Scratch,
        column: &mut Column,
    ) -> Result<()> {
        let mut after = 0;
        let mut histograms = samples.histograms.iter().peekable();
        for (step, time) in self.steps.iter().enumerate() {
            let at = self.shift.apply(time);
            while after < samples.len() && samples.timestamps[after].0 <= at {
                after += 1;
            }
            let Some(index) = after.checked_sub(1) else { continue };
            let found = samples.timestamps[index];
            if found.0 <= at.saturating_sub(self.lookback) || is_stale(samples.values[index]) {
                continue;
            }
            while histograms.next_if(|(at, _)| (*at as usize) < index).is_some() {}
            let histogram = histograms.peek().filter(|(at, _)| *at as usize == index).map(|(_, h)| h);
            match histogram {
                Some(histogram) if is_stale(histogram.sum) => continue,
                _ if self.reading == Reading::Time => column.set(step, found.seconds()),
                _ if self.reading == Reading::StartTime => {
                    let start = samples.start_timestamps.get(index);
                    column.set(step, start.map_or(0.0, |start| start.seconds()));
                }
                Some(histogram) => column.set_histogram(step, histogram.clone()),
                None => column.set(step, samples.values[index]),
            }
            // As upstream, times count the same whatever they are of.
            let weight = histogram.filter(|_| self.reading == Reading::Value).map_or(1, |h| weight(h));
            scratch.looked_at.add(step, weight);
        }
        Ok(())
    }

    fn drops_name(&self) -> bool {
        self.reading != Reading::Value
    }
}
