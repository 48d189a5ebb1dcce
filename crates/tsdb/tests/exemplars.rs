//! Exemplars: kept once, bounded, found by matchers and range, there after restarts with and without a flush.

mod common;

use common::{NOW, builder, labels, open, open_with, options};
use nave_base::disk::MemoryDisk;
use nave_model::append::{Append, Item, Outcome, Reason, SeriesRef};
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::sample::Exemplar;
use nave_model::select::{ExemplarIndex, Scope};
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Options, Tsdb};

fn metric(name: &str) -> Labels {
    labels(&[("__name__", name)])
}

fn exemplar(trace: &str, value: f64, t: Option<i64>) -> Exemplar {
    Exemplar { labels: labels(&[("trace_id", trace)]), value, timestamp: t.map(Timestamp) }
}

async fn send(tsdb: &Tsdb, name: &str, t: i64, exemplars: &[Exemplar]) -> Outcome {
    let mut builder = builder();
    builder.series(&metric(name), SeriesRef::NONE).sample(Timestamp(t), 1.0);
    for exemplar in exemplars {
        builder.exemplar(exemplar.clone());
    }
    tsdb.append(builder.build()).await.unwrap()
}

/// As `name time value trace`.
fn shown(tsdb: &Tsdb, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<String> {
    let found = tsdb.exemplars(&Scope::default(), selectors, range);
    let each = found.iter().flat_map(|(series, all)| all.iter().map(move |one| (series, one)));
    each.map(|(series, one)| {
        let t = one.timestamp.map_or(0, |t| t.0 - NOW);
        format!("{} {t} {} {}", series.metric_name(), one.value, one.labels.get("trace_id"))
    })
    .collect()
}

fn all(tsdb: &Tsdb) -> Vec<String> {
    shown(tsdb, &[vec![]], TimeRange::ALL)
}

#[tokio::test]
async fn they_are_found_and_outlive_restarts() {
    let disk = MemoryDisk::default();
    let tsdb = open(&disk);
    let outcome = send(&tsdb, "a", NOW, &[exemplar("x", 1.0, None), exemplar("y", 2.0, Some(NOW - 5))]).await;
    assert_eq!((outcome.exemplars.stored, outcome.exemplars.rejected), (2, 0));
    let again = send(&tsdb, "a", NOW, &[exemplar("x", 1.0, None), exemplar("x", 1.5, None)]).await;
    assert_eq!((again.exemplars.stored, again.exemplars.duplicate), (1, 1));
    send(&tsdb, "b", NOW + 1, &[exemplar("z", 3.0, None)]).await;
    let expect = ["a -5 2 y", "a 0 1 x", "a 0 1.5 x", "b 1 3 z"];
    assert_eq!(all(&tsdb), expect);
    let of = |name: &str| vec![Matcher::metric_name(name)];
    let before = TimeRange { min: Timestamp(i64::MIN), max: Timestamp(NOW - 1) };
    assert_eq!(shown(&tsdb, &[of("a")], before), ["a -5 2 y"]);
    assert_eq!(shown(&tsdb, &[of("b"), of("none")], TimeRange::ALL), ["b 1 3 z"]);
    assert_eq!(shown(&tsdb, &[], TimeRange::ALL), [""; 0]);
    tsdb.close().await;
    drop(tsdb);
    let tsdb = open(&disk);
    assert_eq!(all(&tsdb), expect, "from the log");
    tsdb.flush().await.unwrap();
    send(&tsdb, "b", NOW + 2, &[exemplar("later", 4.0, None)]).await;
    tsdb.close().await;
    drop(tsdb);
    let tsdb = open(&disk);
    assert_eq!(tsdb.replayed().damages, [""; 0]);
    assert_eq!(all(&tsdb), [&expect[..], &["b 2 4 later"]].concat(), "from registry and log");
}

#[tokio::test]
async fn the_oldest_make_room_and_the_registry_stays_bounded() {
    let disk = MemoryDisk::default();
    let few = || Options { exemplars_max: 3, ..options() };
    let tsdb = open_with(&disk, few());
    for i in 0..40 {
        send(&tsdb, "a", NOW + i, &[exemplar(&i.to_string(), 0.0, None)]).await;
        if i % 2 == 0 {
            tsdb.flush().await.unwrap();
        }
    }
    let expect = ["a 37 0 37", "a 38 0 38", "a 39 0 39"];
    assert_eq!(all(&tsdb), expect);
    tsdb.close().await;
    drop(tsdb);
    let tsdb = open_with(&disk, few());
    assert_eq!(all(&tsdb), expect);
    let generations = disk_files(&disk);
    assert!(generations > 1, "written anew when it had grown: generation {generations}");
}

/// The newest generation of the registry.
fn disk_files(disk: &MemoryDisk) -> u64 {
    use nave_base::disk::Disk;
    let names = disk.list(std::path::Path::new("/data/series")).unwrap();
    names.iter().filter_map(|entry| entry.name.parse().ok()).max().unwrap_or(0)
}

#[tokio::test]
async fn what_is_not_kept_says_why() {
    let disk = MemoryDisk::default();
    let tsdb = open(&disk);
    let long = "x".repeat(121);
    let outcome = send(&tsdb, "a", NOW, &[exemplar(&long, 1.0, None), exemplar("old", 1.0, Some(-1))]).await;
    assert_eq!((outcome.samples.stored, outcome.exemplars.rejected), (1, 2));
    let limit = Reason::Limit { name: "characters of an exemplar's labels", limit: 128 };
    assert_eq!((&outcome.rejections[0].item, &outcome.rejections[0].reason), (&Item::Exemplar(0), &limit));
    assert!(matches!(outcome.rejections[1].reason, Reason::TooOld { .. }));
    assert_eq!(all(&tsdb), [""; 0]);
}
