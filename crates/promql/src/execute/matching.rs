//! Which series of two vectors belong together.

use hashbrown::HashMap;
use nave_model::label::{Labels, METRIC_NAME};

use super::Series;
use crate::ast::Matching;

type Map = HashMap<Labels, usize, foldhash::fast::RandomState>;

/// Numbers the match groups of all series of both sides.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    known: Map,
}

impl Signatures {
    /// The match group of every series of one side.
    pub(super) fn of(&mut self, series: &[Series], matching: &Matching) -> Vec<usize> {
        let group = |series: &Series| {
            let next = self.known.len();
            *self.known.entry(signature(&series.labels, matching)).or_insert(next)
        };
        series.iter().map(group).collect()
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

/// The labels that must be equal.
pub(super) fn signature(labels: &Labels, matching: &Matching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|label| label == name);
    if matching.on {
        labels.filtered(listed)
    } else {
        labels.filtered(|name| name != METRIC_NAME && !listed(name))
    }
}
