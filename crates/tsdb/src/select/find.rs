//! Which series a selection has, and where their samples are: in memory and in files.
//!
//! Series that memory knows have numbers, and files name theirs by number: parts always, blocks as a hint. So labels are
//! built and compared only for series that memory has forgotten, and of those once per number.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use nave_base::Shutdown;
use nave_block::NO_ID;
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::select::SelectError;
use nave_model::time::TimeRange;

use crate::head::{Head, Partition};
use crate::index::check_cancel;
use crate::series::Series;
use crate::source::Source;

/// Samples of a series in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// Index of the file among the sources.
    pub(super) source: u32,
    /// The series' number there.
    pub(super) ordinal: u32,
}

/// Deleted ranges by position of the series and of the source; few series have any.
pub(super) type Masks = HashMap<(u32, u32), Vec<TimeRange>, FixedState>;

/// Series with samples in the range: those that memory knows, then those of files alone.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Ascending by number.
    pub(super) series: Vec<Arc<Series>>,
    orphans: Vec<Labels>,
    /// Where the members of each series begin, and the end; empty when there are no files.
    starts: Vec<u32>,
    members: Vec<Member>,
    pub(super) masks: Masks,
}

impl Found {
    /// Of memory alone.
    pub(super) fn of(series: Vec<Arc<Series>>) -> Self {
        Self { series, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.series.len() + self.orphans.len()
    }

    pub(super) fn labels(&self, position: usize) -> &Labels {
        match self.series.get(position) {
            Some(series) => &series.labels,
            None => &self.orphans[position - self.series.len()],
        }
    }

    /// In order of the sources.
    pub(super) fn members(&self, position: usize) -> &[Member] {
        match self.starts.get(position..position + 2) {
            Some(&[from, to]) => &self.members[from as usize..to as usize],
            _ => &[],
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let orphans = self.orphans.iter().map(|labels| size_of::<Labels>() + labels.as_bytes().len());
        self.series.len() * 8
            + orphans.sum::<usize>()
            + self.starts.len() * 4
            + self.members.len() * size_of::<Member>()
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) matchers: &'a [&'a Matcher],
    pub(super) range: TimeRange,
    pub(super) cancel: &'a Shutdown,
}

/// Whether memory has samples in the range; series without any may have them in files.
pub(super) fn has_samples(series: &Series, range: TimeRange) -> bool {
    let bounds = series.state.lock().bounds();
    bounds.is_some_and(|(min, max)| min <= range.max.0 && range.min.0 <= max)
}

/// The series in memory that have samples there.
pub(super) fn in_memory(
    head: &Head,
    partition: &Partition,
    wanted: Wanted<'_>,
) -> Result<Vec<Arc<Series>>, SelectError> {
    let mut found = known(head, partition, wanted)?;
    let (mut checked, mut result) = (0, Ok(()));
    found.retain(|series| {
        if result.is_ok() {
            result = check_cancel(checked, wanted.cancel);
        }
        checked += 1;
        has_samples(series, wanted.range)
    });
    result.map(|()| found)
}

/// The series that memory knows, with or without samples, ascending by number.
fn known(head: &Head, partition: &Partition, wanted: Wanted<'_>) -> Result<Vec<Arc<Series>>, SelectError> {
    partition.index.read().select(wanted.matchers, &head.table, wanted.cancel)
}

/// The series in memory and in `sources`; `damaged` is told what could not be read.
pub(super) fn everywhere(
    head: &Head,
    partition: Option<&Partition>,
    sources: &[Source],
    wanted: Wanted<'_>,
    damaged: &mut dyn FnMut(&Source, String),
) -> Result<Found, SelectError> {
    let series = partition.map_or(Ok(Vec::new()), |partition| known(head, partition, wanted))?;
    let mut gather = Gather {
        head,
        partition,
        wanted,
        ids: Ids::of(&series),
        series,
        orphans: Vec::new(),
        by_id: HashMap::default(),
        by_labels: HashMap::default(),
        members: Vec::new(),
        masks: Masks::default(),
    };
    for (number, source) in (0u32..).zip(sources) {
        check_cancel(0, wanted.cancel)?;
        if source.is_part() {
            gather.part(number, source, damaged)?;
        } else {
            gather.block(number, source, damaged)?;
        }
    }
    gather.finish()
}

struct Gather<'a> {
    head: &'a Head,
    partition: Option<&'a Partition>,
    wanted: Wanted<'a>,
    series: Vec<Arc<Series>>,
    ids: Ids,
    /// Labels of series that only files have; their slots follow those of `series`.
    orphans: Vec<Labels>,
    by_id: HashMap<u32, u32, FixedState>,
    by_labels: HashMap<Labels, u32>,
    /// Slot and member, source by source.
    members: Vec<(u32, Member)>,
    masks: Masks,
}

