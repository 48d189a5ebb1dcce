//! A plan as text: one node per line, children indented below their parent.

use std::fmt::Write as _;

use nave_model::select::{Need, Projection};
use nave_model::time::TimeRange;

use super::{Aggregate, Binary, Kind, Node, RangeCall, RangeInput, Shift, Source, Steps};
use crate::ast::{Cardinality, Matching};

/// The text of `plan`, which is evaluated at `steps`.
pub(crate) fn explain(plan: &Node, steps: Steps) -> String {
    let mut text = String::new();
    write_node(&mut text, plan, 0, steps);
    text
}

fn write_node(text: &mut String, node: &Node, depth: usize, steps: Steps) {
    let _ = write!(text, "{:1$}", "", depth * 2);
    let below = depth + 1;
    match &node.kind {
        Kind::Number(value) => drop(writeln!(text, "number {value}")),
        Kind::Text(value) => drop(writeln!(text, "text {:?}", value.to_text())),
        Kind::Scan(source) => drop(writeln!(text, "scan {}", source_text(source))),
        Kind::Timestamps(source) => drop(writeln!(text, "timestamps {}", source_text(source))),
        Kind::StartTimes(source) => drop(writeln!(text, "start-times {}", source_text(source))),
        Kind::Info(info) => {
            let _ = writeln!(text, "info {}", source_text(&info.source));
            write_node(text, &info.input, below, steps);
        }
        Kind::Raw(input) => write_range(text, "samples", input, below),
        Kind::Range(call) => write_call(text, call, below, steps),
        Kind::Call { function, args, .. } => {
            let _ = writeln!(text, "call {function:?}");
            args.iter().for_each(|arg| write_node(text, arg, below, steps));
        }
        Kind::Absent { input, labels } => {
            let _ = writeln!(text, "absent labels={labels}");
            write_node(text, input, below, steps);
        }
        Kind::Aggregate(aggregate) => write_aggregate(text, aggregate, below, steps),
        Kind::Binary(binary) => write_binary(text, binary, below, steps),
        Kind::Negate(input) => {
            text.push_str("negate\n");
            write_node(text, input, below, steps);
        }
        Kind::Dedupe { input, strip } => {
            let _ = writeln!(text, "dedupe{}", if *strip { " strip-names" } else { "" });
            write_node(text, input, below, steps);
        }
    }
}

fn write_call(text: &mut String, call: &RangeCall, below: usize, steps: Steps) {
    write_range(text, call.name, &call.input, below);
    call.params.iter().for_each(|param| write_node(text, param, below, steps));
}

fn write_range(text: &mut String, name: &str, input: &RangeInput, below: usize) {
    match input {
        RangeInput::Source(source) => drop(writeln!(text, "{name} {}", source_text(source))),
        RangeInput::Subquery(subquery) => {
            let Steps { start, end, step } = subquery.steps;
            let shift = shift_text(subquery.shift);
            let range = subquery.range_ms;
            let _ = writeln!(text, "{name} subquery range={range}ms{shift} steps={start}..={end}/{step}ms");
            write_node(text, &subquery.input, below, subquery.steps);
        }
    }
}

fn write_aggregate(text: &mut String, aggregate: &Aggregate, below: usize, steps: Steps) {
    let by = if aggregate.without { "without" } else { "by" };
    let _ = writeln!(text, "{} {by} ({})", aggregate.op.as_str(), aggregate.grouping.join(", "));
    for child in aggregate.param.iter().chain([&aggregate.input]) {
        write_node(text, child, below, steps);
    }
}

fn write_binary(text: &mut String, binary: &Binary, below: usize, steps: Steps) {
    let _ = write!(text, "binary {}", binary.op.as_str());
    if binary.return_bool {
        text.push_str(" bool");
    }
    if let Some(matching) = &binary.matching {
        text.push_str(&matching_text(matching));
    }
    text.push('\n');
    write_node(text, &binary.lhs, below, steps);
    write_node(text, &binary.rhs, below, steps);
}

fn matching_text(matching: &Matching) -> String {
    let mut text = String::new();
    if matching.on || !matching.labels.is_empty() {
        let on = if matching.on { "on" } else { "ignoring" };
        let _ = write!(text, " {on} ({})", matching.labels.join(", "));
    }
    if matches!(matching.cardinality, Cardinality::ManyToOne | Cardinality::OneToMany) {
        let _ = write!(text, " {} ({})", matching.cardinality.as_str(), matching.include.join(", "));
    }
    text
}

fn source_text(source: &Source) -> String {
    let mut text = format!("{:?}", source.matchers);
    let _ = write!(text, " window={}ms{}", source.window_ms, shift_text(source.shift));
    if source.range != TimeRange::ALL {
        let _ = write!(text, " range={}..={}", source.range.min, source.range.max);
    }
    match &source.projection {
        Projection::All => {}
        Projection::Only(labels) => drop(write!(text, " only=({})", labels.join(", "))),
        Projection::Without(labels) => drop(write!(text, " without=({})", labels.join(", "))),
    }
    if source.need == Need::LastSample {
        text.push_str(" last-sample");
    }
    text
}

fn shift_text(shift: Shift) -> String {
    let mut text = String::new();
    if let Some(at) = shift.at {
        let _ = write!(text, " at={at}");
    }
    if shift.offset != 0 {
        let _ = write!(text, " offset={}ms", shift.offset);
    }
    text
}
