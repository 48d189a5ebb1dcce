//! Whether two answers are the same.

use serde_json::Value;

/// How far apart two results may be, in units in the last place, and why.
///
/// Transcendental functions are not rounded correctly by anybody: Go has assembly or code of its own for them, we have the
/// platform's. Both are within one unit of the true value on either side.
pub(super) fn ulp_max(query: &str) -> u64 {
    const LOOSE: [&str; 22] = [
        "exp(",
        "ln(",
        "log2(",
        "log10(",
        "sin(",
        "cos(",
        "tan(",
        "asin(",
        "acos(",
        "atan(",
        "sinh(",
        "cosh(",
        "tanh(",
        "asinh(",
        "acosh(",
        "atanh(",
        "atan2",
        "^",
        "histogram_quantile(",
        "histogram_fraction(",
        "histogram_stddev(",
        "histogram_stdvar(",
    ];
    if LOOSE.iter().any(|function| query.contains(function)) { 4 } else { 0 }
}

/// What is not the same, if anything.
pub(super) fn difference(query: &str, ours: &Value, theirs: &Value) -> Option<String> {
    if ours["status"] == "error" || theirs["status"] == "error" {
        let same = ours["errorType"] == theirs["errorType"];
        return (!same).then(|| format!("ours {}, theirs {}", short(ours), short(theirs)));
    }
    let (a, b) = (&ours["data"], &theirs["data"]);
    if a["resultType"] != b["resultType"] {
        return Some(format!("type {}, want {}", a["resultType"], b["resultType"]));
    }
    let ulp = ulp_max(query);
    if matches!(a["resultType"].as_str(), Some("scalar" | "string")) {
        return point(&a["result"], &b["result"], ulp);
    }
    let is_sorted = query.starts_with("sort") && a["resultType"] == "vector";
    let (mut a, mut b) = (rows(a), rows(b));
    if !is_sorted {
        a.sort_by_key(|row| row["metric"].to_string());
        b.sort_by_key(|row| row["metric"].to_string());
    }
    if a.len() != b.len() {
        return Some(format!("{} series, want {}: {} and {}", a.len(), b.len(), short(ours), short(theirs)));
    }
    a.iter().zip(&b).find_map(|(a, b)| row(a, b, ulp))
}

fn short(answer: &Value) -> String {
    let mut text = answer.to_string();
    text.truncate(text.floor_char_boundary(400));
    text
}

fn rows(data: &Value) -> Vec<Value> {
    data["result"].as_array().cloned().unwrap_or_default()
}

fn row(a: &Value, b: &Value, ulp: u64) -> Option<String> {
    if a["metric"] != b["metric"] {
        return Some(format!("series {}, want {}", a["metric"], b["metric"]));
    }
    let within = |why: String| format!("{}: {why}", a["metric"]);
    for kind in ["value", "histogram"] {
        if a.get(kind).is_some() != b.get(kind).is_some() {
            return Some(within(format!("{a}, want {b}")));
        }
        if let (Some(a), Some(b)) = (a.get(kind), b.get(kind))
            && let Some(why) = point(a, b, ulp)
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
        if let Some(why) = a.iter().zip(&b).find_map(|(a, b)| point(a, b, ulp)) {
            return Some(within(why));
        }
    }
    None
}

/// A time with a value: a number as text, or a histogram as an object.
fn point(a: &Value, b: &Value, ulp: u64) -> Option<String> {
    let same = a[0] == b[0] && value(&a[1], &b[1], ulp);
    (!same).then(|| format!("{a}, want {b}"))
}

fn value(a: &Value, b: &Value, ulp: u64) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(x), Ok(y)) => number(x, y, ulp),
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| value(a, b, ulp))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| value(a, b, ulp)))
        }
        _ => a == b,
    }
}

fn number(a: f64, b: f64, ulp: u64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    a.to_bits() == b.to_bits()
        || a.is_sign_negative() == b.is_sign_negative() && a.to_bits().abs_diff(b.to_bits()) <= ulp
}
