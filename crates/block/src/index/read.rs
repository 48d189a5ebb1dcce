//! Reads the label index.

use std::collections::{BTreeMap, HashMap};

use fst::raw::Fst;
use fst::{IntoStreamer, Streamer};
use nave_base::varint;
use nave_model::label::Labels;

use super::{LABELS_MAX, Parts, Postings, ROW_BLOCK_MAX, ROWS, SEPARATOR, SKIP, postings};
use crate::damage::{Cursor, Damage, unseal};
use crate::page::Scratch;

/// Between a label's name and its values in the order of symbols.
const AFTER_SEPARATOR: u8 = SEPARATOR + 1;

/// A label index in memory.
pub struct Index {
    dictionary: Fst<Vec<u8>>,
    series: u32,
    symbols: usize,
    postings: Vec<u8>,
    /// Where every 32nd entry of `postings` begins.
    skips: Vec<usize>,
    rows: Vec<u8>,
    schemas: Vec<Vec<Box<[u8]>>>,
    /// Start and length of each block of rows, and whether it is compressed.
    blocks: Vec<(usize, usize, bool)>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("series", &self.series)
            .field("symbols", &self.symbols)
            .finish_non_exhaustive()
    }
}

/// The block of rows that was read last, and the symbols met so far. One per query and index.
#[derive(Debug, Default)]
pub struct RowCache {
    block: Option<usize>,
    rows: Vec<Vec<u32>>,
    symbols: HashMap<u32, (String, String)>,
}

/// Symbols a [`RowCache`] keeps at most.
const CACHED_SYMBOLS_MAX: usize = 1 << 16;

impl Index {
    /// Checks the parts and reads their tables.
    ///
    /// # Errors
    /// When a checksum does not fit, or the parts do not fit each other.
    pub fn open(parts: Parts) -> Result<Self, Damage> {
        let Parts { mut dictionary, postings, rows } = parts;
        unseal("index dictionary", &dictionary)?;
        dictionary.drain(..4);
        let dictionary =
            Fst::new(dictionary).map_err(|e| Damage::new("index dictionary", 0, e.to_string()))?;
        let mut cursor = unseal("index postings", &postings)?;
        let series = cursor.count("series", u32::MAX as usize)? as u32;
        let symbols = cursor.count("symbols", dictionary.len())?;
        if symbols != dictionary.len() {
            return Err(cursor.damage(format!("expected {} symbols, came {symbols}", dictionary.len())));
        }
        let skips = read_skips(&mut cursor, postings.len())?;
        if skips.len() != symbols.div_ceil(SKIP) {
            return Err(cursor.damage(format!(
                "expected {} skips, came {}",
                symbols.div_ceil(SKIP),
                skips.len()
            )));
        }
        let (schemas, blocks) = read_row_tables(&rows, series)?;
        Ok(Self { dictionary, series, symbols, postings, skips, rows, schemas, blocks })
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> u32 {
        self.series
    }

    /// How many different labels (name and value) there are.
    #[must_use]
    pub fn symbols(&self) -> usize {
        self.symbols
    }

    /// The series that have exactly this label.
    ///
    /// # Errors
    /// When the postings are damaged.
    pub fn postings(&self, name: &str, value: &str) -> Result<Postings, Damage> {
        let mut found = Postings::new();
        if let Some(ordinal) = self.dictionary.get(symbol(name, value)) {
            self.add_postings(ordinal.value(), &mut found)?;
        }
        Ok(found)
    }

    /// The series that have a label `name` whose value begins with `prefix` and for which `keep` says yes.
    ///
    /// # Errors
    /// When the dictionary or the postings are damaged, and those of `keep`.
    pub fn postings_where(
        &self,
        name: &str,
        prefix: &str,
        mut keep: impl FnMut(&str) -> Result<bool, Damage>,
    ) -> Result<Postings, Damage> {
        let mut found = Postings::new();
        self.walk(
            name,
            prefix,
            |value, ordinal| {
                if keep(value)? { self.add_postings(ordinal, &mut found) } else { Ok(()) }
            },
        )?;
        Ok(found)
    }

    /// All values of a label that begin with `prefix`, in order.
    ///
    /// # Errors
    /// When the dictionary is damaged.
    pub fn values(&self, name: &str, prefix: &str) -> Result<Vec<String>, Damage> {
        let mut values = Vec::new();
        self.walk(name, prefix, |value, _| {
            values.push(value.to_owned());
            Ok(())
        })?;
        Ok(values)
    }

    /// All label names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let all = self.schemas.iter().flatten();
        let names: std::collections::BTreeSet<_> = all.map(|name| String::from_utf8_lossy(name)).collect();
        names.into_iter().map(std::borrow::Cow::into_owned).collect()
    }

