//! The contract of everything that takes samples.
//!
//! Scraping, the remote-write receiver and rules call [`Append::append`]; the agent's queue and the
//! hub's tsdb implement it. Neither side knows the other.
//!
//! - A [`Batch`] is handed over whole and owned by the callee. It may hold any number of series from
//!   one [`Principal`].
//! - Series come as raw label bytes in some [`LabelFormat`]. The callee looks them up by a keyed hash
//!   of (principal, format, bytes) and decodes only what it does not know.
//! - The future resolves when everything that the [`Outcome`] calls stored or duplicate is durable as
//!   the callee is configured. Dropping the future does not undo the append.
//! - A rejected sample never takes a valid one with it. [`AppendError`] means that nothing of the batch is
//!   promised; sending the same batch again is right and changes nothing that was stored.
//! - Appending the same sample again (same series, time and bits of the value) is a duplicate: a no-op
//!   that counts as success.
//! - Batches of one series must be appended one after the other for their order to be kept; the callee
//!   takes samples in any order.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;

use crate::histogram::Histogram;
use crate::label::{LabelError, Labels};
use crate::metadata::Metadata;
use crate::sample::Exemplar;
use crate::time::Timestamp;

/// Takes batches of samples.
pub trait Append: Send + Sync {
    /// Stores what is valid in `batch`; see the module for what may be relied on.
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>>;
}

/// A partition key that is in the log, in block meta and in both contracts. Most installations have one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(pub Arc<str>);

impl Default for Tenant {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

/// The label that says of which cluster a series is.
pub const CLUSTER: &str = "cluster";

/// What becomes of a series that carries another value of a stamped label than the stamp's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Contradiction {
    /// The stamp replaces it.
    #[default]
    Relabel,
    /// The series is refused.
    Refuse,
}

/// What a principal may keep in a store; `None` is no limit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Series of the principal's cluster; one more is refused.
    pub series: Option<u64>,
    /// The same for the series of one metric name.
    pub series_per_metric: Option<u64>,
    /// Labels of one series, with the metric name and what is stamped.
    pub labels_per_series: Option<u64>,
    /// Bytes of a label name.
    pub label_name_bytes: Option<u64>,
    /// Bytes of a label value.
    pub label_value_bytes: Option<u64>,
}

/// On whose behalf samples are written: decides identity, limits and what is stamped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Unique in the process; part of the key of raw-byte lookups, because stamping makes different
    /// series of equal bytes.
    pub id: u32,
    /// The partition.
    pub tenant: Tenant,
    /// The cluster that the credentials say, when there are any.
    pub cluster: Option<Arc<str>>,
    /// Who to name in logs and errors: a remote address, a job and instance, a rule group.
    pub sender: Arc<str>,
    /// Labels set on every series, whatever the sender wrote there.
    pub stamp: Vec<(String, String)>,
    /// What becomes of series that contradict the stamp.
    pub contradiction: Contradiction,
    /// What it may keep.
    pub limits: Limits,
}

impl Principal {
    /// The process itself and anyone without credentials: id 0, default tenant, nothing stamped.
    #[must_use]
    pub fn anonymous(sender: &str) -> Self {
        Self {
            id: 0,
            tenant: Tenant::default(),
            cluster: None,
            sender: Arc::from(sender),
            stamp: Vec::new(),
            contradiction: Contradiction::default(),
            limits: Limits::default(),
        }
    }

    /// The labels of a series of this principal as they are stored.
    ///
    /// # Errors
    /// A contradiction that is to be refused, or more or longer labels than the limits allow.
    pub fn stamped(&self, labels: Labels) -> Result<Labels, Reason> {
        let labels = if self.stamp.is_empty() { labels } else { self.stamp_on(&labels)? };
        let over = |name, limit: Option<u64>, length: usize| match limit {
            Some(limit) if length as u64 > limit => Err(Reason::Limit { name, limit }),
            _ => Ok(()),
        };
        let limits = &self.limits;
        over("limits.labels_per_series of the cluster", limits.labels_per_series, labels.len())?;
        for (name, value) in &labels {
            over("limits.label_name_bytes of the cluster", limits.label_name_bytes, name.len())?;
            over("limits.label_value_bytes of the cluster", limits.label_value_bytes, value.len())?;
        }
        Ok(labels)
    }

