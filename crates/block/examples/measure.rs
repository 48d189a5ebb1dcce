//! Bytes per sample and speed on real samples: `cargo run --release -p nave-block --example measure`.
//!
//! Reads `samples/` of the corpora (environment `NAVE_CORPORA`; needs the program `xz`), writes the values in
//! pages and the timestamps in a page, checks every bit, and prints one line per set and page size. Speeds are
//! those of one core; "varying" leaves out the columns that never change.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nave_base::disk::{Disk, MemoryDisk};
use nave_block::page::{Kind, Origin, Page, PageWriter, Scratch};
use nave_block::{Block, BlockId, BlockWriter, Effort, LocalFile, NO_ID, Options, PageCache};
use nave_model::label::Labels;
use nave_model::select::Columns as Samples;
use nave_model::time::Timestamp;

type Columns = Vec<Vec<f64>>;

/// Targets, in the order of the columns of times.
const TARGETS: [&str; 3] = ["node-1", "prom-1", "vm-1"];

fn corpora() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    std::env::var_os("NAVE_CORPORA").map_or_else(|| default.into(), PathBuf::from)
}

/// The values of a set, in order of name and labels.
fn read_columns(dir: &Path, name: &str) -> Result<Columns, Box<dyn Error>> {
    let series = std::fs::read_to_string(dir.join(format!("{name}.series.txt")))?;
    let output = Command::new("xz").arg("-dc").arg(dir.join(format!("{name}.values.f64le.xz"))).output()?;
    let values: Vec<f64> =
        output.stdout.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let count = values.len() / series.lines().count();
    let mut sorted: Vec<(&str, &[f64])> = series.lines().zip(values.chunks_exact(count)).collect();
    sorted.sort_by_key(|(name, _)| *name);
    Ok(sorted.into_iter().map(|(_, values)| values.to_vec()).collect())
}

fn read_times(dir: &Path, name: &str) -> Result<Vec<Vec<i64>>, Box<dyn Error>> {
    let bytes = std::fs::read(dir.join(format!("{name}.timestamps.i64le")))?;
    let times: Vec<i64> = bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
    Ok(times.chunks_exact(times.len() / 3).map(<[i64]>::to_vec).collect())
}

fn write_pages(columns: &[Vec<f64>], page_samples: usize) -> std::io::Result<Vec<Vec<u8>>> {
    let mut writer = PageWriter::new(Kind::Values, Effort::Small)?;
    let mut pages = Vec::new();
    for (series, column) in (0..).zip(columns) {
        if writer.columns() > 0 && writer.samples() + column.len() > page_samples {
            let mut page = Vec::new();
            writer.finish(&mut page)?;
            pages.push(page);
        }
        writer.push_values(Origin { series, times: series % 3, ..Origin::default() }, column);
    }
    let mut page = Vec::new();
    writer.finish(&mut page)?;
    pages.push(page);
    Ok(pages)
}

fn read_pages(pages: &[Vec<u8>], mut column: impl FnMut(&[f64])) -> Result<(), Box<dyn Error>> {
    let mut scratch = Scratch::new();
    let mut values = Vec::new();
    for bytes in pages {
        let page = Page::open(Kind::Values, bytes.clone(), &mut scratch)?;
        for i in 0..page.columns() {
            values.clear();
            page.values(i, &mut scratch, &mut values)?;
            column(&values);
        }
    }
    Ok(())
}

/// Seconds that this thread has run, which others on the machine do not lengthen much.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// Millions of samples per second, over half a second.
fn speed(
    samples: usize,
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let (start, mut rounds, mut seconds) = (cpu_seconds(), 0, 0.0);
    while seconds < 0.5 {
        work()?;
        rounds += 1;
        seconds = cpu_seconds() - start;
    }
    Ok((samples * rounds) as f64 / seconds / 1e6)
}

