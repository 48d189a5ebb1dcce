//! Builds bodies to send.

use std::collections::HashMap;

use nave_base::varint;
use nave_model::append::HistogramSample;
use nave_model::label::Labels;
use nave_model::metadata::Metadata;
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;

use crate::remote_write::Encoding;
use crate::write_v1::encode::{put_bytes, put_double, put_int64, put_tag};
use crate::write_v1::{histogram, kind_number};
use crate::zstd_body;

/// One series to send. The specification wants samples or histograms, not both.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// Its labels; they are sorted, as receivers require.
    pub labels: &'a Labels,
    /// Float samples, oldest first.
    pub samples: &'a [(Timestamp, f64)],
    /// Empty, or since when each sample counts; `Timestamp(0)` is unknown.
    pub start_timestamps: &'a [Timestamp],
    /// Native histograms, oldest first.
    pub histograms: &'a [HistogramSample],
    /// Exemplars, oldest first.
    pub exemplars: &'a [Exemplar],
    /// What is known of its metric family.
    pub metadata: Option<&'a Metadata>,
}

/// Collects one request after the other and keeps its buffers.
pub struct Encoder {
    /// The message: first the table, in the end the series behind it.
    table: Vec<u8>,
    series: Vec<u8>,
    part: Vec<u8>,
    inner: Vec<u8>,
    references: Vec<u8>,
    symbols: HashMap<Box<str>, u32>,
    /// The series before, most of whose labels the next one shares.
    before: Labels,
    before_references: Vec<(u32, u32)>,
    compressor: snap::raw::Encoder,
    /// Made when it is first needed.
    zstd: Option<zstd_body::Compressor>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoder({} bytes)", self.len_bytes())
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
        let mut encoder = Self {
            table: Vec::new(),
            series: Vec::new(),
            part: Vec::new(),
            inner: Vec::new(),
            references: Vec::new(),
            symbols: HashMap::new(),
            before: Labels::empty(),
            before_references: Vec::new(),
            compressor: snap::raw::Encoder::new(),
            zstd: None,
        };
        encoder.clear();
        encoder
    }

    fn clear(&mut self) {
        self.table.clear();
        self.series.clear();
        self.symbols.clear();
        self.before = Labels::empty();
        self.before_references.clear();
        // Reference 0 is the empty text.
        self.symbol("");
    }

    /// The number of a text, which is put into the table when it is new.
    fn symbol(&mut self, text: &str) -> u32 {
        if let Some(known) = self.symbols.get(text) {
            return *known;
        }
        let number = u32::try_from(self.symbols.len()).expect("Encoder: a request has few symbols");
        put_bytes(&mut self.table, 4, text.as_bytes());
        self.symbols.insert(Box::from(text), number);
        number
    }

    /// Puts the references of `labels` into `references`.
    fn refer(&mut self, labels: &Labels) {
        self.references.clear();
        for (name, value) in labels {
            for number in [self.symbol(name), self.symbol(value)] {
                varint::put_u64(&mut self.references, u64::from(number));
            }
        }
    }

    /// The same for the labels of a series: what it shares with the series before is not looked up.
    fn refer_series(&mut self, labels: &Labels) {
        self.references.clear();
        let before = std::mem::replace(&mut self.before, labels.clone());
        let before_references = std::mem::take(&mut self.before_references);
        let mut known = before.iter().zip(before_references).peekable();
        let mut references = Vec::with_capacity(16);
        for (name, value) in labels {
            while known.next_if(|((earlier, _), _)| *earlier < name).is_some() {}
            let reference = match known.next_if(|((same, _), _)| *same == name) {
                Some(((_, same), both)) if same == value => both,
                Some((_, (name, _))) => (name, self.symbol(value)),
                None => (self.symbol(name), self.symbol(value)),
            };
            varint::put_u64(&mut self.references, u64::from(reference.0));
            varint::put_u64(&mut self.references, u64::from(reference.1));
            references.push(reference);
        }
        self.before_references = references;
    }

    /// Adds a series with everything it has.
    pub fn write(&mut self, series: &Series<'_>) {
        self.part.clear();
        self.refer_series(series.labels);
        put_bytes(&mut self.part, 1, &self.references);
        for (at, (timestamp, value)) in series.samples.iter().enumerate() {
            self.inner.clear();
            put_double(&mut self.inner, 1, *value);
            put_int64(&mut self.inner, 2, timestamp.0);
            put_int64(&mut self.inner, 3, series.start_timestamps.get(at).map_or(0, |start| start.0));
            put_bytes(&mut self.part, 2, &self.inner);
        }
        for sample in series.histograms {
            self.inner.clear();
            histogram::encode(sample, true, &mut self.inner);
            put_bytes(&mut self.part, 3, &self.inner);
        }
        for exemplar in series.exemplars {
            self.refer(&exemplar.labels);
            self.inner.clear();
            put_bytes(&mut self.inner, 1, &self.references);
            put_double(&mut self.inner, 2, exemplar.value);
            put_int64(&mut self.inner, 3, exemplar.timestamp.unwrap_or_default().0);
            put_bytes(&mut self.part, 4, &self.inner);
        }
        if let Some(metadata) = series.metadata {
            self.metadata(metadata);
        }
        put_bytes(&mut self.series, 5, &self.part);
    }

    fn metadata(&mut self, metadata: &Metadata) {
        let (help, unit) = (self.symbol(&metadata.help), self.symbol(&metadata.unit));
        self.inner.clear();
        put_int64(&mut self.inner, 1, kind_number(metadata.kind));
        for (number, reference) in [(3, help), (4, unit)] {
            if reference != 0 {
                put_tag(&mut self.inner, number, 0);
                varint::put_u64(&mut self.inner, u64::from(reference));
            }
        }
        put_bytes(&mut self.part, 5, &self.inner);
    }

    /// Whether nothing was added since the last [`Self::finish`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Size of the request so far, before compression.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.table.len() + self.series.len()
    }

    /// The compressed request. The encoder is empty again.
    ///
    /// # Panics
    /// When the request has grown beyond snappy's 4 GiB; callers flush at a few MiB by [`Self::len_bytes`].
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.table.extend_from_slice(&self.series);
        let body = self.compressor.compress_vec(&self.table).expect("Encoder: a request is under 4 GiB");
        self.clear();
        body
    }

    /// The request as a zstd frame; as snappy when there is no memory for that. The encoder is empty again.
    #[must_use]
    pub fn finish_zstd(&mut self) -> (Encoding, Vec<u8>) {
        if self.zstd.is_none() {
            self.zstd = zstd_body::Compressor::new();
        }
        self.table.extend_from_slice(&self.series);
        let frame = self.zstd.as_mut().and_then(|zstd| zstd.compress(&self.table));
        let Some(body) = frame else {
            self.series.clear();
            return (Encoding::Snappy, self.finish());
        };
        self.clear();
        (Encoding::Zstd, body)
    }
}
