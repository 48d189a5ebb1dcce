//! Native histograms: what is computed from one of them.

use nave_model::histogram::Histogram;

/// Mean of the observations.
pub(crate) fn average(histogram: &Histogram) -> f64 {
    histogram.sum / histogram.count
}
