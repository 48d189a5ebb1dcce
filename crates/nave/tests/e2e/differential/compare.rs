//! Whether two answers are the same.

use serde_json::{Map, Value};

/// Selectors that find native histograms.
pub(crate) const NATIVE: [&str; 4] = ["latency_native", "latency_custom", "mixed", "latency_.*"];

/// How much looser than bit by bit.
#[derive(Debug, Clone, Copy)]
struct Slack {
    /// Units in the last place.
    ulp: u64,
    /// Absolute.
    difference: f64,
    /// 0 and -0 are the same: neither sort is stable, and they are equal to it.
    zeros: bool,
}

/// What may differ in the answer to `query`, and why.
fn slack(query: &str, is_range: bool) -> Slack {
    // Nobody rounds transcendental functions correctly: Go has code of its own for them, we have the platform's.
    const TRANSCENDENTAL: [&str; 9] = [
        "exp(",
        // Its fraction is the exponential of a logarithm.
        "^",
        "asin(",
        "acos(",
        "atan(",
        "h(",
        "atan2",
        "histogram_quantile(",
        "histogram_std",
    ];
    // Near a multiple of pi the reduction of the argument decides; the result is a small difference of large numbers.
    const PERIODIC: [&str; 3] = ["sin(", "cos(", "tan("];
    // 3.14 adds histograms with compensation, 3.5 does not.
    const SUMS: [&str; 5] = ["sum", "avg", "histogram_", "deriv(", "delta("];
    let has = |words: &[&str]| words.iter().any(|word| query.contains(word));
    let unordered = query.contains('(') && is_range;
    let ulp = match () {
        () if has(&NATIVE) && has(&SUMS) => 1 << 16,
        // Not compensated, so that the order of series shows, which is the store's.
        () if has(&["std"]) => 16,
        // In range queries operators hand on series in the random order of a Go map.
        () if unordered && has(&["sum", "avg"]) => 4,
        // It grows without bound near its poles.
        () if has(&["tan("]) => 1 << 20,
        () if has(&TRANSCENDENTAL) || has(&PERIODIC) => 4,
        () => 0,
    };
    let difference = if has(&PERIODIC) { 1e-15 } else { 0.0 };
    Slack { ulp, difference, zeros: has(&["quantile", "min", "max", "topk", "bottomk"]) }
}

/// What is not the same, if anything.
pub(crate) fn difference(query: &str, ours: &Value, theirs: &Value) -> Option<String> {
    if ours["status"] == "error" || theirs["status"] == "error" {
        // 3.5 counts only matches that give a result, 3.14 all of them.
        let stricter =
            ours["error"].as_str().is_some_and(|error| error.contains("many-to-one matching must be"));
        // 3.5 refuses series that become one by losing their names, also where they follow each other in time.
        let merged = ours["data"]["resultType"] == "matrix"
            && theirs["error"].as_str().is_some_and(|error| error.contains("metrics with the same labelset"));
        let same = stricter || merged || ours["errorType"] == theirs["errorType"];
        return (!same).then(|| format!("ours {}, theirs {}", short(ours), short(theirs)));
    }
    // 3.5 then reads count and sum alone, and takes custom buckets that it did not read for another layout.
    let figures = ["histogram_count(", "histogram_sum(", "histogram_avg("];
    let layouts = ["incompatible bucket layout", "mix of histograms with exponential and custom buckets"];
    let warns = |answer: &Value, of: &str| answer["warnings"].to_string().contains(of);
    let other = |of: &str| warns(theirs, of) != warns(ours, of);
    if figures.iter().any(|function| query.contains(function)) && layouts.into_iter().any(other) {
        return None;
    }
    let (a, b) = (&ours["data"], &theirs["data"]);
    if a["resultType"] != b["resultType"] {
        return Some(format!("type {}, want {}", a["resultType"], b["resultType"]));
    }
    let slack = slack(query, a["resultType"] == "matrix");
    if matches!(a["resultType"].as_str(), Some("scalar" | "string")) {
        return point(&a["result"], &b["result"], slack);
    }
    let (mut a, mut b) = (rows(a), rows(b));
    if a.len() != b.len() {
        return Some(format!("{} series, want {}: {} and {}", a.len(), b.len(), short(ours), short(theirs)));
    }
    let same_order = |a: &Value, b: &Value| value(&a["value"][1], &b["value"][1], slack);
    if query.starts_with("sort") && !a.iter().zip(&b).all(|(a, b)| same_order(a, b)) {
        return Some(format!("another order: {} and {}", short(ours), short(theirs)));
    }
    // Which of equal values comes first, or is among the first, is open.
    if ["topk", "bottomk"].iter().any(|function| query.starts_with(function))
        && values(&a, slack) == values(&b, slack)
    {
        return None;
    }
    a.sort_by_key(|row| row["metric"].to_string());
    b.sort_by_key(|row| row["metric"].to_string());
    a.iter().zip(&b).find_map(|(a, b)| row(a, b, slack))
}

