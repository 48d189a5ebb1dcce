//! Several files of one tenant become one.
//!
//! Series come from all inputs in label order, each with its samples in the order in which they were written; the
//! first written wins. Memory: a page of each kind per input, and the index of the output.
//!
//! What is damaged in an input is left out and named; it never keeps the rest from being merged.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use nave_base::disk::SharedDisk;
use nave_block::block::Cursor;
use nave_block::index::RowCache;
use nave_block::page::Scratch;
use nave_block::{Block, BlockId, BlockWriter, LocalFile, Meta, NO_ID, Options, series_order};
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::select::Columns;
use nave_model::time::TimeRange;

use super::columns::{Merged, Twice, remove_range};
use super::throttle::{Stopped, Throttle};
use crate::catalog::Tombstone;
use crate::error::Error;

/// Names of damages and of series with conflicts that are kept for the log.
const NAMED_MAX: usize = 20;
/// Different damages that are told apart.
const DAMAGES_MAX: usize = 10_000;

/// One file to merge.
pub(crate) struct Input {
    pub(crate) block: Arc<Block<LocalFile>>,
    /// For the log.
    pub(crate) path: PathBuf,
    /// Those that mask this file.
    pub(crate) tombstones: Vec<Tombstone>,
}

/// Where the result goes.
pub(crate) struct Output {
    pub(crate) disk: SharedDisk,
    pub(crate) path: PathBuf,
    pub(crate) id: BlockId,
    pub(crate) options: Options,
}

/// What the merge asks of the store.
pub(crate) struct Store<'a> {
    /// Labels of a series by its number.
    pub(crate) labels_of: &'a dyn Fn(u32) -> Option<Labels>,
    /// Whether a series is kept in this window.
    pub(crate) is_kept: &'a dyn Fn(&Labels) -> bool,
    /// Told of every series that is written.
    pub(crate) wrote: &'a dyn Fn(&Columns),
}

/// What came of a merge.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The finished file; `None` when no sample is left.
    pub(crate) meta: Option<Meta>,
    pub(crate) duplicates: u64,
    pub(crate) conflicts: u64,
    /// Series with conflicts, the first ones.
    pub(crate) conflicting: Vec<(Labels, u64)>,
    pub(crate) conflicting_series: u64,
    pub(crate) expired_series: u64,
    /// Series whose number nobody knows, or whose labels are damaged.
    pub(crate) nameless_series: u64,
    /// Each once.
    pub(crate) damages: BTreeSet<String>,
}

/// Merges `inputs`, which are in order of `lo`.
///
/// # Errors
/// [`Error::Stopped`] by the throttle, or of the disk; there is then no output.
pub(crate) fn merge(
    inputs: &[Input],
    output: &Output,
    store: &Store<'_>,
    throttle: &mut Throttle<'_>,
) -> Result<Report, Error> {
    let mut report = Report::default();
    let done = run(inputs, output, store, throttle, &mut report);
    if done.is_err() || report.meta.is_none() {
        remove_scratch(output);
    }
    done.map(|()| report)
}

fn run(
    inputs: &[Input],
    output: &Output,
    store: &Store<'_>,
    throttle: &mut Throttle<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let mut scratch = Scratch::new();
    let mut streams: Vec<_> = inputs.iter().map(Stream::of).collect();
    for stream in &mut streams {
        stream.advance(store, &mut scratch, report)?;
    }
    let mut writer: Option<BlockWriter> = None;
    let mut merged = Merged::default();
    let mut same = Vec::new();
    while let Some(labels) = lowest(&streams, &mut same) {
        let id = gather(&mut streams, &same, &labels, &mut merged, report);
        if !merged.columns().is_empty() {
            if (store.is_kept)(&labels) {
                let writer = open_once(&mut writer, output)?;
                writer.push(&labels, id, merged.columns())?;
                (store.wrote)(merged.columns());
            } else {
                report.expired_series += 1;
            }
        }
        for at in &same {
            streams[*at].advance(store, &mut scratch, report)?;
        }
        throttle.step().map_err(|Stopped| Error::Stopped)?;
    }
    report.meta = writer.map(BlockWriter::finish).transpose()?;
    Ok(())
}

fn open_once<'w>(writer: &'w mut Option<BlockWriter>, output: &Output) -> Result<&'w mut BlockWriter, Error> {
    let open = match writer.take() {
        Some(open) => open,
        None => BlockWriter::create(output.disk.clone(), &output.path, output.id, output.options.clone())?,
    };
    Ok(writer.insert(open))
}

/// What a merge that ended early has left; the next start removes it too.
fn remove_scratch(output: &Output) {
    let path = output.path.with_extension("tmp");
    if let Err(error) = output.disk.remove(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(component = "tsdb", path = %path.display(), %error, "cannot remove what a merge left");
    }
}

