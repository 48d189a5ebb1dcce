//! A classic histogram, collected part by part, and the native one with custom bounds that it is
//! (upstream `util/convertnhcb`).

use super::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};

/// Empty buckets that are kept between others, as upstream keeps them.
const EMPTY_BUCKETS: u32 = 2;

/// Buckets, count and sum of a classic histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Classic {
    /// Upper bound and cumulative count, as they came.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl Classic {
    /// Adds a bucket: its upper bound and all observations up to it.
    pub fn bucket(&mut self, bound: f64, count: f64) {
        self.buckets.push((bound, count));
    }

    /// Sets how many observations there are.
    pub fn count(&mut self, count: f64) {
        self.count = Some(count);
    }

    /// Sets the sum of the observed values.
    pub fn sum(&mut self, sum: f64) {
        self.sum = sum;
    }

    /// Forgets everything; memory is kept.
    pub fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.sum) = (None, 0.0);
    }

    /// Whether nothing was collected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.count.is_none()
    }

    /// The native histogram. Of a bound that stands twice the first bucket counts; a missing `+Inf` bucket holds
    /// the count.
    ///
    /// # Errors
    /// When a bound is NaN, a count is negative or less than that of a lower bucket, or the `+Inf` bucket is not the count.
    pub fn native(&self) -> Result<Histogram, String> {
        let mut buckets = self.buckets.clone();
        if let Some((bound, _)) = buckets.iter().find(|(bound, _)| bound.is_nan()) {
            return Err(format!("a bucket has the bound {bound}"));
        }
        // Stable, so that of equal bounds the first one stays.
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets.dedup_by(|later, first| later.0 == first.0);
        let highest = buckets.last().map_or(0.0, |(_, count)| *count);
        let count = self.count.unwrap_or(highest);
        if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            buckets.push((f64::INFINITY, count));
        }
        let counts = absolute(&buckets)?;
        let total = buckets.last().map_or(0.0, |(_, count)| *count);
        if count != total {
            return Err(format!("the count is {count}, but the +Inf bucket has {total}"));
        }
        let bounds = buckets[..buckets.len() - 1].iter().map(|(bound, _)| *bound).collect();
        let whole = |count: f64| count.fract() == 0.0 && count.abs() < 9e18;
        let length = u32::try_from(counts.len()).map_err(|_| "too many buckets".to_owned())?;
        let mut histogram = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length }],
            integer: buckets.iter().all(|(_, count)| whole(*count)),
            positive_buckets: counts,
            custom_bounds: bounds,
            ..Histogram::default()
        };
        histogram.compact(EMPTY_BUCKETS);
        Ok(histogram)
    }
}

/// From cumulative counts to those of each bucket.
fn absolute(buckets: &[(f64, f64)]) -> Result<Vec<f64>, String> {
    let mut before = 0.0;
    let each = buckets.iter().map(|(bound, count)| {
        if count.is_nan() || *count < before {
            return Err(format!("the bucket of bound {bound} has {count}, the one below it {before}"));
        }
        let own = count - before;
        before = *count;
        Ok(own)
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classic_histograms_become_native() {
        let check =
            |buckets: &[(f64, f64)], count: Option<f64>, want: Result<(&[f64], &[f64], bool), &str>| {
                let classic = Classic { buckets: buckets.to_vec(), count, sum: 1.5 };
                match (classic.native(), want) {
                    (Ok(got), Ok((bounds, counts, integer))) => {
                        assert_eq!(
                            (&*got.custom_bounds, &*got.positive_buckets),
                            (bounds, counts),
                            "{buckets:?}"
                        );
                        assert_eq!((got.integer, got.sum, got.check()), (integer, 1.5, Ok(())));
                    }
                    (Err(got), Err(want)) => assert!(got.contains(want), "{got}"),
                    (got, want) => panic!("{buckets:?}: {got:?}, wanted {want:?}"),
                }
            };
        let inf = f64::INFINITY;
        check(&[(0.5, 1.0), (1.0, 3.0), (inf, 7.0)], Some(7.0), Ok((&[0.5, 1.0], &[1.0, 2.0, 4.0], true)));
        check(&[(1.0, 3.0), (0.5, 1.0)], Some(7.0), Ok((&[0.5, 1.0], &[1.0, 2.0, 4.0], true)));
        check(&[(1.0, 3.0), (1.0, 5.0), (inf, 3.0)], None, Ok((&[1.0], &[3.0], true)));
        check(&[(1.0, 0.5)], Some(0.5), Ok((&[1.0], &[0.5], false)));
        check(&[], Some(4.0), Ok((&[], &[4.0], true)));
        check(&[(1.0, 3.0), (2.0, 2.0)], None, Err("the one below it 3"));
        check(&[(1.0, -1.0)], None, Err("has -1"));
        check(&[(f64::NAN, 1.0)], None, Err("bound NaN"));
        check(&[(inf, 3.0)], Some(4.0), Err("the count is 4"));
    }
}
