//! A range vector as the whole query: its samples as they are stored.

use nave_base::budget::Charge;
use nave_model::select::Columns;
use nave_model::time::Timestamp;

use super::ledger::weight;
use super::{Context, Result, operator, scan, subquery};
use crate::answer::Series;
use crate::kernel::window::Points;
use crate::plan::{RangeInput, Source, Steps, Subquery};

/// All series of `input` that have samples in the window at `time`, and the memory they take.
pub(crate) fn raw(input: &RangeInput, time: i64, context: &Context) -> Result<(Vec<Series>, Charge)> {
    match input {
        RangeInput::Source(source) => stored(source, time, context),
        RangeInput::Subquery(inner) => computed(inner, time, context),
    }
}

/// Series that are fetched at once.
const CHUNK: usize = 256;

fn stored(source: &Source, time: i64, context: &Context) -> Result<(Vec<Series>, Charge)> {
    let selection = scan::selection(source, Steps::instant(time), context);
    let selected = context.wait(context.store().open(selection))?;
    context.count_series(selected.len());
    let end = source.shift.apply(time);
    let start = end.saturating_sub(source.window_ms);
    let (mut found, mut charge) = (Vec::new(), context.charge(0)?);
    let (mut columns, mut points) = (Columns::default(), Points::default());
    for from in (0..selected.len()).step_by(CHUNK) {
        let chunk = from..selected.len().min(from + CHUNK);
        let pages = context.wait(selected.fetch(chunk.clone()))?;
        for index in chunk {
            context.check()?;
            pages.decode(index, &mut columns)?;
            context.count_read(columns.len());
            points.take(&mut columns);
            let samples = merged(&points, start, end);
            if !samples.is_empty() {
                let kept = samples.len() as u64;
                let mut looked_at = context.looked_at();
                let histograms = samples.histograms.iter().map(|(_, histogram)| weight(histogram));
                looked_at.add(0, kept - samples.histograms.len() as u64 + histograms.sum::<u64>());
                context.count_samples(&looked_at);
                context.hold_samples(kept, 0)?;
                charge.grow(samples.len() * 16)?;
                found.push(Series { labels: selected.labels(index), columns: samples });
            }
        }
    }
    context.store_warnings(selected.warnings());
    Ok((found, charge))
}

/// The samples in `(start, end]`, floats and histograms together.
fn merged(points: &Points, start: i64, end: i64) -> Columns {
    let inside = |time: Timestamp| start < time.0 && time.0 <= end;
    let mut columns = Columns::default();
    let mut histograms = points.histograms.iter().filter(|(time, _)| inside(*time)).peekable();
    for (time, value) in points.times.iter().zip(&points.values).filter(|(time, _)| inside(**time)) {
        while let Some((at, histogram)) = histograms.next_if(|(at, _)| at < time) {
            columns.push_histogram(*at, histogram.clone());
        }
        columns.push(*time, *value);
    }
    histograms.for_each(|(at, histogram)| columns.push_histogram(*at, histogram.clone()));
    columns
}

fn computed(inner: &Subquery, time: i64, context: &Context) -> Result<(Vec<Series>, Charge)> {
    let steps_charge = context.charge(super::column::bytes(inner.steps.len()))?;
    // Counted at the one step of the query, whenever it was evaluated.
    let below = context.apart();
    let collected = super::collect(operator(&inner.input, inner.steps, &below)?, &below)?;
    let mut record = below.taken();
    let mut looked_at = context.looked_at();
    looked_at.add(0, record.looked_at.all);
    record.looked_at = looked_at;
    context.add(record)?;
    let end = inner.shift.apply(time);
    let start = end.saturating_sub(inner.range_ms);
    let (mut found, mut points) = (Vec::new(), Points::default());
    for (series, column) in collected.series {
        let mut columns = Columns::default();
        subquery::samples(&column, inner.steps, &mut columns);
        points.take(&mut columns);
        let samples = merged(&points, start, end);
        if !samples.is_empty() {
            let labels =
                if series.drop_name { super::without_metadata(&series.labels) } else { series.labels };
            found.push(Series { labels, columns: samples });
        }
    }
    drop(steps_charge);
    Ok((found, collected.charge))
}
