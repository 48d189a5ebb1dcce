//! Writes the label index.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io;

use hashbrown::HashTable;
use nave_base::varint;
use nave_model::label::Labels;

use super::{LABELS_MAX, Parts, ROWS, SEPARATOR, SKIP, dictionary, postings};
use crate::column::{unzigzag, zigzag};
use crate::damage::{put_sized, seal};
use crate::stream::{Effort, Encoder};

/// Series numbers that are sorted by symbol at a time, 4 bytes each.
const SORTED_MAX: usize = 16 << 20;

/// Why a series is not taken into an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Series come in ascending order of metric name, then labels, each once.
    #[error("series are out of order: {next} after {before}")]
    OutOfOrder {
        /// The series before.
        before: String,
        /// The series that should have come earlier.
        next: String,
    },
    /// The format's limits: labels of a series, series of a block, no NUL in a label name.
    #[error("series {series} cannot be indexed: {reason}")]
    Unfit {
        /// The series.
        series: String,
        /// Which limit it breaks.
        reason: &'static str,
    },
    /// The compressor failed.
    #[error("label index: {0}")]
    Compress(#[from] io::Error),
}

/// Collects series, then writes the index.
#[derive(Debug, Default)]
pub struct IndexWriter {
    last: Option<Labels>,
    series: u32,
    symbols: Symbols,
    /// Sets of label names, each with its number.
    schemas: HashMap<Vec<u8>, u32>,
    rows: RowLog,
    key: Vec<u8>,
}

/// Symbols in the order in which they came.
#[derive(Debug, Default)]
struct Symbols {
    text: Vec<u8>,
    /// Where the text of each ends.
    ends: Vec<u32>,
    /// How many series have each.
    counts: Vec<u32>,
    numbers: HashTable<u32>,
    hasher: std::hash::RandomState,
}

/// Schema and symbols of each series, each symbol less the one that stood there in the row above: little more than a
/// byte for a label.
#[derive(Debug, Default)]
struct RowLog {
    bytes: Vec<u8>,
    /// The symbols of the last row by place, or of the last one that had as many.
    above: Vec<u32>,
}

/// Reads a [`RowLog`] from its start.
#[derive(Debug)]
struct RowReader<'a> {
    rest: &'a [u8],
    above: Vec<u32>,
}

impl IndexWriter {
    /// An empty index.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Series so far.
    #[must_use]
    pub fn series(&self) -> u32 {
        self.series
    }

