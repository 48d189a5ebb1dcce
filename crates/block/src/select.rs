//! From matchers to series.
//!
//! A matcher that an absent label does not fit is the union of the series of the values that fit it. One that an
//! absent label fits takes away the series of the values that do not fit. Values that a matcher names, and
//! prefixes that its regex begins with, are looked up in the dictionary; others are walked over. Matchers with few
//! values come first; when few series are left and a matcher has many values, the labels of these series are looked at instead.

use std::collections::HashSet;

use nave_base::Shutdown;
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::regex::Regex;

use crate::damage::Damage;
use crate::error::Error;
use crate::index::{Index, Postings};
use crate::page::Scratch;

/// Values between two looks at `cancel`.
const LOOK: usize = 1 << 10;
/// Looking at the labels of a series costs as much as looking at so many values.
const ROW_COST: usize = 16;

/// The series that fit all matchers; an absent label has the value `""`.
///
/// # Errors
/// When the index is damaged, or `cancel` fired.
pub fn select(index: &Index, matchers: &[&Matcher], cancel: &Shutdown) -> Result<Postings, Error> {
    let mut steps = matchers
        .iter()
        .map(|matcher| Step::new(index, matcher))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::damaged("index", 0))?;
    steps.sort_by_key(|step| (step.absent_fits, step.cost));
    let mut found: Option<Postings> = None;
    for step in steps {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let before = match found {
            None if step.absent_fits => all(index),
            None => {
                found = Some(step.series(index, true, cancel)?);
                continue;
            }
            Some(before) if before.is_empty() => return Ok(before),
            Some(before) => before,
        };
        found = Some(step.narrow(index, before, cancel)?);
    }
    Ok(found.unwrap_or_else(|| all(index)))
}

fn all(index: &Index) -> Postings {
    let mut all = Postings::new();
    all.insert_range(0..index.series());
    all
}

/// A matcher and what it will cost.
struct Step<'a> {
    matcher: &'a Matcher,
    absent_fits: bool,
    /// Values to look at.
    cost: usize,
}

/// Which values of a label are wanted.
enum Values<'a> {
    /// These.
    Named(Vec<&'a str>),
    /// Those that begin so, if the matcher says so.
    Under(&'a str),
}

impl<'a> Step<'a> {
    fn new(index: &Index, matcher: &'a Matcher) -> Result<Self, Damage> {
        let absent_fits = matcher.matches_empty();
        let mut step = Self { matcher, absent_fits, cost: 0 };
        step.cost = match step.values(!absent_fits) {
            Values::Named(values) => values.len(),
            Values::Under(prefix) => index.values_count(matcher.name(), prefix)?,
        };
        Ok(step)
    }

    /// The values for which the matcher says `fits`, or more.
    fn values(&self, fits: bool) -> Values<'a> {
        let negated = matches!(self.matcher.op(), MatchOp::NotEqual | MatchOp::NotRegex);
        if negated == fits {
            let everything = self.matcher.regex().is_some_and(Regex::matches_everything);
            return if everything { Values::Named(vec![]) } else { Values::Under("") };
        }
        match self.matcher.regex() {
            None => Values::Named(vec![self.matcher.value()]),
            Some(regex) => match regex.literal_alternatives() {
                Some(all) => {
                    let all: HashSet<&str> = all.iter().map(String::as_str).collect();
                    Values::Named(all.into_iter().collect())
                }
                None => Values::Under(regex.prefix()),
            },
        }
    }

    /// The series that have the label with a value for which the matcher says `fits`.
    fn series(&self, index: &Index, fits: bool, cancel: &Shutdown) -> Result<Postings, Error> {
        let name = self.matcher.name();
        let damaged = || Error::damaged("index", 0);
        match self.values(fits) {
            Values::Named(values) => {
                let mut found = Postings::new();
                for value in values.into_iter().filter(|value| !value.is_empty()) {
                    found |= index.postings(name, value).map_err(damaged())?;
                }
                Ok(found)
            }
            Values::Under(prefix) => {
                let mut seen = 0;
                let found = index.postings_where(name, prefix, |value| {
                    seen += 1;
                    if seen % LOOK == 0 && cancel.is_cancelled() {
                        return Err(Stop::Cancelled);
                    }
                    Ok(self.matcher.matches(value) == fits)
                });
                found.map_err(|stop| match stop {
                    Stop::Cancelled => Error::Cancelled,
                    Stop::Damaged(damage) => damaged()(damage),
                })
            }
        }
    }

    /// Those of `found` that fit.
    fn narrow(&self, index: &Index, found: Postings, cancel: &Shutdown) -> Result<Postings, Error> {
        if self.cost > ROW_COST * found.len() as usize {
            let mut scratch = Scratch::new();
            let fits = |value: &str| self.matcher.matches(value);
            let kept = index.retain(&found, self.matcher.name(), &mut scratch, fits);
            return kept.map_err(Error::damaged("index", 0));
        }
        if self.absent_fits {
            Ok(found - self.series(index, false, cancel)?)
        } else {
            Ok(found & self.series(index, true, cancel)?)
        }
    }
}

/// Why a walk over values ended early.
enum Stop {
    Damaged(Damage),
    Cancelled,
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}
