//! What `/api/v1/status/tsdb` shows.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use nave_model::append::{CLUSTER, Tenant};
use nave_model::label::METRIC_NAME;

use crate::head::Head;

/// A name and how many, or how much, of it.
pub type Ranked = (String, u64);

/// Numbers about the head as a whole: `headStats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadStatistics {
    /// Series of all tenants.
    pub series: usize,
    /// Different (name, value) pairs.
    pub label_pairs: usize,
    /// Chunks, open ones and late samples among them.
    pub chunks: u64,
    /// Oldest sample in ms; `i64::MAX` when there is none, as upstream.
    pub min_time: i64,
    /// Newest sample in ms; `i64::MIN` when there is none.
    pub max_time: i64,
}

/// The head's numbers with the labels that weigh most, each list descending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// `headStats`.
    pub head: HeadStatistics,
    /// `seriesCountByMetricName`.
    pub series_by_metric: Vec<Ranked>,
    /// `labelValueCountByLabelName`.
    pub values_by_label: Vec<Ranked>,
    /// `memoryInBytesByLabelName`: bytes of the values, times the series that have them.
    pub bytes_by_label: Vec<Ranked>,
    /// `seriesCountByLabelValuePair`, as `name=value`.
    pub series_by_pair: Vec<Ranked>,
    /// Series per value of the label `job`.
    pub series_by_job: Vec<Ranked>,
    /// Series per value of the label `cluster`.
    pub series_by_cluster: Vec<Ranked>,
}

/// Series in memory whose `cluster` label is `cluster`.
pub(crate) fn series_of_cluster(head: &Head, tenant: &Tenant, cluster: &str) -> usize {
    head.find_partition(tenant).map_or(0, |partition| partition.index.read().count(CLUSTER, cluster))
}

/// Statistics of `tenant`, at most `limit` entries per list.
pub(crate) fn statistics(head: &Head, tenant: &Tenant, limit: usize) -> Statistics {
    let mut all = Statistics { head: head_statistics(head), ..Statistics::default() };
    let Some(partition) = head.find_partition(tenant) else { return all };
    let index = partition.index.read();
    let count = |len: usize| len as u64;
    for (name, values) in index.names() {
        all.values_by_label.push((name.to_string(), count(values.len())));
        let mut bytes = 0;
        for (value, series) in values {
            bytes += count(value.len() * series.len());
            offer(&mut all.series_by_pair, limit, count(series.len()), || format!("{name}={value}"));
            let by_value = match &**name {
                METRIC_NAME => &mut all.series_by_metric,
                "job" => &mut all.series_by_job,
                CLUSTER => &mut all.series_by_cluster,
                _ => continue,
            };
            offer(by_value, limit, count(series.len()), || value.to_string());
        }
        all.bytes_by_label.push((name.to_string(), bytes));
    }
    let lists = [
        &mut all.series_by_metric,
        &mut all.values_by_label,
        &mut all.bytes_by_label,
        &mut all.series_by_pair,
        &mut all.series_by_job,
        &mut all.series_by_cluster,
    ];
    for list in lists {
        rank(list, limit);
    }
    all
}

/// Keeps at most about twice the limit on the way.
fn offer(list: &mut Vec<Ranked>, limit: usize, count: u64, name: impl FnOnce() -> String) {
    if list.len() >= limit * 2 + 16 {
        rank(list, limit);
        if list.last().is_some_and(|least| least.1 > count) {
            return;
        }
    }
    list.push((name(), count));
}

fn rank(list: &mut Vec<Ranked>, limit: usize) {
    list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list.truncate(limit);
}

pub(crate) fn head_statistics(head: &Head) -> HeadStatistics {
    let partitions = head.partitions.read().clone();
    let pairs = |index: &crate::index::Index| index.names().values().map(BTreeMap::len).sum::<usize>();
    HeadStatistics {
        series: head.series_count.load(Ordering::Relaxed),
        label_pairs: partitions.iter().map(|partition| pairs(&partition.index.read())).sum(),
        chunks: u64::try_from(head.chunk_count.load(Ordering::Relaxed)).unwrap_or(0),
        min_time: head.min_time.load(Ordering::Relaxed),
        max_time: head.max_time.load(Ordering::Relaxed),
    }
}

/// Bytes of samples in memory, without the tables around them. Visits every series.
pub(crate) fn sample_bytes(head: &Head) -> usize {
    let mut bytes = 0;
    head.table.for_each(|series| bytes += series.state.lock().heap_bytes());
    bytes
}
