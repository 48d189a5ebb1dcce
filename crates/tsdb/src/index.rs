//! The inverted index of one tenant: label name, value, series that have it.
//!
//! Invariant: a series is in `by_labels`, in `all` and under each of its labels, or in none of them.

mod build;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use nave_base::Shutdown;
use nave_model::append::CLUSTER;
use nave_model::label::{Labels, METRIC_NAME};
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::regex::Regex;
use nave_model::select::SelectError;
use parking_lot::Mutex;

use crate::lookup::SeriesTable;
use crate::order::Order;
use crate::postings::{self, Postings};
use crate::series::Series;
pub(crate) use build::build;

/// Series of one value.
type Values = BTreeMap<Arc<str>, Postings>;

/// How often long loops look whether the caller still waits.
pub(crate) const CANCEL_EVERY: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Index {
    by_labels: HashMap<Labels, Arc<Series>, RandomState>,
    names: BTreeMap<Arc<str>, Values>,
    all: Postings,
    /// Series of each cluster by metric name, for limits.
    clusters: HashMap<Arc<str>, HashMap<Arc<str>, usize, RandomState>, RandomState>,
    order: Mutex<Arc<Order>>,
}

impl Index {
    pub(crate) fn get(&self, labels: &Labels) -> Option<&Arc<Series>> {
        self.by_labels.get(labels)
    }

