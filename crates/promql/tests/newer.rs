//! What is newer than the Prometheus that can be installed (3.5.3) against a naive evaluator: for every step it looks at
//! all samples of a series again, by the definition of the function.

use std::sync::Arc;
use std::time::Duration;

use nave_base::clock::SystemClock;
use nave_base::metric::Registry;
use nave_base::random::Random;
use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::sample;
use nave_model::time::Timestamp;
use nave_promql::testscript::MemoryStore;
use nave_promql::{Engine, EngineOptions, ParseOptions, QueryOptions, Value};

const LOOKBACK: i64 = 100_000;
const STEP: i64 = 7_000;
const END: i64 = 600_000;

type Points = Vec<(i64, f64)>;

fn engine() -> Engine {
    let options = EngineOptions {
        lookback: Duration::from_millis(LOOKBACK as u64),
        parse: ParseOptions::ALL,
        use_start_timestamps: true,
        ..EngineOptions::default()
    };
    Engine::new(options, SystemClock::shared(), &Registry::default())
}

/// Samples about every 15 s, with gaps, that grow and start over, or wander.
fn points(random: &Random, counter: bool) -> Points {
    let below = |end: u64| (random.u64() % end) as i64;
    let (mut at, mut value, mut all) = (below(40_000), 0.0, Points::new());
    while at < END {
        value = match counter {
            true if below(12) == 0 => below(3) as f64,
            true => value + below(50) as f64 / 8.0,
            false => below(100) as f64 - 50.0,
        };
        all.push((at, value));
        at += 14_000 + below(2_000) + if below(15) == 0 { below(200_000) } else { 0 };
    }
    all
}

fn labels(name: &str, more: &[(&str, &str)]) -> Labels {
    Labels::from_pairs([("__name__", name)].into_iter().chain(more.iter().copied())).unwrap()
}

fn store(name: &str, points: &[(i64, f64)]) -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    points.iter().for_each(|(t, v)| store.append_float(&labels(name, &[]), Timestamp(*t), *v).unwrap());
    Arc::new(store)
}

/// Labels without the name and samples of each series of a range query over all the data.
async fn ask(store: &Arc<MemoryStore>, query: &str) -> Vec<(String, Points)> {
    let (start, end, options) = (Timestamp(0), Timestamp(END), QueryOptions::default());
    let answer = engine().range(store.clone(), query, start, end, STEP, options).await;
    let Value::Matrix(all) = answer.unwrap_or_else(|error| panic!("{query}: {error}")).value else {
        panic!("{query}: expected a matrix")
    };
    let points = |columns: nave_model::select::Columns| {
        columns.timestamps.iter().map(|time| time.0).zip(columns.values).collect()
    };
    all.into_iter().map(|one| (one.labels.without_metric_name().to_string(), points(one.columns))).collect()
}

/// The answer to `query` is what `naive` gives at each step.
async fn check(store: &Arc<MemoryStore>, query: &str, naive: impl Fn(i64) -> Option<f64>) {
    let expect: Points = (0..=END).step_by(STEP as usize).filter_map(|t| Some((t, naive(t)?))).collect();
    let got = ask(store, query).await.pop().map(|(_, points)| points).unwrap_or_default();
    let close = |a: f64, b: f64| a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
    let same =
        got.len() == expect.len() && got.iter().zip(&expect).all(|(a, b)| a.0 == b.0 && close(a.1, b.1));
    let first = got.iter().zip(&expect).find(|(a, b)| a.0 != b.0 || !close(a.1, b.1));
    assert!(same, "{query}: {} points, expected {}; first difference {first:?}", got.len(), expect.len());
    assert!(expect.len() > 10, "{query}: the test shows nothing");
}

/// Samples in `(from, to]`.
fn between(points: &[(i64, f64)], from: i64, to: i64) -> Points {
    points.iter().copied().filter(|(t, _)| from < *t && *t <= to).collect()
}

/// The values that an anchored range sees: the sample at or before its left end, and those inside.
fn anchored(points: &[(i64, f64)], from: i64, to: i64) -> Option<Vec<f64>> {
    let inside = between(points, from, to);
    let before = between(points, from - LOOKBACK, from).pop();
    (!inside.is_empty()).then(|| before.into_iter().chain(inside).map(|(_, value)| value).collect())
}

/// On the line between two samples; a counter that fell has grown from zero.
fn line((t0, v0): (i64, f64), (t1, v1): (i64, f64), at: i64, counter: bool) -> f64 {
    let v0 = if counter && v1 < v0 { 0.0 } else { v0 };
    v0 + (v1 - v0) * (at - t0) as f64 / (t1 - t0) as f64
}

