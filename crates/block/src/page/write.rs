//! Writes pages.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use nave_base::varint;
use nave_model::histogram::Histogram;

use super::histogram::Segments;
use super::{
    HAS_COMPANIONS, HAS_EXCEPTIONS, Kind, Origin, SOURCE_CONSTANT, SOURCE_COPY, SOURCE_STREAM, SOURCE_ZERO,
    field,
};
use crate::column::{Fitter, Order, Shape, width};
use crate::damage::{put_sized, seal};
use crate::decimal::{Splitter, Transform};
use crate::stream::{Effort, Encoder, Trial};

/// Mean widths at which the next group of streams begins, in eighths of a bit.
const GROUPS: [u64; 15] = [8, 14, 22, 30, 38, 46, 54, 62, 70, 80, 94, 112, 140, 200, 320];
/// The group of columns that are mostly zero.
const SPARSE: usize = GROUPS.len() + 1;

/// Collects the columns of one page, then writes it. Holds no more than the page's residuals.
#[derive(Debug)]
pub struct PageWriter {
    kind: Kind,
    columns: usize,
    samples: usize,
    runs: usize,
    fields: [Vec<u8>; field::ALL],
    /// Residuals by group.
    streams: [Vec<i64>; SPARSE + 1],
    /// Integer columns so far, and where their residuals are, by their hash.
    integers: usize,
    last: Origin,
    known: HashMap<u64, Known>,
    fitter: Fitter,
    splitter: Splitter,
    residuals: Vec<i64>,
    encoder: Encoder,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    integer: usize,
    group: usize,
    start: usize,
}

impl PageWriter {
    /// An empty page.
    ///
    /// # Errors
    /// When there is no memory for the compressor.
    pub fn new(kind: Kind, effort: Effort) -> io::Result<Self> {
        Ok(Self {
            kind,
            columns: 0,
            samples: 0,
            runs: 0,
            fields: Default::default(),
            streams: Default::default(),
            integers: 0,
            last: Origin::default(),
            known: HashMap::new(),
            fitter: if kind == Kind::Times { Fitter::for_times() } else { Fitter::new(effort) },
            splitter: Splitter::new(effort),
            residuals: Vec::new(),
            encoder: Encoder::new(effort)?,
        })
    }

    /// Columns so far.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Samples so far.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Adds a column to a page of values.
    ///
    /// # Panics
    /// When the page is another one, `values` is empty, or the page would have more than [`super::SAMPLES_MAX`] samples.
    pub fn push_values(&mut self, origin: Origin, values: &[f64]) {
        assert_eq!(self.kind, Kind::Values, "PageWriter: doubles belong into a page of values");
        self.begin(values.len());
        let Origin { series, times, starts, histograms } = origin;
        varint::put_i64(&mut self.fields[field::SERIES], i64::from(series) - i64::from(self.last.series));
        varint::put_i64(&mut self.fields[field::TIMES], i64::from(times) - i64::from(self.last.times));
        self.last = origin;
        let companions = starts.is_some() || histograms.is_some();
        if companions {
            for number in [starts, histograms] {
                let number = number.map_or(0, |number| u64::from(number) + 1);
                varint::put_u64(&mut self.fields[field::COMPANION], number);
            }
        }
        self.push_doubles(values, if companions { HAS_COMPANIONS } else { 0 });
    }

    fn push_doubles(&mut self, values: &[f64], mut flags: u8) {
        let mut splitter = std::mem::take(&mut self.splitter);
        let transform = splitter.split(values);
        if !splitter.exceptions.is_empty() {
            flags |= HAS_EXCEPTIONS;
        }
        self.fields[field::TRANSFORM].push(transform.code() | flags);
        self.push_exceptions(&splitter.exceptions);
        self.push_integers(&splitter.main);
        if transform.columns() == 2 {
            self.push_integers(&splitter.distance);
        }
        self.splitter = splitter;
    }

    /// Adds a column to a page of times (in ms) or of ids.
    ///
    /// # Panics
    /// When the page is another one, `numbers` is empty, or the page would have more than [`super::SAMPLES_MAX`] of them.
    pub fn push_numbers(&mut self, numbers: &[i64]) {
        let fits = matches!(self.kind, Kind::Times | Kind::Ids);
        assert!(fits, "PageWriter: integers belong into a page of times or ids");
        self.begin(numbers.len());
        self.fields[field::TRANSFORM].push(Transform::Integer.code());
        self.push_integers(numbers);
    }

    /// Adds a run to a page of histograms: positions, which ascend, and histograms.
    ///
    /// # Panics
    /// When the page is another one, `histograms` is empty, or the page would have too many buckets.
    pub fn push_histograms(&mut self, histograms: &[(u32, Arc<Histogram>)]) {
        assert_eq!(self.kind, Kind::Histograms, "PageWriter: histograms belong into a page of histograms");
        assert!(!histograms.is_empty(), "PageWriter: a run has at least one histogram");
        let segments = Segments::new(histograms);
        segments.put(&mut self.fields[field::HISTOGRAM]);
        self.runs += 1;
        segments.columns(|column| {
            self.begin(column.len());
            self.push_doubles(column, 0);
        });
    }