    /// Bytes it holds, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let Symbols { text, ends, counts, numbers, .. } = &self.symbols;
        text.capacity()
            + (ends.capacity() + counts.capacity()) * 4
            + numbers.capacity() * 5
            + self.rows.bytes.capacity()
    }

    /// Adds a series and gives its number.
    ///
    /// # Errors
    /// When it is not greater than the last one, or breaks a limit of the format; the index is as it was.
    pub fn push(&mut self, labels: &Labels) -> Result<u32, IndexError> {
        self.check(labels)?;
        self.key.clear();
        for (name, _) in labels {
            put_sized(&mut self.key, name.as_bytes());
        }
        let schemas = self.schemas.len() as u32;
        let schema = match self.schemas.get(&self.key) {
            Some(schema) => *schema,
            None => *self.schemas.entry(self.key.clone()).or_insert(schemas),
        };
        varint::put_u64(&mut self.rows.bytes, u64::from(schema));
        for (at, (name, value)) in labels.iter().enumerate() {
            self.key.clear();
            self.key.extend_from_slice(name.as_bytes());
            self.key.push(SEPARATOR);
            self.key.extend_from_slice(value.as_bytes());
            let symbol = self.symbols.place(&self.key, self.rows.above.get(at).copied());
            self.rows.push(at, symbol);
        }
        self.last = Some(labels.clone());
        self.series += 1;
        Ok(self.series - 1)
    }

    fn check(&self, labels: &Labels) -> Result<(), IndexError> {
        let unfit = |reason| Err(IndexError::Unfit { series: labels.to_string(), reason });
        if let Some(last) = &self.last
            && (last.metric_name(), last) >= (labels.metric_name(), labels)
        {
            return Err(IndexError::OutOfOrder { before: last.to_string(), next: labels.to_string() });
        }
        if labels.len() > LABELS_MAX {
            return unfit("it has more than 4096 labels");
        }
        if labels.iter().any(|(name, _)| name.as_bytes().contains(&SEPARATOR)) {
            return unfit("a label name contains a NUL");
        }
        // A separator takes no more than the length it replaces.
        let text = self.symbols.text.len() + labels.as_bytes().len();
        if self.series == u32::MAX || text > u32::MAX as usize {
            return unfit("the index is full");
        }
        Ok(())
    }

    /// Writes the three parts.
    ///
    /// # Errors
    /// Of the compressor, which has no reason to fail.
    pub fn finish(mut self) -> Result<Parts, IndexError> {
        self.symbols.numbers = HashTable::new();
        let mut encoder = Encoder::new(Effort::Small)?;
        let mut sorted: Vec<u32> = (0..self.symbols.ends.len() as u32).collect();
        sorted.sort_unstable_by_key(|symbol| self.symbols.text(*symbol));
        let dictionary =
            dictionary::write(sorted.iter().map(|symbol| self.symbols.text(*symbol)), &mut encoder)?;
        let mut ordinals = vec![0; sorted.len()];
        for (ordinal, symbol) in sorted.iter().enumerate() {
            ordinals[*symbol as usize] = ordinal as u32;
        }
        let counts: Vec<u32> = sorted.iter().map(|symbol| self.symbols.counts[*symbol as usize]).collect();
        drop(sorted);
        self.symbols = Symbols::default();
        let postings = self.postings(&ordinals, &counts, SORTED_MAX);
        Ok(Parts { dictionary, postings, rows: self.rows(&ordinals, &mut encoder)? })
    }

    /// Number of labels of each schema.
    fn schema_lens(&self) -> Vec<usize> {
        let mut lens = vec![0; self.schemas.len()];
        for (schema, number) in &self.schemas {
            lens[*number as usize] = take_names(schema).count();
        }
        lens
    }

    /// Sorts series by symbol, `sorted_max` of them at a time: one pass over all rows each.
    fn postings(&self, ordinals: &[u32], counts: &[u32], sorted_max: usize) -> Vec<u8> {
        let (mut entries, mut skips, mut start) = (Vec::new(), Vec::new(), 0);
        let lens = self.schema_lens();
        let mut first = 0;
        while first < counts.len() {
            let (end, lists) = self.sort_some(ordinals, counts, first, sorted_max, &lens);
            let mut rest = &lists[..];
            for (ordinal, count) in (first..end).zip(&counts[first..end]) {
                if ordinal % SKIP == 0 {
                    varint::put_u64(&mut skips, (entries.len() - start) as u64);
                    start = entries.len();
                }
                let (series, others) = rest.split_at(*count as usize);
                postings::put(&mut entries, series);
                rest = others;
            }
            first = end;
        }
        let mut out = vec![0; 4];
        varint::put_u64(&mut out, u64::from(self.series()));
        varint::put_u64(&mut out, counts.len() as u64);
        put_sized(&mut out, &skips);
        out.extend_from_slice(&entries);
        seal(&mut out, 0);
        out
    }

    /// The series of ordinals from `first` on, one list behind the other, and the ordinal behind the last of them.
    fn sort_some(
        &self,
        ordinals: &[u32],
        counts: &[u32],
        first: usize,
        sorted_max: usize,
        lens: &[usize],
    ) -> (usize, Vec<u32>) {
        let (mut places, mut total) = (Vec::new(), 0);
        for count in &counts[first..] {
            if !places.is_empty() && total + *count as usize > sorted_max {
                break;
            }
            places.push(total);
            total += *count as usize;
        }
        let end = first + places.len();
        let mut lists = vec![0; total];
        let (mut reader, mut cells) = (self.rows.reader(), Vec::new());
        for series in 0..self.series {
            reader.next(lens, &mut cells);
            for symbol in &cells {
                let ordinal = ordinals[*symbol as usize] as usize;
                if (first..end).contains(&ordinal) {
                    let place = &mut places[ordinal - first];
                    lists[*place] = series;
                    *place += 1;
                }
            }
        }
        (end, lists)
    }

    fn rows(&self, ordinals: &[u32], encoder: &mut Encoder) -> io::Result<Vec<u8>> {
        let mut lists = vec![&[][..]; self.schemas.len()];
        for (schema, number) in &self.schemas {
            lists[*number as usize] = schema;
        }
        let mut names: Vec<&[u8]> = lists.iter().flat_map(|list| take_names(list)).collect();
        names.sort_unstable();
        names.dedup();
        let place = |name: &[u8]| names.partition_point(|known| *known < name) as u32;
        let schemas: Vec<Vec<u32>> = lists.iter().map(|list| take_names(list).map(place).collect()).collect();
        let (mut head, mut blocks) = (vec![0; 4], Vec::new());
        varint::put_u64(&mut head, u64::from(self.series()));
        varint::put_u64(&mut head, schemas.len() as u64);
        lists.iter().for_each(|list| put_sized(&mut head, list));
        let mut reader = self.rows.reader();
        for first in (0..self.series).step_by(ROWS) {
            let count = ROWS.min((self.series - first) as usize);
            let plain = row_block(count, &mut reader, &schemas, ordinals);
            let start = blocks.len();
            blocks.extend_from_slice(&[0; 4]);
            let compressed = encoder.put_bytes(&plain, &mut blocks)?;
            seal(&mut blocks, start);
            varint::put_u64(&mut head, ((blocks.len() - start) as u64) << 1 | u64::from(compressed));
        }
        seal(&mut head, 0);
        let mut out = Vec::with_capacity(head.len() + blocks.len() + 10);
        put_sized(&mut out, &head);
        out.extend_from_slice(&blocks);
        Ok(out)
    }
}

