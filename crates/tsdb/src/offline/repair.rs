//! Keeping what is good: damaged files are written anew without what is damaged, files that cannot be opened are put
//! aside, a manifest that is gone is made again from the files.
//!
//! Nothing is removed before what replaces it is durable and named by the manifest, and what cannot be opened is never
//! removed at all: it goes to the folder `damaged`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use nave_base::disk::SharedDisk;
use nave_base::random::Random;
use nave_block::{Block, BlockId, FileKind, LocalFile, Meta, Options, PageCache};
use nave_model::label::Labels;
use nave_model::time::Timestamp;

use super::known::Known;
use super::verify::damaged_pages;
use super::{BLOCK_DIR, Found, SERIES_DIR, Version, catalog, names, take_lock};
use crate::catalog::{DAY_MS, Entry, RegistryLength, WINDOW_MS, Window};
use crate::compact::merge::{Input, Output, Report, Store, merge};
use crate::compact::throttle::Throttle;
use crate::error::Error;
use crate::registry;

/// Where files go that cannot be opened.
const ASIDE_DIR: &str = "damaged";

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Each with what was done to it and what is lost.
    pub done: Vec<Found>,
    /// Samples that are lost for good.
    pub samples_lost: u64,
    /// Files that were written anew.
    pub files_rewritten: usize,
    /// Files that were put aside.
    pub files_aside: usize,
}

impl Repaired {
    fn note(&mut self, path: &Path, what: impl Into<String>) {
        self.done.push(Found { path: path.to_owned(), what: what.into() });
    }
}

/// Repairs the store in `dir`. Call it on a thread that may block, inside of a tokio runtime.
///
/// # Errors
/// When the folder is in use, or of the file system; then what was there before still counts.
pub fn repair(disk: &SharedDisk, dir: &Path, clock: SharedClock) -> Result<Repaired, Error> {
    let _lock = take_lock(dir, disk)?;
    let mut report = Repaired::default();
    let before = match catalog::peek::read(disk, dir) {
        Ok(Some(version)) => version,
        Ok(None) => rebuilt(disk, dir, "it is missing", &mut report)?,
        Err(Error::Manifest { what, .. }) => rebuilt(disk, dir, &what, &mut report)?,
        Err(other) => return Err(other),
    };
    let mut work = Work { disk, dir, clock, version: &before, known: None, report };
    let (mut files, mut replaced, mut aside) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &before.files {
        match work.file(entry)? {
            Fate::Whole => files.push(entry.clone()),
            Fate::Rewritten(fresh) => {
                files.extend(fresh);
                replaced.push(entry.path.clone());
            }
            Fate::Unreadable => aside.push(entry.path.clone()),
        }
    }
    let report = work.report;
    if report.done.is_empty() {
        return Ok(report);
    }
    catalog::peek::write(disk, dir, &Version { files, ..before.clone() })?;
    // Only now is the old one of no use.
    for path in replaced {
        disk.remove(&path).map_err(|error| Error::folder(&path, &error))?;
    }
    put_aside(disk, dir, &aside)?;
    Ok(report)
}

fn put_aside(disk: &SharedDisk, dir: &Path, paths: &[PathBuf]) -> Result<(), Error> {
    let to = dir.join(ASIDE_DIR);
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        let moved = disk.create_dir_all(&to).and_then(|()| disk.rename(path, &to.join(name)));
        match moved {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            moved => moved.map_err(|error| Error::folder(path, &error))?,
        }
    }
    Ok(())
}

/// What becomes of a file.
enum Fate {
    Whole,
    /// `None` when nothing in it could be saved.
    Rewritten(Option<Arc<Entry>>),
    Unreadable,
}

struct Work<'a> {
    disk: &'a SharedDisk,
    dir: &'a Path,
    clock: SharedClock,
    version: &'a Version,
    /// Read when the first part has to be written anew.
    known: Option<HashMap<u32, Labels>>,
    report: Repaired,
}

