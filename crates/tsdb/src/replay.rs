//! Rebuilding memory from the checkpoint and the log.
//!
//! Memory stays bounded by one record beside what is rebuilt. Damage is named, counted and stepped over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use nave_base::disk::SharedDisk;
use nave_model::append::Tenant;
use nave_model::label::Labels;
use nave_wal::{Next, Position, Reader, Record, snapshot};

use crate::error::Error;
use crate::head::Head;
use crate::record;
use crate::series::{Inserted, Series};

/// What a restart found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Segment that the checkpoint stands for, when there was one.
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
}

const DAMAGES_MAX: usize = 100;

pub(crate) fn checkpoint_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("checkpoint-{segment:08}"))
}

/// Numbers of the checkpoints in `dir`, newest first, and names of unfinished ones.
pub(crate) fn checkpoints(disk: &SharedDisk, dir: &Path) -> Result<(Vec<u64>, Vec<PathBuf>), Error> {
    let failed = |error: std::io::Error| Error::Folder { dir: dir.to_owned(), message: error.to_string() };
    let (mut whole, mut unfinished) = (Vec::new(), Vec::new());
    for entry in disk.list(dir).map_err(failed)? {
        let Some(number) = entry.name.strip_prefix("checkpoint-") else { continue };
        match number.parse::<u64>() {
            Ok(number) => whole.push(number),
            Err(_) => unfinished.push(dir.join(&entry.name)),
        }
    }
    whole.sort_unstable_by(|a, b| b.cmp(a));
    Ok((whole, unfinished))
}

/// Reads everything in `dir` into `head`; gives the newest time in each segment too.
pub(crate) fn replay(
    head: &Arc<Head>,
    disk: &SharedDisk,
    dir: &Path,
) -> Result<(Replayed, BTreeMap<u64, i64>), Error> {
    let mut replay = Replay {
        oldest: head.oldest_at(head.clock.now_ms()),
        head,
        series: HashMap::default(),
        found: Replayed::default(),
        newest: BTreeMap::new(),
    };
    replay.checkpoint(disk, dir)?;
    replay.log(disk, dir)?;
    replay.finish();
    Ok((replay.found, replay.newest))
}

struct Replay<'a> {
    head: &'a Arc<Head>,
    oldest: i64,
    series: HashMap<u32, Arc<Series>, foldhash::fast::FixedState>,
    found: Replayed,
    newest: BTreeMap<u64, i64>,
}

