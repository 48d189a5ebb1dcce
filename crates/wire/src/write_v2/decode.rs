//! From a decompressed body to a [`Batch`].

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use nave_base::varint;
use nave_model::append::{Batch, BatchSeries, Principal, SeriesRef};
use nave_model::histogram::Histogram;
use nave_model::label::METRIC_NAME;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;

use super::LABEL_FORMAT;
use super::labels::pair;
use super::symbols::{Symbols, each_reference};
use crate::pairs::to_labels;
use crate::write_v1::field::{Fields, Wire};
use crate::write_v1::{Allowance, Error, HEAP_BYTES, histogram, index, kind_of, text};

/// What is expected of the end of a label list.
const PAIRS: &str = "references in pairs of name and value";

/// A request whose references are known to be good, and whose labels are not written out yet.
#[derive(Debug)]
pub struct Request {
    body: Bytes,
    symbols: Symbols,
    series: usize,
    label_bytes: usize,
}

impl Request {
    /// Reads the table of `body`, which is decompressed, and checks the labels of all series against it.
    ///
    /// # Errors
    /// [`Error::Protobuf`] when the message is broken or refers to symbols that it does not have,
    /// [`Error::TooLarge`] when the labels written out would take more than `label_bytes_max`.
    pub fn open(body: Bytes, label_bytes_max: usize) -> Result<Self, Error> {
        let limit = u64::from(u32::MAX);
        if body.len() as u64 > limit {
            return Err(Error::TooLarge { what: "the decompressed body", size: body.len() as u64, limit });
        }
        let mut request = Self { symbols: Symbols::new(body.clone()), body, series: 0, label_bytes: 0 };
        request.read_symbols()?;
        request.measure(label_bytes_max)?;
        Ok(request)
    }

    /// How many bytes the labels of all series take when they are written out.
    #[must_use]
    pub fn label_bytes(&self) -> usize {
        self.label_bytes
    }

