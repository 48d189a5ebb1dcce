//! One `Metric`: its labels, and the samples that its value is.

use nave_base::varint;
use nave_model::metadata::MetricType;
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;

use super::histogram::{self, Buckets};
use super::sample::{HEAD_BYTES, Measured, NativeHistogram, Part, Sample};
use super::{Error, Family, Histograms, Visit};
use crate::exposition::number::ordinary;
use crate::pairs::{Pair, to_labels};
use crate::write_v1::field::{Fields, Wire};
use crate::write_v1::pair;

/// The fields of a metric that are read.
pub(super) struct Metric<'a> {
    message: Fields<'a>,
    /// The message of the family's type.
    value: [Option<Fields<'a>>; 5],
    timestamp: Option<Timestamp>,
}

/// Where the exemplars of a sample are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exemplars<'a> {
    None,
    /// The message itself.
    One(Fields<'a>),
    /// Those of a native histogram.
    Native(Fields<'a>),
}

/// What is said once for all samples of a metric.
struct Context<'a, 'k> {
    key: &'k mut Vec<u8>,
    timestamp: Option<Timestamp>,
    start: Option<Timestamp>,
    exemplars: Exemplars<'a>,
    only_classic: bool,
}

const GAUGE: usize = 0;
const COUNTER: usize = 1;
const SUMMARY: usize = 2;
const UNTYPED: usize = 3;
const HISTOGRAM: usize = 4;

impl<'a> Metric<'a> {
    pub(super) fn read(message: Fields<'a>) -> Result<Self, Error> {
        let mut metric = Self { message, value: [None; 5], timestamp: None };
        let mut fields = message;
        while let Some((number, wire)) = fields.tag()? {
            match (number, wire) {
                (2..=5, Wire::Bytes) => metric.value[number as usize - 2] = Some(fields.nested()?),
                (7, Wire::Bytes) => metric.value[HISTOGRAM] = Some(fields.nested()?),
                (6, Wire::Varint) => {
                    let ms = fields.varint()? as i64;
                    metric.timestamp = (ms != 0).then_some(Timestamp(ms));
                }
                (1, Wire::Bytes) => drop(fields.nested()?),
                (1..=7, _) => return Ok(fields.wrong_wire()?),
                _ => fields.skip(wire)?,
            }
        }
        Ok(metric)
    }

    /// Tells the samples; `key` is overwritten.
    pub(super) fn tell<V: Visit>(
        &self,
        family: &Family<'_>,
        histograms: Histograms,
        key: &mut Vec<u8>,
        visit: &mut V,
    ) -> Result<(), V::Error> {
        self.write_key(family, key)?;
        let mut context = Context {
            key,
            timestamp: self.timestamp,
            start: None,
            exemplars: Exemplars::None,
            only_classic: false,
        };
        match family.kind {
            MetricType::Counter => self.counter(&mut context, visit),
            MetricType::Gauge => self.simple(GAUGE, &mut context, visit),
            MetricType::Summary => self.summary(&mut context, visit),
            MetricType::Histogram | MetricType::GaugeHistogram => {
                let gauge = family.kind == MetricType::GaugeHistogram;
                self.histogram(gauge, histograms, &mut context, visit)
            }
            _ => self.simple(UNTYPED, &mut context, visit),
        }
    }

    /// Name and labels; the part is written sample by sample.
    fn write_key(&self, family: &Family<'_>, key: &mut Vec<u8>) -> Result<(), Error> {
        key.clear();
        key.resize(HEAD_BYTES, 0);
        varint::put_u64(key, family.name.len() as u64);
        key.extend_from_slice(family.name.as_bytes());
        let mut fields = self.message;
        while let Some((number, wire)) = fields.tag()? {
            if number == 1 {
                let label = fields.nested()?.rest();
                varint::put_u64(key, label.len() as u64);
                key.extend_from_slice(label);
            } else {
                fields.skip(wire)?;
            }
        }
        Ok(())
    }

    /// The message of a type; an empty one where the metric has another.
    fn of(&self, kind: usize) -> Fields<'a> {
        self.value[kind].unwrap_or(Fields { at: self.message.end, ..self.message })
    }

    fn simple<V: Visit>(
        &self,
        kind: usize,
        context: &mut Context<'a, '_>,
        visit: &mut V,
    ) -> Result<(), V::Error> {
        let mut value = 0.0;
        each(self.of(kind), |number, wire, fields| {
            match (number, wire) {
                (1, Wire::Fixed64) => value = fields.double()?,
                _ => fields.skip(wire)?,
            }
            Ok(())
        })?;
        context.tell(Part::Whole, value, visit)
    }

    fn counter<V: Visit>(&self, context: &mut Context<'a, '_>, visit: &mut V) -> Result<(), V::Error> {
        let mut value = 0.0;
        each(self.of(COUNTER), |number, wire, fields| {
            match (number, wire) {
                (1, Wire::Fixed64) => value = fields.double()?,
                (2, Wire::Bytes) => context.exemplars = Exemplars::One(fields.nested()?),
                (3, Wire::Bytes) => context.start = time(fields.nested()?)?,
                _ => fields.skip(wire)?,
            }
            Ok(())
        })?;
        context.tell(Part::Whole, value, visit)
    }

    fn summary<V: Visit>(&self, context: &mut Context<'a, '_>, visit: &mut V) -> Result<(), V::Error> {
        let (mut count, mut sum) = (0, 0.0);
        each(self.of(SUMMARY), |number, wire, fields| {
            match (number, wire) {
                (1, Wire::Varint) => count = fields.varint()?,
                (2, Wire::Fixed64) => sum = fields.double()?,
                (4, Wire::Bytes) => context.start = time(fields.nested()?)?,
                _ => fields.skip(wire)?,
            }
            Ok(())
        })?;
        context.tell(Part::Count, count as f64, visit)?;
        context.tell(Part::Sum, sum, visit)?;
        let mut fields = self.of(SUMMARY);
        while let Some((number, wire)) = fields.tag().map_err(Error::from)? {
            if (number, wire) == (3, Wire::Bytes) {
                let (quantile, value) = quantile(fields.nested().map_err(Error::from)?)?;
                context.tell(Part::Quantile(quantile), value, visit)?;
            } else {
                fields.skip(wire).map_err(Error::from)?;
            }
        }
        Ok(())
    }

    fn histogram<V: Visit>(
        &self,
        gauge: bool,
        histograms: Histograms,
        context: &mut Context<'a, '_>,
        visit: &mut V,
    ) -> Result<(), V::Error> {
        let fields = self.of(HISTOGRAM);
        let about = histogram::About::read(fields)?;
        context.start = about.start;
        let native = about.native && histograms.native;
        if native {
            context.exemplars = Exemplars::Native(fields);
            let value = Measured::Native(NativeHistogram { fields, gauge });
            context.tell_measured(Part::Whole, value, visit)?;
            context.exemplars = Exemplars::None;
        }
        if !native || (histograms.classic_too && about.buckets) {
            context.only_classic = !native;
            classic(&about, fields, context, visit)?;
        }
        Ok(())
    }
}

