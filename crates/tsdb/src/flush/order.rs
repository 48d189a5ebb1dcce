//! The series of one tenant in the order of files, kept from flush to flush.

use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use nave_block::block::series_order;

use crate::series::Series;

#[derive(Debug, Default)]
pub(super) struct Order {
    sorted: Vec<Arc<Series>>,
}

impl Order {
    /// Sorts `fresh` in.
    pub(super) fn add(&mut self, fresh: Vec<Arc<Series>>) {
        let order = |a: &Arc<Series>, b: &Arc<Series>| {
            series_order(&a.labels, &b.labels).then_with(|| a.id.cmp(&b.id))
        };
        let fresh = sorted(fresh);
        if self.sorted.is_empty() {
            self.sorted = fresh;
            return;
        }
        // Merged from the end, in place.
        let (mut old, mut new) = (self.sorted.len(), fresh.len());
        self.sorted.extend_from_slice(&fresh);
        while old > 0 && new > 0 {
            let place = old + new - 1;
            if order(&self.sorted[old - 1], &fresh[new - 1]).is_gt() {
                self.sorted.swap(old - 1, place);
                old -= 1;
            } else {
                self.sorted[place] = fresh[new - 1].clone();
                new -= 1;
            }
        }
        self.sorted[..new].clone_from_slice(&fresh[..new]);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Series>> {
        self.sorted.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Forgets removed series.
    pub(super) fn forget_dead(&mut self) {
        self.sorted.retain(|series| !series.state.lock().dead);
    }
}

/// Sorts by metric name, then within each metric: what is compared together then fits into the processor's caches.
fn sorted(series: Vec<Arc<Series>>) -> Vec<Arc<Series>> {
    let mut all = Vec::with_capacity(series.len());
    let mut by_metric: HashMap<String, Vec<Arc<Series>>, RandomState> = HashMap::default();
    for one in series {
        by_metric.entry_ref(one.labels.metric_name()).or_default().push(one.clone());
    }
    let mut metrics: Vec<_> = by_metric.into_iter().collect();
    metrics.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    for (_, mut group) in metrics {
        group.sort_unstable_by(|a, b| a.labels.cmp(&b.labels).then_with(|| a.id.cmp(&b.id)));
        all.append(&mut group);
    }
    all
}

#[cfg(test)]
mod tests {
    use nave_model::label::Labels;

    use super::*;

    #[test]
    fn what_is_added_is_sorted_in() {
        let series = |id: u32, name: &str| {
            Series::new(id, 0, Labels::from_pairs([("__name__", name), ("A", &id.to_string())]).unwrap())
        };
        let mut order = Order::default();
        let mut all = Vec::new();
        for (i, names) in
            [&["m", "c"][..], &["a", "z", "d"], &[], &["m", "b"], &["zz"], &["0", "1"]].iter().enumerate()
        {
            let fresh: Vec<_> =
                (0u32..).zip(*names).map(|(at, name)| series(i as u32 * 10 + at, name)).collect();
            all.extend(fresh.iter().map(|one| one.labels.to_string()));
            order.add(fresh);
            let shown: Vec<_> = order.iter().map(|one| one.labels.to_string()).collect();
            assert!(
                order.iter().is_sorted_by(|a, b| series_order(&a.labels, &b.labels).is_lt()),
                "{shown:?}"
            );
            assert_eq!(shown.len(), all.len());
        }
    }
}
