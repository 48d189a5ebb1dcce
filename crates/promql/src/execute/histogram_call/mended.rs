//! The info about bucket counts that decreased, gathered over all steps per metric.

use std::collections::BTreeMap;

use crate::ast::Position;
use crate::execute::Context;
use crate::execute::note::{for_metric, number, two_digits};
use crate::kernel::bucket::Mended;
use crate::kernel::date;

/// What was mended, by metric name.
#[derive(Debug, Default)]
pub(super) struct MendedSteps(BTreeMap<String, Span>);

#[derive(Debug, Clone, Copy)]
struct Span {
    mended: Mended,
    count: u64,
    first: i64,
    last: i64,
}

impl MendedSteps {
    /// Takes what was mended at `time`.
    pub(super) fn add(&mut self, name: &str, time: i64, new: Mended) {
        let start = Span { mended: new, count: 0, first: time, last: time };
        let all = self.0.entry(name.to_owned()).or_insert(start);
        all.mended.lowest = all.mended.lowest.min(new.lowest);
        all.mended.highest = all.mended.highest.max(new.highest);
        all.mended.difference = all.mended.difference.max(new.difference);
        all.count += 1;
        (all.first, all.last) = (all.first.min(time), all.last.max(time));
    }

    /// Tells the user.
    pub(super) fn note(&self, pos: Position, context: &Context) {
        for (name, all) in &self.0 {
            let Span { mended: Mended { lowest, highest, difference }, count, first, last } = *all;
            let text = format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see {MONOTONICITY}){}, from \
                 buckets {} to {}, with a max diff of {}, over {count} samples from {} to {}",
                for_metric(name),
                number(lowest),
                number(highest),
                two_digits(difference),
                date::rfc3339(first),
                date::rfc3339(last),
            );
            context.note(|notes| notes.info(pos, text));
        }
    }
}

/// The page that upstream's info names.
const MONOTONICITY: &str =
    "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile";
