//! Since when the samples of one series count.
//!
//! Most series say nothing, and one that does says the same for hours: so there is a list of runs, only for series that
//! ever said something. Exact for every sample in memory, late ones too; what it says of other times means nothing.

use nave_model::select::Columns;
use nave_model::time::Timestamp;

/// Samples from a time on, up to that of the next run, and their start in ms; 0 is unknown.
pub(crate) type Run = (i64, i64);

/// Runs, ascending. Before the first one starts are unknown.
#[derive(Debug, Default)]
pub(super) struct Starts {
    runs: Vec<Run>,
}

impl Starts {
    fn before(&self, at: usize) -> i64 {
        at.checked_sub(1).map_or(0, |before| self.runs[before].1)
    }

    /// The start of the sample at `t`.
    pub(super) fn at(&self, t: i64) -> i64 {
        self.before(self.runs.partition_point(|run| run.0 <= t))
    }

    /// Gives the sample at `t` its start; all others keep theirs. `newest`: no sample is newer. `any_in` tells whether
    /// a sample may be in a range of times, both included.
    pub(super) fn set(&mut self, t: i64, start: i64, newest: bool, any_in: impl Fn(i64, i64) -> bool) {
        let mut at = self.runs.partition_point(|run| run.0 <= t);
        let before = self.before(at);
        if before == start {
            return;
        }
        match (self.runs.get(at), t.checked_add(1)) {
            (Some(next), Some(behind))
                if next.1 == start && (next.0 == behind || !any_in(behind, next.0 - 1)) =>
            {
                self.runs.remove(at);
            }
            (next, Some(behind)) if !newest && next.is_none_or(|next| next.0 > behind) => {
                self.runs.insert(at, (behind, before));
            }
            _ => {}
        }
        // A run that has no other sample goes, so that late samples in a row are one run.
        if let Some(last) = at.checked_sub(1)
            && (self.runs[last].0 == t || !any_in(self.runs[last].0, t - 1))
        {
            self.runs.remove(last);
            at = last;
        }
        if self.before(at) != start {
            self.runs.insert(at, (t, start));
        }
    }

    /// The runs that samples of `min ..= max` are in.
    pub(super) fn within(&self, min: i64, max: i64) -> &[Run] {
        let from = self.runs.partition_point(|run| run.0 <= min).saturating_sub(1);
        let to = self.runs.partition_point(|run| run.0 <= max).max(from);
        &self.runs[from..to]
    }

    /// Forgets what only samples before `min` need. Whether nothing is left.
    pub(super) fn drop_before(&mut self, min: i64) -> bool {
        let old = self.runs.partition_point(|run| run.0 <= min).saturating_sub(1);
        let unknown = self.runs[old..].iter().take_while(|run| run.1 == 0).count();
        self.runs.drain(..old + unknown);
        self.runs.shrink_to(4);
        self.runs.is_empty()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.runs.capacity() * size_of::<Run>()
    }
}

