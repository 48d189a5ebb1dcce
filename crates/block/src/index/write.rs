//! Writes the label index.

use std::collections::{BTreeMap, HashMap};
use std::io;

use nave_base::varint;
use nave_model::label::Labels;

use super::{LABELS_MAX, Parts, ROWS, SEPARATOR, SKIP, postings};
use crate::damage::{put_sized, seal};
use crate::stream::Encoder;

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
    /// Symbols by text, each with its place in `series_of`.
    symbols: BTreeMap<Vec<u8>, u32>,
    series_of: Vec<Vec<u32>>,
    /// Sets of label names, each with its number.
    schemas: HashMap<Vec<u8>, u32>,
    /// Of each series its schema and its symbols (places in `series_of`), one after the other.
    rows: Vec<u32>,
    starts: Vec<usize>,
    key: Vec<u8>,
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
        self.starts.len() as u32
    }

    /// Adds a series and gives its number.
    ///
    /// # Errors
    /// When it is not greater than the last one, or breaks a limit of the format; the index is as it was.
    pub fn push(&mut self, labels: &Labels) -> Result<u32, IndexError> {
        self.check(labels)?;
        let series = self.series();
        self.starts.push(self.rows.len());
        self.key.clear();
        for (name, _) in labels {
            put_sized(&mut self.key, name.as_bytes());
        }
        let schemas = self.schemas.len() as u32;
        self.rows.push(*self.schemas.entry(self.key.clone()).or_insert(schemas));
        for (name, value) in labels {
            let symbol = self.symbol(name, value);
            self.rows.push(symbol);
            self.series_of[symbol as usize].push(series);
        }
        self.last = Some(labels.clone());
        Ok(series)
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
        if self.series() == u32::MAX || self.series_of.len() + labels.len() > u32::MAX as usize {
            return unfit("the index is full");
        }
        Ok(())
    }

    fn symbol(&mut self, name: &str, value: &str) -> u32 {
        self.key.clear();
        self.key.extend_from_slice(name.as_bytes());
        self.key.push(SEPARATOR);
        self.key.extend_from_slice(value.as_bytes());
        if let Some(symbol) = self.symbols.get(&self.key) {
            return *symbol;
        }
        let symbol = self.series_of.len() as u32;
        self.symbols.insert(self.key.clone(), symbol);
        self.series_of.push(Vec::new());
        symbol
    }

    /// Writes the three parts.
    ///
    /// # Errors
    /// Of the compressor, which has no reason to fail.
    pub fn finish(self) -> Result<Parts, IndexError> {
        let mut ordinals = vec![0; self.series_of.len()];
        for (ordinal, symbol) in self.symbols.values().enumerate() {
            ordinals[*symbol as usize] = ordinal as u32;
        }
        Ok(Parts { dictionary: self.dictionary()?, postings: self.postings(), rows: self.rows(&ordinals)? })
    }

    fn dictionary(&self) -> io::Result<Vec<u8>> {
        let mut builder = fst::MapBuilder::memory();
        for (ordinal, symbol) in self.symbols.keys().enumerate() {
            builder.insert(symbol, ordinal as u64).map_err(io::Error::other)?;
        }
        let mut out = vec![0; 4];
        out.extend_from_slice(&builder.into_inner().map_err(io::Error::other)?);
        seal(&mut out, 0);
        Ok(out)
    }

    fn postings(&self) -> Vec<u8> {
        let (mut entries, mut skips, mut start) = (Vec::new(), Vec::new(), 0);
        for (ordinal, symbol) in self.symbols.values().enumerate() {
            if ordinal % SKIP == 0 {
                varint::put_u64(&mut skips, (entries.len() - start) as u64);
                start = entries.len();
            }
            postings::put(&mut entries, &self.series_of[*symbol as usize]);
        }
        let mut out = vec![0; 4];
        varint::put_u64(&mut out, u64::from(self.series()));
        varint::put_u64(&mut out, self.series_of.len() as u64);
        put_sized(&mut out, &skips);
        out.extend_from_slice(&entries);
        seal(&mut out, 0);
        out
    }

    fn rows(&self, ordinals: &[u32]) -> io::Result<Vec<u8>> {
        let mut encoder = Encoder::new()?;
        let schemas = self.schema_names();
        let (mut lengths, mut blocks) = (Vec::new(), Vec::new());
        for first in (0..self.starts.len()).step_by(ROWS) {
            let plain = self.row_block(first, &schemas, ordinals);
            let mut stored = Vec::new();
            let compressed = encoder.put_bytes(&plain, &mut stored)?;
            varint::put_u64(&mut lengths, (stored.len() as u64) << 1 | u64::from(compressed));
            blocks.extend_from_slice(&stored);
        }
        let mut out = vec![0; 4];
        varint::put_u64(&mut out, u64::from(self.series()));
        varint::put_u64(&mut out, schemas.len() as u64);
        for schema in &schemas {
            put_sized(&mut out, schema);
        }
        put_sized(&mut out, &lengths);
        out.extend_from_slice(&blocks);
        seal(&mut out, 0);
        Ok(out)
    }

    fn schema_names(&self) -> Vec<&[u8]> {
        let mut names = vec![&[][..]; self.schemas.len()];
        for (schema, number) in &self.schemas {
            names[*number as usize] = schema;
        }
        names
    }

    /// Schemas of all rows, then label by label the differences of ordinals down the rows.
    fn row_block(&self, first: usize, schemas: &[&[u8]], ordinals: &[u32]) -> Vec<u8> {
        let rows = first..self.starts.len().min(first + ROWS);
        let mut out = Vec::new();
        let mut columns: BTreeMap<&[u8], (i64, Vec<u8>)> = BTreeMap::new();
        for row in rows {
            let end = self.starts.get(row + 1).copied().unwrap_or(self.rows.len());
            let cells = &self.rows[self.starts[row]..end];
            varint::put_u64(&mut out, u64::from(cells[0]));
            let mut names = schemas[cells[0] as usize];
            for symbol in &cells[1..] {
                let name = varint::take_bytes(&mut names).unwrap_or_default();
                let (last, column) = columns.entry(name).or_default();
                let ordinal = i64::from(ordinals[*symbol as usize]);
                varint::put_i64(column, ordinal - *last);
                *last = ordinal;
            }
        }
        columns.values().for_each(|(_, column)| put_sized(&mut out, column));
        out
    }
}
