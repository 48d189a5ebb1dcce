//! What merging costs: `cargo run --release -p nave-tsdb --example measure_merge [series] [flushes] [samples per flush]`.
//!
//! Fills two windows of the past with flushes, a third counters, a third fractions, a third constants, and merges them:
//! CPU time of the process per million samples, bytes before and after, and how much memory it took beside the head.

use std::io::{self, Write};
use std::sync::Arc;

use nave_base::clock::SystemClock;
use nave_base::disk::LocalDisk;
use nave_base::metric::Registry;
use nave_model::append::{Append, BatchBuilder, Principal, SeriesRef};
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_tsdb::{Options, Tsdb};

const STEP_MS: i64 = 15_000;
/// Series of a batch.
const BATCH: usize = 2000;

fn labels(series: usize) -> Labels {
    let pairs = [
        ("__name__", format!("metric_{}_total", series % 500)),
        ("instance", format!("10.0.{}.{}:9100", series / 500 / 250, series / 500 % 250)),
        ("job", "node".to_owned()),
        ("cluster", "eu-west-1".to_owned()),
        ("namespace", format!("team-{}", series / 500 % 20)),
    ];
    Labels::from_pairs(pairs).expect("names differ")
}

fn value(series: usize, step: i64) -> f64 {
    let noise = (series as i64 * 7919 + step * 104_729) % 97;
    match series % 3 {
        0 => (step * 50 + noise) as f64,
        1 => noise as f64 / 10.0,
        _ => 1.0,
    }
}

/// A number of `/proc/self/<file>`, in its own unit.
fn proc(file: &str, read: impl Fn(&str) -> Option<f64>) -> f64 {
    std::fs::read_to_string(format!("/proc/self/{file}")).ok().and_then(|text| read(&text)).unwrap_or(0.0)
}

/// Seconds of CPU so far, at 100 ticks a second.
fn cpu() -> f64 {
    proc("stat", |text| {
        let fields: Vec<_> = text.rsplit(')').next()?.split_whitespace().collect();
        Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / 100.0)
    })
}

fn memory(name: &str) -> f64 {
    proc("status", |text| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let number =
        |at: usize, default: usize| std::env::args().nth(at).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (series, flushes, samples) = (number(1, 20_000), number(2, 16) as i64, number(3, 30) as i64);
    let dir = std::env::temp_dir().join(format!("nave-measure-merge-{}", std::process::id()));
    let options = Options { hot_ms: 0, flush_log_bytes: u64::MAX, ..Options::new(&dir) };
    let clock = SystemClock::shared();
    let tsdb = Tsdb::open(options, LocalDisk::shared(), clock.clone(), &Registry::default())?;
    let principal = Arc::new(Principal::anonymous("measure"));
    let start = (clock.now_ms() / 7_200_000 - 30) * 7_200_000;
    let all: Vec<_> = (0..series).map(labels).collect();
    for flush in 0..flushes {
        for step in flush * samples..(flush + 1) * samples {
            for (batch, chunk) in all.chunks(BATCH).enumerate() {
                let mut builder = BatchBuilder::new(principal.clone());
                for (at, labels) in chunk.iter().enumerate() {
                    let time = Timestamp(start + step * STEP_MS);
                    builder.series(labels, SeriesRef::NONE).sample(time, value(batch * BATCH + at, step));
                }
                tsdb.append(builder.build()).await?;
            }
        }
        tsdb.flush().await?;
    }
    let bytes = || tsdb.blocks().iter().map(|block| block.bytes).sum::<u64>();
    let (files, before, cpu_before, rss) = (tsdb.blocks().len(), bytes(), cpu(), memory("VmRSS"));
    // The head begins to give its memory back now; the peak is that of what follows.
    std::fs::write("/proc/self/clear_refs", "5").ok();
    let began = clock.monotonic();
    tsdb.compact_all().await?;
    let (took, spent) = ((clock.monotonic() - began).as_secs_f64(), cpu() - cpu_before);
    let millions = series as f64 * (flushes * samples) as f64 / 1e6;
    writeln!(
        io::stdout(),
        "{millions:.1} M samples of {series} series in {files} parts of {before} bytes, {} after: {took:.2} s, \
         {:.3} CPU-s per million samples, memory {rss:.0} MiB before, {:.0} MiB at most",
        bytes(),
        spent / millions,
        memory("VmHWM")
    )?;
    drop(tsdb);
    Ok(std::fs::remove_dir_all(dir)?)
}
