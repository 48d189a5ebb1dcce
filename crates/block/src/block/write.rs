//! Writes a block in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::{File, SharedDisk};
use nave_model::label::Labels;
use nave_model::time::{TimeRange, Timestamp};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::layout::{Footer, HEADER_LEN, PageEntry, Section, put_directory, put_header};
use super::{BlockId, Meta};
use crate::error::Error;
use crate::index::IndexWriter;
use crate::page::{Kind, Origin, PageWriter, SAMPLES_MAX};

/// Columns of times that are remembered to be shared; when there are more, they are forgotten.
const SHARED_MAX: usize = 1 << 18;

/// How a block is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// Samples of a page: 32,768, or 8,192 where single series are read often (about 5 % larger).
    pub page_samples: usize,
    /// Whose data it is.
    pub tenant: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { page_samples: 32 << 10, tenant: String::new() }
    }
}

/// Streams series into a file. The file has its name only when [`BlockWriter::finish`] has returned.
#[derive(Debug)]
pub struct BlockWriter {
    disk: SharedDisk,
    path: PathBuf,
    fresh: PathBuf,
    file: Arc<dyn File>,
    offset: u64,
    page_samples: usize,
    values: Open,
    times: Open,
    time_columns: u32,
    /// Numbers of the columns of times by a 128-bit keyed hash of their content.
    shared: HashMap<u128, u32>,
    keys: (u64, u64),
    index: IndexWriter,
    pages: Vec<PageEntry>,
    meta: Meta,
    buffer: Vec<u8>,
}

/// The page that is being filled.
#[derive(Debug)]
struct Open {
    kind: Kind,
    writer: PageWriter,
    first: u32,
    last: u32,
    range: TimeRange,
}

const NOTHING: TimeRange = TimeRange { min: Timestamp::MAX, max: Timestamp::MIN };

fn widen(range: &mut TimeRange, times: &[i64]) {
    range.min = range.min.min(Timestamp(times[0]));
    range.max = range.max.max(Timestamp(times[times.len() - 1]));
}

impl Open {
    fn new(kind: Kind) -> Result<Self, Error> {
        let writer = PageWriter::new(kind).map_err(Error::io("cannot begin a page"))?;
        Ok(Self { kind, writer, first: 0, last: 0, range: NOTHING })
    }

    fn note(&mut self, number: u32, times: &[i64]) {
        if self.writer.columns() == 0 {
            (self.first, self.range) = (number, NOTHING);
        }
        self.last = number;
        widen(&mut self.range, times);
    }
}

