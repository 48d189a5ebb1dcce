//! OpenMetrics text as a source of samples, read in parts so that its size does not matter.
//!
//! Each part is parsed as a page of its own: it begins with the type of the family that the part before ended in.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use nave_model::label::Labels;
use nave_model::metadata::Metadata;
use nave_model::sample::Exemplar;
use nave_model::select::Columns;
use nave_model::time::TimeRange;
use nave_wire::exposition::{Entry, Format, Parser, SampleLine};

use super::import::Writer;

const PART_BYTES: usize = 4 << 20;
/// A longer line is refused.
const LINE_BYTES_MAX: u64 = 1 << 20;
const END: &[u8] = b"# EOF\n";

/// Hands the samples of `path` in `range` to `writer`.
pub(super) fn read(path: &Path, range: TimeRange, writer: &mut Writer) -> Result<()> {
    let wrong = || format!("cannot read {}", path.display());
    let mut file = BufReader::new(File::open(path).with_context(wrong)?);
    let (mut part, mut line, mut kind) = (Vec::new(), Vec::new(), Vec::new());
    let (mut number, mut begins, mut ended) = (0u64, 1u64, false);
    loop {
        line.clear();
        let read = std::io::Read::take(&mut file, LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let read = read.with_context(wrong)? as u64;
        number += 1;
        ensure!(read < LINE_BYTES_MAX, "{}:{number}: the line is longer than 1 MiB", path.display());
        ended |= line.trim_ascii_end() == END.trim_ascii_end();
        part.extend_from_slice(&line);
        if read > 0 && part.len() < PART_BYTES {
            if line.starts_with(b"# TYPE ") {
                kind.clone_from(&line);
            }
            continue;
        }
        // The last part must have its own end, as the format demands.
        if read > 0 && !ended {
            part.extend_from_slice(END);
        }
        let place = || format!("{}, in the part that begins at line {begins}", path.display());
        page(&part, range, writer).with_context(place)?;
        if read == 0 {
            return Ok(());
        }
        if line.starts_with(b"# TYPE ") {
            kind.clone_from(&line);
        }
        begins = number + 1;
        part.clear();
        part.extend_from_slice(&kind);
        if ended {
            part.extend_from_slice(END);
        }
    }
}

fn page(page: &[u8], range: TimeRange, writer: &mut Writer) -> Result<()> {
    let mut parser = Parser::new(page, Format::OpenMetrics);
    let mut family: Option<(Arc<str>, Metadata)> = None;
    let mut samples = Columns::default();
    while let Some(entry) = parser.next()? {
        match entry {
            Entry::Type { family: name, kind } => about(&mut family, name, writer)?.kind = kind,
            Entry::Help { family: name, text } => about(&mut family, name, writer)?.help = Arc::from(&*text),
            Entry::Unit { family: name, unit } => about(&mut family, name, writer)?.unit = Arc::from(unit),
            Entry::Sample(line) => sample(&line, range, &mut samples, writer)?,
            Entry::Comment | Entry::Eof => {}
        }
    }
    if let Some((name, metadata)) = family {
        writer.metadata(&name, &metadata)?;
    }
    Ok(())
}

/// The metadata of `name`; those of the family before are complete then.
fn about<'a>(
    family: &'a mut Option<(Arc<str>, Metadata)>,
    name: &str,
    writer: &mut Writer,
) -> Result<&'a mut Metadata> {
    if let Some((known, metadata)) = family.take_if(|(known, _)| **known != *name) {
        writer.metadata(&known, &metadata)?;
    }
    Ok(&mut family.get_or_insert_with(|| (Arc::from(name), Metadata::default())).1)
}

fn sample(line: &SampleLine<'_>, range: TimeRange, samples: &mut Columns, writer: &mut Writer) -> Result<()> {
    let labels = line.labels()?;
    let at = line.timestamp.ok_or_else(|| anyhow!("{labels} has no timestamp, which an import needs"))?;
    if !range.contains(at) {
        return Ok(());
    }
    samples.clear();
    samples.push(at, line.value);
    writer.samples(&labels, samples)?;
    match &line.exemplar {
        Some(exemplar) => {
            let labels_of: Labels = exemplar.labels()?;
            let timestamp = exemplar.timestamp.or(Some(at));
            writer.exemplar(&labels, &Exemplar { labels: labels_of, value: exemplar.value, timestamp })
        }
        None => Ok(()),
    }
}
