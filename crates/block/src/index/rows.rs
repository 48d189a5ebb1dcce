//! From series to labels: blocks of rows, and what is kept of them between calls.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use nave_base::varint;
use nave_model::label::Labels;

use super::dictionary::Dictionary;
use super::{LABELS_MAX, ROW_BLOCK_MAX, ROWS, SEPARATOR};
use crate::damage::{Cursor, Damage, put_sized, unseal};
use crate::page::Scratch;

/// What a report calls it.
const PART: &str = "index rows";
/// Symbols and bytes of text that a [`RowCache`] keeps at most.
const CACHED_SYMBOLS_MAX: usize = 1 << 17;
const CACHED_BYTES_MAX: usize = 16 << 20;

/// Rows opened by this process so far, and one more.
static OPENED: AtomicU64 = AtomicU64::new(1);

/// The rows of an index: tables in memory, blocks checked when they are read.
#[derive(Debug)]
pub(super) struct Rows {
    /// Which of all rows opened by this process: caches of others are of no use here.
    number: u64,
    series: u32,
    bytes: Vec<u8>,
    /// All label names, in byte order.
    names: Vec<Box<str>>,
    /// Of each schema its names, as places in `names`.
    schemas: Vec<Vec<u32>>,
    /// Start and length of each block, and whether it is compressed.
    blocks: Vec<(usize, usize, bool)>,
}

/// The block of rows that was read last, and the symbols met so far. One per query; going from index to index empties it.
#[derive(Debug, Default)]
pub struct RowCache {
    /// The rows that it is of.
    of: u64,
    block: Option<usize>,
    /// Symbols of all rows, one after the other.
    cells: Vec<u32>,
    /// Of each row its first cell, and one more.
    starts: Vec<u32>,
    /// Of each row its schema.
    schemas: Vec<u32>,
    /// Names and values of symbols as canonical bytes of labels.
    text: Vec<u8>,
    symbols: HashMap<u32, (u32, u32), BuildHasherDefault<Spread>>,
    /// The symbols of the row that was built last.
    recent: Vec<(u32, (u32, u32))>,
    /// A label set that is being built.
    bytes: Vec<u8>,
}

/// Hashes ordinals: they are ranks, nobody chooses them.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        let mixed = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

impl Rows {
    /// Checks and reads the tables; blocks stay unchecked.
    pub(super) fn open(bytes: Vec<u8>, series: u32) -> Result<Self, Damage> {
        let mut outer = Cursor::new(PART, &bytes);
        let mut cursor = unseal(PART, outer.sized()?)?;
        let mut at = bytes.len() - outer.left();
        let came = cursor.u64()?;
        if came != u64::from(series) {
            return Err(cursor.damage(format!("expected {series} series, came {came}")));
        }
        let mut lists = Vec::new();
        for _ in 0..cursor.count("schemas", cursor.left())? {
            lists.push(take_schema(&mut cursor)?);
        }
        let mut blocks = Vec::new();
        while !cursor.is_empty() {
            let head = cursor.u64()?;
            let len = outer.take(usize::try_from(head >> 1).unwrap_or(usize::MAX))?.len();
            blocks.push((at, len, head & 1 == 1));
            at += len;
        }
        outer.end()?;
        let expected = (series as usize).div_ceil(ROWS);
        if expected != blocks.len() {
            return Err(cursor.damage(format!("expected {expected} blocks of rows, came {}", blocks.len())));
        }
        let mut names: Vec<Box<str>> = lists.iter().flatten().map(|name| Box::from(*name)).collect();
        names.sort_unstable();
        names.dedup();
        let place = |name: &str| names.partition_point(|known| **known < *name) as u32;
        let schemas = lists.iter().map(|list| list.iter().map(|name| place(name)).collect()).collect();
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        Ok(Self { number, series, names, schemas, blocks, bytes })
    }