    pub(crate) fn insert(&mut self, series: Arc<Series>) {
        for (name, value) in &series.labels {
            if !self.names.contains_key(name) {
                self.names.insert(Arc::from(name), Values::new());
            }
            let Some(values) = self.names.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(list) => postings::insert(list, series.id),
                None => _ = values.insert(Arc::from(value), vec![series.id]),
            }
        }
        postings::insert(&mut self.all, series.id);
        self.note_cluster(&series.labels);
        self.by_labels.insert(series.labels.clone(), series);
    }

    /// Takes `dead` out, in one pass over the lists that any of them is in.
    pub(crate) fn remove(&mut self, dead: &[Arc<Series>]) {
        for series in dead {
            if self.by_labels.remove(&series.labels).is_some() {
                self.forget_cluster(&series.labels);
            }
        }
        self.remove_from_lists(dead);
    }

    fn remove_from_lists(&mut self, dead: &[Arc<Series>]) {
        let ids: BTreeSet<u32> = dead.iter().map(|series| series.id).collect();
        let touched: BTreeSet<(&str, &str)> = dead.iter().flat_map(|series| &series.labels).collect();
        for (name, value) in touched {
            let Some(values) = self.names.get_mut(name) else { continue };
            if let Some(list) = values.get_mut(value) {
                list.retain(|id| !ids.contains(id));
                if list.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
        self.all.retain(|id| !ids.contains(id));
    }

    fn note_cluster(&mut self, labels: &Labels) {
        let own = |name: &str| Some(self.names.get(name)?.get_key_value(labels.get(name))?.0.clone());
        let (Some(cluster), Some(metric)) = (own(CLUSTER), own(METRIC_NAME)) else { return };
        *self.clusters.entry(cluster).or_default().entry(metric).or_default() += 1;
    }

    fn forget_cluster(&mut self, labels: &Labels) {
        let (cluster, metric) = (labels.get(CLUSTER), labels.get(METRIC_NAME));
        let Some(metrics) = self.clusters.get_mut(cluster) else { return };
        if let Some(count) = metrics.get_mut(metric) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                metrics.remove(metric);
            }
        }
        if metrics.is_empty() {
            self.clusters.remove(cluster);
        }
    }

    /// How many series have that label.
    pub(crate) fn count(&self, name: &str, value: &str) -> usize {
        self.names.get(name).and_then(|values| values.get(value)).map_or(0, Vec::len)
    }

    /// How many series of a metric a cluster has.
    pub(crate) fn count_of_metric(&self, cluster: &str, metric: &str) -> usize {
        self.clusters.get(cluster).and_then(|metrics| metrics.get(metric)).copied().unwrap_or(0)
    }

    /// The label order of the series that were sorted so far.
    pub(crate) fn order(&self) -> Arc<Order> {
        self.order.lock().clone()
    }

    /// Remembers an order for the next one who sorts.
    pub(crate) fn keep_order(&self, order: Order) {
        *self.order.lock() = Arc::new(order);
    }

    /// Label names with their values and lists.
    pub(crate) fn names(&self) -> &BTreeMap<Arc<str>, Values> {
        &self.names
    }

    /// The series that all of `matchers` fit.
    pub(crate) fn select(
        &self,
        matchers: &[&Matcher],
        table: &SeriesTable,
        cancel: &Shutdown,
    ) -> Result<Vec<Arc<Series>>, SelectError> {
        let Candidates { found, later } = self.candidates(matchers, cancel)?;
        fetch(found.as_deref().unwrap_or(&self.all), &later, table, cancel)
    }

    /// The values of label `name` on series that all of `matchers` fit and `is_there` takes, sorted.
    pub(crate) fn values_of(
        &self,
        name: &str,
        matchers: &[&Matcher],
        (table, cancel): (&SeriesTable, &Shutdown),
        is_there: impl Fn(&Series) -> bool,
    ) -> Result<Vec<String>, SelectError> {
        let Some(values) = self.names.get(name) else { return Ok(Vec::new()) };
        let Candidates { found, later } = self.candidates(matchers, cancel)?;
        let found = found.as_deref().unwrap_or(&self.all);
        let fits = |id: u32| {
            let series = table.get(id).filter(|series| is_there(series));
            series.filter(|series| later.iter().all(|m| m.matches(series.labels.get(m.name()))))
        };
        if values.len() > found.len() {
            return Self::values_of_few(name, found, cancel, fits);
        }
        let mut kept = Vec::new();
        for (value, list) in values {
            if any(postings::common(found, list), cancel, |id| fits(id).is_some())? {
                kept.push(value.to_string());
            }
        }
        Ok(kept)
    }

    /// More values than series: it is quicker to ask the series.
    fn values_of_few(
        name: &str,
        found: &[u32],
        cancel: &Shutdown,
        fits: impl Fn(u32) -> Option<Arc<Series>>,
    ) -> Result<Vec<String>, SelectError> {
        let mut kept = BTreeSet::new();
        for (step, id) in found.iter().enumerate() {
            check_cancel(step, cancel)?;
            if let Some(series) = fits(*id)
                && series.labels.has(name)
            {
                kept.insert(series.labels.get(name).to_owned());
            }
        }
        Ok(kept.into_iter().collect())
    }

    /// The names of labels on series that all of `matchers` fit and `is_there` takes, sorted.
    pub(crate) fn names_of(
        &self,
        matchers: &[&Matcher],
        (table, cancel): (&SeriesTable, &Shutdown),
        is_there: impl Fn(&Series) -> bool,
    ) -> Result<Vec<String>, SelectError> {
        let Candidates { found, later } = self.candidates(matchers, cancel)?;
        let found = found.as_deref().unwrap_or(&self.all);
        let fits = |id: u32| {
            let series = table.get(id).filter(|series| is_there(series));
            series.is_some_and(|series| later.iter().all(|m| m.matches(series.labels.get(m.name()))))
        };
        let mut kept = Vec::new();
        for (name, values) in &self.names {
            for list in values.values() {
                if any(postings::common(found, list), cancel, fits)? {
                    kept.push(name.to_string());
                    break;
                }
            }
        }
        Ok(kept)
    }

    /// How many series all of `matchers` fit at most, as far as those tell that name a value; `None` without any.
    pub(crate) fn at_most(&self, matchers: &[&Matcher]) -> Option<usize> {
        matchers.iter().filter_map(|matcher| self.named(matcher)).map(<[u32]>::len).min()
    }

    /// The series with the value that `matcher` names, if it names one.
    fn named(&self, matcher: &Matcher) -> Option<&[u32]> {
        let list = || self.names.get(matcher.name())?.get(matcher.value());
        (cost(matcher) == 0).then(|| list().map_or(&[][..], Vec::as_slice))
    }

    fn candidates<'m>(
        &self,
        matchers: &[&'m Matcher],
        cancel: &Shutdown,
    ) -> Result<Candidates<'m>, SelectError> {
        let mut found: Option<Postings> = None;
        let mut later = Vec::new();
        // Matchers that an absent label does not fit give candidates, the cheap ones first, and of those that name
        // a value the one with the fewest series.
        let mut order: Vec<&Matcher> = matchers.iter().copied().filter(|m| !matches_everything(m)).collect();
        order.sort_by_cached_key(|matcher| (cost(matcher), self.named(matcher).map_or(0, <[u32]>::len)));
        for matcher in order {
            let values = self.names.get(matcher.name());
            let count = values.map_or(0, BTreeMap::len);
            let few = found.as_ref().is_some_and(|found| found.len() < count);
            match &mut found {
                _ if few && cost(matcher) > 1 => later.push(matcher),
                Some(found) if cost(matcher) == 0 => {
                    postings::retain_in(found, self.named(matcher).unwrap_or_default(), true);
                }
                Some(found) if matcher.matches_empty() => {
                    postings::retain_in(found, &gather(values, matcher, false, cancel)?, false);
                }
                Some(found) => postings::retain_in(found, &gather(values, matcher, true, cancel)?, true),
                None if matcher.matches_empty() => {
                    let mut all = self.all.clone();
                    postings::retain_in(&mut all, &gather(values, matcher, false, cancel)?, false);
                    found = Some(all);
                }
                None => found = Some(gather(values, matcher, true, cancel)?),
            }
        }
        Ok(Candidates { found, later })
    }
}