/// Gives the samples of `columns` their starts; nothing is added where all are unknown.
pub(crate) fn fill(runs: &[Run], columns: &mut Columns) {
    columns.start_timestamps.clear();
    let (first, last) = (columns.timestamps.first(), columns.timestamps.last());
    let Some((first, last)) = first.zip(last) else { return };
    let unknown = |(at, run): (usize, &Run)| {
        run.1 == 0 || run.0 > last.0 || runs.get(at + 1).is_some_and(|next| next.0 <= first.0)
    };
    if runs.iter().enumerate().all(unknown) {
        return;
    }
    let (mut runs, mut start) = (runs.iter().peekable(), 0);
    let of = |t: &Timestamp| {
        while let Some(run) = runs.next_if(|run| run.0 <= t.0) {
            start = run.1;
        }
        Timestamp(start)
    };
    columns.start_timestamps.extend(columns.timestamps.iter().map(of));
    if columns.start_timestamps.iter().all(|start| start.0 == 0) {
        columns.start_timestamps.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// As a series does it: samples come in any order, each once.
    fn build(samples: &[(i64, i64)]) -> (Starts, BTreeMap<i64, i64>) {
        let (mut starts, mut all) = (Starts::default(), BTreeMap::new());
        for (t, start) in samples {
            if all.contains_key(t) {
                continue;
            }
            let newest = all.last_key_value().is_none_or(|(last, _)| last < t);
            starts.set(*t, *start, newest, |min, max| all.range(min..=max).next().is_some());
            all.insert(*t, *start);
        }
        (starts, all)
    }

    fn check(samples: &[(i64, i64)], runs: &[Run]) {
        let (starts, all) = build(samples);
        assert_eq!(starts.runs, runs, "{samples:?}");
        all.iter().for_each(|(t, start)| assert_eq!(starts.at(*t), *start, "{samples:?} at {t}"));
    }

    #[test]
    fn runs_are_few() {
        check(&[], &[]);
        check(&[(1, 0), (2, 0)], &[]);
        check(&[(10, 5), (20, 5), (30, 5)], &[(10, 5)]);
        check(&[(10, 5), (20, 5), (30, 25), (40, 25)], &[(10, 5), (30, 25)]);
        check(&[(10, 5), (20, 0), (30, 0)], &[(10, 5), (20, 0)]);
        check(&[(10, 5), (30, 5), (20, 7)], &[(10, 5), (20, 7), (21, 5)]);
        check(&[(100, 5), (10, 1), (20, 1), (30, 1)], &[(10, 1), (31, 0), (100, 5)]);
        check(&[(100, 5), (30, 1), (20, 1), (10, 1)], &[(10, 1), (31, 0), (100, 5)]);
        check(&[(10, 5), (12, 6), (11, 6)], &[(10, 5), (11, 6)]);
        check(&[(10, 5), (11, 6), (9, 6)], &[(9, 6), (10, 5), (11, 6)]);
        check(&[(i64::MIN, 1), (i64::MAX, 2), (0, 3)], &[(i64::MIN, 1), (0, 3), (1, 1), (i64::MAX, 2)]);
    }

    #[test]
    fn columns_are_filled_where_something_is_known() {
        let check = |runs: &[Run], expect: &[i64]| {
            let mut columns = Columns::default();
            [10, 20, 30].into_iter().for_each(|t| columns.push(Timestamp(t), 0.0));
            fill(runs, &mut columns);
            assert_eq!(columns.start_timestamps.iter().map(|t| t.0).collect::<Vec<_>>(), expect, "{runs:?}");
        };
        check(&[], &[]);
        check(&[(31, 5)], &[]);
        check(&[(1, 5), (10, 0)], &[]);
        check(&[(11, 5), (12, 0)], &[]);
        check(&[(1, 5)], &[5, 5, 5]);
        check(&[(1, 5), (20, 7)], &[5, 7, 7]);
        check(&[(20, 7), (21, 0)], &[0, 7, 0]);
        fill(&[(1, 1)], &mut Columns::default());
    }

    proptest! {
        #[test]
        fn every_sample_has_its_own(
            samples in proptest::collection::vec((0..60i64, 0..4i64), 0..60),
            min in 0..70i64,
            max in 0..70i64,
        ) {
            let (mut starts, all) = build(&samples);
            let mut columns = Columns::default();
            let inside: Vec<_> = all.iter().filter(|(t, _)| (min..=max).contains(*t)).collect();
            inside.iter().for_each(|(t, _)| columns.push(Timestamp(**t), 0.0));
            fill(starts.within(min, max), &mut columns);
            let mut expect: Vec<_> = inside.iter().map(|(_, start)| Timestamp(**start)).collect();
            if expect.iter().all(|start| start.0 == 0) {
                expect.clear();
            }
            prop_assert_eq!(&columns.start_timestamps, &expect);
            all.iter().for_each(|(t, start)| assert_eq!(starts.at(*t), *start));
            starts.drop_before(min);
            all.range(min..).for_each(|(t, start)| assert_eq!(starts.at(*t), *start));
        }
    }
}