impl Work<'_> {
    fn file(&mut self, entry: &Entry) -> Result<Fate, Error> {
        let block = match entry.block() {
            Ok(block) => block,
            Err(error) => return Ok(self.unreadable(entry, &error.to_string())),
        };
        let damages = damaged_pages(&block)?;
        if damages.is_empty() {
            return Ok(Fate::Whole);
        }
        if entry.meta.kind == FileKind::Part && block.ids().is_err() {
            return Ok(self.unreadable(entry, "the numbers of its series are damaged"));
        }
        self.rewrite(entry, block, damages.len())
    }

    fn unreadable(&mut self, entry: &Entry, why: &str) -> Fate {
        let samples = entry.meta.samples;
        self.report.note(&entry.path, format!("put aside with {samples} samples: {why}"));
        self.report.samples_lost += samples;
        self.report.files_aside += 1;
        Fate::Unreadable
    }

    /// Writes what is whole of a file into a new one.
    fn rewrite(
        &mut self,
        entry: &Entry,
        block: Arc<Block<LocalFile>>,
        damages: usize,
    ) -> Result<Fate, Error> {
        if entry.meta.kind == FileKind::Part && self.known.is_none() {
            self.known = Some(Known::load(self.disk, self.dir, self.version.registry)?.0);
        }
        let id = BlockId::generate(Timestamp(self.clock.now_ms()), &Random::from_system());
        let options = Options {
            tenant: entry.meta.tenant.clone(),
            seq: entry.meta.seq,
            kind: entry.meta.kind,
            ..Options::default()
        };
        let path = catalog::peek::path(self.dir, id, entry.meta.kind);
        let output = Output { disk: self.disk.clone(), path: path.clone(), id, options };
        let input = Input { block, path: entry.path.clone(), tombstones: Vec::new() };
        let Report { meta, nameless_series, .. } = self.merge(&[input], &output)?;
        let kept = meta.as_ref().map_or(0, |meta| meta.samples);
        let lost = entry.meta.samples.saturating_sub(kept);
        self.report.samples_lost += lost;
        self.report.files_rewritten += 1;
        let nameless = match nameless_series {
            0 => String::new(),
            count => format!(", {count} series whose labels nobody knows among them"),
        };
        self.report.note(
            &entry.path,
            format!(
                "{damages} damaged pages: written anew as {id} with {kept} samples, {lost} are lost{nameless}"
            ),
        );
        Ok(Fate::Rewritten(meta.map(|meta| self.entry(meta, entry.window).map(Arc::new)).transpose()?))
    }

    fn merge(&self, inputs: &[Input], output: &Output) -> Result<Report, Error> {
        let known = self.known.as_ref();
        let store = Store {
            labels_of: &|id| known.and_then(|known| known.get(&id)).cloned(),
            is_kept: &|_| true,
            wrote: &|_| {},
        };
        let runtime = tokio::runtime::Handle::current();
        let mut throttle = Throttle::new(self.clock.clone(), runtime, Shutdown::new(), &|| false, &|| false);
        merge(inputs, output, &store, &mut throttle)
    }

    fn entry(&self, meta: Meta, window: Window) -> Result<Entry, Error> {
        let path = catalog::peek::path(self.dir, meta.id, meta.kind);
        let bytes = self.disk.open(&path).and_then(|file| file.len());
        let bytes = bytes.map_err(|error| Error::folder(&path, &error))?;
        Ok(catalog::peek::entry(self.disk, self.dir, meta, window, (bytes, true)))
    }
}

/// A version that names every file that can be opened, and the newest registry as far as it is whole. The log is
/// replayed from its beginning, which at worst gives samples that are in files too.
fn rebuilt(disk: &SharedDisk, dir: &Path, why: &str, report: &mut Repaired) -> Result<Version, Error> {
    let mut version = Version { registry: newest_registry(disk, dir)?, ..Version::default() };
    let blocks = dir.join(BLOCK_DIR);
    let mut aside = Vec::new();
    for name in names(disk, &blocks)?.into_iter().filter(|name| !name.ends_with(".tmp")) {
        let path = blocks.join(&name);
        match open(disk, &path) {
            Ok((meta, bytes)) => {
                version.next_seq = version.next_seq.max(meta.seq.hi + 1);
                let window = window(&meta);
                let entry = catalog::peek::entry(disk, dir, meta, window, (bytes, true));
                version.files.push(Arc::new(entry));
            }
            Err(what) => {
                report.note(&path, format!("put aside: {what}"));
                report.files_aside += 1;
                aside.push(path);
            }
        }
    }
    version.files.sort_by_key(|entry| (entry.window, entry.meta.seq.lo, entry.meta.seq.hi, entry.meta.id));
    version.hot_seq = version.next_seq;
    let known = Known::load(disk, dir, version.registry)?.0;
    version.next_id = known.keys().max().map_or(1, |id| id.saturating_add(1));
    put_aside(disk, dir, &aside)?;
    let count = version.files.len();
    report.note(
        &dir.join("manifest"),
        format!("{why}: made anew from {count} files; deletions that were not yet carried out are lost"),
    );
    Ok(version)
}

fn open(disk: &SharedDisk, path: &Path) -> Result<(Meta, u64), String> {
    let file = disk.open(path).map_err(|error| error.to_string())?;
    let block = Block::open(LocalFile(file), PageCache::none()).map_err(|error| error.to_string())?;
    Ok((block.meta().clone(), block.file_len()))
}

/// Two hours, or a day for what does not fit.
fn window(meta: &Meta) -> Window {
    let short = Window::aligned(meta.range.min.0, WINDOW_MS);
    if short.contains(meta.range.max.0) { short } else { Window::aligned(meta.range.min.0, DAY_MS) }
}

fn newest_registry(disk: &SharedDisk, dir: &Path) -> Result<RegistryLength, Error> {
    let all = names(disk, &dir.join(SERIES_DIR))?;
    let Some(generation) = all.iter().filter_map(|name| name.parse().ok()).max() else {
        return Ok(RegistryLength::default());
    };
    let bytes = registry::whole_bytes(disk, dir, generation)?;
    Ok(if bytes == 0 { RegistryLength::default() } else { RegistryLength { generation, bytes } })
}