    fn read_symbols(&mut self) -> Result<(), Error> {
        let mut fields = Fields::new(&self.body);
        while let Some((number, wire)) = fields.tag()? {
            match (number, wire) {
                (4, Wire::Bytes) => self.symbols.push(fields.nested()?),
                (5, Wire::Bytes) => {
                    fields.nested()?;
                    self.series += 1;
                }
                (4 | 5, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
        }
        Ok(())
    }

    fn measure(&mut self, limit: usize) -> Result<(), Error> {
        let mut fields = Fields::new(&self.body);
        while let Some((number, wire)) = fields.tag()? {
            if number != 5 {
                fields.skip(wire)?;
                continue;
            }
            self.label_bytes += self.label_bytes_of(fields.nested()?)?;
            if self.label_bytes > limit {
                let size = self.label_bytes as u64;
                return Err(Error::TooLarge { what: "all labels written out", size, limit: limit as u64 });
            }
        }
        Ok(())
    }

    fn label_bytes_of(&self, mut fields: Fields<'_>) -> Result<usize, Error> {
        let (mut bytes, mut references) = (0usize, 0usize);
        while let Some((number, wire)) = fields.tag()? {
            if number == 1 {
                each_reference(&mut fields, wire, |reference, at| {
                    references += 1;
                    let length = self.symbols.get(reference, at)?.len();
                    // A length has at most five bytes.
                    bytes = bytes.saturating_add(length + 5);
                    Ok(())
                })?;
            } else {
                fields.skip(wire)?;
            }
        }
        if references.is_multiple_of(2) { Ok(bytes) } else { Err(odd(fields.at)) }
    }

    /// The batch. Its label bytes are in [`LABEL_FORMAT`].
    ///
    /// Exemplars whose own labels are invalid are left out, as in 1.0. Metadata comes by metric family, once
    /// each, although 2.0 says it with every series: the family is the series' name without the suffix that
    /// its type gives it.
    ///
    /// # Errors
    /// [`Error::Protobuf`] when a series is broken beside its labels, [`Error::TooLarge`] when the message
    /// expands beyond measure.
    pub fn decode(self, principal: Arc<Principal>) -> Result<Batch, Error> {
        let Self { body, symbols, series, label_bytes } = self;
        let mut batch = Batch::new(principal, LABEL_FORMAT, Bytes::new());
        // The first loop counted series that are there, at two bytes each at least.
        let mut allowance = Allowance::new(body.len());
        allowance.charge(series.saturating_mul(size_of::<BatchSeries>()))?;
        batch.series.reserve(series);
        batch.timestamps.reserve(series);
        batch.values.reserve(series);
        let labels = Vec::with_capacity(label_bytes);
        let mut decoder = Decoder { batch, symbols: &symbols, labels, families: HashSet::new(), allowance };
        let mut fields = Fields::new(&body);
        while let Some((number, wire)) = fields.tag()? {
            match number {
                5 => decoder.series(fields.nested()?)?,
                _ => fields.skip(wire)?,
            }
        }
        let Decoder { mut batch, labels, .. } = decoder;
        batch.bytes = Bytes::from(labels);
        Ok(batch)
    }
}

#[cold]
fn odd(at: usize) -> Error {
    Error::Protobuf { offset: at, expected: PAIRS }
}

struct Decoder<'a> {
    batch: Batch,
    symbols: &'a Symbols,
    /// Label bytes of the series so far.
    labels: Vec<u8>,
    /// Families whose metadata is known.
    families: HashSet<Vec<u8>>,
    allowance: Allowance,
}

/// References and type of one `Metadata`.
#[derive(Default)]
struct About {
    kind: u64,
    help: u64,
    unit: u64,
    at: usize,
}

impl Decoder<'_> {
    fn series(&mut self, mut fields: Fields<'_>) -> Result<(), Error> {
        let samples = index(self.batch.values.len())?;
        let histograms = index(self.batch.histograms.len())?;
        let exemplars = index(self.batch.exemplars.len())?;
        let labels = index(self.labels.len())?;
        let (mut about, mut created) = (None, 0);
        while let Some((number, wire)) = fields.tag()? {
            match (number, wire) {
                (1, _) => each_reference(&mut fields, wire, |reference, at| {
                    let symbol = self.symbols.get(reference, at)?;
                    varint::put_u64(&mut self.labels, symbol.len() as u64);
                    self.labels.extend_from_slice(symbol);
                    Ok(())
                })?,
                (2, Wire::Bytes) => self.sample(fields.nested()?)?,
                (3, Wire::Bytes) => self.histogram(fields.nested()?)?,
                (4, Wire::Bytes) => self.exemplar(fields.nested()?)?,
                (5, Wire::Bytes) => about = Some(self.about(fields.nested()?)?),
                // The place of the start in drafts of 2.0, which released senders still write.
                (6, Wire::Varint) => created = fields.varint()? as i64,
                (2..=5, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
        }
        let series = BatchSeries {
            labels: labels..index(self.labels.len())?,
            reference: SeriesRef::NONE,
            samples: samples..index(self.batch.values.len())?,
            histograms: histograms..index(self.batch.histograms.len())?,
            exemplars: exemplars..index(self.batch.exemplars.len())?,
        };
        if created != 0 {
            self.begun(&series, Timestamp(created));
        }
        if let Some(about) = about {
            self.metadata(&about, series.labels.clone())?;
        }
        self.batch.series.push(series);
        Ok(())
    }

    /// `start` counts for every sample of the series that does not say its own.
    fn begun(&mut self, series: &BatchSeries, start: Timestamp) {
        for at in series.samples.clone() {
            let at = at as usize;
            if self.batch.start_timestamps.get(at).is_none_or(|known| known.0 == 0) {
                set_start(&mut self.batch.start_timestamps, at, start);
            }
        }
        // Series without a start of their own keep the column as long as that of the values.
        if !self.batch.start_timestamps.is_empty() {
            self.batch.start_timestamps.resize(self.batch.values.len(), Timestamp(0));
        }
        for at in series.histograms.clone() {
            self.batch.histograms[at as usize].start_timestamp.get_or_insert(start);
        }
    }

    #[inline]
    fn sample(&mut self, mut fields: Fields<'_>) -> Result<(), Error> {
        let (mut value, mut timestamp, mut start) = (0.0, 0, 0);
        while let Some((number, wire)) = fields.tag()? {
            match (number, wire) {
                (1, Wire::Fixed64) => value = fields.double()?,
                (2, Wire::Varint) => timestamp = fields.varint()? as i64,
                (3, Wire::Varint) => start = fields.varint()? as i64,
                (1..=3, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
        }
        self.allowance.charge(size_of::<f64>() + 2 * size_of::<Timestamp>())?;
        if start != 0 || !self.batch.start_timestamps.is_empty() {
            set_start(&mut self.batch.start_timestamps, self.batch.values.len(), Timestamp(start));
        }
        self.batch.values.push(value);
        self.batch.timestamps.push(Timestamp(timestamp));
        Ok(())
    }

    fn histogram(&mut self, message: Fields<'_>) -> Result<(), Error> {
        // A packed delta of one byte becomes a count of eight.
        self.allowance.charge(size_of::<Histogram>() + message.rest().len() * size_of::<f64>())?;
        self.batch.histograms.push(histogram::decode(message)?);
        Ok(())
    }

    fn exemplar(&mut self, mut fields: Fields<'_>) -> Result<(), Error> {
        let (mut value, mut timestamp) = (0.0, 0);
        let (mut symbols, mut bytes) = (Vec::new(), 0);
        while let Some((number, wire)) = fields.tag()? {
            match (number, wire) {
                (1, _) => each_reference(&mut fields, wire, |reference, at| {
                    let symbol = self.symbols.get(reference, at)?;
                    bytes += symbol.len() + size_of::<&[u8]>();
                    symbols.push(symbol);
                    self.allowance.charge(size_of::<&[u8]>())
                })?,
                (2, Wire::Fixed64) => value = fields.double()?,
                (3, Wire::Varint) => timestamp = fields.varint()? as i64,
                (2 | 3, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
        }
        self.allowance.charge(size_of::<Exemplar>() + HEAP_BYTES + bytes)?;
        let (pairs, rest) = symbols.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(odd(fields.at));
        }
        let pairs: Result<Vec<_>, _> = pairs.iter().map(|[name, value]| pair(name, value)).collect();
        if let Ok(labels) = pairs.and_then(|mut pairs| to_labels(&mut pairs)) {
            let timestamp = (timestamp != 0).then_some(Timestamp(timestamp));
            self.batch.exemplars.push(Exemplar { labels, value, timestamp });
        }
        Ok(())
    }

    fn about(&self, mut fields: Fields<'_>) -> Result<About, Error> {
        let mut about = About { at: fields.at, ..About::default() };
        while let Some((number, wire)) = fields.tag()? {
            match (number, wire) {
                (1, Wire::Varint) => about.kind = fields.varint()?,
                (3, Wire::Varint) => about.help = fields.varint()?,
                (4, Wire::Varint) => about.unit = fields.varint()?,
                (1 | 3 | 4, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
        }
        Ok(about)
    }

    fn metadata(&mut self, about: &About, labels: Range<u32>) -> Result<(), Error> {
        let symbols = self.symbols;
        let (help, unit) = (symbols.optional(about.help, about.at)?, symbols.optional(about.unit, about.at)?);
        let kind = kind_of(about.kind);
        let name = metric_name(&self.labels[labels.start as usize..labels.end as usize]);
        if name.is_empty() || (kind == MetricType::Unknown && help.is_empty() && unit.is_empty()) {
            return Ok(());
        }
        let family = family(name, kind);
        if self.families.contains(family) {
            return Ok(());
        }
        let bytes = 2 * family.len() + help.len() + unit.len();
        self.allowance.charge(size_of::<(Arc<str>, Metadata)>() + 4 * HEAP_BYTES + bytes)?;
        self.batch.metadata.push((text(family), Metadata { kind, help: text(help), unit: text(unit) }));
        self.families.insert(family.to_vec());
        Ok(())
    }
}

/// Sets an entry of a column that is empty as long as no sample has a start.
fn set_start(column: &mut Vec<Timestamp>, at: usize, start: Timestamp) {
    if column.len() <= at {
        column.resize(at + 1, Timestamp(0));
    }
    column[at] = start;
}

/// The value of `__name__` in label bytes that were written here; empty without one.
fn metric_name(mut labels: &[u8]) -> &[u8] {
    while let Some(name) = varint::take_bytes(&mut labels)
        && let Some(value) = varint::take_bytes(&mut labels)
    {
        if name == METRIC_NAME.as_bytes() {
            return value;
        }
    }
    b""
}

/// The family of a series by its name and type, as the exposition formats name series.
fn family(name: &[u8], kind: MetricType) -> &[u8] {
    let suffixes: &[&[u8]] = match kind {
        MetricType::Histogram => &[b"_bucket", b"_sum", b"_count"],
        MetricType::GaugeHistogram => &[b"_bucket", b"_gsum", b"_gcount"],
        MetricType::Summary => &[b"_sum", b"_count"],
        _ => &[],
    };
    let bare = suffixes.iter().find_map(|suffix| name.strip_suffix(*suffix));
    bare.filter(|bare| !bare.is_empty()).unwrap_or(name)
}