fn measure(
    name: &str,
    columns: &Columns,
    page_samples: usize,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let samples: usize = columns.iter().map(Vec::len).sum();
    let pages = write_pages(columns, page_samples)?;
    let bytes: usize = pages.iter().map(Vec::len).sum();
    let mut expected = columns.iter();
    read_pages(&pages, |values| {
        let expected = expected.next().expect("no more columns than were written");
        assert!(values.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()), "not bit for bit");
    })?;
    let encode = speed(samples, || {
        write_pages(columns, page_samples)?;
        Ok(())
    })?;
    let decode = speed(samples, || read_pages(&pages, |_| ()))?;
    let per_sample = bytes as f64 / samples as f64;
    writeln!(
        out,
        "{name:<16} {page_samples:>6}/page {samples:>8} samples {per_sample:.4} B/sample  encode {encode:>6.1}  decode {decode:>6.1} M/s"
    )?;
    Ok(())
}

/// Timestamps as they are and with some ms of noise, spread over all samples that share them.
fn measure_times(
    name: &str,
    times: &[Vec<i64>],
    samples: usize,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (0..4).map(|i| ((state >> (16 + 8 * i)) % 5) as i64).sum::<i64>() - 8
    };
    let jitter: Vec<Vec<i64>> =
        times.iter().map(|column| column.iter().map(|t| t + noise()).collect()).collect();
    for (what, columns) in [("times", times), ("times, jitter", &jitter)] {
        let mut writer = PageWriter::new(Kind::Times, Effort::Small)?;
        columns.iter().for_each(|column| writer.push_numbers(column));
        let mut page = Vec::new();
        writer.finish(&mut page)?;
        let each = page.len() as f64 / columns.iter().map(Vec::len).sum::<usize>() as f64;
        let shared = page.len() as f64 / samples as f64;
        writeln!(out, "{name:<8} {what:<14} {each:.3} B/timestamp  {shared:.5} B/sample")?;
    }
    Ok(())
}

/// A whole block, which shares its times: everything in the file but the label index counts.
fn measure_block(
    dir: &Path,
    name: &str,
    columns: &Columns,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let text = std::fs::read_to_string(dir.join(format!("{name}.series.txt")))?;
    let mut series: Vec<&str> = text.lines().collect();
    series.sort_unstable();
    let times = read_times(dir, name)?;
    let disk = MemoryDisk::default();
    let (path, id) = (Path::new("/block"), BlockId(1));
    let mut writer = BlockWriter::create(Arc::new(disk.clone()), path, id, Options::default())?;
    for (series, values) in series.iter().zip(columns) {
        let target = TARGETS.iter().position(|target| series.contains(target)).unwrap_or(0);
        let timestamps = times[target].iter().map(|time| Timestamp(*time)).collect();
        let samples = Samples { timestamps, values: values.clone(), ..Samples::default() };
        writer.push(&Labels::from_pairs([("__name__", series)])?, NO_ID, &samples)?;
    }
    let meta = writer.finish()?;
    let file = disk.open(path)?;
    let block = Block::open(LocalFile(Arc::clone(&file)), PageCache::none())?;
    assert!(block.verify(&mut Scratch::new())?.is_empty());
    let bytes = file.len()? - block.index_bytes();
    let per_sample = bytes as f64 / meta.samples as f64;
    writeln!(out, "{name:<8} block without label index {per_sample:.5} B/sample")?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = corpora().join("samples");
    let mut out = std::io::stdout().lock();
    for name in ["real15", "real1"] {
        let columns = read_columns(&dir, name)?;
        for page_samples in [8 << 10, 32 << 10, 64 << 10] {
            measure(name, &columns, page_samples, &mut out)?;
        }
        let varying: Columns =
            columns.iter().filter(|column| column.iter().any(|v| *v != column[0])).cloned().collect();
        measure(&format!("{name} varying"), &varying, 32 << 10, &mut out)?;
        measure_block(&dir, name, &columns, &mut out)?;
        measure_times(name, &read_times(&dir, name)?, columns.iter().map(Vec::len).sum(), &mut out)?;
    }
    Ok(())
}
