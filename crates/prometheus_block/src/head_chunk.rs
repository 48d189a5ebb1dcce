//! `chunks_head/`: finished chunks of the head, in files that Prometheus maps into memory.
//!
//! ```text
//! 01 30 BC 91 | version 1 | 3 zero bytes | chunk* | zeros
//! chunk   u64 series | i64 min | i64 max | encoding, +128 when out of order | uvarint length | bytes | u32 CRC-32C
//! ```
//!
//! The series is the log's. The log holds the same samples; Prometheus reads the chunks to be spared encoding them
//! again, and for out-of-order samples, whose log is cut earlier. It drops all from the first damage on, and so does this
//! reader.

use std::path::{Path, PathBuf};

use nave_base::disk::SharedDisk;
use nave_base::varint;
use nave_model::time::{TimeRange, Timestamp};

use crate::chunk::CHUNK_BYTES_MAX;
use crate::error::{Damage, Error};
use crate::file::Source;
use crate::wal::list;

const MAGIC: [u8; 5] = [0x01, 0x30, 0xbc, 0x91, 1];
const HEADER: u64 = 8;
/// Series, times, encoding.
const FIXED: u64 = 25;
const OUT_OF_ORDER: u8 = 0x80;

/// A chunk of the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadChunk {
    /// The log's number of the series.
    pub reference: u64,
    /// Times of the first and the last sample.
    pub range: TimeRange,
    /// As in [`crate::chunk`].
    pub encoding: u8,
    /// Whether its samples came late.
    pub out_of_order: bool,
    /// Where it stands: number of the file in the upper 32 bits, offset in the lower.
    pub position: u64,
    /// The samples.
    pub bytes: Vec<u8>,
}

/// Reads the chunks of a folder in the order in which they were written.
#[derive(Debug)]
pub struct HeadChunkReader {
    disk: SharedDisk,
    /// Newest first.
    waiting: Vec<(u32, PathBuf)>,
    open: Option<(u32, Source)>,
    at: u64,
}

impl HeadChunkReader {
    /// The chunks in the folder `dir`; a folder that does not exist has none.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(disk: &SharedDisk, dir: &Path) -> Result<Self, Error> {
        let number = |name: &str| if name.len() == 6 { name.parse::<u32>().ok() } else { None };
        let entries = list(&**disk, dir)?.into_iter();
        let mut waiting: Vec<_> =
            entries.filter_map(|entry| Some((number(&entry.name)?, dir.join(&entry.name)))).collect();
        waiting.reverse();
        Ok(Self { disk: disk.clone(), waiting, open: None, at: 0 })
    }

    /// The next chunk; `None` behind the last and behind damage, which ends the reading.
    #[allow(clippy::should_implement_trait, reason = "as the other readers here")]
    pub fn next(&mut self) -> Option<Result<HeadChunk, Error>> {
        loop {
            if self.open.is_none() {
                let (number, path) = self.waiting.pop()?;
                match self.begin(number, &path) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(error) => return Some(Err(self.stop(error))),
                }
            }
            match self.chunk() {
                Ok(Some(chunk)) => return Some(Ok(chunk)),
                Ok(None) => self.open = None,
                Err(error) => return Some(Err(self.stop(error))),
            }
        }
    }

    fn stop(&mut self, error: Error) -> Error {
        self.waiting.clear();
        self.open = None;
        error
    }

    /// Opens a file; an empty one was just made when the process was killed.
    fn begin(&mut self, number: u32, path: &Path) -> Result<bool, Error> {
        let mut source = Source::open(&*self.disk, path)?;
        let header = source.get_up_to(0, 5)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(false);
        }
        if header != MAGIC {
            return Err(source.damaged(0, "no header of head chunks of version 1"));
        }
        (self.open, self.at) = (Some((number, source)), HEADER);
        Ok(true)
    }

    fn chunk(&mut self) -> Result<Option<HeadChunk>, Error> {
        let Some((number, source)) = &mut self.open else { return Ok(None) };
        let start = self.at;
        let head = source.get_up_to(start, FIXED + 10)?.to_vec();
        if head.iter().take(FIXED as usize).all(|byte| *byte == 0) {
            return Ok(None);
        }
        let mut rest = head.get(FIXED as usize..).unwrap_or_default();
        let before = rest.len();
        let Some(len) = varint::take_u64(&mut rest).filter(|len| *len <= CHUNK_BYTES_MAX) else {
            return Err(source.damaged(start, "no length of a chunk"));
        };
        let whole = FIXED + (before - rest.len()) as u64 + len;
        let path = source.path.clone();
        let bytes = source.get(start, whole + 4)?;
        let (checked, stored) = bytes.split_at(whole as usize);
        let stored = u32::from_be_bytes(stored.try_into().unwrap_or_default());
        let computed = crc32c::crc32c(checked);
        if stored != computed {
            return Err(Damage::checksum(stored, computed).at(&path, start));
        }
        let field = |i: usize| {
            checked
                .get(8 * i..8 * i + 8)
                .and_then(|bytes| bytes.try_into().ok())
                .map_or(0, u64::from_be_bytes)
        };
        self.at = start + whole + 4;
        Ok(Some(HeadChunk {
            reference: field(0),
            range: TimeRange { min: Timestamp(field(1) as i64), max: Timestamp(field(2) as i64) },
            encoding: head[24] & !OUT_OF_ORDER,
            out_of_order: head[24] & OUT_OF_ORDER != 0,
            position: u64::from(*number) << 32 | start,
            bytes: checked[(whole - len) as usize..].to_vec(),
        }))
    }
}