    /// The labels of a series.
    ///
    /// # Errors
    /// When there is no such series, or its rows are damaged.
    pub fn labels(&self, series: u32, cache: &mut RowCache, scratch: &mut Scratch) -> Result<Labels, Damage> {
        if series >= self.series {
            let what = format!("expected one of {} series, came {series}", self.series);
            return Err(Damage::new("index rows", 0, what));
        }
        let block = series as usize / ROWS;
        if cache.block != Some(block) {
            cache.block = None;
            cache.rows = self.read_rows(block, scratch)?;
            cache.block = Some(block);
        }
        let RowCache { rows, symbols, .. } = cache;
        if symbols.len() > CACHED_SYMBOLS_MAX {
            symbols.clear();
        }
        let row = &rows[series as usize % ROWS];
        for ordinal in row {
            if !symbols.contains_key(ordinal) {
                symbols.insert(*ordinal, self.text(*ordinal)?);
            }
        }
        let pairs = row.iter().filter_map(|ordinal| symbols.get(ordinal));
        let labels = Labels::from_pairs(pairs.map(|(name, value)| (name, value)));
        labels.map_err(|error| Damage::new("index rows", 0, error.to_string()))
    }

    fn text(&self, ordinal: u32) -> Result<(String, String), Damage> {
        let broken = || Damage::new("index dictionary", 0, format!("symbol {ordinal} is no label"));
        let key = self.dictionary.get_key(u64::from(ordinal)).ok_or_else(broken)?;
        let key = String::from_utf8(key).map_err(|_| broken())?;
        let (name, value) = key.split_once(char::from(SEPARATOR)).ok_or_else(broken)?;
        Ok((name.to_owned(), value.to_owned()))
    }

    fn walk(
        &self,
        name: &str,
        prefix: &str,
        mut found: impl FnMut(&str, u64) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        let mut end = symbol(name, "");
        let values = end.len();
        end[values - 1] = AFTER_SEPARATOR;
        let mut stream = self.dictionary.range().ge(symbol(name, prefix)).lt(end).into_stream();
        while let Some((key, ordinal)) = stream.next() {
            let value = &key[values..];
            if !value.starts_with(prefix.as_bytes()) {
                break;
            }
            let broken = |_| Damage::new("index dictionary", 0, format!("a value of {name:?} is not UTF-8"));
            found(std::str::from_utf8(value).map_err(broken)?, ordinal.value())?;
        }
        Ok(())
    }

    fn add_postings(&self, ordinal: u64, found: &mut Postings) -> Result<(), Damage> {
        let ordinal = usize::try_from(ordinal).unwrap_or(usize::MAX);
        let Some(start) = self.skips.get(ordinal / SKIP) else {
            return Err(Damage::new("index dictionary", 0, format!("there is no symbol {ordinal}")));
        };
        let mut cursor = Cursor::new("index postings", &self.postings[*start..]);
        for _ in 0..ordinal % SKIP {
            postings::skip(&mut cursor)?;
        }
        postings::take(&mut cursor, self.series, found)
    }

