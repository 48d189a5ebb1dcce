//! The samples of one series out of its pages.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

use super::cache::Kept;
use super::layout::PageEntry;
use super::{Block, ReadRange};
use crate::damage::Damage;
use crate::error::Error;
use crate::page::{Kind, Origin, Page, Scratch};

/// Where pages come from: the cache, or what a cursor holds.
pub(super) trait Pages<R> {
    /// What keeps a page alive.
    type Page: AsPage;

    fn page(
        &mut self,
        block: &Block<R>,
        entry: &PageEntry,
        scratch: &mut Scratch,
    ) -> Result<Self::Page, Error>;
}

/// What keeps a page alive.
pub(super) trait AsPage {
    fn as_page(&self) -> &Page;
}

impl AsPage for Arc<Page> {
    fn as_page(&self) -> &Page {
        self
    }
}

impl AsPage for Arc<Kept> {
    fn as_page(&self) -> &Page {
        self
    }
}

/// A run of one series, decoded: buffers that are kept from run to run.
#[derive(Debug, Default)]
pub(crate) struct Run {
    times: Vec<i64>,
    values: Vec<f64>,
    starts: Vec<i64>,
    histograms: Vec<(u32, Arc<Histogram>)>,
}

/// Appends the samples of a series in `range` to `out`. Damaged runs are left out and named in `damages`.
pub(super) fn append_series<R: ReadRange>(
    block: &Block<R>,
    ordinal: u32,
    range: TimeRange,
    pages: &mut impl Pages<R>,
    scratch: &mut Scratch,
    out: &mut Columns,
    damages: &mut Vec<Error>,
) -> Result<(), Error> {
    let before = out.timestamps.len();
    for entry in block.value_pages_of(ordinal).iter().filter(|entry| entry.range.overlaps(&range)) {
        let Some(page) = whole(pages.page(block, entry, scratch), damages)? else { continue };
        let page = page.as_page();
        for i in page.columns_of(ordinal) {
            let mut run = std::mem::take(&mut scratch.run);
            let read = read_run(block, entry, page, i, range, pages, scratch, &mut run);
            if whole(read, damages)?.is_some() {
                if run.follows(&out.timestamps[before..]) {
                    run.append(range, out);
                } else {
                    let damage = Damage::new("page", 0, format!("times of series {ordinal} do not ascend"));
                    _ = whole::<()>(Err(Error::damaged(entry.kind.part(), entry.offset)(damage)), damages);
                }
            }
            scratch.run = run;
        }
    }
    Ok(())
}

/// Damage goes to `damages`, where each page stands once; other errors go to the caller.
fn whole<T>(result: Result<T, Error>, damages: &mut Vec<Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(damage @ Error::Damaged { .. }) => {
            if !damages.iter().any(|known| known.is_of_same_page(&damage)) {
                damages.push(damage);
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[expect(clippy::too_many_arguments, reason = "everything is a buffer or a place")]
fn read_run<R: ReadRange>(
    block: &Block<R>,
    entry: &PageEntry,
    page: &Page,
    i: usize,
    range: TimeRange,
    pages: &mut impl Pages<R>,
    scratch: &mut Scratch,
    run: &mut Run,
) -> Result<(), Error> {
    let damaged = |damage| Error::damaged(entry.kind.part(), entry.offset)(damage);
    run.clear();
    let Origin { times, starts, histograms, .. } = page.origin(i).unwrap_or_default();
    read_numbers(block, times, pages, scratch, &mut run.times)?;
    let mut expected = vec![(times, run.times.len())];
    if let (Some(first), Some(last)) = (run.times.first(), run.times.last()) {
        let of_run = TimeRange { min: Timestamp(*first), max: Timestamp(*last) };
        if !of_run.overlaps(&range) && page.count(i) == Some(run.times.len()) {
            run.clear();
            return Ok(());
        }
    }
    page.values(i, scratch, &mut run.values).map_err(damaged)?;
    if let Some(starts) = starts {
        read_numbers(block, starts, pages, scratch, &mut run.starts)?;
        expected.push((starts, run.starts.len()));
    }
    if let Some(column) = histograms {
        let entry = block.page_of(Kind::Histograms, column)?;
        let of_histograms = pages.page(block, entry, scratch)?;
        let damaged = |damage| Error::damaged(entry.kind.part(), entry.offset)(damage);
        let at = (column - entry.first) as usize;
        of_histograms.as_page().histograms(at, 0..u32::MAX, scratch, &mut run.histograms).map_err(damaged)?;
        if run.histograms.last().is_some_and(|(at, _)| *at as usize >= run.values.len()) {
            return Err(damaged(Damage::new(
                "page",
                0,
                format!("column {column} has histograms behind its end"),
            )));
        }
    }
    match expected.into_iter().find(|(_, came)| Some(*came) != page.count(i)) {
        None => Ok(()),
        Some((column, came)) => {
            let what = format!("expected {:?} times in column {column}, came {came}", page.count(i));
            Err(damaged(Damage::new("page", 0, what)))
        }
    }
}

/// A column of times.
fn read_numbers<R: ReadRange>(
    block: &Block<R>,
    column: u32,
    pages: &mut impl Pages<R>,
    scratch: &mut Scratch,
    out: &mut Vec<i64>,
) -> Result<(), Error> {
    let entry = block.page_of(Kind::Times, column)?;
    let page = pages.page(block, entry, scratch)?;
    let at = (column - entry.first) as usize;
    page.as_page().numbers(at, scratch, out).map_err(Error::damaged(entry.kind.part(), entry.offset))
}

impl Run {
    fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
        self.histograms.clear();
    }

    /// Whether its times ascend, behind those that the series has already.
    fn follows(&self, earlier: &[Timestamp]) -> bool {
        let behind = match (earlier.last(), self.times.first()) {
            (Some(last), Some(first)) => last.0 < *first,
            _ => true,
        };
        behind && self.times.is_sorted_by(|a, b| a < b)
    }

    /// Appends what is in `range`.
    fn append(&mut self, range: TimeRange, out: &mut Columns) {
        let from = self.times.partition_point(|time| *time < range.min.0);
        let to = self.times.partition_point(|time| *time <= range.max.0).max(from);
        let base = out.timestamps.len();
        out.timestamps.extend(self.times[from..to].iter().map(|time| Timestamp(*time)));
        out.values.extend_from_slice(&self.values[from..to]);
        if !self.starts.is_empty() {
            out.start_timestamps.resize(base, Timestamp(0));
            out.start_timestamps.extend(self.starts[from..to].iter().map(|time| Timestamp(*time)));
        } else if !out.start_timestamps.is_empty() {
            out.start_timestamps.resize(out.timestamps.len(), Timestamp(0));
        }
        for (at, histogram) in self.histograms.drain(..) {
            let at = at as usize;
            if (from..to).contains(&at) {
                out.histograms.push(((base + at - from) as u32, histogram));
            }
        }
    }
}
