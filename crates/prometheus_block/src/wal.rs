//! Prometheus' log: segments of 32 KiB pages, and the checkpoint that stands for the oldest of them.
//!
//! ```text
//! wal/  00000003 00000004 ...        segments, eight digits
//!       checkpoint.00000002/         what is still needed of all segments up to 2, as segments of its own
//! page      fragment* | zeros
//! fragment  type, compression | u16 length | u32 CRC-32C | bytes
//! type      0 nothing more in this page | 1 whole record | 2 first | 3 middle | 4 last;  +8 snappy, +16 zstd
//! ```
//!
//! A record never crosses a segment. The end of the last segment may be torn: that is the end of the log. Other damage
//! is an error, and reading goes on at the next page. `wbl/`, the log of out-of-order samples, is the same.

mod record;

pub use record::{Record, Sample};

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nave_base::disk::{Disk, SharedDisk};

use crate::error::{Damage, Error};
use crate::file::Source;

const PAGE: u64 = 32 << 10;
const HEADER: u64 = 7;
const SNAPPY: u8 = 8;
const ZSTD: u8 = 16;
/// No record is larger once it is decompressed; segments are 128 MiB.
const RECORD_BYTES_MAX: usize = 128 << 20;
/// Snappy makes at most this many bytes of one.
const SNAPPY_RATIO_MAX: usize = 22;

/// Reads the records of a log from its oldest on. Memory: the largest record.
pub struct LogReader {
    disk: SharedDisk,
    /// Those not yet begun, newest first.
    waiting: Vec<PathBuf>,
    open: Option<Source>,
    at: u64,
    /// The beginning of a record was lost: its other pieces are passed over.
    skipping: bool,
    raw: Vec<u8>,
    record: Vec<u8>,
    zstd: zstd::bulk::Decompressor<'static>,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader").field("open", &self.open).field("at", &self.at).finish_non_exhaustive()
    }
}

/// What a fragment was.
enum Fragment {
    /// The page or the segment holds nothing more.
    Nothing,
    /// A piece of a record, with its type byte.
    Piece(u8),
}

