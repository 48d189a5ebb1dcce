//! From a page to entries, line by line.

use nave_model::metadata::MetricType;

use super::error::{Fail, ParseError};
use super::line::{self, Context};
use super::meta::{self, Meta};
use super::start::Starts;
use super::{Entry, Format, SampleLine};

/// Reads the entries of one page in order.
#[derive(Debug, Clone)]
pub struct Parser<'a> {
    page: &'a [u8],
    at: usize,
    format: Format,
    kind: MetricType,
    family: Option<&'a str>,
    utf8: bool,
    whole: bool,
    ended: bool,
    starts: Option<Starts>,
}

impl<'a> Parser<'a> {
    /// A parser at the start of `page`.
    #[must_use]
    pub fn new(page: &'a [u8], format: Format) -> Self {
        Self {
            page,
            at: 0,
            format,
            kind: MetricType::Unknown,
            family: None,
            utf8: std::str::from_utf8(page).is_ok(),
            whole: false,
            ended: false,
            starts: None,
        }
    }

    /// The transport vouches that the page is complete (`Content-Length` or chunks): a text page's last line
    /// may then lack its line feed, as upstream allows. Without that, a page without one is refused,
    /// because `x 12` may be the half of `x 1234`.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// Takes OpenMetrics' `_created` lines of counters, histograms and summaries as the start timestamps of
    /// their samples instead of as samples, as upstream does when that feature is on. Looks ahead, so it costs
    /// more per sample.
    #[must_use]
    pub fn with_start_timestamps(mut self) -> Self {
        self.starts = (self.format == Format::OpenMetrics).then(Starts::default);
        self
    }

    /// The next entry; `None` after the last one. Not an iterator, because an error must not be skipped.
    ///
    /// # Errors
    /// When the line breaks the format, or the page ends inside of it or before OpenMetrics' `# EOF`.
    #[expect(
        clippy::should_implement_trait,
        reason = "the error ends it; `?` reads better than a transposed item"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        if self.starts.is_some() {
            return self.next_with_start();
        }
        self.next_plain().map_err(|fail| fail.locate(self.page))
    }

    #[inline]
    fn next_plain(&mut self) -> Result<Option<Entry<'a>>, Fail> {
        match self.format {
            Format::Text => self.next_text(),
            Format::OpenMetrics => self.next_openmetrics(),
        }
    }

    fn context(&self) -> Context {
        Context { kind: self.kind, utf8: self.utf8, whole: self.whole }
    }

    fn next_text(&mut self) -> Result<Option<Entry<'a>>, Fail> {
        while matches!(self.page.get(self.at), Some(b' ' | b'\t' | b'\n')) {
            self.at += 1;
        }
        match self.page.get(self.at) {
            None => Ok(None),
            Some(b'#') => {
                let meta = meta::text(self.page, self.at, self.whole)?;
                Ok(Some(self.take_meta(meta)))
            }
            Some(_) => {
                let (sample, next) = line::text(self.page, self.at, self.context())?;
                self.at = next;
                Ok(Some(Entry::Sample(sample)))
            }
        }
    }

    fn next_openmetrics(&mut self) -> Result<Option<Entry<'a>>, Fail> {
        match self.page.get(self.at) {
            None if self.ended => Ok(None),
            None => Err(Fail::at(self.at, meta::END)),
            Some(b'#') => {
                let meta = meta::openmetrics(self.page, self.at)?;
                self.ended = meta.entry == Entry::Eof;
                Ok(Some(self.take_meta(meta)))
            }
            Some(_) => {
                let (sample, next) = line::openmetrics(self.page, self.at, self.context())?;
                self.at = next;
                Ok(Some(Entry::Sample(sample)))
            }
        }
    }

    fn take_meta(&mut self, meta: Meta<'a>) -> Entry<'a> {
        self.at = meta.next;
        if let Some(kind) = meta.kind {
            self.kind = kind;
            self.family = match meta.entry {
                Entry::Type { family, .. } => Some(family),
                _ => None,
            };
        }
        meta.entry
    }

    fn next_with_start(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        loop {
            let entry = self.next_plain().map_err(|fail| fail.locate(self.page))?;
            let (Some(Entry::Sample(sample)), Some(family)) = (&entry, self.family) else { return Ok(entry) };
            let mut starts = self.starts.take().unwrap_or_default();
            let found = starts.of(sample, family, || Self { starts: None, ..self.clone() });
            self.starts = Some(starts);
            if let Some(start_timestamp) = found {
                return Ok(Some(Entry::Sample(SampleLine { start_timestamp, ..sample.clone() })));
            }
        }
    }
}
