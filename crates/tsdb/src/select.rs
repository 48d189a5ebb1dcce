//! Giving series and samples: the contract `Select` over the head.
//!
//! `open` looks at the index, `fetch` copies what is small and shares what is sealed, `decode` holds no lock.
//! Series that differ only in replica labels are merged sample by sample; where two have one time, the series
//! that sorts first is taken.

use std::ops::Range;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use nave_base::Shutdown;
use nave_base::budget::{Budget, Charge};
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::metadata::Metadata;
use nave_model::select::{
    Columns, LabelIndex, Listing, MetadataIndex, Need, Pages, Scope, Select, SelectError, Selected,
    Selection, Watermark,
};
use nave_model::time::{TimeRange, Timestamp};

use crate::Tsdb;
use crate::head::Head;
use crate::index::check_cancel;
use crate::series::Series;
use crate::view::{self, View};

impl Select for Tsdb {
    fn open(&self, selection: Selection) -> BoxFuture<'_, Result<Box<dyn Selected>, SelectError>> {
        Box::pin(async move {
            let opened: Box<dyn Selected> = Box::new(open(self.head(), &selection)?);
            Ok(opened)
        })
    }

    fn watermark(&self) -> Watermark {
        let (epoch, settled) = self.head().settled();
        Watermark { epoch, settled: Timestamp(settled) }
    }
}

impl LabelIndex for Tsdb {
    fn label_names(&self, selection: Selection) -> BoxFuture<'_, Result<Listing, SelectError>> {
        Box::pin(async move { list(self.head(), &selection, None) })
    }

    fn label_values(
        &self,
        name: String,
        selection: Selection,
    ) -> BoxFuture<'_, Result<Listing, SelectError>> {
        Box::pin(async move { list(self.head(), &selection, Some(&name)) })
    }
}

impl MetadataIndex for Tsdb {
    fn metadata(&self, scope: &Scope, family: Option<&str>) -> Vec<(Arc<str>, Metadata)> {
        let partition = self.head().find_partition(&scope.tenant);
        partition.map(|partition| partition.metadata.lock().list(family)).unwrap_or_default()
    }
}

/// The matching series that have a sample in the range, in no order.
fn find(head: &Head, selection: &Selection) -> Result<Vec<Arc<Series>>, SelectError> {
    let Some(partition) = head.find_partition(&selection.scope.tenant) else { return Ok(Vec::new()) };
    let matchers: Vec<&Matcher> = selection.scope.matchers.iter().chain(&selection.matchers).collect();
    let mut found = partition.index.read().select(&matchers, &head.table, &selection.cancel)?;
    let mut checked = 0;
    let mut result = Ok(());
    found.retain(|series| {
        if result.is_ok() {
            result = check_cancel(checked, &selection.cancel);
        }
        checked += 1;
        has_samples(series, selection.range)
    });
    result.map(|()| found)
}

fn has_samples(series: &Series, range: TimeRange) -> bool {
    let bounds = series.state.lock().bounds();
    bounds.is_some_and(|(min, max)| min <= range.max.0 && range.min.0 <= max)
}

fn open(head: &Head, selection: &Selection) -> Result<HeadSelection, SelectError> {
    let mut charge = selection.budget.charge(0)?;
    let mut members: Vec<(Labels, Arc<Series>)> = Vec::new();
    let found = find(head, selection)?;
    charge.grow(found.len() * (size_of::<(Labels, Arc<Series>)>() + size_of::<Entry>()))?;
    let replica = &selection.replica_labels;
    members.extend(found.into_iter().map(|series| {
        let labels = &series.labels;
        let labels = if replica.is_empty() {
            labels.clone()
        } else {
            labels.filtered(|name| !replica.iter().any(|replica| replica == name))
        };
        (labels, series)
    }));
    members.sort_unstable_by(|(a, s), (b, t)| a.cmp(b).then_with(|| s.labels.cmp(&t.labels)));
    check_cancel(0, &selection.cancel)?;
    let mut entries: Vec<Entry> = Vec::with_capacity(members.len());
    let mut series = Vec::with_capacity(members.len());
    for (labels, member) in members {
        let joins = !replica.is_empty() && entries.last().is_some_and(|last| last.labels == labels);
        if !joins {
            if selection.limit.is_some_and(|limit| entries.len() >= limit) {
                break;
            }
            entries.push(Entry { labels, first: series.len(), end: 0 });
        }
        series.push(member);
        if let Some(last) = entries.last_mut() {
            last.end = series.len();
        }
    }
    let (budget, cancel) = (selection.budget.clone(), selection.cancel.clone());
    let last_only = selection.need == Need::LastSample;
    Ok(HeadSelection { entries, series, range: selection.range, last_only, budget, cancel, _charge: charge })
}

/// One series of the answer: its members in [`HeadSelection::series`].
#[derive(Debug)]
struct Entry {
    labels: Labels,
    first: usize,
    end: usize,
}

#[derive(Debug)]
struct HeadSelection {
    entries: Vec<Entry>,
    series: Vec<Arc<Series>>,
    range: TimeRange,
    last_only: bool,
    budget: Budget,
    cancel: Shutdown,
    _charge: Charge,
}