    pub(super) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// Bytes in memory, about.
    pub(super) fn memory(&self) -> usize {
        let schemas: usize = self.schemas.iter().map(|schema| 24 + schema.len() * 4).sum();
        self.bytes.len() + self.blocks.len() * 24 + schemas + self.names.len() * 32
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Brings the block of a series into `cache`; gives its row.
    pub(super) fn load(
        &self,
        series: u32,
        symbols: usize,
        cache: &mut RowCache,
        scratch: &mut Scratch,
    ) -> Result<usize, Damage> {
        if series >= self.series {
            let what = format!("expected one of {} series, came {series}", self.series);
            return Err(Damage::new(PART, 0, what));
        }
        if cache.of != self.number {
            *cache = RowCache { of: self.number, ..RowCache::default() };
        }
        let block = series as usize / ROWS;
        if cache.block != Some(block) {
            cache.block = None;
            self.read(block, symbols, cache, scratch)?;
            cache.block = Some(block);
        }
        Ok(series as usize % ROWS)
    }

    fn read(
        &self,
        block: usize,
        symbols: usize,
        cache: &mut RowCache,
        scratch: &mut Scratch,
    ) -> Result<(), Damage> {
        let (start, len, compressed) = self.blocks[block];
        let mut cursor = unseal(PART, &self.bytes[start..start + len])?;
        let stored = cursor.take(cursor.left())?;
        if !compressed {
            return self.read_plain(block, symbols, stored, cache);
        }
        let plain = scratch.decoder().take_bytes_unsized(PART, stored, ROW_BLOCK_MAX)?;
        self.read_plain(block, symbols, &plain, cache)
    }

    /// Schemas of all rows, then of each label name that occurs in them a column of symbols.
    fn read_plain(
        &self,
        block: usize,
        symbols: usize,
        plain: &[u8],
        cache: &mut RowCache,
    ) -> Result<(), Damage> {
        let RowCache { cells, starts, schemas, .. } = cache;
        let mut cursor = Cursor::new(PART, plain);
        for buffer in [&mut *cells, &mut *starts, &mut *schemas] {
            buffer.clear();
        }
        let mut used: Vec<u32> = Vec::new();
        for _ in 0..ROWS.min(self.series as usize - block * ROWS) {
            let number = cursor.u64()?;
            let known = usize::try_from(number).ok().filter(|number| *number < self.schemas.len());
            let schema = known.ok_or_else(|| cursor.damage(format!("there is no schema {number}")))?;
            if !schemas.contains(&(schema as u32)) {
                used.extend(&self.schemas[schema]);
            }
            schemas.push(schema as u32);
        }
        used.sort_unstable();
        used.dedup();
        let mut columns = Vec::with_capacity(used.len());
        for _ in &used {
            columns.push((0i64, cursor.part(PART)?));
        }
        cursor.end()?;
        let mut places: (Option<u32>, Vec<usize>) = (None, Vec::new());
        for schema in &*schemas {
            if places.0 != Some(*schema) {
                let names = self.schemas[*schema as usize].iter();
                places = (Some(*schema), names.map(|name| used.partition_point(|one| one < name)).collect());
            }
            starts.push(cells.len() as u32);
            for place in &places.1 {
                let (last, column) = &mut columns[*place];
                *last = last.wrapping_add(column.i64()?);
                let known = usize::try_from(*last).ok().filter(|ordinal| *ordinal < symbols);
                cells.push(known.ok_or_else(|| column.damage(format!("there is no symbol {last}")))? as u32);
            }
        }
        starts.push(cells.len() as u32);
        Ok(())
    }

    /// The symbol of label `name` (a place in [`Rows::names`]) in a row of the loaded block.
    pub(super) fn symbol(&self, row: usize, name: u32, cache: &RowCache) -> Option<u32> {
        let schema = &self.schemas[*cache.schemas.get(row)? as usize];
        let at = schema.binary_search(&name).ok()?;
        cache.cells.get(*cache.starts.get(row)? as usize + at).copied()
    }
}

/// Names of a schema, which ascend.
fn take_schema<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<&'a str>, Damage> {
    let (mut list, mut schema) = (cursor.sized()?, Vec::new());
    while !list.is_empty() {
        let name = varint::take_bytes(&mut list).and_then(|name| std::str::from_utf8(name).ok());
        let name =
            name.filter(|name| schema.len() < LABELS_MAX && schema.last().is_none_or(|last| last < name));
        schema.push(name.ok_or_else(|| cursor.damage("a schema is cut short, out of order or too long"))?);
    }
    Ok(schema)
}

impl RowCache {
    /// The labels of a row of the loaded block.
    pub(super) fn labels(&mut self, row: usize, dictionary: &Dictionary) -> Result<Labels, Damage> {
        self.bytes.clear();
        let (start, end) = (self.starts[row] as usize, self.starts[row + 1] as usize);
        for i in start..end {
            let ordinal = self.cells[i];
            let (from, len) = match self.recent.get(i - start) {
                Some((known, place)) if *known == ordinal => *place,
                _ => self.place(i - start, ordinal, dictionary)?,
            };
            self.bytes.extend_from_slice(&self.text[from as usize..(from + len) as usize]);
        }
        Labels::from_bytes(&self.bytes).map_err(|error| Damage::new(PART, 0, error.to_string()))
    }

    /// Where the text of a symbol is.
    fn place(&mut self, at: usize, ordinal: u32, dictionary: &Dictionary) -> Result<(u32, u32), Damage> {
        let place = match self.symbols.get(&ordinal) {
            Some(place) => *place,
            None => self.add(ordinal, dictionary)?,
        };
        if self.recent.len() <= at {
            self.recent.resize(at + 1, (u32::MAX, (0, 0)));
        }
        self.recent[at] = (ordinal, place);
        Ok(place)
    }

    fn add(&mut self, ordinal: u32, dictionary: &Dictionary) -> Result<(u32, u32), Damage> {
        if self.symbols.len() >= CACHED_SYMBOLS_MAX || self.text.len() >= CACHED_BYTES_MAX {
            self.symbols.clear();
            self.recent.clear();
            self.text.clear();
        }
        let broken = || Damage::new("index dictionary", 0, format!("symbol {ordinal} is no label"));
        let key = dictionary.text(ordinal)?;
        let split = key.iter().position(|byte| *byte == SEPARATOR).ok_or_else(broken)?;
        let start = self.text.len();
        put_sized(&mut self.text, &key[..split]);
        put_sized(&mut self.text, &key[split + 1..]);
        let end = u32::try_from(self.text.len()).map_err(|_| broken())?;
        let place = (start as u32, end - start as u32);
        self.symbols.insert(ordinal, place);
        Ok(place)
    }
}
