//! Opens a page: its checksum, its streams' places and its directory.

use std::sync::OnceLock;

use super::histogram::Run;
use super::read::{Column, Companions, Integers, Residuals, Stream, Varying};
use super::{
    HAS_COMPANIONS, HAS_EXCEPTIONS, Kind, Page, SOURCE_CONSTANT, SOURCE_COPY, SOURCE_STREAM, SOURCE_ZERO,
    STREAMS_MAX, Scratch, field,
};
use crate::column::Order;
use crate::damage::{Cursor, Damage, unseal};
use crate::decimal::Transform;
use crate::stream::Codec;

/// The directory's bytes for a column are fewer than this, but for its exceptions.
const DIRECTORY_COLUMN_MAX: usize = 128;
/// Of an exception: its distance and its bits.
const DIRECTORY_SAMPLE_MAX: usize = 16;
/// Of a page of histograms.
const DIRECTORY_HISTOGRAMS_MAX: usize = 64 << 20;

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
            varying: vec![],
            streams,
            companions: vec![],
            exceptions: vec![],
            runs: vec![],
        };
        page.read_directory(&directory, columns)?;
        Ok(page)
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
            let run = Run::take(&mut runs, room, |columns, len| {
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
        let (series, times) = self.read_origin(fields)?;
        let (exceptions, companions) = (code & HAS_EXCEPTIONS != 0, code & HAS_COMPANIONS != 0);
        if companions {
            self.read_companions(&mut fields[field::COMPANION])?;
        }
        if exceptions {
            self.read_exceptions(&mut fields[field::EXCEPTION], count)?;
        }
        let integers = self.integers.len() as u32;
        for _ in 0..transform.columns() {
            self.read_integers(fields, count, used)?;
        }
        let column =
            Column { series, times, count: count as u32, integers, transform, exceptions, companions };
        self.columns.push(column);
        Ok(count)
    }

    /// Series and times of a column. Numbers of series do not descend, so that a series can be found.
    fn read_origin(&self, fields: &mut [Cursor<'_>]) -> Result<(u32, u32), Damage> {
        if self.kind != Kind::Values {
            return Ok((0, 0));
        }
        let (series, times) = self.columns.last().map_or((0, 0), |column| (column.series, column.times));
        let add = |last: u32, cursor: &mut Cursor<'_>, least: i64| {
            let next = i64::from(last).saturating_add(cursor.i64()?);
            let number = u32::try_from(next).ok().filter(|_| next >= least);
            number.ok_or_else(|| cursor.damage(format!("expected a number of at least {least}, came {next}")))
        };
        Ok((
            add(series, &mut fields[field::SERIES], i64::from(series))?,
            add(times, &mut fields[field::TIMES], 0)?,
        ))
    }

    fn read_companions(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Damage> {
        let mut number = || -> Result<Option<u32>, Damage> {
            let number = cursor.count("companion columns", u32::MAX as usize)?;
            Ok(number.checked_sub(1).map(|number| number as u32))
        };
        let companions = Companions { starts: number()?, histograms: number()? };
        self.companions.push((self.columns.len() as u32, companions));
        Ok(())
    }

    fn read_exceptions(&mut self, cursor: &mut Cursor<'_>, count: usize) -> Result<(), Damage> {
        let exceptions = cursor.count("exceptions", count)?;
        let column = self.columns.len() as u32;
        let (mut next, mut last) = (0, 0);
        for _ in 0..exceptions {
            let at = next + cursor.count("samples before an exception", self.kind.samples_max())?;
            last ^= cursor.u64()?.rotate_right(16);
            if at >= count {
                return Err(
                    cursor.damage(format!("expected an exception among {count} samples, came one at {at}"))
                );
            }
            self.exceptions.push((column, at as u32, last));
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
        if source == SOURCE_CONSTANT {
            self.integers.push(Integers { first, varying: None });
            return Ok(());
        }
        let (divisor, base) = (fields[field::DIVISOR].u64()?, fields[field::BASE].i64()?);
        let second = match order {
            Order::Bend | Order::Line => fields[field::SECOND].i64()?,
            Order::Level | Order::Slope => 0,
        };
        let count = order.residuals(count);
        let residuals = match source {
            SOURCE_ZERO => None,
            SOURCE_COPY => Some(self.read_copy(&mut fields[field::COPY], count)?),
            source => {
                let stream = source - SOURCE_STREAM;
                let at = usize::from(stream);
                let end = used.get(at).map(|used| used + count);
                let Some(end) = end.filter(|end| *end <= self.streams[at].count) else {
                    return Err(
                        fields[field::FORM].damage(format!("expected {count} more numbers in stream {at}"))
                    );
                };
                used[at] = end;
                Some(Residuals { stream, start: (end - count) as u32, count: count as u32 })
            }
        };
        self.integers.push(Integers { first, varying: Some(self.varying.len() as u32) });
        self.varying.push(Varying { second, divisor, base, order, residuals });
        Ok(())
    }

    fn read_copy(&self, cursor: &mut Cursor<'_>, count: usize) -> Result<Residuals, Damage> {
        let back = cursor.count("columns back", self.integers.len())?;
        let original = self.integers.len().checked_sub(back).and_then(|at| self.integers.get(at));
        original
            .and_then(|original| self.varying[original.varying? as usize].residuals)
            .filter(|residuals| residuals.count as usize == count)
            .ok_or_else(|| {
                cursor.damage(format!("expected a column with {count} residuals {back} columns back"))
            })
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
