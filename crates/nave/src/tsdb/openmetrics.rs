//! OpenMetrics text as a source of samples, read in parts so that its size does not matter.
//!
//! Each part is parsed as a page of its own: it begins with the type of the family that the part before ended in.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
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
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let source = Source { path, file: BufReader::new(file), line: 0, ended: false, kind: Vec::new() };
    source.read(PART_BYTES, range, writer)
}

struct Source<'a> {
    path: &'a Path,
    file: BufReader<File>,
    /// Number of the line read last.
    line: u64,
    /// The end was seen; anything behind it is an error.
    ended: bool,
    /// The line that says the type of the current family.
    kind: Vec<u8>,
}

impl Source<'_> {
    fn read(mut self, part_bytes: usize, range: TimeRange, writer: &mut Writer) -> Result<()> {
        let mut family = None;
        let mut more = true;
        while more {
            let begins = self.line + 1;
            let mut part = self.kind.clone();
            if self.ended {
                part.extend_from_slice(END);
            }
            more = self.fill(&mut part, part_bytes)?;
            // The last part must have its own end, as the format demands.
            if more && !self.ended {
                part.extend_from_slice(END);
            }
            let place = || format!("{}, in the part that begins at line {begins}", self.path.display());
            page(&part, range, &mut family, writer).with_context(place)?;
        }
        match family {
            Some((name, metadata)) => writer.metadata(&name, &metadata),
            None => Ok(()),
        }
    }

    /// Adds lines to `part` until it is long enough; whether there are more.
    fn fill(&mut self, part: &mut Vec<u8>, part_bytes: usize) -> Result<bool> {
        let mut line = Vec::new();
        while part.len() < part_bytes {
            line.clear();
            let read = (&mut self.file).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let read = read.with_context(|| format!("cannot read {}", self.path.display()))? as u64;
            if read == 0 {
                return Ok(false);
            }
            self.line += 1;
            let place = || format!("{}:{}: the line is longer than 1 MiB", self.path.display(), self.line);
            ensure!(read < LINE_BYTES_MAX, "{}", place());
            self.ended |= line.trim_ascii_end() == END.trim_ascii_end();
            if line.starts_with(b"# TYPE ") {
                self.kind.clone_from(&line);
            }
            part.extend_from_slice(&line);
        }
        Ok(true)
    }
}

/// What is known of the family that the page before ended in, and this one goes on with.
type Family = Option<(Arc<str>, Metadata)>;

fn page(page: &[u8], range: TimeRange, family: &mut Family, writer: &mut Writer) -> Result<()> {
    let mut parser = Parser::new(page, Format::OpenMetrics);
    let mut samples = Columns::default();
    while let Some(entry) = parser.next()? {
        match entry {
            Entry::Type { family: name, kind } => about(family, name, writer)?.kind = kind,
            Entry::Help { family: name, text } => about(family, name, writer)?.help = Arc::from(&*text),
            Entry::Unit { family: name, unit } => about(family, name, writer)?.unit = Arc::from(unit),
            Entry::Sample(line) => sample(&line, range, &mut samples, writer)?,
            Entry::Comment | Entry::Eof => {}
        }
    }
    Ok(())
}

/// The metadata of `name`; those of the family before are complete then.
fn about<'a>(family: &'a mut Family, name: &str, writer: &mut Writer) -> Result<&'a mut Metadata> {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use nave_base::clock::SystemClock;
    use nave_model::append::{Append, AppendError, Batch, Outcome, Principal};
    use nave_model::time::Timestamp;

    use super::*;

    /// Notes what it is given.
    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Append for Notes {
        fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>> {
            let mut notes = self.0.lock().unwrap();
            for series in &batch.series {
                let labels = Labels::from_bytes(batch.label_bytes(series)).unwrap();
                notes.extend(batch.samples(series).map(|(t, value)| format!("{labels} {t} {value}")));
                let exemplars =
                    &batch.exemplars[series.exemplars.start as usize..series.exemplars.end as usize];
                notes.extend(exemplars.iter().map(|exemplar| format!("{labels} # {}", exemplar.labels)));
            }
            notes.extend(
                batch
                    .metadata
                    .iter()
                    .map(|(family, about)| format!("{family} {} {}", about.kind, about.help)),
            );
            std::future::ready(Ok(Outcome::default())).boxed()
        }
    }

    fn check(text: &str, part_bytes: usize, expect: Result<&[&str], &str>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let notes = Arc::new(Notes::default());
        let (clock, principal) = (SystemClock::shared(), Principal::anonymous("test"));
        let mut writer = Writer::new(notes.clone(), clock, runtime.handle().clone(), principal);
        let range = TimeRange { min: Timestamp(0), max: Timestamp(100_000) };
        let source = Source {
            path: file.path(),
            file: BufReader::new(File::open(file.path()).unwrap()),
            line: 0,
            ended: false,
            kind: Vec::new(),
        };
        let result = source.read(part_bytes, range, &mut writer).and_then(|()| writer.flush());
        match expect {
            Ok(expect) => {
                result.unwrap();
                assert_eq!(*notes.0.lock().unwrap(), expect, "parts of {part_bytes}");
            }
            Err(expect) => {
                let error = format!("{:#}", result.unwrap_err());
                assert!(error.contains(expect), "{error}");
            }
        }
    }

    #[test]
    fn parts_are_read_as_one_page() {
        let text = "# TYPE h histogram\n# HELP h Of h.\nh_bucket{le=\"1\"} 1 1\nh_bucket{le=\"+Inf\"} 2 1 # {id=\"x\"} 1\n\
                    h_count 2 1\nh_sum 2 1\n# TYPE c counter\nc_total 1 1\nc_total 2 2.5\nc_total 2 200\n# EOF\n";
        let expect = [
            "{__name__=\"h_bucket\", le=\"1.0\"} 1000 1",
            "{__name__=\"h_bucket\", le=\"+Inf\"} 1000 2",
            "{__name__=\"h_bucket\", le=\"+Inf\"} # {id=\"x\"}",
            "{__name__=\"h_count\"} 1000 2",
            "{__name__=\"h_sum\"} 1000 2",
            "{__name__=\"c_total\"} 1000 1",
            "{__name__=\"c_total\"} 2500 2",
            "h histogram Of h.",
            "c counter ",
        ];
        for part_bytes in [1 << 20, 100, 60, 30] {
            check(text, part_bytes, Ok(&expect));
        }
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for part_bytes in [1 << 20, 10] {
            check("a 1 1\n", part_bytes, Err("EOF"));
            check(
                "a 1\n# EOF\n",
                part_bytes,
                Err("{__name__=\"a\"} has no timestamp, which an import needs"),
            );
            check("a 1 1\n# EOF\nb 1 1\n", part_bytes, Err("in the part that begins at line"));
        }
    }
}
