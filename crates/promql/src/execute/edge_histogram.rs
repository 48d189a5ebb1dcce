//! `anchored` and `smoothed` over native histograms, and over ranges with samples of both kinds.
//!
//! As with floats, a smoothed end between two samples is on the line between them, from zero if the counter
//! began again in between. Such an end belongs to the later sample, so a reset is not counted twice.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::sample::Value;
use nave_model::time::Timestamp;

use super::edge::edge_value;
use super::note::Notes;
use super::range_function::{Step, warn_mixed};
use super::range_histogram::{Timed, changes, note, note_at, resets, samples};
use crate::ast::Position;
use crate::function::FunctionId;
use crate::kernel::edge::{Deciding, Edges};
use crate::kernel::histogram::{Remark, between, edge_difference, is_reset, remark_types, scaled};
use crate::kernel::window::Window;

/// The value of a function over the range of `edges`; `window` is wider and has histograms.
pub(super) fn apply(step: &mut Step<'_>, window: &Window<'_>, edges: Edges) -> Option<Value> {
    let all = samples(window);
    let times: Vec<Timestamp> = all.iter().map(|sample| sample.since.time).collect();
    let deciding = edges.deciding(&times)?;
    let found = &all[deciding.first..=deciding.last];
    match step.function {
        FunctionId::Changes => return Some(Value::Float(changes(found))),
        FunctionId::Resets => return Some(Value::Float(resets(found))),
        _ => {}
    }
    let histograms: Vec<&Histogram> = found.iter().filter_map(|sample| sample.value.err()).collect();
    if histograms.is_empty() {
        return floats(step.function, found, window, edges);
    }
    if histograms.len() < found.len() {
        warn_mixed(step);
        return None;
    }
    difference(step, &histograms, &times[deciding.first..=deciding.last], deciding, edges)
}

/// The floats of a window whose histograms are out of the range.
fn floats(function: FunctionId, found: &[Timed<'_>], window: &Window<'_>, edges: Edges) -> Option<Value> {
    let times: Vec<Timestamp> = found.iter().map(|sample| sample.since.time).collect();
    let values: Vec<f64> = found.iter().filter_map(|sample| sample.value.ok()).collect();
    let floats = Window { times: &times, values: &values, histograms: &[], ..*window };
    edge_value(function, &floats, edges).map(Value::Float)
}

/// `rate`, `increase` or `delta` of the deciding samples.
fn difference(
    step: &mut Step<'_>,
    histograms: &[&Histogram],
    times: &[Timestamp],
    deciding: Deciding,
    edges: Edges,
) -> Option<Value> {
    let per_second = step.function == FunctionId::Rate;
    let mut remark = |remark: Remark| note(step, remark);
    remark_types(histograms, edges.counter, &mut remark);
    let last = histograms.len() - 1;
    let mut cut = |index: usize, time: i64, cuts: bool, whole: usize| match cuts {
        true => between(
            histograms[index],
            histograms[index + 1],
            (time - times[index].0) as f64 / (times[index + 1].0 - times[index].0) as f64,
            &mut remark,
        ),
        false => Some(histograms[whole].clone()),
    };
    let left = cut(0, edges.start, deciding.cuts_left, 0)?;
    let right = cut(last.saturating_sub(1), edges.end, deciding.cuts_right, last)?;
    let mut lost = Vec::new();
    if edges.counter {
        // An end that was cut has the first reset in it already.
        for pair in histograms[usize::from(deciding.cuts_left)..].windows(2) {
            if is_reset(pair[1], pair[0]) {
                lost.push(pair[0]);
            }
        }
    }
    let result = edge_difference((&left, &right), &lost, &mut remark)?;
    let seconds = (edges.end - edges.start) as f64 / 1000.0;
    let result = if per_second { scaled(&result, |count| count / seconds) } else { result };
    Some(Value::Histogram(Arc::new(result)))
}

/// The histogram at `time`: on the line between the samples around it, or the one before it.
pub(super) fn smoothed(
    window: &Window<'_>,
    time: i64,
    (notes, pos, metric): (&mut Notes, Position, &str),
) -> Option<Arc<Histogram>> {
    let histograms = window.histograms;
    let after = histograms.partition_point(|(known, _)| known.0 <= time);
    let (start, before) = &histograms[after.checked_sub(1)?];
    let Some((end, next)) = histograms.get(after).filter(|_| start.0 != time) else {
        return Some(before.clone());
    };
    let share = (time - start.0) as f64 / (end.0 - start.0) as f64;
    between(before, next, share, &mut |remark| note_at(notes, pos, metric, remark)).map(Arc::new)
}
