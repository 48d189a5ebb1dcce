//! How long which samples are kept, and how much of the disk they may take.
//!
//! Time and rules are enforced window by window: a file goes when all of it is too old; series of a rule that is
//! shorter than the others go when their window is written again, which is done once when it is too old for the rule.

use nave_base::Shutdown;
use nave_block::index::{Index, Postings};
use nave_model::label::Labels;
use nave_model::matcher::Matcher;

/// Series that are kept longer or shorter than the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// How long the samples are kept, in ms; `None` is for ever.
    pub keep_ms: Option<i64>,
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Of series without a rule, in ms; `None` is for ever.
    pub(crate) keep_ms: Option<i64>,
    /// Bytes of everything in the folder.
    pub(crate) bytes_max: Option<u64>,
    /// The first rule that matches decides.
    pub(crate) rules: Vec<RetentionRule>,
    /// Grows with every change.
    pub(crate) generation: u64,
}

impl Retention {
    /// The longest time that anything is kept, in ms; `None` is for ever.
    pub(crate) fn longest_ms(&self) -> Option<i64> {
        let rules = self.rules.iter().map(|rule| rule.keep_ms);
        rules.chain([self.keep_ms]).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max())
    }

    /// Which rules want samples before `end_ms` gone at `now_ms`; the last one is that of the rest. `None` when none
    /// does, so that nobody need look.
    pub(crate) fn expired(&self, end_ms: i64, now_ms: i64) -> Option<Expired<'_>> {
        let is_over = |keep: Option<i64>| keep.is_some_and(|keep| end_ms <= now_ms.saturating_sub(keep));
        let rules: Vec<_> = self.rules.iter().map(|rule| is_over(rule.keep_ms)).collect();
        let expired = Expired { retention: self, rules, rest: is_over(self.keep_ms) };
        (!self.rules.is_empty() && (expired.rest || expired.rules.contains(&true))).then_some(expired)
    }
}

/// The rules by which some samples are too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expired<'a> {
    retention: &'a Retention,
    rules: Vec<bool>,
    rest: bool,
}

impl Expired<'_> {
    /// Whether the series is still kept.
    pub(crate) fn keeps(&self, labels: &Labels) -> bool {
        let rules = self.retention.rules.iter();
        let rule = rules.zip(&self.rules).find(|(rule, _)| Matcher::all_match(&rule.matchers, labels));
        !rule.map_or(self.rest, |(_, expired)| *expired)
    }

    /// Whether the block has series that are not kept.
    ///
    /// # Errors
    /// When the index is damaged.
    pub(crate) fn finds_any(&self, index: &Index) -> Result<bool, nave_block::Error> {
        let mut before = Postings::new();
        for (rule, expired) in self.retention.rules.iter().zip(&self.rules) {
            let matchers: Vec<_> = rule.matchers.iter().collect();
            let found = nave_block::select(index, &matchers, &Shutdown::new())?;
            if *expired && !found.is_subset(&before) {
                return Ok(true);
            }
            before |= found;
        }
        Ok(self.rest && before.len() < u64::from(index.series()))
    }

    /// Tells two outcomes apart: the same for the same rules.
    pub(crate) fn key(&self) -> (u64, Vec<bool>) {
        let all = self.rules.iter().copied().chain([self.rest]).collect();
        (self.retention.generation, all)
    }
}

#[cfg(test)]
mod tests {
    use nave_model::matcher::MatchOp;

    use super::*;

    fn rule(name: &str, value: &str, keep_ms: Option<i64>) -> RetentionRule {
        RetentionRule { matchers: vec![Matcher::new(MatchOp::Regex, name, value).unwrap()], keep_ms }
    }

    fn labels(cluster: &str) -> Labels {
        Labels::from_pairs([("__name__", "up"), ("cluster", cluster)]).unwrap()
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let retention = Retention {
            keep_ms: Some(30),
            rules: vec![rule("cluster", "stag.*", Some(7)), rule("cluster", ".+ing|gold", Some(100))],
            ..Retention::default()
        };
        assert_eq!(retention.longest_ms(), Some(100));
        let check = |now: i64, want: [bool; 3]| {
            let expired = retention.expired(1000, now);
            let keeps =
                |cluster: &str| expired.as_ref().is_none_or(|expired| expired.keeps(&labels(cluster)));
            assert_eq!(["staging", "gold", "dev"].map(keeps), want, "at {now}");
        };
        check(1000, [true, true, true]);
        check(1007, [false, true, true]);
        check(1030, [false, true, false]);
        check(1100, [false, false, false]);
        assert_eq!(retention.expired(1000, 1006), None);
    }

    #[test]
    fn the_longest_may_be_for_ever() {
        let mut retention = Retention { keep_ms: Some(5), ..Retention::default() };
        assert_eq!((retention.longest_ms(), retention.expired(0, 99)), (Some(5), None));
        retention.rules.push(rule("a", "b", None));
        assert_eq!(retention.longest_ms(), None);
        assert!(retention.expired(0, 99).is_some());
    }
}
