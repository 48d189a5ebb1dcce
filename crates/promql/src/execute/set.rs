//! `and`, `or`, `unless`.

use nave_base::budget::Charge;

use super::matching::Signatures;
use super::{BoxOperator, Column, Context, Operator, Result, Series};
use crate::ast::{BinaryOp, Matching};

/// The operator of a set operation.
pub(super) fn operator(
    op: BinaryOp,
    lhs: BoxOperator,
    (rhs, rhs_may_fail): (BoxOperator, bool),
    matching: Matching,
    steps: usize,
    context: &Context,
) -> BoxOperator {
    Box::new(SetOperation {
        op,
        lhs,
        rhs,
        rhs_may_fail,
        matching,
        steps,
        context: context.clone(),
        left: Vec::new(),
        right: Vec::new(),
        present: Vec::new(),
        at: 0,
        charge: None,
    })
}

struct SetOperation {
    op: BinaryOp,
    lhs: BoxOperator,
    rhs: BoxOperator,
    rhs_may_fail: bool,
    matching: Matching,
    steps: usize,
    context: Context,
    /// Match groups of the sides.
    left: Vec<usize>,
    right: Vec<usize>,
    /// By group and step: whether the other side has a sample. For `or` the left is the other side.
    present: Vec<Vec<bool>>,
    at: usize,
    charge: Option<Charge>,
}

impl SetOperation {
    fn mark(&mut self, group: usize, column: &Column) {
        for (step, present) in self.present[group].iter_mut().enumerate() {
            *present |= column.is_present(step);
        }
    }

    fn read_right(&mut self) -> Result<()> {
        let mut column = Column::default();
        for index in 0..self.right.len() {
            self.context.check()?;
            self.rhs.next(&mut column)?;
            self.mark(self.right[index], &column);
        }
        Ok(())
    }

    fn keep(&self, column: &mut Column, group: usize, wanted: bool) {
        for (step, present) in self.present[group].iter().enumerate() {
            if *present != wanted && column.is_present(step) {
                column.clear(step);
            }
        }
    }
}

impl Operator for SetOperation {
    fn series(&mut self) -> Result<Vec<Series>> {
        let mut left = self.lhs.series()?;
        let right = self.rhs.series()?;
        let mut signatures = Signatures::default();
        self.left = signatures.of(&left, &self.matching);
        self.right = signatures.of(&right, &self.matching);
        self.charge = Some(self.context.charge(signatures.len().saturating_mul(self.steps))?);
        self.present = vec![vec![false; self.steps]; signatures.len()];
        if self.op == BinaryOp::Or {
            left.extend(right);
        } else if left.is_empty() && (self.rhs_may_fail || self.context.wants_figures()) {
            self.read_right()?;
        }
        Ok(left)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.context.check()?;
        if self.at == 0 && self.op != BinaryOp::Or {
            self.read_right()?;
        }
        let at = self.at;
        self.at += 1;
        if let Some(group) = self.left.get(at).copied() {
            self.lhs.next(column)?;
            match self.op {
                BinaryOp::Or => self.mark(group, column),
                op => self.keep(column, group, op == BinaryOp::And),
            }
            return Ok(());
        }
        self.rhs.next(column)?;
        self.keep(column, self.right[at - self.left.len()], false);
        Ok(())
    }
}