/// The values that a smoothed range sees: at its ends as on a line between neighbours, where there are two.
fn smoothed(points: &[(i64, f64)], from: i64, to: i64, counter: bool) -> Option<Vec<f64>> {
    let all = between(points, from - LOOKBACK, to + LOOKBACK);
    let value = |at: i64| {
        let before = all.iter().rev().find(|(t, _)| *t <= at).copied();
        let after = all.iter().find(|(t, _)| *t >= at).copied();
        match (before, after) {
            (Some(a), Some(b)) if a.0 < b.0 => Some(line(a, b, at, counter)),
            (one, other) => one.or(other).map(|(_, value)| value),
        }
    };
    let reaches = all.first()?.0 <= to && all.last()?.0 > from;
    let inside = all.iter().filter(|(t, _)| from < *t && *t < to).map(|(_, value)| *value);
    reaches.then(|| value(from).into_iter().chain(inside).chain(value(to)).collect())
}

fn increase(values: &[f64]) -> f64 {
    let lost: f64 = values.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[0]).sum();
    values[values.len() - 1] - values[0] + lost
}

fn delta(values: &[f64]) -> f64 {
    values[values.len() - 1] - values[0]
}

fn count(values: &[f64], differs: impl Fn(f64, f64) -> bool) -> f64 {
    values.windows(2).filter(|pair| differs(pair[0], pair[1])).count() as f64
}

#[tokio::test]
async fn first_samples_of_a_range() {
    for seed in 0..20 {
        let all = points(&Random::from_seed(seed), false);
        let store = store("m", &all);
        let first = |t: i64| between(&all, t - 60_000, t).first().copied();
        check(&store, "first_over_time(m[1m])", |t| Some(first(t)?.1)).await;
        check(&store, "ts_of_first_over_time(m[1m])", |t| Some(first(t)?.0 as f64 / 1000.0)).await;
    }
}

#[tokio::test]
async fn anchored_ranges() {
    for seed in 0..20 {
        let all = points(&Random::from_seed(seed), true);
        let store = store("m", &all);
        let values = |t: i64| anchored(&all, t - 60_000, t);
        check(&store, "increase(m[1m] anchored)", |t| Some(increase(&values(t)?))).await;
        check(&store, "rate(m[1m] anchored)", |t| Some(increase(&values(t)?) / 60.0)).await;
        check(&store, "delta(m[1m] anchored)", |t| Some(delta(&values(t)?))).await;
        check(&store, "changes(m[1m] anchored)", |t| Some(count(&values(t)?, |a, b| a != b))).await;
        check(&store, "resets(m[1m] anchored)", |t| Some(count(&values(t)?, |a, b| b < a))).await;
    }
}

#[tokio::test]
async fn smoothed_ranges_and_selectors() {
    for seed in 0..20 {
        let all = points(&Random::from_seed(seed), true);
        let store = store("m", &all);
        let values = |t: i64, counter| smoothed(&all, t - 60_000, t, counter);
        check(&store, "increase(m[1m] smoothed)", |t| Some(increase(&values(t, true)?))).await;
        check(&store, "rate(m[1m] smoothed)", |t| Some(increase(&values(t, true)?) / 60.0)).await;
        check(&store, "delta(m[1m] smoothed)", |t| Some(delta(&values(t, false)?))).await;
    }
}

/// A missing side is filled at the steps at which the other one is there.
#[tokio::test]
async fn filled_operands() {
    for seed in 0..20 {
        let random = Random::from_seed(seed);
        let (a, b) = (points(&random, false), points(&random, false));
        let store = store("a", &a);
        b.iter().for_each(|(t, v)| store.append_float(&labels("b", &[]), Timestamp(*t), *v).unwrap());
        let newest = |all: &Points, t: i64| between(all, t - LOOKBACK, t).last().map(|(_, value)| *value);
        let sides = |t: i64| (newest(&a, t), newest(&b, t));
        let either = |(a, b): (Option<f64>, Option<f64>)| a.is_some() || b.is_some();
        let filled = |t: i64| Some(sides(t)).filter(|sides| either(*sides));
        check(&store, "a - fill(7) b", |t| filled(t).map(|(a, b)| a.unwrap_or(7.0) - b.unwrap_or(7.0))).await;
        check(&store, "a - fill_left(7) b", |t| Some(sides(t).0.unwrap_or(7.0) - sides(t).1?)).await;
        check(&store, "a - fill_right(7) b", |t| Some(sides(t).0? - sides(t).1.unwrap_or(7.0))).await;
    }
}

