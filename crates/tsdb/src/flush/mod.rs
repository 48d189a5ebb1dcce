//! Moving what is only in log and memory into parts.
//!
//! In this order: the log begins a segment; every series gives what no file has; parts and registry are made durable;
//! the manifest names them and the segment; older segments are dropped. A crash or a failure anywhere before the
//! manifest leaves everything as it was, and the next flush takes all of it again. Appends go on meanwhile: they
//! wait for nothing but the lock of a series.
//!
//! What an append put into memory before the cut is in the parts, because records follow memory. What came later may
//! be in the parts and in the log: replaying it makes equal duplicates.

mod order;
mod sinks;
mod trigger;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nave_base::disk::SharedDisk;
use nave_model::select::Columns;
use parking_lot::Mutex;

use crate::catalog::{Catalog, RegistryLength, Version, Window};
use crate::chunk::Chunk;
use crate::error::Error;
use crate::exemplar::Kept;
use crate::head::{Head, Partition};
use crate::record::Family;
use crate::registry::{Writer, metadata_payload};
use crate::retain;
use crate::series::{Series, State};
use order::Order;
use sinks::{Sinks, Written};
pub(crate) use trigger::Flushing;

/// A registry of fewer series is never written anew.
const REGISTRY_SERIES_MIN: u64 = 10_000;

/// The registry is written anew when it has so many times the exemplars that are kept.
const EXEMPLARS_REWRITE: u64 = 4;

/// Flushes a store; one flush at a time.
#[derive(Debug)]
pub(crate) struct Flusher {
    pub(crate) head: Arc<Head>,
    catalog: Arc<Catalog>,
    disk: SharedDisk,
    dir: PathBuf,
    state: Mutex<FlushState>,
}

/// Series whose open chunks end with what the flush took, so that memory can drop all of that; `None` is no series.
pub(crate) type Ending = Option<Box<dyn Fn(&Series) -> bool + Send>>;

/// Kept from flush to flush.
#[derive(Debug, Default)]
struct FlushState {
    /// The newest number that was tried.
    attempt: u32,
    /// By number of the partition.
    orders: BTreeMap<u16, Order>,
    /// Series that the registry names, dead ones among them.
    named: u64,
    /// Exemplars that it has, those that left memory among them; from the last start on.
    exemplars: u64,
    /// Flushes whose samples are in memory: number and when, in ms.
    hot: VecDeque<(u32, i64)>,
    /// The first flush that parts hold, by the newest version that no reader is behind.
    oldest_part: u32,
    /// Versions, and what may be dropped when no reader holds an older one: in-order and late samples.
    steps: VecDeque<(u64, u32, u32)>,
}

/// What a flush did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Its number.
    pub seq: u64,
    /// Parts that it wrote.
    pub parts: usize,
    /// Samples in them.
    pub samples: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Series that were removed from memory because nothing names them any more.
    pub series_removed: usize,
    /// Segments of the log that were dropped.
    pub segments_removed: usize,
}

impl Flusher {
    pub(crate) fn new(
        head: Arc<Head>,
        catalog: Arc<Catalog>,
        disk: SharedDisk,
        dir: PathBuf,
        named: u64,
    ) -> Self {
        let attempt = u32::try_from(catalog.version().next_seq - 1).unwrap_or(u32::MAX - 1);
        let state = Mutex::new(FlushState { attempt, named, ..FlushState::default() });
        Self { head, catalog, disk, dir, state }
    }

    /// Writes what is in memory and in no file; the log before segment `log_start` is not needed then. Blocks.
    ///
    /// # Errors
    /// Of the file system; nothing was changed then.
    pub(crate) fn run(&self, log_start: u64, ending: &Ending) -> Result<Flushed, Error> {
        let mut state = self.state.lock();
        state.attempt += 1;
        self.settle(&mut state);
        let version = self.catalog.version();
        let mut pass = Pass {
            flusher: self,
            version: &version,
            ending,
            seq: state.attempt,
            committed: u32::try_from(version.next_seq - 1).unwrap_or(u32::MAX),
            oldest_part: state.oldest_part,
            written: Vec::new(),
            unused: BTreeMap::new(),
            late: Vec::new(),
        };
        let result = pass.run(&mut state, log_start);
        let Pass { written, unused, late, .. } = pass;
        match result {
            Ok(mut done) => {
                done.series_removed = self.remove_unused(&mut state, unused);
                self.drop_late(&mut state, &late);
                Ok(done)
            }
            Err(error) => {
                written.iter().for_each(|part| self.catalog.discard(&part.path));
                Err(error)
            }
        }
    }