/// The labels that come first, and which streams stand at them.
fn lowest(streams: &[Stream<'_>], same: &mut Vec<usize>) -> Option<Labels> {
    let mut first: Option<&Head> = None;
    for (at, stream) in streams.iter().enumerate() {
        let Some(head) = &stream.head else { continue };
        let order = match first {
            None => Ordering::Less,
            Some(first) if head.id != NO_ID && head.id == first.id => Ordering::Equal,
            Some(first) => series_order(&head.labels, &first.labels),
        };
        if order == Ordering::Less {
            same.clear();
            first = Some(head);
        }
        if order != Ordering::Greater {
            same.push(at);
        }
    }
    first.map(|head| head.labels.clone())
}

/// Puts the samples of the streams at `same` together; gives the newest number of the series.
fn gather(
    streams: &mut [Stream<'_>],
    same: &[usize],
    labels: &Labels,
    merged: &mut Merged,
    report: &mut Report,
) -> u32 {
    merged.clear();
    let (mut twice, mut id) = (Twice::default(), NO_ID);
    for at in same {
        let stream = &mut streams[*at];
        stream.mask(labels);
        let one = merged.add(&mut stream.columns);
        twice.duplicates += one.duplicates;
        twice.conflicts += one.conflicts;
        id = stream.head.as_ref().map(|head| head.id).filter(|id| *id != NO_ID).unwrap_or(id);
    }
    report.note_twice(labels, twice);
    id
}

impl Report {
    fn note_twice(&mut self, labels: &Labels, twice: Twice) {
        self.duplicates += twice.duplicates;
        if twice.conflicts == 0 {
            return;
        }
        self.conflicts += twice.conflicts;
        self.conflicting_series += 1;
        if self.conflicting.len() < NAMED_MAX {
            self.conflicting.push((labels.clone(), twice.conflicts));
        }
    }

    fn note_damage(&mut self, input: &Input, damage: impl std::fmt::Display) {
        if self.damages.len() < DAMAGES_MAX {
            self.damages.insert(format!("{}: {damage}", input.path.display()));
        }
    }
}

/// The series at which a stream stands; its samples are beside it.
struct Head {
    labels: Labels,
    id: u32,
}

/// One input, series by series.
struct Stream<'a> {
    input: &'a Input,
    cursor: Cursor<'a, LocalFile>,
    /// The cursor does not go on because the numbers are damaged: of a block they are only a hint.
    by_ordinal: Option<u32>,
    rows: RowCache,
    damages: Vec<nave_block::Error>,
    head: Option<Head>,
    columns: Columns,
}

impl<'a> Stream<'a> {
    fn of(input: &'a Input) -> Self {
        Self {
            input,
            cursor: input.block.cursor(),
            by_ordinal: None,
            rows: RowCache::default(),
            damages: Vec::new(),
            head: None,
            columns: Columns::default(),
        }
    }

    /// Goes to the next series that has labels.
    fn advance(
        &mut self,
        store: &Store<'_>,
        scratch: &mut Scratch,
        report: &mut Report,
    ) -> Result<(), Error> {
        self.head = None;
        while self.head.is_none() {
            let found = self.next(scratch, report)?;
            for damage in self.damages.drain(..) {
                report.note_damage(self.input, damage);
            }
            let Some((ordinal, id)) = found else { break };
            match self.labels(ordinal, id, store, scratch) {
                Ok(labels) => self.head = Some(Head { labels, id }),
                Err(damage) => {
                    report.nameless_series += 1;
                    report.note_damage(self.input, damage);
                }
            }
        }
        Ok(())
    }

    fn next(&mut self, scratch: &mut Scratch, report: &mut Report) -> Result<Option<(u32, u32)>, Error> {
        if self.by_ordinal.is_some() {
            return self.next_by_ordinal(scratch);
        }
        match self.cursor.next(scratch, &mut self.columns, &mut self.damages) {
            Ok(entry) => Ok(entry.map(|entry| (entry.ordinal, entry.id))),
            Err(damage @ nave_block::Error::Damaged { .. }) => {
                report.note_damage(self.input, damage);
                self.by_ordinal = Some(0);
                self.next_by_ordinal(scratch)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn next_by_ordinal(&mut self, scratch: &mut Scratch) -> Result<Option<(u32, u32)>, Error> {
        self.columns.clear();
        let Some(ordinal) = self.by_ordinal else { return Ok(None) };
        if self.input.block.index().is_none() || ordinal >= self.input.block.meta().series {
            return Ok(None);
        }
        self.by_ordinal = Some(ordinal + 1);
        let Self { input, columns, damages, .. } = self;
        input.block.read(ordinal, TimeRange::ALL, scratch, columns, damages)?;
        Ok(Some((ordinal, NO_ID)))
    }

    fn labels(
        &mut self,
        ordinal: u32,
        id: u32,
        store: &Store<'_>,
        scratch: &mut Scratch,
    ) -> Result<Labels, String> {
        match self.input.block.index() {
            Some(index) => {
                index.labels(ordinal, &mut self.rows, scratch).map_err(|damage| damage.to_string())
            }
            None => (store.labels_of)(id).ok_or_else(|| format!("no series has number {id}")),
        }
    }

    /// Removes what tombstones hide.
    fn mask(&mut self, labels: &Labels) {
        for tombstone in &self.input.tombstones {
            if Matcher::all_match(&tombstone.matchers, labels) {
                remove_range(&mut self.columns, tombstone.range);
            }
        }
    }
}
