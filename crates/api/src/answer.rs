//! Results of queries in upstream's JSON.

use std::fmt::Write;

use nave_model::sample;
use nave_model::select::Columns;
use nave_model::time::Timestamp;
use nave_promql::{Answer, Series, Stats, Value};

use crate::envelope::Success;
use crate::histogram::histogram;
use crate::json;

/// The whole answer.
pub(crate) fn answer(answer: Answer, with_stats: bool) -> Success {
    let mut data = String::new();
    write_value(&mut data, &answer.value);
    if with_stats {
        data.pop();
        write_stats(&mut data, &answer.stats, &answer.samples_per_step);
        data.push('}');
    }
    if let Some(plan) = &answer.plan {
        data.pop();
        data.push_str(",\"plan\":");
        json::string(&mut data, plan);
        data.push('}');
    }
    Success { data, warnings: answer.warnings, infos: answer.infos }
}

fn write_value(out: &mut String, value: &Value) {
    let kind = match value {
        Value::Scalar { .. } => "scalar",
        Value::String { .. } => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    _ = write!(out, "{{\"resultType\":\"{kind}\",\"result\":[");
    match value {
        Value::Scalar { timestamp, value } => {
            json::short_time(out, *timestamp);
            out.push(',');
            json::plain_float(out, *value);
        }
        Value::String { timestamp, value } => {
            json::short_time(out, *timestamp);
            out.push(',');
            json::string(out, value);
        }
        Value::Vector(samples) => json::separated(out, samples, |out, sample| {
            out.push_str("{\"metric\":");
            json::labels(out, &sample.labels);
            out.push_str(match sample.value {
                sample::Value::Float(_) => ",\"value\":[",
                sample::Value::Histogram(_) => ",\"histogram\":[",
            });
            json::time(out, sample.timestamp);
            out.push(',');
            match &sample.value {
                sample::Value::Float(value) => json::float(out, *value),
                sample::Value::Histogram(value) => histogram(out, value),
            }
            out.push_str("]}");
        }),
        Value::Matrix(all) => json::separated(out, all, write_series),
    }
    out.push_str("]}");
}

fn write_series(out: &mut String, Series { labels, columns }: &Series) {
    out.push_str("{\"metric\":");
    json::labels(out, labels);
    if columns.histograms.len() < columns.len() {
        out.push_str(",\"values\":[");
        json::separated(out, floats(columns), |out, (at, value)| {
            out.push('[');
            json::time(out, at);
            out.push(',');
            json::float(out, value);
            out.push(']');
        });
        out.push(']');
    }
    if !columns.histograms.is_empty() {
        out.push_str(",\"histograms\":[");
        json::separated(out, &columns.histograms, |out, (index, value)| {
            out.push('[');
            json::time(out, columns.timestamps[*index as usize]);
            out.push(',');
            histogram(out, value);
            out.push(']');
        });
        out.push(']');
    }
    out.push('}');
}

/// The samples that are floats.
fn floats(columns: &Columns) -> impl Iterator<Item = (nave_model::time::Timestamp, f64)> + '_ {
    let mut histograms = columns.histograms.iter().map(|(index, _)| *index as usize).peekable();
    let samples = columns.timestamps.iter().copied().zip(columns.values.iter().copied());
    samples.enumerate().filter_map(move |(index, sample)| match histograms.next_if_eq(&index) {
        Some(_) => None,
        None => Some(sample),
    })
}

fn write_stats(out: &mut String, stats: &Stats, per_step: &[(Timestamp, u64)]) {
    let timings = [
        ("evalTotalTime", stats.prepare_seconds + stats.evaluation_seconds),
        ("resultSortTime", 0.0),
        ("queryPreparationTime", stats.prepare_seconds),
        ("innerEvalTime", stats.evaluation_seconds),
        ("execQueueTime", stats.queue_seconds),
        ("execTotalTime", stats.total_seconds()),
    ];
    out.push_str(",\"stats\":{\"timings\":{");
    json::separated(out, timings, |out, (name, seconds)| _ = write!(out, "\"{name}\":{seconds}"));
    out.push_str("},\"samples\":{");
    if !per_step.is_empty() {
        out.push_str("\"totalQueryableSamplesPerStep\":[");
        json::separated(out, per_step, |out, (time, samples)| {
            out.push('[');
            json::time(out, *time);
            _ = write!(out, ",{samples}]");
        });
        out.push_str("],");
    }
    _ = write!(
        out,
        "\"totalQueryableSamples\":{},\"peakSamples\":{}}}}}",
        stats.samples_total, stats.samples_peak
    );
}
