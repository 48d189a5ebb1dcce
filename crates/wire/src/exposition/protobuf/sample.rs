//! One sample of a page: what it is called, what it measures.
//!
//! The key of a series is a part number, the bits of a bound, the family's name and the labels as they stand in the
//! page; equal keys are equal labels. It never begins like a line of a text page, so one cache holds both.

use std::borrow::Cow;

use nave_base::varint;
use nave_model::histogram::Histogram;
use nave_model::label::{BUCKET, LabelError, Labels, METRIC_NAME};
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;

use super::Error;
use super::histogram;
use super::metric::Exemplars;
use crate::exposition::number::canonical_float;
use crate::pairs::{Pair, to_labels};
use crate::write_v1::field::Fields;
use crate::write_v1::pair;

const QUANTILE: &str = "quantile";
/// Bytes of a key before the name.
pub(super) const HEAD_BYTES: usize = 9;

/// Which part of a metric a series is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part {
    /// All of it: a counter, a gauge, a native histogram.
    Whole,
    /// `_count`
    Count,
    /// `_sum`
    Sum,
    /// `_bucket` with this upper bound.
    Bucket(f64),
    /// This quantile of a summary.
    Quantile(f64),
}

impl Part {
    fn head(self) -> (u8, u64) {
        match self {
            Self::Whole => (0, 0),
            Self::Count => (1, 0),
            Self::Sum => (2, 0),
            Self::Bucket(bound) => (3, bound.to_bits()),
            Self::Quantile(quantile) => (4, quantile.to_bits()),
        }
    }

    fn of_head(key: &[u8]) -> Self {
        let bits = key.get(1..HEAD_BYTES).and_then(|bytes| bytes.try_into().ok());
        let number = f64::from_bits(bits.map_or(0, u64::from_le_bytes));
        match key.first() {
            Some(1) => Self::Count,
            Some(2) => Self::Sum,
            Some(3) => Self::Bucket(number),
            Some(4) => Self::Quantile(number),
            _ => Self::Whole,
        }
    }

    /// Makes `key`, which holds name and labels already, that of this part.
    pub(super) fn write(self, key: &mut [u8]) {
        let (number, bits) = self.head();
        key[0] = number;
        key[1..HEAD_BYTES].copy_from_slice(&bits.to_le_bytes());
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Whole | Self::Quantile(_) => "",
            Self::Count => "_count",
            Self::Sum => "_sum",
            Self::Bucket(_) => "_bucket",
        }
    }

    fn label(self) -> Option<(&'static str, f64)> {
        match self {
            Self::Bucket(bound) => Some((BUCKET, bound)),
            Self::Quantile(quantile) => Some((QUANTILE, quantile)),
            _ => None,
        }
    }
}

/// A value.
#[derive(Debug, Clone, Copy)]
pub enum Measured<'a> {
    /// A number.
    Float(f64),
    /// A native histogram.
    Native(NativeHistogram<'a>),
}

/// A native histogram that is not decoded yet.
#[derive(Debug, Clone, Copy)]
pub struct NativeHistogram<'a> {
    pub(super) fields: Fields<'a>,
    pub(super) gauge: bool,
}

impl NativeHistogram<'_> {
    /// Decodes it: buckets in absolute counts, empty ones taken out.
    ///
    /// # Errors
    /// When it is broken or contradicts itself.
    pub fn decode(&self) -> Result<Histogram, String> {
        histogram::decode(self.fields, self.gauge)
    }

    /// Bytes that it takes decoded, at most.
    #[must_use]
    pub fn decoded_bytes(&self) -> usize {
        size_of::<Histogram>() + self.fields.rest().len() * size_of::<f64>()
    }
}

/// A sample.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Names the series: equal keys are equal labels.
    pub key: &'a [u8],
    /// What it measures.
    pub value: Measured<'a>,
    /// Which part of its metric it is.
    pub part: Part,
    /// Whether it is a part of a classic histogram that is not told as a native one too.
    pub only_classic: bool,
    /// When the target says it was measured.
    pub timestamp: Option<Timestamp>,
    /// Since when it counts.
    pub start_timestamp: Option<Timestamp>,
    pub(super) exemplars: Exemplars<'a>,
}

impl Sample<'_> {
    /// Decodes the labels, `__name__` among them.
    ///
    /// # Errors
    /// When a name is empty or stands twice, or a text is not UTF-8.
    pub fn labels(&self) -> Result<Labels, String> {
        labels(self.key, Part::of_head(self.key)).map_err(|error| error.to_string())
    }

    /// The labels of the metric that this is a part of.
    ///
    /// # Errors
    /// As [`Sample::labels`].
    pub fn whole_labels(&self) -> Result<Labels, String> {
        labels(self.key, Part::Whole).map_err(|error| error.to_string())
    }

    /// The exemplars of this sample. Those of native histograms have a time; others are left out, as upstream does.
    ///
    /// # Errors
    /// When one is broken.
    pub fn exemplars(&self) -> Result<Vec<Exemplar>, Error> {
        self.exemplars.decode()
    }

    /// Whether [`Sample::exemplars`] may give any.
    #[must_use]
    pub fn may_have_exemplars(&self) -> bool {
        !matches!(self.exemplars, Exemplars::None)
    }
}

fn labels(key: &[u8], part: Part) -> Result<Labels, LabelError> {
    let damaged = || LabelError::Damaged { offset: 0, len: key.len() };
    let mut rest = key.get(HEAD_BYTES..).ok_or_else(damaged)?;
    let name = varint::take_bytes(&mut rest).ok_or_else(damaged)?;
    let name = std::str::from_utf8(name).map_err(|_| LabelError::NotUtf8 { name: METRIC_NAME.to_owned() })?;
    let name = match part.suffix() {
        "" => Cow::Borrowed(name),
        suffix => Cow::Owned(format!("{name}{suffix}")),
    };
    let mut pairs: Vec<Pair<'_>> = Vec::with_capacity(16);
    pairs.push((Cow::Borrowed(METRIC_NAME), name));
    while !rest.is_empty() {
        let label = varint::take_bytes(&mut rest).ok_or_else(damaged)?;
        pairs.push(pair(Fields::new(label)).map_err(|_| damaged())??);
    }
    if let Some((name, bound)) = part.label() {
        pairs.push((Cow::Borrowed(name), Cow::Owned(canonical_float(bound))));
    }
    to_labels(&mut pairs)
}
