//! What selections cost: `cargo run --release -p nave-tsdb --example measure_read [series] [samples] [parts]`.
//!
//! Fills a store in memory with series like those of a fleet, then opens, fetches and decodes selections of one, of some and of
//! all series, cold and warm; with `parts`
//! after everything was flushed into so many of them and memory was emptied.

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Instant;

use nave_base::clock::SystemClock;
use nave_base::disk::{MemoryDisk, SharedDisk};
use nave_base::metric::Registry;
use nave_model::append::{Append, BatchBuilder, Principal, SeriesRef};
use nave_model::label::Labels;
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::select::{Columns, LabelIndex, Need, Select, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Options, Tsdb};

const PER_BATCH: usize = 5000;
const STEP_MS: i64 = 15_000;

fn series(i: usize) -> Labels {
    let (target, metric) = (i / 200, i % 200);
    let (name, pod) =
        (format!("metric_{metric}_total"), format!("app-{}-{:08x}", target % 40, target * 7919));
    let (node, app) = (format!("node-{}", target % 100), format!("app-{}", target % 40));
    let (path, code) = (format!("/api/v1/{}", metric % 13), if metric % 3 == 0 { "200" } else { "500" });
    Labels::from_pairs([
        ("__name__", name.as_str()),
        ("cluster", if target % 2 == 0 { "eu-1" } else { "us-1" }),
        ("namespace", "production"),
        ("job", "kubernetes-pods"),
        ("instance", &format!("10.0.{}.{}:8080", target / 250, target % 250)),
        ("pod", &pod),
        ("node", &node),
        ("app", &app),
        ("path", path.as_str()),
        ("code", code),
        ("container", "main"),
    ])
    .expect("labels")
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let argument =
        |at, default| std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (count, samples) = (argument(1, 200_000), argument(2, 20));
    let clock = SystemClock::shared();
    let now = clock.now_ms();
    let disk: SharedDisk = Arc::new(MemoryDisk::default());
    // What is flushed is read from files at once.
    let options = Options { hot_ms: 0, ..Options::new("/data") };
    let tsdb = Tsdb::open(options, disk, clock, &Registry::default()).expect("store");
    let start = Instant::now();
    let principal = Arc::new(Principal::anonymous("measure"));
    let all: Vec<Labels> = (0..count).map(series).collect();
    let parts = argument(3, 0);
    for step in 0..samples as i64 {
        if parts > 0 && step > 0 && (step as usize).is_multiple_of((samples / parts).max(1)) {
            tsdb.flush().await.expect("flush");
        }
        for part in all.chunks(PER_BATCH) {
            let mut batch = BatchBuilder::new(principal.clone());
            for labels in part {
                let t = now - (samples as i64 - step) * STEP_MS;
                batch.series(labels, SeriesRef::NONE).sample(Timestamp(t), step as f64);
            }
            tsdb.append(batch.build()).await.expect("append");
        }
    }
    if parts > 0 {
        let start = Instant::now();
        let done = tsdb.flush().await.expect("flush");
        println!("{done:?} in {:.1?}", start.elapsed());
    }
    println!("{count} series x {samples} samples appended in {:.1?}", start.elapsed());
    let range = TimeRange { min: Timestamp(now - 300_000), max: Timestamp(now) };
    let name = || Matcher::metric_name("metric_7_total");
    let pod = Matcher::equal("instance", "10.0.0.3:8080");
    let any = Matcher::new(MatchOp::NotEqual, "__name__", "").expect("matcher");
    let half = Matcher::equal("cluster", "eu-1");
    for (what, matchers) in [
        ("one series", vec![name(), pod]),
        ("a metric", vec![name()]),
        ("half of all", vec![half]),
        ("all", vec![any]),
    ] {
        for (need, label) in
            [(Need::Labels, "labels"), (Need::LastSample, "last"), (Need::Samples, "samples")]
        {
            select(
                &tsdb,
                Selection { need, ..Selection::new(matchers.clone(), range) },
                &format!("{what}, {label}"),
            )
            .await;
        }
    }
    for (what, matchers) in [("pods of all", vec![]), ("pods of a metric", vec![name()])] {
        let start = Instant::now();
        let came =
            tsdb.label_values("pod".to_owned(), Selection::new(matchers, range)).await.expect("values");
        println!("{what:<24} {:>8} values {:>10.1?}", came.items.len(), start.elapsed());
    }
    let start = Instant::now();
    let came = tsdb.label_names(Selection::new(vec![], range)).await.expect("names");
    println!("{:<24} {:>8} names  {:>10.1?}", "names", came.items.len(), start.elapsed());
}

/// The first time and the best of some more.
async fn select(tsdb: &Tsdb, selection: Selection, what: &str) {
    let (mut opens, mut reads, mut len, mut sum) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..5 {
        let start = Instant::now();
        let selected = tsdb.open(selection.clone()).await.expect("open");
        let labels: usize = (0..selected.len()).map(|index| selected.labels(index).as_bytes().len()).sum();
        opens.push(start.elapsed());
        let start = Instant::now();
        let mut columns = Columns::default();
        (len, sum) = (selected.len(), labels & 1);
        if selection.need != Need::Labels {
            for from in (0..len).step_by(1024) {
                let to = len.min(from + 1024);
                let pages = selected.fetch(from..to).await.expect("fetch");
                for index in from..to {
                    pages.decode(index, &mut columns).expect("decode");
                    sum += columns.len();
                }
            }
        }
        reads.push(start.elapsed());
    }
    let best = |times: &[std::time::Duration]| times.iter().min().copied().unwrap_or_default();
    let (first, open, read) = (opens[0], best(&opens), best(&reads));
    println!(
        "{what:<24} {len:>8} series, {sum:>9} samples: first open {first:>9.1?}, open {open:>9.1?}, read {read:>9.1?}"
    );
}
