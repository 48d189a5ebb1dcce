//! What a store costs to fill, to flush and to start after a kill:
//! `cargo run --release -p nave-tsdb --example restart [series] [flushed rounds] [rounds in the log]`.
//!
//! A process appends one sample of every series per round, 2000 series per batch, flushes twice, each time after the
//! first number of rounds (the first flush also sorts and names all series), goes on and aborts. Another opens what is left, and tells when writes and queries are answered and how much memory it took.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use nave_base::clock::SystemClock;
use nave_base::disk::LocalDisk;
use nave_base::metric::Registry;
use nave_model::append::{Append, Batch, BatchBuilder, Principal, SeriesRef};
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::select::{Columns, Select, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Options, Tsdb};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const BATCH: usize = 2000;
const STEP_MS: i64 = 15_000;

/// Labels as a node exporter's, about 230 bytes.
fn labels(i: usize) -> Labels {
    let (target, metric) = (i / 500, i % 500);
    let pairs = [
        ("__name__", format!("node_disk_reads_completed_total_{}", metric / 4)),
        ("cluster", format!("spoke{}", target / 20)),
        ("device", format!("nvme{}n1", metric % 4)),
        ("instance", format!("10.0.{}.{}:9100", target / 200, target % 200)),
        ("job", "node".to_owned()),
        ("namespace", "monitoring".to_owned()),
        ("pod", format!("node-exporter-{:x}", target * 7919)),
        ("region", "eu-central-1".to_owned()),
    ];
    Labels::from_pairs(pairs).unwrap_or_default()
}

/// A third counters, a third gauges with fractions, a third that stand still.
fn value(i: usize, round: usize) -> f64 {
    match i % 3 {
        0 => (i * 1000 + round * (7 + i % 13)) as f64,
        1 => 0.37 * ((i * 31 + round * 17) % 1000) as f64,
        _ => (i % 5) as f64,
    }
}

fn templates(series: usize) -> Vec<Batch> {
    let principal = Arc::new(Principal::anonymous("bench"));
    let template = |from: usize| {
        let mut builder = BatchBuilder::new(principal.clone());
        for i in from..(from + BATCH).min(series) {
            builder.series(&labels(i), SeriesRef::NONE).sample(Timestamp(0), 0.0);
        }
        builder.build()
    };
    (0..series).step_by(BATCH).map(template).collect()
}

fn batch(template: &Batch, from: usize, now: i64, round: usize) -> Batch {
    let mut batch = template.clone();
    batch.timestamps.fill(Timestamp(now));
    for (i, value_of) in batch.values.iter_mut().enumerate() {
        *value_of = value(from + i, round);
    }
    batch
}

/// A line of this process' status, in KiB.
fn status(name: &str) -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().ok()
}

/// Seconds of processor time of this process.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn say(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{text}")?;
    Ok(io::stdout().flush()?)
}

fn open(dir: &Path) -> Result<Arc<Tsdb>> {
    let options = Options { flush_log_bytes: u64::MAX, ..Options::new(dir) };
    Ok(Arc::new(Tsdb::open(options, LocalDisk::shared(), SystemClock::shared(), &Registry::default())?))
}

