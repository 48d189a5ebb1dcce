//! Selection: matchers against a naive evaluation, ranges, last samples, histograms, replicas, listings.

mod common;

use std::sync::Arc;

use common::{NOW, append, builder, labels, matcher, open, read};
use nave_base::budget::Budget;
use nave_base::disk::MemoryDisk;
use nave_model::append::{Append, Reason, SeriesRef, Tenant};
use nave_model::append::{BatchBuilder, HistogramSample, Principal};
use nave_model::histogram::{CounterResetHint, Histogram};
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::sample::stale_nan;
use nave_model::select::{Columns, LabelIndex, Need, Select, SelectError, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::Tsdb;

fn range(min: i64, max: i64) -> TimeRange {
    TimeRange { min: Timestamp(min), max: Timestamp(max) }
}

async fn filled(disk: &MemoryDisk) -> (Tsdb, Vec<Labels>) {
    let tsdb = open(disk);
    let mut all = Vec::new();
    for job in ["api", "db", "node", ""] {
        for instance in 0..12 {
            for name in ["up", "http_requests_total"] {
                let instance = format!("host-{instance}");
                all.push(labels(&[("__name__", name), ("job", job), ("instance", &instance)]));
            }
        }
    }
    let points: Vec<_> = all.iter().map(|labels| (labels.clone(), NOW, 1.0)).collect();
    append(&tsdb, &points).await;
    all.sort();
    (tsdb, all)
}

#[tokio::test]
async fn matchers_agree_with_a_naive_evaluation() {
    let disk = MemoryDisk::default();
    let (tsdb, all) = filled(&disk).await;
    let matchers = [
        matcher("=", "__name__", "up"),
        matcher("!=", "__name__", "up"),
        matcher("=", "job", ""),
        matcher("!=", "job", ""),
        matcher("=~", "job", "api|db"),
        matcher("=~", "job", "api|"),
        matcher("!~", "job", "api|node"),
        matcher("!~", "job", "api|"),
        matcher("=~", "job", ".*"),
        matcher("=~", "job", ".+"),
        matcher("=~", "instance", "host-1.*"),
        matcher("!~", "instance", "host-1.*"),
        matcher("=~", "instance", "host-[2-4]"),
        matcher("=~", "instance", "(?i:HOST-5)"),
        matcher("=", "absent", ""),
        matcher("!=", "absent", ""),
        matcher("=~", "absent", "x?"),
        matcher("=", "job", "nothing"),
    ];
    let mut sets: Vec<Vec<Matcher>> = vec![vec![]];
    for a in &matchers {
        sets.push(vec![a.clone()]);
        for b in &matchers {
            sets.push(vec![a.clone(), b.clone()]);
            sets.push(vec![a.clone(), b.clone(), matcher("=", "instance", "host-3")]);
        }
    }
    for set in sets {
        let want: Vec<_> = all.iter().filter(|labels| Matcher::all_match(&set, labels)).cloned().collect();
        let opened = tsdb.open(Selection::new(set.clone(), TimeRange::ALL)).await.unwrap();
        let found: Vec<_> = (0..opened.len()).map(|i| opened.labels(i)).collect();
        assert_eq!(found, want, "{set:?}");
    }
}

#[tokio::test]
async fn scope_limit_tenant_and_listings() {
    let disk = MemoryDisk::default();
    let (tsdb, all) = filled(&disk).await;
    let mut other = Principal::anonymous("other");
    other.tenant = Tenant(Arc::from("other"));
    let mut builder = BatchBuilder::new(Arc::new(other));
    builder.series(&labels(&[("__name__", "foreign")]), SeriesRef::NONE).sample(Timestamp(NOW), 1.0);
    tsdb.append(builder.build()).await.unwrap();
    let mut selection = Selection::new(vec![matcher("=", "__name__", "up")], TimeRange::ALL);
    selection.scope.matchers = vec![matcher("=", "job", "api")];
    selection.limit = Some(5);
    let found = read(&tsdb, selection.clone()).await;
    let want: Vec<_> =
        all.iter().filter(|l| l.get("job") == "api" && l.metric_name() == "up").take(5).collect();
    assert_eq!(found.iter().map(|(labels, _)| labels).collect::<Vec<_>>(), want);
    let unbounded = Selection::new(vec![], TimeRange::ALL);
    let names = tsdb.label_names(unbounded.clone()).await.unwrap();
    assert_eq!(names.items, ["__name__", "instance", "job"]);
    let jobs = tsdb.label_values("job".to_owned(), unbounded.clone()).await.unwrap();
    assert_eq!(jobs.items, ["api", "db", "node"]);
    selection.limit = Some(2);
    let cut = tsdb.label_values("instance".to_owned(), selection).await.unwrap();
    assert_eq!((cut.items.len(), cut.truncated), (2, true));
    let statistics = tsdb.statistics(&Tenant::default(), 2);
    assert_eq!(statistics.series_by_metric, [("http_requests_total".to_owned(), 48), ("up".to_owned(), 48)]);
    assert_eq!(statistics.values_by_label[0], ("instance".to_owned(), 12));
    assert_eq!(statistics.series_by_pair.len(), 2);
    assert_eq!((statistics.series_by_job.len(), statistics.series_by_cluster.len()), (2, 0));
    assert!(statistics.series_by_job[0].1 >= statistics.series_by_job[1].1);
    assert_eq!((statistics.head.series, statistics.head.label_pairs), (97, 2 + 12 + 3 + 1));
}

#[tokio::test]
async fn late_samples_are_merged_and_ranges_are_cut() {
    let disk = MemoryDisk::default();
    let tsdb = open(&disk);
    let series = labels(&[("__name__", "m")]);
    let mut times: Vec<i64> = (0..1000).collect();
    // A fixed shuffle: 7919 is coprime to 1000.
    times.sort_by_key(|t| t * 7919 % 1000);
    for part in times.chunks(70) {
        let points: Vec<_> = part.iter().map(|t| (series.clone(), NOW - 5000 + t, *t as f64)).collect();
        assert_eq!(append(&tsdb, &points).await.samples.stored, part.len());
        assert_eq!(append(&tsdb, &points).await.samples.duplicate, part.len());
    }
    for (from, to) in [(0, 999), (10, 20), (-5, 0), (999, 2000), (333, 334), (500, 100)] {
        let found = read(&tsdb, Selection::new(vec![], range(NOW - 5000 + from, NOW - 5000 + to))).await;
        let want: Vec<_> =
            (from.max(0)..=to.min(999)).map(|t| (NOW - 5000 + t, (t as f64).to_bits())).collect();
        assert_eq!(found.first().map(|(_, points)| points.clone()).unwrap_or_default(), want, "{from} {to}");
        let mut selection = Selection::new(vec![], range(NOW - 5000 + from, NOW - 5000 + to));
        selection.need = Need::LastSample;
        let last: Vec<_> = read(&tsdb, selection).await.into_iter().flat_map(|(_, points)| points).collect();
        assert_eq!(last, want.last().copied().into_iter().collect::<Vec<_>>(), "{from} {to}");
    }
    assert!(tsdb.head_stats().chunks < 15, "{:?}", tsdb.head_stats());
    let outside = tsdb.open(Selection::new(vec![], range(NOW, NOW + 1000))).await.unwrap();
    assert!(outside.is_empty());
}

fn histogram(count: f64) -> Arc<Histogram> {
    Arc::new(Histogram {
        schema: 0,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count,
        sum: if count == 0.0 { stale_nan() } else { count },
        positive_spans: vec![],
        positive_buckets: vec![],
        negative_spans: vec![],
        negative_buckets: vec![],
        custom_bounds: vec![],
        counter_reset_hint: CounterResetHint::Unknown,
        integer: true,
    })
}

#[tokio::test]
async fn histograms_and_floats_of_one_series() {
    let disk = MemoryDisk::default();
    let tsdb = open(&disk);
    let series = labels(&[("__name__", "h")]);
    let send = |t: i64, count: f64| {
        let mut builder = builder();
        let sample =
            HistogramSample { timestamp: Timestamp(t), start_timestamp: None, histogram: histogram(count) };
        builder.series(&series, SeriesRef::NONE).histogram(sample);
        builder.build()
    };
    for (t, count) in [(NOW + 2, 2.0), (NOW, 1.0), (NOW + 4, 0.0)] {
        assert_eq!(tsdb.append(send(t, count)).await.unwrap().histograms.stored, 1);
        assert_eq!(tsdb.append(send(t, count)).await.unwrap().histograms.duplicate, 1);
    }
    let conflict = tsdb.append(send(NOW, 9.0)).await.unwrap();
    assert_eq!(conflict.rejections[0].reason, Reason::HistogramConflict { timestamp: Timestamp(NOW) });
    let floats = append(&tsdb, &[(series.clone(), NOW + 1, 0.5), (series.clone(), NOW + 2, 0.5)]).await;
    assert_eq!((floats.samples.stored, floats.samples.rejected), (1, 1));
    for tsdb in [open(&disk.after_power_cut(0)), tsdb] {
        let opened = tsdb.open(Selection::new(vec![], TimeRange::ALL)).await.unwrap();
        let pages = opened.fetch(0..1).await.unwrap();
        let mut columns = Columns::default();
        pages.decode(0, &mut columns).unwrap();
        let times: Vec<_> = columns.timestamps.iter().map(|t| t.0 - NOW).collect();
        assert_eq!(times, [0, 1, 2, 4]);
        let at: Vec<_> = columns.histograms.iter().map(|(at, h)| (*at, h.count)).collect();
        assert_eq!(at, [(0, 1.0), (2, 2.0), (3, 0.0)]);
        assert_eq!(columns.values[1], 0.5);
    }
}

#[tokio::test]
async fn replicas_are_merged() {
    let disk = MemoryDisk::default();
    let tsdb = open(&disk);
    let replica = |name: &str| labels(&[("__name__", "m"), ("replica", name)]);
    append(
        &tsdb,
        &[
            (replica("a"), NOW, 1.0),
            (replica("b"), NOW, 9.0),
            (replica("b"), NOW + 1, 2.0),
            (replica("a"), NOW + 2, 3.0),
        ],
    )
    .await;
    let mut selection = Selection::new(vec![], TimeRange::ALL);
    selection.replica_labels = vec!["replica".to_owned()];
    let found = read(&tsdb, selection.clone()).await;
    let points = [(NOW, 1.0f64), (NOW + 1, 2.0), (NOW + 2, 3.0)].map(|(t, v)| (t, v.to_bits()));
    assert_eq!(found, [(labels(&[("__name__", "m")]), points.to_vec())]);
    selection.need = Need::LastSample;
    assert_eq!(read(&tsdb, selection).await[0].1, [(NOW + 2, 3.0f64.to_bits())]);
}

#[tokio::test]
async fn budget_cancellation_and_watermark() {
    let disk = MemoryDisk::default();
    let (tsdb, _) = filled(&disk).await;
    let budget = Budget::new("query", 1000);
    let mut selection = Selection::new(vec![], TimeRange::ALL);
    selection.budget = budget.clone();
    assert!(matches!(tsdb.open(selection.clone()).await, Err(SelectError::OverBudget(_))));
    assert_eq!(budget.used(), 0);
    selection.limit = None;
    selection.matchers = vec![matcher("=", "instance", "host-3")];
    let opened = tsdb.open(selection.clone()).await.unwrap();
    let used = budget.used();
    assert!(used > 0);
    let pages = opened.fetch(0..2).await.unwrap();
    assert!(budget.used() > used);
    drop((opened, pages));
    assert_eq!(budget.used(), 0);
    selection.cancel.cancel();
    assert!(matches!(tsdb.open(selection).await, Err(SelectError::Cancelled)));
    let before = tsdb.watermark();
    assert!(before.settled.0 < NOW);
    append(&tsdb, &[(labels(&[("__name__", "late")]), NOW, 1.0)]).await;
    assert_eq!(tsdb.watermark(), before);
    append(&tsdb, &[(labels(&[("__name__", "late")]), before.settled.0 - 1, 1.0)]).await;
    assert_eq!(tsdb.watermark().epoch, before.epoch + 1);
}
