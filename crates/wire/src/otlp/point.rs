//! Points, and the series that they become.

use std::sync::Arc;

use nave_model::append::{BatchBuilder, HistogramSample, Principal, SeriesRef};
use nave_model::histogram::Histogram;
use nave_model::label::{BUCKET, Builder, METRIC_NAME};
use nave_model::metadata::Metadata;
use nave_model::sample::{Exemplar, stale_nan};
use nave_model::time::Timestamp;

use super::attribute::{Attribute, attribute};
use super::histogram::{Buckets, Explicit, Exponential};
use super::label::{LabelMap, Resource, Scope, of_point};
use super::{Refused, Settings, Translated};
use crate::write_v1::Error;
use crate::write_v1::field::{Fields, Wire, each, unzigzag};
use crate::write_v1::histogram::doubles;

/// What a series costs beside its labels, against the limit of label bytes.
const SERIES_BYTES: usize = 64;
/// `target_info` is filled in over at most so many samples; beyond, only its end is written.
const INFO_SAMPLES_MAX: i64 = 10_000;
/// Longest labels of an exemplar in characters; attributes beyond are left out, as upstream does.
const EXEMPLAR_CHARS_MAX: usize = 128;
/// Longest message of one histogram.
const POINT_BYTES_MAX: usize = 1 << 20;
const NO_RECORDED_VALUE: u64 = 1;

/// Where a point stands.
pub(super) struct Place<'a> {
    pub(super) family: &'a str,
    pub(super) resource: &'a Resource,
    pub(super) scope: &'a Scope,
}

/// Collects the series of a request.
pub(super) struct Writer<'a> {
    pub(super) settings: &'a Settings,
    pub(super) refused: Refused,
    batch: BatchBuilder,
    starts: Vec<Timestamp>,
    label_bytes: usize,
    label_bytes_max: usize,
    /// Times of the first and the last point of the resource, in nanoseconds.
    times: Option<(u64, u64)>,
}

/// What all points have.
#[derive(Default)]
struct Common {
    attributes: Vec<Attribute>,
    start: Timestamp,
    time: Timestamp,
    stale: bool,
    exemplars: Vec<Exemplar>,
}

impl Common {
    fn flags(&mut self, flags: u64) {
        self.stale = flags & NO_RECORDED_VALUE != 0;
    }

    /// `value`, or the stale marker.
    fn value(&self, value: f64) -> f64 {
        if self.stale { stale_nan() } else { value }
    }
}

fn time(nanoseconds: u64) -> Timestamp {
    Timestamp((nanoseconds as i64) / 1_000_000)
}

impl<'a> Writer<'a> {
    pub(super) fn new(settings: &'a Settings, principal: Arc<Principal>, label_bytes_max: usize) -> Self {
        Self {
            settings,
            refused: Refused::default(),
            batch: BatchBuilder::new(principal),
            starts: Vec::new(),
            label_bytes: 0,
            label_bytes_max,
            times: None,
        }
    }

    pub(super) fn finish(self) -> Translated {
        let mut batch = self.batch.build();
        if self.starts.iter().any(|start| start.0 != 0) {
            batch.start_timestamps = self.starts;
        }
        Translated { batch, refused: self.refused }
    }

    pub(super) fn metadata(&mut self, family: &str, metadata: Metadata) {
        self.batch.metadata(family, metadata);
    }

    pub(super) fn begin_resource(&mut self) {
        self.times = None;
    }

    /// Takes note of the times of the points of a metric; `target_info` covers them all.
    pub(super) fn times(&mut self, points: Fields<'_>) -> Result<(), Error> {
        let times = &mut self.times;
        each(points, |number, wire, fields| {
            if (number, wire) != (1, Wire::Bytes) {
                return fields.skip(wire);
            }
            let mut at = 0;
            // The time is field 3 of every kind of point.
            each(fields.nested()?, |number, wire, fields| {
                match (number, wire) {
                    (3, Wire::Fixed64) => at = fields.fixed64()?,
                    _ => fields.skip(wire)?,
                }
                Ok(())
            })?;
            let (first, last) = times.unwrap_or((at, at));
            *times = Some((first.min(at), last.max(at)));
            Ok(())
        })
    }