impl Gather<'_> {
    /// Notes that the source may have samples of a slot, unless all of them are deleted.
    fn add(&mut self, slot: u32, number: u32, source: &Source, ordinal: u32) {
        if !source.may_have(ordinal, self.wanted.range) {
            return;
        }
        if source.is_masked() {
            let masks = source.masks(self.labels(slot));
            if masks.iter().any(|mask| source.hides_all(*mask, self.wanted.range)) {
                return;
            }
            if !masks.is_empty() {
                self.masks.insert((slot, number), masks);
            }
        }
        self.members.push((slot, Member { source: number, ordinal }));
    }

    fn labels(&self, slot: u32) -> &Labels {
        match self.series.get(slot as usize) {
            Some(series) => &series.labels,
            None => &self.orphans[slot as usize - self.series.len()],
        }
    }

    /// All series of a part are known: look up the few that are wanted, or go through the part.
    fn part(
        &mut self,
        number: u32,
        source: &Source,
        damaged: &mut dyn FnMut(&Source, String),
    ) -> Result<(), SelectError> {
        let ids = match source.ids() {
            Ok(ids) => ids,
            Err(what) => {
                damaged(source, what);
                return Ok(());
            }
        };
        if source.finds_quickly(self.series.len(), ids.len()) {
            for (slot, series) in (0..).zip(self.series.clone()) {
                if let Some(ordinal) = source.position(&ids, &series, &self.head.table) {
                    self.add(slot, number, source, ordinal);
                }
            }
            return Ok(());
        }
        for (ordinal, id) in (0..).zip(&*ids) {
            check_cancel(ordinal as usize, self.wanted.cancel)?;
            if let Some(slot) = self.ids.slot(*id) {
                self.add(slot, number, source, ordinal);
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        number: u32,
        source: &Source,
        damaged: &mut dyn FnMut(&Source, String),
    ) -> Result<(), SelectError> {
        let postings = match source.select(self.wanted.matchers, self.wanted.cancel) {
            Ok(postings) => postings,
            Err(what) => {
                damaged(source, what);
                check_cancel(0, self.wanted.cancel)?;
                return Ok(());
            }
        };
        // Without them labels say which series is which.
        let ids = source.ids().unwrap_or_else(|what| {
            damaged(source, what);
            Arc::from([])
        });
        let mut rows = source.rows();
        for (step, ordinal) in postings.iter().enumerate() {
            check_cancel(step, self.wanted.cancel)?;
            let id = ids.get(ordinal as usize).copied().unwrap_or(NO_ID);
            let known =
                if id == NO_ID { None } else { self.ids.slot(id).or_else(|| self.by_id.get(&id).copied()) };
            let slot = match known {
                Some(slot) => slot,
                None => match rows.labels(ordinal) {
                    Ok(labels) => self.orphan(id, labels),
                    Err(what) => {
                        damaged(source, what);
                        continue;
                    }
                },
            };
            self.add(slot, number, source, ordinal);
        }
        Ok(())
    }

    /// The slot of a series that no number leads to. It may have come back under another number.
    fn orphan(&mut self, id: u32, labels: Labels) -> u32 {
        let index = self.partition.map(|partition| partition.index.read());
        let again =
            index.as_ref().and_then(|index| index.get(&labels)).and_then(|series| self.ids.slot(series.id));
        let slot = again.unwrap_or_else(|| {
            let next = (self.series.len() + self.orphans.len()) as u32;
            *self.by_labels.entry(labels).or_insert_with_key(|labels| {
                self.orphans.push(labels.clone());
                next
            })
        });
        if id != NO_ID {
            self.by_id.insert(id, slot);
        }
        slot
    }

    /// Leaves out series without samples, and sorts members by series.
    fn finish(self) -> Result<Found, SelectError> {
        let Self { mut series, mut orphans, mut members, masks, wanted, .. } = self;
        let mut counts = vec![0u32; series.len() + orphans.len()];
        members.iter().for_each(|(slot, _)| counts[*slot as usize] += 1);
        let mut kept = Vec::with_capacity(counts.len());
        for (slot, series) in series.iter().enumerate() {
            check_cancel(slot, wanted.cancel)?;
            kept.push(counts[slot] > 0 || has_samples(series, wanted.range));
        }
        kept.extend(counts[series.len()..].iter().map(|count| *count > 0));
        let (mut starts, mut places, mut next) = (vec![0], vec![u32::MAX; counts.len()], 0);
        for slot in (0..counts.len()).filter(|slot| kept[*slot]) {
            places[slot] = starts.len() as u32 - 1;
            next += counts[slot];
            starts.push(next);
        }
        let mut flags = kept.iter();
        series.retain(|_| flags.next() == Some(&true));
        orphans.retain(|_| flags.next() == Some(&true));
        // Stable, so that the files of a series stay in their order.
        members.sort_by_key(|(slot, _)| *slot);
        let members = members.into_iter().map(|(_, member)| member).collect();
        let masks =
            masks.into_iter().map(|((slot, number), ranges)| ((places[slot as usize], number), ranges));
        Ok(Found { series, orphans, starts, members, masks: masks.collect() })
    }
}

/// From numbers of series to their slots.
enum Ids {
    /// By difference to the first.
    Dense(u32, Vec<u32>),
    Sparse(HashMap<u32, u32, FixedState>),
}

impl Ids {
    /// Of series that are ascending by number.
    fn of(series: &[Arc<Series>]) -> Self {
        let (Some(first), Some(last)) = (series.first(), series.last()) else {
            return Self::Sparse(HashMap::default());
        };
        let span = (last.id - first.id) as usize + 1;
        if span / 8 > series.len() {
            return Self::Sparse(series.iter().map(|series| series.id).zip(0..).collect());
        }
        let mut slots = vec![u32::MAX; span];
        (0..).zip(series).for_each(|(slot, series)| slots[(series.id - first.id) as usize] = slot);
        Self::Dense(first.id, slots)
    }

    fn slot(&self, id: u32) -> Option<u32> {
        match self {
            Self::Dense(first, slots) => {
                let slot = id.checked_sub(*first).and_then(|at| slots.get(at as usize));
                slot.copied().filter(|slot| *slot != u32::MAX)
            }
            Self::Sparse(slots) => slots.get(&id).copied(),
        }
    }
}
