//! From a decompressed body to a [`Batch`] that points into it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use nave_model::append::{Batch, BatchSeries, Principal, SeriesRef};
use nave_model::histogram::Histogram;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;

use super::field::{Fields, Wire};
use super::{Error, LABEL_FORMAT, histogram, labels};
use crate::pairs::to_labels;

/// The decoded form may take this many times the body's size: enough for every honest message (a sample
/// of a known series is smaller decoded than sent), too little for a body of empty messages.
const MAX_EXPANSION: usize = 24;

/// Small bodies may expand more, so that the limit is not met by chance.
const FREE_BYTES: usize = 16 * 1024;

/// What an allocation costs beside its content.
pub(crate) const HEAP_BYTES: usize = 32;

/// Shortest series of a usual request; only an estimate for the first allocation.
const USUAL_SERIES_BYTES: usize = 96;

/// Decodes `prometheus.WriteRequest` from `body`, which is decompressed.
///
/// Label bytes of the batch are in [`LABEL_FORMAT`] and point into `body`. Exemplars whose own labels are
/// invalid are left out; they are hints and take nothing else with them. Metadata without a family name is
/// left out too.
///
/// # Errors
/// [`Error::Protobuf`] when the message is broken, [`Error::TooLarge`] when it expands beyond measure.
pub fn decode(body: Bytes, principal: Arc<Principal>) -> Result<Batch, Error> {
    if u32::try_from(body.len()).is_err() {
        let (size, limit) = (body.len() as u64, u64::from(u32::MAX));
        return Err(Error::TooLarge { what: "the decompressed body", size, limit });
    }
    let mut batch = Batch::new(principal, LABEL_FORMAT, Bytes::new());
    let usual = body.len() / USUAL_SERIES_BYTES + 1;
    batch.series.reserve(usual);
    batch.timestamps.reserve(usual);
    batch.values.reserve(usual);
    let allowance = Allowance::new(body.len());
    let mut decoder = Decoder { batch, moved: Vec::new(), body_len: body.len(), allowance };
    decoder.request(Fields::new(&body))?;
    let Decoder { mut batch, moved, .. } = decoder;
    batch.bytes = if moved.is_empty() { body } else { [&body[..], &moved[..]].concat().into() };
    Ok(batch)
}

struct Decoder {
    batch: Batch,
    /// Label fields of series whose labels do not stand together, copied to stand after the body.
    moved: Vec<u8>,
    body_len: usize,
    allowance: Allowance,
}

/// How large the decoded form of a body may become.
pub(crate) struct Allowance {
    used: usize,
    limit: usize,
}

impl Allowance {
    /// For a body of so many bytes.
    pub(crate) fn new(body_len: usize) -> Self {
        Self { used: 0, limit: body_len.saturating_mul(MAX_EXPANSION).saturating_add(FREE_BYTES) }
    }

    /// Counts `bytes` of decoded form against what the body allows.
    #[inline]
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.used = self.used.saturating_add(bytes);
        if self.used <= self.limit {
            return Ok(());
        }
        let what = "the decoded request";
        Err(Error::TooLarge { what, size: self.used as u64, limit: self.limit as u64 })
    }
}

