//! Histograms that contradict themselves. The rules are upstream's (`model/histogram`, `Validate`).

use super::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};

impl Histogram {
    /// Whether spans, buckets, counts, schema and bounds fit each other. The total of a float histogram is not
    /// checked, as sums of floats are not exact.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn check(&self) -> Result<(), String> {
        match self.schema {
            CUSTOM_BUCKETS_SCHEMA => custom(self)?,
            -4..=8 if self.custom_bounds.is_empty() => {}
            -4..=8 => return Err("histogram with exponential schema must not have custom bounds".to_owned()),
            other => {
                return Err(format!("histogram schema {other}, expected -4 to 8 or {CUSTOM_BUCKETS_SCHEMA}"));
            }
        }
        buckets("positive", &self.positive_spans, &self.positive_buckets)?;
        buckets("negative", &self.negative_spans, &self.negative_buckets)?;
        if !self.integer {
            return match [self.count, self.zero_count].into_iter().find(|count| bad(*count)) {
                Some(count) => Err(format!("histogram has {count} observations")),
                None => Ok(()),
            };
        }
        let total = self.zero_count + self.positive_buckets.iter().chain(&self.negative_buckets).sum::<f64>();
        // NaN observations are counted and are in no bucket.
        if total == self.count || (self.sum.is_nan() && total < self.count) {
            return Ok(());
        }
        Err(format!("{total} observations found in buckets, but the count is {}", self.count))
    }
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
