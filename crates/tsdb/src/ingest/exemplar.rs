//! The exemplars of a batch.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nave_model::append::{BatchSeries, Item, Reason, Rejection};

use super::Ingest;
use crate::exemplar::Kept;
use crate::record;
use crate::series::Series;

impl Ingest<'_> {
    /// Keeps or refuses the exemplars of `entry`; behind its samples, so that the series is named.
    pub(super) fn exemplars(&mut self, number: u32, entry: &BatchSeries, series: Option<&Arc<Series>>) {
        for i in entry.exemplars.clone() {
            match self.exemplar(entry, i, series) {
                Ok(true) => self.outcome.exemplars.stored += 1,
                Ok(false) => self.outcome.exemplars.duplicate += 1,
                Err(reason) => {
                    self.outcome.exemplars.rejected += 1;
                    let item = Item::Exemplar(i);
                    self.outcome.rejections.push(Rejection { series: number, item, reason });
                }
            }
        }
    }

    /// Whether it is a new one. Without a time it has that of the last sample it came with.
    fn exemplar(
        &mut self,
        entry: &BatchSeries,
        i: u32,
        series: Option<&Arc<Series>>,
    ) -> Result<bool, Reason> {
        let exemplar = &self.batch.exemplars[i as usize];
        let batch = self.batch;
        let sample =
            || batch.timestamps[entry.samples.start as usize..entry.samples.end as usize].last().copied();
        let range = entry.histograms.start as usize..entry.histograms.end as usize;
        let histogram = || batch.histograms[range].last().map(|histogram| histogram.timestamp);
        let t = exemplar.timestamp.or_else(sample).or_else(histogram);
        let t =
            t.ok_or_else(|| Reason::Invalid("expected an exemplar with a time or with a sample".to_owned()))?;
        self.check_time(t)?;
        let all = &self.head.exemplars;
        all.check(&exemplar.labels)?;
        let Some(series) = series else {
            return Err(Reason::Invalid("expected a sample that is kept beside the exemplar".to_owned()));
        };
        let (value, labels) = (exemplar.value.to_bits(), exemplar.labels.clone());
        let kept = Arc::new(Kept { series: series.clone(), t: t.0, value, labels });
        if all.contains(&kept) {
            return Ok(false);
        }
        all.note_fresh(kept.clone());
        kept.put(&mut self.exemplars);
        self.flight.exemplars.push(kept);
        if !series.registered.load(Ordering::Acquire)
            && self.flight.registering.last().is_none_or(|last| last.id != series.id)
        {
            record::put_series(&mut self.registrations, series.id, &series.labels);
            self.flight.registering.push(series.clone());
        }
        Ok(true)
    }
}
