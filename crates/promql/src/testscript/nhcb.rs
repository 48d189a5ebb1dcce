//! `load_with_nhcb`: native histograms with custom buckets, made of the classic ones of a load.

use std::collections::BTreeMap;
use std::sync::Arc;

use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};
use nave_model::label::{BUCKET, Labels, METRIC_NAME};
use nave_model::sample::Value;
use nave_model::time::Timestamp;

use super::histogram::empty;
use super::script::Load;

/// The parts of one classic histogram at one time.
#[derive(Default)]
struct Classic {
    /// Upper bound and cumulative count, as written.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

enum Part {
    Bucket(f64),
    Count,
    Sum,
}

/// The histograms, series by series in order of time.
pub(super) fn convert(load: &Load) -> Result<Vec<(Labels, Timestamp, Value)>, String> {
    let mut groups: BTreeMap<(Labels, Timestamp), Classic> = BTreeMap::new();
    for series in &load.series {
        let Some((labels, part)) = part_of(&series.labels) else { continue };
        for (index, value) in series.values.iter().enumerate() {
            let Some(Value::Float(value)) = value.as_ref().map(|value| &value.value) else { continue };
            let at = Timestamp(load.step_ms.saturating_mul(i64::try_from(index).unwrap_or(i64::MAX)));
            let classic = groups.entry((labels.clone(), at)).or_default();
            match part {
                Part::Bucket(bound) => classic.buckets.push((bound, *value)),
                Part::Count => classic.count = Some(*value),
                Part::Sum => classic.sum = *value,
            }
        }
    }
    let made = |((labels, at), classic): ((Labels, Timestamp), Classic)| {
        let histogram = native(classic).map_err(|how| format!("{labels} at {at}: {how}"))?;
        Ok((labels, at, Value::Histogram(Arc::new(histogram))))
    };
    groups.into_iter().map(made).collect()
}

/// The labels of the histogram that a series is part of, and which part.
fn part_of(labels: &Labels) -> Option<(Labels, Part)> {
    let name = labels.metric_name();
    let (base, part) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound: f64 = labels.get(BUCKET).parse().ok().filter(|bound: &f64| !bound.is_nan())?;
        (base, Part::Bucket(bound))
    } else if let Some(base) = name.strip_suffix("_count") {
        (base, Part::Count)
    } else {
        (name.strip_suffix("_sum")?, Part::Sum)
    };
    let mut builder = labels.to_builder();
    builder.set(METRIC_NAME, base).remove(BUCKET);
    Some((builder.build(), part))
}

fn native(classic: Classic) -> Result<Histogram, String> {
    let Classic { mut buckets, count, sum } = classic;
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets.dedup_by(|later, first| later.0 == first.0);
    let highest = buckets.last().map_or(0.0, |(_, count)| *count);
    let count = count.unwrap_or(highest);
    if count < 0.0 {
        return Err(format!("negative count {count}"));
    }
    if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
        buckets.push((f64::INFINITY, count));
    }
    let mut before = 0.0;
    let mut counts = Vec::with_capacity(buckets.len());
    for (bound, cumulative) in &buckets {
        if *cumulative < before {
            return Err(format!("bucket {bound} has {cumulative} observations, the one below {before}"));
        }
        counts.push(cumulative - before);
        before = *cumulative;
    }
    if before != count {
        return Err(format!("count is {count}, the +Inf bucket has {before}"));
    }
    let length = u32::try_from(counts.len()).map_err(|_| "too many buckets".to_owned())?;
    let custom_bounds = buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect();
    Ok(Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum,
        positive_spans: vec![Span { offset: 0, length }],
        positive_buckets: counts,
        custom_bounds,
        ..empty()
    })
}
