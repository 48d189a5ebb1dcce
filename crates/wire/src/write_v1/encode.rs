//! Builds bodies to send.

use nave_base::varint;
use nave_model::append::HistogramSample;
use nave_model::label::Labels;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;

use super::histogram;

/// A field that no version of the message has.
const PADDING_FIELD: u32 = 1000;

/// One series to send.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// Its labels; they are sorted, as receivers require.
    pub labels: &'a Labels,
    /// Float samples, oldest first.
    pub samples: &'a [(Timestamp, f64)],
    /// Native histograms, oldest first.
    pub histograms: &'a [HistogramSample],
    /// Exemplars, oldest first.
    pub exemplars: &'a [Exemplar],
}

/// Collects one request after the other and keeps its buffers.
pub struct Encoder {
    message: Vec<u8>,
    part: Vec<u8>,
    inner: Vec<u8>,
    compressor: snap::raw::Encoder,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoder({} bytes)", self.message.len())
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An empty request.
    #[must_use]
    pub fn new() -> Self {
        let compressor = snap::raw::Encoder::new();
        Self { message: Vec::new(), part: Vec::new(), inner: Vec::new(), compressor }
    }

    /// Adds a series of floats.
    pub fn series(&mut self, labels: &Labels, samples: &[(Timestamp, f64)]) {
        self.write(&Series { labels, samples, histograms: &[], exemplars: &[] });
    }

    /// Adds a series with everything it has.
    pub fn write(&mut self, series: &Series<'_>) {
        self.part.clear();
        put_labels(&mut self.part, series.labels);
        for (timestamp, value) in series.samples {
            self.inner.clear();
            put_double(&mut self.inner, 1, *value);
            put_int64(&mut self.inner, 2, timestamp.0);
            put_bytes(&mut self.part, 2, &self.inner);
        }
        for exemplar in series.exemplars {
            self.inner.clear();
            put_labels(&mut self.inner, &exemplar.labels);
            put_double(&mut self.inner, 2, exemplar.value);
            put_int64(&mut self.inner, 3, exemplar.timestamp.unwrap_or_default().0);
            put_bytes(&mut self.part, 3, &self.inner);
        }
        for sample in series.histograms {
            self.inner.clear();
            histogram::encode(sample, false, &mut self.inner);
            put_bytes(&mut self.part, 4, &self.inner);
        }
        put_bytes(&mut self.message, 1, &self.part);
    }

    /// Adds the metadata of a family.
    pub fn metadata(&mut self, family: &str, metadata: &Metadata) {
        self.part.clear();
        put_int64(&mut self.part, 1, kind_number(metadata.kind));
        for (number, text) in [(2, family), (4, &*metadata.help), (5, &*metadata.unit)] {
            if !text.is_empty() {
                put_bytes(&mut self.part, number, text.as_bytes());
            }
        }
        put_bytes(&mut self.message, 3, &self.part);
    }

    /// Adds bytes that receivers skip, as protobuf has them skip fields that they do not know: to see what size of
    /// request gets through.
    pub fn padding(&mut self, bytes: &[u8]) {
        put_bytes(&mut self.message, PADDING_FIELD, bytes);
    }

    /// Whether nothing was added since the last [`Self::finish`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.message.is_empty()
    }

    /// Size of the request so far, before compression.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.message.len()
    }

    /// The compressed request. The encoder is empty again.
    ///
    /// # Panics
    /// When the request has grown beyond snappy's 4 GiB; callers flush at a few MiB by [`Self::len_bytes`].
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let body = self.compressor.compress_vec(&self.message).expect("Encoder: a request is under 4 GiB");
        self.message.clear();
        body
    }
}

/// The number of `MetricMetadata.MetricType`.
pub(crate) fn kind_number(kind: MetricType) -> i64 {
    match kind {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}

fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    for (name, value) in labels {
        put_tag(out, 1, 2);
        varint::put_u64(out, (text_size(name) + text_size(value)) as u64);
        put_bytes(out, 1, name.as_bytes());
        put_bytes(out, 2, value.as_bytes());
    }
}

/// Bytes of a text field with a one-byte tag.
fn text_size(text: &str) -> usize {
    let bits = usize::BITS - (text.len() | 1).leading_zeros();
    1 + bits.div_ceil(7) as usize + text.len()
}

pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, wire: u32) {
    varint::put_u64(out, u64::from(number << 3 | wire));
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, 2);
    varint::put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Zero is the default and not written; -0 is not zero here, so that every bit arrives.
pub(crate) fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    if value.to_bits() != 0 {
        put_tag(out, number, 1);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

pub(crate) fn put_int64(out: &mut Vec<u8>, number: u32, value: i64) {
    if value != 0 {
        put_tag(out, number, 0);
        varint::put_u64(out, value as u64);
    }
}
