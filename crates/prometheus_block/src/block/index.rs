//! `index`: symbols, series and the list of all series, read; versions 1 and 2.
//!
//! ```text
//! BA AA D7 00 | version | symbols | series | (label indices) | postings | tables | TOC of 52 bytes
//! symbols     u32 length | u32 count | (uvarint length, bytes)* | u32 CRC-32C
//! series      uvarint length | labels, chunks | u32 CRC-32C      version 2: at multiples of 16
//! postings    u32 length | u32 count | u32* | u32 CRC-32C
//! TOC         u64 offsets: symbols, series, label indices, their table, postings, their table | u32 CRC-32C
//! ```
//!
//! A series is named by its offset, in version 2 by its sixteenth; a symbol by its number, in version 1 by its
//! offset. Only the symbols are held in memory. Of the tables only the entry of all series is
//! read: nothing here looks series up by label.

use std::path::Path;

use nave_base::disk::Disk;
use nave_base::varint;
use nave_model::label::Labels;
use nave_model::time::Timestamp;

use crate::error::{Damage, Error};
use crate::file::Source;

const MAGIC: [u8; 4] = [0xba, 0xaa, 0xd7, 0x00];
const TOC_LEN: u64 = 52;
/// The labels and chunks of one series are shorter.
const ENTRY_BYTES_MAX: u64 = 64 << 20;

/// Where a chunk lies and what time it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// Number of the segment less one in the upper 32 bits, offset in it in the lower.
    pub reference: u64,
    /// Time of the first sample.
    pub min: Timestamp,
    /// Time of the last sample.
    pub max: Timestamp,
}

/// An open index.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) source: Source,
    version: u8,
    symbols: Symbols,
    /// Where the numbers of all series begin, and how many there are.
    all: (u64, u32),
}

#[derive(Debug)]
struct Symbols {
    bytes: Vec<u8>,
    /// Where each symbol's length begins in `bytes`.
    starts: Vec<u32>,
    /// Offset of `bytes` in the file.
    offset: u64,
}

impl Index {
    pub(super) fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, Error> {
        let mut source = Source::open(disk, &dir.join("index"))?;
        let head = source.get(0, 5)?;
        let version = head[4];
        if head[..4] != MAGIC {
            return Err(source.damaged(0, "no header of an index"));
        }
        if !(1..=2).contains(&version) {
            let what = format!("index version {version}");
            return Err(Error::Unsupported { path: source.path, what });
        }
        let toc = source.len.saturating_sub(TOC_LEN).max(5);
        source.check(toc, TOC_LEN - 4)?;
        let (symbols, table) = (source.get_u64(toc)?, source.get_u64(toc + 40)?);
        let symbols = Symbols::read(&mut source, symbols)?;
        let all = find_all(&mut source, table)?;
        Ok(Self { source, version, symbols, all })
    }

    /// How many series.
    pub(super) fn len(&self) -> u32 {
        self.all.1
    }

    /// The number of the series at `position` of label order.
    pub(super) fn id(&self, source: &mut Source, position: u32) -> Result<u32, Error> {
        source.get_u32(self.all.0 + 4 * u64::from(position))
    }

    /// Labels and chunks of series `id`.
    pub(super) fn series(&self, source: &mut Source, id: u32) -> Result<(Labels, Vec<ChunkRef>), Error> {
        let offset = if self.version == 1 { u64::from(id) } else { u64::from(id) * 16 };
        let mut head = source.get_up_to(offset, 10)?;
        let before = head.len();
        let len = varint::take_u64(&mut head);
        let start = offset + (before - head.len()) as u64;
        let Some(len) = len.filter(|len| *len <= ENTRY_BYTES_MAX) else {
            return Err(source.damaged(offset, "no length of a series"));
        };
        let bytes = source.get(start, len + 4)?;
        let (entry, stored) = bytes.split_at(len as usize);
        let stored = u32::from_be_bytes(stored.try_into().unwrap_or_default());
        let computed = crc32c::crc32c(entry);
        let parsed =
            if stored == computed { self.parse(entry) } else { Err(Damage::checksum(stored, computed)) };
        parsed.map_err(|damage| damage.at(&source.path, offset))
    }

