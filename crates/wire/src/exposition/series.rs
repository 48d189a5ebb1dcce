//! The text of a series: a name, braces, labels. Scanned once per line, decoded on demand.
//!
//! Grammar of both formats: a bare metric name, or a quoted one as an element of the braces, which may
//! stand anywhere in them. The text format allows blanks between all tokens and lets commas be left out;
//! OpenMetrics allows neither. A trailing comma is accepted in both, as upstream does.

use std::borrow::Cow;

use nave_model::label::{LabelError, Labels, METRIC_NAME};
use nave_model::metadata::MetricType;

use super::error::Fail;
use super::number::canonical_bound;
use super::scan::{blanks, closing_quote, label_end, metric_end, starts_label, starts_metric};
use crate::pairs::{Pair, to_labels};

const CLOSING_QUOTE: &str = "label value (a closing quote on the same line)";

/// Checks the series that starts at `at` and gives its end. `OM` is OpenMetrics' strictness.
#[inline]
pub(super) fn scan<const OM: bool>(page: &[u8], at: usize) -> Result<usize, Fail> {
    if page[at] == b'{' {
        return scan_braces::<OM>(page, at, false);
    }
    if !starts_metric(page[at]) {
        return Err(Fail::at(at, "a valid start token"));
    }
    let end = metric_end(page, at + 1);
    let brace = if OM { end } else { blanks(page, end) };
    if page.get(brace) == Some(&b'{') { scan_braces::<OM>(page, brace, true) } else { Ok(end) }
}

/// Checks the braces that open at `open` and gives the position after them. `named` says whether a metric
/// name stood before; without one there must be a quoted one inside.
fn scan_braces<const OM: bool>(page: &[u8], open: usize, mut named: bool) -> Result<usize, Fail> {
    let mut at = gap::<OM>(page, open + 1);
    loop {
        let start = at;
        let quoted = match page.get(at) {
            Some(b'}') if named => return Ok(at + 1),
            Some(b'}') => return Err(Fail::token(open, at + 1, "a metric name before or inside the braces")),
            Some(b'"') => true,
            Some(&byte) if starts_label(byte) => false,
            _ => return Err(Fail::at(at, "label name")),
        };
        let end = if quoted { name_quote_end(page, at)? } else { label_end(page, at + 1) };
        at = gap::<OM>(page, end);
        match page.get(at) {
            Some(b'=') => at = gap::<OM>(page, scan_value(page, gap::<OM>(page, at + 1))?),
            Some(b',' | b'}') if quoted && named => {
                return Err(Fail::token(start, end, "only one metric name"));
            }
            Some(b',' | b'}') if quoted => named = true,
            _ => return Err(Fail::at(at, "equal")),
        }
        match page.get(at) {
            Some(b',') => at = gap::<OM>(page, at + 1),
            Some(b'}') => {}
            _ if OM => return Err(Fail::at(at, "comma or brace close")),
            _ => {}
        }
    }
}

/// Checks exemplar labels whose brace opens at `open` and gives the position after the closing one.
pub(super) fn scan_exemplar(page: &[u8], open: usize) -> Result<usize, Fail> {
    // A metric name is no label: as if one had been seen already.
    scan_braces::<true>(page, open, true)
}

#[inline]
fn gap<const OM: bool>(page: &[u8], at: usize) -> usize {
    if OM { at } else { blanks(page, at) }
}

fn name_quote_end(page: &[u8], open: usize) -> Result<usize, Fail> {
    match closing_quote(page, open + 1) {
        Some(close) if close == open + 1 => Err(Fail::token(open, close + 1, "a name that is not empty")),
        Some(close) => Ok(close + 1),
        None => Err(Fail::at(open, "label name (a closing quote on the same line)")),
    }
}

#[inline]
fn scan_value(page: &[u8], at: usize) -> Result<usize, Fail> {
    if page.get(at) != Some(&b'"') {
        return Err(Fail::at(at, "label value"));
    }
    closing_quote(page, at + 1).map(|close| close + 1).ok_or(Fail::at(at, CLOSING_QUOTE))
}

/// Decodes a series that [`scan`] has accepted. Bounds of the buckets and quantiles of `kind` are brought
/// into canonical form, so that `le="1"` and `le="1.0"` are one series.
pub(super) fn decode(series: &[u8], kind: MetricType) -> Result<Labels, LabelError> {
    let mut pairs: Vec<Pair<'_>> = Vec::with_capacity(16);
    let name_end = if series[0] == b'{' { 0 } else { metric_end(series, 0) };
    if name_end > 0 {
        pairs.push((Cow::Borrowed(METRIC_NAME), unescape(&series[..name_end])?));
    }
    let mut at = blanks(series, name_end) + 1;
    while at < series.len() {
        at = blanks(series, at);
        match series.get(at) {
            Some(b',') => at += 1,
            Some(b'}') | None => break,
            Some(_) => at = decode_element(series, at, &mut pairs)?,
        }
    }
    if let Some(label) = bound_label(kind) {
        for (_, value) in pairs.iter_mut().filter(|(name, _)| name == label) {
            *value = Cow::Owned(canonical_bound(value));
        }
    }
    to_labels(&mut pairs)
}

/// One label, or a quoted metric name; gives the position after it.
fn decode_element<'a>(series: &'a [u8], at: usize, pairs: &mut Vec<Pair<'a>>) -> Result<usize, LabelError> {
    let (name, end) = decode_token(series, at)?;
    let equal = blanks(series, end);
    if series.get(equal) != Some(&b'=') {
        pairs.push((Cow::Borrowed(METRIC_NAME), name));
        return Ok(end);
    }
    let (value, end) = decode_token(series, blanks(series, equal + 1))?;
    pairs.push((name, value));
    Ok(end)
}

/// A quoted text or a bare name at `at`, and the position after it.
fn decode_token(series: &[u8], at: usize) -> Result<(Cow<'_, str>, usize), LabelError> {
    let damaged = LabelError::Damaged { offset: at, len: series.len() };
    if series.get(at) == Some(&b'"') {
        let close = closing_quote(series, at + 1).ok_or(damaged)?;
        return Ok((unescape(&series[at + 1..close])?, close + 1));
    }
    let end = label_end(series, at);
    if end == at { Err(damaged) } else { Ok((unescape(&series[at..end])?, end)) }
}

fn bound_label(kind: MetricType) -> Option<&'static str> {
    match kind {
        MetricType::Summary => Some("quantile"),
        MetricType::Histogram => Some("le"),
        _ => None,
    }
}

/// Text between quotes; `\"`, `\\` and `\n` are resolved, any other backslash stands for itself.
pub(super) fn unescape(text: &[u8]) -> Result<Cow<'_, str>, LabelError> {
    let text = std::str::from_utf8(text)
        .map_err(|_| LabelError::NotUtf8 { name: String::from_utf8_lossy(text).into_owned() })?;
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (resolved, used) = match rest.as_bytes().get(at + 1) {
            Some(b'"') => ('"', 2),
            Some(b'\\') => ('\\', 2),
            Some(b'n') => ('\n', 2),
            _ => ('\\', 1),
        };
        out.push(resolved);
        rest = &rest[at + used..];
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}
