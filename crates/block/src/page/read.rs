//! Reads the columns of pages.

use std::mem::size_of;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use nave_model::histogram::Histogram;

use super::histogram::Run;
use super::{Kind, Origin, Scratch};
use crate::column::{Order, Shape};
use crate::damage::Damage;
use crate::decimal::Transform;
use crate::stream::{Codec, Decoder, Numbers};

/// An opened page. The directory has been read; streams are decoded when a column in them is first asked for, and
/// stay decoded.
#[derive(Debug)]
pub struct Page {
    pub(super) bytes: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) samples: usize,
    pub(super) columns: Vec<Column>,
    pub(super) integers: Vec<Integers>,
    pub(super) varying: Vec<Varying>,
    pub(super) streams: Vec<Stream>,
    /// Columns that have some, ascending.
    pub(super) companions: Vec<(u32, Companions)>,
    /// Column, place and bits, ascending.
    pub(super) exceptions: Vec<(u32, u32, u64)>,
    pub(super) runs: Vec<Run>,
}

/// A column as the directory has it. Small, because pages are kept in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) series: u32,
    pub(super) times: u32,
    pub(super) count: u32,
    /// Index of its first integer column.
    pub(super) integers: u32,
    pub(super) transform: Transform,
    pub(super) exceptions: bool,
    pub(super) companions: bool,
}

/// Columns of start timestamps and histograms that go with one of values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Companions {
    pub(super) starts: Option<u32>,
    pub(super) histograms: Option<u32>,
}

/// An integer column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Integers {
    pub(super) first: i64,
    /// Its shape among those that vary; `None` when all values are the first.
    pub(super) varying: Option<u32>,
}

/// What an integer column that is not constant has besides its first value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Varying {
    pub(super) second: i64,
    pub(super) divisor: u64,
    pub(super) base: i64,
    pub(super) order: Order,
    /// `None` when all residuals are zero.
    pub(super) residuals: Option<Residuals>,
}

/// Where residuals are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Residuals {
    pub(super) stream: u8,
    pub(super) start: u32,
    pub(super) count: u32,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) codec: Codec,
    pub(super) count: usize,
    pub(super) bytes: Range<usize>,
    pub(super) numbers: OnceLock<Numbers>,
}

