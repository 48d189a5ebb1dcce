//! What `/api/v1/status/tsdb` shows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;

use nave_model::append::{CLUSTER, Tenant};
use nave_model::label::METRIC_NAME;
use parking_lot::Mutex;

use crate::head::Head;

const MINUTE_MS: i64 = 60_000;
/// Minutes of which new series are remembered.
const GROWTH_MINUTES: i64 = 6 * 60;

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
    /// New series of all tenants by minute: its start in ms and how many. Minutes without any are left out.
    pub new_series: Vec<(i64, u64)>,
}

/// How many series were made in each of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Growth(Mutex<VecDeque<(i64, u64)>>);

impl Growth {
    /// A series was made.
    pub(crate) fn note(&self, now_ms: i64) {
        let minute = now_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let mut minutes = self.0.lock();
        match minutes.back_mut() {
            // A clock that was set back counts for the newest minute.
            Some((last, count)) if *last >= minute => *count += 1,
            _ => minutes.push_back((minute, 1)),
        }
        while minutes.front().is_some_and(|(first, _)| *first <= minute - GROWTH_MINUTES * MINUTE_MS) {
            minutes.pop_front();
        }
    }

    fn list(&self) -> Vec<(i64, u64)> {
        self.0.lock().iter().copied().collect()
    }
}

/// Series in memory whose `cluster` label is `cluster`.
pub(crate) fn series_of_cluster(head: &Head, tenant: &Tenant, cluster: &str) -> usize {
    head.find_partition(tenant).map_or(0, |partition| partition.index.read().count(CLUSTER, cluster))
}

/// Statistics of `tenant`, at most `limit` entries per list.
pub(crate) fn statistics(head: &Head, tenant: &Tenant, limit: usize) -> Statistics {
    let mut all =
        Statistics { head: head_statistics(head), new_series: head.growth.list(), ..Statistics::default() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_counted_by_minute_and_bounded() {
        let growth = Growth::default();
        let check = |expect: &[(i64, u64)]| assert_eq!(growth.list(), expect);
        check(&[]);
        [60_000, 119_999, 120_000, 60_001, 300_000].iter().for_each(|now| growth.note(*now));
        check(&[(60_000, 2), (120_000, 2), (300_000, 1)]);
        growth.note(GROWTH_MINUTES * MINUTE_MS + 120_000);
        check(&[(300_000, 1), (GROWTH_MINUTES * MINUTE_MS + 120_000, 1)]);
    }
}
