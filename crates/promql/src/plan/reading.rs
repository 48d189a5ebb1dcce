//! Rewrite: selectors of the same series read them together.
//!
//! `rate(x[5m]) / rate(x[1h])` finds the series of `x` once, builds their labels once and decodes each of them once, for the
//! longer range; every selector is then given the samples of its own range. Selectors whose ranges do not meet read on their
//! own: together they would read what is between them. One that needs the newest sample only joins one that reads its range
//! anyway.

use std::collections::HashMap;

use nave_model::select::{Need, Projection};
use nave_model::time::TimeRange;

use super::share::widest;
use super::{Kind, Node, RangeInput, Reading, Source};

impl Reading {
    /// Numbers before it are those of shared nodes.
    pub(super) const FIRST: usize = 1 << 31;
}

/// Groups of one selector that a further one is held against: with ever other offsets there could be as many as selectors.
const GROUPS_TRIED: usize = 32;

struct Group {
    range: TimeRange,
    need: Need,
    projection: Projection,
    members: usize,
}

impl Group {
    fn takes(&self, source: &Source) -> bool {
        let (own, theirs) = (self.range, source.range);
        match (self.need, source.need) {
            (Need::Samples, Need::Samples) => own.min <= theirs.max && theirs.min <= own.max,
            (Need::Samples, _) => own.min <= theirs.min && theirs.max <= own.max,
            (need, other) => need == other && own == theirs,
        }
    }

    fn add(&mut self, source: &Source) {
        self.range.min = self.range.min.min(source.range.min);
        self.range.max = self.range.max.max(source.range.max);
        self.projection = widest(&self.projection, &source.projection);
        self.members += 1;
    }
}

/// Lets the selectors below `plan` read together.
pub(super) fn read_together(plan: &mut Node) {
    if super::share::has_no_twins(plan) {
        return;
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut of: HashMap<String, Vec<usize>> = HashMap::new();
    // Those that read all samples first: the others join them.
    for newest in [false, true] {
        each_source(plan, &mut |source| {
            if (source.need != Need::Samples) != newest {
                return;
            }
            let known = of.entry(key(source)).or_default();
            let mut latest = known.iter().rev().take(GROUPS_TRIED);
            let group = latest.find(|group| groups[**group].takes(source)).copied().unwrap_or_else(|| {
                known.push(groups.len());
                let (range, need, projection) = (source.range, source.need, source.projection.clone());
                groups.push(Group { range, need, projection, members: 0 });
                groups.len() - 1
            });
            groups[group].add(source);
            let (need, projection) = (source.need, source.projection.clone());
            let reading = Reading { id: Reading::FIRST + group, range: source.range, need, projection };
            source.reading = Some(Box::new(reading));
        });
    }
    each_source(plan, &mut |source| {
        let Some(reading) = &mut source.reading else { return };
        let group = &groups[reading.id - Reading::FIRST];
        if group.members < 2 {
            source.reading = None;
            return;
        }
        (reading.range, reading.need) = (group.range, group.need);
        reading.projection.clone_from(&group.projection);
    });
}

/// Which series are selected, and what is done to samples before anyone sees them.
fn key(source: &Source) -> String {
    format!("{:?} {}", source.matchers, source.detects_resets)
}

/// Visits the selectors whose series are known before the query runs: those of `info()` are not.
fn each_source(node: &mut Node, visit: &mut impl FnMut(&mut Source)) {
    let is_raw = matches!(node.kind, Kind::Info(_) | Kind::Raw(RangeInput::Source(_)));
    if !is_raw && let Some(source) = node.source_mut() {
        visit(source);
    }
    for child in node.children_mut() {
        each_source(child, visit);
    }
}
