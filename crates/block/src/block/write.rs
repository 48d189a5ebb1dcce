//! Writes a block in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::{File, SharedDisk};
use nave_model::histogram::Histogram;
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::layout::{Footer, HEADER_LEN, PageEntry, Section, put_directory, put_header};
use super::{BlockId, FileKind, Meta, SeqRange, series_order};
use crate::error::Error;
use crate::index::{IndexError, IndexWriter, Parts};
use crate::page::{HISTOGRAM_MAX, Kind, Origin, PageWriter, SAMPLES_MAX};
use crate::stream::Effort;

/// Columns of times that are remembered to be shared; when there are more, they are forgotten.
const SHARED_MAX: usize = 1 << 18;
/// Ids of a page.
const PAGE_IDS: usize = 32 << 10;

/// How a block is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// Samples of a page: 65,536, or 8,192 where series are short or read one by one (about 7 % larger).
    pub page_samples: usize,
    /// Whose data it is.
    pub tenant: String,
    /// Which flushes it holds.
    pub seq: SeqRange,
    /// With or without a label index. A part is encoded with less effort, because it is merged within hours.
    pub kind: FileKind,
}

impl Options {
    /// Of a part, whose series are short, so that its pages have many.
    #[must_use]
    pub fn part() -> Self {
        Self { page_samples: 8 << 10, kind: FileKind::Part, ..Self::default() }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            page_samples: 64 << 10,
            tenant: String::new(),
            seq: SeqRange::default(),
            kind: FileKind::Block,
        }
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
    histograms: Open,
    ids: Vec<i64>,
    /// Numbers of the columns of times by a 128-bit keyed hash of their content.
    shared: HashMap<u128, u32>,
    keys: (u64, u64),
    /// None for a part.
    index: Option<IndexWriter>,
    last: Option<Labels>,
    pages: Vec<PageEntry>,
    meta: Meta,
    buffer: Vec<u8>,
}

/// The page that is being filled.
#[derive(Debug)]
struct Open {
    kind: Kind,
    writer: PageWriter,
    /// Columns so far, over all pages.
    columns: u32,
    first: u32,
    last: u32,
    range: TimeRange,
}

const NOTHING: TimeRange = TimeRange { min: Timestamp::MAX, max: Timestamp::MIN };

fn widen(range: &mut TimeRange, by: TimeRange) {
    range.min = range.min.min(by.min);
    range.max = range.max.max(by.max);
}

/// First and last of ascending timestamps.
fn ends(times: &[Timestamp]) -> TimeRange {
    match times {
        [min, .., max] => TimeRange { min: *min, max: *max },
        [only] => TimeRange { min: *only, max: *only },
        [] => NOTHING,
    }
}

impl Open {
    fn new(kind: Kind, effort: Effort) -> Result<Self, Error> {
        let writer = PageWriter::new(kind, effort).map_err(Error::io("cannot begin a page"))?;
        Ok(Self { kind, writer, columns: 0, first: 0, last: 0, range: NOTHING })
    }

    fn note(&mut self, number: u32, range: TimeRange) {
        if self.writer.columns() == 0 {
            (self.first, self.range) = (number, NOTHING);
        }
        self.last = number;
        widen(&mut self.range, range);
    }

    /// The number of a column that will be added.
    fn next_column(&mut self, range: TimeRange) -> u32 {
        let column = self.columns;
        self.columns += 1;
        self.note(column, range);
        column
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
        let Options { page_samples, tenant, seq, kind } = options;
        let effort = if kind == FileKind::Part { Effort::Fast } else { Effort::Small };
        let meta = Meta { id, tenant, range: NOTHING, series: 0, samples: 0, histograms: 0, seq, kind };
        let mut writer = Self {
            disk,
            path: path.to_owned(),
            fresh,
            file,
            offset: 0,
            page_samples: page_samples.clamp(1, SAMPLES_MAX),
            values: Open::new(Kind::Values, effort)?,
            times: Open::new(Kind::Times, effort)?,
            histograms: Open::new(Kind::Histograms, effort)?,
            ids: Vec::new(),
            shared: HashMap::new(),
            keys: (random.hash_one(0), random.hash_one(1)),
            index: (kind == FileKind::Block).then(IndexWriter::new),
            last: None,
            pages: Vec::new(),
            meta,
            buffer: Vec::new(),
        };
        put_header(&mut writer.buffer, id);
        writer.write_buffer()?;
        Ok(writer)
    }

