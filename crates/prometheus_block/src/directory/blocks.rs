//! The blocks of a directory: those that overlap are merged series by series.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::TimeRange;

use super::{Directory, Item, Report};
use crate::block::{Block, Series, SeriesCursor};
use crate::columns::{self, Kept};
use crate::error::Error;

/// Reads all blocks with samples in `range`.
pub(super) fn read<E: From<Error>>(
    directory: &Directory,
    range: TimeRange,
    report: &mut Report,
    visit: &mut impl FnMut(Item<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let inside = |at: &usize| {
        let meta = &directory.blocks[*at].1;
        meta.min_time <= range.max.0 && range.min.0 < meta.max_time
    };
    let mut group: Vec<Block> = Vec::new();
    let mut end = i64::MIN;
    for at in (0..directory.blocks.len()).filter(inside) {
        let (path, meta) = &directory.blocks[at];
        if meta.min_time >= end {
            merge(&group, range, report, visit)?;
            group.clear();
        }
        end = end.max(meta.max_time);
        match Block::open(&directory.disk, path) {
            Ok(block) => group.push(block),
            // A file that is missing is damage of the block.
            Err(Error::Io { path, source }) if source.kind() == std::io::ErrorKind::NotFound => {
                report.damaged(Error::Io { path, source });
            }
            Err(error) => report.note(error)?,
        }
    }
    merge(&group, range, report, visit)
}

/// Gives the series of `group` in label order, the samples of equal ones together.
fn merge<E: From<Error>>(
    group: &[Block],
    range: TimeRange,
    report: &mut Report,
    visit: &mut impl FnMut(Item<'_>) -> Result<(), E>,
) -> Result<(), E> {
    report.blocks += group.len();
    let mut cursors: Vec<SeriesCursor<'_>> = group.iter().map(Block::series).collect();
    let mut waiting: Vec<Option<Series>> = group.iter().map(|_| None).collect();
    let mut heap: BinaryHeap<Reverse<(Labels, usize)>> = BinaryHeap::new();
    for (at, cursor) in cursors.iter_mut().enumerate() {
        advance(cursor, at, &mut waiting, &mut heap, report)?;
    }
    let (mut samples, mut part) = (Columns::default(), Columns::default());
    while let Some(Reverse((labels, first))) = heap.pop() {
        samples.clear();
        let mut next = Some(first);
        while let Some(at) = next {
            part.clear();
            let mut damage = Vec::new();
            if let Some(series) = waiting[at].take() {
                cursors[at].read(&series, range, &mut part, &mut damage)?;
            }
            damage.into_iter().for_each(|error| report.damaged(error));
            columns::add(&mut samples, &part, &Kept { range, deleted: &[] });
            advance(&mut cursors[at], at, &mut waiting, &mut heap, report)?;
            next = heap.pop_if_same(&labels);
        }
        if !samples.is_empty() {
            report.count(&samples);
            visit(Item::Samples(&labels, &samples))?;
        }
    }
    Ok(())
}

/// Takes the next whole series of a block.
fn advance(
    cursor: &mut SeriesCursor<'_>,
    at: usize,
    waiting: &mut [Option<Series>],
    heap: &mut BinaryHeap<Reverse<(Labels, usize)>>,
    report: &mut Report,
) -> Result<(), Error> {
    while let Some(series) = cursor.next() {
        match series {
            Ok(series) => {
                heap.push(Reverse((series.labels.clone(), at)));
                waiting[at] = Some(series);
                return Ok(());
            }
            Err(error) => report.note(error)?,
        }
    }
    Ok(())
}

trait PopSame {
    fn pop_if_same(&mut self, labels: &Labels) -> Option<usize>;
}

impl PopSame for BinaryHeap<Reverse<(Labels, usize)>> {
    /// The next block that has the same series.
    fn pop_if_same(&mut self, labels: &Labels) -> Option<usize> {
        let same = self.peek().is_some_and(|Reverse((next, _))| next == labels);
        if same { self.pop().map(|Reverse((_, at))| at) } else { None }
    }
}
