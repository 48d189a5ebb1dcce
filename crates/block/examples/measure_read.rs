//! What it costs to read series of a block: `cargo run --release -p nave-block --example measure_read`.
//!
//! A block of two hours of 100 metrics of 100 targets, every 15 s, and a part of 20 samples of 500 metrics of 100 targets. Prints the
//! first read of a series (its pages are not in the cache), the next ones, all in order, and the cursor of a merge.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use nave_base::budget::Budget;
use nave_base::disk::{Disk, MemoryDisk};
use nave_block::{Block, BlockId, BlockWriter, LocalFile, Options, PageCache, ReadRange, Scratch};
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

const TARGETS: u32 = 100;

/// Seconds that this thread has run, which others on the machine do not lengthen much.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// A counter that grows by 0 to 200 in 15 s.
fn samples(metric: u32, target: u32, count: u32) -> Columns {
    let mut columns = Columns::default();
    let (mut state, mut value) = ((u64::from(metric) << 32) | (u64::from(target) + 1), 0.0);
    for i in 0..count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value += ((state >> 33) % u64::from(1 + metric % 200)) as f64;
        columns.push(Timestamp(1_700_000_000_000 + i64::from(i * 15_000 + target * 71)), value);
    }
    columns
}

fn write(metrics: u32, count: u32, options: Options) -> Result<(MemoryDisk, f64), Box<dyn Error>> {
    let disk = MemoryDisk::default();
    let mut writer = BlockWriter::create(Arc::new(disk.clone()), Path::new("/b"), BlockId(1), options)?;
    let mut series = Vec::new();
    for (metric, target) in (0..metrics).flat_map(|metric| (0..TARGETS).map(move |target| (metric, target))) {
        let (name, instance) = (format!("metric_{metric:04}"), format!("target-{target:04}"));
        let labels = Labels::from_pairs([("__name__", name), ("instance", instance)])?;
        series.push((labels, samples(metric, target, count)));
    }
    let start = cpu_seconds();
    for ((labels, samples), id) in series.iter().zip(0..) {
        writer.push(labels, id, samples)?;
    }
    writer.finish()?;
    Ok((disk, cpu_seconds() - start))
}

/// Microseconds for one read each of `series`.
fn read<R: ReadRange>(
    block: &Block<R>,
    series: impl Iterator<Item = u32>,
    out: &mut Columns,
) -> Result<f64, Box<dyn Error>> {
    let (mut scratch, mut damages, mut reads) = (Scratch::new(), Vec::new(), 0);
    let start = cpu_seconds();
    for ordinal in series {
        out.clear();
        block.read(ordinal, TimeRange::ALL, &mut scratch, out, &mut damages)?;
        reads += 1;
    }
    assert!(damages.is_empty() && !out.is_empty());
    Ok((cpu_seconds() - start) * 1e6 / f64::from(reads))
}

fn measure(
    name: &str,
    metrics: u32,
    count: u32,
    options: Options,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let page_samples = options.page_samples;
    let (disk, seconds) = write(metrics, count, options)?;
    let series = metrics * TARGETS;
    let written = f64::from(series * count) / seconds / 1e6;
    let open =
        |cache| Block::open(LocalFile(disk.open(Path::new("/b"))?), cache).map_err(Box::<dyn Error>::from);
    let cache = PageCache::new(Budget::new("pages", 1 << 30));
    let block = open(cache.clone())?;
    let size = block.file_len() as f64 / f64::from(series * count);
    let mut columns = Columns::default();
    writeln!(out, "{name}: {series} series of {count} samples, {page_samples} a page")?;
    writeln!(out, "  written {written:.1} M samples/s, {size:.3} B/sample")?;
    let spread = |from: u32| (0..200).map(move |i| (from + i * 7919) % series);
    let none = open(PageCache::none())?;
    writeln!(out, "  without cache     {:>7.2} us a series", read(&none, spread(0), &mut columns)?)?;
    writeln!(out, "  first read        {:>7.2} us a series", read(&block, spread(0), &mut columns)?)?;
    writeln!(out, "  second read       {:>7.2} us a series", read(&block, spread(0), &mut columns)?)?;
    writeln!(out, "  all in order      {:>7.2} us a series", read(&block, 0..series, &mut columns)?)?;
    writeln!(out, "  again             {:>7.2} us a series", read(&block, 0..series, &mut columns)?)?;
    let held = cache.counts();
    writeln!(
        out,
        "  in the cache      {:.2} B/sample in {} pages",
        held.bytes as f64 / f64::from(series * count),
        held.pages
    )?;
    let (mut scratch, mut damages, start) = (Scratch::new(), Vec::new(), cpu_seconds());
    let mut cursor = none.cursor();
    while cursor.next(&mut scratch, &mut columns, &mut damages)?.is_some() {}
    let each = (cpu_seconds() - start) * 1e6 / f64::from(series);
    writeln!(out, "  cursor            {each:>7.2} us a series")?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for page_samples in [8 << 10, 32 << 10, 64 << 10] {
        measure("block", 100, 480, Options { page_samples, ..Options::default() }, &mut out)?;
    }
    for page_samples in [4 << 10, 8 << 10, 32 << 10] {
        let options = Options { page_samples, ..Options::part() };
        measure("part", 500, 20, options, &mut out)?;
    }
    Ok(())
}
