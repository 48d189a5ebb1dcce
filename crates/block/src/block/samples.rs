//! The samples of one series out of its pages.

use std::ops::Range;
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
            let read = Reader { block, pages, scratch }.run(entry, page, i, range, &mut run);
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

/// Where the parts of a run come from.
struct Reader<'a, R, P> {
    block: &'a Block<R>,
    pages: &'a mut P,
    scratch: &'a mut Scratch,
}

impl<R: ReadRange, P: Pages<R>> Reader<'_, R, P> {
    /// Column `i` of a page of values with all that goes with it; histograms only in `range`. Nothing where the run has no sample in `range`.
    fn run(
        &mut self,
        entry: &PageEntry,
        page: &Page,
        i: usize,
        range: TimeRange,
        run: &mut Run,
    ) -> Result<(), Error> {
        run.clear();
        let Origin { times, starts, histograms, .. } = page.origin(i).unwrap_or_default();
        let count = page.count(i).unwrap_or_default();
        self.numbers(times, count, &mut run.times)?;
        let (from, to) = run.places(range);
        if from == to {
            run.clear();
            return Ok(());
        }
        let damaged = Error::damaged(entry.kind.part(), entry.offset);
        page.values(i, self.scratch, &mut run.values).map_err(damaged)?;
        if let Some(starts) = starts {
            self.numbers(starts, count, &mut run.starts)?;
        }
        match histograms {
            Some(column) => self.histograms(column, from as u32..to as u32, &mut run.histograms),
            None => Ok(()),
        }
    }

    /// A column of times, which are `count`.
    fn numbers(&mut self, column: u32, count: usize, out: &mut Vec<i64>) -> Result<(), Error> {
        let entry = self.block.page_of(Kind::Times, column)?;
        let damaged = || Error::damaged(entry.kind.part(), entry.offset);
        let page = self.pages.page(self.block, entry, self.scratch)?;
        let at = (column - entry.first) as usize;
        page.as_page().numbers(at, self.scratch, out).map_err(damaged())?;
        if out.len() != count {
            let what = format!("expected {count} times in column {column}, came {}", out.len());
            return Err(damaged()(Damage::new("page", 0, what)));
        }
        Ok(())
    }

    /// The histograms at `wanted` places of a run.
    fn histograms(
        &mut self,
        column: u32,
        wanted: Range<u32>,
        out: &mut Vec<(u32, Arc<Histogram>)>,
    ) -> Result<(), Error> {
        let entry = self.block.page_of(Kind::Histograms, column)?;
        let page = self.pages.page(self.block, entry, self.scratch)?;
        let at = (column - entry.first) as usize;
        let read = page.as_page().histograms(at, wanted, self.scratch, out);
        read.map_err(Error::damaged(entry.kind.part(), entry.offset))
    }
}

impl Run {
    fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
        self.histograms.clear();
    }

    /// Which of its samples are in `range`.
    fn places(&self, range: TimeRange) -> (usize, usize) {
        let from = self.times.partition_point(|time| *time < range.min.0);
        (from, self.times.partition_point(|time| *time <= range.max.0).max(from))
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
        let (from, to) = self.places(range);
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
            out.histograms.push(((base + at as usize - from) as u32, histogram));
        }
    }
}
