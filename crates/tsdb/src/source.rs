//! A file as selections see it: finding series in it, reading their samples, and what tombstones hide of them.
//!
//! A source holds its file open; who reads through it holds the pin of its version as well.

use std::path::Path;
use std::sync::Arc;

use nave_base::Shutdown;
use nave_block::{Block, Index, LocalFile, Postings, RowCache, Scratch, series_order};
use nave_model::append::Tenant;
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::select::{Columns, SelectError};
use nave_model::time::TimeRange;

use crate::catalog::{Entry, FileKind, Tombstone, Version};
use crate::lookup::SeriesTable;
use crate::series::Series;

/// Following a number to its labels costs about as much as stepping over this many numbers.
const STEPS_PER_LOOKUP: usize = 64;

/// An open file with the tombstones that mask it.
#[derive(Debug)]
pub(crate) struct Source {
    entry: Arc<Entry>,
    block: Arc<Block<LocalFile>>,
    /// Those that mask the file and overlap what is read of it.
    tombstones: Vec<Tombstone>,
}

/// The files of `tenant` with samples in `range` that memory may lack, first written first, opened; `damaged` is told of those that cannot be.
pub(crate) fn sources(
    version: &Version,
    tenant: &Tenant,
    range: TimeRange,
    mut damaged: impl FnMut(&Path, String),
) -> Vec<Source> {
    let mut files: Vec<&Arc<Entry>> = version.readable(tenant, range).collect();
    // A day and one of its windows may stand side by side; which of two values stays depends on who wrote first.
    files.sort_by_key(|entry| entry.meta.seq.lo);
    let opened = files.into_iter().filter_map(|entry| match entry.block() {
        Ok(block) => Some(Source::new(entry.clone(), block, version, range)),
        Err(error) => {
            damaged(&entry.path, error.to_string());
            None
        }
    });
    opened.collect()
}

/// The sample times that both ranges have.
fn common(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange { min: a.min.max(b.min), max: a.max.min(b.max) }
}

fn contains(outer: TimeRange, inner: TimeRange) -> bool {
    outer.min <= inner.min && inner.max <= outer.max
}

impl Source {
    fn new(entry: Arc<Entry>, block: Arc<Block<LocalFile>>, version: &Version, range: TimeRange) -> Self {
        let read = common(entry.meta.range, range);
        let masks = |tombstone: &&Tombstone| {
            *tombstone.tenant.0 == *entry.meta.tenant
                && entry.meta.seq.hi <= tombstone.seq
                && tombstone.range.overlaps(&read)
        };
        let tombstones = version.tombstones.iter().filter(masks).cloned().collect();
        Self { entry, block, tombstones }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.entry.path
    }

    /// First and last sample.
    pub(crate) fn range(&self) -> TimeRange {
        self.entry.meta.range
    }

    /// Whether its series are numbers only.
    pub(crate) fn is_part(&self) -> bool {
        self.entry.meta.kind == FileKind::Part
    }

    /// Whether some of its samples may be deleted.
    pub(crate) fn is_masked(&self) -> bool {
        !self.tombstones.is_empty()
    }

    /// What is deleted of the series with these labels.
    pub(crate) fn masks(&self, labels: &Labels) -> Vec<TimeRange> {
        let fit = self.tombstones.iter().filter(|tombstone| Matcher::all_match(&tombstone.matchers, labels));
        fit.map(|tombstone| tombstone.range).collect()
    }

    /// Whether a series may have samples in `range`; for sure when the file lies inside of it.
    pub(crate) fn may_have(&self, ordinal: u32, range: TimeRange) -> bool {
        contains(range, self.range()) || self.block.may_have(ordinal, range)
    }

    /// Whether nothing that is in `range` remains beside `mask`.
    pub(crate) fn hides_all(&self, mask: TimeRange, range: TimeRange) -> bool {
        contains(mask, common(self.range(), range))
    }

    /// Whether all samples lie in `range`.
    pub(crate) fn is_inside(&self, range: TimeRange) -> bool {
        contains(range, self.range())
    }

    /// Numbers of the series, by ordinal. The error is what is damaged.
    pub(crate) fn ids(&self) -> Result<Arc<[u32]>, String> {
        self.block.ids().map_err(|error| error.to_string())
    }

    /// Whether looking up `count` series one by one is quicker than stepping over all `ids` of them.
    pub(crate) fn finds_quickly(&self, count: usize, ids: usize) -> bool {
        let lookups = ids.max(1).ilog2() as usize + 1;
        count.saturating_mul(lookups).saturating_mul(STEPS_PER_LOOKUP) < ids
    }

    /// The ordinal of a series in a part, whose numbers stand in the order of the labels.
    pub(crate) fn position(&self, ids: &[u32], series: &Series, table: &SeriesTable) -> Option<u32> {
        let (mut from, mut to) = (0, ids.len());
        while from < to {
            let middle = from + (to - from) / 2;
            if ids[middle] == series.id {
                return u32::try_from(middle).ok();
            }
            let Some(other) = table.get(ids[middle]) else {
                // Against the rules of the registry, but numbers can be compared without it.
                return ids.iter().position(|id| *id == series.id).and_then(|at| u32::try_from(at).ok());
            };
            match series_order(&other.labels, &series.labels) {
                std::cmp::Ordering::Less => from = middle + 1,
                _ => to = middle,
            }
        }
        None
    }

    /// The label index of a block.
    pub(crate) fn index(&self) -> Option<&Index> {
        self.block.index()
    }

    /// The series of a block that fit; none of a part.
    pub(crate) fn select(&self, matchers: &[&Matcher], cancel: &Shutdown) -> Result<Postings, String> {
        let Some(index) = self.block.index() else { return Ok(Postings::new()) };
        nave_block::select(index, matchers, cancel).map_err(|error| error.to_string())
    }

    /// Reads labels, best in order of ordinals.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows { index: self.block.index(), cache: RowCache::default(), scratch: Scratch::new() }
    }

    /// Appends the samples of a series in `range` to `columns`, which is empty. What is damaged is left out and told to
    /// `damaged`.
    pub(crate) fn read(
        &self,
        ordinal: u32,
        range: TimeRange,
        reading: &mut Reading,
        columns: &mut Columns,
        damaged: impl FnMut(String),
    ) -> Result<(), SelectError> {
        let Reading { scratch, damages } = reading;
        let read = self.block.read(ordinal, range, scratch, columns, damages);
        damages.drain(..).map(|error| error.to_string()).for_each(damaged);
        read.map_err(|error| SelectError::Storage(format!("{}: {error}", self.path().display())))
    }
}

/// What reading reuses from series to series.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    scratch: Scratch,
    damages: Vec<nave_block::Error>,
}

/// Reads the labels of a block's series.
pub(crate) struct Rows<'a> {
    index: Option<&'a Index>,
    cache: RowCache,
    scratch: Scratch,
}

impl Rows<'_> {
    pub(crate) fn labels(&mut self, ordinal: u32) -> Result<Labels, String> {
        let Some(index) = self.index else { return Err("a part has no labels".to_owned()) };
        index.labels(ordinal, &mut self.cache, &mut self.scratch).map_err(|damage| damage.to_string())
    }
}
