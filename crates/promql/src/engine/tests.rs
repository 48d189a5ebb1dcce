//! Limits, queue, timeout, cancellation and panics.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use nave_base::Shutdown;
use nave_base::budget::Budget;
use nave_base::clock::{FakeClock, SharedClock, SystemClock};
use nave_base::metric::{Format, Registry};
use nave_model::label::Labels;
use nave_model::select::{Columns, Pages, Select, SelectError, Selected, Selection, Watermark};
use nave_model::time::Timestamp;

use super::{Engine, EngineOptions, QueryOptions};
use crate::Rewrites;
use crate::answer::Value;
use crate::error::QueryError;
use crate::testscript::MemoryStore;

fn engine(options: EngineOptions) -> Engine {
    Engine::new(options, SystemClock::shared(), &Registry::default())
}

fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    for series in 0..50 {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &format!("{series:02}"))]).unwrap();
        for index in 0..100 {
            store.append_float(&labels, Timestamp(index * 10_000), index as f64).unwrap();
        }
    }
    Arc::new(store)
}

async fn range(engine: &Engine, query: &str) -> Result<crate::Answer, QueryError> {
    let (start, end) = (Timestamp(0), Timestamp(990_000));
    engine.range(store(), query, start, end, 10_000, QueryOptions::default()).await
}

#[tokio::test]
async fn too_many_samples() {
    let few = engine(EngineOptions { max_samples: 4_999, ..EngineOptions::default() });
    let error = range(&few, "m").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "query processing would load too many samples into memory in query execution"
    );
    assert_eq!(error.kind(), "execution");
    let enough = engine(EngineOptions { max_samples: 5_000, ..EngineOptions::default() });
    let stats = range(&enough, "m").await.unwrap().stats;
    assert_eq!((stats.samples_total, stats.samples_peak, stats.series), (5_000, 5_000, 50));
}

#[tokio::test]
async fn memory_is_bounded_and_given_back() {
    let memory = Budget::new("queries", 60_000);
    let engine = engine(EngineOptions { memory: memory.clone(), ..EngineOptions::default() });
    let error = range(&engine, "m * 2").await.unwrap_err();
    assert!(error.to_string().contains("--query.memory-limit"), "{error}");
    let answer = range(&engine, "sum(m{i=\"01\"})").await.unwrap();
    assert!(answer.stats.memory_peak > 0);
    assert_eq!(memory.used(), 0);
    let absurd = range(&engine, "max_over_time(m[200y:1ms])").await.unwrap_err();
    assert!(absurd.to_string().contains("memory limit"), "{absurd}");
}

/// Upstream evaluates both sides of an operator whatever the other one has.
#[tokio::test]
async fn a_side_that_meets_nothing_still_fails() {
    let engine = engine(EngineOptions::default());
    let wrong = "(m * ignoring (i) sum(m))";
    for query in [
        wrong.to_owned(),
        format!("{wrong} * nothing"),
        format!("nothing * {wrong}"),
        format!("nothing and {wrong}"),
        format!("nothing unless on (i) -{wrong}"),
        format!("nothing or {wrong}"),
        format!("sum({wrong} and nothing)"),
    ] {
        let error = range(&engine, &query).await.unwrap_err().to_string();
        assert!(error.contains("multiple matches for labels"), "{query}: {error}");
    }
}

/// The product of both sides is never made.
#[tokio::test]
async fn cross_joins_fail_before_they_are_large() {
    let store = MemoryStore::new();
    for series in 0..3_000 {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &series.to_string())]).unwrap();
        store.append_float(&labels, Timestamp(0), 1.0).unwrap();
    }
    let store = Arc::new(store);
    let options = EngineOptions { query_memory_bytes_max: 20 << 20, ..EngineOptions::default() };
    let engine = engine(options);
    let run = |query| engine.instant(store.clone(), query, Timestamp(0), QueryOptions::default());
    for query in ["m * on () m", "m * on () group_left () m", "m * on () group_right () m", "m < on () m"] {
        let error = run(query).await.unwrap_err().to_string();
        assert!(error.contains("found duplicate series for the match group {}"), "{query}: {error}");
    }
}

