//! Dropping what is older than retention from memory. Files are the compactor's, the log is the flush's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nave_base::disk::SharedDisk;

use crate::error::Error;
use crate::head::{Head, Partition};
use crate::replay::{checkpoint_path, checkpoints};
use crate::series::Series;

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

/// Drops samples older than `oldest` from memory, and series that have none left and that no part names.
pub(crate) fn drop_from_memory(head: &Head, oldest: i64, oldest_part: u32) -> usize {
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
            None if state.is_unused(oldest_part) => {
                empty.entry(series.partition).or_default().push(series.clone());
            }
            None => {}
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
    forget(head, removed);
    removed
}

/// Forgets `removed` series that are dead.
pub(crate) fn forget(head: &Head, removed: usize) {
    if removed > 0 {
        head.raw.retain(|series| !series.state.lock().dead);
        head.series_count.fetch_sub(removed, Ordering::Relaxed);
        head.counters.series_removed.add(removed as f64);
    }
}

/// Removes those that are still empty. An append that holds one of them sees that it is dead and looks again.
pub(crate) fn remove(head: &Head, partition: &Partition, mut candidates: Vec<Arc<Series>>) -> usize {
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

/// Removes checkpoints of old releases, and unfinished ones: the registry has what they say.
pub(crate) fn remove_checkpoints(disk: &SharedDisk, dir: &Path) -> Result<(), Error> {
    let (numbers, mut paths) = checkpoints(disk, dir)?;
    paths.extend(numbers.into_iter().map(|number| checkpoint_path(dir, number)));
    for path in paths {
        disk.remove(&path).map_err(|error| Error::folder(&path, &error))?;
    }
    Ok(())
}
