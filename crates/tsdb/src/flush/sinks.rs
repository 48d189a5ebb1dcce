//! Parts being written, one per window, for one tenant.
//!
//! Only so many are open at once: samples of further windows are left out and the windows named, for another pass
//! over the series.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use nave_base::disk::SharedDisk;
use nave_block::block::{BlockWriter, FileKind, Meta, Options, SeqRange};
use nave_model::select::Columns;
use nave_model::time::Timestamp;

use crate::catalog::{Catalog, Version, Window};
use crate::error::Error;
use crate::series::Series;

/// Parts that are open at once: each holds pages of about a MiB.
const OPEN_MAX: usize = 8;
/// Samples of a page: parts are read while they are young, and often for single series.
const PAGE_SAMPLES: usize = 8 << 10;

/// A part that is durable.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) meta: Meta,
    pub(super) window: Window,
    pub(super) path: PathBuf,
    pub(super) cold: bool,
}

/// Where samples of one tenant go.
pub(super) struct Sinks<'a> {
    disk: &'a SharedDisk,
    catalog: &'a Catalog,
    version: &'a Version,
    tenant: &'a str,
    seq: u64,
    cold: bool,
    /// Windows of this pass; `None` is all.
    only: Option<BTreeSet<Window>>,
    open: BTreeMap<Window, (BlockWriter, PathBuf)>,
    left_out: BTreeSet<Window>,
    last: Option<Window>,
    piece: Columns,
}

impl<'a> Sinks<'a> {
    pub(super) fn new(
        (disk, catalog, version): (&'a SharedDisk, &'a Catalog, &'a Version),
        tenant: &'a str,
        seq: u64,
        cold: bool,
        only: Option<BTreeSet<Window>>,
    ) -> Self {
        let (open, left_out, piece) = (BTreeMap::new(), BTreeSet::new(), Columns::default());
        Self { disk, catalog, version, tenant, seq, cold, only, open, left_out, last: None, piece }
    }

    /// Takes up to as many windows as can be open off `windows`.
    pub(super) fn some_of(windows: &mut BTreeSet<Window>) -> BTreeSet<Window> {
        let mut some = BTreeSet::new();
        while some.len() < OPEN_MAX
            && let Some(window) = windows.pop_last()
        {
            some.insert(window);
        }
        some
    }

    pub(super) fn window_of(&mut self, t: i64) -> Window {
        match self.last {
            Some(window) if window.contains(t) => window,
            _ => *self.last.insert(Window::of(t, self.tenant, self.version)),
        }
    }

    /// Adds samples of a series, in the order of files.
    pub(super) fn push(&mut self, series: &Series, columns: &Columns) -> Result<(), Error> {
        let times = &columns.timestamps;
        let mut from = 0;
        while from < times.len() {
            let window = self.window_of(times[from].0);
            let count = times[from..].partition_point(|t| window.contains(t.0));
            self.push_piece(series, columns, from..from + count, window)?;
            from += count;
        }
        Ok(())
    }

    fn push_piece(
        &mut self,
        series: &Series,
        columns: &Columns,
        range: Range<usize>,
        window: Window,
    ) -> Result<(), Error> {
        if self.only.as_ref().is_some_and(|only| !only.contains(&window)) {
            return Ok(());
        }
        if !self.open.contains_key(&window) {
            if self.open.len() >= OPEN_MAX {
                self.left_out.insert(window);
                return Ok(());
            }
            let begun = self.begin()?;
            self.open.insert(window, begun);
        }
        let Some((writer, _)) = self.open.get_mut(&window) else { return Ok(()) };
        if range.len() == columns.len() {
            return Ok(writer.push(&series.labels, series.id, columns)?);
        }
        cut(columns, range, &mut self.piece);
        Ok(writer.push(&series.labels, series.id, &self.piece)?)
    }

    fn begin(&self) -> Result<(BlockWriter, PathBuf), Error> {
        let (id, path) = self.catalog.new_path(FileKind::Part);
        let options = Options {
            page_samples: PAGE_SAMPLES,
            tenant: self.tenant.to_owned(),
            seq: SeqRange { lo: self.seq, hi: self.seq },
            kind: FileKind::Part,
        };
        Ok((BlockWriter::create(self.disk.clone(), &path, id, options)?, path))
    }

    /// Makes the parts durable; gives the windows that were left out.
    pub(super) fn finish(mut self, written: &mut Vec<Written>) -> Result<BTreeSet<Window>, Error> {
        while let Some((window, (writer, path))) = self.open.pop_first() {
            let meta = match writer.finish() {
                Ok(meta) => meta,
                Err(error) => {
                    self.discard(&path);
                    return Err(error.into());
                }
            };
            written.push(Written { meta, window, path, cold: self.cold });
        }
        Ok(std::mem::take(&mut self.left_out))
    }

    fn discard(&self, path: &std::path::Path) {
        self.catalog.discard(path);
        self.catalog.discard(&path.with_extension("tmp"));
    }
}

impl Drop for Sinks<'_> {
    /// Removes what was not finished.
    fn drop(&mut self) {
        for (_, path) in self.open.values() {
            self.discard(path);
        }
    }
}

/// Copies a part of `columns`.
fn cut(columns: &Columns, range: Range<usize>, into: &mut Columns) {
    let copy = |from: &[Timestamp], into: &mut Vec<Timestamp>| {
        into.extend_from_slice(from.get(range.clone()).unwrap_or_default());
    };
    into.clear();
    copy(&columns.timestamps, &mut into.timestamps);
    copy(&columns.start_timestamps, &mut into.start_timestamps);
    into.values.extend_from_slice(&columns.values[range.clone()]);
    let inside = columns.histograms.iter().filter(|(at, _)| range.contains(&(*at as usize)));
    into.histograms.extend(inside.map(|(at, one)| (at - range.start as u32, one.clone())));
}
