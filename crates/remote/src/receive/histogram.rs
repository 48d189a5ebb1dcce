//! Native histograms that contradict themselves: taken out of a batch before it is appended. The rules are
//! upstream's (`model/histogram`, `Validate`).

use nave_model::append::{Batch, HistogramSample, Item, Reason, Rejection};
use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};

/// Takes invalid histograms out of `batch`; one rejection each.
pub(super) fn take_invalid(batch: &mut Batch) -> Vec<Rejection> {
    let reasons: Vec<_> = batch.histograms.iter().map(|sample| check(&sample.histogram).err()).collect();
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

fn check(h: &Histogram) -> Result<(), String> {
    match h.schema {
        CUSTOM_BUCKETS_SCHEMA => custom(h)?,
        -4..=8 if h.custom_bounds.is_empty() => {}
        -4..=8 => return Err("histogram with exponential schema must not have custom bounds".to_owned()),
        other => {
            return Err(format!("histogram schema {other}, expected -4 to 8 or {CUSTOM_BUCKETS_SCHEMA}"));
        }
    }
    buckets("positive", &h.positive_spans, &h.positive_buckets)?;
    buckets("negative", &h.negative_spans, &h.negative_buckets)?;
    if !h.integer {
        // Sums of floats are not exact, so their total says nothing.
        return match [h.count, h.zero_count].into_iter().find(|count| bad(*count)) {
            Some(count) => Err(format!("histogram has {count} observations")),
            None => Ok(()),
        };
    }
    let total = h.zero_count + h.positive_buckets.iter().chain(&h.negative_buckets).sum::<f64>();
    // NaN observations are counted and are in no bucket.
    if total == h.count || (h.sum.is_nan() && total < h.count) {
        return Ok(());
    }
    Err(format!("{total} observations found in buckets, but the count is {}", h.count))
}

/// Negative, or NaN.
fn bad(count: f64) -> bool {
    count.is_nan() || count < 0.0
}

fn custom(h: &Histogram) -> Result<(), String> {
    if !h.negative_spans.is_empty() || !h.negative_buckets.is_empty() {
        return Err("histogram with custom bounds must not have negative buckets".to_owned());
    }
    if h.zero_count != 0.0 || h.zero_threshold != 0.0 {
        return Err("histogram with custom bounds must not have a zero bucket".to_owned());
    }
    if h.custom_bounds.iter().any(|bound| !bound.is_finite())
        || h.custom_bounds.windows(2).any(|pair| pair[0] >= pair[1])
    {
        return Err("custom bounds must be finite and ascending".to_owned());
    }
    let reach: i64 =
        h.positive_spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
    let bounds = h.custom_bounds.len();
    if h.positive_spans.first().is_some_and(|span| span.offset < 0) || reach > bounds as i64 + 1 {
        return Err(format!("buckets are outside of the {bounds} custom bounds"));
    }
    Ok(())
}

fn buckets(sign: &str, spans: &[Span], buckets: &[f64]) -> Result<(), String> {
    if let Some(span) = spans.iter().skip(1).find(|span| span.offset < 0) {
        return Err(format!("{sign} span with offset {} after the first", span.offset));
    }
    let spanned: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if spanned != buckets.len() as u64 {
        return Err(format!("{sign} spans need {spanned} buckets, have {} buckets", buckets.len()));
    }
    match buckets.iter().find(|count| bad(**count)) {
        Some(count) => Err(format!("{sign} bucket has {count} observations")),
        None => Ok(()),
    }
}
