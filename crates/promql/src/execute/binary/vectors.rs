//! Arithmetic and comparison between two vectors.
//!
//! The "one" side is held; the other side, which may be many, goes by series by series. Whether a match
//! is unique is a question per step, so that series which follow each other in time do not collide.
//!
//! `fill` puts a number in place of a series that is missing at a step: such a stand-in has the labels of
//! the match group and takes part only where no series of its side does.

use std::collections::BTreeMap;

use nave_base::budget::Charge;
use nave_model::label::Labels;
use nave_model::sample::Value;

use super::element::{Outcome, Remark, element};
use super::keeps_name;
use crate::ast::{Cardinality, Matching, Position};
use crate::error::QueryError;
use crate::execute::matching::{Signatures, signature};
use crate::execute::note::Note;
use crate::execute::{BoxOperator, Column, Context, Operator, Result, Series, is_metadata};
use crate::plan::{Binary, Steps};

/// The operator of `binary` between vectors.
pub(super) fn operator(
    pos: Position,
    binary: &Binary,
    matching: &Matching,
    (lhs, rhs): (BoxOperator, BoxOperator),
    steps: Steps,
    context: &Context,
) -> Result<BoxOperator> {
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    // Upstream swaps the sides of group_right, but not what fills them: fill_left always is the many side.
    let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
    let many_may_fail = super::may_fail(if swapped { &binary.rhs } else { &binary.lhs });
    Ok(Box::new(Vectors {
        many,
        one,
        swapped,
        many_may_fail,
        fill_many,
        fill_one,
        binary: binary.clone(),
        matching: matching.clone(),
        pos,
        steps: steps.len(),
        context: context.clone(),
        groups: Vec::new(),
        of: Vec::new(),
        read: 0,
        current: Column::default(),
        outputs: Vec::new(),
        at: 0,
        duplicates: BTreeMap::new(),
        charge: None,
        labels_charge: None,
    }))
}

/// The series of the one side in a match group.
#[derive(Default)]
struct Group {
    members: Vec<(Series, Column)>,
    /// For each step one more than the first member that is present, or 0; empty while there are fewer than two.
    first_at: Vec<u32>,
    /// Steps that were matched already, for one-to-one.
    matched: Vec<bool>,
    /// Steps at which the many side has a series; only kept to fill it.
    many_seen: Vec<bool>,
}

impl Group {
    fn has_one_at(&self, step: usize) -> bool {
        match self.first_at.get(step) {
            Some(first) => *first > 0,
            None => self.members.iter().any(|(_, column)| column.is_present(step)),
        }
    }

    /// Adds a member and tells `duplicate` at which steps there is one already, and which.
    fn add(&mut self, series: Series, column: Column, mut duplicate: impl FnMut(usize, &Labels, &Labels)) {
        let number = self.members.len() as u32 + 1;
        if let [(_, only)] = &self.members[..] {
            self.first_at = (0..column.steps()).map(|step| u32::from(only.is_present(step))).collect();
        }
        for (step, first) in self.first_at.iter_mut().enumerate() {
            if !column.is_present(step) {
                continue;
            }
            match *first {
                0 => *first = number,
                known => duplicate(step, &self.members[known as usize - 1].0.labels, &series.labels),
            }
        }
        self.members.push((series, column));
    }
}

/// What an output series is made of: a series of the many side and a member of its group on the one side.
#[derive(Clone, Copy)]
enum Pair {
    Both {
        many: usize,
        member: usize,
    },
    /// The one side is filled.
    Many(usize),
    /// The many side is filled.
    One {
        group: usize,
        member: usize,
    },
}

struct Vectors {
    many: BoxOperator,
    one: BoxOperator,
    /// The many side is the right one.
    swapped: bool,
    many_may_fail: bool,
    fill_many: Option<f64>,
    fill_one: Option<f64>,
    binary: Binary,
    matching: Matching,
    pos: Position,
    steps: usize,
    context: Context,
    groups: Vec<Group>,
    /// The group of each series of the many side.
    of: Vec<usize>,
    /// How many series of the many side were read; `current` is the last of them.
    read: usize,
    current: Column,
    /// The output series.
    outputs: Vec<Pair>,
    at: usize,
    /// Steps at which the one side is not unique, with the error.
    duplicates: BTreeMap<usize, String>,
    charge: Option<Charge>,
    labels_charge: Option<Charge>,
}

