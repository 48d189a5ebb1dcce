//! Blocks, read series by series in label order.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use nave_base::disk::SharedDisk;
use nave_base::varint;
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::TimeRange;

use super::index::{ChunkRef, Index};
use super::{Meta, tombstone};
use crate::chunk::{self, CHUNK_BYTES_MAX};
use crate::columns::{self, Kept};
use crate::error::{Damage, Error};
use crate::file::Source;

const MAGIC: [u8; 5] = [0x85, 0xbd, 0x40, 0xdd, 1];

/// An open block. Memory: its symbols and its tombstones.
#[derive(Debug)]
pub struct Block {
    disk: SharedDisk,
    dir: PathBuf,
    meta: Meta,
    index: Index,
    deleted: HashMap<u64, Vec<TimeRange>>,
}

/// A series of a block.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its number in the block.
    pub id: u32,
    /// Its labels.
    pub labels: Labels,
    /// Its chunks, usually ascending and apart from each other.
    pub chunks: Vec<ChunkRef>,
}

impl Block {
    /// Opens the block in the folder `dir`.
    ///
    /// # Errors
    /// Of the file system, and when what all series need is damaged: meta, symbols, the list of series,
    /// tombstones.
    pub fn open(disk: &SharedDisk, dir: &Path) -> Result<Self, Error> {
        let meta = Meta::read(&**disk, dir)?;
        let index = Index::open(&**disk, dir)?;
        let deleted = tombstone::read(&**disk, dir)?;
        Ok(Self { disk: disk.clone(), dir: dir.to_owned(), meta, index, deleted })
    }

    /// What it is about.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// How many series.
    #[must_use]
    pub fn series_count(&self) -> u32 {
        self.index.len()
    }

    /// All series in label order.
    #[must_use]
    pub fn series(&self) -> SeriesCursor<'_> {
        let (ids, entries) = (self.index.source.reopened(), self.index.source.reopened());
        SeriesCursor { block: self, position: 0, ids, entries, segment: None }
    }
}

/// Goes through the series of a block. Memory: three buffers.
#[derive(Debug)]
pub struct SeriesCursor<'a> {
    block: &'a Block,
    position: u32,
    ids: Source,
    entries: Source,
    segment: Option<(u32, Source)>,
}

impl SeriesCursor<'_> {
    /// The next series; `None` behind the last. After an error the next call gives the one behind.
    ///
    /// # Errors
    /// Of the file system, or when the series' entry is damaged.
    #[allow(clippy::should_implement_trait, reason = "an iterator could not be asked for samples meanwhile")]
    pub fn next(&mut self) -> Option<Result<Series, Error>> {
        if self.position >= self.block.index.len() {
            return None;
        }
        let index = &self.block.index;
        let position = self.position;
        self.position += 1;
        let series = index.id(&mut self.ids, position).and_then(|id| {
            let (labels, chunks) = index.series(&mut self.entries, id)?;
            Ok(Series { id, labels, chunks })
        });
        Some(series)
    }

    /// Adds the samples of `series` inside `range` to `columns`, without what was deleted. Of two samples at one
    /// time the first one stays. Damaged chunks are left out and named in `damage`.
    ///
    /// # Errors
    /// Of the file system.
    pub fn read(
        &mut self,
        series: &Series,
        range: TimeRange,
        columns: &mut Columns,
        damage: &mut Vec<Error>,
    ) -> Result<(), Error> {
        let deleted = self.block.deleted.get(&u64::from(series.id)).map_or(&[][..], Vec::as_slice);
        let kept = Kept { range, deleted };
        let mut samples = Columns::default();
        for chunk in &series.chunks {
            if !range.overlaps(&TimeRange { min: chunk.min, max: chunk.max }) {
                continue;
            }
            match self.chunk(chunk, &mut samples) {
                Err(error) if error.is_damage() => damage.push(error),
                result => result?,
            }
            columns::add(columns, &samples, &kept);
        }
        Ok(())
    }

    /// Replaces `samples` by those of a chunk; by those before the damage, when there is any.
    fn chunk(&mut self, chunk: &ChunkRef, samples: &mut Columns) -> Result<(), Error> {
        samples.clear();
        let (segment, offset) = ((chunk.reference >> 32) as u32, chunk.reference & 0xffff_ffff);
        if self.segment.as_ref().is_none_or(|(open, _)| *open != segment) {
            self.segment = None;
            self.segment = Some((segment, self.open_segment(segment)?));
        }
        let Some((_, source)) = &mut self.segment else { return Ok(()) };
        let (encoding, bytes) = read_chunk(source, offset)?;
        let result = chunk::decode(encoding, bytes, samples);
        let path = source.path.clone();
        result.map_err(|what| unreadable(what, encoding, &path, offset))?;
        let bounds = samples.timestamps.first().copied().zip(samples.timestamps.last().copied());
        match bounds {
            Some((min, max)) if min < chunk.min || max > chunk.max => {
                samples.clear();
                let said = format!("in a chunk from {} to {}", chunk.min, chunk.max);
                Err(Damage::from(format!("samples from {min} to {max} {said}")).at(&path, offset))
            }
            _ => Ok(()),
        }
    }

    fn open_segment(&self, segment: u32) -> Result<Source, Error> {
        let number = u64::from(segment) + 1;
        let path = self.block.dir.join("chunks").join(format!("{number:06}"));
        let mut source = match Source::open(&*self.block.disk, &path) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(Damage::from("the segment is missing").at(&path, 0));
            }
            source => source?,
        };
        if source.get_up_to(0, 5)? != MAGIC {
            return Err(source.damaged(0, "no header of chunks of version 1"));
        }
        Ok(source)
    }
}

/// `uvarint length | encoding | bytes | u32 CRC-32C of encoding and bytes`.
fn read_chunk(source: &mut Source, offset: u64) -> Result<(u8, &[u8]), Error> {
    let mut head = source.get_up_to(offset, 10)?;
    let before = head.len();
    let len = varint::take_u64(&mut head).filter(|len| *len <= CHUNK_BYTES_MAX);
    let start = offset + (before - head.len()) as u64;
    let Some(len) = len else { return Err(source.damaged(offset, "no length of a chunk")) };
    let path = source.path.clone();
    let bytes = source.get(start, len + 5)?;
    let (checked, stored) = bytes.split_at(len as usize + 1);
    let stored = u32::from_be_bytes(stored.try_into().unwrap_or_default());
    let computed = crc32c::crc32c(checked);
    if stored != computed {
        return Err(Damage::checksum(stored, computed).at(&path, offset));
    }
    Ok((checked[0], &checked[1..]))
}

/// An encoding of the future is no damage.
pub(crate) fn unreadable(what: Damage, encoding: u8, path: &Path, offset: u64) -> Error {
    if (1..=6).contains(&encoding) {
        what.at(path, offset)
    } else {
        Error::Unsupported { path: path.to_owned(), what: what.to_string() }
    }
}