    /// The symbols of each row of a block, in order of label name.
    fn read_rows(&self, block: usize, scratch: &mut Scratch) -> Result<Vec<Vec<u32>>, Damage> {
        let (start, len, compressed) = self.blocks[block];
        let stored = &self.rows[start..start + len];
        if !compressed {
            return self.read_plain_rows(block, stored);
        }
        let plain = scratch.decoder().take_bytes_unsized("index rows", stored, ROW_BLOCK_MAX)?;
        self.read_plain_rows(block, &plain)
    }

    fn read_plain_rows(&self, block: usize, plain: &[u8]) -> Result<Vec<Vec<u32>>, Damage> {
        let mut cursor = Cursor::new("index rows", plain);
        let count = ROWS.min(self.series as usize - block * ROWS);
        let mut schemas = Vec::with_capacity(count);
        let mut columns: BTreeMap<&[u8], (i64, Cursor<'_>)> = BTreeMap::new();
        for _ in 0..count {
            let number = cursor.u64()?;
            let schema = usize::try_from(number).ok().and_then(|number| self.schemas.get(number));
            let schema = schema.ok_or_else(|| cursor.damage(format!("there is no schema {number}")))?;
            columns.extend(schema.iter().map(|name| (&**name, (0, Cursor::new("index rows", &[])))));
            schemas.push(schema);
        }
        for column in columns.values_mut() {
            column.1 = cursor.part("index rows")?;
        }
        cursor.end()?;
        let mut rows = Vec::with_capacity(count);
        for schema in schemas {
            let mut row = Vec::with_capacity(schema.len());
            for name in schema {
                let Some((last, column)) = columns.get_mut(&**name) else { continue };
                *last = last.wrapping_add(column.i64()?);
                let ordinal = u32::try_from(*last).ok().filter(|ordinal| (*ordinal as usize) < self.symbols);
                row.push(ordinal.ok_or_else(|| column.damage(format!("there is no symbol {last}")))?);
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// The key of a label in the dictionary.
fn symbol(name: &str, value: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1 + value.len());
    key.extend_from_slice(name.as_bytes());
    key.push(SEPARATOR);
    key.extend_from_slice(value.as_bytes());
    key
}

fn read_skips(cursor: &mut Cursor<'_>, len: usize) -> Result<Vec<usize>, Damage> {
    let mut table = cursor.part("index postings")?;
    let mut at = len - cursor.left();
    let mut skips = Vec::new();
    while !table.is_empty() {
        at = at.saturating_add(table.count("bytes", len)?);
        if at > len {
            return Err(table.damage("a skip leads out of the postings"));
        }
        skips.push(at);
    }
    Ok(skips)
}

type RowTables = (Vec<Vec<Box<[u8]>>>, Vec<(usize, usize, bool)>);

fn read_row_tables(bytes: &[u8], series: u32) -> Result<RowTables, Damage> {
    let mut cursor = unseal("index rows", bytes)?;
    let came = cursor.u64()?;
    if came != u64::from(series) {
        return Err(cursor.damage(format!("expected {series} series, came {came}")));
    }
    let mut schemas = Vec::new();
    for _ in 0..cursor.count("schemas", bytes.len())? {
        let (mut names, mut schema) = (cursor.sized()?, Vec::new());
        while !names.is_empty() {
            let name = varint::take_bytes(&mut names).filter(|_| schema.len() < LABELS_MAX);
            schema.push(name.ok_or_else(|| cursor.damage("a schema is cut short or too long"))?.into());
        }
        schemas.push(schema);
    }
    let mut lengths = cursor.part("index rows")?;
    let mut at = bytes.len() - cursor.left();
    let mut blocks = Vec::new();
    while !lengths.is_empty() {
        let head = lengths.u64()?;
        let len = cursor.take(usize::try_from(head >> 1).unwrap_or(usize::MAX))?.len();
        blocks.push((at, len, head & 1 == 1));
        at += len;
    }
    cursor.end()?;
    match (series as usize).div_ceil(ROWS) {
        expected if expected == blocks.len() => Ok((schemas, blocks)),
        expected => Err(cursor.damage(format!("expected {expected} blocks of rows, came {}", blocks.len()))),
    }
}