    fn stamp_on(&self, labels: &Labels) -> Result<Labels, Reason> {
        let mut builder = labels.to_builder();
        for (name, value) in &self.stamp {
            let sent = labels.get(name);
            if self.contradiction == Contradiction::Refuse && !sent.is_empty() && sent != value {
                let (label, sent, own) = (name.clone(), sent.to_owned(), value.clone());
                return Err(Reason::Foreign { label, sent, own });
            }
            builder.set(name, value);
        }
        Ok(builder.build())
    }
}

/// How the raw label bytes of a batch are written.
#[derive(Clone, Copy)]
pub struct LabelFormat {
    /// Unique per format; part of the key of raw-byte lookups.
    pub id: u8,
    /// Checks and decodes the bytes of one series.
    pub decode: fn(&[u8]) -> Result<Labels, LabelError>,
}

impl LabelFormat {
    /// The bytes of [`Labels`].
    pub const CANONICAL: Self = Self { id: 0, decode: Labels::from_bytes };
}

impl fmt::Debug for LabelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LabelFormat({})", self.id)
    }
}

/// Names a series inside one appender, for one generation of it.
///
/// A reference from an earlier generation is never an error: the callee falls back to the label bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesRef {
    /// Which life of the appender gave it; 0 is none.
    pub generation: u32,
    /// The series in that life.
    pub id: u32,
}

impl SeriesRef {
    /// No reference: look at the label bytes.
    pub const NONE: Self = Self { generation: 0, id: 0 };
}

/// A native histogram with its time.
#[derive(Debug, Clone)]
pub struct HistogramSample {
    /// When.
    pub timestamp: Timestamp,
    /// Since when it counts, when known.
    pub start_timestamp: Option<Timestamp>,
    /// What.
    pub histogram: Arc<Histogram>,
}

/// One series of a batch: ranges into the batch's columns.
#[derive(Debug, Clone)]
pub struct BatchSeries {
    /// Raw label bytes, in [`Batch::bytes`].
    pub labels: Range<u32>,
    /// What an earlier [`Outcome`] gave for these labels, or [`SeriesRef::NONE`].
    pub reference: SeriesRef,
    /// Float samples, in [`Batch::timestamps`] and [`Batch::values`].
    pub samples: Range<u32>,
    /// In [`Batch::histograms`].
    pub histograms: Range<u32>,
    /// In [`Batch::exemplars`].
    pub exemplars: Range<u32>,
}

/// Series with their samples, in columns.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Who writes.
    pub principal: Arc<Principal>,
    /// How label bytes are written.
    pub label_format: LabelFormat,
    /// Holds the label bytes of all series; usually the decompressed request itself.
    pub bytes: Bytes,
    /// The series, in any order. One series may stand twice.
    pub series: Vec<BatchSeries>,
    /// Times of the float samples.
    pub timestamps: Vec<Timestamp>,
    /// Values of the float samples.
    pub values: Vec<f64>,
    /// Empty, or one per float sample; `Timestamp(0)` is unknown.
    pub start_timestamps: Vec<Timestamp>,
    /// Native histograms.
    pub histograms: Vec<HistogramSample>,
    /// Exemplars.
    pub exemplars: Vec<Exemplar>,
    /// Metadata by metric family name.
    pub metadata: Vec<(Arc<str>, Metadata)>,
}

impl Batch {
    /// An empty batch whose label bytes are `bytes`.
    #[must_use]
    pub fn new(principal: Arc<Principal>, label_format: LabelFormat, bytes: Bytes) -> Self {
        Self {
            principal,
            label_format,
            bytes,
            series: Vec::new(),
            timestamps: Vec::new(),
            values: Vec::new(),
            start_timestamps: Vec::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
            metadata: Vec::new(),
        }
    }

    /// The raw label bytes of `series`.
    #[must_use]
    pub fn label_bytes(&self, series: &BatchSeries) -> &[u8] {
        &self.bytes[series.labels.start as usize..series.labels.end as usize]
    }

    /// Float samples of `series`, in order.
    pub fn samples(&self, series: &BatchSeries) -> impl Iterator<Item = (Timestamp, f64)> + '_ {
        let range = series.samples.start as usize..series.samples.end as usize;
        self.timestamps[range.clone()].iter().copied().zip(self.values[range].iter().copied())
    }

    /// Float samples and histograms.
    #[must_use]
    pub fn sample_count(&self) -> usize {
        self.values.len() + self.histograms.len()
    }
}

