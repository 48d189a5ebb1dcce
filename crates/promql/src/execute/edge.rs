//! `smoothed` instant selectors, and functions over `anchored` and `smoothed` ranges.
//!
//! Native histograms are refused by name here.

use nave_model::select::Columns;

use super::scan::{Evaluate, Scratch};
use super::{Column, Result, Series};
use crate::ast::Edge;
use crate::error::QueryError;
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

    /// The value of `function` over `(start, end]`, from the samples of the wider `window`.
    pub(super) fn apply(
        self,
        function: FunctionId,
        window: &Window<'_>,
        start: i64,
        end: i64,
    ) -> Result<Option<f64>> {
        use FunctionId as F;
        if !window.histograms.is_empty() {
            return Err(refused(self.edge));
        }
        let counter = matches!(function, F::Rate | F::Increase);
        let edges = Edges { start, end, smoothed: self.edge == Edge::Smoothed, counter };
        let Some(bounded) = edges.bound(window) else { return Ok(None) };
        let values = || bounded.values().collect::<Vec<_>>();
        Ok(Some(match function {
            F::Changes => rate::changes(&values()),
            F::Resets => rate::resets(&values()),
            F::Rate => bounded.difference(true) / ((end - start) as f64 / 1000.0),
            _ => bounded.difference(counter),
        }))
    }
}

fn refused(edge: Edge) -> QueryError {
    QueryError::not_built(&format!("native histograms with modifier {}", edge.as_str()))
}

/// The interpolated value per step.
pub(super) struct Smooth {
    pub(super) steps: Steps,
    pub(super) shift: Shift,
    pub(super) lookback_ms: i64,
}

impl Evaluate for Smooth {
    fn evaluate(
        &self,
        _: &Series,
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
            if !window.histograms.is_empty() {
                return Err(refused(Edge::Smoothed));
            }
            if let Some(value) = smoothed(&window, at) {
                column.set(step, value);
                scratch.looked_at += 1;
            }
        }
        Ok(())
    }

    fn drops_name(&self) -> bool {
        false
    }
}
