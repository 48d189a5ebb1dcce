//! Taking over from a real Prometheus, and handing back to it: the answers stay the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nave_base::clock::SystemClock;
use nave_base::disk::LocalDisk;
use nave_model::append::HistogramSample;
use nave_model::histogram::{CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::sample::stale_nan;
use nave_model::time::{TimeRange, Timestamp};
use nave_prometheus_block::directory::{Directory, Item};
use nave_wire::write_v1::{Encoder, Series};
use serde_json::Value;

use crate::compliance::{STEP_MS, STEPS, compare, feed};
use crate::harness::{NAVE, Server, corpus, peer};

const MINUTE: i64 = 60_000;
/// Before the demo series, so much that Prometheus cuts blocks.
const OLD_MINUTES: i64 = 300;

const CONFIG: &str = "storage: {tsdb: {out_of_order_time_window: 12h}}\n";

async fn prometheus(program: &Path) -> Server {
    let more = ["--enable-feature=native-histograms,metadata-wal-records", "--web.enable-admin-api"];
    Server::prometheus(program, CONFIG, &more).await
}

fn histogram(n: i64, integer: bool) -> Histogram {
    let count = n as f64 * if integer { 1.0 } else { 0.5 };
    Histogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count: count,
        count: count * 4.0,
        sum: n as f64 * 0.25,
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![count, 0.0, count * 2.0],
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        custom_bounds: Vec::new(),
        counter_reset_hint: if integer { CounterResetHint::Unknown } else { CounterResetHint::Gauge },
        integer,
    }
}

fn labels(name: &str, n: i64) -> Labels {
    Labels::from_pairs([("__name__", name), ("n", &n.to_string()), ("job", "old")]).unwrap()
}

/// Floats with stale markers and odd values, histograms, a series that ends.
async fn feed_old(server: &Server, start: i64) {
    let odd = [0.0, -0.0, f64::NAN, f64::INFINITY, -1e308, 5e-324, 0.1];
    for hour in 0..OLD_MINUTES / 60 {
        let mut encoder = Encoder::new();
        let minutes = hour * 60..(hour + 1) * 60;
        let at = |minute: i64| Timestamp(start + minute * MINUTE);
        for n in 0..20 {
            let value = |m: i64| match (n, m % 97) {
                (0, _) => odd[(m % 7) as usize],
                (_, 31) => stale_nan(),
                _ => (m * (n + 1) % 1000) as f64 / 8.0,
            };
            let samples: Vec<_> = minutes.clone().map(|m| (at(m), value(m))).collect();
            encoder.series(&labels("old_metric", n), &samples);
        }
        for (n, integer) in [(0, true), (1, false)] {
            let sample = |m: i64| HistogramSample {
                timestamp: at(m),
                start_timestamp: None,
                // Starts over twice.
                histogram: Arc::new(histogram(m % 130 + 1, integer)),
            };
            let histograms: Vec<_> = minutes.clone().map(sample).collect();
            let labels = labels("old_histogram", n);
            encoder.write(&Series { labels: &labels, samples: &[], histograms: &histograms, exemplars: &[] });
        }
        if hour == 0 {
            encoder.series(&labels("short_lived", 0), &[(at(0), 1.0), (at(1), 2.0)]);
        }
        let (status, text) = server.write(encoder.finish()).await.unwrap();
        assert!((200..300).contains(&status), "{status}: {text}");
    }
}

/// Samples before those that a series has: some reach blocks of their own, some only the log.
async fn feed_late(server: &Server, start: i64, end: i64) {
    let late = labels("late_metric", 0);
    let mut rows = vec![vec![(Timestamp(end - MINUTE), 1.0)]];
    for part in 0..4 {
        let samples =
            (0..25).map(|i| (Timestamp(start + (part * 1000 + i * 37) * 1000), (part * 100 + i) as f64));
        rows.push(samples.collect());
    }
    for row in rows {
        let mut encoder = Encoder::new();
        encoder.series(&late, &row);
        let (status, text) = server.write(encoder.finish()).await.unwrap();
        assert!((200..300).contains(&status), "{status}: {text}");
    }
}