impl Page {
    /// The most memory that it takes when all its streams have been decoded, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let streams: usize = self.streams.iter().map(Stream::memory).sum();
        let runs: usize = self.runs.iter().map(Run::memory).sum();
        size_of::<Self>()
            + self.bytes.len()
            + self.columns.len() * size_of::<Column>()
            + self.integers.len() * size_of::<Integers>()
            + self.varying.len() * size_of::<Varying>()
            + self.companions.len() * size_of::<(u32, Companions)>()
            + self.exceptions.len() * size_of::<(u32, u32, u64)>()
            + streams
            + runs
    }

    /// How many columns there are.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// How many runs of histograms there are.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// How many samples all columns have together.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// How many samples column `i` has; `None` when there is no such column.
    #[must_use]
    pub fn count(&self, i: usize) -> Option<usize> {
        self.columns.get(i).map(|column| column.count as usize)
    }

    /// Whose values column `i` holds; `None` when there is no such column. Nothing in a page of times.
    #[must_use]
    pub fn origin(&self, i: usize) -> Option<Origin> {
        let column = self.columns.get(i)?;
        let mut origin = Origin { series: column.series, times: column.times, ..Origin::default() };
        if column.companions {
            let at = self.companions.partition_point(|(column, _)| (*column as usize) < i);
            let (_, Companions { starts, histograms }) = *self.companions.get(at)?;
            (origin.starts, origin.histograms) = (starts, histograms);
        }
        Some(origin)
    }

    /// The columns of a series: a range of indices, empty when the page has none.
    #[must_use]
    pub fn columns_of(&self, series: u32) -> std::ops::Range<usize> {
        let start = self.columns.partition_point(|column| column.series < series);
        start..self.columns.partition_point(|column| column.series <= series)
    }

    /// Appends the doubles of column `i` to `out`.
    ///
    /// # Errors
    /// When there is no such column, or its stream is damaged.
    pub fn values(&self, i: usize, scratch: &mut Scratch, out: &mut Vec<f64>) -> Result<(), Damage> {
        if self.kind != Kind::Values {
            let what = format!("expected a page of values, this is one of {:?}", self.kind);
            return Err(Damage::new("page", 4, what));
        }
        self.doubles(i, scratch, out)
    }

    fn doubles(&self, i: usize, scratch: &mut Scratch, out: &mut Vec<f64>) -> Result<(), Damage> {
        let column = self.column(i)?;
        let start = out.len();
        let Scratch { decoder, main, distance, .. } = scratch;
        let count = column.count as usize;
        self.restore(column.integers, count, decoder, main)?;
        distance.clear();
        if column.transform.columns() == 2 {
            self.restore(column.integers + 1, count, decoder, distance)?;
        }
        column.transform.join(main, distance, out);
        if column.exceptions {
            let from = self.exceptions.partition_point(|(column, ..)| (*column as usize) < i);
            let own = self.exceptions[from..].iter().take_while(|(column, ..)| *column as usize == i);
            for (_, at, bits) in own {
                out[start + *at as usize] = f64::from_bits(*bits);
            }
        }
        Ok(())
    }

    /// Appends the timestamps (in ms) or ids of column `i` to `out`.
    ///
    /// # Errors
    /// When there is no such column, or its stream is damaged.
    pub fn numbers(&self, i: usize, scratch: &mut Scratch, out: &mut Vec<i64>) -> Result<(), Damage> {
        if !matches!(self.kind, Kind::Times | Kind::Ids) {
            let what = format!("expected a page of integers, this is one of {:?}", self.kind);
            return Err(Damage::new("page", 4, what));
        }
        let column = self.column(i)?;
        self.restore(column.integers, column.count as usize, &mut scratch.decoder, &mut scratch.main)?;
        out.extend_from_slice(&scratch.main);
        Ok(())
    }

    /// Appends the histograms of run `i` whose places in the run are in `wanted`, with their places.
    ///
    /// # Errors
    /// When there is no such run, or a stream is damaged.
    pub fn histograms(
        &self,
        i: usize,
        wanted: Range<u32>,
        scratch: &mut Scratch,
        out: &mut Vec<(u32, Arc<Histogram>)>,
    ) -> Result<(), Damage> {
        let missing = || Damage::new("page", 0, format!("expected a run {i}, there are {}", self.runs.len()));
        let run = self.runs.get(i).ok_or_else(missing)?;
        run.append(wanted, |column, cells| self.doubles(column, scratch, cells), out)
    }

    fn column(&self, i: usize) -> Result<Column, Damage> {
        let missing =
            || Damage::new("page", 0, format!("expected a column {i}, there are {}", self.columns.len()));
        self.columns.get(i).copied().ok_or_else(missing)
    }

    /// The integers of an integer column, in `out`.
    fn restore(&self, i: u32, count: usize, decoder: &mut Decoder, out: &mut Vec<i64>) -> Result<(), Damage> {
        let Integers { first, varying } = self.integers[i as usize];
        out.clear();
        let Some(varying) = varying else {
            out.resize(count, first);
            return Ok(());
        };
        out.resize(count, 0);
        let Varying { second, divisor, base, order, residuals } = self.varying[varying as usize];
        let shape = Shape { order, first, second, gcd: divisor, base };
        let Some(Residuals { stream, start, count }) = residuals else {
            shape.restore::<i64>(&[], out);
            return Ok(());
        };
        let own = start as usize..(start + count) as usize;
        match self.streams[usize::from(stream)].numbers(&self.bytes, decoder)? {
            Numbers::Narrow(numbers) => shape.restore(&numbers[own], out),
            Numbers::Middle(numbers) => shape.restore(&numbers[own], out),
            Numbers::Wide(numbers) => shape.restore(&numbers[own], out),
        }
        Ok(())
    }
}

impl Stream {
    fn memory(&self) -> usize {
        let width = match self.codec {
            Codec::Pco16 => 2,
            Codec::Pco32 => 4,
            Codec::Zstd | Codec::Pco64 => 8,
        };
        size_of::<Self>() + self.count * width
    }

    fn numbers(&self, page: &[u8], decoder: &mut Decoder) -> Result<&Numbers, Damage> {
        if let Some(numbers) = self.numbers.get() {
            return Ok(numbers);
        }
        let numbers = decoder.take(self.codec, &page[self.bytes.clone()], self.count)?;
        Ok(self.numbers.get_or_init(|| numbers))
    }
}