impl Replay<'_> {
    fn checkpoint(&mut self, disk: &SharedDisk, dir: &Path) -> Result<(), Error> {
        let (numbers, _) = checkpoints(disk, dir)?;
        for number in numbers {
            let path = checkpoint_path(dir, number);
            let whole = snapshot::read::<Error>(disk, &path, number, |record| {
                self.record(record);
                Ok(())
            })?;
            if whole {
                self.found.checkpoint = Some(number);
                return Ok(());
            }
            self.damage(format!("checkpoint {} is damaged", path.display()));
        }
        Ok(())
    }

    fn log(&mut self, disk: &SharedDisk, dir: &Path) -> Result<(), Error> {
        let mut reader = Reader::at(disk.clone(), dir, Position::START);
        let mut record = Record::default();
        loop {
            match reader.next(&mut record)? {
                Next::Record => self.record(&record),
                Next::Damaged(damage) => self.damage(damage.to_string()),
                Next::End => return Ok(()),
            }
        }
    }

    fn record(&mut self, record: &Record) {
        let read = match record.kind {
            record::PROBE => Some(()),
            record::SERIES => {
                record::series(&record.payload).map(|(tenant, all)| self.add_series(&tenant, all))
            }
            record::SAMPLES => self.samples(record),
            record::HISTOGRAMS => self.histograms(record),
            record::METADATA => record::metadata(&record.payload).map(|(tenant, all)| {
                let Ok(partition) = self.head.partition(&tenant) else { return };
                let mut table = partition.metadata.lock();
                all.into_iter().for_each(|(family, metadata)| table.insert(family, metadata));
            }),
            record::STATE => record::take_state(&record.payload).map(|(oldest, next_id)| {
                self.head.raise_floor(oldest);
                self.oldest = self.oldest.max(oldest);
                self.head.next_id.fetch_max(next_id, Ordering::Relaxed);
            }),
            _ => None,
        };
        if read.is_none() {
            let (kind, at) = (record.kind, record.position);
            self.damage(format!("a log record of kind {kind} at {at} cannot be read by this version"));
        }
    }

    fn add_series(&mut self, tenant: &Tenant, all: Vec<(u32, Labels)>) {
        let Ok(partition) = self.head.partition(tenant) else { return };
        let mut index = partition.index.write();
        for (id, labels) in all {
            if self.series.contains_key(&id) {
                continue;
            }
            self.head.next_id.fetch_max(id.saturating_add(1), Ordering::Relaxed);
            let series = Series::new(id, partition.number, labels);
            series.registered.store(true, Ordering::Relaxed);
            if let Some(before) = index.get(&series.labels).cloned() {
                // The series was removed and came back under a new number: the new one stays, and has
                // whatever is left of the old one.
                let left = std::mem::take(&mut *before.state.lock());
                *series.state.lock() = left;
                index.remove(std::slice::from_ref(&before));
                self.head.table.remove(before.id);
                self.head.series_count.fetch_sub(1, Ordering::Relaxed);
                self.series.insert(before.id, series.clone());
            }
            self.head.add(&mut index, series.clone());
            self.series.insert(id, series);
        }
    }

    fn samples(&mut self, record: &Record) -> Option<()> {
        let mut current: Option<(u32, Option<Arc<Series>>)> = None;
        let mut newest = i64::MIN;
        let read = record::samples(&record.payload, |id, t, value| {
            newest = newest.max(t);
            if t < self.oldest {
                self.found.skipped += 1;
                return;
            }
            let series = match &current {
                Some((known, series)) if *known == id => series,
                _ => &current.insert((id, self.series.get(&id).cloned())).1,
            };
            let Some(series) = series else {
                self.found.lost += 1;
                return;
            };
            let inserted = series.state.lock().insert(t, value.to_bits());
            self.found.count(inserted);
        });
        self.note(record.position.segment, newest);
        read
    }

    fn histograms(&mut self, record: &Record) -> Option<()> {
        let mut newest = i64::MIN;
        let read = record::histograms(&record.payload, |id, t, histogram| {
            newest = newest.max(t);
            if t < self.oldest {
                self.found.skipped += 1;
                return;
            }
            match self.series.get(&id) {
                Some(series) => {
                    let inserted = series.state.lock().insert_histogram(t, &histogram);
                    self.found.count(inserted);
                }
                None => self.found.lost += 1,
            }
        });
        self.note(record.position.segment, newest);
        read
    }

    fn note(&mut self, segment: u64, newest: i64) {
        let known = self.newest.entry(segment).or_insert(i64::MIN);
        *known = newest.max(*known);
    }

    fn damage(&mut self, what: String) {
        self.head.counters.wal_corruptions.inc();
        tracing::warn!(component = "tsdb", "{what}");
        if self.found.damages.len() < DAMAGES_MAX {
            self.found.damages.push(what);
        }
    }

    fn finish(&mut self) {
        let (mut chunks, mut bounds) = (0, None::<(i64, i64)>);
        self.head.table.for_each(|series| {
            let state = series.state.lock();
            chunks += state.chunk_count();
            if let Some((min, max)) = state.bounds() {
                let (low, high) = bounds.unwrap_or((min, max));
                bounds = Some((low.min(min), high.max(max)));
            }
        });
        self.head.chunk_count.store(i64::try_from(chunks).unwrap_or(i64::MAX), Ordering::Relaxed);
        if let Some((min, max)) = bounds {
            self.head.note_times(min, max);
        }
        self.found.series = self.head.series_count.load(Ordering::Relaxed);
        if self.found.lost > 0 {
            let lost = self.found.lost;
            self.damage(format!("{lost} samples in the log belong to series that no readable record names"));
        }
    }
}

impl Replayed {
    fn count(&mut self, inserted: Inserted) {
        match inserted {
            Inserted::Stored | Inserted::Late => self.samples += 1,
            _ => self.skipped += 1,
        }
    }
}
