//! Taking writes while what the log holds is still being put into memory.
//!
//! A first reading of the log names its series and tells of each the newest time that the log has. A float of a known
//! series that is newer than that can repeat or contradict only what came after the start: it is held here, and logged
//! and acknowledged as any other. When the log's samples are in memory, these follow, and appends go on as ever. All
//! else waits until then. Queries wait for the label index, which comes later, so that nobody misses what is held.
//!
//! Lock order: [`Head::early`], then a series, then a shard.

use hashbrown::HashMap;
use nave_model::append::Batch;
use parking_lot::Mutex;

use crate::head::Head;
use crate::ingest;
use crate::series::{Inserted, same};

const SHARDS: usize = 64;
const PAGE: usize = 1 << 10;

/// The newest time that the log has of each series.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    pages: HashMap<u32, Box<[i64]>>,
}

impl Newest {
    pub(super) fn note(&mut self, id: u32, t: i64) {
        let page = self.pages.entry(id / PAGE as u32).or_insert_with(|| vec![i64::MIN; PAGE].into());
        let newest = &mut page[id as usize % PAGE];
        *newest = t.max(*newest);
    }

    fn of(&self, id: u32) -> i64 {
        self.pages.get(&(id / PAGE as u32)).map_or(i64::MIN, |page| page[id as usize % PAGE])
    }
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    t: i64,
    value: u64,
    start: i64,
}

type Shard = HashMap<u32, Vec<Sample>>;

/// What came since the start, by series.
#[derive(Debug)]
pub(crate) struct Early {
    newest: Newest,
    shards: Vec<Mutex<Shard>>,
}

impl Early {
    pub(super) fn new(newest: Newest) -> Self {
        Self { newest, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Whether every item of `batch` can be judged by what is known now.
    pub(crate) fn takes(&self, head: &Head, batch: &Batch) -> bool {
        let sender = head.raw.sender(&batch.principal);
        batch.series.iter().all(|entry| {
            let times = &batch.timestamps[entry.samples.start as usize..entry.samples.end as usize];
            entry.histograms.is_empty()
                && ingest::known(head, sender, batch, entry).is_some_and(|series| {
                    let newest = self.newest.of(series.id);
                    times.iter().all(|t| t.0 > newest)
                })
        })
    }

    /// Holds a float; also gives the start that stays.
    pub(crate) fn insert(&self, id: u32, t: i64, value: u64, start: i64) -> (Inserted, i64) {
        let mut shard = self.shards[id as usize % SHARDS].lock();
        let held = shard.entry(id).or_default();
        let newest = held.last().is_none_or(|last| last.t < t);
        let at = if newest { held.len() } else { held.partition_point(|sample| sample.t < t) };
        if let Some(known) = held.get(at).filter(|known| known.t == t) {
            return (same(known.value, value), known.start);
        }
        held.insert(at, Sample { t, value, start });
        (if newest { Inserted::Stored } else { Inserted::Late }, start)
    }

    /// Puts what `head` holds into its series; the log's samples are there.
    pub(super) fn end(head: &Head) {
        // Locked to the end: who appends meanwhile must find all of it in the series.
        let mut early = head.early.write();
        let held = early.take().into_iter().flat_map(|early| early.shards).flat_map(Mutex::into_inner);
        for (id, samples) in held {
            let Some(series) = head.table.get(id) else { continue };
            let mut state = series.state.lock();
            for Sample { t, value, start } in samples {
                let inserted = state.insert(t, value);
                state.note_start(inserted, t, start);
            }
        }
        drop(early);
        head.set_replayed();
    }
}
