//! What is wrong with a query, and where.

use std::fmt;

use crate::ast::{Position, line_column};
use crate::lex::TokenKind;
use crate::quote::quote;

/// One thing that is wrong. Shown as `1:5: parse error: unexpected ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Which bytes of the query.
    pub pos: Position,
    /// The line of the first of them, from 1; 0 when the query is empty.
    pub line: usize,
    /// Its column in bytes, from 1; 0 when the query is empty.
    pub column: usize,
    /// Upstream's text.
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(pos: Position, message: String, query: &[u8]) -> Self {
        let (line, column) = if query.is_empty() { (0, 0) } else { line_column(query, pos.start) };
        Self { pos, line, column, message }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "unknown position: parse error: {}", self.message),
            line => write!(f, "{line}:{}: parse error: {}", self.column, self.message),
        }
    }
}

impl std::error::Error for ParseError {}

/// All that is wrong with a query; never empty. Shown as the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseErrors(Vec<ParseError>);

impl ParseErrors {
    pub(crate) fn new(errors: Vec<ParseError>) -> Self {
        assert!(!errors.is_empty(), "ParseErrors: there is a reason");
        Self(errors)
    }

    pub(crate) fn one(error: ParseError) -> Self {
        Self(vec![error])
    }

    /// In the order found.
    #[must_use]
    pub fn all(&self) -> &[ParseError] {
        &self.0
    }

    /// The one to show.
    #[must_use]
    pub fn first(&self) -> &ParseError {
        &self.0[0]
    }
}

impl fmt::Display for ParseErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first().fmt(f)
    }
}

impl std::error::Error for ParseErrors {}

/// A token as error messages show it.
pub(crate) fn describe(kind: TokenKind, text: &[u8]) -> String {
    use TokenKind as T;
    let shown = String::from_utf8_lossy(text);
    match kind {
        T::Eof | T::Error => "end of input".to_owned(),
        T::Identifier => format!("identifier \"{shown}\""),
        T::MetricIdentifier => format!("metric identifier \"{shown}\""),
        T::Number => format!("number {}", shorten(text)),
        T::Duration => format!("duration {}", shorten(text)),
        T::String => format!("string {}", shorten(text)),
        T::Op(_) | T::At | T::MatchRegex | T::MatchNotRegex => format!("<op:{shown}>"),
        T::Aggregate(_) => format!("<aggr:{shown}>"),
        T::Bool
        | T::By
        | T::Without
        | T::On
        | T::Ignoring
        | T::GroupLeft
        | T::GroupRight
        | T::Offset
        | T::Anchored
        | T::Smoothed
        | T::Fill
        | T::FillLeft
        | T::FillRight => format!("<{shown}>"),
        _ => quote(text),
    }
}

/// Quoted, and cut after ten characters.
fn shorten(text: &[u8]) -> String {
    const SHOWN_MAX: usize = 10;
    let whole = String::from_utf8_lossy(text);
    if text.len() <= SHOWN_MAX {
        return quote(text);
    }
    let head: String = whole.chars().take(SHOWN_MAX).collect();
    format!("{}...", quote(head.as_bytes()))
}