impl BlockWriter {
    /// Begins a block that will be the file `path`. Until then it is `path` with the extension `tmp`.
    ///
    /// # Errors
    /// Of the disk.
    pub fn create(disk: SharedDisk, path: &Path, id: BlockId, options: Options) -> Result<Self, Error> {
        let fresh = path.with_extension("tmp");
        match disk.remove(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("cannot remove what an earlier attempt left")(error));
            }
            _ => {}
        }
        let file = disk.append(&fresh).map_err(Error::io("cannot make the file"))?;
        let random = RandomState::new();
        let mut writer = Self {
            disk,
            path: path.to_owned(),
            fresh,
            file,
            offset: 0,
            page_samples: options.page_samples.clamp(1, SAMPLES_MAX),
            values: Open::new(Kind::Values)?,
            times: Open::new(Kind::Times)?,
            time_columns: 0,
            shared: HashMap::new(),
            keys: (random.hash_one(0), random.hash_one(1)),
            index: IndexWriter::new(),
            pages: Vec::new(),
            meta: Meta { id, tenant: options.tenant, range: NOTHING, series: 0, samples: 0 },
            buffer: Vec::new(),
        };
        put_header(&mut writer.buffer, id);
        writer.write_buffer()?;
        Ok(writer)
    }

    /// Adds a series with its samples: times in ms, strictly ascending, and as many values.
    ///
    /// # Errors
    /// When the series is not greater than the last one (by metric name, then labels), the samples are none or
    /// do not ascend, or the disk fails; after an error of the disk the block cannot be finished.
    pub fn push(&mut self, labels: &Labels, times: &[i64], values: &[f64]) -> Result<(), Error> {
        let refuse = |reason| Err(Error::Samples { series: labels.to_string(), reason });
        if times.is_empty() || times.len() != values.len() {
            return refuse("expected as many values as times, and at least one");
        }
        if times.windows(2).any(|pair| pair[0] >= pair[1]) {
            return refuse("times do not ascend");
        }
        let series = self.index.push(labels)?;
        for (times, values) in times.chunks(self.page_samples).zip(values.chunks(self.page_samples)) {
            self.push_run(series, times, values)?;
        }
        self.meta.series = self.index.series();
        self.meta.samples += times.len() as u64;
        widen(&mut self.meta.range, times);
        Ok(())
    }

    fn push_run(&mut self, series: u32, times: &[i64], values: &[f64]) -> Result<(), Error> {
        let column = self.place_times(times)?;
        let page = &self.values.writer;
        if page.columns() > 0 && page.samples() + values.len() > self.page_samples {
            self.flush(Kind::Values)?;
        }
        self.values.note(series, times);
        self.values.writer.push_values(Origin { series, times: column }, values);
        Ok(())
    }

    /// The number of the column of these times, which is written unless it was there before.
    fn place_times(&mut self, times: &[i64]) -> Result<u32, Error> {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        times.iter().for_each(|time| hasher.write_i64(*time));
        let hash = hasher.finish128().as_u128();
        if let Some(column) = self.shared.get(&hash) {
            return Ok(*column);
        }
        let page = &self.times.writer;
        if page.columns() > 0 && page.samples() + times.len() > self.page_samples {
            self.flush(Kind::Times)?;
        }
        let column = self.time_columns;
        self.time_columns += 1;
        self.times.note(column, times);
        self.times.writer.push_times(times);
        if self.shared.len() >= SHARED_MAX {
            self.shared.clear();
        }
        self.shared.insert(hash, column);
        Ok(column)
    }

    fn flush(&mut self, kind: Kind) -> Result<(), Error> {
        let open = if kind == Kind::Values { &mut self.values } else { &mut self.times };
        let samples = open.writer.samples();
        if samples == 0 {
            return Ok(());
        }
        open.writer.finish(&mut self.buffer).map_err(Error::io("cannot compress a page"))?;
        let Open { kind, first, last, range, .. } = *open;
        let len = self.buffer.len();
        self.pages.push(PageEntry { kind, offset: self.offset, len, first, last, samples, range });
        self.write_buffer().map(drop)
    }

    fn write_buffer(&mut self) -> Result<Section, Error> {
        self.file.append(&self.buffer).map_err(Error::io("cannot write"))?;
        let section = Section { offset: self.offset, len: self.buffer.len() as u64 };
        self.offset += section.len;
        self.buffer.clear();
        Ok(section)
    }

    fn write_section(&mut self, bytes: Vec<u8>) -> Result<Section, Error> {
        self.buffer = bytes;
        self.write_buffer()
    }

    /// Writes what is left, makes everything durable, and gives the file its name.
    ///
    /// # Errors
    /// Of the disk; there is then no block, or the one that had the name before.
    pub fn finish(mut self) -> Result<Meta, Error> {
        self.flush(Kind::Values)?;
        self.flush(Kind::Times)?;
        debug_assert!(self.offset >= HEADER_LEN as u64);
        let parts = std::mem::take(&mut self.index).finish()?;
        let dictionary = self.write_section(parts.dictionary)?;
        let postings = self.write_section(parts.postings)?;
        let rows = self.write_section(parts.rows)?;
        put_directory(&mut self.buffer, &self.pages);
        let directory = self.write_buffer()?;
        self.meta.put(&mut self.buffer);
        let meta = self.write_buffer()?;
        Footer { dictionary, postings, rows, directory, meta }.put(&mut self.buffer);
        self.write_buffer()?;
        self.file.sync().map_err(Error::io("cannot make the file durable"))?;
        self.disk.rename(&self.fresh, &self.path).map_err(Error::io("cannot name the file"))?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        self.disk.sync_dir(dir).map_err(Error::io("cannot make the name durable"))?;
        Ok(self.meta)
    }
}