/// What lists alone can say about matchers.
struct Candidates<'m> {
    /// `None` is all series.
    found: Option<Postings>,
    /// Still to be tried, on the labels of the candidates.
    later: Vec<&'m Matcher>,
}

/// Whether one of `ids` fits.
fn any(
    ids: impl Iterator<Item = u32>,
    cancel: &Shutdown,
    fits: impl Fn(u32) -> bool,
) -> Result<bool, SelectError> {
    for (step, id) in ids.enumerate() {
        check_cancel(step, cancel)?;
        if fits(id) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fewer candidates than values: look at the labels of the candidates.
fn fetch(
    found: &[u32],
    matchers: &[&Matcher],
    table: &SeriesTable,
    cancel: &Shutdown,
) -> Result<Vec<Arc<Series>>, SelectError> {
    let mut all = Vec::with_capacity(if matchers.is_empty() { found.len() } else { 0 });
    for (i, id) in found.iter().enumerate() {
        check_cancel(i, cancel)?;
        let Some(series) = table.get(*id) else { continue };
        if matchers.iter().all(|matcher| matcher.matches(series.labels.get(matcher.name()))) {
            all.push(series);
        }
    }
    Ok(all)
}

fn matches_everything(matcher: &Matcher) -> bool {
    matcher.op() == MatchOp::Regex && matcher.regex().is_some_and(Regex::matches_everything)
}

fn cost(matcher: &Matcher) -> u32 {
    let alternatives = matcher.regex().is_some_and(|regex| regex.literal_alternatives().is_some());
    match matcher.op() {
        MatchOp::Equal if !matcher.value().is_empty() => 0,
        MatchOp::Regex if alternatives && !matcher.matches_empty() => 1,
        _ if matcher.matches_empty() => 3,
        _ => 2,
    }
}

/// Series whose value (of a label that they have) fits, or with `fits` false, does not.
fn gather(
    values: Option<&Values>,
    matcher: &Matcher,
    fits: bool,
    cancel: &Shutdown,
) -> Result<Postings, SelectError> {
    let Some(values) = values else { return Ok(Vec::new()) };
    let pick = |texts: &mut dyn Iterator<Item = &str>| {
        let lists: Vec<&[u32]> = texts.filter_map(|text| values.get(text)).map(Vec::as_slice).collect();
        postings::union(&lists)
    };
    let alternatives = matcher.regex().and_then(|regex| regex.literal_alternatives());
    match (matcher.op(), fits, alternatives) {
        (MatchOp::Equal, true, _) | (MatchOp::NotEqual, false, _) => {
            return Ok(pick(&mut std::iter::once(matcher.value())));
        }
        (MatchOp::Regex, true, Some(texts)) | (MatchOp::NotRegex, false, Some(texts)) => {
            return Ok(pick(&mut texts.iter().map(String::as_str)));
        }
        _ => {}
    }
    scan(values, matcher, fits, cancel)
}

/// Tries every value, or those with the prefix that every match must have.
fn scan(values: &Values, matcher: &Matcher, fits: bool, cancel: &Shutdown) -> Result<Postings, SelectError> {
    let prefix = match (matcher.op(), fits, matcher.regex()) {
        (MatchOp::Regex, true, Some(regex)) | (MatchOp::NotRegex, false, Some(regex)) => regex.prefix(),
        _ => "",
    };
    let mut lists: Vec<&[u32]> = Vec::new();
    let range = (Bound::Included(prefix), Bound::Unbounded);
    for (i, (value, list)) in values.range::<str, _>(range).enumerate() {
        check_cancel(i, cancel)?;
        if !value.starts_with(prefix) {
            break;
        }
        if matcher.matches(value) == fits {
            lists.push(list);
        }
    }
    Ok(postings::union(&lists))
}

pub(crate) fn check_cancel(step: usize, cancel: &Shutdown) -> Result<(), SelectError> {
    if step.is_multiple_of(CANCEL_EVERY) && cancel.is_cancelled() {
        Err(SelectError::Cancelled)
    } else {
        Ok(())
    }
}