/// Builds a batch of canonical label bytes, series by series.
#[derive(Debug)]
pub struct BatchBuilder {
    batch: Batch,
    bytes: BytesMut,
}

impl BatchBuilder {
    /// An empty batch of `principal`.
    #[must_use]
    pub fn new(principal: Arc<Principal>) -> Self {
        Self { batch: Batch::new(principal, LabelFormat::CANONICAL, Bytes::new()), bytes: BytesMut::new() }
    }

    /// Starts a series; samples pushed from now on are its own.
    pub fn series(&mut self, labels: &Labels, reference: SeriesRef) -> &mut Self {
        let start = index(self.bytes.len());
        self.bytes.extend_from_slice(labels.as_bytes());
        let at = |len: usize| index(len)..index(len);
        self.batch.series.push(BatchSeries {
            labels: start..index(self.bytes.len()),
            reference,
            samples: at(self.batch.values.len()),
            histograms: at(self.batch.histograms.len()),
            exemplars: at(self.batch.exemplars.len()),
        });
        self
    }

    /// Adds a float sample to the series started last.
    pub fn sample(&mut self, timestamp: Timestamp, value: f64) -> &mut Self {
        self.batch.timestamps.push(timestamp);
        self.batch.values.push(value);
        self.last().samples.end += 1;
        self
    }

    /// As [`BatchBuilder::sample`], of a counter that counts since `start`.
    pub fn started_sample(&mut self, timestamp: Timestamp, start: Timestamp, value: f64) -> &mut Self {
        self.batch.start_timestamps.resize(self.batch.values.len(), Timestamp(0));
        self.batch.start_timestamps.push(start);
        self.sample(timestamp, value)
    }

    /// Adds a native histogram to the series started last.
    pub fn histogram(&mut self, sample: HistogramSample) -> &mut Self {
        self.batch.histograms.push(sample);
        self.last().histograms.end += 1;
        self
    }

    /// Adds an exemplar to the series started last.
    pub fn exemplar(&mut self, exemplar: Exemplar) -> &mut Self {
        self.batch.exemplars.push(exemplar);
        self.last().exemplars.end += 1;
        self
    }

    /// Adds the metadata of a family.
    pub fn metadata(&mut self, family: &str, metadata: Metadata) -> &mut Self {
        self.batch.metadata.push((Arc::from(family), metadata));
        self
    }

    fn last(&mut self) -> &mut BatchSeries {
        self.batch.series.last_mut().expect("BatchBuilder: a series is started before its samples")
    }

    /// The batch.
    #[must_use]
    pub fn build(mut self) -> Batch {
        if !self.batch.start_timestamps.is_empty() {
            self.batch.start_timestamps.resize(self.batch.values.len(), Timestamp(0));
        }
        self.batch.bytes = self.bytes.freeze();
        self.batch
    }
}

fn index(len: usize) -> u32 {
    u32::try_from(len).expect("Batch: columns and bytes stay under 4 Gi entries")
}

/// What happened to the items of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// New and durable.
    pub stored: usize,
    /// Known already, bit for bit.
    pub duplicate: usize,
    /// Refused; each stands in [`Outcome::rejections`].
    pub rejected: usize,
}

/// What happened to a batch.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Float samples.
    pub samples: Tally,
    /// Native histograms.
    pub histograms: Tally,
    /// Exemplars.
    pub exemplars: Tally,
    /// One per series of the batch, in its order; [`SeriesRef::NONE`] where the series was refused or
    /// the callee gives no references.
    pub references: Vec<SeriesRef>,
    /// Every refused item.
    pub rejections: Vec<Rejection>,
}

/// A refused item.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// Index into [`Batch::series`].
    pub series: u32,
    /// Which item of that series.
    pub item: Item,
    /// Why.
    pub reason: Reason,
}

/// An item of a series; numbers are indexes into the batch's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// The series with all its items.
    Series,
    /// A float sample.
    Sample(u32),
    /// A native histogram.
    Histogram(u32),
    /// An exemplar.
    Exemplar(u32),
}

