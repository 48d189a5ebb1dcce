//! Building an index of many series at once, with several threads.
//!
//! Every thread gathers the lists of a run of the series; then every thread puts the lists of some label names together.
//! No tree is searched, which is what inserting one series after the other costs.

use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use nave_model::append::CLUSTER;
use nave_model::label::{Labels, METRIC_NAME};
use parking_lot::Mutex;

use super::{Index, Values};
use crate::postings::Postings;
use crate::series::Series;

/// A run has at least this many series: fewer are not worth a thread.
const RUN_MIN: usize = 4096;

type Map<K, V> = HashMap<K, V, RandomState>;

/// Lists of a label name by value.
type Lists<'a> = Map<&'a str, Postings>;

/// What one run of series gives.
#[derive(Default)]
struct Run<'a> {
    names: Map<&'a str, Lists<'a>>,
    /// Series by cluster and metric name.
    clusters: Map<(&'a str, &'a str), usize>,
}

/// An index, and series whose labels a later one has too: that one stands in the index.
pub(crate) struct Built {
    pub(crate) index: Index,
    /// The earlier and the later one, in the order of the series.
    pub(crate) replaced: Vec<[Arc<Series>; 2]>,
}

/// The index of `all`, which ascend by number.
pub(crate) fn build(all: &[Arc<Series>], threads: usize) -> Built {
    let run_len = all.len().div_ceil(threads.max(1)).max(RUN_MIN);
    let ((by_labels, replaced), runs) = std::thread::scope(|scope| {
        let runs: Vec<_> = all.chunks(run_len).map(|run| scope.spawn(|| gather(run))).collect();
        let by_labels = by_labels(all);
        let runs: Vec<Run<'_>> = runs.into_iter().map(join).collect();
        (by_labels, runs)
    });
    let mut index =
        Index { by_labels, all: all.iter().map(|series| series.id).collect(), ..Index::default() };
    index.put_together(runs, threads);
    let dead: Vec<_> = replaced.iter().map(|[before, _]| before.clone()).collect();
    if !dead.is_empty() {
        dead.iter().for_each(|series| index.forget_cluster(&series.labels));
        index.remove_from_lists(&dead);
    }
    Built { index, replaced }
}

/// A thread that panics takes the process' start along, as it would without threads.
fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

type ByLabels = Map<Labels, Arc<Series>>;

fn by_labels(all: &[Arc<Series>]) -> (ByLabels, Vec<[Arc<Series>; 2]>) {
    let mut map = ByLabels::with_capacity_and_hasher(all.len(), RandomState::default());
    let mut replaced = Vec::new();
    for series in all {
        if let Some(before) = map.insert(series.labels.clone(), series.clone()) {
            replaced.push([before, series.clone()]);
        }
    }
    (map, replaced)
}

fn gather(series: &[Arc<Series>]) -> Run<'_> {
    let mut run = Run::default();
    for series in series {
        let (mut cluster, mut metric) = ("", "");
        for (name, value) in &series.labels {
            match name {
                CLUSTER => cluster = value,
                METRIC_NAME => metric = value,
                _ => {}
            }
            run.names.entry(name).or_default().entry(value).or_default().push(series.id);
        }
        if !cluster.is_empty() && !metric.is_empty() {
            *run.clusters.entry((cluster, metric)).or_default() += 1;
        }
    }
    run
}

impl Index {
    fn put_together(&mut self, runs: Vec<Run<'_>>, threads: usize) {
        let mut by_name: Map<&str, Vec<Lists<'_>>> = Map::default();
        let mut clusters = Vec::with_capacity(runs.len());
        for run in runs {
            run.names.into_iter().for_each(|(name, lists)| by_name.entry(name).or_default().push(lists));
            clusters.push(run.clusters);
        }
        let mut work: Vec<_> = by_name.into_iter().collect();
        // The longest is begun first: the last one is taken first.
        work.sort_unstable_by_key(|(_, runs)| runs.iter().map(Lists::len).sum::<usize>());
        let threads = threads.clamp(1, work.len().max(1));
        let work = Mutex::new(work);
        let next = || work.lock().pop();
        let take_some = || {
            let mut done = Vec::new();
            while let Some((name, runs)) = next() {
                done.push((Arc::<str>::from(name), merge(runs)));
            }
            done
        };
        self.names = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(take_some)).collect();
            let own = take_some();
            others.into_iter().flat_map(join).chain(own).collect()
        });
        let own = |name: &str, value: &str| Some(self.names.get(name)?.get_key_value(value)?.0.clone());
        for ((cluster, metric), count) in clusters.into_iter().flatten() {
            let (Some(cluster), Some(metric)) = (own(CLUSTER, cluster), own(METRIC_NAME, metric)) else {
                continue;
            };
            *self.clusters.entry(cluster).or_default().entry(metric).or_default() += count;
        }
    }
}

/// The lists of one label name, of which a later run has the greater numbers.
fn merge(runs: Vec<Lists<'_>>) -> Values {
    let mut runs = runs.into_iter();
    let mut all = runs.next().unwrap_or_default();
    for (value, mut list) in runs.flatten() {
        all.entry(value).or_default().append(&mut list);
    }
    let mut sorted: Vec<_> = all.into_iter().collect();
    sorted.sort_unstable_by_key(|(value, _)| *value);
    sorted.into_iter().map(|(value, list)| (Arc::from(value), list)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(id: u32) -> Arc<Series> {
        // Every 1000th has the labels of the one before.
        let number = if id % 1000 == 999 { id - 1 } else { id };
        let pairs = [
            (METRIC_NAME, format!("m{}", number % 7)),
            (CLUSTER, if number % 5 == 0 { String::new() } else { format!("c{}", number % 3) }),
            ("number", number.to_string()),
        ];
        Series::new(id, 0, Labels::from_pairs(pairs).unwrap())
    }

    #[test]
    fn as_if_inserted_one_by_one() {
        let all: Vec<_> = (1..3 * RUN_MIN as u32).map(series).collect();
        let Built { index, replaced } = build(&all, 3);
        let mut plain = Index::default();
        let mut expect_replaced = 0;
        for series in &all {
            if let Some(before) = plain.get(&series.labels).cloned() {
                plain.remove(&[before]);
                expect_replaced += 1;
            }
            plain.insert(series.clone());
        }
        assert_eq!((replaced.len(), expect_replaced), (12, 12));
        assert!(replaced.iter().all(|[a, b]| a.id < b.id && a.labels == b.labels));
        assert_eq!((index.names(), &index.all), (plain.names(), &plain.all));
        assert_eq!(index.clusters, plain.clusters);
        assert_eq!(index.by_labels.len(), plain.by_labels.len());
        for series in plain.by_labels.values() {
            assert_eq!(index.get(&series.labels).map(|found| found.id), Some(series.id));
        }
        assert!(build(&[], 2).index.names().is_empty());
    }
}