#[tokio::test]
async fn panics_are_internal_errors() {
    let engine = engine(EngineOptions::default());
    let run = |query| engine.instant(Arc::new(Odd::Panics), query, Timestamp(0), QueryOptions::default());
    let error = run("m").await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), ("internal", "unexpected error: a bug"));
    assert!(matches!(run("1 + 1").await.unwrap().value, Value::Scalar { value: 2.0, .. }));
}

#[tokio::test]
async fn timeouts_and_the_queue() {
    let clock = FakeClock::at(0);
    let shared: SharedClock = clock.clone();
    let options =
        EngineOptions { max_concurrency: 1, timeout: Duration::from_secs(10), ..EngineOptions::default() };
    let engine = Engine::new(options, shared, &Registry::default());
    let slow: Arc<dyn Select> = Arc::new(Odd::Hangs);
    let own = QueryOptions { timeout: Some(Duration::from_secs(5)), ..QueryOptions::default() };
    let mut first = Box::pin(engine.instant(slow.clone(), "m", Timestamp(0), own));
    assert!((&mut first).now_or_never().is_none());
    let mut second = Box::pin(engine.instant(slow.clone(), "m", Timestamp(0), QueryOptions::default()));
    assert!((&mut second).now_or_never().is_none());
    clock.advance(Duration::from_secs(5));
    assert_eq!(first.await.unwrap_err().to_string(), "query timed out in expression evaluation");
    // The store still hangs in the first one's thread until it sees the cancellation; either way the
    // second ends by its own deadline.
    let canceled = QueryOptions::default();
    canceled.cancel.cancel();
    let third = engine.instant(slow, "m", Timestamp(0), canceled);
    assert_eq!(third.await.unwrap_err().to_string(), "query was canceled in query queue");
    clock.advance(Duration::from_secs(10));
    let error = second.await.unwrap_err();
    assert_eq!(error.kind(), "timeout");
}

#[tokio::test]
async fn cancellation() {
    let engine = engine(EngineOptions::default());
    let cancel = Shutdown::new();
    let options = QueryOptions { cancel: cancel.clone(), ..QueryOptions::default() };
    let mut query = Box::pin(engine.instant(Arc::new(Odd::Hangs), "m", Timestamp(0), options));
    assert!((&mut query).now_or_never().is_none());
    cancel.cancel();
    assert_eq!(query.await.unwrap_err().to_string(), "query was canceled in expression evaluation");
}

#[tokio::test]
async fn limits_and_bad_requests() {
    let engine = engine(EngineOptions::default());
    let options = QueryOptions { limit: Some(3), ..QueryOptions::default() };
    let answer = engine.instant(store(), "m", Timestamp(60_000), options).await.unwrap();
    assert!(matches!(&answer.value, Value::Vector(samples) if samples.len() == 3));
    assert_eq!(answer.warnings, ["results truncated due to limit"]);
    let error = range(&engine, "m[5m]").await.unwrap_err();
    assert_eq!(error.kind(), "bad_data");
    let text = "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector";
    assert_eq!(error.to_string(), text);
    let backwards = engine.range(store(), "m", Timestamp(1), Timestamp(0), 1, QueryOptions::default());
    assert_eq!(backwards.await.unwrap_err().kind(), "bad_data");
    assert_eq!(range(&engine, "info(m)").await.unwrap_err().kind(), "bad_data");
}

#[tokio::test]
async fn metrics_are_registered() {
    let registry = Registry::default();
    let engine = Engine::new(EngineOptions::default(), SystemClock::shared(), &registry);
    engine.instant(store(), "m", Timestamp(60_000), QueryOptions::default()).await.unwrap();
    let page = registry.page(Format::Text);
    for line in [
        "prometheus_engine_queries 0",
        "prometheus_engine_queries_concurrent_max 20",
        "prometheus_engine_query_samples_total 50",
        "prometheus_engine_query_samples_read_total 350",
        "prometheus_engine_query_duration_seconds_count{slice=\"inner_eval\"} 1",
    ] {
        assert!(page.lines().any(|known| known == line), "{line} in\n{page}");
    }
}