    /// Notes how far memory may drop, by the pins that are left.
    fn settle(&self, state: &mut FlushState) {
        let oldest = self.catalog.oldest_pin().unwrap_or(u64::MAX);
        while let Some((_, hot_seq, late_seq)) = state.steps.pop_front_if(|step| step.0 <= oldest) {
            self.head.droppable.hot_seq.fetch_max(hot_seq, Ordering::Relaxed);
            self.head.droppable.late_seq.fetch_max(late_seq, Ordering::Relaxed);
        }
        let version = self.catalog.version();
        if version.number <= oldest {
            // Without parts there will be none below the next flush.
            let part = version.oldest_part().unwrap_or(version.next_seq);
            let part = u32::try_from(part).unwrap_or(u32::MAX);
            state.oldest_part = state.oldest_part.max(part);
        }
    }

    /// Series that were last flushed before this may be forgotten: no part that anybody reads names them.
    pub(crate) fn oldest_part(&self) -> u32 {
        let mut state = self.state.lock();
        self.settle(&mut state);
        state.oldest_part
    }

    /// Late samples leave memory at once when no reader needs them there, else with the next flush.
    fn drop_late(&self, state: &mut FlushState, late: &[Arc<Series>]) {
        self.settle(state);
        for series in late {
            self.drop_flushed(series);
        }
    }

    fn drop_flushed(&self, series: &Series) {
        self.drop_flushed_of(&mut series.state.lock());
    }

    fn drop_flushed_of(&self, state: &mut State) {
        let droppable = &self.head.droppable;
        let (hot, late) =
            (droppable.hot_seq.load(Ordering::Relaxed), droppable.late_seq.load(Ordering::Relaxed));
        let before = state.chunk_count();
        state.drop_flushed(hot, late);
        let dropped = before as i64 - state.chunk_count() as i64;
        if dropped != 0 {
            self.head.chunk_count.fetch_sub(dropped, Ordering::Relaxed);
        }
    }

    /// Reads of samples that flushes before `since_ms` took go to files from now on; memory drops them when no
    /// reader needs them there any more. Gives whether that has become more.
    pub(crate) fn cool(&self, since_ms: i64) -> bool {
        let mut state = self.state.lock();
        let mut hot_seq = None;
        while let Some((seq, _)) = state.hot.pop_front_if(|flush| flush.1 <= since_ms) {
            hot_seq = Some(seq + 1);
        }
        if let Some(hot_seq) = hot_seq {
            let version = self.catalog.raise_hot_seq(u64::from(hot_seq));
            state.steps.push_back((version.number, hot_seq, 0));
        }
        self.settle(&mut state);
        hot_seq.is_some()
    }

    /// Drops all that may be dropped. Visits every series; flushes do the same on their way.
    pub(crate) fn drop_all_flushed(&self) {
        self.settle(&mut self.state.lock());
        self.head.table.for_each(|series| self.drop_flushed(series));
    }

    fn remove_unused(&self, state: &mut FlushState, unused: BTreeMap<u16, Vec<Arc<Series>>>) -> usize {
        let partitions = self.head.partitions.read().clone();
        let mut removed = 0;
        for (number, candidates) in unused {
            let Some(partition) = partitions.get(usize::from(number)) else { continue };
            let gone = retain::remove(&self.head, partition, candidates);
            if gone > 0
                && let Some(order) = state.orders.get_mut(&number)
            {
                order.forget_dead();
            }
            removed += gone;
        }
        retain::forget(&self.head, removed);
        removed
    }
}

/// One flush on its way.
struct Pass<'a> {
    flusher: &'a Flusher,
    version: &'a Version,
    ending: &'a Ending,
    seq: u32,
    committed: u32,
    oldest_part: u32,
    written: Vec<Written>,
    /// Series that nothing needs, by partition.
    unused: BTreeMap<u16, Vec<Arc<Series>>>,
    /// Series with late samples in this flush.
    late: Vec<Arc<Series>>,
}