    /// Runs of histograms so far.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs
    }

    fn begin(&mut self, samples: usize) {
        assert!(samples > 0, "PageWriter: a column has at least one sample");
        self.samples += samples;
        let max = self.kind.samples_max();
        assert!(self.samples <= max, "PageWriter: a page has at most {max} samples");
        self.columns += 1;
        varint::put_u64(&mut self.fields[field::COUNT], samples as u64);
    }

    fn push_exceptions(&mut self, exceptions: &[(u32, u64)]) {
        if exceptions.is_empty() {
            return;
        }
        let out = &mut self.fields[field::EXCEPTION];
        varint::put_u64(out, exceptions.len() as u64);
        let (mut next, mut last) = (0, 0);
        for (at, bits) in exceptions {
            varint::put_u64(out, u64::from(at - next));
            // Kinds of NaN differ in their lowest and their highest bits: turned, the XOR is a short varint.
            varint::put_u64(out, (bits ^ last).rotate_left(16));
            (next, last) = (at + 1, *bits);
        }
    }

    fn push_integers(&mut self, x: &[i64]) {
        let mut residuals = std::mem::take(&mut self.residuals);
        let (shape, _) = self.fitter.fit(x, &mut residuals);
        let source = self.place(&residuals);
        self.residuals = residuals;
        self.put_shape(shape, source);
        self.integers += 1;
    }

    /// Puts the residuals into their stream, unless they are zeros or stand there already.
    fn place(&mut self, residuals: &[i64]) -> u8 {
        if residuals.iter().all(|residual| *residual == 0) {
            return SOURCE_ZERO;
        }
        let hash = fingerprint(residuals);
        if let Some(known) = self.known.get(&hash) {
            let stream = &self.streams[known.group];
            if stream.get(known.start..known.start + residuals.len()) == Some(residuals) {
                let back = self.integers - known.integer;
                varint::put_u64(&mut self.fields[field::COPY], back as u64);
                return SOURCE_COPY;
            }
        }
        let group = group(residuals);
        let start = self.streams[group].len();
        self.streams[group].extend_from_slice(residuals);
        self.known.insert(hash, Known { integer: self.integers, group, start });
        SOURCE_STREAM + group as u8
    }

    fn put_shape(&mut self, shape: Shape, source: u8) {
        let Shape { order, first, second, gcd, base } = shape;
        let constant = source == SOURCE_ZERO && order == Order::Level && base == 0;
        let source = if constant { SOURCE_CONSTANT } else { source };
        self.fields[field::FORM].push(order.bits() | source << 2);
        varint::put_i64(&mut self.fields[field::FIRST], first);
        if constant {
            return;
        }
        varint::put_u64(&mut self.fields[field::DIVISOR], gcd);
        varint::put_i64(&mut self.fields[field::BASE], base);
        if matches!(order, Order::Bend | Order::Line) {
            varint::put_i64(&mut self.fields[field::SECOND], second);
        }
    }

    /// Appends the page to `out` and empties the writer.
    ///
    /// # Errors
    /// Of the compressors, which have no reason to fail.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.push(self.kind.code());
        varint::put_u64(out, self.columns as u64);
        varint::put_u64(out, self.samples as u64);
        self.put_directory(out)?;
        self.put_streams(out)?;
        seal(out, start);
        self.clear();
        Ok(())
    }

    fn put_directory(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut plain = Vec::new();
        if self.kind == Kind::Histograms {
            let mut runs = Vec::new();
            varint::put_u64(&mut runs, self.runs as u64);
            self.fields[field::HISTOGRAM].splice(..0, runs);
        }
        self.fields.iter().for_each(|bytes| put_sized(&mut plain, bytes));
        let mut stored = Vec::new();
        let compressed = self.encoder.put_bytes(&plain, &mut stored)?;
        varint::put_u64(out, if compressed { plain.len() as u64 } else { 0 });
        put_sized(out, &stored);
        Ok(())
    }

    /// Numbers, codings and lengths of all streams, then their bytes.
    fn put_streams(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        out.push(self.streams.len() as u8);
        let mut bytes = Vec::new();
        for (group, stream) in self.streams.iter().enumerate() {
            varint::put_u64(out, stream.len() as u64);
            if !stream.is_empty() {
                let start = bytes.len();
                let trial = if group == SPARSE { Trial::Sparse } else { Trial::Dense };
                out.push(self.encoder.put(stream, trial, &mut bytes)?.code());
                varint::put_u64(out, (bytes.len() - start) as u64);
            }
        }
        out.extend_from_slice(&bytes);
        Ok(())
    }

    fn clear(&mut self) {
        (self.columns, self.samples, self.runs, self.integers) = (0, 0, 0, 0);
        self.last = Origin::default();
        self.fields.iter_mut().for_each(Vec::clear);
        self.streams.iter_mut().for_each(Vec::clear);
        self.known.clear();
    }
}

/// Tells residuals apart; equal ones are then compared, so nobody gains by colliding.
fn fingerprint(residuals: &[i64]) -> u64 {
    let mix = |hash: u64, residual: &i64| {
        (hash ^ *residual as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    };
    residuals.iter().fold(residuals.len() as u64, mix)
}

/// The group of streams for residuals of this size.
fn group(residuals: &[i64]) -> usize {
    let zeros = residuals.iter().filter(|residual| **residual == 0).count();
    if zeros * 4 >= residuals.len() * 3 {
        return SPARSE;
    }
    let bits: u64 = residuals.iter().map(|residual| u64::from(width(*residual))).sum();
    let mean = bits * 8 / residuals.len() as u64;
    GROUPS.iter().take_while(|bound| **bound <= mean).count()
}