#[tokio::test]
async fn large_selections_come_back_in_order() {
    let store = MemoryStore::new();
    for series in 0..3000 {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &format!("{series:04}"))]).unwrap();
        store.append_float(&labels, Timestamp(0), f64::from(series)).unwrap();
    }
    let engine = engine(EngineOptions::default());
    let (start, end) = (Timestamp(0), Timestamp(90_000));
    let answer =
        engine.range(Arc::new(store), "m", start, end, 10_000, QueryOptions::default()).await.unwrap();
    let Value::Matrix(series) = answer.value else { panic!("a matrix") };
    let values: Vec<f64> = series.iter().map(|series| series.columns.values[9]).collect();
    assert_eq!(values, (0..3000).map(f64::from).collect::<Vec<_>>());
}

/// What waits for another reader does not make a query fail that has memory for its evaluation, and nothing stays behind.
#[tokio::test]
async fn shared_results_wait_within_their_bound() {
    // The last one takes so much that what waits always fits beside it.
    let queries = [
        ("sum(m) / count(m)", true),
        ("sum(rate(m[1m])) / sum(m)", true),
        ("max(m) - min(m) + sum(m > scalar(sum(m)))", false),
    ];
    for (query, falls_back) in queries {
        let mut fell_back = 0;
        let free = range(&engine(EngineOptions::default()), query).await.unwrap();
        for kilobytes in [60, 80, 120, 200, 400, 1000] {
            let memory = Budget::new("queries", usize::MAX);
            let limited = |rewrites| EngineOptions {
                rewrites,
                memory: memory.clone(),
                query_memory_bytes_max: kilobytes << 10,
                ..EngineOptions::default()
            };
            let plain = range(&engine(limited(Rewrites::NONE)), query).await;
            let shared = range(&engine(limited(Rewrites::ALL)), query).await;
            if plain.is_err() {
                continue;
            }
            let shared = shared.unwrap();
            assert_eq!(format!("{:?}", shared.value), format!("{:?}", free.value), "{query}");
            assert_eq!(shared.stats.samples_total, free.stats.samples_total, "{query}");
            fell_back += u32::from(shared.stats.samples_read > free.stats.samples_read);
            assert_eq!(memory.used(), 0, "{query}");
        }
        assert_eq!(fell_back > 0, falls_back, "{query}");
    }
}

#[tokio::test]
async fn samples_are_counted_for_every_reader_and_step() {
    let plain = engine(EngineOptions { rewrites: Rewrites::NONE, ..EngineOptions::default() });
    let all = engine(EngineOptions { per_step_stats: true, ..EngineOptions::default() });
    for (query, at_step_60) in [
        ("m", 50),
        ("m + m", 100),
        ("rate(m[1m]) / rate(m[1m])", 600),
        ("m{i=\"01\"} + m", 51),
        ("sum_over_time(m[1m:10s])", 300),
        ("m @ 100", 50),
        ("rate(m[1m] @ 100)", 300),
        ("rate(m[1m]) + m", 350),
    ] {
        let options = || QueryOptions { figures: true, figures_per_step: true, ..QueryOptions::default() };
        let ask = async |engine: &Engine| {
            let (start, end) = (Timestamp(0), Timestamp(990_000));
            engine.range(store(), query, start, end, 10_000, options()).await.unwrap()
        };
        let (plain, all) = (ask(&plain).await, ask(&all).await);
        assert_eq!(plain.samples_per_step, [], "not switched on");
        let counts: Vec<u64> = all.samples_per_step.iter().map(|(_, count)| *count).collect();
        assert_eq!((counts.len(), counts[60]), (100, at_step_60), "{query}");
        assert_eq!(counts.iter().sum::<u64>(), all.stats.samples_total, "{query}");
        assert_eq!(plain.stats.samples_total, all.stats.samples_total, "{query}");
    }
}

