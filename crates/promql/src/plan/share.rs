//! Rewrite: equal expressions are evaluated once.
//!
//! Two expressions are equal when they differ only in where they stand in the query and are evaluated at the same steps. Of
//! equal expressions inside of each other the largest is shared: in `f(x) + f(x)` it is `f(x)`, not `x`. An expression without
//! a selector costs too little to be shared.
//!
//! Selectors that differ only in the labels that are looked at ask for the labels of all of them first, so that
//! `sum(x) / sum by (job) (x)` shares `x`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nave_model::matcher::Matcher;
use nave_model::select::Projection;

use super::{Kind, Node, RangeInput, Shared, Source, Steps};
use crate::ast::{Position, ValueType};

/// Shares what can be shared below `plan`, which is evaluated at `steps`.
pub(super) fn share(plan: &mut Node, steps: Steps) {
    if has_no_twins(plan) {
        return;
    }
    unify(plan);
    let mut classes = Classes::default();
    let tagged = classes.tag(plan, steps);
    let mut places = vec![0; classes.known.len()];
    count(&tagged, &mut places);
    wrap(plan, &tagged, &places, &mut HashMap::new());
}

/// Whether no two selectors select the same series; then there is nothing to share.
pub(super) fn has_no_twins(plan: &Node) -> bool {
    fn collect<'a>(node: &'a Node, all: &mut Vec<&'a [Matcher]>) {
        all.extend(node.source().map(|source| &source.matchers[..]));
        for (child, _) in node.children(Steps::instant(0)) {
            collect(child, all);
        }
    }
    let mut all = Vec::new();
    collect(plan, &mut all);
    // Most queries have few selectors, and comparing those costs least.
    if all.len() < 16 {
        return all.iter().enumerate().all(|(index, matchers)| !all[..index].contains(matchers));
    }
    let mut seen = HashSet::new();
    all.iter().all(|matchers| seen.insert(format!("{matchers:?}")))
}

/// Labels enough for both.
pub(super) fn widest(a: &Projection, b: &Projection) -> Projection {
    use Projection::{All, Only, Without};
    match (a, b) {
        (Only(a), Only(b)) => {
            let mut both: Vec<String> = a.iter().chain(b).cloned().collect();
            both.sort();
            both.dedup();
            Only(both)
        }
        (Without(a), Without(b)) => Without(a.iter().filter(|label| b.contains(label)).cloned().collect()),
        _ => All,
    }
}

/// Selectors that differ only in their labels ask for the same ones.
fn unify(plan: &mut Node) {
    let mut wanted: HashMap<String, (Projection, bool)> = HashMap::new();
    each(plan, &mut |node| {
        let unseen = name_unseen(node).is_none_or(|unseen| *unseen);
        let Some((key, source)) = key(node) else { return };
        let known = wanted.entry(key).or_insert_with(|| (source.projection.clone(), unseen));
        *known = (widest(&known.0, &source.projection), known.1 && unseen);
    });
    each(plan, &mut |node| {
        let Some((projection, unseen)) = key(node).and_then(|(key, _)| wanted.get(&key)) else { return };
        if let Some(own) = name_unseen(node) {
            *own = *unseen;
        }
        if let Some(source) = node.source_mut() {
            source.projection.clone_from(projection);
        }
    });
}

fn name_unseen(node: &mut Node) -> Option<&mut bool> {
    match &mut node.kind {
        Kind::Range(call) => Some(&mut call.name_unseen),
        _ => None,
    }
}

/// What a node does with which samples, whatever the labels.
fn key(node: &Node) -> Option<(String, &Source)> {
    let source = node.source().filter(|_| !matches!(node.kind, Kind::Info(_)))?;
    let function = match &node.kind {
        Kind::Range(call) => call.name,
        Kind::Scan(_) => "scan",
        _ => "times",
    };
    let any = Source { projection: Projection::All, function: "", ..source.clone() };
    Some((format!("{function} {any:?}"), source))
}

fn each(node: &mut Node, visit: &mut impl FnMut(&mut Node)) {
    visit(node);
    for child in node.children_mut() {
        each(child, visit);
    }
}

/// Numbers expressions; equal ones have the same number.
#[derive(Default)]
struct Classes {
    known: HashMap<(Steps, String, Vec<usize>), usize>,
}

