//! Rebuilding memory: the registry, an old release's checkpoint, then the log, with all cores.
//!
//! Series come first, from registry and log. Then every worker reads the log and applies the samples of its share of
//! the series: decoding is cheap beside putting samples into memory, and no queue is needed. Floats are held back until
//! there are many, and applied by series. Memory is bounded by these (48 MiB) and one record per worker beside what is
//! rebuilt. Damage is named, counted and stepped over.
//!
//! With many series the start ends when it is known who is who: the rest is done behind it ([`warm`]), samples first,
//! then the label index, and appends to known series do not wait for either ([`early`]).

mod checkpoint;
mod early;
mod log;
mod registry;
mod warm;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nave_base::disk::SharedDisk;
use nave_model::label::Labels;

use crate::catalog::Version;
use crate::error::Error;
use crate::exemplar::Kept;
use crate::head::Head;
use crate::series::Inserted;

pub(crate) use checkpoint::{checkpoint_path, checkpoints};
pub(crate) use early::Early;
pub(crate) use log::Samples;
pub(crate) use warm::warm;

/// What a restart found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Segment that an old release's checkpoint stands for, when there was one.
    pub checkpoint: Option<u64>,
    /// Series.
    pub series: usize,
    /// Samples and histograms put into memory.
    pub samples: u64,
    /// Samples that were older than retention, or stood in the log twice.
    pub skipped: u64,
    /// Samples whose series was not named by any readable record.
    pub lost: u64,
    /// Every damaged place, as text; at most the first hundred.
    pub damages: Vec<String>,
    /// Bytes that were cut off the end of the log: the write that was under way at the last stop. After a clean
    /// stop it is damage.
    pub cut_bytes: u64,
    /// Series that the registry names, dead ones among them.
    pub(crate) named: u64,
}

const DAMAGES_MAX: usize = 100;
/// More threads than this wait for memory, not for the processor.
const THREADS_MAX: usize = 16;

fn threads(head: &Head) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    head.options.replay_threads.unwrap_or_else(cores).clamp(1, THREADS_MAX)
}

/// Reads everything that `version` names, and the names in the log behind it, into `head`; gives the log's samples.
pub(crate) fn replay(
    head: &Arc<Head>,
    disk: &SharedDisk,
    (dir, log_dir): (&Path, &Path),
    version: &Version,
) -> Result<(Replayed, Samples), Error> {
    let mut found = Replayed::default();
    head.raise_floor(version.floor);
    head.next_id.fetch_max(version.next_id, Ordering::Relaxed);
    let registry = registry::load(head, disk, dir, version, threads(head))?;
    found.named = registry.series as u64;
    registry.damages.into_iter().for_each(|what| note_damage(head, &mut found, what));
    if version.log_start == 0 {
        checkpoint::read(head, disk, log_dir, &mut found)?;
    }
    let samples = log::scan(head, disk, log_dir, version.log_start, &mut found)?;
    found.series = head.series_count.load(Ordering::Relaxed);
    Ok((found, samples))
}

/// Exemplars of series that are known.
fn kept(head: &Head, all: Vec<(u32, i64, f64, Labels)>) -> impl Iterator<Item = Arc<Kept>> {
    all.into_iter().filter_map(|(id, t, value, labels)| {
        let series = head.table.get(id)?;
        Some(Arc::new(Kept { series, t, value: value.to_bits(), labels }))
    })
}

fn note_damage(head: &Head, found: &mut Replayed, what: String) {
    head.counters.wal_corruptions.inc();
    tracing::warn!(component = "tsdb", "{what}");
    if found.damages.len() < DAMAGES_MAX {
        found.damages.push(what);
    }
}

impl Replayed {
    /// Adds what became of the samples.
    fn add(&mut self, head: &Head, samples: &Self) {
        self.samples += samples.samples;
        self.skipped += samples.skipped;
        self.lost += samples.lost;
        if samples.lost > 0 {
            let lost = samples.lost;
            let what = format!("{lost} samples in the log belong to series that no readable record names");
            note_damage(head, self, what);
        }
    }

    fn count(&mut self, inserted: Inserted) {
        match inserted {
            Inserted::Stored | Inserted::Late => self.samples += 1,
            _ => self.skipped += 1,
        }
    }
}
