//! Quantiles and fractions of classic histograms: cumulative counts by upper bound.

/// One cumulative bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// `le`.
    pub(crate) upper: f64,
    /// Observations at or below it.
    pub(crate) count: f64,
}

/// Decreases up to this relative size are rounding errors and are mended silently.
const SMALL_DELTA: f64 = 1e-12;

/// How counts that must not decrease were mended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mended {
    /// Lowest bound with too small a count.
    pub(crate) lowest: f64,
    /// Highest bound with too small a count.
    pub(crate) highest: f64,
    /// Largest decrease.
    pub(crate) difference: f64,
}

/// The `q` quantile, and what had to be mended for it. Sorts, merges and mends `buckets`.
pub(crate) fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Mended>) {
    if q.is_nan() || buckets.is_empty() {
        return (f64::NAN, None);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, None);
    }
    sort_and_merge(buckets);
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return (f64::NAN, None);
    }
    let mended = make_monotonic(buckets);
    (interpolate(q, buckets), mended)
}

fn interpolate(q: f64, buckets: &[Bucket]) -> f64 {
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if buckets.len() < 2 || observations == 0.0 {
        return f64::NAN;
    }
    let mut rank = q * observations;
    let at = buckets[..last].iter().position(|bucket| bucket.count >= rank).unwrap_or(last);
    if at == last {
        return buckets[last - 1].upper;
    }
    let Bucket { upper, mut count } = buckets[at];
    if at == 0 && upper <= 0.0 {
        return upper;
    }
    let mut lower = 0.0;
    if at > 0 {
        lower = buckets[at - 1].upper;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    lower + (upper - lower) * (rank / count)
}

fn sort_and_merge(buckets: &mut Vec<Bucket>) {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
}

fn make_monotonic(buckets: &mut [Bucket]) -> Option<Mended> {
    let mut mended: Option<Mended> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == before {
            continue;
        }
        if almost_equal(before, count) {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            let difference = before - count;
            let so_far = mended.unwrap_or(Mended { lowest: bucket.upper, highest: bucket.upper, difference });
            mended = Some(Mended {
                lowest: so_far.lowest.min(bucket.upper),
                highest: so_far.highest.max(bucket.upper),
                difference: so_far.difference.max(difference),
            });
        } else {
            before = count;
        }
    }
    mended
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA
}

/// The share of observations between `lower` and `upper`. Sorts and merges `buckets`.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    sort_and_merge(buckets);
    let Some(last) = buckets.last().filter(|last| last.upper == f64::INFINITY) else { return f64::NAN };
    let count = last.count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets).min(count) - rank_of(lower, buckets).min(count)) / count
}

/// How many observations are at or below `value`, interpolated inside its bucket.
fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let mut rank = 0.0;
    let mut from = if buckets[0].upper > 0.0 { 0.0 } else { f64::NEG_INFINITY };
    for bucket in buckets {
        if from >= value {
            return rank;
        }
        if bucket.upper > value {
            // Nothing is known of where observations lie in a bucket without a lower end.
            let share = if from == f64::NEG_INFINITY { 1.0 } else { (value - from) / (bucket.upper - from) };
            return rank + (bucket.count - rank) * share;
        }
        rank = bucket.count;
        from = bucket.upper;
    }
    f64::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    #[test]
    fn quantiles() {
        let check = |q: f64, pairs: &[(f64, f64)], want: f64| {
            let (got, _) = quantile(q, &mut buckets(pairs));
            assert!(got == want || got.is_nan() && want.is_nan(), "{q} of {pairs:?}: {got}, want {want}");
        };
        let plain = [(0.1, 50.0), (0.2, 70.0), (1.0, 110.0), (INF, 110.0)];
        check(0.0, &plain, 0.0);
        check(0.5, &plain, 0.1 + (0.2 - 0.1) * (5.0 / 20.0));
        check(1.0, &plain, 1.0);
        check(-1.0, &plain, -INF);
        check(2.0, &plain, INF);
        check(0.5, &plain[..3], f64::NAN);
        check(0.5, &[(INF, 5.0)], f64::NAN);
        check(0.5, &[(1.0, 0.0), (INF, 0.0)], f64::NAN);
        check(0.9, &[(1.0, 1.0), (INF, 10.0)], 1.0);
        check(0.5, &[(-1.0, 8.0), (INF, 10.0)], -1.0);
    }

    #[test]
    fn decreases_are_mended_and_named() {
        let (_, mended) = quantile(0.5, &mut buckets(&[(1.0, 10.0), (2.0, 4.0), (3.0, 7.0), (INF, 12.0)]));
        assert_eq!(mended, Some(Mended { lowest: 2.0, highest: 3.0, difference: 6.0 }));
        let (_, mended) = quantile(0.5, &mut buckets(&[(1.0, 10.0), (2.0, 10.0 - 1e-14), (INF, 12.0)]));
        assert_eq!(mended, None);
    }

    #[test]
    fn fractions() {
        let plain = [(1.0, 10.0), (2.0, 20.0), (INF, 20.0)];
        let check = |lower: f64, upper: f64, want: f64| {
            assert_eq!(fraction(lower, upper, &mut buckets(&plain)), want, "{lower} {upper}");
        };
        check(0.0, 1.0, 0.5);
        check(0.5, 1.5, 0.5);
        check(-INF, INF, 1.0);
        check(3.0, 2.0, 0.0);
    }
}
