//! A batch in the making: samples of slots, in the order of the page.

use std::sync::Arc;

use bytes::Bytes;
use nave_model::append::{Batch, BatchSeries, HistogramSample, LabelFormat, Principal};
use nave_model::histogram::Histogram;
use nave_model::sample::{Exemplar, stale_nan};
use nave_model::time::Timestamp;

use crate::cache::Cache;

/// A batch in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) batch: Batch,
    /// The slot of each series of the batch.
    pub(crate) slots: Vec<u32>,
}

impl Draft {
    pub(crate) fn new(principal: Arc<Principal>, samples: usize) -> Self {
        let mut batch = Batch::new(principal, LabelFormat::CANONICAL, Bytes::new());
        batch.series.reserve(samples);
        batch.timestamps.reserve(samples);
        batch.values.reserve(samples);
        Self { batch, slots: Vec::with_capacity(samples) }
    }

    /// Takes everything out again.
    pub(crate) fn clear(&mut self) {
        self.batch.series.clear();
        self.batch.timestamps.clear();
        self.batch.values.clear();
        self.batch.start_timestamps.clear();
        self.batch.histograms.clear();
        self.batch.exemplars.clear();
        self.slots.clear();
    }

    /// Starts a series; samples and exemplars pushed from now on are its own.
    #[inline]
    pub(crate) fn series(&mut self, cache: &Cache, slot: u32) {
        let (labels, reference) = cache.series(slot);
        let at = |len: usize| len as u32..len as u32;
        self.batch.series.push(BatchSeries {
            labels,
            reference,
            samples: at(self.batch.values.len()),
            histograms: at(self.batch.histograms.len()),
            exemplars: at(self.batch.exemplars.len()),
        });
        self.slots.push(slot);
    }

    /// Adds a number to the series started last; `start` 0 is not known.
    #[inline]
    pub(crate) fn float(&mut self, timestamp: Timestamp, start: i64, value: f64) {
        let Batch { series, timestamps, values, start_timestamps, .. } = &mut self.batch;
        if start != 0 || !start_timestamps.is_empty() {
            // The column is as long as that of the values once anything has a start.
            start_timestamps.resize(values.len(), Timestamp(0));
            start_timestamps.push(Timestamp(start));
        }
        timestamps.push(timestamp);
        values.push(value);
        if let Some(series) = series.last_mut() {
            series.samples.end += 1;
        }
    }

    /// Adds a native histogram to the series started last; `start` 0 is not known.
    pub(crate) fn histogram(&mut self, timestamp: Timestamp, start: i64, histogram: Histogram) {
        let start_timestamp = (start != 0).then_some(Timestamp(start));
        let histogram = Arc::new(histogram);
        self.batch.histograms.push(HistogramSample { timestamp, start_timestamp, histogram });
        if let Some(series) = self.batch.series.last_mut() {
            series.histograms.end += 1;
        }
    }

    /// Adds an exemplar to the series started last.
    pub(crate) fn exemplar(&mut self, exemplar: Exemplar) {
        self.batch.exemplars.push(exemplar);
        if let Some(series) = self.batch.series.last_mut() {
            series.exemplars.end += 1;
        }
    }

    /// Adds one number of a slot.
    pub(crate) fn push(&mut self, cache: &Cache, slot: u32, timestamp: Timestamp, value: f64) {
        self.series(cache, slot);
        self.float(timestamp, 0, value);
    }

    /// Ends a slot: a stale marker of the kind that its samples had.
    pub(crate) fn push_stale(&mut self, cache: &Cache, slot: u32, timestamp: Timestamp) {
        self.series(cache, slot);
        if cache.is_histogram(slot) {
            let stale = Histogram { sum: stale_nan(), integer: true, ..Histogram::default() };
            self.histogram(timestamp, 0, stale);
        } else {
            self.float(timestamp, 0, stale_nan());
        }
    }
}
