//! `nave tsdb inspect`: what is in a folder, or in one part or block.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use nave_base::disk::LocalDisk;
use nave_block::page::{Kind, Page};
use nave_block::{Block, FileKind, Index, LocalFile, Meta, PageCache, Scratch};
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::offline::{self, Contents};

/// Label names of which the number of values is shown.
const NAMES_MAX: usize = 20;

/// Flags of `nave tsdb inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A part or block, or the folder of a hub that is not running.
    #[arg(default_value = "data/")]
    path: PathBuf,
}

/// Runs `nave tsdb inspect`.
pub(crate) fn run(flags: &Inspect) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if flags.path.is_dir() {
        folder(&mut out, &offline::contents(&LocalDisk::shared(), &flags.path)?)?;
    } else {
        file(&mut out, &flags.path)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// In UTC; times that no calendar has as plain milliseconds.
pub(super) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| format!("{} ms", at.0), |at| at.to_string())
}

fn range(range: TimeRange) -> String {
    format!("{} to {}", rfc3339(range.min), rfc3339(range.max))
}

fn kind(meta: &Meta) -> &'static str {
    match meta.kind {
        FileKind::Part => "part",
        FileKind::Block => "block",
    }
}

fn per(bytes: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { bytes as f64 / count as f64 }
}

fn folder(out: &mut impl Write, contents: &Contents) -> Result<()> {
    writeln!(
        out,
        "window                kind   flushes    series     samples       bytes  B/sample  tenant   file"
    )?;
    for file in &contents.files {
        let Meta { series, samples, seq, tenant, .. } = &file.meta;
        let window = rfc3339(Timestamp(file.window.0));
        let hours = (file.window.1 - file.window.0) / 3_600_000;
        writeln!(
            out,
            "{window} {hours:>3}h {:<6} {:>9} {series:>7} {samples:>11} {:>11} {:>9.3}  {tenant:<8} {}",
            kind(&file.meta),
            format!("{}-{}", seq.lo, seq.hi),
            file.bytes,
            per(file.bytes, *samples),
            file.path.file_name().unwrap_or_default().display(),
        )?;
    }
    let sum = |of: fn(&offline::File) -> u64| contents.files.iter().map(of).sum::<u64>();
    let (bytes, samples) = (sum(|file| file.bytes), sum(|file| file.meta.samples));
    let count = contents.files.len();
    writeln!(
        out,
        "{count} files, {samples} samples, {bytes} bytes, {:.3} bytes a sample",
        per(bytes, samples)
    )?;
    for deletion in &contents.deletions {
        writeln!(
            out,
            "deleted: {} of tenant {} from {}",
            deletion.selector,
            deletion.tenant,
            range(deletion.range)
        )?;
    }
    let Contents { registry_generation, registry_bytes, log_start, next_seq, .. } = contents;
    writeln!(out, "registry: generation {registry_generation}, {registry_bytes} bytes")?;
    writeln!(out, "log: not in files from segment {log_start} on; the next flush is number {next_seq}")?;
    Ok(())
}

fn file(out: &mut impl Write, path: &Path) -> Result<()> {
    let disk = LocalDisk::shared();
    let file = disk.open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let wrong = || format!("cannot read {}; `nave tsdb verify` looks at the whole folder", path.display());
    let block = Block::open(LocalFile(file), PageCache::none()).with_context(wrong)?;
    let meta = block.meta();
    writeln!(
        out,
        "{} {} of tenant {}, flushes {} to {}",
        kind(meta),
        meta.id,
        meta.tenant,
        meta.seq.lo,
        meta.seq.hi
    )?;
    writeln!(out, "samples from {}", range(meta.range))?;
    let Meta { series, samples, histograms, .. } = meta;
    writeln!(
        out,
        "{series} series, {samples} samples ({histograms} native histograms), {} bytes, {:.3} bytes a sample",
        block.file_len(),
        per(block.file_len(), *samples)
    )?;
    pages(out, &block)?;
    if let Some(index) = block.index() {
        let bytes = block.index_bytes();
        writeln!(
            out,
            "label index: {bytes} bytes ({:.1} a series), {} label pairs",
            per(bytes, u64::from(*series)),
            index.symbols()
        )?;
        names(out, index)?;
    }
    Ok(())
}

/// Pages by kind, with their share of the file, and how the numbers in them are coded.
fn pages(out: &mut impl Write, block: &Block<LocalFile>) -> Result<()> {
    let mut scratch = Scratch::new();
    let mut damaged = 0;
    for (kind, what) in [
        (Kind::Values, "values"),
        (Kind::Times, "times"),
        (Kind::Histograms, "histograms"),
        (Kind::Ids, "series numbers"),
    ] {
        let pages = block.pages(kind);
        if pages.is_empty() {
            continue;
        }
        let bytes: usize = pages.iter().map(|page| page.len).sum();
        let numbers: usize = pages.iter().map(|page| page.samples).sum();
        let (bytes, numbers, count) = (bytes as u64, numbers as u64, pages.len());
        let share = 100.0 * per(bytes, block.file_len());
        writeln!(
            out,
            "{what:<15} {count:>7} pages {numbers:>11} numbers {bytes:>11} bytes ({share:>4.1} %) {:>7.3} bytes each",
            per(bytes, numbers)
        )?;
        let mut codings: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for entry in pages {
            let Ok(page) = Page::open(kind, block.read_page(entry)?, &mut scratch) else {
                damaged += 1;
                continue;
            };
            for coding in page.codings() {
                let sum = codings.entry(coding.name).or_default();
                *sum = (sum.0 + coding.numbers as u64, sum.1 + coding.bytes as u64);
            }
        }
        for (name, (numbers, bytes)) in codings {
            writeln!(
                out,
                "    {name:<18} {numbers:>11} numbers {bytes:>11} bytes {:>7.3} bytes each",
                per(bytes, numbers)
            )?;
        }
    }
    if damaged > 0 {
        writeln!(out, "{damaged} pages are damaged: run `nave tsdb verify`")?;
    }
    Ok(())
}

fn names(out: &mut impl Write, index: &Index) -> Result<()> {
    let mut counts = Vec::new();
    for name in index.names() {
        counts.push((index.values_count(&name, "").map_err(|damage| anyhow::anyhow!("{damage}"))?, name));
    }
    counts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    for (count, name) in counts.iter().take(NAMES_MAX) {
        writeln!(out, "    {name:<40} {count:>9} values")?;
    }
    Ok(())
}
