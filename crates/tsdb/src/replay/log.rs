//! The log: first who is who and up to when, then, in shares, the samples.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nave_base::disk::SharedDisk;
use nave_model::histogram::Histogram;
use nave_wal::{Next, Position, Reader, Record};

use super::early::Newest;
use super::{Replayed, note_damage, threads};
use crate::error::Error;
use crate::head::Head;
use crate::record;
use crate::series::{Inserted, Series, State};

/// The samples of a log that was read for names.
#[derive(Debug)]
pub(crate) struct Samples {
    disk: SharedDisk,
    dir: PathBuf,
    from: Position,
    /// Where reading for names ended: what stands behind that was written since.
    end: Position,
    any: bool,
    pub(super) newest: Newest,
}

/// Reads what names series and families from segment `from` on, and tells what is damaged.
pub(super) fn scan(
    head: &Arc<Head>,
    disk: &SharedDisk,
    dir: &Path,
    from: u64,
    found: &mut Replayed,
) -> Result<Samples, Error> {
    let from = if from == 0 { Position::START } else { Position::start_of(from) };
    let mut reader = Reader::at(disk.clone(), dir, from);
    let (mut record, mut newest, mut any) = (Record::default(), Newest::default(), false);
    loop {
        match reader.next(&mut record)? {
            Next::Record => {
                let samples = is_samples(record.kind);
                any |= samples;
                let read = if samples { note_newest(&record, &mut newest) } else { name(head, &record) };
                read.unwrap_or_else(|what| note_damage(head, found, what));
            }
            Next::Damaged(damage) => note_damage(head, found, damage.to_string()),
            Next::End => break,
        }
    }
    let (disk, dir, end) = (disk.clone(), dir.to_owned(), reader.position());
    Ok(Samples { disk, dir, from, end, any, newest })
}

fn note_newest(record: &Record, newest: &mut Newest) -> Result<(), String> {
    let payload = &record.payload;
    let read = match record.kind {
        record::SAMPLES => record::times(payload, |id, t| newest.note(id, t)),
        record::STARTED_SAMPLES => record::started_times(payload, |id, t| newest.note(id, t)),
        record::HISTOGRAMS => record::histograms(payload, |id, t, _| newest.note(id, t)),
        _ => record::started_histograms(payload, |id, t, _, _| newest.note(id, t)),
    };
    read.ok_or_else(|| unreadable(record))
}

fn unreadable(record: &Record) -> String {
    let (kind, at) = (record.kind, record.position);
    format!("a log record of kind {kind} at {at} cannot be read by this version")
}

impl Samples {
    /// Puts them into memory, with all cores. After an error it can be done again.
    pub(super) fn apply(&self, head: &Arc<Head>) -> Result<Replayed, Error> {
        let mut found = Replayed::default();
        if !self.any {
            return Ok(found);
        }
        let threads = threads(head);
        let share = |number: usize| {
            let oldest = head.oldest_at(head.clock.now_ms());
            let mut share = Share {
                head,
                number,
                of: threads,
                oldest,
                current: None,
                pending: Vec::new(),
                started: Vec::new(),
                found: Replayed::default(),
            };
            share.read(self).map(|()| share.found)
        };
        let shares: Vec<Result<Replayed, Error>> = std::thread::scope(|scope| {
            let share = &share;
            let others: Vec<_> = (1..threads).map(|number| scope.spawn(move || share(number))).collect();
            let own = share(0);
            let panicked = || {
                let message = "a thread that reads the log panicked".to_owned();
                Err(Error::Folder { dir: self.dir.clone(), message })
            };
            let joined = others.into_iter().map(|other| other.join().unwrap_or_else(|_| panicked()));
            [own].into_iter().chain(joined).collect()
        });
        for share in shares {
            let share = share?;
            found.samples += share.samples;
            found.skipped += share.skipped;
            found.lost += share.lost;
        }
        Ok(found)
    }
}

fn is_samples(kind: u8) -> bool {
    use record::{HISTOGRAMS, SAMPLES, STARTED_HISTOGRAMS, STARTED_SAMPLES};
    [SAMPLES, HISTOGRAMS, STARTED_SAMPLES, STARTED_HISTOGRAMS].contains(&kind)
}

