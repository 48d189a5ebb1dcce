//! Fetched series and their decoding: what memory has is a snapshot, what files have is read page by page.
//!
//! Reading a local file is a copy out of the system's cache nearly always, so it is done where the page is decoded,
//! on the CPU pool, and pages that several series share are read once (the page cache). Nothing here runs on the
//! threads that wait for sockets.

use std::ops::Range;
use std::sync::Arc;

use nave_base::budget::Charge;
use nave_model::select::{Columns, Pages, SelectError};
use nave_model::time::{TimeRange, Timestamp};

use super::find::Member;
use super::merge::{self, Single};
use super::opened::Shared;
use crate::index::check_cancel;
use crate::source::{Reading, Source};
use crate::view::View;

/// Fetched series.
#[derive(Debug)]
pub(super) struct Fetched {
    shared: Arc<Shared>,
    /// The first entry.
    start: usize,
    /// Of each series of each entry; empty for series that only files have.
    views: Vec<View>,
    /// Where the views of each entry end.
    ends: Vec<usize>,
    _charge: Charge,
}

impl Fetched {
    pub(super) fn new(shared: &Arc<Shared>, entries: Range<usize>) -> Result<Self, SelectError> {
        let mut charge = shared.budget.charge(0)?;
        let (start, mut views, mut ends) = (entries.start, Vec::new(), Vec::with_capacity(entries.len()));
        for (step, entry) in entries.enumerate() {
            check_cancel(step, &shared.cancel)?;
            for position in shared.series(entry) {
                let series = shared.found.series.get(*position as usize);
                let view =
                    series.map(|series| series.view(shared.range, shared.last_only)).unwrap_or_default();
                charge.grow(size_of::<View>() + view.heap_bytes())?;
                views.push(view);
            }
            ends.push(views.len());
        }
        Ok(Self { shared: shared.clone(), start, views, ends, _charge: charge })
    }
}

impl Pages for Fetched {
    fn decode(&self, index: usize, columns: &mut Columns) -> Result<(), SelectError> {
        check_cancel(0, &self.shared.cancel)?;
        columns.clear();
        let at = index - self.start;
        let first = if at == 0 { 0 } else { self.ends[at - 1] };
        let views = &self.views[first..self.ends[at]];
        let series = self.shared.series(index);
        if let ([view], [position]) = (views, series)
            && self.shared.found.members(*position as usize).is_empty()
        {
            view.read(self.shared.range, self.shared.last_only, columns);
            return Ok(());
        }
        let mut workspace = self.shared.take_workspace()?;
        let mut merged = Ok(());
        for (view, position) in views.iter().zip(series) {
            merged = merged.and_then(|()| self.shared.merge_series(*position, view, columns, &mut workspace));
        }
        if self.shared.last_only
            && let Some(last) = Single::last_of(columns)
        {
            last.put(columns);
        }
        self.shared.give_back(workspace)?;
        merged
    }
}

/// Buffers of a thread that decodes.
#[derive(Debug)]
pub(super) struct Workspace {
    reading: Reading,
    next: Columns,
    series: Columns,
    spare: Columns,
    charge: Charge,
}

impl Workspace {
    fn heap_bytes(&self) -> usize {
        let columns = [&self.next, &self.series, &self.spare];
        columns.iter().map(|columns| columns.timestamps.capacity() * 16).sum()
    }
}

impl Shared {
    fn take_workspace(&self) -> Result<Workspace, SelectError> {
        if let Some(used) = self.workspaces.lock().pop() {
            return Ok(used);
        }
        let charge = self.budget.charge(size_of::<Workspace>())?;
        let [next, series, spare] = Default::default();
        Ok(Workspace { reading: Reading::default(), next, series, spare, charge })
    }

    fn give_back(&self, mut workspace: Workspace) -> Result<(), SelectError> {
        let more = (size_of::<Workspace>() + workspace.heap_bytes()).saturating_sub(workspace.charge.bytes());
        workspace.charge.grow(more)?;
        self.workspaces.lock().push(workspace);
        Ok(())
    }

