//! Blocks, written series by series into a folder that gets its name when it is whole.

use std::path::{Path, PathBuf};

use nave_base::disk::{SharedDisk, write_atomically};
use nave_base::varint;
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::TimeRange;

use super::index::ChunkRef;
use super::index_write::IndexWriter;
use super::{BlockId, Compaction, Meta, Statistics, tombstone};
use crate::chunk::{self, Encoded, HISTOGRAM};
use crate::error::Error;
use crate::file::{Sink, Source};

/// Prometheus removes folders with this ending when it starts.
const UNFINISHED: &str = ".tmp-for-creation";
const CHUNKS_MAGIC: [u8; 8] = [0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];

/// What a block is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name.
    pub id: BlockId,
    /// First and last ms; Prometheus wants both inside one stretch of 2 h or a multiple of it.
    pub range: TimeRange,
    /// Largest segment of chunks in bytes: 512 MiB, as upstream.
    pub segment_bytes_max: u64,
}

impl Options {
    /// A block `id` of the times `range`, with upstream's sizes.
    #[must_use]
    pub fn new(id: BlockId, range: TimeRange) -> Self {
        Self { id, range, segment_bytes_max: 512 << 20 }
    }
}

/// Writes a block below a data folder. Dropped before [`BlockWriter::finish`], it leaves a folder that Prometheus
/// removes. Memory: every symbol, and 4 bytes per label of a series.
#[derive(Debug)]
pub struct BlockWriter {
    disk: SharedDisk,
    dir: PathBuf,
    fresh: PathBuf,
    options: Options,
    index: IndexWriter,
    segment: Option<(u32, Sink)>,
    last: Option<Labels>,
    stats: Statistics,
}

impl BlockWriter {
    /// Begins a block below the folder `data`.
    ///
    /// # Errors
    /// Of the file system.
    pub fn create(disk: SharedDisk, data: &Path, options: Options) -> Result<Self, Error> {
        let dir = data.join(options.id.to_string());
        let fresh = data.join(format!("{}{UNFINISHED}", options.id));
        let chunks = fresh.join("chunks");
        disk.create_dir_all(&chunks).map_err(Error::io(&chunks))?;
        let index = IndexWriter::new(Sink::create(&*disk, &fresh.join("series.tmp"))?);
        let stats = Statistics::default();
        Ok(Self { disk, dir, fresh, options, index, segment: None, last: None, stats })
    }

    /// Adds a series with all its samples of this block, which ascend in time. One without samples is left out.
    ///
    /// # Errors
    /// [`Error::Series`] when it does not follow the one before in label order, or has samples outside the block's
    /// range; nothing of it is written then. Else of the file system.
    pub fn push(&mut self, labels: &Labels, columns: &Columns) -> Result<(), Error> {
        let Some((first, last)) = columns.timestamps.first().zip(columns.timestamps.last()) else {
            return Ok(());
        };
        let refuse = |reason: String| Err(Error::Series { series: labels.to_string(), reason });
        if let Some(before) = self.last.as_ref().filter(|before| *before >= labels) {
            return refuse(format!("it comes after {before} and must sort behind it"));
        }
        if !self.options.range.contains(*first) || !self.options.range.contains(*last) {
            let TimeRange { min, max } = self.options.range;
            return refuse(format!(
                "its samples from {first} to {last} are not in the block's {min} to {max}"
            ));
        }
        if let Some(pair) = columns.timestamps.windows(2).find(|pair| pair[0] >= pair[1]) {
            return refuse(format!("a sample at {} follows one at {}", pair[1], pair[0]));
        }
        let mut refs = Vec::new();
        for encoded in chunk::encode(columns) {
            refs.push(self.write_chunk(&encoded)?);
            self.count(&encoded);
        }
        self.index.push(labels, &refs)?;
        self.stats.num_series += 1;
        self.last = Some(labels.clone());
        Ok(())
    }

    fn count(&mut self, encoded: &Encoded) {
        let samples = u64::from(encoded.count);
        self.stats.num_chunks += 1;
        self.stats.num_samples += samples;
        if encoded.encoding >= HISTOGRAM {
            self.stats.num_histogram_samples += samples;
        } else {
            self.stats.num_float_samples += samples;
        }
    }

    fn write_chunk(&mut self, encoded: &Encoded) -> Result<ChunkRef, Error> {
        let mut head = Vec::new();
        varint::put_u64(&mut head, encoded.bytes.len() as u64);
        let len = head.len() as u64 + encoded.bytes.len() as u64 + 5;
        let full =
            |sink: &Sink| sink.position() + len > self.options.segment_bytes_max && sink.position() > 8;
        if let Some((number, sink)) = self.segment.take_if(|(_, sink)| full(sink)) {
            sink.finish()?;
            self.segment = Some(self.new_segment(number + 1)?);
        }
        if self.segment.is_none() {
            self.segment = Some(self.new_segment(0)?);
        }
        let mut reference = 0;
        if let Some((number, sink)) = &mut self.segment {
            reference = u64::from(*number) << 32 | sink.position();
            sink.put(&head)?;
            sink.put_checked(&[encoded.encoding])?;
            sink.put_checked(&encoded.bytes)?;
            sink.put_checksum()?;
        }
        Ok(ChunkRef { reference, min: encoded.min, max: encoded.max })
    }

    fn new_segment(&self, number: u32) -> Result<(u32, Sink), Error> {
        let path = self.fresh.join("chunks").join(format!("{:06}", u64::from(number) + 1));
        let mut sink = Sink::create(&*self.disk, &path)?;
        sink.put(&CHUNKS_MAGIC)?;
        Ok((number, sink))
    }

    /// Makes the block visible and durable; `None` when no series was pushed, and nothing is left then but an empty
    /// folder that Prometheus removes.
    ///
    /// # Errors
    /// Of the file system; the block is then not visible.
    pub fn finish(mut self) -> Result<Option<Meta>, Error> {
        let waiting = self.fresh.join("series.tmp");
        if let Some((_, sink)) = self.segment.take() {
            sink.finish()?;
        }
        let ready = self.index.ready()?;
        if self.stats.num_series > 0 {
            let source = Source::open(&*self.disk, &waiting)?;
            ready.write(source, Sink::create(&*self.disk, &self.fresh.join("index"))?)?;
        }
        self.disk.remove(&waiting).map_err(Error::io(&waiting))?;
        if self.stats.num_series == 0 {
            return Ok(None);
        }
        let meta = meta(&self.options, self.stats);
        let text = serde_json::to_vec_pretty(&meta)
            .map_err(|error| Error::io(&self.fresh)(std::io::Error::other(error)))?;
        for (name, bytes) in [("tombstones", tombstone::empty()), ("meta.json", text)] {
            let path = self.fresh.join(name);
            write_atomically(&*self.disk, &path, &bytes).map_err(Error::io(&path))?;
        }
        let data = self.dir.parent().unwrap_or(Path::new("."));
        self.disk.sync_dir(&self.fresh.join("chunks")).map_err(Error::io(&self.fresh))?;
        self.disk.rename(&self.fresh, &self.dir).map_err(Error::io(&self.dir))?;
        self.disk.sync_dir(data).map_err(Error::io(data))?;
        Ok(Some(meta))
    }
}

fn meta(options: &Options, stats: Statistics) -> Meta {
    let ulid = options.id.to_string();
    let compaction = Compaction { level: 1, sources: vec![ulid.clone()], ..Compaction::default() };
    Meta {
        ulid,
        min_time: options.range.min.0,
        max_time: options.range.max.0.saturating_add(1),
        stats,
        compaction,
        version: 1,
    }
}
