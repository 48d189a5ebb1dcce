//! `smoothed` instant selectors, and functions over `anchored` and `smoothed` ranges.

use nave_model::sample::Value;
use nave_model::select::Columns;

use super::range_function::{Step, warn_mixed_samples};
use super::scan::{Evaluate, Scratch};
use super::{Column, Result, Series, edge_histogram};
use crate::ast::{Edge, Position};
use crate::function::FunctionId;
use crate::kernel::edge::{Edges, smoothed};
use crate::kernel::rate;
use crate::kernel::window::{Cursor, Window};
use crate::plan::{Shift, Steps};

/// A selector's edge, and how far beyond its range it looks in ms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) edge: Edge,
    pub(super) lookback_ms: i64,
}

impl Reach {
    /// Ends of the samples that the range `(start, end]` needs.
    pub(super) fn widen(self, start: i64, end: i64) -> (i64, i64) {
        let right = if self.edge == Edge::Smoothed { self.lookback_ms } else { 0 };
        (start.saturating_sub(self.lookback_ms), end.saturating_add(right))
    }

    /// The value of the function over `(start, end]`, from the samples of the wider `window`.
    pub(super) fn apply(
        self,
        step: &mut Step<'_>,
        window: &Window<'_>,
        (start, end): (i64, i64),
    ) -> Option<Value> {
        let counter = matches!(step.function, FunctionId::Rate | FunctionId::Increase);
        let edges = Edges { start, end, smoothed: self.edge == Edge::Smoothed, counter };
        if !window.histograms.is_empty() {
            return edge_histogram::apply(step, window, edges);
        }
        edge_value(step.function, window, edges).map(Value::Float)
    }
}

/// The value of `function` over floats.
pub(super) fn edge_value(function: FunctionId, window: &Window<'_>, edges: Edges) -> Option<f64> {
    use FunctionId as F;
    let bounded = edges.bound(window)?;
    let values = || bounded.values().collect::<Vec<_>>();
    Some(match function {
        F::Changes => rate::changes(&values()),
        F::Resets => rate::resets(&values()),
        F::Rate => bounded.difference(true) / ((edges.end - edges.start) as f64 / 1000.0),
        _ => bounded.difference(edges.counter),
    })
}

/// The interpolated value per step.
pub(super) struct Smooth {
    pub(super) steps: Steps,
    pub(super) shift: Shift,
    pub(super) lookback_ms: i64,
    /// Where the selector stands.
    pub(super) pos: Position,
}

impl Evaluate for Smooth {
    fn evaluate(
        &self,
        series: &Series,
        samples: &mut Columns,
        scratch: &mut Scratch,
        column: &mut Column,
    ) -> Result<()> {
        scratch.points.take(samples);
        let mut cursor = Cursor::default();
        for (step, time) in self.steps.iter().enumerate() {
            let at = self.shift.apply(time);
            let (start, end) = (at.saturating_sub(self.lookback_ms), at.saturating_add(self.lookback_ms));
            let window = cursor.window(&scratch.points, start, end, time);
            if window.is_mixed() {
                warn_mixed_samples(&mut scratch.notes, self.pos, series.labels.metric_name());
                continue;
            }
            if !window.histograms.is_empty() {
                let (notes, metric) = (&mut scratch.notes, series.labels.metric_name());
                if let Some(value) = edge_histogram::smoothed(&window, at, (notes, self.pos, metric)) {
                    column.set_histogram(step, value);
                    scratch.looked_at.add(step, 1);
                }
                continue;
            }
            if let Some(value) = smoothed(&window, at) {
                column.set(step, value);
                scratch.looked_at.add(step, 1);
            }
        }
        Ok(())
    }

    fn drops_name(&self) -> bool {
        false
    }
}