impl Decoder {
    fn request(&mut self, mut fields: Fields<'_>) -> Result<(), Error> {
        while let Some((number, wire)) = fields.tag()? {
            match (number, wire) {
                (1, Wire::Bytes) => self.series(fields.nested()?)?,
                (3, Wire::Bytes) => self.metadata(fields.nested()?)?,
                (1 | 3, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
        }
        Ok(())
    }

    #[inline]
    fn series(&mut self, message: Fields<'_>) -> Result<(), Error> {
        self.allowance.charge(size_of::<BatchSeries>())?;
        let samples = index(self.batch.values.len())?;
        let histograms = index(self.batch.histograms.len())?;
        let exemplars = index(self.batch.exemplars.len())?;
        let mut run = Run::default();
        let mut fields = message;
        loop {
            let start = fields.at;
            let Some((number, wire)) = fields.tag()? else { break };
            match (number, wire) {
                (1, Wire::Bytes) => {
                    fields.nested()?;
                    run.add(start, fields.at);
                }
                (2, Wire::Bytes) => self.sample(fields.nested()?)?,
                (3, Wire::Bytes) => self.exemplar(fields.nested()?)?,
                (4, Wire::Bytes) => self.histogram(fields.nested()?)?,
                (1..=4, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
        }
        let labels = if run.broken { self.move_labels(message)? } else { index(run.start)?..index(run.end)? };
        self.batch.series.push(BatchSeries {
            labels,
            reference: SeriesRef::NONE,
            samples: samples..index(self.batch.values.len())?,
            histograms: histograms..index(self.batch.histograms.len())?,
            exemplars: exemplars..index(self.batch.exemplars.len())?,
        });
        Ok(())
    }

    /// The rare series whose label fields do not stand together: a copy that does.
    #[cold]
    fn move_labels(&mut self, mut fields: Fields<'_>) -> Result<std::ops::Range<u32>, Error> {
        let start = index(self.body_len + self.moved.len())?;
        loop {
            let from = fields.at;
            let Some((number, wire)) = fields.tag()? else { break };
            fields.skip(wire)?;
            if number == 1 {
                self.moved.extend_from_slice(&fields.body[from..fields.at]);
            }
        }
        Ok(start..index(self.body_len + self.moved.len())?)
    }

    #[inline]
    fn sample(&mut self, mut fields: Fields<'_>) -> Result<(), Error> {
        let (mut value, mut timestamp) = (0.0, 0);
        while let Some((number, wire)) = fields.tag()? {
            match (number, wire) {
                (1, Wire::Fixed64) => value = fields.double()?,
                (2, Wire::Varint) => timestamp = fields.varint()? as i64,
                (1 | 2, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
        }
        self.allowance.charge(size_of::<f64>() + size_of::<Timestamp>())?;
        self.batch.values.push(value);
        self.batch.timestamps.push(Timestamp(timestamp));
        Ok(())
    }

    fn exemplar(&mut self, message: Fields<'_>) -> Result<(), Error> {
        let (mut value, mut timestamp) = (0.0, 0);
        let mut fields = message;
        while let Some((number, wire)) = fields.tag()? {
            match (number, wire) {
                (2, Wire::Fixed64) => value = fields.double()?,
                (3, Wire::Varint) => timestamp = fields.varint()? as i64,
                (2 | 3, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
        }
        self.allowance.charge(size_of::<Exemplar>() + HEAP_BYTES + message.rest().len())?;
        let labels = labels::pairs(message)?.and_then(|mut pairs| to_labels(&mut pairs));
        if let Ok(labels) = labels {
            let timestamp = (timestamp != 0).then_some(Timestamp(timestamp));
            self.batch.exemplars.push(Exemplar { labels, value, timestamp });
        }
        Ok(())
    }

    fn histogram(&mut self, message: Fields<'_>) -> Result<(), Error> {
        // A packed delta of one byte becomes a count of eight.
        self.allowance.charge(size_of::<Histogram>() + message.rest().len() * size_of::<f64>())?;
        self.batch.histograms.push(histogram::decode(message)?);
        Ok(())
    }

    fn metadata(&mut self, mut fields: Fields<'_>) -> Result<(), Error> {
        self.allowance.charge(size_of::<(Arc<str>, Metadata)>() + HEAP_BYTES + fields.rest().len())?;
        let mut kind = 0;
        let [mut family, mut help, mut unit] = [&b""[..]; 3];
        while let Some((number, wire)) = fields.tag()? {
            match (number, wire) {
                (1, Wire::Varint) => kind = fields.varint()?,
                (2, Wire::Bytes) => family = fields.nested()?.rest(),
                (4, Wire::Bytes) => help = fields.nested()?.rest(),
                (5, Wire::Bytes) => unit = fields.nested()?.rest(),
                (1 | 2 | 4 | 5, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
        }
        if !family.is_empty() {
            let metadata = Metadata { kind: kind_of(kind), help: text(help), unit: text(unit) };
            self.batch.metadata.push((text(family), metadata));
        }
        Ok(())
    }
}

/// Where the label fields of a series stand, as long as they stand together.
#[derive(Default)]
struct Run {
    start: usize,
    end: usize,
    broken: bool,
}

impl Run {
    #[inline]
    fn add(&mut self, start: usize, end: usize) {
        if self.end == 0 {
            self.start = start;
        } else if self.end != start {
            self.broken = true;
        }
        self.end = end;
    }
}

/// An index into the batch: columns and bytes stay under 4 Gi.
#[inline]
pub(crate) fn index(value: usize) -> Result<u32, Error> {
    let limit = u64::from(u32::MAX);
    u32::try_from(value).map_err(|_| Error::TooLarge { what: "a column", size: value as u64, limit })
}

pub(crate) fn kind_of(number: u64) -> MetricType {
    match number {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}

pub(crate) fn text(bytes: &[u8]) -> Arc<str> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => Arc::from(text),
        Cow::Owned(text) => Arc::from(text),
    }
}