    /// Merges the samples of one series into `columns`.
    fn merge_series(
        &self,
        position: u32,
        view: &View,
        columns: &mut Columns,
        workspace: &mut Workspace,
    ) -> Result<(), SelectError> {
        let mut series = std::mem::take(&mut workspace.series);
        series.clear();
        let into = if columns.is_empty() { &mut *columns } else { &mut series };
        let read = if self.last_only {
            self.read_last(position, view, into, workspace)
        } else {
            self.read_all(position, view, into, workspace)
        };
        merge::merge_into(columns, &series, &mut workspace.spare);
        workspace.series = series;
        read
    }

    /// All samples: files in the order in which they were written, then memory.
    fn read_all(
        &self,
        position: u32,
        view: &View,
        columns: &mut Columns,
        workspace: &mut Workspace,
    ) -> Result<(), SelectError> {
        for member in self.found.members(position as usize) {
            if columns.is_empty() {
                self.read_member(position, *member, self.range, workspace, columns)?;
                continue;
            }
            let mut next = std::mem::take(&mut workspace.next);
            next.clear();
            let read = self.read_member(position, *member, self.range, workspace, &mut next);
            merge::merge_into(columns, &next, &mut workspace.spare);
            workspace.next = next;
            read?;
        }
        if columns.is_empty() {
            view.read(self.range, false, columns);
        } else {
            workspace.next.clear();
            view.read(self.range, false, &mut workspace.next);
            merge::merge_into(columns, &workspace.next, &mut workspace.spare);
        }
        Ok(())
    }

    /// The newest sample: only files that may have a newer one than what is known are looked at. At one time
    /// the file that was written first wins, and memory comes last.
    fn read_last(
        &self,
        position: u32,
        view: &View,
        columns: &mut Columns,
        workspace: &mut Workspace,
    ) -> Result<(), SelectError> {
        view.read(self.range, true, columns);
        let mut members: Vec<(usize, Member)> =
            self.found.members(position as usize).iter().copied().enumerate().collect();
        let mut newest = Single::last_of(columns).map(|single| (single, members.len()));
        members.sort_by_key(|(_, member)| std::cmp::Reverse(self.source(*member).range().max));
        let mut next = std::mem::take(&mut workspace.next);
        for (written, member) in members {
            let known = newest.as_ref().map_or(Timestamp::MIN, |(newest, _)| newest.time);
            let range = TimeRange { min: known.max(self.range.min), max: self.range.max };
            let source = self.source(member);
            if !source.range().overlaps(&range) || !source.may_have(member.ordinal, range) {
                continue;
            }
            next.clear();
            self.read_member(position, member, range, workspace, &mut next)?;
            if let Some(single) = Single::last_of(&next)
                && newest.as_ref().is_none_or(|(known, by)| known.time < single.time || written < *by)
            {
                newest = Some((single, written));
            }
        }
        workspace.next = next;
        match newest {
            Some((newest, _)) => newest.put(columns),
            None => columns.clear(),
        }
        Ok(())
    }

    fn source(&self, member: Member) -> &Source {
        &self.sources[member.source as usize]
    }

    /// Reads what a file has of a series in `range` into `columns`, which is empty.
    fn read_member(
        &self,
        position: u32,
        member: Member,
        range: TimeRange,
        workspace: &mut Workspace,
        columns: &mut Columns,
    ) -> Result<(), SelectError> {
        check_cancel(0, &self.cancel)?;
        let source = self.source(member);
        let damaged = |what: String| self.warnings.add(&self.damages, source.path(), &what);
        source.read(member.ordinal, range, &mut workspace.reading, columns, damaged)?;
        let masks = self.found.masks.get(&(position, member.source));
        for mask in masks.into_iter().flatten() {
            merge::cut(columns, *mask, &mut workspace.spare);
        }
        Ok(())
    }
}
