//! Two appenders as one: a hub that stores locally and also pushes on (HUB-13).
//!
//! The store decides what is accepted; what it rejected is not passed on. The queue must take the rest
//! before the append succeeds, so that acknowledged means stored here and on its way. A repeated batch is
//! a duplicate for the store and is queued again: the next hub sees duplicates, never a gap.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nave_model::append::{Append, AppendError, Batch, Item, Outcome, Rejection, SeriesRef};

use crate::server::Push;

/// Appends to the store, then, while there are endpoints, to the queue of `push`.
pub(crate) struct Tee {
    store: Arc<dyn Append>,
    push: OnceLock<Arc<Push>>,
}

impl Tee {
    /// `store` alone, until [`Tee::forward_to`].
    pub(crate) fn new(store: Arc<dyn Append>) -> Self {
        Self { store, push: OnceLock::new() }
    }

    /// From now on what `store` takes goes to `push` as well. Called once.
    pub(crate) fn forward_to(&self, push: Arc<Push>) {
        assert!(self.push.set(push).is_ok(), "a tee has one second leg");
    }
}

impl Append for Tee {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>> {
        async move {
            let Some(push) = self.push.get().filter(|push| push.is_active()) else {
                return self.store.append(batch).await;
            };
            let forward = batch.clone();
            let outcome = self.store.append(batch).await?;
            push.queue().append(accepted(forward, &outcome.rejections)).await?;
            Ok(outcome)
        }
        .boxed()
    }
}

/// The batch without what was refused, and without references, which are the store's own.
fn accepted(mut batch: Batch, rejections: &[Rejection]) -> Batch {
    for series in &mut batch.series {
        series.reference = SeriesRef::NONE;
    }
    if rejections.is_empty() {
        return batch;
    }
    let whole: HashSet<u32> =
        rejections.iter().filter(|r| r.item == Item::Series).map(|r| r.series).collect();
    let samples: HashSet<u32> = rejections
        .iter()
        .filter_map(|r| if let Item::Sample(index) = r.item { Some(index) } else { None })
        .collect();
    let histograms: HashSet<u32> = rejections
        .iter()
        .filter_map(|r| if let Item::Histogram(index) = r.item { Some(index) } else { None })
        .collect();
    let mut kept = Batch::new(batch.principal.clone(), batch.label_format, batch.bytes.clone());
    for (number, series) in (0u32..).zip(&batch.series) {
        if whole.contains(&number) {
            continue;
        }
        let mut copy = series.clone();
        copy.samples.start = len(kept.values.len());
        for index in series.samples.clone().filter(|index| !samples.contains(index)) {
            kept.timestamps.push(batch.timestamps[index as usize]);
            kept.values.push(batch.values[index as usize]);
            kept.start_timestamps.extend(batch.start_timestamps.get(index as usize));
        }
        copy.samples.end = len(kept.values.len());
        copy.histograms.start = len(kept.histograms.len());
        let histogram_indexes = series.histograms.clone().filter(|index| !histograms.contains(index));
        kept.histograms.extend(histogram_indexes.map(|index| batch.histograms[index as usize].clone()));
        copy.histograms.end = len(kept.histograms.len());
        kept.series.push(copy);
    }
    kept.exemplars = batch.exemplars;
    kept.metadata = batch.metadata;
    kept
}

fn len(len: usize) -> u32 {
    u32::try_from(len).expect("a part of a batch is no larger than the batch")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nave_model::append::{BatchBuilder, Principal, Reason};
    use nave_model::label::Labels;
    use nave_model::time::Timestamp;

    #[test]
    fn what_was_refused_is_not_forwarded() {
        let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
        for name in ["a", "b"] {
            let labels = Labels::from_pairs([("__name__", name)]).unwrap();
            let reference = SeriesRef { generation: 1, id: 1 };
            builder.series(&labels, reference).sample(Timestamp(1), 1.0).sample(Timestamp(2), 2.0);
        }
        let reason = Reason::Unsupported("tests");
        let rejections = [
            Rejection { series: 0, item: Item::Series, reason: reason.clone() },
            Rejection { series: 1, item: Item::Sample(2), reason },
        ];
        let kept = accepted(builder.build(), &rejections);
        assert_eq!(kept.series.len(), 1);
        assert_eq!(kept.series[0].reference, SeriesRef::NONE);
        let samples: Vec<_> = kept.samples(&kept.series[0]).collect();
        assert_eq!(samples, [(Timestamp(2), 2.0)]);
        assert_eq!(kept.series[0].labels, 11..22, "label ranges still point into the same bytes");
    }
}