impl Selected for HeadSelection {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.entries[index].labels.clone()
    }

    fn fetch(&self, series: Range<usize>) -> BoxFuture<'_, Result<Box<dyn Pages>, SelectError>> {
        Box::pin(async move {
            let pages: Box<dyn Pages> = Box::new(self.pages(series)?);
            Ok(pages)
        })
    }
}

impl HeadSelection {
    fn pages(&self, range: Range<usize>) -> Result<HeadPages, SelectError> {
        let mut charge = self.budget.charge(0)?;
        let (mut views, mut ends) = (Vec::new(), Vec::with_capacity(range.len()));
        for (step, entry) in self.entries[range.clone()].iter().enumerate() {
            check_cancel(step, &self.cancel)?;
            for series in &self.series[entry.first..entry.end] {
                let view = series.view(self.range, self.last_only);
                charge.grow(size_of::<View>() + view.heap_bytes())?;
                views.push(view);
            }
            ends.push(views.len());
        }
        let (start, cancel) = (range.start, self.cancel.clone());
        Ok(HeadPages {
            start,
            views,
            ends,
            range: self.range,
            last_only: self.last_only,
            cancel,
            _charge: charge,
        })
    }
}

#[derive(Debug)]
struct HeadPages {
    start: usize,
    views: Vec<View>,
    /// Where the views of each series end.
    ends: Vec<usize>,
    range: TimeRange,
    last_only: bool,
    cancel: Shutdown,
    _charge: Charge,
}

impl Pages for HeadPages {
    fn decode(&self, index: usize, columns: &mut Columns) -> Result<(), SelectError> {
        check_cancel(0, &self.cancel)?;
        columns.clear();
        let at = index - self.start;
        let first = if at == 0 { 0 } else { self.ends[at - 1] };
        let views = &self.views[first..self.ends[at]];
        match views {
            [one] => self.decode_view(one, columns),
            many => self.decode_many(many, columns),
        }
        Ok(())
    }
}

impl HeadPages {
    fn decode_view(&self, view: &View, columns: &mut Columns) {
        if self.last_only { view.decode_last(self.range, columns) } else { view.decode(self.range, columns) }
    }

    fn decode_many(&self, views: &[View], columns: &mut Columns) {
        let (mut next, mut merged) = (Columns::default(), Columns::default());
        for view in views {
            next.clear();
            merged.clear();
            self.decode_view(view, &mut next);
            view::merge(columns, &next, &mut merged);
            std::mem::swap(columns, &mut merged);
        }
        if self.last_only {
            keep_last(columns);
        }
    }
}

fn keep_last(columns: &mut Columns) {
    let Some(t) = columns.timestamps.last().copied() else { return };
    let (value, len) = (columns.values.last().copied(), columns.len());
    let histogram = columns.histograms.last().filter(|(at, _)| *at as usize + 1 == len).cloned();
    columns.clear();
    match (histogram, value) {
        (Some((_, histogram)), _) => columns.push_histogram(t, histogram),
        (None, Some(value)) => columns.push(t, value),
        (None, None) => {}
    }
}

/// Label names, or the values of `name`.
fn list(head: &Head, selection: &Selection, name: Option<&str>) -> Result<Listing, SelectError> {
    let unbounded = selection.matchers.is_empty() && selection.scope.matchers.is_empty();
    let mut items = if unbounded {
        list_index(head, selection, name)
    } else if let Some(values) = name.map(|name| list_values(head, selection, name)).transpose()?.flatten() {
        values
    } else {
        list_series(&find(head, selection)?, &selection.cancel, name)?
    };
    let limit = selection.limit.unwrap_or(usize::MAX);
    let truncated = items.len() > limit;
    items.truncate(limit);
    Ok(Listing { items, truncated, warnings: Vec::new() })
}

/// Without matchers the index itself has the answer; series outside the range may add to it.
fn list_index(head: &Head, selection: &Selection, name: Option<&str>) -> Vec<String> {
    let Some(partition) = head.find_partition(&selection.scope.tenant) else { return Vec::new() };
    let index = partition.index.read();
    match name {
        None => index.names().keys().map(ToString::to_string).collect(),
        Some(name) => {
            let values = index.names().get(name);
            values.map(|values| values.keys().map(ToString::to_string).collect()).unwrap_or_default()
        }
    }
}

/// The values of `name` by the index, where that is quicker than asking the series.
fn list_values(head: &Head, selection: &Selection, name: &str) -> Result<Option<Vec<String>>, SelectError> {
    let Some(partition) = head.find_partition(&selection.scope.tenant) else { return Ok(Some(Vec::new())) };
    let matchers: Vec<&Matcher> = selection.scope.matchers.iter().chain(&selection.matchers).collect();
    let index = partition.index.read();
    let by = (&head.table, &selection.cancel);
    index.values_of(name, &matchers, by, |series| has_samples(series, selection.range))
}

fn list_series(
    series: &[Arc<Series>],
    cancel: &Shutdown,
    name: Option<&str>,
) -> Result<Vec<String>, SelectError> {
    let mut found = std::collections::BTreeSet::new();
    for (step, series) in series.iter().enumerate() {
        check_cancel(step, cancel)?;
        match name {
            None => found.extend(series.labels.iter().map(|(name, _)| name)),
            Some(name) => {
                found.extend(Some(series.labels.get(name)).filter(|value| !value.is_empty()));
            }
        }
    }
    Ok(found.into_iter().map(ToString::to_string).collect())
}