impl Vectors {
    fn read_one_side(&mut self, series: Vec<Series>, of: &[usize]) -> Result<()> {
        let mut charge = self.context.charge(0)?;
        for (series, group) in series.into_iter().zip(of) {
            self.context.check()?;
            let mut column = Column::default();
            self.one.next(&mut column)?;
            if column.is_empty() {
                continue;
            }
            let group = &mut self.groups[*group];
            let first_at = if group.members.len() == 1 { self.steps * size_of::<u32>() } else { 0 };
            charge.grow(column.bytes() + first_at)?;
            let (duplicates, matching, swapped) = (&mut self.duplicates, &self.matching, self.swapped);
            group.add(series, column, |step, known, new| {
                duplicates.entry(step).or_insert_with(|| duplicate(new, known, matching, swapped));
            });
        }
        self.charge = Some(charge);
        Ok(())
    }

    /// Reads series of the many side up to and including `index`.
    fn read_many_side(&mut self, index: usize) -> Result<()> {
        while self.read <= index {
            self.context.check()?;
            self.many.next(&mut self.current)?;
            self.read += 1;
            let current = &self.current;
            if self.fill_many.is_some() {
                let seen = &mut self.groups[self.of[self.read - 1]].many_seen;
                seen.resize(self.steps, false);
                for (step, seen) in seen.iter_mut().enumerate() {
                    *seen |= current.is_present(step);
                }
            }
            if let Some((_, text)) = self.duplicates.iter().find(|(step, _)| current.is_present(**step)) {
                return Err(QueryError::execution(text.clone()));
            }
        }
        Ok(())
    }

    fn note(&self, Remark { level, text }: Remark) {
        self.context.note(|notes| notes.add(Note::new(level, text, Some(self.pos))));
    }

    fn value(&self, many: &Value, one: &Value) -> Option<Value> {
        let (left, right) = if self.swapped { (one, many) } else { (many, one) };
        match element(self.binary.op, left, right) {
            Outcome::Value(value) => Some(value),
            Outcome::Compared(holds) if self.binary.return_bool => {
                Some(Value::Float(f64::from(u8::from(holds))))
            }
            Outcome::Compared(holds) => holds.then(|| left.clone()),
            Outcome::Odd(value, remarks) => {
                remarks.into_iter().for_each(|remark| self.note(remark));
                Some(value)
            }
            Outcome::Nothing(remark) => {
                self.note(remark);
                None
            }
        }
    }

    fn result(&self, many: &Series, one: &Series) -> Series {
        let mut labels = many.labels.to_builder();
        if !keeps_name(self.binary.op) {
            labels.retain(|name, _| !is_metadata(name));
        }
        if self.matching.cardinality == Cardinality::OneToOne {
            let listed = |name: &str| self.matching.labels.iter().any(|label| label == name);
            labels.retain(|name, _| listed(name) == self.matching.on);
        }
        for name in &self.matching.include {
            labels.set(name, one.labels.get(name));
        }
        let series = Series { labels: labels.build(), drop_name: many.drop_name };
        if self.binary.return_bool { self.context.without_name(series) } else { series }
    }
}

/// The error of two series in a match group at one step.
fn duplicate(new: &Labels, known: &Labels, matching: &Matching, swapped: bool) -> String {
    let group = match_labels(new, matching);
    let side = if swapped { "left" } else { "right" };
    format!(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
         [{known}, {new}];many-to-many matching not allowed: matching labels must be unique on one side"
    )
}

/// The labels of the match group as errors show them.
fn match_labels(labels: &Labels, matching: &Matching) -> Labels {
    signature(labels, matching)
}

