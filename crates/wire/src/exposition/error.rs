//! Where and why a page is refused.

/// A page, or a line of it, that breaks the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, got {came}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// What the format wants there.
    pub expected: &'static str,
    /// What stands there: a quoted piece of the page, or `end of page`.
    pub came: String,
}

/// Longest piece of a page that an error quotes, in bytes.
const QUOTE_BYTES: usize = 64;

/// An error before its line and column are known; they are counted only when an error leaves the parser.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fail {
    pub(super) expected: &'static str,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Fail {
    /// What stands at `at` is one byte of something else.
    #[cold]
    pub(super) fn at(at: usize, expected: &'static str) -> Self {
        Self { expected, start: at, end: at + 1 }
    }

    /// What stands in `start..end` is something else.
    #[cold]
    pub(super) fn token(start: usize, end: usize, expected: &'static str) -> Self {
        Self { expected, start, end: end.max(start + 1) }
    }

    #[cold]
    pub(super) fn locate(self, page: &[u8]) -> ParseError {
        let start = self.start.min(page.len());
        let before = &page[..start];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        ParseError {
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: start - line_start + 1,
            expected: self.expected,
            came: quote(&page[start..self.end.min(page.len())]),
        }
    }
}

fn quote(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "end of page".to_owned();
    }
    let cut = &bytes[..bytes.len().min(QUOTE_BYTES)];
    let dots = if cut.len() < bytes.len() { "..." } else { "" };
    format!("{:?}{dots}", String::from_utf8_lossy(cut))
}