fn short(answer: &Value) -> String {
    let mut text = answer.to_string();
    text.truncate(text.floor_char_boundary(400));
    text
}

fn rows(data: &Value) -> Vec<Value> {
    data["result"].as_array().cloned().unwrap_or_default()
}

/// The values alone, sorted.
fn values(rows: &[Value], slack: Slack) -> Vec<u64> {
    let text = |row: &Value| row["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
    let numbers = rows.iter().map(|row| text(row).unwrap_or(f64::NAN));
    let mut bits: Vec<u64> = numbers.map(|v| if slack.zeros && v == 0.0 { 0 } else { v.to_bits() }).collect();
    bits.sort_unstable();
    bits
}

fn row(a: &Value, b: &Value, slack: Slack) -> Option<String> {
    if a["metric"] != b["metric"] {
        return Some(format!("series {}, want {}", a["metric"], b["metric"]));
    }
    let within = |why: String| format!("{}: {why}", a["metric"]);
    for kind in ["value", "histogram"] {
        if a.get(kind).is_some() != b.get(kind).is_some() {
            return Some(within(format!("{a}, want {b}")));
        }
        if let (Some(a), Some(b)) = (a.get(kind), b.get(kind))
            && let Some(why) = point(a, b, slack)
        {
            return Some(within(why));
        }
    }
    for kind in ["values", "histograms"] {
        let list = |row: &Value| row.get(kind).and_then(Value::as_array).cloned().unwrap_or_default();
        let (a, b) = (list(a), list(b));
        if a.len() != b.len() {
            return Some(within(format!("{} {kind}, want {}", a.len(), b.len())));
        }
        if let Some(why) = a.iter().zip(&b).find_map(|(a, b)| point(a, b, slack)) {
            return Some(within(why));
        }
    }
    None
}

/// A time with a value: a number as text, or a histogram as an object.
fn point(a: &Value, b: &Value, slack: Slack) -> Option<String> {
    let same = a[0] == b[0] && value(&a[1], &b[1], slack);
    (!same).then(|| format!("{a}, want {b}"))
}

fn value(a: &Value, b: &Value, slack: Slack) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(x), Ok(y)) => number(x, y, slack),
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| value(a, b, slack))
        }
        (Value::Object(a), Value::Object(b)) if slack.ulp >= BUCKETS_MAY_VANISH => {
            let (a, b) = (filled(a), filled(b));
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| value(a, b, slack)))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| value(a, b, slack)))
        }
        _ => a == b,
    }
}

/// A bucket that is empty to the one sum is a last bit to the other.
const BUCKETS_MAY_VANISH: u64 = 1 << 16;

/// A histogram without buckets that hold next to nothing of its observations.
fn filled(histogram: &Map<String, Value>) -> Map<String, Value> {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN);
    let buckets = histogram.get("buckets").and_then(Value::as_array);
    let all: f64 = buckets.into_iter().flatten().map(|bucket| number(&bucket[3]).abs()).sum();
    let kept = |bucket: &&Value| number(&bucket[3]).abs() > all * 1e-12;
    let kept: Vec<Value> = buckets.into_iter().flatten().filter(kept).cloned().collect();
    let mut filled = histogram.clone();
    filled.insert("buckets".to_owned(), Value::Array(kept));
    filled
}

fn number(a: f64, b: f64, slack: Slack) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    let near = a.is_sign_negative() == b.is_sign_negative() && a.to_bits().abs_diff(b.to_bits()) <= slack.ulp;
    near || (a - b).abs() < slack.difference || slack.zeros && a == b
}