/// Applies a record that has no samples.
pub(super) fn name(head: &Arc<Head>, record: &Record) -> Result<(), String> {
    let read = match record.kind {
        record::PROBE => Some(()),
        record::SERIES => record::series(&record.payload).map(|(tenant, all)| {
            let Ok(partition) = head.partition(&tenant) else { return };
            for (id, labels) in all {
                head.next_id.fetch_max(id.saturating_add(1), Ordering::Relaxed);
                if head.table.get(id).is_none() {
                    let series = Series::new(id, partition.number, labels);
                    series.registered.store(true, Ordering::Relaxed);
                    head.table.insert(series);
                    head.series_count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }),
        record::METADATA => record::metadata(&record.payload).map(|(tenant, all)| {
            let Ok(partition) = head.partition(&tenant) else { return };
            let mut table = partition.metadata.lock();
            for (family, metadata) in all {
                partition.fresh.lock().metadata.push((family.clone(), metadata.clone()));
                table.insert(family, metadata);
            }
        }),
        record::EXEMPLARS => record::exemplars(&record.payload).map(|all| {
            for kept in super::kept(head, all) {
                head.exemplars.note_fresh(kept.clone());
                head.exemplars.insert(kept);
            }
        }),
        record::STATE => record::take_state(&record.payload).map(|(oldest, next_id)| {
            head.raise_floor(oldest);
            head.next_id.fetch_max(next_id, Ordering::Relaxed);
        }),
        _ => None,
    };
    read.ok_or_else(|| unreadable(record))
}

/// Floats that all workers together hold back, of 24 bytes each.
const PENDING_MAX: usize = 2 << 20;

fn note(times: &mut (i64, i64), t: i64) {
    *times = (times.0.min(t), times.1.max(t));
}

/// One worker's share: series whose number leaves the rest `number`.
struct Share<'a> {
    head: &'a Arc<Head>,
    number: usize,
    of: usize,
    oldest: i64,
    current: Option<(u32, Option<Arc<Series>>)>,
    /// Floats that are not in memory yet: number, time and bits.
    pending: Vec<(u32, i64, u64)>,
    /// Those with a start: number, time, start and bits.
    started: Vec<(u32, i64, i64, u64)>,
    found: Replayed,
}

impl Share<'_> {
    fn read(&mut self, log: &Samples) -> Result<(), Error> {
        let mut reader = Reader::at(log.disk.clone(), &log.dir, log.from);
        let mut record = Record::default();
        let mut times = (i64::MAX, i64::MIN);
        while reader.position() < log.end {
            match reader.next(&mut record)? {
                Next::Record if is_samples(record.kind) => self.apply(&record, &mut times),
                // The first reading told what is damaged.
                Next::Record | Next::Damaged(_) => {}
                Next::End => break,
            }
        }
        self.store_pending(&mut times);
        if times.0 <= times.1 {
            self.head.note_times(times.0, times.1);
        }
        Ok(())
    }

    fn is_own(&self, id: u32) -> bool {
        id as usize % self.of == self.number
    }

    fn apply(&mut self, record: &Record, times: &mut (i64, i64)) {
        let payload = &record.payload;
        let read = match record.kind {
            record::SAMPLES => record::samples(payload, |id, t, value| {
                if self.is_own(id) {
                    self.pending.push((id, t, value.to_bits()));
                }
            }),
            record::STARTED_SAMPLES => record::started_samples(payload, |id, t, start, value| {
                if self.is_own(id) {
                    self.started.push((id, t, start, value.to_bits()));
                }
            }),
            record::HISTOGRAMS => record::histograms(payload, |id, t, histogram| {
                self.histogram((id, t, 0), &histogram, times);
            }),
            _ => record::started_histograms(payload, |id, t, start, histogram| {
                self.histogram((id, t, start), &histogram, times);
            }),
        };
        if self.pending.len() + self.started.len() >= PENDING_MAX / self.of {
            self.store_pending(times);
        }
        if read.is_none() && self.number == 0 {
            // Told by the first reading, unless values alone are what cannot be read.
            tracing::warn!(component = "tsdb", "{}", unreadable(record));
        }
    }

    fn histogram(
        &mut self,
        (id, t, start): (u32, i64, i64),
        histogram: &Arc<Histogram>,
        times: &mut (i64, i64),
    ) {
        if self.is_own(id) && self.store(id, t, start, |state| state.insert_histogram(t, histogram)) {
            note(times, t);
        }
    }

    /// Puts floats into their series, all of a series at once: each series costs its cache misses once, not once per
    /// sample. They were read round by round, so the sort merges a few long runs.
    fn store_pending(&mut self, times: &mut (i64, i64)) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by_key(|(id, ..)| *id);
        for (id, t, value) in pending.drain(..) {
            if self.store(id, t, 0, |state| state.insert(t, value)) {
                note(times, t);
            }
        }
        self.pending = pending;
        let mut started = std::mem::take(&mut self.started);
        started.sort_by_key(|(id, ..)| *id);
        for (id, t, start, value) in started.drain(..) {
            if self.store(id, t, start, |state| state.insert(t, value)) {
                note(times, t);
            }
        }
        self.started = started;
    }

    /// Puts a sample into its series; whether it is kept.
    fn store(&mut self, id: u32, t: i64, start: i64, insert: impl FnOnce(&mut State) -> Inserted) -> bool {
        let series = match &self.current {
            Some((known, series)) if *known == id => series,
            _ => &self.current.insert((id, self.head.table.get(id))).1,
        };
        if series.is_none() {
            // Its name is lost, its number is not free: the next start would give these samples to whoever had it.
            self.head.next_id.fetch_max(id.saturating_add(1), Ordering::Relaxed);
        }
        if t < self.oldest {
            self.found.skipped += 1;
            return false;
        }
        let Some(series) = series else {
            self.found.lost += 1;
            return false;
        };
        let mut state = series.state.lock();
        let inserted = insert(&mut state);
        state.note_start(inserted, t, start);
        drop(state);
        self.found.count(inserted);
        true
    }
}
