//! Metric pages in protobuf: delimited messages of `io.prometheus.client.MetricFamily`.
//!
//! [`read`] walks a page and tells a [`Visit`] what it finds, family by family, sample by sample. It allocates
//! nothing per sample: what a series is called is copied into one buffer that all of them share, and labels, native
//! histograms and exemplars are decoded when they are asked for.
//!
//! - Broken protobuf refuses the page where it is found; what was told before stays told.
//! - Classic histograms and summaries become the series that the text format has, with bounds in canonical form.
//!   Gauge histograms have `_count` and `_sum` too, as upstream's scraper names them.
//! - Unknown fields are skipped, and of a repeated scalar or message the last one counts.
//! - A NaN is always the ordinary one, never the stale marker.

mod histogram;
mod metric;
mod sample;

use nave_model::metadata::MetricType;

use crate::write_v1;
use crate::write_v1::field::{Fields, Wire};

pub use self::sample::{Measured, NativeHistogram, Part, Sample};

/// The `Content-Type` of such pages.
pub const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Why a page is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the message that it should be.
    #[error("protobuf page is broken at byte {offset}: expected {expected}")]
    Broken {
        /// Where in the page.
        offset: usize,
        /// What should have stood there.
        expected: &'static str,
    },
    /// A family that cannot be.
    #[error("family {family:?}: {why}")]
    Family {
        /// Its name.
        family: String,
        /// What is wrong.
        why: String,
    },
}

impl From<write_v1::Error> for Error {
    fn from(error: write_v1::Error) -> Self {
        match error {
            write_v1::Error::Protobuf { offset, expected } => Self::Broken { offset, expected },
            // The walk itself gives no other.
            _ => Self::Broken { offset: 0, expected: "a page within its limits" },
        }
    }
}

/// What is made of histograms that have native buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histograms {
    /// Whether they are told as native histograms; otherwise as classic ones.
    pub native: bool,
    /// Whether their classic buckets are told beside, when they have some.
    pub classic_too: bool,
}

/// A metric family without its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it says it is.
    pub kind: MetricType,
    /// The help text, possibly empty.
    pub help: &'a str,
    /// The unit, possibly empty.
    pub unit: &'a str,
}

/// Is told what a page holds.
pub trait Visit {
    /// Why reading ends early.
    type Error: From<Error>;

    /// A family that has metrics begins.
    ///
    /// # Errors
    /// Whatever the visitor says; reading ends with it.
    fn family(&mut self, family: &Family<'_>) -> Result<(), Self::Error>;

    /// A sample of the family.
    ///
    /// # Errors
    /// Whatever the visitor says; reading ends with it.
    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), Self::Error>;
}

/// Reads all of `page`.
///
/// # Errors
/// When the page is broken, or what `visit` says.
pub fn read<V: Visit>(page: &[u8], histograms: Histograms, visit: &mut V) -> Result<(), V::Error> {
    let mut key = Vec::new();
    let mut messages = Fields::new(page);
    while !messages.is_empty() {
        let message = messages.nested().map_err(Error::from)?;
        let Some(family) = family(message)? else { continue };
        visit.family(&family)?;
        let mut fields = message;
        while let Some((number, wire)) = fields.tag().map_err(Error::from)? {
            if number == 4 {
                let metric = metric::Metric::read(fields.nested().map_err(Error::from)?)?;
                metric.tell(&family, histograms, &mut key, visit)?;
            } else {
                fields.skip(wire).map_err(Error::from)?;
            }
        }
    }
    Ok(())
}

/// What the family says of itself; `None` when it has no metrics.
fn family(mut fields: Fields<'_>) -> Result<Option<Family<'_>>, Error> {
    let (mut name, mut help, mut unit) = (&b""[..], &b""[..], &b""[..]);
    let (mut kind, mut metrics) = (0, false);
    while let Some((number, wire)) = fields.tag()? {
        match (number, wire) {
            (1, Wire::Bytes) => name = fields.nested()?.rest(),
            (2, Wire::Bytes) => help = fields.nested()?.rest(),
            (3, Wire::Varint) => kind = fields.varint()?,
            (4, Wire::Bytes) => {
                fields.nested()?;
                metrics = true;
            }
            (5, Wire::Bytes) => unit = fields.nested()?.rest(),
            (1..=5, _) => return Ok(fields.wrong_wire()?),
            _ => fields.skip(wire)?,
        }
    }
    if !metrics {
        return Ok(None);
    }
    let refuse = |why: String| {
        let family = String::from_utf8_lossy(&name[..name.len().min(200)]).into_owned();
        Error::Family { family, why }
    };
    let text =
        |bytes, what: &str| std::str::from_utf8(bytes).map_err(|_| refuse(format!("{what} is not UTF-8")));
    if name.is_empty() {
        return Err(refuse("the name is empty".to_owned()));
    }
    let kind = kind_of(kind).ok_or_else(|| refuse(format!("unknown metric type {kind}")))?;
    let family = Family {
        name: text(name, "the name")?,
        kind,
        help: text(help, "the help")?,
        unit: text(unit, "the unit")?,
    };
    if fits_unit(&family) {
        Ok(Some(family))
    } else {
        Err(refuse(format!("the name does not end in _{}", family.unit)))
    }
}

fn kind_of(number: u64) -> Option<MetricType> {
    Some(match number {
        0 => MetricType::Counter,
        1 => MetricType::Gauge,
        2 => MetricType::Summary,
        3 => MetricType::Unknown,
        4 => MetricType::Histogram,
        5 => MetricType::GaugeHistogram,
        _ => return None,
    })
}

/// A unit is the last part of the name, before the `_total` of a counter.
fn fits_unit(family: &Family<'_>) -> bool {
    let counted = if family.kind == MetricType::Counter { family.name.strip_suffix("_total") } else { None };
    let before = counted.unwrap_or(family.name).strip_suffix(family.unit);
    family.unit.is_empty() || before.is_some_and(|before| before.ends_with('_'))
}

#[cfg(test)]
mod tests;
