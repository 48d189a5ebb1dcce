//! Counts what each node of a plan gives and takes; only for plans that are shown with figures.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use nave_base::clock::SharedClock;
use parking_lot::Mutex;

use super::{BoxOperator, Column, Operator, Result, Series};
use crate::plan::Node;

/// What a node gave, and the time it took with everything below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Figures {
    pub(crate) series: u64,
    pub(crate) samples: u64,
    pub(crate) time: Duration,
}

/// Figures by node. Clones share.
#[derive(Clone)]
pub(crate) struct Meter {
    clock: SharedClock,
    /// By address: the plan is not moved while it runs.
    nodes: Arc<Mutex<HashMap<usize, Figures>>>,
}

impl Meter {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, nodes: Arc::default() }
    }

    /// What was counted for `node`; `None` for one that did not run on its own.
    pub(crate) fn figures(&self, node: &Node) -> Option<Figures> {
        self.nodes.lock().get(&address(node)).copied()
    }

    /// `operator`, which evaluates `node`, with counting.
    pub(super) fn wrap(&self, node: &Node, operator: BoxOperator) -> BoxOperator {
        Box::new(Metered { operator, node: address(node), meter: self.clone() })
    }

    fn add(&self, node: usize, started: Duration, series: usize, samples: usize) {
        let time = self.clock.monotonic().saturating_sub(started);
        let mut nodes = self.nodes.lock();
        let figures = nodes.entry(node).or_default();
        figures.series += series as u64;
        figures.samples += samples as u64;
        figures.time += time;
    }
}

fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

struct Metered {
    operator: BoxOperator,
    node: usize,
    meter: Meter,
}

impl Operator for Metered {
    fn series(&mut self) -> Result<Vec<Series>> {
        let started = self.meter.clock.monotonic();
        let series = self.operator.series()?;
        self.meter.add(self.node, started, series.len(), 0);
        Ok(series)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        let started = self.meter.clock.monotonic();
        self.operator.next(column)?;
        self.meter.add(self.node, started, 0, column.count());
        Ok(())
    }
}