/// What a flush puts into the registry, given back when it fails.
#[derive(Default)]
struct Named {
    series: Vec<Arc<Series>>,
    keys: Vec<(u128, u32)>,
    metadata: Vec<(Arc<Partition>, Vec<Family>)>,
    exemplars: Vec<Arc<Kept>>,
}

impl Pass<'_> {
    fn run(&mut self, state: &mut FlushState, log_start: u64) -> Result<Flushed, Error> {
        let head = &*self.flusher.head;
        // Taken before the series are visited, so that no key comes before its series.
        let mut named = Named { keys: std::mem::take(&mut *head.fresh_keys.lock()), ..Named::default() };
        named.exemplars = head.exemplars.take_fresh();
        let partitions = head.partitions.read().clone();
        for partition in &partitions {
            let fresh = std::mem::take(&mut *partition.fresh.lock());
            state.orders.entry(partition.number).or_default().add(fresh.series);
            named.metadata.push((partition.clone(), fresh.metadata));
        }
        let result = self.write(state, &partitions, &mut named, log_start);
        match &result {
            Ok(_) => named.series.iter().for_each(|series| series.in_registry.store(true, Ordering::Relaxed)),
            Err(_) => {
                head.fresh_keys.lock().append(&mut named.keys);
                head.exemplars.give_back(named.exemplars);
                for (partition, mut metadata) in named.metadata {
                    partition.fresh.lock().metadata.append(&mut metadata);
                }
            }
        }
        result
    }

    fn write(
        &mut self,
        state: &mut FlushState,
        partitions: &[Arc<Partition>],
        named: &mut Named,
        log_start: u64,
    ) -> Result<Flushed, Error> {
        for partition in partitions {
            if let Some(order) = state.orders.get(&partition.number) {
                self.partition(partition, order, named)?;
            }
        }
        let (registry, count) = self.registry(state, partitions, named)?;
        self.commit(state, registry, count, log_start)
    }

    /// Writes the parts of one tenant.
    fn partition(&mut self, partition: &Partition, order: &Order, named: &mut Named) -> Result<(), Error> {
        let tenant = partition.tenant.0.clone();
        let late_before = self.late.len();
        let mut late_windows = BTreeSet::new();
        let mut columns = Columns::default();
        let mut sinks = self.sinks(&tenant, false, None);
        for series in order.iter() {
            if self.freeze(series, named, &mut columns) {
                note_windows(series.state.lock().frozen_late(self.seq), &mut sinks, &mut late_windows);
                self.late.push(series.clone());
            }
            sinks.push(series, &columns)?;
        }
        let mut left = sinks.finish(&mut self.written)?;
        while !left.is_empty() {
            let mut sinks = self.sinks(&tenant, false, Some(Sinks::some_of(&mut left)));
            for series in order.iter() {
                series.state.lock().decode_frozen(self.seq, &mut columns);
                sinks.push(series, &columns)?;
            }
            sinks.finish(&mut self.written)?;
        }
        let late: Vec<_> = self.late[late_before..].to_vec();
        while !late_windows.is_empty() {
            let mut sinks = self.sinks(&tenant, true, Some(Sinks::some_of(&mut late_windows)));
            for series in &late {
                series.state.lock().decode_frozen_late(self.seq, &mut columns);
                sinks.push(series, &columns)?;
            }
            sinks.finish(&mut self.written)?;
        }
        Ok(())
    }

    fn sinks<'s>(&self, tenant: &'s str, cold: bool, only: Option<BTreeSet<Window>>) -> Sinks<'s>
    where
        Self: 's,
    {
        let Flusher { disk, catalog, .. } = self.flusher;
        Sinks::new((disk, catalog, self.version), tenant, u64::from(self.seq), cold, only)
    }

    /// Gives a series to this flush, and what it has, but for late floats, to `columns`. Whether there are late floats.
    fn freeze(&mut self, series: &Arc<Series>, named: &mut Named, columns: &mut Columns) -> bool {
        columns.clear();
        let mut state = series.state.lock();
        if state.dead {
            return false;
        }
        self.flusher.drop_flushed_of(&mut state);
        state.freeze(self.seq, self.committed);
        if self.ending.as_ref().is_some_and(|is_meant| is_meant(series)) {
            state.seal();
        }
        if state.is_unused(self.oldest_part) {
            self.unused.entry(series.partition).or_default().push(series.clone());
        }
        state.decode_frozen(self.seq, columns);
        let any_late = !state.frozen_late(self.seq).is_empty();
        drop(state);
        if !series.in_registry.load(Ordering::Relaxed) {
            named.series.push(series.clone());
        }
        any_late
    }

    /// Names what is new, or everything that lives when most of what is named is dead.
    fn registry(
        &self,
        state: &FlushState,
        partitions: &[Arc<Partition>],
        named: &Named,
    ) -> Result<(RegistryLength, (u64, u64)), Error> {
        let Flusher { head, disk, dir, .. } = self.flusher;
        let before = self.version.registry;
        let living = state.orders.values().map(Order::len).sum::<usize>() as u64;
        let outlived = state.exemplars > EXEMPLARS_REWRITE * head.exemplars.max() as u64;
        let anew = outlived || state.named > REGISTRY_SERIES_MIN && state.named > 2 * living;
        let mut writer = if anew {
            Writer::create(disk, dir, before.generation + 1)?
        } else {
            Writer::append(disk, dir, before)?
        };
        let tenant_of = |series: &Series| partitions.get(usize::from(series.partition)).map(|p| &p.tenant);
        let all = state.orders.values().flat_map(Order::iter);
        let fresh: &mut dyn Iterator<Item = &Arc<Series>> =
            if anew { &mut { all } } else { &mut named.series.iter() };
        for series in fresh {
            if let Some(tenant) = tenant_of(series) {
                writer.series(tenant, series.id, &series.labels)?;
            }
        }
        if anew {
            let mut result = Ok(());
            head.raw.for_each(|key, series| {
                if result.is_ok() {
                    result = writer.key(key, series.id);
                }
            });
            result?;
        } else {
            named.keys.iter().try_for_each(|(key, id)| writer.key(*key, *id))?;
        }
        for (partition, fresh) in &named.metadata {
            let all = if anew { partition.metadata.lock().list(None) } else { Vec::new() };
            for some in [&all, fresh].into_iter().flat_map(|list| list.chunks(1000)) {
                writer.metadata(&metadata_payload(&partition.tenant, some))?;
            }
        }
        let kept = if anew { head.exemplars.all() } else { Vec::new() };
        for some in [&kept, &named.exemplars].into_iter().flat_map(|list| list.chunks(1000)) {
            let mut payload = Vec::new();
            some.iter().for_each(|one| one.put(&mut payload));
            writer.exemplars(&payload)?;
        }
        let exemplars = (kept.len() + named.exemplars.len()) as u64;
        let before = if anew { (0, 0) } else { (state.named, state.exemplars) };
        let count = (before.0 + writer.series, before.1 + exemplars);
        Ok((writer.finish()?, count))
    }

    fn commit(
        &mut self,
        state: &mut FlushState,
        registry: RegistryLength,
        (named, exemplars): (u64, u64),
        log_start: u64,
    ) -> Result<Flushed, Error> {
        let Flusher { head, catalog, .. } = self.flusher;
        let mut done = Flushed { seq: u64::from(self.seq), parts: self.written.len(), ..Flushed::default() };
        let mut entries = Vec::with_capacity(self.written.len());
        for part in &self.written {
            let entry = catalog.entry(part.meta.clone(), part.window, part.cold)?;
            done.samples += part.meta.samples;
            done.bytes += entry.bytes;
            entries.push(entry);
        }
        let next_id = head.next_id.load(Ordering::Relaxed);
        let version = catalog.commit(|edit| {
            entries.into_iter().for_each(|entry| edit.add(entry));
            edit.flushed(done.seq, log_start, registry, next_id);
            edit.set_floor(head.floor());
        })?;
        self.written.clear();
        (state.named, state.exemplars) = (named, exemplars);
        state.hot.push_back((self.seq, head.clock.now_ms()));
        state.steps.push_back((version.number, 0, self.seq));
        Ok(done)
    }
}

/// Windows that late chunks may have samples of.
fn note_windows(late: &[Chunk], sinks: &mut Sinks<'_>, windows: &mut BTreeSet<Window>) {
    for chunk in late {
        // From sample to sample, since empty windows between them may be many.
        let mut end = i64::MIN;
        for (t, _) in chunk.iter() {
            if t >= end {
                let window = sinks.window_of(t);
                windows.insert(window);
                end = window.end_ms;
            }
        }
    }
}
