//! From matchers to series.
//!
//! A matcher that an absent label does not fit is the union of the series of the values that fit it. One that an
//! absent label fits takes away the series of the values that do not fit. Values that a matcher names, and
//! prefixes that its regex begins with, are looked up in the dictionary; others are walked over.

use nave_base::Shutdown;
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::regex::Regex;

use crate::damage::Damage;
use crate::error::Error;
use crate::index::{Index, Postings};

/// Values between two looks at `cancel`.
const LOOK: usize = 1 << 10;

/// The series that fit all matchers; an absent label has the value `""`.
///
/// # Errors
/// When the index is damaged, or `cancel` fired.
pub fn select(index: &Index, matchers: &[&Matcher], cancel: &Shutdown) -> Result<Postings, Error> {
    let mut found: Option<Postings> = None;
    let (absent_fits, present): (Vec<&Matcher>, Vec<&Matcher>) =
        matchers.iter().copied().partition(|matcher| matcher.matches_empty());
    for matcher in present {
        let these = with_values(index, matcher, true, cancel)?;
        let both = match found {
            Some(before) => before & these,
            None => these,
        };
        if both.is_empty() {
            return Ok(both);
        }
        found = Some(both);
    }
    let mut found = found.unwrap_or_else(|| {
        let mut all = Postings::new();
        all.insert_range(0..index.series());
        all
    });
    for matcher in absent_fits {
        found -= with_values(index, matcher, false, cancel)?;
    }
    Ok(found)
}

/// The series that have the label with a value for which the matcher says `fits`.
fn with_values(index: &Index, matcher: &Matcher, fits: bool, cancel: &Shutdown) -> Result<Postings, Error> {
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let damaged = Error::damaged("index", 0);
    let name = matcher.name();
    let negated = matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotRegex);
    // The values wanted are those that the matcher's text names.
    let named = negated != fits;
    if let (true, Some(values)) = (named, alternatives(matcher)) {
        let mut found = Postings::new();
        for value in values.iter().filter(|value| !value.is_empty()) {
            found |= index.postings(name, value).map_err(Error::damaged("index", 0))?;
        }
        return Ok(found);
    }
    let prefix = matcher.regex().filter(|_| named).map_or("", Regex::prefix);
    if !fits && matcher.regex().is_some_and(Regex::matches_everything) && !negated {
        return Ok(Postings::new());
    }
    let mut seen = 0;
    let found = index.postings_where(name, prefix, |value| {
        seen += 1;
        if seen % LOOK == 0 && cancel.is_cancelled() {
            return Err(Damage::new("index", 0, "canceled"));
        }
        Ok(matcher.matches(value) == fits)
    });
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    found.map_err(damaged)
}

/// The values that the matcher's text names, where they are few.
fn alternatives(matcher: &Matcher) -> Option<Vec<&str>> {
    match matcher.regex() {
        None => Some(vec![matcher.value()]),
        Some(regex) => regex.literal_alternatives().map(|all| all.iter().map(String::as_str).collect()),
    }
}