impl Operator for Vectors {
    fn series(&mut self) -> Result<Vec<Series>> {
        let many = self.many.series()?;
        let one = self.one.series()?;
        let mut signatures = Signatures::default();
        self.of = signatures.of(&many, &self.matching);
        let one_of = signatures.of(&one, &self.matching);
        self.groups = std::iter::repeat_with(Group::default).take(signatures.len()).collect();
        self.read_one_side(one, &one_of)?;
        if !self.duplicates.is_empty() && !many.is_empty() {
            // Nearly always fails here, before a product of both sides is made.
            self.read_many_side(0)?;
        }
        let mut output = Vec::new();
        let mut charge = self.context.charge(0)?;
        for (index, (series, group)) in many.iter().zip(&self.of).enumerate() {
            self.context.check()?;
            for (member, (one, _)) in self.groups[*group].members.iter().enumerate() {
                let result = self.result(series, one);
                charge.grow(size_of::<(Series, Pair)>() + result.labels.as_bytes().len())?;
                output.push(result);
                self.outputs.push(Pair::Both { many: index, member });
            }
            if self.fill_one.is_some() {
                output.push(self.result(series, &self.stand_in(series)));
                self.outputs.push(Pair::Many(index));
            }
        }
        if self.fill_many.is_some() {
            self.hold_many_seen()?;
            for (group, held) in self.groups.iter().enumerate() {
                for (member, (one, _)) in held.members.iter().enumerate() {
                    output.push(self.result(&self.stand_in(one), one));
                    self.outputs.push(Pair::One { group, member });
                }
            }
        }
        let must_read = !self.duplicates.is_empty() || self.many_may_fail || self.context.wants_figures();
        if self.outputs.is_empty() && !many.is_empty() && must_read {
            self.read_many_side(many.len() - 1)?;
        }
        self.labels_charge = Some(charge);
        Ok(output)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        let pair = self.outputs[self.at];
        self.at += 1;
        column.reset(self.steps);
        match pair {
            Pair::Both { many, member } => self.match_up(many, Some(member), column)?,
            Pair::Many(many) => self.match_up(many, None, column)?,
            Pair::One { group, member } => self.fill_many_side(group, member, column)?,
        }
        if self.at == self.outputs.len() && !self.of.is_empty() {
            self.read_many_side(self.of.len() - 1)?;
        }
        Ok(())
    }
}

impl Vectors {
    /// Takes the bytes of `many_seen` from the budget.
    fn hold_many_seen(&mut self) -> Result<()> {
        let bytes = self.groups.len().saturating_mul(self.steps);
        match &mut self.charge {
            Some(charge) => charge.grow(bytes)?,
            None => self.charge = Some(self.context.charge(bytes)?),
        }
        Ok(())
    }

    /// A series in place of the one that `series` should have met.
    fn stand_in(&self, series: &Series) -> Series {
        Series { labels: match_labels(&series.labels, &self.matching), drop_name: false }
    }

    /// Series `index` of the many side with a member of its group, or with what fills the one side.
    fn match_up(&mut self, index: usize, member: Option<usize>, column: &mut Column) -> Result<()> {
        self.read_many_side(index)?;
        let mut matched = std::mem::take(&mut self.groups[self.of[index]].matched);
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        matched.resize(self.steps, false);
        let group = &self.groups[self.of[index]];
        for (step, matched) in matched.iter_mut().enumerate() {
            let one = match member {
                Some(member) => group.members[member].1.value(step),
                None if group.has_one_at(step) => None,
                None => self.fill_one.map(Value::Float),
            };
            let (Some(many), Some(one)) = (self.current.value(step), one) else { continue };
            if one_to_one && std::mem::replace(matched, true) {
                return Err(QueryError::execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
            if let Some(value) = self.value(&many, &one) {
                column.set_value(step, value);
            }
        }
        self.groups[self.of[index]].matched = matched;
        Ok(())
    }

    /// A member of the one side where its group has no series on the many side.
    fn fill_many_side(&mut self, group: usize, member: usize, column: &mut Column) -> Result<()> {
        if !self.of.is_empty() {
            self.read_many_side(self.of.len() - 1)?;
        }
        let Some(many) = self.fill_many.map(Value::Float) else { return Ok(()) };
        let group = &self.groups[group];
        let unseen = |step: &usize| !group.many_seen.get(*step).copied().unwrap_or(false);
        for step in (0..self.steps).filter(unseen) {
            let Some(one) = group.members[member].1.value(step) else { continue };
            if let Some(value) = self.value(&many, &one) {
                column.set_value(step, value);
            }
        }
        Ok(())
    }
}
