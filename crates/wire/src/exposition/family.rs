//! The family name of a metadata line, bare or quoted.

use super::error::Fail;
use super::scan::{closing_quote, metric_end, starts_metric};

/// A family name. It is borrowed from the page, so one that holds escapes cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family<'a> {
    Plain(&'a str),
    Escaped,
}

/// Takes the name at `at`; gives it with the position after it. `expected` words the error.
pub(super) fn take<'a>(
    page: &'a [u8],
    at: usize,
    expected: &'static str,
) -> Result<(Family<'a>, usize), Fail> {
    let fail = Fail::at(at, expected);
    let (text, end) = match page.get(at) {
        Some(b'"') => {
            let close = closing_quote(page, at + 1).ok_or(fail)?;
            (&page[at + 1..close], close + 1)
        }
        Some(&byte) if starts_metric(byte) => {
            let end = metric_end(page, at + 1);
            (&page[at..end], end)
        }
        _ => return Err(fail),
    };
    if text.is_empty() {
        return Err(fail);
    }
    let name = std::str::from_utf8(text).map_err(|_| Fail::token(at, end, "a family name in UTF-8"))?;
    let family = if name.contains('\\') { Family::Escaped } else { Family::Plain(name) };
    Ok((family, end))
}
