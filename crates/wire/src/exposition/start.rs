//! Start timestamps from OpenMetrics' `_created` lines, which may stand anywhere among the lines of their
//! metric. Lines of one metric stand together, so looking ahead ends where the labels change; the answer is kept
//! for the rest of the metric.

use nave_model::label::Labels;
use nave_model::metadata::MetricType;
use nave_model::time::Timestamp;

use super::{Entry, Parser, SampleLine, seconds_to_ms};

const SUFFIXES: [&str; 6] = ["", "_total", "_count", "_sum", "_bucket", CREATED];
const CREATED: &str = "_created";

/// The answer for the metric seen last.
#[derive(Debug, Clone, Default)]
pub(super) struct Starts {
    last: Option<(Key, Option<Timestamp>)>,
}

/// A metric: its family and the labels that its lines share.
#[derive(Debug, Clone, PartialEq)]
struct Key {
    family: String,
    labels: Labels,
}

impl Starts {
    /// The start timestamp of `sample`, if known; `None` when the line is a `_created` line itself and is
    /// to be left out. `ahead` gives a parser that stands after `sample`.
    pub(super) fn of<'a>(
        &mut self,
        sample: &SampleLine<'a>,
        family: &str,
        ahead: impl FnOnce() -> Parser<'a>,
    ) -> Option<Option<Timestamp>> {
        let Some((key, created)) = key(sample, family) else { return Some(None) };
        if created {
            self.last = Some((key, Some(seconds_to_ms(sample.value))));
            return None;
        }
        if self.last.as_ref().is_none_or(|(known, _)| *known != key) {
            let start = look_ahead(ahead(), &key);
            self.last = Some((key, start));
        }
        self.last.as_ref().map(|(_, start)| *start)
    }
}

fn look_ahead(mut parser: Parser<'_>, key: &Key) -> Option<Timestamp> {
    while let Ok(Some(Entry::Sample(sample))) = parser.next() {
        let (other, created) = self::key(&sample, &key.family)?;
        if other != *key {
            return None;
        }
        if created {
            return Some(seconds_to_ms(sample.value));
        }
    }
    None
}

/// The metric of a line of `family`, and whether it is its `_created` line; `None` for lines of other
/// families and of types that have no start.
fn key(sample: &SampleLine<'_>, family: &str) -> Option<(Key, bool)> {
    let bound = match sample.kind {
        MetricType::Counter => None,
        MetricType::Histogram => Some("le"),
        MetricType::Summary => Some("quantile"),
        _ => return None,
    };
    let labels = sample.labels().ok()?;
    let suffix = labels.metric_name().strip_prefix(family)?;
    let suffix = SUFFIXES.iter().find(|known| **known == suffix)?;
    let shared = labels.without_metric_name().filtered(|name| Some(name) != bound);
    Some((Key { family: family.to_owned(), labels: shared }, *suffix == CREATED))
}
