//! Reads pages.

use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use nave_model::histogram::Histogram;

use super::histogram::Run as HistogramRun;
use super::{
    HAS_COMPANIONS, HAS_EXCEPTIONS, Kind, Origin, SOURCE_CONSTANT, SOURCE_COPY, SOURCE_STREAM, SOURCE_ZERO,
    STREAMS_MAX, field,
};
use crate::block::Run;
use crate::column::{Order, Shape};
use crate::damage::{Cursor, Damage, unseal};
use crate::decimal::Transform;
use crate::stream::{Codec, Decoder};

/// The directory's bytes for a column are fewer than this, but for its exceptions.
const DIRECTORY_COLUMN_MAX: usize = 128;
/// Of an exception: its distance and its bits.
const DIRECTORY_SAMPLE_MAX: usize = 16;
/// Of a page of histograms.
const DIRECTORY_HISTOGRAMS_MAX: usize = 64 << 20;

/// What decoding needs and keeps: compression contexts and buffers. One per thread.
#[derive(Debug)]
pub struct Scratch {
    decoder: Decoder,
    main: Vec<i64>,
    distance: Vec<i64>,
    pub(crate) run: Run,
}

impl Scratch {
    /// Empty buffers.
    ///
    /// # Errors
    /// When there is no memory for the decompressor.
    pub fn new() -> io::Result<Self> {
        Ok(Self { decoder: Decoder::new()?, main: Vec::new(), distance: Vec::new(), run: Run::default() })
    }

    pub(crate) fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }
}

/// An opened page. The directory has been read; streams are decoded when a column in them is first asked for.
#[derive(Debug)]
pub struct Page {
    bytes: Vec<u8>,
    kind: Kind,
    samples: usize,
    columns: Vec<Column>,
    integers: Vec<Integers>,
    streams: Vec<Stream>,
    exceptions: Vec<(u32, u64)>,
    runs: Vec<HistogramRun>,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    origin: Origin,
    transform: Transform,
    count: usize,
    /// Index of its first integer column.
    integers: usize,
    exceptions: (usize, usize),
}

/// An integer column: its shape and where its residuals are.
#[derive(Debug, Clone, Copy)]
struct Integers {
    shape: Shape,
    residuals: Option<Residuals>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Residuals {
    stream: usize,
    start: usize,
    count: usize,
}

#[derive(Debug)]
struct Stream {
    codec: Codec,
    count: usize,
    bytes: Range<usize>,
    numbers: OnceLock<Vec<i64>>,
}

impl Page {
    /// Checks the bytes of a page and reads its directory.
    ///
    /// # Errors
    /// When the checksum does not fit, or the bytes are no page of `kind`.
    pub fn open(kind: Kind, bytes: Vec<u8>, scratch: &mut Scratch) -> Result<Self, Damage> {
        let mut cursor = unseal("page", &bytes)?;
        let code = cursor.byte()?;
        if code != kind.code() {
            return Err(cursor.damage(format!("expected a page of kind {}, came kind {code}", kind.code())));
        }
        let columns = cursor.count("columns", kind.samples_max())?;
        let samples = cursor.count("samples", kind.samples_max())?;
        let max = match kind {
            Kind::Histograms => DIRECTORY_HISTOGRAMS_MAX,
            _ => DIRECTORY_COLUMN_MAX * (columns + 1) + samples * DIRECTORY_SAMPLE_MAX,
        };
        let plain = cursor.count("bytes of the directory", max)?;
        let stored = cursor.sized()?;
        let directory = match plain {
            0 => stored.to_vec(),
            plain => scratch.decoder.take_bytes("page directory", stored, plain)?,
        };
        let streams = take_streams(&mut cursor, 2 * samples, bytes.len())?;
        let mut page = Self {
            bytes,
            kind,
            samples,
            columns: vec![],
            integers: vec![],
            streams,
            exceptions: vec![],
            runs: vec![],
        };
        page.read_directory(&directory, columns)?;
        Ok(page)
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
        self.columns.get(i).map(|column| column.count)
    }

    /// Whose values column `i` holds; `None` when there is no such column. Nothing in a page of times.
    #[must_use]
    pub fn origin(&self, i: usize) -> Option<Origin> {
        self.columns.get(i).map(|column| column.origin)
    }

