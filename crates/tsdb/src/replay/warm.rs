//! The label index after a restart, built while appends to known series are taken already.
//!
//! Indexes of all tenants are locked until they are whole, so whoever needs one waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::threads;
use crate::head::{Head, Partition};
use crate::index;
use crate::series::Series;

/// With fewer series the index is there before the start ends.
const BACKGROUND_SERIES_MIN: usize = 20_000;

/// Builds the indexes; returns when nobody can see them unfinished.
pub(crate) fn warm(head: &Arc<Head>) -> std::io::Result<()> {
    if head.series_count.load(Ordering::Relaxed) < BACKGROUND_SERIES_MIN {
        build(head, &|| ());
        return Ok(());
    }
    let (locked, wait) = std::sync::mpsc::channel();
    let own = head.clone();
    let work = move || {
        let start = own.clock.monotonic();
        build(&own, &|| {
            // Who waits went away only when the process ends.
            let _ = locked.send(());
        });
        let seconds = (own.clock.monotonic() - start).as_secs_f64();
        let series = own.series_count.load(Ordering::Relaxed);
        tracing::info!(component = "tsdb", series, seconds, "label index built: queries are answered");
    };
    std::thread::Builder::new().name("tsdb-warm".to_owned()).spawn(work)?;
    // An error means that it is done already.
    let _ = wait.recv();
    Ok(())
}

fn build(head: &Arc<Head>, locked: &dyn Fn()) {
    let partitions = head.partitions.read().clone();
    let mut guards: Vec<_> = partitions.iter().map(|partition| partition.index.write()).collect();
    locked();
    let mut by_partition: BTreeMap<u16, Vec<Arc<Series>>> = BTreeMap::new();
    head.table.for_each(|series| by_partition.entry(series.partition).or_default().push(series.clone()));
    let (mut chunks, mut removed) = (0, 0);
    for (partition, index) in partitions.iter().zip(&mut guards) {
        let all = by_partition.remove(&partition.number).unwrap_or_default();
        let built = index::build(&all, threads(head));
        **index = built.index;
        built.replaced.iter().for_each(|[before, after]| take_over(head, before, after));
        removed += built.replaced.len();
        chunks += all.iter().map(|series| series.state.lock().chunk_count()).sum::<usize>();
        sort_in(partition, all, removed > 0);
    }
    if removed > 0 {
        head.series_count.fetch_sub(removed, Ordering::Relaxed);
        head.raw.retain(|series| !series.state.lock().dead);
    }
    head.chunk_count.fetch_add(i64::try_from(chunks).unwrap_or(i64::MAX), Ordering::Relaxed);
    drop(guards);
    head.set_ready();
}

/// A series that was removed and came back has two numbers in the log: the new one stays, and has what is left of the
/// old one.
fn take_over(head: &Head, before: &Series, after: &Series) {
    let left = {
        let mut state = before.state.lock();
        let left = std::mem::take(&mut *state);
        state.dead = true;
        left
    };
    after.state.lock().absorb(&left);
    head.table.remove(before.id);
}

/// What the next flush must sort in.
fn sort_in(partition: &Partition, mut all: Vec<Arc<Series>>, some_dead: bool) {
    if some_dead {
        all.retain(|series| !series.state.lock().dead);
    }
    let mut fresh = partition.fresh.lock();
    all.append(&mut fresh.series);
    fresh.series = all;
}
