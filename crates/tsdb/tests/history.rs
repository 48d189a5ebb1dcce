//! Histories with real flushes and restarts, by seed: what is read is what a map says, whichever way samples took.

mod common;

use std::collections::BTreeMap;

use common::{NOW, append, labels, matcher, open_with, options, read};
use nave_base::disk::MemoryDisk;
use nave_base::random::Random;
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::select::{LabelIndex, Need, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Options, Tsdb};

const SERIES: u64 = 12;
const STEPS: u64 = 600;

type Map = BTreeMap<(Labels, i64), u64>;

fn below(random: &Random, end: u64) -> u64 {
    random.u64() % end
}

fn series(number: u64) -> Labels {
    let (name, zone) = (["a", "b", "c"][number as usize % 3], ["x", "y"][number as usize % 2]);
    labels(&[("__name__", name), ("Zone", zone), ("number", &number.to_string())])
}

/// Two seconds in three parts of time, hours apart.
fn time(step: u64) -> i64 {
    NOW - 10 * 3_600_000 + (step / 200) as i64 * 5 * 3_600_000 + (step % 200) as i64 * 15_000
}

async fn write(tsdb: &Tsdb, random: &Random, map: &mut Map) {
    let (from, in_order) = (below(random, STEPS), below(random, 3) > 0);
    let mut samples = Vec::new();
    for i in 0..1 + below(random, 80) {
        let step = if in_order { (from + i) % STEPS } else { below(random, STEPS) };
        samples.push((series(below(random, SERIES)), time(step), 1.0 + below(random, 3) as f64));
    }
    append(tsdb, &samples).await;
    for (labels, t, value) in samples {
        // A conflict is refused in memory, and against files the first written wins: the same.
        map.entry((labels, t)).or_insert(value.to_bits());
    }
}

fn selection(random: &Random) -> Selection {
    let matchers = [
        matcher("=", "__name__", "a"),
        matcher("!=", "Zone", "x"),
        matcher("=~", "number", "1.*"),
        matcher("!~", "number", "3|4|5"),
    ];
    let chosen = (0..below(random, 3)).map(|_| matchers[below(random, 4) as usize].clone()).collect();
    let (a, b) = (time(below(random, STEPS)), time(below(random, STEPS)));
    let range = TimeRange { min: Timestamp(a.min(b)), max: Timestamp(a.max(b)) };
    let range = if below(random, 3) == 0 { TimeRange::ALL } else { range };
    let need = if below(random, 3) == 0 { Need::LastSample } else { Need::Samples };
    Selection { need, ..Selection::new(chosen, range) }
}

async fn check(tsdb: &Tsdb, random: &Random, map: &Map, seed: u64) {
    let selection = selection(random);
    let mut expect: BTreeMap<Labels, Vec<(i64, u64)>> = BTreeMap::new();
    for ((labels, t), value) in map {
        if selection.range.contains(Timestamp(*t)) && Matcher::all_match(&selection.matchers, labels) {
            let samples = expect.entry(labels.clone()).or_default();
            if selection.need == Need::LastSample {
                samples.clear();
            }
            samples.push((*t, *value));
        }
    }
    let came = read(tsdb, selection.clone()).await;
    let came: BTreeMap<_, _> = came.into_iter().filter(|(_, samples)| !samples.is_empty()).collect();
    assert_eq!(came, expect, "seed {seed}: {selection:?}");
    let values = tsdb.label_values("number".to_owned(), selection).await.unwrap();
    let expect = expect.keys().map(|labels| labels.get("number"));
    assert!(expect.into_iter().all(|value| values.items.iter().any(|other| other == value)), "seed {seed}");
}

#[tokio::test]
async fn flushes_and_restarts_change_no_answer() {
    for seed in 0..12 {
        let random = Random::from_seed(seed);
        // Memory is emptied by each flush, or never.
        let hot_ms = if seed % 3 == 0 { i64::MAX / 2 } else { 0 };
        let options = || Options { hot_ms, ..options() };
        let disk = MemoryDisk::default();
        let mut tsdb = open_with(&disk, options());
        let mut map = Map::new();
        for _ in 0..40 {
            match below(&random, 10) {
                0..=5 => write(&tsdb, &random, &mut map).await,
                6..=7 => _ = tsdb.flush().await.unwrap(),
                8 => {
                    tsdb.close().await;
                    drop(tsdb);
                    tsdb = open_with(&disk, options());
                }
                _ => {}
            }
            check(&tsdb, &random, &map, seed).await;
        }
    }
}
