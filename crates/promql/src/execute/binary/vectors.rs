//! Arithmetic and comparison between two vectors.
//!
//! The "one" side is held; the other side, which may be many, goes by series by series. Whether a match
//! is unique is a question per step, so that series which follow each other in time do not collide.

use std::collections::BTreeMap;

use nave_base::budget::Charge;
use nave_model::label::Labels;
use nave_model::sample::Value;

use super::element::{Outcome, Remark, element};
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
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        return Err(QueryError::not_built("modifier fill"));
    }
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    Ok(Box::new(Vectors {
        many,
        one,
        swapped,
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
    }))
}

/// The series of the one side in a match group.
#[derive(Default)]
struct Group {
    members: Vec<(Series, Column)>,
    /// Steps that were matched already, for one-to-one.
    matched: Vec<bool>,
}

struct Vectors {
    many: BoxOperator,
    one: BoxOperator,
    /// The many side is the right one.
    swapped: bool,
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
    /// Per output series: series of the many side, member of its group.
    outputs: Vec<(usize, usize)>,
    at: usize,
    /// Steps at which the one side is not unique, with the error.
    duplicates: BTreeMap<usize, String>,
    charge: Option<Charge>,
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
            charge.grow(column.bytes())?;
            let mut duplicates = std::mem::take(&mut self.duplicates);
            for (other, known) in &self.groups[*group].members {
                for step in (0..self.steps).filter(|step| column.is_present(*step) && known.is_present(*step))
                {
                    let text = || self.duplicate(&series.labels, &other.labels);
                    duplicates.entry(step).or_insert_with(text);
                }
            }
            self.duplicates = duplicates;
            self.groups[*group].members.push((series, column));
        }
        self.charge = Some(charge);
        Ok(())
    }

    fn duplicate(&self, new: &Labels, known: &Labels) -> String {
        let group = match_labels(new, &self.matching);
        let side = if self.swapped { "left" } else { "right" };
        format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
             [{known}, {new}];many-to-many matching not allowed: matching labels must be unique on one side"
        )
    }

    /// Reads series of the many side up to and including `index`.
    fn read_many_side(&mut self, index: usize) -> Result<()> {
        while self.read <= index {
            self.context.check()?;
            self.many.next(&mut self.current)?;
            self.read += 1;
            let current = &self.current;
            if let Some((_, text)) = self.duplicates.iter().find(|(step, _)| current.is_present(**step)) {
                return Err(QueryError::execution(text.clone()));
            }
        }
        Ok(())
    }

    fn note(&self, Remark { level, text }: Remark) {
        self.context.note(|notes| notes.add(Note { level, text, pos: Some(self.pos) }));
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
        if !self.binary.op.is_comparison() {
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
        let mut output = Vec::new();
        for (index, (series, group)) in many.iter().zip(&self.of).enumerate() {
            for (member, (one, _)) in self.groups[*group].members.iter().enumerate() {
                output.push(self.result(series, one));
                self.outputs.push((index, member));
            }
        }
        if self.outputs.is_empty() && !many.is_empty() && !self.duplicates.is_empty() {
            self.read_many_side(many.len() - 1)?;
        }
        Ok(output)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        let (index, member) = self.outputs[self.at];
        self.at += 1;
        self.read_many_side(index)?;
        column.reset(self.steps);
        let mut matched = std::mem::take(&mut self.groups[self.of[index]].matched);
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        matched.resize(self.steps, false);
        let one = &self.groups[self.of[index]].members[member].1;
        for (step, matched) in matched.iter_mut().enumerate() {
            let (Some(many), Some(one)) = (self.current.value(step), one.value(step)) else { continue };
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
        if self.at == self.outputs.len() {
            self.read_many_side(self.of.len() - 1)?;
        }
        Ok(())
    }
}