/// Why an item was refused. None of these is cured by sending again, except a limit that is raised.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Reason {
    /// The label set breaks a rule.
    #[error("invalid labels: {0}")]
    InvalidLabels(String),
    /// A label says another value than the sender's credentials.
    #[error("label {label} is {sent:?}, but the credentials are those of {own:?}")]
    Foreign {
        /// Which label.
        label: String,
        /// What the series carries.
        sent: String,
        /// What the credentials say.
        own: String,
    },
    /// Another value is stored at that time.
    #[error("conflicting value at {timestamp}: stored {stored}, sent {sent}")]
    Conflict {
        /// Where.
        timestamp: Timestamp,
        /// What is kept.
        stored: f64,
        /// What was refused.
        sent: f64,
    },
    /// Another histogram is stored at that time, or a float where a histogram was sent or the reverse.
    #[error("conflicting histogram at {timestamp}")]
    HistogramConflict {
        /// Where.
        timestamp: Timestamp,
    },
    /// Older than retention keeps.
    #[error("timestamp {timestamp} is too old: the oldest kept is {oldest}")]
    TooOld {
        /// The sample's.
        timestamp: Timestamp,
        /// The oldest accepted.
        oldest: Timestamp,
    },
    /// Too far ahead of the clock.
    #[error("timestamp {timestamp} is too far in the future: the newest accepted is {newest}")]
    TooNew {
        /// The sample's.
        timestamp: Timestamp,
        /// The newest accepted.
        newest: Timestamp,
    },
    /// A limit of the principal or the process.
    #[error("limit {name} of {limit} reached")]
    Limit {
        /// Which limit, as the flag or field that sets it.
        name: &'static str,
        /// Its value.
        limit: u64,
    },
    /// This appender does not keep that kind of item.
    #[error("{0} are not stored")]
    Unsupported(&'static str),
    /// The item itself is malformed.
    #[error("invalid: {0}")]
    Invalid(String),
}

/// Why nothing of a batch is promised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too much at once; `what` names the limit.
    #[error("overloaded: {what}; try again in {retry_after:?}")]
    Overloaded {
        /// The limit and its value.
        what: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// No room on disk.
    #[error("no room to store samples: {what}; reads go on, writes resume when there is room")]
    Full {
        /// The quota or the file system's message.
        what: String,
    },
    /// The disk failed.
    #[error("samples could not be stored: {0}")]
    Io(String),
    /// Shutting down, or not started yet.
    #[error("not accepting samples: {0}")]
    Closed(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builder_lays_out_columns() {
        let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
        let a = Labels::from_pairs([("__name__", "a")]).unwrap();
        let b = Labels::from_pairs([("__name__", "b")]).unwrap();
        builder.series(&a, SeriesRef::NONE).sample(Timestamp(1), 1.0).sample(Timestamp(2), 2.0);
        builder.series(&b, SeriesRef::NONE).sample(Timestamp(1), 3.0);
        let batch = builder.build();
        let decode = |series| (batch.label_format.decode)(batch.label_bytes(series)).unwrap();
        assert_eq!(decode(&batch.series[1]), b);
        let samples: Vec<_> = batch.samples(&batch.series[0]).collect();
        assert_eq!(samples, [(Timestamp(1), 1.0), (Timestamp(2), 2.0)]);
        assert_eq!(batch.sample_count(), 3);
    }
    #[test]
    fn stamps_and_limits_of_a_principal() {
        let labels = |text: &[(&str, &str)]| Labels::from_pairs(text.iter().copied()).unwrap();
        let stamp = vec![(CLUSTER.to_owned(), "spoke1".to_owned())];
        let limits = Limits { labels_per_series: Some(3), label_value_bytes: Some(8), ..Limits::default() };
        let own = Principal { stamp, limits, ..Principal::anonymous("test") };
        let strict = Principal { contradiction: Contradiction::Refuse, ..own.clone() };
        let stored = labels(&[("__name__", "up"), ("cluster", "spoke1")]);
        let foreign = labels(&[("__name__", "up"), ("cluster", "spoke2")]);
        for bare in [labels(&[("__name__", "up")]), stored.clone()] {
            assert_eq!(own.stamped(bare.clone()), Ok(stored.clone()));
            assert_eq!(strict.stamped(bare), Ok(stored.clone()));
        }
        assert_eq!(own.stamped(foreign.clone()), Ok(stored));
        assert_eq!(
            strict.stamped(foreign).unwrap_err().to_string(),
            "label cluster is \"spoke2\", but the credentials are those of \"spoke1\""
        );
        let many = labels(&[("__name__", "up"), ("a", "1"), ("b", "1")]);
        let error = own.stamped(many).unwrap_err().to_string();
        assert_eq!(error, "limit limits.labels_per_series of the cluster of 3 reached");
        assert!(own.stamped(labels(&[("__name__", "longer_than_8")])).is_err());
    }
}
