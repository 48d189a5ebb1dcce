//! Native histograms that contradict themselves: taken out of a batch before it is appended.

use nave_model::append::{Batch, HistogramSample, Item, Reason, Rejection};

/// Takes invalid histograms out of `batch`; one rejection each.
pub(super) fn take_invalid(batch: &mut Batch) -> Vec<Rejection> {
    let reasons: Vec<_> = batch.histograms.iter().map(|sample| sample.histogram.check().err()).collect();
    if reasons.iter().all(Option::is_none) {
        return Vec::new();
    }
    let (mut rejections, mut kept): (_, Vec<HistogramSample>) = (Vec::new(), Vec::new());
    for (number, series) in (0u32..).zip(&mut batch.series) {
        let start = kept.len() as u32;
        for at in series.histograms.clone() {
            match &reasons[at as usize] {
                None => kept.push(batch.histograms[at as usize].clone()),
                Some(what) => {
                    let reason = Reason::Invalid(what.clone());
                    rejections.push(Rejection { series: number, item: Item::Histogram(at), reason });
                }
            }
        }
        series.histograms = start..kept.len() as u32;
    }
    batch.histograms = kept;
    rejections
}