impl LogReader {
    /// The log in the folder `dir`; a folder that does not exist is an empty log.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(disk: &SharedDisk, dir: &Path) -> Result<Self, Error> {
        let mut waiting = segments(&**disk, dir)?;
        waiting.reverse();
        let zstd = zstd::bulk::Decompressor::new().map_err(Error::io(dir))?;
        let disk = disk.clone();
        Ok(Self {
            disk,
            waiting,
            open: None,
            at: 0,
            skipping: false,
            raw: Vec::new(),
            record: Vec::new(),
            zstd,
        })
    }

    /// The next record, decoded; `None` at the end of the log. After an error that is damage the next call goes on
    /// behind it.
    #[allow(clippy::should_implement_trait, reason = "as the other readers here")]
    pub fn next(&mut self) -> Option<Result<Record, Error>> {
        loop {
            if self.open.is_none() {
                let path = self.waiting.pop()?;
                match Source::open(&*self.disk, &path) {
                    Ok(source) => (self.open, self.at) = (Some(source), 0),
                    Err(error) => return Some(Err(error)),
                }
            }
            let start = self.at;
            match self.next_raw() {
                Ok(true) => return Some(self.decode(start)),
                Ok(false) => self.open = None,
                Err(error) => {
                    self.skipping = true;
                    if !self.is_torn(&error) {
                        return Some(Err(error));
                    }
                    self.open = None;
                }
            }
        }
    }

    /// Damage at the end of the last segment is a write that was under way when the process was killed.
    fn is_torn(&self, error: &Error) -> bool {
        let end = self.open.as_ref().map_or(0, |source| source.len);
        error.is_damage() && self.waiting.is_empty() && self.at.saturating_add(PAGE) >= end
    }

    fn decode(&mut self, offset: u64) -> Result<Record, Error> {
        Record::decode(&self.record).map_err(|what| self.damaged(offset, what))
    }

    /// Puts the next record together in `record`, decompressed; whether there was one.
    fn next_raw(&mut self) -> Result<bool, Error> {
        self.raw.clear();
        let mut begun = false;
        loop {
            let start = self.at;
            let Fragment::Piece(kind) = self.fragment()? else {
                return if begun { Err(self.damaged(start, "a record has no end")) } else { Ok(false) };
            };
            match (kind & 7, begun) {
                (1 | 2, true) => {
                    // The record that begins here is whole perhaps: it is read again.
                    self.at = start;
                    return Err(self.damaged(start, "a record begins inside another"));
                }
                (3 | 4, false) if self.skipping => self.raw.clear(),
                (3 | 4, false) => {
                    self.skipping = true;
                    return Err(self.damaged(start, "a record has no beginning"));
                }
                (1 | 4, _) => {
                    self.skipping = false;
                    self.decompress(kind).map_err(|what| self.damaged(start, what))?;
                    return Ok(true);
                }
                _ => (begun, self.skipping) = (true, false),
            }
        }
    }

    fn damaged(&self, offset: u64, what: impl Into<Damage>) -> Error {
        let path = self.open.as_ref().map_or(Path::new(""), |source| &source.path);
        what.into().at(path, offset)
    }

    /// Adds the next fragment to `raw`. After an error the reader stands at the next page.
    fn fragment(&mut self) -> Result<Fragment, Error> {
        let Some(source) = &mut self.open else { return Ok(Fragment::Nothing) };
        let (start, next_page, kind) = loop {
            let (start, next_page) = (self.at, (self.at / PAGE + 1) * PAGE);
            let kind = source.get_up_to(start, 1)?.first().copied();
            let Some(kind) = kind else { return Ok(Fragment::Nothing) };
            self.at = next_page;
            if next_page - start >= HEADER && kind != 0 {
                break (start, next_page, kind);
            }
        };
        let header = source.get_up_to(start, HEADER)?;
        let Some(header) = header.first_chunk::<7>() else {
            return Err(source.damaged(start, "a fragment is cut short"));
        };
        let len = u64::from(u16::from_be_bytes([header[1], header[2]]));
        let stored = u32::from_be_bytes([header[3], header[4], header[5], header[6]]);
        let known = matches!(kind & 7, 1..=4) && kind & !31 == 0 && kind & (SNAPPY | ZSTD) != SNAPPY | ZSTD;
        if !known || start + HEADER + len > next_page {
            return Err(source.damaged(start, format!("no fragment: type {kind}, {len} bytes")));
        }
        let bytes = source.get(start + HEADER, len)?;
        let computed = crc32c::crc32c(bytes);
        if computed != stored {
            return Err(source.damaged(start, Damage::checksum(stored, computed)));
        }
        self.raw.extend_from_slice(bytes);
        self.at = start + HEADER + len;
        Ok(Fragment::Piece(kind))
    }

    fn decompress(&mut self, kind: u8) -> Result<(), Damage> {
        self.record.clear();
        let checked = |len: Option<usize>| {
            len.filter(|len| *len <= RECORD_BYTES_MAX).ok_or(Damage::from("a record does not decompress"))
        };
        if kind & SNAPPY != 0 {
            let possible = |len: &usize| *len <= self.raw.len() * SNAPPY_RATIO_MAX;
            let len = checked(snap::raw::decompress_len(&self.raw).ok().filter(possible))?;
            self.record.resize(len, 0);
            let done = snap::raw::Decoder::new().decompress(&self.raw, &mut self.record);
            return done.map(drop).map_err(|error| error.to_string().into());
        }
        if kind & ZSTD == 0 {
            std::mem::swap(&mut self.record, &mut self.raw);
            return Ok(());
        }
        match zstd::zstd_safe::get_frame_content_size(&self.raw) {
            Ok(Some(len)) => {
                self.record.reserve(checked(usize::try_from(len).ok())?);
                let done = self.zstd.decompress_to_buffer(&self.raw, &mut self.record);
                done.map(drop).map_err(|error| error.to_string().into())
            }
            _ => stream(&self.raw, &mut self.record).map_err(|error| error.to_string().into()),
        }
    }
}

/// A frame that does not say how long its content is.
fn stream(raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
    decoder.take(RECORD_BYTES_MAX as u64 + 1).read_to_end(out)?;
    if out.len() > RECORD_BYTES_MAX { Err(io::Error::other("a record is too large")) } else { Ok(()) }
}

/// All segments in the order in which they are read: those of the newest checkpoint, then what follows it.
fn segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let number = |name: &str| if name.len() == 8 { name.parse::<u64>().ok() } else { None };
    let entries = list(disk, dir)?;
    let checkpoints = entries.iter().filter(|entry| entry.is_dir);
    let newest = checkpoints.filter_map(|entry| number(entry.name.strip_prefix("checkpoint.")?)).max();
    let mut paths = Vec::new();
    if let Some(newest) = newest {
        let dir = dir.join(format!("checkpoint.{newest:08}"));
        let parts = list(disk, &dir)?.into_iter().filter(|entry| number(&entry.name).is_some());
        paths.extend(parts.map(|entry| dir.join(entry.name)));
    }
    let later = |entry: &&nave_base::disk::Entry| {
        !entry.is_dir && number(&entry.name).is_some_and(|n| newest.is_none_or(|newest| n > newest))
    };
    paths.extend(entries.iter().filter(later).map(|entry| dir.join(&entry.name)));
    Ok(paths)
}

/// What is in `dir`; nothing when it does not exist.
pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<nave_base::disk::Entry>, Error> {
    match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.map_err(Error::io(dir)),
    }
}