/// A week of samples, made up as they are read.
struct Week;

impl Select for Week {
    fn open(&self, _: Selection) -> BoxFuture<'_, Result<Box<dyn Selected>, SelectError>> {
        std::future::ready(Ok(Box::new(Self) as Box<dyn Selected>)).boxed()
    }

    fn watermark(&self) -> Watermark {
        Watermark { epoch: 0, settled: Timestamp::MIN }
    }
}

impl Selected for Week {
    fn len(&self) -> usize {
        200
    }

    fn labels(&self, index: usize) -> Labels {
        Labels::from_pairs([("__name__", "m_total"), ("i", &format!("{index:03}"))]).unwrap()
    }

    fn fetch(&self, _: Range<usize>) -> BoxFuture<'_, Result<Box<dyn Pages>, SelectError>> {
        std::future::ready(Ok(Box::new(Self) as Box<dyn Pages>)).boxed()
    }
}

impl Pages for Week {
    fn decode(&self, index: usize, columns: &mut Columns) -> Result<(), SelectError> {
        columns.clear();
        (0..10_080)
            .for_each(|minute| columns.push(Timestamp(minute * 60_000), (minute * index as i64) as f64));
        Ok(())
    }
}

#[tokio::test]
async fn a_week_by_the_hour_is_not_held_at_once() {
    let week = Timestamp(7 * 86_400_000);
    for query in ["rate(m_total[5m])", "sum(rate(m_total[1h])) / count(m_total)"] {
        let options = QueryOptions::default();
        let engine = engine(EngineOptions::default());
        let answer =
            engine.range(Arc::new(Week), query, Timestamp(0), week, 3_600_000, options).await.unwrap();
        let stats = answer.stats;
        assert_eq!(stats.samples_read, 200 * 10_080, "{query}: every sample once");
        // 169 steps, of one or two expressions.
        assert!(stats.samples_peak <= 2 * 200 * 170 + 61, "{query}: {stats:?}");
        assert!(stats.memory_peak < 2_000_000, "{query}: {stats:?}");
    }
}

/// Stores that misbehave.
enum Odd {
    Panics,
    /// Until it is canceled.
    Hangs,
}

impl Select for Odd {
    fn open(&self, selection: Selection) -> BoxFuture<'_, Result<Box<dyn Selected>, SelectError>> {
        async move {
            match self {
                Self::Panics => Ok(Box::new(Panics) as Box<dyn Selected>),
                Self::Hangs => {
                    selection.cancel.cancelled().await;
                    Err(SelectError::Cancelled)
                }
            }
        }
        .boxed()
    }

    fn watermark(&self) -> Watermark {
        Watermark { epoch: 0, settled: Timestamp::MIN }
    }
}

struct Panics;

impl Selected for Panics {
    fn len(&self) -> usize {
        1
    }

    fn labels(&self, _: usize) -> Labels {
        Labels::empty()
    }

    fn fetch(&self, _: Range<usize>) -> BoxFuture<'_, Result<Box<dyn Pages>, SelectError>> {
        std::future::ready(Ok(Box::new(Self) as Box<dyn Pages>)).boxed()
    }
}

impl Pages for Panics {
    fn decode(&self, _: usize, _: &mut Columns) -> Result<(), SelectError> {
        panic!("a bug")
    }
}

#[tokio::test]
async fn plans_show_shared_nodes_where_they_ran() {
    let engine = engine(EngineOptions::default());
    let options = QueryOptions { explain: true, ..QueryOptions::default() };
    let query = "sum(m) / count(m)";
    let plan = engine.instant(store(), query, Timestamp(600_000), options).await.unwrap().plan.unwrap();
    let shared: Vec<&str> =
        plan.lines().filter(|line| line.trim_start().starts_with("shared 0 [series=50")).collect();
    assert_eq!(shared.len(), 2, "{plan}");
    assert_eq!(
        plan.lines().filter(|line| line.contains("scan") && line.contains(" samples=50 ")).count(),
        1,
        "{plan}"
    );
}