    /// Writes `target_info` of a resource that had points.
    pub(super) fn end_resource(&mut self, resource: &Resource) -> Result<(), Error> {
        let Some((first, last)) = self.times.take() else { return Ok(()) };
        let Some(labels) = resource.info(self.settings) else { return Ok(()) };
        let (first, last) = (time(first).0, time(last).0);
        self.series(&labels, "target_info", None)?;
        let step = (self.settings.lookback_ms / 2).max(1);
        if (last - first) / step < INFO_SAMPLES_MAX {
            let mut at = first;
            while at < last {
                self.float(Timestamp(at), Timestamp(0), 1.0);
                at += step;
            }
        }
        self.float(Timestamp(last), Timestamp(0), 1.0);
        Ok(())
    }

    fn series(&mut self, labels: &LabelMap, name: &str, bound: Option<(&str, &str)>) -> Result<(), Error> {
        let own = [(METRIC_NAME, name)].into_iter().chain(bound);
        let mut builder = Builder::default();
        let all = labels.iter().map(|(label, value)| (label.as_str(), value.as_str())).chain(own);
        // Of a name that stands twice the last one counts.
        all.filter(|(_, value)| !value.is_empty()).for_each(|(label, value)| _ = builder.push(label, value));
        let labels = builder.build();
        self.charge(labels.as_bytes().len() + SERIES_BYTES)?;
        self.batch.series(&labels, SeriesRef::NONE);
        Ok(())
    }