    fn parse(&self, mut entry: &[u8]) -> Result<(Labels, Vec<ChunkRef>), Damage> {
        let short = || Damage::from("a series is cut short");
        let count = varint::take_u64(&mut entry).ok_or_else(short)?;
        let mut pairs = Vec::new();
        for _ in 0..count {
            let name = varint::take_u64(&mut entry).ok_or_else(short)?;
            let value = varint::take_u64(&mut entry).ok_or_else(short)?;
            pairs.push((self.symbols.get(name, self.version)?, self.symbols.get(value, self.version)?));
        }
        let labels = Labels::from_pairs(pairs).map_err(|error| Damage::from(error.to_string()))?;
        let chunks = chunks(&mut entry).ok_or_else(short)?;
        Ok((labels, chunks))
    }
}

fn chunks(entry: &mut &[u8]) -> Option<Vec<ChunkRef>> {
    let count = varint::take_u64(entry)?;
    let mut chunks: Vec<ChunkRef> = Vec::new();
    for _ in 0..count {
        let chunk = match chunks.last() {
            None => {
                let min = varint::take_i64(entry)?;
                let max = min.wrapping_add(varint::take_u64(entry)? as i64);
                let reference = varint::take_u64(entry)?;
                ChunkRef { reference, min: Timestamp(min), max: Timestamp(max) }
            }
            Some(before) => {
                let min = before.max.0.wrapping_add(varint::take_u64(entry)? as i64);
                let max = min.wrapping_add(varint::take_u64(entry)? as i64);
                let reference = before.reference.wrapping_add(varint::take_i64(entry)? as u64);
                ChunkRef { reference, min: Timestamp(min), max: Timestamp(max) }
            }
        };
        chunks.push(chunk);
    }
    Some(chunks)
}

impl Symbols {
    fn read(source: &mut Source, offset: u64) -> Result<Self, Error> {
        let len = u64::from(source.get_u32(offset)?);
        source.check(offset + 4, len)?;
        let count = source.get_u32(offset + 4)?;
        let start = offset + 8;
        let bytes = source.get(start, len.saturating_sub(4))?.to_vec();
        let mut starts = Vec::new();
        let mut rest = &bytes[..];
        for _ in 0..count {
            starts.push((bytes.len() - rest.len()) as u32);
            let symbol = varint::take_bytes(&mut rest);
            let text = symbol.and_then(|symbol| std::str::from_utf8(symbol).ok());
            text.ok_or_else(|| source.damaged(offset, "a symbol is cut short or not UTF-8"))?;
        }
        Ok(Self { bytes, starts, offset: start })
    }

    fn get(&self, reference: u64, version: u8) -> Result<&str, Damage> {
        let unknown = || Damage::from(format!("there is no symbol {reference}"));
        let start = if version == 1 {
            // Only the beginning of a symbol may be meant.
            let start = reference.checked_sub(self.offset).and_then(|at| u32::try_from(at).ok());
            start.filter(|start| self.starts.binary_search(start).is_ok())
        } else {
            usize::try_from(reference).ok().and_then(|at| self.starts.get(at).copied())
        };
        let start = start.ok_or_else(unknown)?;
        let mut bytes = &self.bytes[start as usize..];
        let symbol = varint::take_bytes(&mut bytes).ok_or_else(unknown)?;
        std::str::from_utf8(symbol).map_err(|_| unknown())
    }
}

/// Finds the list of all series: the postings of the empty name and value. They sort first, but version 1 did not
/// sort.
fn find_all(source: &mut Source, table: u64) -> Result<(u64, u32), Error> {
    let count = source.get_u32(table.saturating_add(4))?;
    let mut at = table + 8;
    for _ in 0..count {
        let fields = uvarint(source, &mut at)?;
        let mut empty = fields == 2;
        for _ in 0..fields.min(2) {
            let len = uvarint(source, &mut at)?;
            empty &= len == 0;
            at = at.saturating_add(len);
        }
        let list = uvarint(source, &mut at)?;
        if empty {
            return all_of(source, list);
        }
    }
    Err(source.damaged(table, "the table of postings does not name all series"))
}

fn all_of(source: &mut Source, list: u64) -> Result<(u64, u32), Error> {
    let len = u64::from(source.get_u32(list)?);
    source.check(list + 4, len)?;
    let series = source.get_u32(list + 4)?;
    if len != 4 + 4 * u64::from(series) {
        return Err(source.damaged(list, format!("{len} bytes for {series} postings")));
    }
    Ok((list + 8, series))
}

fn uvarint(source: &mut Source, at: &mut u64) -> Result<u64, Error> {
    let mut bytes = source.get_up_to(*at, 10)?;
    let before = bytes.len();
    let value = varint::take_u64(&mut bytes);
    let used = before - bytes.len();
    let value = value.ok_or_else(|| source.damaged(*at, "an integer is cut short"))?;
    *at += used as u64;
    Ok(value)
}
