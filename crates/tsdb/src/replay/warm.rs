//! Memory and the label index after a restart, made while appends to known series are taken already.
//!
//! Indexes of all tenants are locked until they are whole, so whoever needs one waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nave_base::backoff::Backoff;

use super::early::Early;
use super::{Replayed, Samples, threads};
use crate::error::Error;
use crate::head::{Head, Partition};
use crate::index;
use crate::series::Series;

/// After an error of the disk the log is read again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Puts the log's samples into memory and builds the indexes; returns when nobody can see them unfinished. `done` is told
/// what was found when all is there.
pub(crate) fn warm(
    head: &Arc<Head>,
    mut log: Samples,
    mut found: Replayed,
    done: impl FnOnce(Replayed) + Send + 'static,
) -> Result<(), Error> {
    if head.series_count.load(Ordering::Relaxed) < head.options.background_series_min {
        found.add(head, &log.apply(head)?);
        Early::end(head);
        build(head, || ());
        done(found);
        head.set_ready();
        return Ok(());
    }
    *head.early.write() = Some(Early::new(std::mem::take(&mut log.newest)));
    let (locked, wait) = std::sync::mpsc::channel();
    let own = head.clone();
    let work = move || {
        build(&own, || {
            // Who waits went away only when the process ends.
            let _ = locked.send(());
            found.add(&own, &apply(&own, &log));
            Early::end(&own);
        });
        done(found);
        own.set_ready();
    };
    let spawned = std::thread::Builder::new().name("tsdb-warm".to_owned()).spawn(work);
    spawned.map_err(|error| Error::folder(&head.options.dir, &error))?;
    // An error means that it is done already.
    let _ = wait.recv();
    Ok(())
}

/// What was read once is there: an error passes, and what was applied before it is found to be there.
fn apply(head: &Arc<Head>, log: &Samples) -> Replayed {
    let mut retry = Backoff::new(RETRY.0, RETRY.1);
    // Nothing ever comes; it is how to wait without a runtime.
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    loop {
        match log.apply(head) {
            Ok(found) => return found,
            Err(error) => {
                tracing::error!(component = "tsdb", %error, "the log cannot be read: queries wait, it is tried again");
            }
        }
        let _ = never.recv_timeout(retry.next_wait());
        if Arc::strong_count(head) == 1 {
            return Replayed::default();
        }
    }
}

fn build(head: &Arc<Head>, before: impl FnOnce()) {
    let partitions = head.partitions.read().clone();
    let mut guards: Vec<_> = partitions.iter().map(|partition| partition.index.write()).collect();
    before();
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