    /// Counts what the batch takes against its limit.
    fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.label_bytes = self.label_bytes.saturating_add(bytes);
        if self.label_bytes <= self.label_bytes_max {
            return Ok(());
        }
        let (size, limit) = (self.label_bytes as u64, self.label_bytes_max as u64);
        Err(Error::TooLarge { what: "all labels written out", size, limit })
    }

    fn float(&mut self, at: Timestamp, start: Timestamp, value: f64) {
        self.batch.sample(at, value);
        self.starts.push(start);
    }

    fn labels(&self, common: &Common, place: &Place<'_>) -> LabelMap {
        of_point(place.resource, place.scope, &common.attributes, self.settings)
    }

    /// A point of a gauge or sum; gauges have no exemplars, as upstream has it.
    pub(super) fn number(&mut self, fields: Fields<'_>, place: &Place<'_>, sum: bool) -> Result<(), Error> {
        let (mut common, mut value) = (Common::default(), 0.0);
        each(fields, |number, wire, fields| {
            match (number, wire) {
                (7, Wire::Bytes) => common.attributes.push(attribute(fields.nested()?)?),
                (2, Wire::Fixed64) => common.start = time(fields.fixed64()?),
                (3, Wire::Fixed64) => common.time = time(fields.fixed64()?),
                (4, Wire::Fixed64) => value = fields.double()?,
                (6, Wire::Fixed64) => value = fields.fixed64()? as i64 as f64,
                (5, Wire::Bytes) => common.exemplars.extend(exemplar(fields.nested()?)?),
                (8, Wire::Varint) => common.flags(fields.varint()?),
                (2..=8, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
            Ok(())
        })?;
        let labels = self.labels(&common, place);
        self.series(&labels, place.family, None)?;
        let start = if sum { common.start } else { Timestamp(0) };
        self.float(common.time, start, common.value(value));
        if sum {
            common.exemplars.into_iter().for_each(|exemplar| _ = self.batch.exemplar(exemplar));
        }
        Ok(())
    }

    pub(super) fn summary(&mut self, fields: Fields<'_>, place: &Place<'_>) -> Result<(), Error> {
        let (mut common, mut count, mut sum, mut quantiles) = (Common::default(), 0, 0.0, Vec::new());
        each(fields, |number, wire, fields| {
            match (number, wire) {
                (7, Wire::Bytes) => common.attributes.push(attribute(fields.nested()?)?),
                (2, Wire::Fixed64) => common.start = time(fields.fixed64()?),
                (3, Wire::Fixed64) => common.time = time(fields.fixed64()?),
                (4, Wire::Fixed64) => count = fields.fixed64()?,
                (5, Wire::Fixed64) => sum = fields.double()?,
                (6, Wire::Bytes) => quantiles.push(quantile(fields.nested()?)?),
                (8, Wire::Varint) => common.flags(fields.varint()?),
                (2..=8, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
            Ok(())
        })?;
        let labels = self.labels(&common, place);
        let Common { time, start, .. } = common;
        for (suffix, value) in [("_sum", sum), ("_count", count as f64)] {
            self.series(&labels, &format!("{}{suffix}", place.family), None)?;
            self.float(time, start, common.value(value));
        }
        for (quantile, value) in quantiles {
            self.series(&labels, place.family, Some(("quantile", &decimal(quantile))))?;
            self.float(time, start, common.value(value));
        }
        Ok(())
    }

    pub(super) fn histogram(&mut self, fields: Fields<'_>, place: &Place<'_>) -> Result<(), Error> {
        check_size(fields)?;
        let (mut common, mut point) = (Common::default(), Explicit::default());
        each(fields, |number, wire, fields| {
            match (number, wire) {
                (9, Wire::Bytes) => common.attributes.push(attribute(fields.nested()?)?),
                (2, Wire::Fixed64) => common.start = time(fields.fixed64()?),
                (3, Wire::Fixed64) => common.time = time(fields.fixed64()?),
                (4, Wire::Fixed64) => point.count = fields.fixed64()?,
                (5, Wire::Fixed64) => point.sum = Some(fields.double()?),
                (6, Wire::Fixed64) => point.counts.push(fields.fixed64()?),
                (6, Wire::Bytes) => {
                    let mut packed = fields.nested()?;
                    while !packed.is_empty() {
                        point.counts.push(packed.fixed64()?);
                    }
                }
                (7, _) => doubles(fields, wire, &mut point.bounds)?,
                (8, Wire::Bytes) => common.exemplars.extend(exemplar(fields.nested()?)?),
                (10, Wire::Varint) => common.flags(fields.varint()?),
                (2..=10, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
            Ok(())
        })?;
        point.stale = common.stale;
        if self.settings.convert_histograms {
            return self.native(point.native(), common, place);
        }
        self.classic(&point, &common, place)
    }

    pub(super) fn exponential(&mut self, fields: Fields<'_>, place: &Place<'_>) -> Result<(), Error> {
        check_size(fields)?;
        let (mut common, mut point) = (Common::default(), Exponential::default());
        each(fields, |number, wire, fields| {
            match (number, wire) {
                (1, Wire::Bytes) => common.attributes.push(attribute(fields.nested()?)?),
                (2, Wire::Fixed64) => common.start = time(fields.fixed64()?),
                (3, Wire::Fixed64) => common.time = time(fields.fixed64()?),
                (4, Wire::Fixed64) => point.count = fields.fixed64()?,
                (5, Wire::Fixed64) => point.sum = fields.double()?,
                (6, Wire::Varint) => point.scale = unzigzag(fields.varint()?) as i32,
                (7, Wire::Fixed64) => point.zero_count = fields.fixed64()?,
                (8, Wire::Bytes) => point.positive = Buckets::read(fields.nested()?)?,
                (9, Wire::Bytes) => point.negative = Buckets::read(fields.nested()?)?,
                (10, Wire::Varint) => common.flags(fields.varint()?),
                (11, Wire::Bytes) => common.exemplars.extend(exemplar(fields.nested()?)?),
                (14, Wire::Fixed64) => point.zero_threshold = fields.double()?,
                (1..=11 | 14, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
            Ok(())
        })?;
        point.stale = common.stale;
        self.native(point.native(), common, place)
    }

    fn native(
        &mut self,
        histogram: Result<Histogram, String>,
        common: Common,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        let histogram = match histogram {
            Ok(histogram) => histogram,
            Err(why) => {
                self.refused.add(1, || format!("metric {:?}: {why}", place.family));
                return Ok(());
            }
        };
        self.charge(size_of::<Histogram>() + histogram.bucket_count() * size_of::<f64>())?;
        let labels = self.labels(&common, place);
        self.series(&labels, place.family, None)?;
        let start_timestamp = (common.start.0 != 0).then_some(common.start);
        let histogram = Arc::new(histogram);
        self.batch.histogram(HistogramSample { timestamp: common.time, start_timestamp, histogram });
        common.exemplars.into_iter().for_each(|exemplar| _ = self.batch.exemplar(exemplar));
        Ok(())
    }

    fn classic(&mut self, point: &Explicit, common: &Common, place: &Place<'_>) -> Result<(), Error> {
        let labels = self.labels(common, place);
        let Common { time, start, .. } = *common;
        if let Some(sum) = point.sum {
            self.series(&labels, &format!("{}_sum", place.family), None)?;
            self.float(time, start, common.value(sum));
        }
        self.series(&labels, &format!("{}_count", place.family), None)?;
        self.float(time, start, common.value(point.count as f64));
        let bucket = format!("{}_bucket", place.family);
        let mut below = 0u64;
        let mut exemplars = common.exemplars.clone();
        exemplars.sort_by(|a, b| a.value.total_cmp(&b.value));
        let mut exemplars = exemplars.into_iter().peekable();
        let finite = point.bounds.iter().zip(&point.counts).map(|(bound, count)| (*bound, Some(*count)));
        for (bound, count) in finite.chain([(f64::INFINITY, None)]) {
            below = count.map_or(point.count, |count| below.saturating_add(count));
            let text = decimal(bound);
            self.series(&labels, &bucket, Some((BUCKET, &text)))?;
            self.float(time, start, common.value(below as f64));
            while let Some(exemplar) = exemplars.next_if(|exemplar| exemplar.value <= bound) {
                self.batch.exemplar(exemplar);
            }
        }
        Ok(())
    }
}

/// Refuses a histogram whose buckets would expand to many times what others need.
fn check_size(point: Fields<'_>) -> Result<(), Error> {
    let (size, limit) = (point.rest().len(), POINT_BYTES_MAX);
    if size <= limit {
        return Ok(());
    }
    Err(Error::TooLarge { what: "a histogram point", size: size as u64, limit: limit as u64 })
}

/// A number without an exponent, as upstream writes bounds and quantiles here.
fn decimal(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        value.to_string()
    }
}

fn quantile(fields: Fields<'_>) -> Result<(f64, f64), Error> {
    let (mut quantile, mut value) = (0.0, 0.0);
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (1, Wire::Fixed64) => quantile = fields.double()?,
            (2, Wire::Fixed64) => value = fields.double()?,
            (1 | 2, _) => return fields.wrong_wire(),
            _ => fields.skip(wire)?,
        }
        Ok(())
    })?;
    Ok((quantile, value))
}

/// An exemplar; none where its labels are invalid.
fn exemplar(fields: Fields<'_>) -> Result<Option<Exemplar>, Error> {
    let (mut value, mut at, mut attributes, mut ids) = (0.0, 0, Vec::new(), Vec::new());
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (7, Wire::Bytes) => attributes.push(attribute(fields.nested()?)?),
            (2, Wire::Fixed64) => at = fields.fixed64()?,
            (3, Wire::Fixed64) => value = fields.double()?,
            (6, Wire::Fixed64) => value = fields.fixed64()? as i64 as f64,
            (4, Wire::Bytes) => ids.extend(id("span_id", fields.nested()?.rest())),
            (5, Wire::Bytes) => ids.extend(id("trace_id", fields.nested()?.rest())),
            (2..=7, _) => return fields.wrong_wire(),
            _ => fields.skip(wire)?,
        }
        Ok(())
    })?;
    let own: Vec<_> = attributes.into_iter().map(|one| (one.key, one.value)).collect();
    let chars = |(name, value): &(String, String)| name.chars().count() + value.chars().count();
    if ids.iter().chain(&own).map(chars).sum::<usize>() <= EXEMPLAR_CHARS_MAX {
        ids.extend(own);
    }
    let mut builder = Builder::default();
    ids.iter().for_each(|(name, value)| _ = builder.push(name, value));
    let timestamp = Some(time(at));
    Ok(builder.build_unique().ok().map(|labels| Exemplar { labels, value, timestamp }))
}

fn id(name: &str, bytes: &[u8]) -> Option<(String, String)> {
    use std::fmt::Write as _;
    if bytes.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut hex = String::with_capacity(2 * bytes.len());
    bytes.iter().for_each(|byte| _ = write!(hex, "{byte:02x}"));
    Some((name.to_owned(), hex))
}