#[tokio::test]
async fn times_of_the_query() {
    let all = points(&Random::from_seed(1), false);
    let store = store("m", &all);
    let counted = |width: i64| move |t: i64, all: &Points| between(all, t - width, t).len() as f64;
    let present = |count: f64| (count > 0.0).then_some(count);
    for (query, width) in [
        ("count_over_time(m[step() * 9])", 9 * STEP),
        ("count_over_time(m[1m + 30s])", 90_000),
        ("count_over_time(m[max_of(step(), 45s)])", 45_000),
        ("count_over_time(m[min_of(range(), 2m)])", 120_000),
        ("count_over_time(m[2m % 50s])", 20_000),
    ] {
        check(&store, query, |t| present(counted(width)(t, &all))).await;
    }
    check(&store, "step() + 0 * time()", |_| Some(STEP as f64 / 1000.0)).await;
    check(&store, "range() + 0 * time()", |_| Some(END as f64 / 1000.0)).await;
    check(&store, "end() - start() - time()", |t| Some((END - t) as f64 / 1000.0)).await;
    check(&store, "max_of(time(), 300) + min_of(time(), 200)", |t| {
        let seconds = t as f64 / 1000.0;
        Some(seconds.max(300.0) + seconds.min(200.0))
    })
    .await;
}

#[tokio::test]
async fn since_when_samples_count() {
    let all = points(&Random::from_seed(2), true);
    let store = MemoryStore::new();
    let start = |t: i64| Timestamp(t / 100_000 * 100_000 - 1_000);
    for (t, value) in &all {
        let value = sample::Value::Float(*value);
        store.append(&labels("m", &[]), Timestamp(*t), value, Some(start(*t))).unwrap();
    }
    let newest = |t: i64| between(&all, t - LOOKBACK, t).last().copied();
    let naive = |t: i64| Some(start(newest(t)?.0).0 as f64 / 1000.0);
    check(&Arc::new(store), "start_timestamp(m)", naive).await;
}

fn histogram(random: &Random) -> (Histogram, [f64; 4]) {
    let counts = [(); 4].map(|()| (random.u64() % 20) as f64);
    let histogram = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        counter_reset_hint: CounterResetHint::Gauge,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: counts.iter().sum(),
        sum: 10.0,
        positive_spans: vec![Span { offset: 0, length: 4 }],
        positive_buckets: counts.to_vec(),
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        custom_bounds: vec![1.0, 2.0, 5.0],
        integer: true,
    };
    (histogram, counts)
}

/// At a bound, a trim keeps whole buckets; the last bucket has no end and stays above every bound.
#[tokio::test]
async fn trimmed_histograms() {
    let random = Random::from_seed(3);
    let (store, mut stored) = (MemoryStore::new(), Vec::new());
    for t in (0..END).step_by(STEP as usize) {
        let (histogram, counts) = histogram(&random);
        let value = sample::Value::Histogram(Arc::new(histogram));
        store.append(&labels("h", &[]), Timestamp(t), value, None).unwrap();
        stored.push(counts);
    }
    let store = Arc::new(store);
    let at = |t: i64| stored[((t / STEP) as usize).min(stored.len() - 1)];
    for (buckets, bound) in [(1, "1"), (2, "2"), (3, "5")] {
        let below = |t: i64| at(t)[..buckets].iter().sum();
        let above = |t: i64| at(t)[buckets..].iter().sum();
        check(&store, &format!("histogram_count(h </ {bound})"), |t| Some(below(t))).await;
        check(&store, &format!("histogram_count(h >/ {bound})"), |t| Some(above(t))).await;
    }
}

#[tokio::test]
async fn several_quantiles_are_each_as_alone() {
    let (random, store) = (Random::from_seed(4), MemoryStore::new());
    for t in (0..END).step_by(15_000) {
        let mut below = 0.0;
        for le in ["0.1", "1", "10", "+Inf"] {
            below += (random.u64() % 9) as f64;
            store.append_float(&labels("b", &[("le", le)]), Timestamp(t), below).unwrap();
        }
        let value = sample::Value::Histogram(Arc::new(histogram(&random).0));
        store.append(&labels("h", &[]), Timestamp(t), value, None).unwrap();
    }
    let store = Arc::new(store);
    for from in ["b", "h"] {
        let together = ask(&store, &format!("histogram_quantiles({from}, \"q\", 0, 0.25, 0.99)")).await;
        assert_eq!(together.len(), 3);
        for quantile in ["0", "0.25", "0.99"] {
            let alone = ask(&store, &format!("histogram_quantile({quantile}, {from})")).await.remove(0).1;
            let number: f64 = quantile.parse().unwrap();
            let name = |labels: &str| labels.split('"').nth(1).and_then(|text| text.parse::<f64>().ok());
            let (_, one) = together.iter().find(|(labels, _)| name(labels) == Some(number)).unwrap();
            let bits = |points: &Points| points.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
            assert_eq!(bits(one), bits(&alone), "{from} {quantile}");
        }
    }
}
