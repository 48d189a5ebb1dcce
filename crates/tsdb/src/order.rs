//! The label order of series, kept from query to query.
//!
//! Sorting half a million label sets takes most of a second, and two wide queries sort nearly the same ones. So the
//! places of those that were sorted are remembered by number, and only those that are new are sorted.
//!
//! Invariant: `ids` is ascending, `ranks` is a permutation of its positions, and ranks ascend with the labels.

use std::sync::Arc;

use crate::lookup::SeriesTable;
use crate::postings::skip_below;
use crate::series::Series;

/// Below this many series the places are not worth looking up.
pub(crate) const SORTED_MIN: usize = 512;
/// With this many unknown ones, beside an eighth of the known, the order is made anew.
const UNKNOWN_MIN: usize = 4096;

/// Places of series in label order.
#[derive(Debug, Default)]
pub(crate) struct Order {
    ids: Vec<u32>,
    ranks: Vec<u32>,
}

/// A permutation of a list in label order, and what should be remembered for the next one.
pub(crate) struct Sorted {
    pub(crate) places: Vec<u32>,
    pub(crate) fresh: Option<Order>,
}

impl Order {
    /// Positions of `series`, which are ascending by number, in label order. With a `table` the order is made anew
    /// where too few of them are known.
    pub(crate) fn sort(&self, series: &[Arc<Series>], table: &SeriesTable) -> Sorted {
        let (mut known, mut unknown) = self.ranked(series);
        unknown.sort_unstable_by(|a, b| labels(series, *a).cmp(labels(series, *b)));
        let stale = unknown.len() >= UNKNOWN_MIN && unknown.len() > self.ids.len() / 8;
        let fresh = stale.then(|| self.extended(series, &unknown, table));
        if unknown.len() > known.len() / 16 {
            known = merge(series, &known, &unknown);
        } else {
            insert(series, &mut known, &unknown);
        }
        Sorted { places: known, fresh }
    }

    /// Positions of the series whose place is known, in order, and of the others.
    fn ranked(&self, series: &[Arc<Series>]) -> (Vec<u32>, Vec<u32>) {
        let (mut ranked, mut unknown) = (Vec::new(), Vec::new());
        let mut at = 0;
        for (position, series) in (0u32..).zip(series) {
            at += skip_below(&self.ids[at..], series.id);
            match self.ids.get(at) {
                Some(id) if *id == series.id => ranked.push((self.ranks[at], position)),
                _ => unknown.push(position),
            }
        }
        if ranked.len() > self.ids.len() / 8 {
            let mut places = vec![u32::MAX; self.ids.len()];
            ranked.iter().for_each(|(rank, position)| places[*rank as usize] = *position);
            places.retain(|position| *position != u32::MAX);
            return (places, unknown);
        }
        ranked.sort_unstable();
        (ranked.into_iter().map(|(_, position)| position).collect(), unknown)
    }

    /// The order of what it has and `table` still knows, and of those at `unknown`, which are in label order.
    fn extended(&self, series: &[Arc<Series>], unknown: &[u32], table: &SeriesTable) -> Self {
        let mut by_rank = vec![0; self.ids.len()];
        self.ids.iter().zip(&self.ranks).for_each(|(id, rank)| by_rank[*rank as usize] = *id);
        let mut fresh = unknown.iter().map(|at| &series[*at as usize]).peekable();
        let mut sorted: Vec<u32> = Vec::with_capacity(by_rank.len() + unknown.len());
        for known in by_rank.into_iter().filter_map(|id| table.get(id)) {
            while let Some(before) = fresh.next_if(|fresh| fresh.labels < known.labels) {
                sorted.push(before.id);
            }
            sorted.push(known.id);
        }
        sorted.extend(fresh.map(|series| series.id));
        Self::of(&sorted)
    }

    /// From the numbers in label order.
    fn of(sorted: &[u32]) -> Self {
        let mut pairs: Vec<(u32, u32)> = sorted.iter().copied().zip(0..).collect();
        pairs.sort_unstable();
        Self {
            ids: pairs.iter().map(|(id, _)| *id).collect(),
            ranks: pairs.iter().map(|(_, rank)| *rank).collect(),
        }
    }
}

fn labels(series: &[Arc<Series>], position: u32) -> &nave_model::label::Labels {
    &series[position as usize].labels
}

/// Merges two lists of positions that are in label order.
fn merge(series: &[Arc<Series>], a: &[u32], b: &[u32]) -> Vec<u32> {
    if a.is_empty() || b.is_empty() {
        return [a, b].concat();
    }
    let mut all = Vec::with_capacity(a.len() + b.len());
    let mut rest = b.iter().copied().peekable();
    for position in a {
        while let Some(before) = rest.next_if(|other| labels(series, *other) < labels(series, *position)) {
            all.push(before);
        }
        all.push(*position);
    }
    all.extend(rest);
    all
}

/// Puts a few into a long list.
fn insert(series: &[Arc<Series>], into: &mut Vec<u32>, few: &[u32]) {
    let before = std::mem::take(into);
    into.reserve_exact(before.len() + few.len());
    let mut rest = &before[..];
    for position in few {
        let at = rest.partition_point(|other| labels(series, *other) < labels(series, *position));
        into.extend_from_slice(&rest[..at]);
        into.push(*position);
        rest = &rest[at..];
    }
    into.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use nave_base::random::Random;
    use nave_model::label::Labels;

    use super::*;

    fn series(id: u32, random: &Random) -> Arc<Series> {
        let value = format!("{}-{id}", random.u64() % 100);
        Series::new(id, 0, Labels::from_pairs([("__name__", "m"), ("x", &value)]).unwrap())
    }

    #[test]
    fn as_a_plain_sort() {
        let random = Random::from_seed(7);
        let table = SeriesTable::new();
        let all: Vec<_> = (1..20_000).map(|id| series(id, &random)).collect();
        all.iter().for_each(|series| table.insert(series.clone()));
        let mut order = Order::default();
        let mut remembered = 0;
        for (from, to, step) in [
            (0, 100, 1),
            (0, 6000, 1),
            (0, 6000, 7),
            (3000, 6100, 1),
            (0, 12_000, 2),
            (0, 19_999, 1),
            (5, 19_999, 40),
        ] {
            let some: Vec<_> = all[from..to].iter().step_by(step).cloned().collect();
            let Sorted { places, fresh } = order.sort(&some, &table);
            let came: Vec<_> = places.iter().map(|at| some[*at as usize].labels.clone()).collect();
            let mut expect: Vec<_> = some.iter().map(|series| series.labels.clone()).collect();
            expect.sort();
            assert_eq!(came, expect, "{from}..{to} by {step}");
            if let Some(fresh) = fresh {
                remembered += 1;
                order = fresh;
            }
            table.remove(u32::try_from(from).unwrap());
        }
        assert_eq!(remembered, 2);
        assert!(order.ids.len() >= 19_000);
    }
}