#[tokio::test]
async fn plans_show_what_nodes_gave() {
    let engine = engine(EngineOptions::default());
    let options = QueryOptions { explain: true, ..QueryOptions::default() };
    let query = "sum(rate(m[5m]))";
    let answer = engine.instant(store(), query, Timestamp(600_000), options).await.unwrap();
    let plan = answer.plan.unwrap();
    let lines: Vec<&str> = plan.lines().collect();
    assert!(lines[0].starts_with("sum by () [series=1 samples=1 time="), "{plan}");
    assert!(
        lines[1].starts_with("  rate [__name__=\"m\"]") && lines[1].contains(" [series=50 samples=50 "),
        "{plan}"
    );
    let plain = engine.instant(store(), query, Timestamp(600_000), QueryOptions::default()).await.unwrap();
    assert_eq!(plain.plan, None);
}

/// A store with a watermark that tests move.
struct Settling {
    inner: MemoryStore,
    watermark: parking_lot::Mutex<Watermark>,
}

impl Select for Settling {
    fn open(&self, selection: Selection) -> BoxFuture<'_, Result<Box<dyn Selected>, SelectError>> {
        self.inner.open(selection)
    }

    fn watermark(&self) -> Watermark {
        *self.watermark.lock()
    }
}

/// Refreshes panels while samples arrive, some of them late: with and without reuse the answers are the same.
#[tokio::test]
async fn reused_steps_change_no_answer() {
    const QUERIES: [&str; 6] = [
        "m",
        "sum(rate(m[1m]))",
        "topk(1, m)",
        "m offset -20s",
        "max_over_time(m[30s:7s])",
        "absent(m{i=\"9\"})",
    ];
    let registry = Registry::default();
    let cache = Budget::new("query cache", 1 << 20);
    let options = EngineOptions { cache, lookback: Duration::from_secs(25), ..EngineOptions::default() };
    let engine = Engine::new(options, SystemClock::shared(), &registry);
    let watermark = parking_lot::Mutex::new(Watermark { epoch: 0, settled: Timestamp(0) });
    let store = Arc::new(Settling { inner: MemoryStore::new(), watermark });
    let random = nave_base::random::Random::from_seed(7);
    let label = |i: u64| Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())]).unwrap();
    for round in 1..200i64 {
        let now = round * 5_000;
        let settled = now - 12_000;
        let late = random.u64().is_multiple_of(40);
        let at = if late { settled - 40_000 } else { now - (random.u64() % 11) as i64 * 1_000 };
        // The same time twice is a conflict, which is as good as nothing here.
        let _ = store.inner.append_float(&label(random.u64() % 4), Timestamp(at), random.u64() as u8 as f64);
        let epoch = store.watermark().epoch + u64::from(late);
        *store.watermark.lock() = Watermark { epoch, settled: Timestamp(settled) };
        let query = QUERIES[(random.u64() % 6) as usize];
        let start = Timestamp((now - 300_000).div_euclid(10_000) * 10_000);
        let limit = random.u64().is_multiple_of(3).then_some(2);
        let ask = async |reuse| {
            let options = QueryOptions { reuse, limit, ..QueryOptions::default() };
            let answer = engine.range(store.clone(), query, start, Timestamp(now), 10_000, options).await;
            let answer = answer.unwrap();
            let Value::Matrix(series) = answer.value else { panic!("a matrix") };
            let bits = |series: &crate::Series| series.columns.values.iter().map(|v| v.to_bits()).collect();
            let points = |series: crate::Series| {
                let bits: Vec<u64> = bits(&series);
                (series.labels.to_string(), series.columns.timestamps, bits)
            };
            (series.into_iter().map(points).collect::<Vec<_>>(), answer.warnings)
        };
        assert_eq!(ask(true).await, ask(false).await, "{query} in round {round}");
    }
    let page = registry.page(Format::Text);
    let saved = page.lines().find_map(|line| line.strip_prefix("nave_query_cache_steps_saved_total "));
    assert!(saved.is_some_and(|saved| saved.parse::<f64>().unwrap() > 1000.0), "{page}");
}
