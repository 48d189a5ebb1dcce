//! A whole data directory of Prometheus: every sample, as Prometheus itself would put them together.
//!
//! ```text
//! blocks          groups of blocks that overlap in time, each group merged series by series in label order
//! chunks_head/    finished chunks of the head, later than the blocks; out-of-order ones of any time
//! wal/            what is later than those, per series in ascending order
//! wbl/            out-of-order samples that are in no chunk yet
//! ```
//!
//! Samples come in slices: some samples of one series, ascending. A series comes again with every group of blocks, and
//! from the head in pieces. The rules are upstream's: blocks that went into another one are passed over, the head
//! begins where in-order blocks end, its log gives a series only what is later than all before, deleted stretches
//! are left out. Where the same time has several values, the one that comes first counts. Out-of-order samples come twice
//! where Prometheus has them twice: in a block, and in a chunk of the head that was not removed yet.
//!
//! Memory: the symbols of the largest group of blocks and the samples of one series in it; labels and about 80 bytes per
//! series of the head; [`SAMPLES_HELD_MAX`] samples of the log.

mod blocks;
mod head;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::SharedDisk;
use nave_model::label::Labels;
use nave_model::metadata::Metadata;
use nave_model::sample::Exemplar;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

use crate::block::{BlockId, Meta};
use crate::columns;
use crate::error::Error;
use crate::wal::list;

/// Samples of the log that are collected before they are handed over.
pub const SAMPLES_HELD_MAX: usize = 1 << 20;
/// Errors that a report holds; more are counted.
const DAMAGE_KEPT_MAX: usize = 100;

/// What a directory gives.
#[derive(Debug)]
pub enum Item<'a> {
    /// Samples of a series, ascending in time.
    Samples(&'a Labels, &'a Columns),
    /// An exemplar of a series.
    Exemplar(&'a Labels, &'a Exemplar),
    /// Metadata of a metric family.
    Metadata(&'a Arc<str>, &'a Metadata),
}

/// What was read.
#[derive(Debug, Default)]
pub struct Report {
    /// Blocks that were read.
    pub blocks: usize,
    /// Blocks that stand in another one.
    pub blocks_superseded: usize,
    /// Floats that were handed over.
    pub floats: u64,
    /// Histograms that were handed over.
    pub histograms: u64,
    /// Exemplars that were handed over.
    pub exemplars: u64,
    /// Series of the log.
    pub head_series: usize,
    /// Items of the log whose series it does not name.
    pub without_series: u64,
    /// What could not be read, at most the first hundred.
    pub damage: Vec<Error>,
    /// All that could not be read.
    pub damage_count: u64,
}

impl Report {
    /// Floats and histograms.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.floats + self.histograms
    }

    fn damaged(&mut self, error: Error) {
        self.damage_count += 1;
        if self.damage.len() < DAMAGE_KEPT_MAX {
            self.damage.push(error);
        }
    }

    /// Damage is noted, anything else is given back.
    fn note(&mut self, error: Error) -> Result<(), Error> {
        if !error.is_damage() {
            return Err(error);
        }
        self.damaged(error);
        Ok(())
    }

    fn count(&mut self, samples: &Columns) {
        let (floats, histograms) = columns::counts(samples);
        self.floats += floats;
        self.histograms += histograms;
    }
}

/// A data directory of Prometheus, which must not be running on it.
#[derive(Debug)]
pub struct Directory {
    disk: SharedDisk,
    dir: PathBuf,
    blocks: Vec<(PathBuf, Meta)>,
    report: Report,
}

impl Directory {
    /// Whether `dir` looks like one: it has a log or blocks of Prometheus.
    ///
    /// # Errors
    /// Of the file system; a folder that does not exist is none.
    pub fn is_one(disk: &SharedDisk, dir: &Path) -> Result<bool, Error> {
        for entry in list(&**disk, dir)?.iter().filter(|entry| entry.is_dir) {
            let inside = |name: &str| disk.open(&dir.join(&entry.name).join(name)).is_ok();
            let log = entry.name == "wal" && !list(&**disk, &dir.join("wal"))?.is_empty();
            if log || (entry.name.parse::<BlockId>().is_ok() && inside("meta.json") && inside("index")) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks at what is in `dir`; samples are read later.
    ///
    /// # Errors
    /// Of the file system. A block whose meta cannot be read is damage in the report.
    pub fn open(disk: &SharedDisk, dir: &Path) -> Result<Self, Error> {
        let mut report = Report::default();
        let mut blocks = Vec::new();
        for entry in list(&**disk, dir)?.into_iter().filter(|entry| entry.is_dir) {
            if entry.name.parse::<BlockId>().is_err() {
                continue;
            }
            let path = dir.join(&entry.name);
            match Meta::read(&**disk, &path) {
                Ok(meta) => blocks.push((path, meta)),
                // Prometheus removes a block without it, which was not yet whole or being removed.
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => report.note(error)?,
            }
        }
        let whole = blocks.len();
        let parents: std::collections::HashSet<String> = blocks
            .iter()
            .flat_map(|(_, meta)| meta.compaction.parents.iter().map(|p| p.ulid.clone()))
            .collect();
        blocks.retain(|(_, meta)| !parents.contains(&meta.ulid) && !meta.compaction.deletable);
        report.blocks_superseded = whole - blocks.len();
        blocks.sort_by(|(_, a), (_, b)| (a.min_time, &a.ulid).cmp(&(b.min_time, &b.ulid)));
        Ok(Self { disk: disk.clone(), dir: dir.to_owned(), blocks, report })
    }

    /// The blocks that will be read, by time.
    pub fn blocks(&self) -> impl Iterator<Item = &Meta> {
        self.blocks.iter().map(|(_, meta)| meta)
    }

    /// The head begins here: where the last block of in-order samples ends.
    fn head_start(&self) -> Timestamp {
        let in_order = self.blocks().filter(|meta| !meta.is_out_of_order());
        Timestamp(in_order.map(|meta| meta.max_time).max().unwrap_or(i64::MIN))
    }

    /// Hands every sample of `range` to `visit`, and exemplars and metadata of the log.
    ///
    /// # Errors
    /// Of the file system, and what `visit` gives. Damage is in the report, and the rest is read.
    pub fn read<E: From<Error>>(
        mut self,
        range: TimeRange,
        mut visit: impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<Report, E> {
        let mut report = std::mem::take(&mut self.report);
        blocks::read(&self, range, &mut report, &mut visit)?;
        head::read(&self, range, &mut report, &mut visit)?;
        Ok(report)
    }
}
