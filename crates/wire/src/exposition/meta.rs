//! Lines that start with `#`: type, help and unit of a family, comments, and OpenMetrics' end.

use nave_model::metadata::MetricType;

use super::Entry;
use super::error::Fail;
use super::family::{Family, take};
use super::scan::{blanks, find_line_end};
use super::series::unescape;

/// What a `#` line gave, and where the next line starts.
pub(super) struct Meta<'a> {
    pub(super) entry: Entry<'a>,
    /// Set by `# TYPE`, also where the entry is a comment because its name cannot be borrowed.
    pub(super) kind: Option<MetricType>,
    pub(super) next: usize,
}

/// What must stand at the end of every text page.
pub(super) const LINE_FEED: &str = "a line feed (the page is cut short)";

/// The text format's `#` line at `at`.
pub(super) fn text(page: &[u8], at: usize, whole: bool) -> Result<Meta<'_>, Fail> {
    let end = match find_line_end(page, at) {
        Some(end) => end,
        None if whole => page.len(),
        None => return Err(Fail::at(page.len(), LINE_FEED)),
    };
    let line = &page[..end];
    let comment = Meta { entry: Entry::Comment, kind: None, next: end + 1 };
    let word = blanks(line, at + 1);
    let name = blanks(line, word + 4);
    if word == at + 1 || name <= word + 4 {
        return Ok(comment);
    }
    match &line[word..word + 4] {
        b"HELP" => {
            let (family, after) = take(line, name, "metric name after HELP")?;
            let start = blanks(line, after);
            if start == after && start < end {
                return Ok(comment);
            }
            Ok(Meta { entry: help(family, &line[start..end]), ..comment })
        }
        b"TYPE" => {
            let (family, after) = take(line, name, "metric name after TYPE")?;
            let kind = kind(line, blanks(line, after), line[after..].trim_ascii(), true)?;
            Ok(Meta { entry: typed(family, kind), kind: Some(kind), ..comment })
        }
        _ => Ok(comment),
    }
}

/// OpenMetrics' `#` line at `at`: exactly one blank between tokens, and no comments.
pub(super) fn openmetrics(page: &[u8], at: usize) -> Result<Meta<'_>, Fail> {
    let rest = &page[at..];
    if rest.starts_with(b"# EOF") {
        return end(page, at + 5);
    }
    let word = match rest.get(..7) {
        Some(b"# HELP ") => Word::Help,
        Some(b"# TYPE ") => Word::Type,
        Some(b"# UNIT ") => Word::Unit,
        _ => return Err(Fail::token(at, (at + 7).min(page.len()), "a valid start token")),
    };
    let (family, after) = take(page, at + 7, word.name_expected())?;
    let end = find_line_end(page, after).ok_or(Fail::at(page.len(), END))?;
    let Some(b' ') = page.get(after) else {
        return Err(Fail::at(after, word.text_expected()));
    };
    let text = &page[after + 1..end];
    let next = end + 1;
    match word {
        Word::Help => Ok(Meta { entry: help(family, text), kind: None, next }),
        Word::Type => {
            let kind = kind(page, after + 1, text, false)?;
            Ok(Meta { entry: typed(family, kind), kind: Some(kind), next })
        }
        Word::Unit => Ok(Meta { entry: unit(family, text, after + 1)?, kind: None, next }),
    }
}

/// What must stand at the end of every OpenMetrics page.
pub(super) const END: &str = "# EOF at the end of the page (it is cut short)";

#[derive(Clone, Copy)]
enum Word {
    Help,
    Type,
    Unit,
}

impl Word {
    fn name_expected(self) -> &'static str {
        match self {
            Self::Help => "metric name after HELP",
            Self::Type => "metric name after TYPE",
            Self::Unit => "metric name after UNIT",
        }
    }

    fn text_expected(self) -> &'static str {
        match self {
            Self::Help => "text in HELP",
            Self::Type => "text in TYPE",
            Self::Unit => "text in UNIT",
        }
    }
}

fn end(page: &[u8], after: usize) -> Result<Meta<'_>, Fail> {
    match &page[after..] {
        b"" | b"\n" => Ok(Meta { entry: Entry::Eof, kind: None, next: page.len() }),
        rest => {
            let start = after + usize::from(rest[0] == b'\n');
            Err(Fail::token(start, page.len(), "no data after # EOF"))
        }
    }
}

fn help<'a>(family: Family<'a>, text: &'a [u8]) -> Entry<'a> {
    let Family::Plain(family) = family else { return Entry::Comment };
    let text = unescape(text).unwrap_or_else(|_| String::from_utf8_lossy(text));
    Entry::Help { family, text }
}

fn typed(family: Family<'_>, kind: MetricType) -> Entry<'_> {
    match family {
        Family::Plain(family) => Entry::Type { family, kind },
        Family::Escaped => Entry::Comment,
    }
}

fn kind(page: &[u8], at: usize, word: &[u8], untyped: bool) -> Result<MetricType, Fail> {
    let refused = |_| Fail::token(at, (at + word.len()).min(page.len()), "a metric type");
    let text = std::str::from_utf8(word).map_err(|_| refused(String::new()))?;
    match text {
        "untyped" if !untyped => Err(refused(String::new())),
        // How the text format's own library spells it.
        "gauge_histogram" if untyped => Ok(MetricType::GaugeHistogram),
        text => text.parse().map_err(refused),
    }
}

/// A unit is the last part of its family's name.
fn unit<'a>(family: Family<'a>, text: &'a [u8], at: usize) -> Result<Entry<'a>, Fail> {
    let refused = || Fail::token(at, at + text.len(), "a unit that is the suffix of the metric name");
    let unit = std::str::from_utf8(text).map_err(|_| refused())?;
    let Family::Plain(family) = family else { return Ok(Entry::Comment) };
    let fits = unit.is_empty() || family.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
    if fits { Ok(Entry::Unit { family, unit }) } else { Err(refused()) }
}
