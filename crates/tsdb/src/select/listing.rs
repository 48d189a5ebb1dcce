//! Label names and values: of series in memory by the index there, of blocks by theirs.
//!
//! A name or value is listed when a series that has it has samples in the range. For files that is as exact as their pages:
//! a page that reaches into the range counts for all its series.

use std::collections::BTreeSet;

use nave_block::Postings;
use nave_model::select::{Listing, SelectError};
use nave_model::time::TimeRange;

use super::find::{self, Found, Wanted};
use super::{Damages, Warnings};
use crate::head::{Head, Partition};
use crate::index::check_cancel;
use crate::series::Series;
use crate::source::Source;

/// Below this many series, their labels are read one by one.
const FEW: u64 = 256;

/// What names or values are gathered from.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) head: &'a Head,
    pub(super) partition: Option<&'a Partition>,
    pub(super) sources: &'a [Source],
    pub(super) damages: &'a Damages,
    pub(super) warnings: &'a Warnings,
}

/// Label names, or the values of `name`, at most `limit`.
pub(super) fn list(
    places: Places<'_>,
    wanted: Wanted<'_>,
    name: Option<&str>,
    limit: Option<usize>,
) -> Result<Listing, SelectError> {
    let mut items = if places.sources.iter().any(Source::is_masked) {
        by_series(places, wanted, name)?
    } else {
        let mut items = in_memory(places, wanted, name)?;
        for source in places.sources.iter().filter(|source| !source.is_part()) {
            let more = in_block(source, wanted, name)?.unwrap_or_else(|what| {
                places.damaged(source, &what);
                Vec::new()
            });
            items = union(items, more);
        }
        items
    };
    let limit = limit.unwrap_or(usize::MAX);
    let truncated = items.len() > limit;
    items.truncate(limit);
    Ok(Listing { items, truncated, warnings: places.warnings.list() })
}

impl Places<'_> {
    pub(super) fn damaged(&self, source: &Source, what: &str) {
        self.warnings.add(self.damages, source.path(), what);
    }

    /// Whether memory or a part has samples of a series that memory knows.
    fn has(&self, series: &Series, range: TimeRange) -> bool {
        let in_part = |source: &Source| {
            let position = source.ids().ok().and_then(|ids| source.position(&ids, series, &self.head.table));
            position.is_some_and(|ordinal| source.may_have(ordinal, range))
        };
        find::has_samples(series, range) || self.sources.iter().filter(|source| source.is_part()).any(in_part)
    }
}

/// Where something is deleted, only the series can tell what is left.
fn by_series(places: Places<'_>, wanted: Wanted<'_>, name: Option<&str>) -> Result<Vec<String>, SelectError> {
    let Places { head, partition, sources, .. } = places;
    let mut damaged = |source: &Source, what: String| places.damaged(source, &what);
    let found: Found = find::everywhere(head, partition, sources, wanted, &mut damaged)?;
    let mut items = BTreeSet::new();
    for position in 0..found.len() {
        check_cancel(position, wanted.cancel)?;
        for (known, value) in found.labels(position) {
            match name {
                None => _ = items.insert(known.to_owned()),
                Some(name) if name == known => _ = items.insert(value.to_owned()),
                Some(_) => {}
            }
        }
    }
    Ok(items.into_iter().collect())
}

fn in_memory(places: Places<'_>, wanted: Wanted<'_>, name: Option<&str>) -> Result<Vec<String>, SelectError> {
    let Some(partition) = places.partition else { return Ok(Vec::new()) };
    let index = partition.index.read();
    let is_there = |series: &Series| places.has(series, wanted.range);
    let by = (&places.head.table, wanted.cancel);
    match name {
        Some(name) => index.values_of(name, wanted.matchers, by, is_there),
        None => index.names_of(wanted.matchers, by, is_there),
    }
}

/// The inner error is what is damaged.
fn in_block(
    source: &Source,
    wanted: Wanted<'_>,
    name: Option<&str>,
) -> Result<Result<Vec<String>, String>, SelectError> {
    let Some(index) = source.index() else { return Ok(Ok(Vec::new())) };
    let whole = source.is_inside(wanted.range);
    if whole && wanted.matchers.is_empty() {
        return Ok(match name {
            Some(name) => index.values(name, "").map_err(|damage| damage.to_string()),
            None => Ok(index.names()),
        });
    }
    let mut found = match source.select(wanted.matchers, wanted.cancel) {
        Ok(found) => found,
        Err(what) => return check_cancel(0, wanted.cancel).map(|()| Err(what)),
    };
    if !whole {
        found = found.iter().filter(|ordinal| source.may_have(*ordinal, wanted.range)).collect();
    }
    check_cancel(0, wanted.cancel)?;
    Ok(if found.len() < FEW { of_rows(source, &found, name) } else { of_postings(source, &found, name) })
}

fn of_rows(source: &Source, found: &Postings, name: Option<&str>) -> Result<Vec<String>, String> {
    let mut rows = source.rows();
    let mut items = BTreeSet::new();
    for ordinal in found {
        let labels = rows.labels(ordinal)?;
        match name {
            None => items.extend(labels.iter().map(|(name, _)| name.to_owned())),
            Some(name) => items.extend(labels.has(name).then(|| labels.get(name).to_owned())),
        }
    }
    Ok(items.into_iter().collect())
}

/// Those of which some series is found.
fn of_postings(source: &Source, found: &Postings, name: Option<&str>) -> Result<Vec<String>, String> {
    let Some(index) = source.index() else { return Ok(Vec::new()) };
    let damaged = |damage: nave_block::Damage| damage.to_string();
    let (mut kept, mut failed) = (Vec::new(), None);
    let items = match name {
        Some(name) => index.values(name, "").map_err(damaged)?,
        None => index.names(),
    };
    for item in items {
        let postings = match name {
            Some(name) => index.postings(name, &item),
            None => index.postings_where(&item, "", |_| Ok(true)),
        };
        match postings {
            Ok(postings) if postings.is_disjoint(found) => {}
            Ok(_) => kept.push(item),
            Err(damage) => failed = Some(damage),
        }
    }
    failed.map_or(Ok(kept), |damage| Err(damage.to_string()))
}

/// Two sorted lists as one.
fn union(a: Vec<String>, b: Vec<String>) -> Vec<String> {
    if a.is_empty() || b.is_empty() {
        return if a.is_empty() { b } else { a };
    }
    let mut all = a;
    all.extend(b);
    // Two ascending runs, which the stable sort merges.
    all.sort();
    all.dedup();
    all
}
