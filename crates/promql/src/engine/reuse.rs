//! Range queries whose settled steps are taken from the cache.

use std::sync::Arc;

use nave_model::select::Select;

use super::cache::{Key, join};
use super::{Engine, QueryOptions};
use crate::answer::{Answer, Series, Stats, Value};
use crate::error::QueryError;
use crate::follow::Followed;
use crate::plan::Steps;

impl Engine {
    /// As without a cache, but evaluates only the steps that are not kept.
    pub(super) async fn range_with_reuse(
        &self,
        store: Arc<dyn Select>,
        query: &str,
        steps: Steps,
        mut options: QueryOptions,
    ) -> Result<Answer, QueryError> {
        let lookback_ms = self.lookback_ms(options.lookback);
        let enabled = self.options.cache.limit() > 0;
        let key = enabled.then(|| Key::new(&options.scope, query, steps, lookback_ms)).flatten();
        let Some(key) = key else { return self.run(store, query, steps, false, options).await };
        let started = self.clock.monotonic();
        // What is kept is whole, for those who ask with another limit.
        let limit = options.limit.take();
        // Before anything is read: what changes from now on makes what is kept below worthless.
        let now = store.watermark();
        let (kept, rest) = self.cache.get(&key, now, steps).unwrap_or((Vec::new(), steps));
        if rest.len() == 0 {
            let mut answer = self.kept_answer(kept, query, steps, options);
            answer.cut(limit);
            return Ok(answer);
        }
        let mut plan = self.plan(query, rest, false, &options)?;
        let ahead_ms = plan.newest_read().map_or(0, |newest| newest.saturating_sub(rest.end));
        let answer = self.execute(store, (query, plan, started), rest, false, options).await?;
        let says_nothing = answer.warnings.is_empty() && answer.infos.is_empty();
        let Value::Matrix(later) = answer.value else { return Ok(answer) };
        let series = join(kept, later);
        if says_nothing {
            self.cache.put(key, now, (steps, ahead_ms), &series);
        }
        let mut answer = Answer { value: Value::Matrix(series), ..answer };
        answer.cut(limit);
        Ok(answer)
    }

    /// An answer that needed no evaluation.
    fn kept_answer(&self, series: Vec<Series>, query: &str, steps: Steps, options: QueryOptions) -> Answer {
        let asked = super::asked(query, steps, false, options.origin);
        let followed = Followed::begin(&self.options.follow, asked);
        let stats = Stats { series: series.len() as u64, ..Stats::default() };
        self.metrics.observe(&stats);
        followed.end(Ok(&stats));
        Answer {
            value: Value::Matrix(series),
            warnings: Vec::new(),
            infos: Vec::new(),
            stats,
            samples_per_step: Vec::new(),
            plan: None,
        }
    }
}