/// Count, sum and buckets; a `+Inf` bucket is made of the count where there is none.
fn classic<'a, V: Visit>(
    about: &histogram::About,
    fields: Fields<'a>,
    context: &mut Context<'a, '_>,
    visit: &mut V,
) -> Result<(), V::Error> {
    context.tell(Part::Count, about.count, visit)?;
    context.tell(Part::Sum, about.sum, visit)?;
    let mut infinite = false;
    for bucket in Buckets(fields) {
        let bucket = bucket?;
        context.exemplars = bucket.exemplar.map_or(Exemplars::None, Exemplars::One);
        context.tell(Part::Bucket(bucket.bound), bucket.count, visit)?;
        if bucket.bound == f64::INFINITY {
            infinite = true;
            break;
        }
    }
    context.exemplars = Exemplars::None;
    if infinite { Ok(()) } else { context.tell(Part::Bucket(f64::INFINITY), about.count, visit) }
}

impl<'a> Context<'a, '_> {
    fn tell<V: Visit>(&mut self, part: Part, value: f64, visit: &mut V) -> Result<(), V::Error> {
        self.tell_measured(part, Measured::Float(ordinary(value)), visit)
    }

    fn tell_measured<V: Visit>(
        &mut self,
        part: Part,
        value: Measured<'a>,
        visit: &mut V,
    ) -> Result<(), V::Error> {
        part.write(self.key);
        visit.sample(&Sample {
            key: self.key,
            value,
            part,
            only_classic: self.only_classic,
            timestamp: self.timestamp,
            start_timestamp: self.start,
            exemplars: self.exemplars,
        })
    }
}

