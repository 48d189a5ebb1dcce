//! Finished steps of range queries, kept for the next refresh of the same panel.
//!
//! An entry holds the answer to one query over steps whose samples are not expected to change any more
//! ([`nave_model::select::Watermark::settled`]); it is good as long as the store's epoch is the same, so late samples and
//! deletes make it worthless at once. A query that begins inside an entry evaluates only the steps behind it.
//!
//! What an answer says beside its samples (warnings, infos) belongs to all of its steps, so answers that say something are
//! not kept. Neither are native histograms, nor answers of queries that look at the range of the query itself.

use std::sync::Arc;

use hashbrown::HashMap;
use nave_base::budget::{Budget, Charge};
use nave_base::metric::{Counter, Registry};
use nave_model::append::Tenant;
use nave_model::select::{Columns, Scope, Watermark};
use nave_model::time::Timestamp;
use parking_lot::Mutex;

use crate::answer::Series;
use crate::plan::Steps;

/// Entries, however small.
const ENTRIES_MAX: usize = 4096;
/// What may stand in a query whose answer depends on where its range begins or ends. It may stand in a text too; then
/// the query is evaluated as if there were no cache.
const DEPENDS_ON_RANGE: [&str; 2] = ["@", "range"];

/// Which query, over which grid of steps. Panels that show one query over ranges of different length have entries
/// of their own, or the shorter one would cut the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tenant: Tenant,
    scope: String,
    query: String,
    step: i64,
    phase: i64,
    steps: usize,
    lookback_ms: i64,
}

impl Key {
    /// `None` when the answer cannot be taken apart by steps.
    pub(super) fn new(scope: &Scope, query: &str, steps: Steps, lookback_ms: i64) -> Option<Self> {
        if DEPENDS_ON_RANGE.iter().any(|word| query.contains(word)) {
            return None;
        }
        Some(Self {
            tenant: scope.tenant.clone(),
            scope: format!("{:?}", scope.matchers),
            query: query.to_owned(),
            step: steps.step,
            phase: steps.start.rem_euclid(steps.step),
            steps: steps.len().next_power_of_two(),
            lookback_ms,
        })
    }
}

#[derive(Debug)]
struct Entry {
    epoch: u64,
    steps: Steps,
    series: Arc<Vec<Series>>,
    used: u64,
    _charge: Charge,
}

#[derive(Debug, Default)]
struct Entries {
    all: HashMap<Key, Entry, foldhash::fast::RandomState>,
    clock: u64,
}

/// The kept answers of one engine.
#[derive(Debug)]
pub(super) struct Cache {
    budget: Budget,
    entries: Mutex<Entries>,
    requests: Counter,
    hits: Counter,
    steps_saved: Counter,
    evictions: Counter,
}

impl Cache {
    pub(super) fn new(budget: Budget, registry: &Registry) -> Self {
        let bytes = registry.gauge("nave_query_cache_limit_bytes", "Bytes that kept answers may take.");
        bytes.set(budget.limit() as f64);
        let used = budget.clone();
        let help = "Bytes of kept answers.";
        registry.collect("nave_query_cache_bytes", help, nave_base::metric::Kind::Gauge, move |page| {
            page.sample(&[], used.used() as f64);
        });
        let counter = |name: &str, help: &'static str| registry.counter(name, help);
        Self {
            budget,
            entries: Mutex::default(),
            requests: counter(
                "nave_query_cache_requests_total",
                "Range queries that looked for a kept answer.",
            ),
            hits: counter("nave_query_cache_hits_total", "Range queries that found a kept answer."),
            steps_saved: counter(
                "nave_query_cache_steps_saved_total",
                "Steps that were not evaluated again.",
            ),
            evictions: counter("nave_query_cache_evictions_total", "Kept answers dropped for lack of room."),
        }
    }

    /// The part of the answer that is kept, and the steps that it does not have.
    pub(super) fn get(&self, key: &Key, now: Watermark, steps: Steps) -> Option<(Vec<Series>, Steps)> {
        self.requests.inc();
        let (series, known) = {
            let mut entries = self.entries.lock();
            entries.clock += 1;
            let clock = entries.clock;
            let entry = entries.all.get_mut(key)?;
            if entry.epoch != now.epoch || entry.steps.start > steps.start || entry.steps.end < steps.start {
                return None;
            }
            entry.used = clock;
            (entry.series.clone(), entry.steps.end.min(steps.end))
        };
        self.hits.inc();
        self.steps_saved.add(Steps { end: known, ..steps }.len() as f64);
        let rest = Steps { start: known + steps.step, ..steps };
        Some((clip(&series, steps.start, known), rest))
    }

