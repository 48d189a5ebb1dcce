//! Reads a block from front to back, for merging.

use std::sync::Arc;

use nave_model::select::Columns;
use nave_model::time::TimeRange;

use super::layout::PageEntry;
use super::samples::{Pages, append_series};
use super::{Block, NO_ID, ReadRange};
use crate::damage::Damage;
use crate::error::Error;
use crate::page::{Kind, Page, Scratch};

/// Pages of times that are kept: series of many targets stand side by side.
const TIMES_KEPT: usize = 16;
/// Damaged pages that are remembered.
const BROKEN_KEPT: usize = 64;

/// A series that a [`Cursor`] has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the file.
    pub ordinal: u32,
    /// Its number in the store's registry, or [`NO_ID`].
    pub id: u32,
}

/// Goes through the series of a block in order. It holds the page of values and of histograms it is in and a few
/// pages of times, and leaves the cache alone.
#[derive(Debug)]
pub struct Cursor<'a, R> {
    block: &'a Block<R>,
    next: u32,
    ids: Option<Arc<[u32]>>,
    near: Near,
}

/// The pages a cursor is in.
#[derive(Debug, Default)]
struct Near {
    values: Option<(u64, Arc<Page>)>,
    histograms: Option<(u64, Arc<Page>)>,
    times: Vec<(u64, Arc<Page>)>,
    /// Pages that were damaged, so that they are not read again for each of their series.
    broken: Vec<(u64, Damage)>,
}

impl<'a, R: ReadRange> Cursor<'a, R> {
    pub(super) fn new(block: &'a Block<R>) -> Self {
        Self { block, next: 0, ids: None, near: Near::default() }
    }

    /// Replaces the content of `out` by the samples of the next series; `None` behind the last one. What is damaged
    /// is left out and named in `damages`, the series is then given with the samples that are left.
    ///
    /// # Errors
    /// When the source fails, or the ids are damaged.
    pub fn next(
        &mut self,
        scratch: &mut Scratch,
        out: &mut Columns,
        damages: &mut Vec<Error>,
    ) -> Result<Option<Entry>, Error> {
        out.clear();
        if self.next >= self.block.meta().series {
            return Ok(None);
        }
        let ids = match &self.ids {
            Some(ids) => ids,
            None => self.ids.insert(self.block.ids()?),
        };
        let ordinal = self.next;
        let id = ids.get(ordinal as usize).copied().unwrap_or(NO_ID);
        let Self { block, near, .. } = self;
        append_series(*block, ordinal, TimeRange::ALL, near, scratch, out, damages)?;
        self.next += 1;
        Ok(Some(Entry { ordinal, id }))
    }
}

impl<R: ReadRange> Pages<R> for Near {
    type Page = Arc<Page>;

    fn page(
        &mut self,
        block: &Block<R>,
        entry: &PageEntry,
        scratch: &mut Scratch,
    ) -> Result<Arc<Page>, Error> {
        let slot = match entry.kind {
            Kind::Values | Kind::Ids => &mut self.values,
            Kind::Histograms => &mut self.histograms,
            Kind::Times => return self.times_page(block, entry, scratch),
        };
        if let Some((offset, page)) = slot
            && *offset == entry.offset
        {
            return Ok(Arc::clone(page));
        }
        // Before the next one is decoded.
        *slot = None;
        let page = Arc::new(self.load(block, entry, scratch)?);
        let kept = Some((entry.offset, Arc::clone(&page)));
        match entry.kind {
            Kind::Histograms => self.histograms = kept,
            _ => self.values = kept,
        }
        Ok(page)
    }
}

impl Near {
    fn load<R: ReadRange>(
        &mut self,
        block: &Block<R>,
        entry: &PageEntry,
        scratch: &mut Scratch,
    ) -> Result<Page, Error> {
        let part = entry.kind.part();
        if let Some((offset, damage)) = self.broken.iter().find(|(offset, _)| *offset == entry.offset) {
            return Err(Error::damaged(part, *offset)(damage.clone()));
        }
        let loaded = block.load(entry, scratch);
        if let Err(Error::Damaged { damage, .. }) = &loaded {
            if self.broken.len() >= BROKEN_KEPT {
                self.broken.remove(0);
            }
            self.broken.push((entry.offset, damage.clone()));
        }
        loaded
    }

    fn times_page<R: ReadRange>(
        &mut self,
        block: &Block<R>,
        entry: &PageEntry,
        scratch: &mut Scratch,
    ) -> Result<Arc<Page>, Error> {
        if let Some((_, page)) = self.times.iter().find(|(offset, _)| *offset == entry.offset) {
            return Ok(Arc::clone(page));
        }
        if self.times.len() >= TIMES_KEPT {
            self.times.remove(0);
        }
        let page = Arc::new(self.load(block, entry, scratch)?);
        self.times.push((entry.offset, Arc::clone(&page)));
        Ok(page)
    }
}
