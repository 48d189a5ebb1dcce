//! An open selection: its series in label order.
//!
//! Series that differ only in replica labels are one entry; where two have a sample at one time, the series that sorts
//! first is taken.

use std::ops::Range;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use nave_base::Shutdown;
use nave_base::budget::{Budget, Charge};
use nave_model::label::Labels;
use nave_model::select::{Need, Pages, SelectError, Selected, Selection};
use nave_model::time::TimeRange;
use parking_lot::Mutex;

use super::damage::{Damages, Warnings};
use super::find::Found;
use super::pages::{Fetched, Workspace};
use crate::catalog::Pin;
use crate::head::{Head, Partition};
use crate::index::check_cancel;
use crate::order::{SORTED_MIN, Sorted};
use crate::source::Source;

/// What an open selection holds until it and its pages are dropped.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) found: Found,
    entries: Entries,
    pub(super) sources: Vec<Source>,
    pub(super) range: TimeRange,
    pub(super) last_only: bool,
    pub(super) budget: Budget,
    pub(super) cancel: Shutdown,
    pub(super) damages: Arc<Damages>,
    pub(super) warnings: Warnings,
    /// Buffers that decoding threads hand on.
    pub(super) workspaces: Mutex<Vec<Workspace>>,
    pub(super) _pin: Pin,
    pub(super) _charge: Charge,
}

/// Series of [`Found`] in label order.
#[derive(Debug)]
struct Entries {
    order: Vec<u32>,
    /// With replica labels: labels without them, and where in `order` their series begin.
    merged: Option<Vec<(Labels, u32)>>,
}

impl Entries {
    fn len(&self) -> usize {
        self.merged.as_ref().map_or(self.order.len(), Vec::len)
    }

    /// The series of an entry.
    fn series(&self, entry: usize) -> &[u32] {
        let Some(merged) = &self.merged else { return &self.order[entry..=entry] };
        let end = merged.get(entry + 1).map_or(self.order.len(), |next| next.1 as usize);
        &self.order[merged[entry].1 as usize..end]
    }
}

/// What [`Opened::new`] is made of.
pub(super) struct Ingredients {
    pub(super) found: Found,
    pub(super) sources: Vec<Source>,
    pub(super) damages: Arc<Damages>,
    pub(super) warnings: Warnings,
    pub(super) pin: Pin,
}

/// An open selection.
#[derive(Debug)]
pub(super) struct Opened(Arc<Shared>);

impl Opened {
    pub(super) fn new(
        (head, partition): (&Head, Option<&Partition>),
        selection: &Selection,
        ingredients: Ingredients,
    ) -> Result<Self, SelectError> {
        let Ingredients { found, sources, damages, warnings, pin } = ingredients;
        let mut charge = selection.budget.charge(found.heap_bytes() + found.len() * 4)?;
        let order = order(head, partition, &found);
        check_cancel(0, &selection.cancel)?;
        let mut entries = match &selection.replica_labels[..] {
            [] => Entries { order, merged: None },
            replica => merged(&found, order, replica, &mut charge)?,
        };
        if let Some(limit) = selection.limit.filter(|limit| *limit < entries.len()) {
            let end = entries.merged.as_ref().map_or(limit, |merged| merged[limit].1 as usize);
            entries.order.truncate(end);
            if let Some(merged) = &mut entries.merged {
                merged.truncate(limit);
            }
        }
        Ok(Self(Arc::new(Shared {
            found,
            entries,
            sources,
            range: selection.range,
            last_only: selection.need == Need::LastSample,
            budget: selection.budget.clone(),
            cancel: selection.cancel.clone(),
            damages,
            warnings,
            workspaces: Mutex::default(),
            _pin: pin,
            _charge: charge,
        })))
    }
}

impl Selected for Opened {
    fn len(&self) -> usize {
        self.0.entries.len()
    }

    fn labels(&self, index: usize) -> Labels {
        match &self.0.entries.merged {
            Some(merged) => merged[index].0.clone(),
            None => self.0.found.labels(self.0.entries.order[index] as usize).clone(),
        }
    }

    fn fetch(&self, entries: Range<usize>) -> BoxFuture<'_, Result<Box<dyn Pages>, SelectError>> {
        Box::pin(async move {
            let pages: Box<dyn Pages> = Box::new(Fetched::new(&self.0, entries)?);
            Ok(pages)
        })
    }

    fn warnings(&self) -> Vec<String> {
        self.0.warnings.list()
    }
}

impl Shared {
    /// The series of an entry, as positions in `found`.
    pub(super) fn series(&self, entry: usize) -> &[u32] {
        self.entries.series(entry)
    }
}

/// Positions in label order: those that memory knows, with those of files put between.
fn order(head: &Head, partition: Option<&Partition>, found: &Found) -> Vec<u32> {
    let known = found.series.len();
    let by_labels = |from: usize, to: usize| {
        let mut order: Vec<u32> = (from as u32..to as u32).collect();
        order.sort_unstable_by(|a, b| found.labels(*a as usize).cmp(found.labels(*b as usize)));
        order
    };
    let mut all = match partition {
        Some(partition) if known >= SORTED_MIN => {
            let order = partition.index.read().order();
            let Sorted { places, fresh } = order.sort(&found.series, &head.table);
            if let Some(fresh) = fresh {
                partition.index.read().keep_order(fresh);
            }
            places
        }
        _ => by_labels(0, known),
    };
    if known < found.len() {
        all.extend(by_labels(known, found.len()));
        // Two ascending runs, which the stable sort merges.
        all.sort_by(|a, b| found.labels(*a as usize).cmp(found.labels(*b as usize)));
    }
    all
}

/// Puts series that differ only in `replica` labels together.
fn merged(
    found: &Found,
    order: Vec<u32>,
    replica: &[String],
    charge: &mut Charge,
) -> Result<Entries, SelectError> {
    let filtered = |at: u32| {
        let labels = found.labels(at as usize);
        (labels.filtered(|name| !replica.iter().any(|replica| replica == name)), at)
    };
    let mut all: Vec<(Labels, u32)> = order.into_iter().map(filtered).collect();
    let bytes = |(labels, _): &(Labels, u32)| size_of::<(Labels, u32)>() + labels.as_bytes().len();
    charge.grow(all.iter().map(bytes).sum())?;
    // Stable: within an entry the series stay in their order.
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let order = all.iter().map(|(_, at)| *at).collect();
    let mut merged: Vec<(Labels, u32)> = Vec::new();
    for (start, (labels, _)) in (0..).zip(all) {
        if merged.last().is_none_or(|last| last.0 != labels) {
            merged.push((labels, start));
        }
    }
    Ok(Entries { order, merged: Some(merged) })
}