    /// Keeps what of an answer is settled. `now` was read before the query was evaluated, `ahead_ms` says how far
    /// behind a step the query looks into the future.
    pub(super) fn put(&self, key: Key, now: Watermark, (steps, ahead_ms): (Steps, i64), series: &[Series]) {
        let last = now.settled.0.saturating_sub(1).saturating_sub(ahead_ms.max(0)).min(steps.end);
        if series.iter().any(|series| !series.columns.histograms.is_empty()) {
            return;
        }
        let whole = (last.saturating_sub(steps.start)).div_euclid(steps.step);
        if whole < 0 {
            return;
        }
        let steps = Steps { end: steps.start + whole * steps.step, ..steps };
        let series = clip(series, steps.start, steps.end);
        let bytes = series.iter().map(heap_bytes).sum::<usize>() + key.query.len() + size_of::<Entry>();
        let mut entries = self.entries.lock();
        entries.all.remove(&key);
        let Some(charge) = self.make_room(&mut entries, bytes) else { return };
        entries.clock += 1;
        let (used, series) = (entries.clock, Arc::new(series));
        entries.all.insert(key, Entry { epoch: now.epoch, steps, series, used, _charge: charge });
    }

    fn make_room(&self, entries: &mut Entries, bytes: usize) -> Option<Charge> {
        if bytes > self.budget.limit() / 4 {
            return None;
        }
        loop {
            if entries.all.len() < ENTRIES_MAX
                && let Ok(charge) = self.budget.charge(bytes)
            {
                return Some(charge);
            }
            let oldest = entries.all.iter().min_by_key(|(_, entry)| entry.used)?.0.clone();
            entries.all.remove(&oldest);
            self.evictions.inc();
        }
    }
}

/// The samples of `from ..= to`; series without any are left out.
fn clip(series: &[Series], from: i64, to: i64) -> Vec<Series> {
    let cut = |series: &Series| {
        let columns = cut(&series.columns, from, to);
        (!columns.is_empty()).then(|| Series { labels: series.labels.clone(), columns })
    };
    series.iter().filter_map(cut).collect()
}

fn cut(columns: &Columns, from: i64, to: i64) -> Columns {
    let first = columns.timestamps.partition_point(|t| t.0 < from);
    let last = columns.timestamps.partition_point(|t| t.0 <= to).max(first);
    Columns {
        timestamps: columns.timestamps[first..last].to_vec(),
        values: columns.values[first..last].to_vec(),
        ..Columns::default()
    }
}

fn heap_bytes(series: &Series) -> usize {
    let samples = series.columns.len() * (size_of::<Timestamp>() + size_of::<f64>());
    size_of::<Series>() + series.labels.as_bytes().len() + samples
}

/// Joins two answers, both sorted by labels; the steps of `later` are behind those of `earlier`.
pub(super) fn join(earlier: Vec<Series>, later: Vec<Series>) -> Vec<Series> {
    let mut joined = Vec::with_capacity(earlier.len().max(later.len()));
    let (mut earlier, mut later) = (earlier.into_iter().peekable(), later.into_iter().peekable());
    loop {
        let order = match (earlier.peek(), later.peek()) {
            (Some(a), Some(b)) => a.labels.cmp(&b.labels),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return joined,
        };
        let mut first = if order.is_gt() { None } else { earlier.next() };
        let second = if order.is_lt() { None } else { later.next() };
        match (&mut first, second) {
            (Some(first), Some(second)) => append(&mut first.columns, second.columns),
            (None, Some(second)) => first = Some(second),
            _ => {}
        }
        joined.extend(first);
    }
}

fn append(columns: &mut Columns, later: Columns) {
    let offset = columns.values.len() as u32;
    columns.timestamps.extend(later.timestamps);
    columns.values.extend(later.values);
    columns.histograms.extend(later.histograms.into_iter().map(|(at, histogram)| (at + offset, histogram)));
}

#[cfg(test)]
mod tests {
    use nave_model::label::Labels;
    use nave_model::matcher::Matcher;

    use super::*;

    fn series(name: &str, times: &[i64]) -> Series {
        let mut columns = Columns::default();
        times.iter().for_each(|t| columns.push(Timestamp(*t), *t as f64));
        Series { labels: Labels::from_pairs([("__name__", name)]).unwrap(), columns }
    }