    /// The columns of a series: a range of indices, empty when the page has none.
    #[must_use]
    pub fn columns_of(&self, series: u32) -> std::ops::Range<usize> {
        let start = self.columns.partition_point(|column| column.origin.series < series);
        start..self.columns.partition_point(|column| column.origin.series <= series)
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
        self.restore(column.integers, column.count, decoder, main)?;
        distance.clear();
        if column.transform.columns() == 2 {
            self.restore(column.integers + 1, column.count, decoder, distance)?;
        }
        column.transform.join(main, distance, out);
        let (from, to) = column.exceptions;
        for (at, bits) in &self.exceptions[from..to] {
            out[start + *at as usize] = f64::from_bits(*bits);
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
        self.restore(column.integers, column.count, &mut scratch.decoder, &mut scratch.main)?;
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
    fn restore(
        &self,
        i: usize,
        count: usize,
        decoder: &mut Decoder,
        out: &mut Vec<i64>,
    ) -> Result<(), Damage> {
        let Integers { shape, residuals } = self.integers[i];
        out.clear();
        out.resize(count, 0);
        match residuals {
            None => shape.restore(&[], out),
            Some(Residuals { stream, start, count }) => {
                let numbers = self.streams[stream].numbers(&self.bytes, decoder)?;
                shape.restore(&numbers[start..start + count], out);
            }
        }
        Ok(())
    }

    fn read_directory(&mut self, plain: &[u8], columns: usize) -> Result<(), Damage> {
        let mut cursor = Cursor::new("page directory", plain);
        let mut fields = Vec::with_capacity(field::ALL);
        for _ in 0..field::ALL {
            fields.push(cursor.part("page directory")?);
        }
        cursor.end()?;
        let mut used = vec![0; self.streams.len()];
        let samples = match self.kind {
            Kind::Histograms => self.read_runs(&mut fields, &mut used)?,
            _ => self.read_columns(columns, &mut fields, &mut used)?,
        };
        if self.columns.len() != columns {
            let came = self.columns.len();
            return Err(cursor.damage(format!("expected {columns} columns, came {came}")));
        }
        fields.iter().try_for_each(Cursor::end)?;
        let whole = self.streams.iter().zip(&used).all(|(stream, used)| stream.count == *used);
        if samples != self.samples || !whole {
            return Err(cursor.damage(format!("columns with {samples} samples do not fit the page's counts")));
        }
        Ok(())
    }

    /// Columns of values, times or ids; gives how many samples they have.
    fn read_columns(
        &mut self,
        columns: usize,
        fields: &mut [Cursor<'_>],
        used: &mut [usize],
    ) -> Result<usize, Damage> {
        let mut samples = 0;
        for _ in 0..columns {
            samples += self.read_column(fields, used)?;
            if samples > self.samples {
                let expected = self.samples;
                return Err(fields[field::COUNT].damage(format!("expected {expected} samples, came more")));
            }
        }
        Ok(samples)
    }

    /// Runs of histograms and their columns; gives how many doubles these have.
    fn read_runs(&mut self, fields: &mut [Cursor<'_>], used: &mut [usize]) -> Result<usize, Damage> {
        let mut runs = fields[field::HISTOGRAM].clone();
        let mut samples = 0;
        for _ in 0..runs.count("runs", runs.left())? {
            let room = self.samples - samples;
            let run = HistogramRun::take(&mut runs, room, |columns, len| {
                let first = self.columns.len();
                for _ in 0..columns {
                    let came = self.read_column(fields, used)?;
                    if came != len {
                        return Err(
                            fields[field::COUNT].damage(format!("expected {len} histograms, came {came}"))
                        );
                    }
                    samples += came;
                }
                Ok(first)
            })?;
            self.runs.push(run);
        }
        fields[field::HISTOGRAM] = runs;
        Ok(samples)
    }

    fn read_column(&mut self, fields: &mut [Cursor<'_>], used: &mut [usize]) -> Result<usize, Damage> {
        let count = fields[field::COUNT].count("samples", self.kind.samples_max())?;
        if count == 0 {
            return Err(fields[field::COUNT].damage("expected a column with samples, it has none"));
        }
        let code = fields[field::TRANSFORM].byte()?;
        let transform = Transform::from_code(code & !(HAS_EXCEPTIONS | HAS_COMPANIONS))
            .filter(|transform| {
                (*transform == Transform::Integer) == matches!(self.kind, Kind::Times | Kind::Ids)
            })
            .ok_or_else(|| fields[field::TRANSFORM].damage(format!("unknown transform {code}")))?;
        let origin = self.read_origin(fields, code & HAS_COMPANIONS != 0)?;
        let from = self.exceptions.len();
        if code & HAS_EXCEPTIONS != 0 {
            self.read_exceptions(&mut fields[field::EXCEPTION], count)?;
        }
        let integers = self.integers.len();
        for _ in 0..transform.columns() {
            self.read_integers(fields, count, used)?;
        }
        let exceptions = (from, self.exceptions.len());
        self.columns.push(Column { origin, transform, count, integers, exceptions });
        Ok(count)
    }

    /// Numbers of series do not descend, so that a series can be found.
    fn read_origin(&self, fields: &mut [Cursor<'_>], companions: bool) -> Result<Origin, Damage> {
        if self.kind != Kind::Values {
            return Ok(Origin::default());
        }
        let last = self.columns.last().map_or(Origin::default(), |column| column.origin);
        let add = |last: u32, cursor: &mut Cursor<'_>, least: i64| {
            let next = i64::from(last).saturating_add(cursor.i64()?);
            let number = u32::try_from(next).ok().filter(|_| next >= least);
            number.ok_or_else(|| cursor.damage(format!("expected a number of at least {least}, came {next}")))
        };
        let series = add(last.series, &mut fields[field::SERIES], i64::from(last.series))?;
        let times = add(last.times, &mut fields[field::TIMES], 0)?;
        let (mut starts, mut histograms) = (None, None);
        if companions {
            let mut number = || -> Result<Option<u32>, Damage> {
                let number = fields[field::COMPANION].count("companion columns", u32::MAX as usize)?;
                Ok(number.checked_sub(1).map(|number| number as u32))
            };
            (starts, histograms) = (number()?, number()?);
        }
        Ok(Origin { series, times, starts, histograms })
    }

    fn read_exceptions(&mut self, cursor: &mut Cursor<'_>, count: usize) -> Result<(), Damage> {
        let exceptions = cursor.count("exceptions", count)?;
        let (mut next, mut last) = (0, 0);
        for _ in 0..exceptions {
            let at = next + cursor.count("samples before an exception", self.kind.samples_max())?;
            last ^= cursor.u64()?.rotate_right(16);
            if at >= count {
                return Err(
                    cursor.damage(format!("expected an exception among {count} samples, came one at {at}"))
                );
            }
            self.exceptions.push((at as u32, last));
            next = at + 1;
        }
        Ok(())
    }

    fn read_integers(
        &mut self,
        fields: &mut [Cursor<'_>],
        count: usize,
        used: &mut [usize],
    ) -> Result<(), Damage> {
        let form = fields[field::FORM].byte()?;
        let (order, source) = (Order::from_bits(form), form >> 2);
        let first = fields[field::FIRST].i64()?;
        let mut shape = Shape { order, first, second: 0, gcd: 1, base: 0 };
        if source != SOURCE_CONSTANT {
            shape.gcd = fields[field::DIVISOR].u64()?;
            shape.base = fields[field::BASE].i64()?;
            if matches!(order, Order::Bend | Order::Line) {
                shape.second = fields[field::SECOND].i64()?;
            }
        }
        let count = shape.residuals(count);
        let residuals = match source {
            SOURCE_CONSTANT | SOURCE_ZERO => None,
            SOURCE_COPY => Some(self.read_copy(&mut fields[field::COPY], count)?),
            source => {
                let stream = usize::from(source - SOURCE_STREAM);
                let end = used.get(stream).map(|used| used + count);
                let end = end.filter(|end| *end <= self.streams[stream].count);
                let Some(end) = end else {
                    return Err(fields[field::FORM]
                        .damage(format!("expected {count} more numbers in stream {stream}")));
                };
                used[stream] = end;
                Some(Residuals { stream, start: end - count, count })
            }
        };
        self.integers.push(Integers { shape, residuals });
        Ok(())
    }

    fn read_copy(&self, cursor: &mut Cursor<'_>, count: usize) -> Result<Residuals, Damage> {
        let back = cursor.count("columns back", self.integers.len())?;
        let original = self.integers.len().checked_sub(back).and_then(|at| self.integers.get(at));
        original
            .and_then(|original| original.residuals)
            .filter(|residuals| residuals.count == count)
            .ok_or_else(|| {
                cursor.damage(format!("expected a column with {count} residuals {back} columns back"))
            })
    }
}

impl Stream {
    fn numbers(&self, page: &[u8], decoder: &mut Decoder) -> Result<&[i64], Damage> {
        if self.numbers.get().is_none() {
            let numbers = decoder.take(self.codec, &page[self.bytes.clone()], self.count)?;
            return Ok(self.numbers.get_or_init(|| numbers));
        }
        Ok(self.numbers.get().map_or(&[], Vec::as_slice))
    }
}

fn take_streams(cursor: &mut Cursor<'_>, max: usize, page_len: usize) -> Result<Vec<Stream>, Damage> {
    let count = usize::from(cursor.byte()?);
    if count > STREAMS_MAX {
        return Err(cursor.damage(format!("expected at most {STREAMS_MAX} streams, came {count}")));
    }
    let mut lengths = Vec::with_capacity(count);
    let mut left = max;
    for _ in 0..count {
        let numbers = cursor.count("numbers in a stream", left)?;
        left -= numbers;
        if numbers == 0 {
            lengths.push((Codec::Zstd, 0, 0));
            continue;
        }
        let code = cursor.byte()?;
        let codec = Codec::from_code(code).ok_or_else(|| cursor.damage(format!("unknown coding {code}")))?;
        lengths.push((codec, numbers, cursor.count("bytes of a stream", usize::MAX)?));
    }
    let mut streams = Vec::with_capacity(count);
    for (codec, count, len) in lengths {
        let start = page_len - cursor.left();
        cursor.take(len)?;
        streams.push(Stream { codec, count, bytes: start..start + len, numbers: OnceLock::new() });
    }
    cursor.end()?;
    Ok(streams)
}