/// The numbers of a node and those below it.
struct Tagged {
    class: usize,
    has_source: bool,
    children: Vec<Tagged>,
}

impl Classes {
    fn tag(&mut self, node: &Node, steps: Steps) -> Tagged {
        let children: Vec<Tagged> =
            node.children(steps).into_iter().map(|(child, steps)| self.tag(child, steps)).collect();
        let has_source = node.source().is_some() || children.iter().any(|child| child.has_source);
        let below = children.iter().map(|child| child.class).collect();
        let next = self.known.len();
        let class = *self.known.entry((steps, own(node), below)).or_insert(next);
        Tagged { class, has_source, children }
    }
}

/// What a node does itself, whatever is below it and wherever it stands.
fn own(node: &Node) -> String {
    let of_source = |source: &Source| format!("{:?}", Source { function: "", ..source.clone() });
    match &node.kind {
        Kind::Number(value) => format!("number {:x}", value.to_bits()),
        Kind::Text(text) => format!("text {text:?}"),
        Kind::Scan(source) => format!("scan {}", of_source(source)),
        Kind::Timestamps(source) => format!("timestamps {}", of_source(source)),
        Kind::StartTimes(source) => format!("start times {}", of_source(source)),
        Kind::Info(info) => format!("info {} {:?} {:?}", of_source(&info.source), info.labels, info.names),
        Kind::Raw(_) => "raw".to_owned(),
        Kind::Range(call) => {
            let input = match &call.input {
                RangeInput::Source(source) => of_source(source),
                RangeInput::Subquery(inner) => format!("subquery {} {:?}", inner.range_ms, inner.shift),
            };
            // Notes on a subquery stand at the start of the query, those on a selector where it is.
            let at_start = call.input_pos == Position::default();
            format!("range {:?} {input} {} {at_start}", call.function, call.name_unseen)
        }
        Kind::Call { function, .. } => format!("call {function:?}"),
        Kind::Absent { labels, .. } => format!("absent {labels}"),
        Kind::Aggregate(aggregate) => {
            let (op, grouping, has_param) = (aggregate.op, &aggregate.grouping, aggregate.param.is_some());
            format!("aggregate {op:?} {grouping:?} {} {has_param}", aggregate.without)
        }
        Kind::Binary(binary) => {
            format!("binary {:?} {} {:?}", binary.op, binary.return_bool, binary.matching)
        }
        Kind::Negate(_) => "negate".to_owned(),
        Kind::Dedupe { strip, .. } => format!("dedupe {strip}"),
        Kind::Shared(shared) => format!("shared {}", shared.id),
    }
}

/// Counts from how many places each number is read, equal places once.
fn count(tagged: &Tagged, places: &mut [usize]) {
    places[tagged.class] += 1;
    if places[tagged.class] == 1 {
        tagged.children.iter().for_each(|child| count(child, places));
    }
}

/// Puts shared nodes around what is read from several places.
fn wrap(node: &mut Node, tagged: &Tagged, places: &[usize], first: &mut HashMap<usize, Vec<Position>>) {
    for (child, tagged) in node.children_mut().into_iter().zip(&tagged.children) {
        wrap(child, tagged, places, first);
    }
    let readers = places[tagged.class];
    let has_series = matches!(node.ty, ValueType::Vector | ValueType::Scalar);
    if readers < 2 || !tagged.has_source || !has_series || matches!(node.kind, Kind::Raw(_)) {
        return;
    }
    let positions = node.positions();
    let known = first.entry(tagged.class).or_insert_with(|| positions.clone());
    if !translates(known, &positions) {
        return;
    }
    let placeholder = Node { pos: node.pos, ty: node.ty, kind: Kind::Number(0.0) };
    let (pos, ty) = (node.pos, node.ty);
    let input = Arc::new(std::mem::replace(node, placeholder));
    *node = Node { pos, ty, kind: Kind::Shared(Shared { id: tagged.class, readers, input }) };
}

/// Whether notes at `a` can be put at `b`, and the other way round: `f(x)` and `f((x))` have places that one of them does not
/// tell apart.
fn translates(a: &[Position], b: &[Position]) -> bool {
    let (mut to, mut back) = (HashMap::new(), HashMap::new());
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| *to.entry(a).or_insert(b) == b && *back.entry(b).or_insert(a) == a)
}
