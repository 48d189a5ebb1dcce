//! One sample line: series, value, time, exemplar.

use std::fmt;

use nave_model::label::{LabelError, Labels};
use nave_model::metadata::MetricType;
use nave_model::time::Timestamp;

use super::error::{Fail, ParseError};
use super::meta::{END, LINE_FEED};
use super::scan::blanks;
use super::{number, seconds_to_ms, series};

/// A sample. Labels stay text until they are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleLine<'a> {
    /// The series as written: name and braces. Equal bytes under one `# TYPE` are equal labels, so this is the
    /// key of a scrape cache.
    pub series: &'a [u8],
    /// The value. A NaN is always the ordinary one, never the stale marker.
    pub value: f64,
    /// When the target says it was measured.
    pub timestamp: Option<Timestamp>,
    /// Since when the series counts; only after [`super::Parser::with_start_timestamps`].
    pub start_timestamp: Option<Timestamp>,
    /// OpenMetrics only.
    pub exemplar: Option<ExemplarLine<'a>>,
    pub(super) kind: MetricType,
    pub(super) place: Place<'a>,
}

impl SampleLine<'_> {
    /// What the last `# TYPE` says.
    #[must_use]
    pub fn kind(&self) -> MetricType {
        self.kind
    }

    /// Decodes the labels, `__name__` among them. Values of `le` under a histogram and `quantile` under a
    /// summary are in canonical form (`1` becomes `1.0`), as upstream scrapes them.
    ///
    /// # Errors
    /// When a label name stands twice, the metric name included.
    pub fn labels(&self) -> Result<Labels, ParseError> {
        series::decode(self.series, self.kind).map_err(|error| self.place.refuse(self.series, &error))
    }
}

/// An exemplar after a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct ExemplarLine<'a> {
    /// Its labels as written, with the braces.
    pub labels: &'a [u8],
    /// The measured value.
    pub value: f64,
    /// When.
    pub timestamp: Option<Timestamp>,
    place: Place<'a>,
}

impl ExemplarLine<'_> {
    /// Decodes the labels.
    ///
    /// # Errors
    /// When a label name stands twice.
    pub fn labels(&self) -> Result<Labels, ParseError> {
        series::decode(self.labels, MetricType::Unknown)
            .map_err(|error| self.place.refuse(self.labels, &error))
    }
}

/// Where something stands, for errors that are found later.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    page: &'a [u8],
    at: usize,
}

impl Place<'_> {
    fn refuse(self, text: &[u8], error: &LabelError) -> ParseError {
        let expected = match error {
            LabelError::Duplicate { .. } => "each label name once",
            LabelError::NotUtf8 { .. } => "valid UTF-8",
            _ => "a valid label set",
        };
        Fail::token(self.at, self.at + text.len(), expected).locate(self.page)
    }
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.at)
    }
}

/// Two lines that say the same are equal wherever they stand.
impl PartialEq for Place<'_> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What the lines before say about this one.
#[derive(Clone, Copy)]
pub(super) struct Context {
    /// Of the last `# TYPE`.
    pub(super) kind: MetricType,
    /// The page is known to be valid UTF-8 as a whole.
    pub(super) utf8: bool,
    /// The page is known to be complete, so that its last line may lack the line feed.
    pub(super) whole: bool,
}

/// The text format's sample at `at`, and where the next line starts.
#[inline]
pub(super) fn text(page: &[u8], at: usize, context: Context) -> Result<(SampleLine<'_>, usize), Fail> {
    let series_end = series::scan::<false>(page, at)?;
    let start = blanks(page, series_end);
    if start == series_end && page[start - 1] != b'}' {
        return Err(Fail::at(start, "value after metric"));
    }
    let (value, end) = value(page, start, "value after metric")?;
    let mut next = blanks(page, end);
    let timestamp = match page.get(next) {
        Some(b'-' | b'0'..=b'9') => {
            let (timestamp, end) = milliseconds(page, next)?;
            next = blanks(page, end);
            Some(timestamp)
        }
        _ => None,
    };
    match page.get(next) {
        Some(b'\n') => {}
        None if context.whole => {}
        None => return Err(Fail::at(next, LINE_FEED)),
        Some(_) => return Err(Fail::at(next, "next entry after timestamp")),
    }
    let sample = sample(page, at..series_end, value, context)?;
    Ok((SampleLine { timestamp, ..sample }, next + 1))
}