async fn write(dir: &Path, series: usize, flushed: usize, logged: usize) -> Result<()> {
    let templates = templates(series);
    let before = status("VmRSS").unwrap_or(0);
    let tsdb = open(dir)?;
    let clock = SystemClock::shared();
    let first = clock.now_ms() - i64::try_from(2 * flushed + logged + 1)? * STEP_MS;
    let mut stored = 0;
    for round in 0..2 * flushed + logged {
        let (begin, cpu) = (Instant::now(), processor());
        let now = first + i64::try_from(round)? * STEP_MS;
        let outcomes = templates.iter().enumerate().map(|(i, template)| {
            let batch = batch(template, i * BATCH, now, round);
            let tsdb = tsdb.clone();
            async move { tsdb.append(batch).await.map_or(0, |outcome| outcome.samples.stored) }
        });
        let mut round_stored = 0;
        let mut outcomes: Vec<_> = outcomes.collect();
        while !outcomes.is_empty() {
            let some = outcomes.split_off(outcomes.len().saturating_sub(8));
            round_stored += futures_util::future::join_all(some).await.into_iter().sum::<usize>();
        }
        stored += round_stored;
        if round < 2 || round + 1 == 2 * flushed + logged {
            say(&format!(
                "round {round}: {round_stored} samples in {:.2} s, {:.2} CPU-s",
                begin.elapsed().as_secs_f64(),
                processor() - cpu,
            ))?;
        }
        if round + 1 == flushed || round + 1 == 2 * flushed {
            let (begin, cpu) = (Instant::now(), processor());
            let done = tsdb.flush().await?;
            say(&format!(
                "flush of {} samples: {:.2} s, {:.3} CPU-s per million, {} parts, {:.3} bytes per sample",
                done.samples,
                begin.elapsed().as_secs_f64(),
                (processor() - cpu) / done.samples as f64 * 1e6,
                done.parts,
                done.bytes as f64 / done.samples as f64,
            ))?;
        }
    }
    let rss = status("VmRSS").unwrap_or(0);
    say(&format!(
        "{stored} samples of {series} series: resident {} MiB, {:.0} bytes per series, {:.2} bytes of samples each; peak {} MiB",
        rss / 1024,
        rss.saturating_sub(before) as f64 * 1024.0 / series as f64,
        tsdb.sample_bytes() as f64 / stored as f64,
        status("VmHWM").unwrap_or(0) / 1024,
    ))?;
    std::process::abort();
}

async fn start(dir: &Path, series: usize) -> Result<()> {
    let begin = Instant::now();
    let tsdb = open(dir)?;
    let opened = begin.elapsed().as_secs_f64();
    let template = templates(BATCH.min(series)).remove(0);
    let outcome = tsdb.append(batch(&template, 0, SystemClock::shared().now_ms(), 0)).await?;
    let written = begin.elapsed().as_secs_f64();
    let matchers =
        vec![Matcher::metric_name("node_disk_reads_completed_total_7"), Matcher::equal("cluster", "spoke0")];
    let selected = tsdb.open(Selection::new(matchers, TimeRange::ALL)).await?;
    let pages = selected.fetch(0..selected.len()).await?;
    let (mut columns, mut samples) = (Columns::default(), 0);
    for index in 0..selected.len() {
        pages.decode(index, &mut columns)?;
        samples += columns.len();
    }
    let answered = begin.elapsed().as_secs_f64();
    let replayed = tsdb.replayed();
    say(&format!(
        "start: open {opened:.2} s, {} written after {written:.2} s, first answer ({} series, {samples} samples) after {answered:.2} s, \
         {:.2} CPU-s; {} series, {} samples replayed, {} lost; resident {} MiB, peak {} MiB",
        outcome.samples.stored,
        selected.len(),
        processor(),
        replayed.series,
        replayed.samples,
        replayed.lost,
        status("VmRSS").unwrap_or(0) / 1024,
        status("VmHWM").unwrap_or(0) / 1024,
    ))
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    match arguments.first().map(String::as_str) {
        Some("write") => write(Path::new(&arguments[1]), number(2, 0), number(3, 0), number(4, 0)).await,
        Some("start") => start(Path::new(&arguments[1]), number(2, 0)).await,
        _ => {
            let dir = tempfile::tempdir_in(".")?;
            let path = dir.path().to_string_lossy().into_owned();
            let series = number(0, 500_000).to_string();
            let (flushed, logged) = (number(1, 12).to_string(), number(2, 18).to_string());
            let own = std::env::current_exe()?;
            // It ends by a signal, as it should.
            Command::new(&own).args(["write", &path, &series, &flushed, &logged]).status()?;
            for _ in 0..2 {
                Command::new(&own).args(["start", &path, &series]).status()?;
            }
            Ok(())
        }
    }
}
