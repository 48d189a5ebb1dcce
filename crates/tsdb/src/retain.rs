//! Dropping what is older than retention, in memory and in the log.
//!
//! Whole segments are dropped, oldest first, once a checkpoint names every living series that the segments
//! after them may refer to. Until then nothing is removed, so a crash anywhere leaves a readable log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nave_base::disk::SharedDisk;
use nave_wal::{SegmentInfo, snapshot};

use crate::error::Error;
use crate::head::{Head, Partition};
use crate::record;
use crate::replay::{checkpoint_path, checkpoints};
use crate::series::Series;

/// Payload bytes of one record of a checkpoint.
const RECORD_BYTES: usize = 256 << 10;

/// What a run of retention did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// Series without a sample left.
    pub series_removed: usize,
    /// Segments of the log that were dropped.
    pub segments_removed: usize,
    /// Oldest time kept, in ms.
    pub oldest: i64,
    /// Bytes of the log now.
    pub log_bytes: u64,
}

/// Which segments can go, and the oldest time that is kept then.
pub(crate) fn plan(head: &Head, segments: &[SegmentInfo], newest: &BTreeMap<u64, i64>) -> (usize, i64) {
    let mut oldest = head.oldest_at(head.clock.now_ms());
    let closed = segments.len().saturating_sub(1);
    let newest_in = |segment: &SegmentInfo| newest.get(&segment.number).copied().unwrap_or(i64::MIN);
    let mut removable = segments[..closed].iter().take_while(|s| newest_in(s) < oldest).count();
    if removable > 0 {
        head.counters.time_retentions.inc();
    }
    let mut bytes: u64 = segments[removable..].iter().map(|segment| segment.bytes).sum();
    let limit = head.retention.read().1.unwrap_or(u64::MAX);
    while bytes > limit && removable < closed {
        let segment = &segments[removable];
        oldest = oldest.max(newest_in(segment).saturating_add(1));
        bytes -= segment.bytes;
        removable += 1;
        head.counters.size_retentions.inc();
    }
    (removable, oldest)
}

/// Drops samples older than `oldest` from memory, and series that have none left.
pub(crate) fn drop_from_memory(head: &Head, oldest: i64) -> usize {
    head.raise_floor(oldest);
    let mut empty: BTreeMap<u16, Vec<Arc<Series>>> = BTreeMap::new();
    let (mut chunks, mut min_time) = (0i64, i64::MAX);
    head.table.for_each(|series| {
        let mut state = series.state.lock();
        let before = state.chunk_count();
        state.drop_before(oldest);
        chunks += before as i64 - state.chunk_count() as i64;
        match state.bounds() {
            Some((min, _)) => min_time = min_time.min(min),
            None => empty.entry(series.partition).or_default().push(series.clone()),
        }
    });
    head.chunk_count.fetch_sub(chunks, Ordering::Relaxed);
    // Something older may be arriving meanwhile; it lowers the time again when it is noted.
    head.min_time.store(min_time, Ordering::Relaxed);
    let partitions = head.partitions.read().clone();
    let mut removed = 0;
    for (number, candidates) in empty {
        if let Some(partition) = partitions.get(usize::from(number)) {
            removed += remove(head, partition, candidates);
        }
    }
    if removed > 0 {
        head.raw.retain(|series| !series.state.lock().dead);
        head.series_count.fetch_sub(removed, Ordering::Relaxed);
        head.counters.series_removed.add(removed as f64);
    }
    removed
}

/// Removes those that are still empty. An append that holds one of them sees that it is dead and looks again.
fn remove(head: &Head, partition: &Partition, mut candidates: Vec<Arc<Series>>) -> usize {
    let mut index = partition.index.write();
    candidates.retain(|series| {
        let mut state = series.state.lock();
        let empty = state.bounds().is_none();
        state.dead = empty;
        empty
    });
    index.remove(&candidates);
    candidates.iter().for_each(|series| head.table.remove(series.id));
    candidates.len()
}

/// Writes the checkpoint that stands for all segments before `segment`.
pub(crate) fn write_checkpoint(
    head: &Head,
    disk: &SharedDisk,
    dir: &Path,
    segment: u64,
    oldest: i64,
) -> Result<(), Error> {
    let mut writer = snapshot::Writer::create(disk.clone(), &checkpoint_path(dir, segment), segment)?;
    for partition in head.partitions.read().clone() {
        let mut payload = Vec::new();
        let begin = |payload: &mut Vec<u8>| {
            payload.clear();
            record::put_tenant(payload, &partition.tenant);
        };
        begin(&mut payload);
        for (family, metadata) in partition.metadata.lock().list(None) {
            record::put_metadata(&mut payload, &family, &metadata);
        }
        writer.append(record::METADATA, &payload)?;
        begin(&mut payload);
        let mut result = Ok(());
        head.table.for_each(|series| {
            if series.partition != partition.number || result.is_err() {
                return;
            }
            record::put_series(&mut payload, series.id, &series.labels);
            if payload.len() >= RECORD_BYTES {
                result = writer.append(record::SERIES, &payload);
                begin(&mut payload);
            }
        });
        result?;
        writer.append(record::SERIES, &payload)?;
    }
    // Last, so that no number is free that a series above has.
    let next_id = head.next_id.load(Ordering::Relaxed);
    writer.append(record::STATE, &record::state(oldest, next_id))?;
    Ok(writer.finish()?)
}

/// Removes checkpoints that a newer one replaces, and unfinished ones.
pub(crate) fn remove_old_checkpoints(disk: &SharedDisk, dir: &Path, keep: u64) -> Result<(), Error> {
    let (numbers, mut paths) = checkpoints(disk, dir)?;
    paths.extend(numbers.into_iter().filter(|number| *number != keep).map(|n| checkpoint_path(dir, n)));
    for path in paths {
        disk.remove(&path)
            .map_err(|error| Error::Folder { dir: path.clone(), message: error.to_string() })?;
    }
    Ok(())
}
