//! Which queries are so small that they are evaluated where they are asked.
//!
//! The estimate errs to the high side: it knows how many series there are at most and how many windows are computed,
//! takes a sample per 10 s, and refuses nodes whose cost does not follow from that (subqueries, `info`).

use nave_model::select::{Need, Scope, Select};

use crate::plan::{Kind, Node, RangeInput, Source, Steps};

/// A unit is a sample that is decoded or looked at, a few nanoseconds.
const COST_MAX: usize = 1 << 16;
/// Finding a series, its labels and its newest chunk, in units.
const SERIES_COST: usize = 60;
const SAMPLE_EVERY_MS: usize = 10_000;

/// Whether `plan` needs no I/O and well under a millisecond.
pub(super) fn is_small(plan: &Node, steps: Steps, store: &dyn Select, scope: &Scope) -> bool {
    let size = Size { steps: steps.len(), store, scope };
    size.cost(plan).is_some_and(|cost| cost <= COST_MAX)
}

struct Size<'a> {
    steps: usize,
    store: &'a dyn Select,
    scope: &'a Scope,
}

impl Size<'_> {
    /// Units that `node` takes; `None` when that is not known.
    fn cost(&self, node: &Node) -> Option<usize> {
        let below = match &node.kind {
            Kind::Number(_) | Kind::Text(_) => 0,
            Kind::Scan(source) | Kind::Timestamps(source) | Kind::StartTimes(source) => self.read(source)?,
            Kind::Raw(RangeInput::Source(source)) => self.read(source)?,
            Kind::Range(call) => match &call.input {
                RangeInput::Source(source) => self.sum(&call.params)?.saturating_add(self.read(source)?),
                RangeInput::Subquery(_) => return None,
            },
            Kind::Call { args, .. } => self.sum(args)?,
            Kind::Absent { input, .. } | Kind::Negate(input) | Kind::Dedupe { input, .. } => {
                self.cost(input)?
            }
            Kind::Aggregate(aggregate) => {
                let param = aggregate.param.as_ref().map_or(Some(0), |param| self.cost(param));
                self.cost(&aggregate.input)?.saturating_add(param?)
            }
            Kind::Shared(shared) => self.cost(&shared.input)?,
            Kind::Binary(binary) => self.cost(&binary.lhs)?.saturating_add(self.cost(&binary.rhs)?),
            _ => return None,
        };
        // Every operator touches each result once or so; a long chain of them is not small.
        Some(below.saturating_add(below / 8).saturating_add(self.steps))
    }

    fn sum(&self, nodes: &[Node]) -> Option<usize> {
        nodes.iter().try_fold(0usize, |sum, node| Some(sum.saturating_add(self.cost(node)?)))
    }

    fn read(&self, source: &Source) -> Option<usize> {
        let series = self.store.at_hand(self.scope, &source.matchers, source.range)?;
        let samples = |ms: i64| usize::try_from(ms).map_or(0, |ms| ms / SAMPLE_EVERY_MS) + 1;
        let read = match source.need {
            Need::Labels | Need::LastSample => 1,
            _ => samples(source.range.max.0.saturating_sub(source.range.min.0)),
        };
        let window = if source.is_range { samples(source.window_ms) } else { 1 };
        let each = self.steps.saturating_mul(window).saturating_add(read).saturating_add(SERIES_COST);
        Some(each.saturating_mul(series))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread::{ThreadId, current};

    use futures_util::future::BoxFuture;
    use nave_base::clock::SystemClock;
    use nave_base::metric::Registry;
    use nave_model::matcher::Matcher;
    use nave_model::select::{SelectError, Selected, Selection, Watermark};
    use nave_model::time::{TimeRange, Timestamp};
    use parking_lot::Mutex;

    use super::*;
    use crate::engine::{Engine, EngineOptions, QueryOptions};
    use crate::testscript::MemoryStore;

    /// Says how many series there are, and notes where it was asked for them.
    #[derive(Default)]
    struct AtHand {
        inner: MemoryStore,
        series: Option<usize>,
        opened: Mutex<Vec<ThreadId>>,
    }

    impl Select for AtHand {
        fn open(&self, selection: Selection) -> BoxFuture<'_, Result<Box<dyn Selected>, SelectError>> {
            self.opened.lock().push(current().id());
            self.inner.open(selection)
        }

        fn watermark(&self) -> Watermark {
            self.inner.watermark()
        }

        fn at_hand(&self, _: &Scope, _: &[Matcher], _: TimeRange) -> Option<usize> {
            self.series
        }
    }

    /// Where `query` over 1,000 steps of 15 s is evaluated when every selector has `series` series.
    async fn is_here(query: &str, series: Option<usize>) -> bool {
        let engine = Engine::new(EngineOptions::default(), SystemClock::shared(), &Registry::default());
        let store = Arc::new(AtHand { series, ..AtHand::default() });
        let options = QueryOptions::default();
        let end = Timestamp(999 * 15_000);
        engine.range(store.clone(), query, Timestamp(0), end, 15_000, options).await.unwrap();
        let opened = store.opened.lock();
        assert!(!opened.is_empty());
        opened.iter().all(|thread| *thread == current().id())
    }

    #[tokio::test]
    async fn only_small_queries_stay_on_the_thread() {
        for (query, series, expect) in [
            ("m", Some(0), true),
            ("m", Some(10), true),
            ("m", None, false),
            ("m", Some(10_000), false),
            ("m", Some(usize::MAX), false),
            ("sum by (a) (rate(m[2m])) / sum(n) or vector(scalar(absent(-m)))", Some(1), true),
            ("rate(m[1d])", Some(1), false),
            ("max_over_time(m[5m:1m])", Some(1), false),
            ("quantile_over_time(scalar(m), n[1m])", Some(2), true),
        ] {
            assert_eq!(is_here(query, series).await, expect, "{query} with {series:?}");
        }
    }
}
