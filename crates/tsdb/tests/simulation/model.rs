//! The plain map that the store is held against.
//!
//! A slot is a series at a time. What was acknowledged must be visible, with the value that was written first. What
//! was sent without an answer may be visible or not. Once damage is named, what is missing is excused for good.

use std::collections::BTreeMap;

use nave_model::label::Labels;

use crate::content::Seen;
use crate::script::Value;

/// What may stand at one time of one series.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    /// One of these, if any.
    pub first: Vec<Value>,
    /// One of `first` must be there.
    pub acknowledged: bool,
    /// Written later than an acknowledged one: only visible where that was lost.
    pub later: Vec<Value>,
    /// May be missing.
    pub excused: bool,
    /// Flushes when it was acknowledged: memory may forget it after the next.
    pub born: u64,
}

/// Whether a sample may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excuse {
    No,
    Now,
    ForGood,
}

impl Slot {
    /// `value` was called stored or duplicate.
    pub fn acknowledge(&mut self, value: Value, flushes: u64) {
        if !self.acknowledged {
            self.born = flushes;
            self.acknowledged = true;
            self.first.retain(|other| *other != value);
            self.first.push(value);
        } else if !self.first.contains(&value) && !self.later.contains(&value) {
            self.later.push(value);
        }
    }

    /// `value` was sent, and the answer was an error.
    pub fn attempt(&mut self, value: Value) {
        if self.first.contains(&value) || self.later.contains(&value) {
            return;
        }
        if self.acknowledged { self.later.push(value) } else { self.first.push(value) }
    }

    /// Whether a conflict with `value` can be: something else stands here.
    pub fn may_refuse(&self, value: Value) -> bool {
        self.first.iter().chain(&self.later).any(|other| *other != value)
    }

    /// Whether accepting `value` contradicts what must be there.
    pub fn must_refuse(&self, value: Value, flushes: u64) -> bool {
        self.acknowledged && !self.excused && self.born == flushes && !self.first.contains(&value)
    }

    /// What was seen is compared; an acknowledged slot is from now on what was seen.
    pub fn see(&mut self, seen: Option<&Seen>, excuse: Excuse) -> Result<(), String> {
        let Some(seen) = seen else {
            if self.acknowledged && !self.excused {
                if excuse == Excuse::No {
                    return Err(format!("an acknowledged sample is missing: {self:?}"));
                }
                self.excused = excuse == Excuse::ForGood;
            }
            return Ok(());
        };
        if let Some(value) = self.first.iter().copied().find(|value| seen.is(*value)) {
            if self.acknowledged && self.first.len() > 1 {
                let mut others = std::mem::replace(&mut self.first, vec![value]);
                others.retain(|other| *other != value);
                self.later.extend(others);
            }
            return Ok(());
        }
        if self.later.iter().any(|value| seen.is(*value)) && (self.excused || excuse != Excuse::No) {
            self.excused |= excuse == Excuse::ForGood;
            return Ok(());
        }
        Err(format!("a value that nobody wrote or another one hides: {seen:?}, expected {self:?}"))
    }
}

/// All slots of a tenant, by labels and time.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub series: BTreeMap<Labels, BTreeMap<i64, Slot>>,
}

impl Model {
    pub fn slot(&mut self, labels: &Labels, t: i64) -> &mut Slot {
        self.series.entry(labels.clone()).or_default().entry(t).or_default()
    }

    /// From now on samples older than `floor` need not be there.
    pub fn drop_before(&mut self, floor: i64) {
        for slots in self.series.values_mut() {
            slots.range_mut(..floor).for_each(|(_, slot)| slot.excused = true);
        }
    }
}
