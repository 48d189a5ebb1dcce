//! From a sorted batch to a body, in either version of remote write.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use nave_model::append::HistogramSample;
use nave_model::label::Labels;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;
use nave_wire::remote_write::{Encoding, Message};
use nave_wire::{write_v1, write_v2};

use super::lane::{Sample, Value};
use super::transport::Body;

/// Metadata by metric family.
pub(super) type Families = HashMap<Arc<str>, Metadata>;

/// Encoders of both versions; they keep their buffers from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    v1: write_v1::Encoder,
    v2: write_v2::Encoder,
    row: Row,
}

/// One series entry of a request.
#[derive(Debug, Default)]
struct Row {
    samples: Vec<(Timestamp, f64)>,
    starts: Vec<Timestamp>,
    histograms: Vec<HistogramSample>,
    exemplars: Vec<Exemplar>,
}

impl Row {
    fn clear(&mut self) {
        self.samples.clear();
        self.starts.clear();
        self.histograms.clear();
        self.exemplars.clear();
    }

    /// Whether `sample` may stand in the same entry: times ascend, and floats and histograms do not mix.
    fn takes(&self, sample: &Sample) -> bool {
        let newest = match sample.value {
            Value::Exemplar(_) => return true,
            Value::Histogram(_) if !self.samples.is_empty() => return false,
            Value::Histogram(_) => self.histograms.last().map(|last| last.timestamp),
            _ if !self.histograms.is_empty() => return false,
            _ => self.samples.last().map(|last| last.0),
        };
        newest.is_none_or(|newest| newest < sample.timestamp)
    }

    fn push(&mut self, sample: &Sample) {
        match &sample.value {
            Value::Float(value) => self.float(sample.timestamp, *value, Timestamp(0)),
            Value::Started(both) => self.float(sample.timestamp, both.0, both.1),
            Value::Histogram(histogram) => self.histograms.push((**histogram).clone()),
            Value::Exemplar(exemplar) => self.exemplars.push((**exemplar).clone()),
        }
    }

    fn float(&mut self, timestamp: Timestamp, value: f64, start: Timestamp) {
        self.samples.push((timestamp, value));
        self.starts.push(start);
    }
}

impl Bodies {
    /// The compressed body of `samples`, which are sorted by series.
    pub(super) fn encode(
        &mut self,
        message: Message,
        encoding: Encoding,
        samples: &[Sample],
        families: &Families,
    ) -> Body {
        let mut row = std::mem::take(&mut self.row);
        let same = |a: &Sample, b: &Sample| a.target.labels.as_bytes() == b.target.labels.as_bytes();
        for run in samples.chunk_by(same) {
            let labels = &run[0].target.labels;
            row.clear();
            for sample in run {
                if !row.takes(sample) {
                    self.write(message, labels, &row, families);
                    row.clear();
                }
                row.push(sample);
            }
            self.write(message, labels, &row, families);
        }
        self.row = row;
        let (encoding, bytes) = match (message, encoding) {
            (Message::V1, _) => (Encoding::Snappy, self.v1.finish()),
            (Message::V2, Encoding::Snappy) => (Encoding::Snappy, self.v2.finish()),
            (Message::V2, Encoding::Zstd) => self.v2.finish_zstd(),
        };
        Body { message, encoding, bytes: Bytes::from(bytes) }
    }

    fn write(&mut self, message: Message, labels: &Labels, row: &Row, families: &Families) {
        let Row { samples, starts, histograms, exemplars } = row;
        match message {
            Message::V1 => self.v1.write(&write_v1::Series { labels, samples, histograms, exemplars }),
            Message::V2 => {
                let metadata = about(families, labels.metric_name());
                let start_timestamps = starts;
                self.v2.write(&write_v2::Series {
                    labels,
                    samples,
                    start_timestamps,
                    histograms,
                    exemplars,
                    metadata,
                });
            }
        }
    }
}

/// The metadata of a series by its name: the family is the name, or the name without what its type adds.
fn about<'a>(families: &'a Families, name: &str) -> Option<&'a Metadata> {
    use MetricType::{Counter, GaugeHistogram, Histogram, Info, Summary};
    if families.is_empty() {
        return None;
    }
    if let Some(exact) = families.get(name) {
        return Some(exact);
    }
    let suffixes: [(&str, &[MetricType]); 8] = [
        ("_bucket", &[Histogram, GaugeHistogram]),
        ("_count", &[Histogram, Summary]),
        ("_sum", &[Histogram, Summary]),
        ("_total", &[Counter]),
        ("_created", &[Counter, Histogram, Summary]),
        ("_gcount", &[GaugeHistogram]),
        ("_gsum", &[GaugeHistogram]),
        ("_info", &[Info]),
    ];
    suffixes.iter().find_map(|(suffix, kinds)| {
        let metadata = families.get(name.strip_suffix(suffix)?)?;
        kinds.contains(&metadata.kind).then_some(metadata)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_found_by_the_names_of_their_series() {
        let of = |kind| Metadata { kind, ..Metadata::default() };
        let families: Families = [
            ("lat", MetricType::Histogram),
            ("hits", MetricType::Counter),
            ("temp_sum", MetricType::Gauge),
            ("temp", MetricType::Gauge),
        ]
        .into_iter()
        .map(|(name, kind)| (Arc::from(name), of(kind)))
        .collect();
        let check = |name: &str, want: Option<MetricType>| {
            assert_eq!(about(&families, name).map(|metadata| metadata.kind), want, "{name}");
        };
        check("lat_bucket", Some(MetricType::Histogram));
        check("lat_sum", Some(MetricType::Histogram));
        check("lat", Some(MetricType::Histogram));
        check("hits_total", Some(MetricType::Counter));
        check("temp_sum", Some(MetricType::Gauge));
        check("temp_count", None);
        check("other", None);
    }
}