/// The names of a schema.
fn take_names(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || varint::take_bytes(&mut list))
}

/// Schemas of all rows, then label by label the differences of ordinals down the rows.
fn row_block(count: usize, reader: &mut RowReader<'_>, schemas: &[Vec<u32>], ordinals: &[u32]) -> Vec<u8> {
    let lens: Vec<usize> = schemas.iter().map(Vec::len).collect();
    let (mut out, mut columns) = (Vec::new(), std::collections::BTreeMap::<u32, (i64, Vec<u8>)>::new());
    let mut cells = Vec::new();
    for _ in 0..count {
        let schema = reader.next(&lens, &mut cells);
        varint::put_u64(&mut out, schema as u64);
        for (name, symbol) in schemas[schema].iter().zip(&cells) {
            let (last, column) = columns.entry(*name).or_default();
            let ordinal = i64::from(ordinals[*symbol as usize]);
            varint::put_i64(column, ordinal - *last);
            *last = ordinal;
        }
    }
    columns.values().for_each(|(_, column)| put_sized(&mut out, column));
    out
}

impl Symbols {
    fn text(&self, symbol: u32) -> &[u8] {
        let symbol = symbol as usize;
        let start = symbol.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[symbol] as usize]
    }

    /// The number of a symbol of a series, which is most often that of the row above.
    fn place(&mut self, key: &[u8], above: Option<u32>) -> u32 {
        let symbol = match above.filter(|symbol| self.text(*symbol) == key) {
            Some(symbol) => symbol,
            None => self.find(key),
        };
        self.counts[symbol as usize] += 1;
        symbol
    }

    fn find(&mut self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        if let Some(symbol) = self.numbers.find(hash, |symbol| self.text(*symbol) == key) {
            return *symbol;
        }
        let symbol = self.ends.len() as u32;
        self.text.extend_from_slice(key);
        self.ends.push(self.text.len() as u32);
        self.counts.push(0);
        let Self { text, ends, numbers, hasher, .. } = self;
        let text_of = |symbol: u32| {
            let start = (symbol as usize).checked_sub(1).map_or(0, |before| ends[before]);
            &text[start as usize..ends[symbol as usize] as usize]
        };
        let rehash = |symbol: &u32| hasher.hash_one(text_of(*symbol));
        numbers.insert_unique(hash, symbol, rehash);
        symbol
    }
}

impl RowLog {
    fn push(&mut self, at: usize, symbol: u32) {
        if self.above.len() <= at {
            self.above.resize(at + 1, 0);
        }
        let difference = i64::from(symbol) - i64::from(self.above[at]);
        varint::put_u64(&mut self.bytes, zigzag(difference));
        self.above[at] = symbol;
    }

    fn reader(&self) -> RowReader<'_> {
        RowReader { rest: &self.bytes, above: Vec::new() }
    }
}

impl RowReader<'_> {
    /// The symbols of the next row in `cells`, and its schema; `lens` says how many labels each schema has.
    fn next(&mut self, lens: &[usize], cells: &mut Vec<u32>) -> usize {
        let mut number = || varint::take_u64(&mut self.rest).unwrap_or_default();
        let schema = number() as usize;
        cells.clear();
        for at in 0..lens[schema] {
            if self.above.len() <= at {
                self.above.push(0);
            }
            let symbol = i64::from(self.above[at]) + unzigzag(number());
            self.above[at] = symbol as u32;
            cells.push(symbol as u32);
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However few series numbers are sorted at a time, the postings are the same.
    #[test]
    fn passes_give_the_same_postings() {
        let mut writer = IndexWriter::new();
        for i in 0..500 {
            let (name, pod) = (format!("m{}", i / 50), format!("pod-{:02}", i % 50));
            writer.push(&Labels::from_pairs([("__name__", name), ("pod", pod)]).unwrap()).unwrap();
        }
        let mut sorted: Vec<u32> = (0..writer.symbols.ends.len() as u32).collect();
        sorted.sort_unstable_by_key(|symbol| writer.symbols.text(*symbol));
        let mut ordinals = vec![0; sorted.len()];
        sorted.iter().zip(0..).for_each(|(symbol, ordinal)| ordinals[*symbol as usize] = ordinal);
        let counts: Vec<u32> = sorted.iter().map(|symbol| writer.symbols.counts[*symbol as usize]).collect();
        let whole = writer.postings(&ordinals, &counts, usize::MAX);
        for sorted_max in [1, 7, 60, 999] {
            assert_eq!(writer.postings(&ordinals, &counts, sorted_max), whole, "{sorted_max}");
        }
    }
}