/// Walks the fields of a message.
pub(super) fn each<'a>(
    mut fields: Fields<'a>,
    mut act: impl FnMut(u32, Wire, &mut Fields<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    while let Some((number, wire)) = fields.tag()? {
        act(number, wire, &mut fields)?;
    }
    Ok(())
}

fn quantile(fields: Fields<'_>) -> Result<(f64, f64), Error> {
    let (mut quantile, mut value) = (0.0, 0.0);
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (1, Wire::Fixed64) => quantile = fields.double()?,
            (2, Wire::Fixed64) => value = fields.double()?,
            _ => fields.skip(wire)?,
        }
        Ok(())
    })?;
    Ok((quantile, value))
}

/// `google.protobuf.Timestamp` in milliseconds.
pub(super) fn time(fields: Fields<'_>) -> Result<Option<Timestamp>, Error> {
    let (mut seconds, mut nanos) = (0i64, 0i32);
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (1, Wire::Varint) => seconds = fields.varint()? as i64,
            (2, Wire::Varint) => nanos = fields.varint()? as i32,
            _ => fields.skip(wire)?,
        }
        Ok(())
    })?;
    let ms = seconds.saturating_mul(1_000).saturating_add(i64::from(nanos / 1_000_000));
    Ok((ms != 0).then_some(Timestamp(ms)))
}

impl Exemplars<'_> {
    pub(super) fn decode(self) -> Result<Vec<Exemplar>, Error> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::One(fields) => Ok(exemplar(fields)?.into_iter().collect()),
            Self::Native(fields) => native_exemplars(fields),
        }
    }
}

/// The native histogram's own exemplars, or those of its buckets where it has none.
fn native_exemplars(fields: Fields<'_>) -> Result<Vec<Exemplar>, Error> {
    let mut own = Vec::new();
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (16, Wire::Bytes) => own.extend(exemplar(fields.nested()?)?),
            _ => fields.skip(wire)?,
        }
        Ok(())
    })?;
    if own.is_empty() {
        for bucket in Buckets(fields) {
            if let Some(fields) = bucket?.exemplar {
                own.extend(exemplar(fields)?);
            }
        }
    }
    own.retain(|exemplar| exemplar.timestamp.is_some());
    own.sort_by_key(|exemplar| exemplar.timestamp);
    Ok(own)
}

/// An exemplar; none when its labels are invalid, because exemplars are hints and take nothing with them.
fn exemplar(fields: Fields<'_>) -> Result<Option<Exemplar>, Error> {
    let mut pairs: Result<Vec<Pair<'_>>, _> = Ok(Vec::new());
    let (mut value, mut timestamp) = (0.0, None);
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (1, Wire::Bytes) => {
                let label = pair(fields.nested()?)?;
                if let Ok(known) = &mut pairs {
                    match label {
                        Ok(label) => known.push(label),
                        Err(error) => pairs = Err(error),
                    }
                }
            }
            (2, Wire::Fixed64) => value = ordinary(fields.double()?),
            (3, Wire::Bytes) => timestamp = time(fields.nested()?)?,
            _ => fields.skip(wire)?,
        }
        Ok(())
    })?;
    let labels = pairs.and_then(|mut pairs| to_labels(&mut pairs));
    Ok(labels.ok().map(|labels| Exemplar { labels, value, timestamp }))
}
