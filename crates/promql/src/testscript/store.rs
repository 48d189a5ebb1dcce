//! A store in memory for scripts and tests: naive on purpose, an oracle for what real stores give.
//!
//! Not fast, not bounded, and it does not merge replicas. Appends go anywhere in time. Counter reset hints of
//! histograms are the store's own, as in real stores.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use parking_lot::RwLock;

use nave_model::histogram::Histogram;
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::sample::Value;
use nave_model::select::{Columns, Pages, Projection, Select, SelectError, Selected, Selection, Watermark};
use nave_model::time::{TimeRange, Timestamp};

use super::hint::stored_hint;

/// A value with its start timestamp.
#[derive(Debug, Clone)]
struct Stored {
    value: Value,
    start: Timestamp,
}

type Samples = BTreeMap<Timestamp, Stored>;

/// Another value is stored at that time already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("duplicate sample for timestamp {timestamp} of {labels} with another value")]
pub struct Conflict {
    /// Of which series.
    pub labels: Labels,
    /// When.
    pub timestamp: Timestamp,
}

/// Series in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    series: RwLock<BTreeMap<Labels, Arc<Samples>>>,
    /// Series without a sample in the range are given too.
    gives_all: bool,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that gives all series that match, with or without a sample in the range asked for. What is computed
    /// from it then does not depend on ranges, not even through the order in which groups come up.
    #[must_use]
    pub fn giving_all() -> Self {
        Self { gives_all: true, ..Self::default() }
    }

    /// Stores a sample; `start` is when it began to count, where known. The same sample again is a no-op.
    ///
    /// # Errors
    /// When another value is stored at that time.
    pub fn append(
        &self,
        labels: &Labels,
        timestamp: Timestamp,
        value: Value,
        start: Option<Timestamp>,
    ) -> Result<(), Conflict> {
        let mut series = self.series.write();
        let samples = Arc::make_mut(series.entry(labels.clone()).or_default());
        if let Some(known) = samples.get(&timestamp) {
            return if same(&known.value, &value) {
                Ok(())
            } else {
                Err(Conflict { labels: labels.clone(), timestamp })
            };
        }
        let value = match value {
            Value::Histogram(histogram) => Value::Histogram(with_hint(histogram, samples, timestamp)),
            float @ Value::Float(_) => float,
        };
        samples.insert(timestamp, Stored { value, start: start.unwrap_or_default() });
        Ok(())
    }

    /// Stores a float.
    ///
    /// # Errors
    /// When another value is stored at that time.
    pub fn append_float(&self, labels: &Labels, timestamp: Timestamp, value: f64) -> Result<(), Conflict> {
        self.append(labels, timestamp, Value::Float(value), None)
    }

    /// Removes everything.
    pub fn clear(&self) {
        self.series.write().clear();
    }
}

fn with_hint(mut histogram: Arc<Histogram>, samples: &Samples, timestamp: Timestamp) -> Arc<Histogram> {
    let before = samples.range(..timestamp).next_back().and_then(|(_, stored)| match &stored.value {
        Value::Histogram(before) => Some(&**before),
        Value::Float(_) => None,
    });
    let hint = stored_hint(before, &histogram);
    if hint != histogram.counter_reset_hint {
        Arc::make_mut(&mut histogram).counter_reset_hint = hint;
    }
    histogram
}

/// Equal, hints aside: those are the store's.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Value::Histogram(a), Value::Histogram(b)) => {
            let hint = a.counter_reset_hint;
            **a == Histogram { counter_reset_hint: hint, ..(**b).clone() }
        }
        _ => false,
    }
}

impl Select for MemoryStore {
    fn open(&self, selection: Selection) -> BoxFuture<'_, Result<Box<dyn Selected>, SelectError>> {
        async move {
            let matches = |labels: &Labels| {
                Matcher::all_match(&selection.scope.matchers, labels)
                    && Matcher::all_match(&selection.matchers, labels)
            };
            let range = selection.range;
            let projection = Arc::new(selection.projection);
            if range.min > range.max {
                let series = Arc::default();
                return Ok(Box::new(Found { series, range, projection }) as Box<dyn Selected>);
            }
            let found = self
                .series
                .read()
                .iter()
                .filter(|(labels, samples)| {
                    matches(labels)
                        && (self.gives_all || samples.range(range.min..=range.max).next().is_some())
                })
                .take(selection.limit.unwrap_or(usize::MAX))
                .map(|(labels, samples)| (labels.clone(), Arc::clone(samples)))
                .collect();
            Ok(Box::new(Found { series: Arc::new(found), range, projection }) as Box<dyn Selected>)
        }
        .boxed()
    }

    fn watermark(&self) -> Watermark {
        // Nothing is settled: scripts append anywhere.
        Watermark { epoch: 0, settled: Timestamp::MIN }
    }
}

#[derive(Clone)]
struct Found {
    series: Arc<Vec<(Labels, Arc<Samples>)>>,
    range: TimeRange,
    projection: Arc<Projection>,
}

impl Selected for Found {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        let labels = &self.series[index].0;
        // No more than what was asked for, so that asking for too little shows.
        match &*self.projection {
            Projection::All => labels.clone(),
            Projection::Only(names) => labels.filtered(|name| names.iter().any(|wanted| wanted == name)),
            Projection::Without(names) => {
                labels.filtered(|name| names.iter().all(|unwanted| unwanted != name))
            }
        }
    }

    fn fetch(&self, _: Range<usize>) -> BoxFuture<'_, Result<Box<dyn Pages>, SelectError>> {
        let pages: Box<dyn Pages> = Box::new(self.clone());
        std::future::ready(Ok(pages)).boxed()
    }
}

impl Pages for Found {
    fn decode(&self, index: usize, columns: &mut Columns) -> Result<(), SelectError> {
        columns.clear();
        let samples = &self.series[index].1;
        let with_start = samples.values().any(|stored| stored.start != Timestamp::default());
        for (timestamp, stored) in samples.range(self.range.min..=self.range.max) {
            match &stored.value {
                Value::Float(value) => columns.push(*timestamp, *value),
                Value::Histogram(histogram) => columns.push_histogram(*timestamp, Arc::clone(histogram)),
            }
            if with_start {
                columns.start_timestamps.push(stored.start);
            }
        }
        Ok(())
    }
}
