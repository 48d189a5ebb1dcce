//! A plan as text: one node per line, children indented below their parent.

use std::fmt::Write as _;

use nave_model::select::{Need, Projection};
use nave_model::time::TimeRange;

use super::{Kind, Node, RangeInput, Reading, Shift, Source, Steps};
use crate::ast::{Cardinality, Matching};
use crate::execute::{Figures, Meter};

/// The text of `plan`, with the figures of `meter` per node.
pub(crate) fn explain(plan: &Node, meter: Option<&Meter>) -> String {
    let mut printer = Printer { text: String::new(), meter, shown: Vec::new() };
    printer.node(plan, 0);
    printer.text
}

struct Printer<'a> {
    text: String,
    meter: Option<&'a Meter>,
    /// Numbers of the shared nodes that were shown already.
    shown: Vec<usize>,
}

impl Printer<'_> {
    fn node(&mut self, node: &Node, depth: usize) {
        let _ = write!(self.text, "{:1$}", "", depth * 2);
        self.text.push_str(&title(node));
        if let Some(Figures { series, samples, time }) = self.meter.and_then(|meter| meter.figures(node)) {
            let ms = time.as_secs_f64() * 1000.0;
            let _ = write!(self.text, " [series={series} samples={samples} time={ms:.3}ms]");
        }
        self.text.push('\n');
        self.below(node, depth + 1);
    }

    fn below(&mut self, node: &Node, depth: usize) {
        match &node.kind {
            Kind::Number(_) | Kind::Text(_) => {}
            Kind::Scan(_) | Kind::Timestamps(_) | Kind::StartTimes(_) => {}
            Kind::Info(info) => self.node(&info.input, depth),
            Kind::Raw(input) => self.input(input, depth),
            Kind::Range(call) => {
                self.input(&call.input, depth);
                call.params.iter().for_each(|param| self.node(param, depth));
            }
            Kind::Call { args, .. } => args.iter().for_each(|arg| self.node(arg, depth)),
            Kind::Aggregate(aggregate) => {
                for child in aggregate.param.iter().chain([&aggregate.input]) {
                    self.node(child, depth);
                }
            }
            Kind::Binary(binary) => {
                self.node(&binary.lhs, depth);
                self.node(&binary.rhs, depth);
            }
            Kind::Absent { input, .. } | Kind::Negate(input) | Kind::Dedupe { input, .. } => {
                self.node(input, depth);
            }
            // Below the place that evaluated it, or else below the first one.
            Kind::Shared(shared) => {
                let ran = |meter: &Meter| meter.figures(&shared.input).is_some();
                if self.meter.map_or(!self.shown.contains(&shared.id), ran) {
                    self.shown.push(shared.id);
                    self.node(&shared.input, depth);
                }
            }
        }
    }

    fn input(&mut self, input: &RangeInput, depth: usize) {
        if let RangeInput::Subquery(subquery) = input {
            self.node(&subquery.input, depth);
        }
    }
}

fn title(node: &Node) -> String {
    match &node.kind {
        Kind::Number(value) => format!("number {value}"),
        Kind::Text(value) => format!("text {:?}", value.to_text()),
        Kind::Scan(source) => format!("scan {}", source_text(source)),
        Kind::Timestamps(source) => format!("timestamps {}", source_text(source)),
        Kind::StartTimes(source) => format!("start-times {}", source_text(source)),
        Kind::Info(info) => format!("info {}", source_text(&info.source)),
        Kind::Raw(input) => range_title("samples", input),
        Kind::Range(call) => range_title(call.name, &call.input),
        Kind::Call { function, .. } => format!("call {function:?}"),
        Kind::Absent { labels, .. } => format!("absent labels={labels}"),
        Kind::Aggregate(aggregate) => {
            let by = if aggregate.without { "without" } else { "by" };
            format!("{} {by} ({})", aggregate.op.as_str(), aggregate.grouping.join(", "))
        }
        Kind::Binary(binary) => {
            let is_bool = if binary.return_bool { " bool" } else { "" };
            let matching = binary.matching.as_ref().map(matching_text).unwrap_or_default();
            format!("binary {}{is_bool}{matching}", binary.op.as_str())
        }
        Kind::Negate(_) => "negate".to_owned(),
        Kind::Shared(shared) => format!("shared {}", shared.id),
        Kind::Dedupe { strip, .. } => format!("dedupe{}", if *strip { " strip-names" } else { "" }),
    }
}

fn range_title(name: &str, input: &RangeInput) -> String {
    match input {
        RangeInput::Source(source) => format!("{name} {}", source_text(source)),
        RangeInput::Subquery(subquery) => {
            let Steps { start, end, step } = subquery.steps;
            let shift = shift_text(subquery.shift);
            let range = subquery.range_ms;
            format!("{name} subquery range={range}ms{shift} steps={start}..={end}/{step}ms")
        }
    }
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
    if let Some(reading) = &source.reading {
        let _ = write!(text, " reading={}", reading.id - Reading::FIRST);
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
