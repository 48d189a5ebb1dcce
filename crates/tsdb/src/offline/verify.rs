//! Reading everything once: manifest, registry, every page of every file, the log.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use nave_base::disk::SharedDisk;
use nave_block::{Block, FileKind, LocalFile, RowCache, Scratch, series_order};
use nave_model::label::Labels;
use nave_wal::{Next, Position, Reader, Record};

use super::known::Known;
use super::{BLOCK_DIR, Found, LOG_DIR, SERIES_DIR, Version, catalog, names, take_lock};
use crate::catalog::{Entry, registry_path};
use crate::error::Error;

/// What a check of a folder has read, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Parts and blocks.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Samples in them.
    pub samples: u64,
    /// Series that the registry names.
    pub series: usize,
    /// Records of the log.
    pub records: u64,
    /// Everything that is wrong; empty means that all is whole.
    pub damages: Vec<Found>,
    /// What is no damage but good to know, such as files of no use.
    pub notes: Vec<Found>,
}

impl Verified {
    pub(super) fn damaged(&mut self, path: &Path, what: impl Into<String>) {
        self.damages.push(Found { path: path.to_owned(), what: what.into() });
    }
}

/// Reads everything in the store's folder `dir`.
///
/// # Errors
/// When the folder is in use or cannot be listed. Damage is in the answer.
pub fn verify(disk: &SharedDisk, dir: &Path) -> Result<Verified, Error> {
    let _lock = take_lock(dir, disk)?;
    let mut report = Verified::default();
    let version = match catalog::peek::read(disk, dir) {
        Ok(Some(version)) => version,
        Ok(None) => {
            let all = names(disk, &dir.join(BLOCK_DIR))?;
            if !all.is_empty() {
                report.damaged(
                    &dir.join("manifest"),
                    format!("it is missing, but there are {} files", all.len()),
                );
            }
            Version::default()
        }
        Err(error @ Error::Manifest { .. }) => {
            report.damaged(&dir.join("manifest"), error.to_string());
            Version::default()
        }
        Err(other) => return Err(other),
    };
    note_unnamed(disk, dir, &version, &mut report)?;
    let known = check_registry(disk, dir, &version, &mut report);
    for entry in &version.files {
        check_file(entry, known.as_ref(), &mut report)?;
    }
    check_log(disk, dir, &version, &mut report)?;
    Ok(report)
}

/// Files that the manifest does not name go at the next start.
fn note_unnamed(
    disk: &SharedDisk,
    dir: &Path,
    version: &Version,
    report: &mut Verified,
) -> Result<(), Error> {
    let mut named: BTreeSet<PathBuf> = version.files.iter().map(|entry| entry.path.clone()).collect();
    named.insert(registry_path(dir, version.registry.generation));
    for below in [BLOCK_DIR, SERIES_DIR] {
        for name in names(disk, &dir.join(below))? {
            let path = dir.join(below).join(name);
            if !named.contains(&path) {
                report.notes.push(Found { path, what: "the manifest does not name it".to_owned() });
            }
        }
    }
    Ok(())
}

/// The series by number; `None` when they cannot be read.
fn check_registry(
    disk: &SharedDisk,
    dir: &Path,
    version: &Version,
    report: &mut Verified,
) -> Option<HashMap<u32, Labels>> {
    let path = registry_path(dir, version.registry.generation);
    match Known::load(disk, dir, version.registry) {
        Ok((known, damages)) => {
            damages.into_iter().for_each(|what| report.damaged(&path, what));
            report.series = known.len();
            Some(known)
        }
        Err(error) => {
            report.damaged(&path, error.to_string());
            None
        }
    }
}

/// Checks one file: what the manifest says of it, its index, every page.
fn check_file(
    entry: &Entry,
    known: Option<&HashMap<u32, Labels>>,
    report: &mut Verified,
) -> Result<(), Error> {
    report.files += 1;
    report.bytes += entry.bytes;
    report.samples += entry.meta.samples;
    let block = match entry.block() {
        Ok(block) => block,
        Err(error) => {
            report.damaged(&entry.path, error.to_string());
            return Ok(());
        }
    };
    if *block.meta() != entry.meta || block.file_len() != entry.bytes {
        report.damaged(&entry.path, "it is not the file that the manifest names");
    }
    damaged_pages(&block)?.into_iter().for_each(|what| report.damaged(&entry.path, what));
    let series = match entry.meta.kind {
        FileKind::Block => check_index(&block),
        FileKind::Part => check_numbers(&block, known),
    };
    if let Err(what) = series {
        report.damaged(&entry.path, what);
    }
    Ok(())
}

/// The damaged pages of a file, or why it cannot be read.
pub(super) fn damaged_pages(block: &Block<LocalFile>) -> Result<Vec<String>, Error> {
    let found = block.verify(&mut Scratch::new());
    Ok(match found {
        Ok(damages) => damages.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    })
}

/// All labels can be built and ascend.
fn check_index(block: &Block<LocalFile>) -> Result<(), String> {
    let Some(index) = block.index() else { return Err("it has no label index".to_owned()) };
    let mut scratch = Scratch::new();
    let (mut rows, mut last) = (RowCache::default(), None::<Labels>);
    for ordinal in 0..index.series() {
        let labels = index.labels(ordinal, &mut rows, &mut scratch).map_err(|damage| damage.to_string())?;
        if last.is_some_and(|last| series_order(&last, &labels).is_ge()) {
            return Err(format!("series {ordinal} of its index, {labels}, is out of order"));
        }
        last = Some(labels);
    }
    Ok(())
}

/// The registry knows all series of a part.
fn check_numbers(block: &Block<LocalFile>, known: Option<&HashMap<u32, Labels>>) -> Result<(), String> {
    // The pages of numbers were checked with the others.
    let (Ok(ids), Some(known)) = (block.ids(), known) else { return Ok(()) };
    match ids.iter().filter(|id| !known.contains_key(id)).count() {
        0 => Ok(()),
        lost => {
            Err(format!("{lost} of its {} series have numbers that the registry does not know", ids.len()))
        }
    }
}

fn check_log(disk: &SharedDisk, dir: &Path, version: &Version, report: &mut Verified) -> Result<(), Error> {
    let log = dir.join(LOG_DIR);
    let from = if version.log_start == 0 { Position::START } else { Position::start_of(version.log_start) };
    let mut reader = Reader::at(disk.clone(), &log, from);
    let mut record = Record::default();
    loop {
        match reader.next(&mut record)? {
            Next::Record => report.records += 1,
            Next::Damaged(damage) => report.damaged(&log, damage.to_string()),
            Next::End => return Ok(()),
        }
    }
}