    /// Adds a series with its number in the store's registry (or [`super::NO_ID`]) and its samples, whose times
    /// ascend. A part keeps the number only, a block the labels too.
    ///
    /// # Errors
    /// When the series is not greater than the last one (by [`series_order`]; of a part only builds with debug
    /// assertions look), the samples are none or do not ascend, or the disk fails; after an error of the disk the block cannot be finished.
    pub fn push(&mut self, labels: &Labels, id: u32, samples: &Columns) -> Result<(), Error> {
        if let Some(reason) = unfit(samples) {
            return Err(Error::Samples { series: labels.to_string(), reason });
        }
        let series = self.place_series(labels)?;
        let mut rest = &samples.histograms[..];
        let mut start = 0;
        while start < samples.len() {
            let (end, count) = self.run_end(start, samples.len(), rest);
            let (histograms, others) = rest.split_at(count);
            self.push_run(series, samples, start..end, histograms)?;
            (start, rest) = (end, others);
        }
        self.ids.push(i64::from(id));
        if self.ids.len() >= PAGE_IDS {
            self.flush_ids(series)?;
        }
        self.meta.series = series + 1;
        self.meta.samples += samples.len() as u64;
        self.meta.histograms += samples.histograms.len() as u64;
        widen(&mut self.meta.range, ends(&samples.timestamps));
        Ok(())
    }

    fn place_series(&mut self, labels: &Labels) -> Result<u32, Error> {
        if let Some(index) = &mut self.index {
            return Ok(index.push(labels)?);
        }
        // A part has no use for labels, and reading them just for this costs as much as encoding a short series.
        if cfg!(debug_assertions)
            && let Some(before) = self.last.replace(labels.clone())
            && series_order(&before, labels).is_ge()
        {
            let (next, before_text) = (labels.to_string(), before.to_string());
            self.last = Some(before);
            return Err(IndexError::OutOfOrder { before: before_text, next }.into());
        }
        Ok(self.meta.series)
    }

    /// Where the run that begins at `start` ends, and how many histograms it has. Runs have at most a page's samples
    /// and about as many buckets.
    fn run_end(&self, start: usize, len: usize, histograms: &[(u32, Arc<Histogram>)]) -> (usize, usize) {
        let end = len.min(start + self.page_samples);
        let mut buckets = 0;
        for (i, (at, histogram)) in histograms.iter().enumerate() {
            let at = *at as usize;
            if at >= end {
                return (end, i);
            }
            buckets += doubles(histogram);
            if i > 0 && buckets > self.page_samples {
                return (at, i);
            }
        }
        (end, histograms.len())
    }

    fn push_run(
        &mut self,
        series: u32,
        samples: &Columns,
        run: Range<usize>,
        histograms: &[(u32, Arc<Histogram>)],
    ) -> Result<(), Error> {
        let range = ends(&samples.timestamps[run.clone()]);
        let times = self.place_times(&samples.timestamps[run.clone()])?;
        let starts = samples.start_timestamps.get(run.clone());
        let starts = match starts.filter(|starts| starts.iter().any(|start| start.0 != 0)) {
            Some(starts) => Some(self.place_times(starts)?),
            None => None,
        };
        let histograms = match histograms {
            [] => None,
            histograms => Some(self.place_histograms(histograms, run.start as u32, range)?),
        };
        let page = &self.values.writer;
        if page.columns() > 0 && page.samples() + run.len() > self.page_samples {
            self.flush(Kind::Values)?;
        }
        self.values.note(series, range);
        let origin = Origin { series, times, starts, histograms };
        self.values.writer.push_values(origin, &samples.values[run]);
        Ok(())
    }

