//! `absent`: 1 at every step at which the input has no sample.

use nave_model::label::Labels;

use super::{BoxOperator, Column, Operator, Result, Series};
use crate::plan::Steps;

/// The operator; its one series has `labels`.
pub(super) fn operator(input: BoxOperator, labels: &Labels, steps: Steps) -> BoxOperator {
    Box::new(Absent { input, labels: labels.clone(), steps })
}

struct Absent {
    input: BoxOperator,
    labels: Labels,
    steps: Steps,
}

impl Operator for Absent {
    fn series(&mut self) -> Result<Vec<Series>> {
        Ok(vec![Series { labels: self.labels.clone(), drop_name: false }])
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        let mut present = vec![false; self.steps.len()];
        let mut input = Column::default();
        for _ in 0..self.input.series()?.len() {
            self.input.next(&mut input)?;
            for (step, present) in present.iter_mut().enumerate() {
                *present |= input.is_present(step);
            }
        }
        column.reset(self.steps.len());
        for (step, present) in present.into_iter().enumerate() {
            if !present {
                column.set(step, 1.0);
            }
        }
        Ok(())
    }
}