/// OpenMetrics' sample at `at`, and where the next line starts.
#[inline]
pub(super) fn openmetrics(page: &[u8], at: usize, context: Context) -> Result<(SampleLine<'_>, usize), Fail> {
    let series_end = series::scan::<true>(page, at)?;
    let (value, timestamp, end) = numbers(page, series_end, "value after metric")?;
    let mut line = SampleLine { timestamp, ..sample(page, at..series_end, value, context)? };
    let end = if page.get(end..).is_some_and(|rest| rest.starts_with(b" # {")) {
        let (exemplar, end) = exemplar(page, end + 3, context)?;
        line.exemplar = Some(exemplar);
        end
    } else {
        end
    };
    match page.get(end) {
        Some(b'\n') => Ok((line, end + 1)),
        Some(_) => Err(Fail::at(end, "next entry after timestamp")),
        None => Err(Fail::at(end, END)),
    }
}

fn exemplar(page: &[u8], open: usize, context: Context) -> Result<(ExemplarLine<'_>, usize), Fail> {
    let close = series::scan_exemplar(page, open)?;
    check_utf8(page, open..close, context)?;
    let (value, timestamp, end) = numbers(page, close, "value after exemplar labels")?;
    let place = Place { page, at: open };
    Ok((ExemplarLine { labels: &page[open..close], value, timestamp, place }, end))
}

fn sample(
    page: &[u8],
    series: std::ops::Range<usize>,
    value: f64,
    context: Context,
) -> Result<SampleLine<'_>, Fail> {
    check_utf8(page, series.clone(), context)?;
    Ok(SampleLine {
        place: Place { page, at: series.start },
        series: &page[series],
        value,
        timestamp: None,
        start_timestamp: None,
        exemplar: None,
        kind: context.kind,
    })
}

#[inline]
fn check_utf8(page: &[u8], text: std::ops::Range<usize>, context: Context) -> Result<(), Fail> {
    if context.utf8 || std::str::from_utf8(&page[text.clone()]).is_ok() {
        return Ok(());
    }
    Err(Fail::token(text.start, text.end, "labels in valid UTF-8"))
}

/// The number at `start`, and the position after it.
#[inline]
fn value(page: &[u8], start: usize, expected: &'static str) -> Result<(f64, usize), Fail> {
    let mut end = start;
    while page.get(end).is_some_and(|byte| !matches!(byte, b' ' | b'\t' | b'\n')) {
        end += 1;
    }
    if end == start {
        return Err(Fail::at(start, expected));
    }
    let value = number::parse(&page[start..end]).ok_or(Fail::token(start, end, "a number"))?;
    Ok((value, end))
}

/// A whole number of milliseconds at `start`, and the position after it.
fn milliseconds(page: &[u8], start: usize) -> Result<(Timestamp, usize), Fail> {
    let mut end = start + 1;
    while page.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    let text = std::str::from_utf8(&page[start..end]).unwrap_or_default();
    let expected = "a timestamp in whole milliseconds";
    let number = text.parse().map_err(|_| Fail::token(start, end, expected))?;
    Ok((Timestamp(number), end))
}

/// OpenMetrics' ` value` and optional ` timestamp`, and the position after them.
#[inline]
fn numbers(page: &[u8], at: usize, expected: &'static str) -> Result<(f64, Option<Timestamp>, usize), Fail> {
    if page.get(at) != Some(&b' ') {
        return Err(Fail::at(at, expected));
    }
    let (value, end) = number_until_blank(page, at + 1, expected)?;
    let rest = &page[end..];
    if rest.first() != Some(&b' ') || rest.starts_with(b" # {") {
        return Ok((value, None, end));
    }
    let expected = "next entry after timestamp";
    let (seconds, end) = number_until_blank(page, end + 1, expected)?;
    if !seconds.is_finite() {
        return Err(Fail::token(at, end, "a finite timestamp in seconds"));
    }
    Ok((value, Some(seconds_to_ms(seconds)), end))
}

/// A number that ends at a blank or line feed; a tab belongs to it and makes it none.
#[inline]
fn number_until_blank(page: &[u8], start: usize, expected: &'static str) -> Result<(f64, usize), Fail> {
    let mut end = start;
    while page.get(end).is_some_and(|byte| !matches!(byte, b' ' | b'\n')) {
        end += 1;
    }
    if end == start {
        return Err(Fail::at(start, expected));
    }
    let value = number::parse(&page[start..end]).ok_or(Fail::token(start, end, "a number"))?;
    Ok((value, end))
}