    /// The number of the column of these times, which is written unless it was there before.
    fn place_times(&mut self, times: &[Timestamp]) -> Result<u32, Error> {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        times.iter().for_each(|time| hasher.write_i64(time.0));
        let hash = hasher.finish128().as_u128();
        if let Some(column) = self.shared.get(&hash) {
            return Ok(*column);
        }
        let page = &self.times.writer;
        if page.columns() > 0 && page.samples() + times.len() > self.page_samples {
            self.flush(Kind::Times)?;
        }
        let numbers: Vec<i64> = times.iter().map(|time| time.0).collect();
        let mut range = NOTHING;
        times.iter().for_each(|time| widen(&mut range, TimeRange { min: *time, max: *time }));
        let column = self.times.next_column(range);
        self.times.writer.push_numbers(&numbers);
        if self.shared.len() >= SHARED_MAX {
            self.shared.clear();
        }
        self.shared.insert(hash, column);
        Ok(column)
    }

    /// Writes the histograms of a run that begins at sample `base`; gives the number of their column.
    fn place_histograms(
        &mut self,
        histograms: &[(u32, Arc<Histogram>)],
        base: u32,
        range: TimeRange,
    ) -> Result<u32, Error> {
        let doubles: usize = histograms.iter().map(|(_, one)| doubles(one)).sum();
        let page = &self.histograms.writer;
        if page.columns() > 0 && page.samples() + doubles > self.page_samples {
            self.flush(Kind::Histograms)?;
        }
        let column = self.histograms.next_column(range);
        let moved: Vec<_> = histograms.iter().map(|(at, one)| (at - base, Arc::clone(one))).collect();
        self.histograms.writer.push_histograms(&moved);
        Ok(column)
    }

    fn flush(&mut self, kind: Kind) -> Result<(), Error> {
        let open = match kind {
            Kind::Times => &mut self.times,
            Kind::Histograms => &mut self.histograms,
            Kind::Values | Kind::Ids => &mut self.values,
        };
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

    /// Writes the ids up to that of series `last`.
    fn flush_ids(&mut self, last: u32) -> Result<(), Error> {
        let mut writer =
            PageWriter::new(Kind::Ids, Effort::Fast).map_err(Error::io("cannot begin a page"))?;
        writer.push_numbers(&self.ids);
        writer.finish(&mut self.buffer).map_err(Error::io("cannot compress a page"))?;
        let (samples, len) = (self.ids.len(), self.buffer.len());
        let first = last + 1 - samples as u32;
        let (kind, offset, range) = (Kind::Ids, self.offset, NOTHING);
        self.pages.push(PageEntry { kind, offset, len, first, last, samples, range });
        self.ids.clear();
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
        for kind in [Kind::Values, Kind::Times, Kind::Histograms] {
            self.flush(kind)?;
        }
        if !self.ids.is_empty() {
            self.flush_ids(self.meta.series - 1)?;
        }
        debug_assert!(self.offset >= HEADER_LEN as u64);
        let parts = match self.index.take() {
            Some(index) => index.finish()?,
            None => Parts::default(),
        };
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

/// How many doubles it has in columns.
fn doubles(histogram: &Histogram) -> usize {
    3 + histogram.positive_buckets.len() + histogram.negative_buckets.len()
}

/// Why these are no samples of a series.
fn unfit(samples: &Columns) -> Option<&'static str> {
    let Columns { timestamps, values, histograms, start_timestamps } = samples;
    if timestamps.is_empty() || timestamps.len() != values.len() {
        return Some("expected as many values as times, and at least one");
    }
    if timestamps.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Some("times do not ascend");
    }
    if !start_timestamps.is_empty() && start_timestamps.len() != timestamps.len() {
        return Some("expected no start timestamps or as many as times");
    }
    let behind = histograms.last().is_some_and(|(at, _)| *at as usize >= values.len());
    if behind || histograms.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        return Some("histograms do not stand at ascending places among the samples");
    }
    let wide = |histogram: &Histogram| {
        let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
        doubles(histogram) + spans + histogram.custom_bounds.len() > HISTOGRAM_MAX
    };
    if histograms.iter().any(|(_, histogram)| wide(histogram)) {
        return Some("a histogram has more than 2,097,152 buckets, spans and bounds");
    }
    None
}
