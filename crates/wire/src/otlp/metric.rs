//! From the request down to the points: resources, scopes, metrics.

use nave_model::metadata::{Metadata, MetricType};

use super::attribute::{attribute, text};
use super::label::{Resource, Scope};
use super::name::{self, Kind};
use super::point::{Place, Writer};
use crate::write_v1::Error;
use crate::write_v1::field::{Fields, Wire, each};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`
const CUMULATIVE: u64 = 2;

/// The field of `Metric` that holds its points.
const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL: u32 = 10;
const SUMMARY: u32 = 11;

pub(super) fn resource_metrics(fields: Fields<'_>, writer: &mut Writer<'_>) -> Result<(), Error> {
    let mut attributes = Vec::new();
    each(fields, |number, wire, fields| match (number, wire) {
        (1, Wire::Bytes) => each(fields.nested()?, |number, wire, fields| {
            match (number, wire) {
                (1, Wire::Bytes) => attributes.push(attribute(fields.nested()?)?),
                _ => fields.skip(wire)?,
            }
            Ok(())
        }),
        _ => fields.skip(wire),
    })?;
    let resource = Resource::new(attributes, writer.settings);
    writer.begin_resource();
    each(fields, |number, wire, fields| match (number, wire) {
        (2, Wire::Bytes) => scope_metrics(fields.nested()?, &resource, writer),
        _ => fields.skip(wire),
    })?;
    writer.end_resource(&resource)
}

fn scope_metrics(fields: Fields<'_>, resource: &Resource, writer: &mut Writer<'_>) -> Result<(), Error> {
    let mut scope = Scope::default();
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (1, Wire::Bytes) => read_scope(fields.nested()?, &mut scope)?,
            (3, Wire::Bytes) => scope.schema_url = text(fields.nested()?),
            _ => fields.skip(wire)?,
        }
        Ok(())
    })?;
    each(fields, |number, wire, fields| match (number, wire) {
        (2, Wire::Bytes) => metric(fields.nested()?, resource, &scope, writer),
        _ => fields.skip(wire),
    })
}

fn read_scope(fields: Fields<'_>, scope: &mut Scope) -> Result<(), Error> {
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (1, Wire::Bytes) => scope.name = text(fields.nested()?),
            (2, Wire::Bytes) => scope.version = text(fields.nested()?),
            (3, Wire::Bytes) => scope.attributes.push(attribute(fields.nested()?)?),
            _ => fields.skip(wire)?,
        }
        Ok(())
    })
}

fn metric(
    fields: Fields<'_>,
    resource: &Resource,
    scope: &Scope,
    writer: &mut Writer<'_>,
) -> Result<(), Error> {
    let (mut name, mut help, mut unit, mut points) = (String::new(), String::new(), String::new(), None);
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (1, Wire::Bytes) => name = text(fields.nested()?),
            (2, Wire::Bytes) => help = text(fields.nested()?),
            (3, Wire::Bytes) => unit = text(fields.nested()?),
            (GAUGE | SUM | HISTOGRAM | EXPONENTIAL | SUMMARY, Wire::Bytes) => {
                points = Some((number, fields.nested()?));
            }
            _ => fields.skip(wire)?,
        }
        Ok(())
    })?;
    let Some((kind, points)) = points else {
        writer.refused.add(0, || format!("metric {name:?} has no type"));
        return Ok(());
    };
    let about = About::read(points)?;
    if about.points == 0 {
        writer.refused.add(0, || format!("empty data points. {name} is dropped"));
        return Ok(());
    }
    writer.times(points)?;
    if matches!(kind, SUM | HISTOGRAM | EXPONENTIAL) && about.temporality != CUMULATIVE {
        writer
            .refused
            .add(about.points, || format!("invalid temporality and type combination for metric {name:?}"));
        return Ok(());
    }
    let (kind_of_name, kind_of_metric) = match kind {
        GAUGE => (Kind::Gauge, MetricType::Gauge),
        SUM if about.monotonic => (Kind::Counter, MetricType::Counter),
        SUM => (Kind::Other, MetricType::Gauge),
        SUMMARY => (Kind::Other, MetricType::Summary),
        _ => (Kind::Other, MetricType::Histogram),
    };
    let Some(family) = name::metric(&name, &unit, kind_of_name, writer.settings.strategy) else {
        writer.refused.add(about.points, || format!("nothing is left of the name of metric {name:?}"));
        return Ok(());
    };
    let metadata = Metadata { kind: kind_of_metric, help: help.into(), unit: unit.into() };
    writer.metadata(&family, metadata);
    let place = Place { family: &family, resource, scope };
    each(points, |number, wire, fields| match (number, wire) {
        (1, Wire::Bytes) => {
            let point = fields.nested()?;
            match kind {
                GAUGE => writer.number(point, &place, false),
                SUM => writer.number(point, &place, true),
                HISTOGRAM => writer.histogram(point, &place),
                EXPONENTIAL => writer.exponential(point, &place),
                _ => writer.summary(point, &place),
            }
        }
        _ => fields.skip(wire),
    })
}

/// What the message around the points says.
#[derive(Default)]
struct About {
    points: u64,
    temporality: u64,
    monotonic: bool,
}

impl About {
    fn read(fields: Fields<'_>) -> Result<Self, Error> {
        let mut about = Self::default();
        each(fields, |number, wire, fields| {
            match (number, wire) {
                (1, Wire::Bytes) => {
                    fields.nested()?;
                    about.points += 1;
                }
                (2, Wire::Varint) => about.temporality = fields.varint()?,
                (3, Wire::Varint) => about.monotonic = fields.varint()? != 0,
                (1..=3, _) => return fields.wrong_wire(),
                _ => fields.skip(wire)?,
            }
            Ok(())
        })?;
        Ok(about)
    }
}