/// Every sample of every series, as both servers show it.
async fn everything(server: &Server, start: i64, end: i64) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for matcher in
        ["__name__=~\"demo_[a-c].*\"", "__name__=~\"demo_[d-z].*\"", "__name__=~\".+\",__name__!~\"demo_.*\""]
    {
        let query = format!("{{{matcher}}}[{}s]", (end - start) / 1000 + 60);
        let at = (end / 1000).to_string();
        let answer = server.api("/api/v1/query", &[("query", &query), ("time", &at)]).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let rows = answer["data"]["result"].as_array().unwrap().iter();
        all.extend(rows.map(|row| (row["metric"].to_string(), row.clone())));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn same(ours: &[(String, Value)], theirs: &[(String, Value)]) {
    let names = |all: &[(String, Value)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(ours), names(theirs));
    for ((name, ours), (_, theirs)) in ours.iter().zip(theirs) {
        for part in ["values", "histograms"] {
            let list = |row: &Value| row[part].as_array().cloned().unwrap_or_default();
            let (a, b) = (list(ours), list(theirs));
            let first = a.iter().zip(&b).find(|(a, b)| a != b);
            assert!(
                first.is_none() && a.len() == b.len(),
                "{name}: {} {part}, want {}; {first:?}",
                a.len(),
                b.len()
            );
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The names of the files of Prometheus with their contents' lengths.
fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    for name in ["wal", "chunks_head", "wbl"] {
        let entries = fs::read_dir(dir.join(name)).into_iter().flatten().flatten();
        all.extend(entries.map(|entry| (entry.path(), entry.metadata().unwrap().len())));
    }
    all.sort();
    all
}

fn has_block(dir: &Path) -> bool {
    fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| entry.path().join("meta.json").exists())
}

fn nave(home: &Path, args: &[&str]) -> String {
    let output = Command::new(NAVE).args(args).current_dir(home).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "nave {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A hub that is not started, on a copy of `data`.
fn hub_on(data: &Path, takeover: &str) -> Server {
    let takeover = format!("--storage.tsdb.import-prometheus={takeover}");
    let args = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--web.listen-address=127.0.0.1:{port}",
        &takeover,
    ];
    let hub = Server::prepare(NAVE, &args, &[("prometheus.yml", "global: {}\n")], "/-/ready");
    copy(data, &hub.home.join("data"));
    hub
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_is_taken_over_and_gets_it_back() {
    let (Some(program), Some(text)) = (peer("prometheus"), corpus("compliance/expanded-queries.json")) else {
        return;
    };
    let mut source = prometheus(&program).await;
    let end = SystemClock::shared().now_ms() / STEP_MS * STEP_MS;
    let start = end - STEPS * STEP_MS - OLD_MINUTES * MINUTE;
    feed_old(&source, start).await;
    feed(&[&source], end - STEPS * STEP_MS).await;
    feed_late(&source, start, end).await;
    let data = source.home.join("data");
    let delete = source.url("/api/v1/admin/tsdb/delete_series?match[]=old_metric{n=\"3\"}");
    let from_to = format!("{delete}&start={}&end={}", start / 1000, start / 1000 + 3600);
    let deleted = reqwest::Client::new().post(from_to).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    source.until("a block", || async { has_block(&data).then_some(()) }).await;
    source.kill();

    // Prometheus replays its own log; the hub has a copy of what was there when it was killed.
    let mut hub = hub_on(&data, "wait");
    let before = files(&hub.home.join("data"));
    source.launch();
    hub.launch();
    source.wait_ready().await;
    hub.wait_ready().await;
    let truth = everything(&source, start, end).await;
    assert!(truth.len() > 200, "{} series", truth.len());
    same(&everything(&hub, start, end).await, &truth);
    compare(&hub, &source, &text, end).await;
    assert!(!hub.log().contains("not everything") && !hub.log().contains("blocks=0"), "{}", hub.log());
    assert_eq!(files(&hub.home.join("data")), before, "the files of Prometheus are left alone");

    // A second start has nothing to do.
    hub.stop().await;
    let log = hub.log().len();
    hub.launch();
    hub.wait_ready().await;
    assert!(!hub.log()[log..].contains("importing them"), "{}", hub.log());
    same(&everything(&hub, start, end).await, &truth);
    hub.stop().await;

    // And back: a Prometheus on the exported blocks alone.
    let out = nave(&hub.home, &["tsdb", "export", "--storage.tsdb.path=data", "exported"]);
    assert!(out.contains("blocks with"), "{out}");
    let args =
        ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:{port}"];
    let mut heir = Server::prepare(&program, &args, &[("prometheus.yml", "global: {}\n")], "/-/ready");
    copy(&hub.home.join("exported"), &heir.home.join("data"));
    heir.launch();
    heir.wait_ready().await;
    same(&everything(&heir, start, end).await, &truth);
    compare(&heir, &source, &text, end).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import_in_the_background_and_by_hand() {
    let Some(program) = peer("prometheus") else { return };
    let mut source = prometheus(&program).await;
    let end = SystemClock::shared().now_ms() / STEP_MS * STEP_MS;
    let start = end - OLD_MINUTES * MINUTE;
    feed_old(&source, start).await;
    let truth = everything(&source, start, end).await;
    let data = source.home.join("data");
    source.kill();

    let mut hub = hub_on(&data, "background");
    hub.launch();
    hub.wait_ready().await;
    let log = || async { hub.log().contains("samples of Prometheus are imported").then_some(()) };
    hub.until("the import", log).await;
    same(&everything(&hub, start, end).await, &truth);
    hub.stop().await;

    // By hand into another folder, twice: no sample is there twice.
    let import = ["tsdb", "import", "data", "--storage.tsdb.path=other", "--label=cluster=west"];
    let first = nave(&source.home, &import);
    let samples = first.split(' ').next().unwrap().to_owned();
    assert!(samples.parse::<usize>().unwrap() > 6000, "{first}");
    nave(&source.home, &import);
    let again = nave(&source.home, &["tsdb", "export", "--storage.tsdb.path=other", "twice"]);
    assert!(again.contains(&format!("with {samples} samples")), "{first}{again}");

    // Text, with a label of its own.
    let page = "# TYPE backfilled counter\n# HELP backfilled Old.\nbackfilled_total{a=\"b\"} 1 1600000000\n\
                backfilled_total{a=\"b\"} 2 1600000060.5\n# EOF\n";
    fs::write(source.home.join("page.txt"), page).unwrap();
    let text = nave(&source.home, &["tsdb", "import", "page.txt", "--storage.tsdb.path=other"]);
    assert!(text.starts_with("2 samples stored"), "{text}");
    let match_cluster = "--match={cluster=\"west\",n=\"1\"}";
    let export =
        ["tsdb", "export", "--storage.tsdb.path=other", match_cluster, "--match=backfilled_total", "out"];
    let exported = nave(&source.home, &export);
    assert!(exported.contains("blocks with"), "{exported}");
}

/// Every sample of a data directory, bit for bit, by series and time.
fn content(dir: &Path) -> BTreeMap<(String, i64), String> {
    let mut all = BTreeMap::new();
    let directory = Directory::open(&LocalDisk::shared(), dir).unwrap();
    let read = directory.read::<nave_prometheus_block::Error>(TimeRange::ALL, |item| {
        let Item::Samples(labels, columns) = item else { return Ok(()) };
        for (t, value) in columns.timestamps.iter().zip(&columns.values) {
            all.insert((labels.to_string(), t.0), format!("{:x}", value.to_bits()));
        }
        for (at, histogram) in &columns.histograms {
            // What is said of resets depends on where chunks begin.
            let histogram =
                Histogram { counter_reset_hint: CounterResetHint::Unknown, ..(**histogram).clone() };
            all.insert((labels.to_string(), columns.timestamps[*at as usize].0), format!("{histogram:?}"));
        }
        Ok(())
    });
    assert!(read.unwrap().damage.is_empty(), "{}", dir.display());
    all
}

#[test]
fn the_corpora_are_imported_and_exported_exactly() {
    let Some(_) = corpus("tsdb/FORMATS.md") else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let corpora = std::env::var_os("NAVE_CORPORA").map_or(root, PathBuf::from).join("tsdb");
    let home = tempfile::tempdir().unwrap();
    let sources = ["block-level1", "block-level2", "wal/none", "wal/snappy", "wal/zstd"];
    for (n, source) in sources.into_iter().map(|name| corpora.join(name)).enumerate() {
        let (data, out) = (format!("data{n}"), format!("out{n}"));
        let path = format!("--storage.tsdb.path={data}");
        nave(home.path(), &["tsdb", "import", source.to_str().unwrap(), &path]);
        nave(home.path(), &["tsdb", "export", &path, &out]);
        let (got, want) = (content(&home.path().join(out)), content(&source));
        let wrong = want.iter().find(|(key, sample)| got.get(key) != Some(sample));
        assert!(wrong.is_none(), "{}: {wrong:?}", source.display());
        assert_eq!(got.len(), want.len(), "{}", source.display());
    }
}
