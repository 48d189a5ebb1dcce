//! The head of a directory: memory-mapped chunks, the log, the log of out-of-order samples.
//!
//! The log is read twice: first its series and what was deleted, then its samples.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nave_model::label::Labels;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::sample::Value;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

use super::{Directory, Item, Report, SAMPLES_HELD_MAX};
use crate::block::unreadable;
use crate::chunk;
use crate::columns::{self, Kept, joined};
use crate::error::Error;
use crate::head_chunk::HeadChunkReader;
use crate::wal::{LogReader, Record, Sample};

/// Out-of-order samples of one series that wait for a marker; Prometheus keeps at most 255.
const LATE_HELD_MAX: usize = 4096;

/// Reads all there is besides blocks.
pub(super) fn read<E: From<Error>>(
    directory: &Directory,
    range: TimeRange,
    report: &mut Report,
    visit: &mut impl FnMut(Item<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut head = Head::new(directory, range, report)?;
    report.head_series = head.series.len();
    let chunks = head.chunks(directory, report, visit)?;
    head.log(directory, report, visit)?;
    head.flush(report, visit)?;
    head.late(directory, &chunks, report, visit)?;
    Ok(())
}

/// A series of the log.
#[derive(Debug)]
struct Series {
    labels: Labels,
    /// The newest sample that was handed over or waits.
    last: i64,
    /// Samples that wait.
    held: Option<Box<Columns>>,
}

#[derive(Debug)]
struct Head {
    range: TimeRange,
    /// In-order samples before this are in blocks.
    start: Timestamp,
    series: Vec<Series>,
    by_reference: HashMap<u64, u32>,
    deleted: HashMap<u32, Vec<TimeRange>>,
    held: usize,
    families: HashSet<(Arc<str>, Metadata)>,
}

type Visit<'a, E> = &'a mut dyn FnMut(Item<'_>) -> Result<(), E>;

impl Head {
    /// Reads the series of the log and what was deleted.
    fn new(directory: &Directory, range: TimeRange, report: &mut Report) -> Result<Self, Error> {
        let mut head = Self {
            range,
            start: directory.head_start(),
            series: Vec::new(),
            by_reference: HashMap::new(),
            deleted: HashMap::new(),
            held: 0,
            families: HashSet::new(),
        };
        let mut by_labels: HashMap<Labels, u32> = HashMap::new();
        let mut deleted: Vec<(u64, TimeRange)> = Vec::new();
        let mut log = LogReader::open(&directory.disk, &directory.dir.join("wal"))?;
        while let Some(record) = log.next() {
            match record {
                Ok(Record::Series(all)) => {
                    for (reference, labels) in all {
                        head.register(reference, labels, &mut by_labels);
                    }
                }
                Ok(Record::Tombstones(all)) => deleted.extend(all),
                Ok(_) => {}
                Err(error) => report.note(error)?,
            }
        }
        for (reference, range) in deleted {
            if let Some(series) = head.by_reference.get(&reference) {
                head.deleted.entry(*series).or_default().push(range);
            }
        }
        head.deleted.values_mut().for_each(|ranges| *ranges = joined(std::mem::take(ranges)));
        Ok(head)
    }

    /// A series may have had several numbers.
    fn register(&mut self, reference: u64, labels: Labels, by_labels: &mut HashMap<Labels, u32>) {
        let fresh = self.series.len() as u32;
        let number = *by_labels.entry(labels.clone()).or_insert(fresh);
        if number == fresh {
            self.series.push(Series { labels, last: i64::MIN, held: None });
        }
        self.by_reference.insert(reference, number);
    }

    fn kept(&self, number: u32, min: Timestamp) -> Kept<'_> {
        let range = TimeRange { min: self.range.min.max(min), max: self.range.max };
        Kept { range, deleted: self.deleted.get(&number).map_or(&[][..], Vec::as_slice) }
    }

    /// Gives the memory-mapped chunks, and where the out-of-order ones stand.
    fn chunks<E: From<Error>>(
        &mut self,
        directory: &Directory,
        report: &mut Report,
        visit: Visit<'_, E>,
    ) -> Result<HashSet<u64>, E> {
        let dir = directory.dir.join("chunks_head");
        let mut reader = HeadChunkReader::open(&directory.disk, &dir)?;
        let (mut late, mut samples, mut out) = (HashSet::new(), Columns::default(), Columns::default());
        while let Some(chunk) = reader.next() {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    report.note(error)?;
                    continue;
                }
            };
            let Some(number) = self.by_reference.get(&chunk.reference).copied() else {
                // Its series was dropped from the head: what it holds is in blocks.
                report.without_series += u64::from(chunk.range.max >= self.start);
                continue;
            };
            if !chunk.out_of_order && chunk.range.max < self.start {
                continue;
            }
            if let Err(what) = chunk::decode(chunk.encoding, &chunk.bytes, &mut samples) {
                let offset = chunk.position & 0xffff_ffff;
                report.note(unreadable(what, chunk.encoding, &dir, offset))?;
                // The log has them too.
                continue;
            }
            let series = &self.series[number as usize];
            let min = if chunk.out_of_order {
                late.insert(chunk.position);
                Timestamp::MIN
            } else {
                self.start.max(Timestamp(series.last.saturating_add(1)))
            };
            out.clear();
            columns::add(&mut out, &samples, &self.kept(number, min));
            let series = &mut self.series[number as usize];
            if !chunk.out_of_order {
                series.last = series.last.max(chunk.range.max.0);
            }
            if !out.is_empty() {
                report.count(&out);
                visit(Item::Samples(&series.labels, &out))?;
            }
        }
        Ok(late)
    }

    /// Gives what the log has and no chunk.
    fn log<E: From<Error>>(
        &mut self,
        directory: &Directory,
        report: &mut Report,
        visit: Visit<'_, E>,
    ) -> Result<(), E> {
        let mut log = LogReader::open(&directory.disk, &directory.dir.join("wal"))?;
        while let Some(record) = log.next() {
            match record {
                Ok(Record::Samples(samples)) => {
                    for sample in samples {
                        self.in_order(&sample, report);
                    }
                    if self.held >= SAMPLES_HELD_MAX {
                        self.flush(report, visit)?;
                    }
                }
                Ok(Record::Exemplars(all)) => {
                    for (reference, exemplar) in all {
                        let Some(number) = self.by_reference.get(&reference) else {
                            report.without_series += 1;
                            continue;
                        };
                        if exemplar.timestamp.is_some_and(|t| self.range.contains(t)) {
                            report.exemplars += 1;
                            visit(Item::Exemplar(&self.series[*number as usize].labels, &exemplar))?;
                        }
                    }
                }
                Ok(Record::Metadata(all)) => {
                    for (reference, metadata) in all {
                        self.metadata(reference, metadata, visit)?;
                    }
                }
                // Damage was noted the first time.
                Ok(_) => {}
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Holds a sample that is later than all of its series.
    fn in_order(&mut self, sample: &Sample, report: &mut Report) {
        let Some(number) = self.by_reference.get(&sample.reference).copied() else {
            report.without_series += u64::from(sample.timestamp >= self.start);
            return;
        };
        let t = sample.timestamp;
        let taken = self.kept(number, self.start).contains(t);
        let series = &mut self.series[number as usize];
        if t < self.start || t.0 <= series.last {
            return;
        }
        series.last = t.0;
        if taken {
            self.held += 1;
            push(series.held.get_or_insert_default(), sample);
        }
    }

    fn metadata<E>(&mut self, reference: u64, metadata: Metadata, visit: Visit<'_, E>) -> Result<(), E> {
        let Some(number) = self.by_reference.get(&reference) else { return Ok(()) };
        let name = self.series[*number as usize].labels.metric_name();
        let key = (Arc::from(family(name, metadata.kind)), metadata);
        if self.families.contains(&key) {
            return Ok(());
        }
        visit(Item::Metadata(&key.0, &key.1))?;
        self.families.insert(key);
        Ok(())
    }

    /// Gives what waits.
    fn flush<E>(&mut self, report: &mut Report, visit: Visit<'_, E>) -> Result<(), E> {
        self.held = 0;
        for series in &mut self.series {
            if let Some(samples) = series.held.take() {
                report.count(&samples);
                visit(Item::Samples(&series.labels, &samples))?;
            }
        }
        Ok(())
    }

    /// Gives out-of-order samples that are in none of `chunks`.
    fn late<E: From<Error>>(
        &mut self,
        directory: &Directory,
        chunks: &HashSet<u64>,
        report: &mut Report,
        visit: Visit<'_, E>,
    ) -> Result<(), E> {
        let mut log = LogReader::open(&directory.disk, &directory.dir.join("wbl"))?;
        let mut held: HashMap<u32, Vec<Sample>> = HashMap::new();
        while let Some(record) = log.next() {
            match record {
                Ok(Record::Samples(samples)) => {
                    for sample in samples {
                        let Some(number) = self.by_reference.get(&sample.reference).copied() else {
                            report.without_series += 1;
                            continue;
                        };
                        let waiting = held.entry(number).or_default();
                        waiting.push(sample);
                        if waiting.len() >= LATE_HELD_MAX {
                            let samples = std::mem::take(waiting);
                            self.give_late(number, samples, report, visit)?;
                        }
                    }
                }
                Ok(Record::Markers(markers)) => {
                    for (reference, position) in markers {
                        let number = self.by_reference.get(&reference);
                        // Without its chunk, the samples are nowhere else.
                        if let Some(number) = number.filter(|_| chunks.contains(&position)) {
                            held.remove(number);
                        }
                    }
                }
                Ok(_) => {}
                Err(error) => report.note(error)?,
            }
        }
        for (number, samples) in held {
            self.give_late(number, samples, report, visit)?;
        }
        Ok(())
    }

    fn give_late<E>(
        &self,
        number: u32,
        mut samples: Vec<Sample>,
        report: &mut Report,
        visit: Visit<'_, E>,
    ) -> Result<(), E> {
        samples.sort_by_key(|sample| sample.timestamp);
        samples.dedup_by_key(|sample| sample.timestamp);
        let kept = self.kept(number, Timestamp::MIN);
        let mut out = Columns::default();
        samples.iter().filter(|sample| kept.contains(sample.timestamp)).for_each(|s| push(&mut out, s));
        if out.is_empty() {
            return Ok(());
        }
        report.count(&out);
        visit(Item::Samples(&self.series[number as usize].labels, &out))
    }
}

fn push(columns: &mut Columns, sample: &Sample) {
    match &sample.value {
        Value::Float(value) => columns.push(sample.timestamp, *value),
        Value::Histogram(histogram) => columns.push_histogram(sample.timestamp, histogram.clone()),
    }
    if sample.start != Timestamp(0) || !columns.start_timestamps.is_empty() {
        columns.start_timestamps.resize(columns.len() - 1, Timestamp(0));
        columns.start_timestamps.push(sample.start);
    }
}

/// The family of a metric: without what the parts of histograms and summaries are called by.
fn family(name: &str, kind: MetricType) -> &str {
    let endings: &[&str] = match kind {
        MetricType::Histogram => &["_bucket", "_sum", "_count"],
        MetricType::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
        MetricType::Summary => &["_sum", "_count"],
        _ => &[],
    };
    endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}