    fn steps(start: i64, end: i64) -> Steps {
        Steps { start, end, step: 10 }
    }

    fn key(query: &str, steps: Steps) -> Option<Key> {
        Key::new(&Scope::default(), query, steps, 300)
    }

    fn times(series: &[Series]) -> Vec<(String, Vec<i64>)> {
        let times = |series: &Series| series.columns.timestamps.iter().map(|t| t.0).collect();
        series.iter().map(|series| (series.labels.to_string(), times(series))).collect()
    }

    #[test]
    fn only_what_is_settled_is_kept_and_only_for_its_epoch() {
        let cache = Cache::new(Budget::new("test", 1 << 20), &Registry::default());
        let now = Watermark { epoch: 1, settled: Timestamp(41) };
        let (all, later) = (steps(0, 70), steps(20, 90));
        let key = |steps| key("up", steps).unwrap();
        assert!(cache.get(&key(all), now, all).is_none());
        cache.put(key(all), now, (all, 5), &[series("a", &[0, 10, 20, 30, 40, 50]), series("b", &[50])]);
        let (found, rest) = cache.get(&key(later), now, later).unwrap();
        assert_eq!(times(&found), [("{__name__=\"a\"}".to_owned(), vec![20, 30])]);
        assert_eq!(rest, steps(40, 90), "40 looks 5 ms ahead, which is not settled");
        let short = steps(10, 20);
        assert!(cache.get(&key(short), now, short).is_none(), "a panel of another length has its own");
        let before = steps(-10, 60);
        assert!(cache.get(&key(before), now, before).is_none(), "begins before what is kept");
        let behind = steps(40, 110);
        assert!(cache.get(&key(behind), now, behind).is_none(), "begins behind what is kept");
        let changed = Watermark { epoch: 2, ..now };
        assert!(cache.get(&key(later), changed, later).is_none(), "the past has changed");
    }

    #[test]
    fn keys_tell_what_must_not_be_mixed() {
        let grid = steps(0, 70);
        let one = key("up", grid);
        assert_eq!(one, key("up", steps(20, 80)), "the same grid, a similar length");
        let scope = Scope { matchers: vec![Matcher::equal("cluster", "a")], ..Scope::default() };
        let others = [
            key("down", grid),
            key("up", steps(5, 75)),
            key("up", steps(0, 700)),
            Key::new(&scope, "up", grid, 300),
            Key::new(&Scope::default(), "up", grid, 301),
        ];
        assert!(!others.contains(&one));
        assert_eq!(key("up @ end()", grid), None);
        assert_eq!(key("rate(up[range()])", grid), None);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let one = heap_bytes(&series("a", &[0])) + 2 + size_of::<Entry>();
        let budget = Budget::new("test", one * 4);
        let cache = Cache::new(budget.clone(), &Registry::default());
        let now = Watermark { epoch: 1, settled: Timestamp(100) };
        let grid = steps(0, 0);
        let key = |i: usize| key(&format!("q{i}"), grid).unwrap();
        for i in 0..4 {
            cache.put(key(i), now, (grid, 0), &[series("a", &[0])]);
        }
        assert!(cache.get(&key(0), now, grid).is_some());
        cache.put(key(4), now, (grid, 0), &[series("a", &[0])]);
        let there: Vec<bool> = (0..5).map(|i| cache.get(&key(i), now, grid).is_some()).collect();
        assert_eq!(there, [true, false, true, true, true]);
        assert_eq!(budget.used(), one * 4);
        cache.put(key(5), now, (grid, 0), &[series(&"x".repeat(one * 2), &[0])]);
        assert!(cache.get(&key(5), now, grid).is_none(), "too large to keep");
    }

    #[test]
    fn answers_are_joined_in_label_order() {
        let earlier = vec![series("a", &[0]), series("c", &[0])];
        let later = vec![series("b", &[10]), series("c", &[10]), series("d", &[10])];
        let joined = times(&join(earlier, later));
        let lengths: Vec<_> = joined.iter().map(|(name, times)| (name.as_str(), times.len())).collect();
        let name = |name: &str| format!("{{__name__=\"{name}\"}}");
        let [a, b, c, d] = ["a", "b", "c", "d"].map(name);
        assert_eq!(lengths, [(a.as_str(), 1), (&b, 1), (&c, 2), (&d, 1)]);
    }
}
