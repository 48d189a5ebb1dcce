//! An expression whose result several places of the plan read: evaluated once, series by series, as far as the place that is
//! ahead has come. What others have not read yet waits, and is given back when the last of them has read it.
//!
//! Whether everything may wait is decided when the series are known. If it would take too much, every place evaluates the
//! expression for itself, as if it were not shared: memory stays what it is without sharing.
//!
//! Notes and counts are kept with the call during which they came, and are added to each reader at that call, at the places in
//! the query where that reader stands.

use std::collections::VecDeque;
use std::sync::Arc;

use nave_base::budget::Charge;
use parking_lot::Mutex;

use super::ledger::Record;
use super::note::Notes;
use super::{BoxOperator, Column, Context, Operator, Result, Series, column, operator as operator_of};
use crate::ast::Position;
use crate::plan::{self, Node, Steps};

/// The operator of one of the places.
pub(super) fn operator(shared: &plan::Shared, steps: Steps, context: &Context) -> Result<BoxOperator> {
    let common = context.common(shared.id, || Mutex::new(Common::default()))?;
    let me = Place {
        input: shared.input.clone(),
        positions: shared.input.positions(),
        steps,
        context: context.clone(),
    };
    {
        let mut common = common.lock();
        if common.made.is_none() {
            common.left = shared.readers;
            let run = Run::new(&me, context.apart())?;
            common.made = Some((run.context.taken(), me.positions.clone()));
            common.run = Some(run);
        }
        let Some((record, positions)) = &common.made else { return Err(lost()) };
        me.add(record.clone(), positions)?;
    }
    Ok(Box::new(Reader { me, common, own: None, at: 0 }))
}

fn lost() -> crate::QueryError {
    crate::QueryError::Internal("a shared expression lost its operator".into())
}

/// Where the expression stands once.
struct Place {
    input: Arc<Node>,
    positions: Vec<Position>,
    steps: Steps,
    context: Context,
}

impl Place {
    /// Adds what was noted and counted at the place with `positions`.
    fn add(&self, record: Record, positions: &[Position]) -> Result<()> {
        self.context.add(Record { notes: record.notes.moved(positions, &self.positions), ..record })
    }
}

/// An evaluation of the expression, with notes and counts apart.
struct Run {
    operator: BoxOperator,
    context: Context,
    /// What was noted so far.
    known: Notes,
}

impl Run {
    fn new(place: &Place, context: Context) -> Result<Self> {
        let operator = operator_of(&place.input, place.steps, &context)?;
        Ok(Self { operator, context, known: Notes::default() })
    }

    fn series(&mut self) -> Result<(Vec<Series>, Record)> {
        let series = self.operator.series()?;
        Ok((series, self.record()))
    }

    fn next(&mut self) -> Result<(Column, Record)> {
        let mut column = Column::default();
        self.operator.next(&mut column)?;
        Ok((column, self.record()))
    }

    fn record(&mut self) -> Record {
        let mut record = self.context.taken();
        record.notes.retain_new(&mut self.known);
        record
    }
}

/// What all places share.
#[derive(Default)]
struct Common {
    /// How many places have not read to the end or gone.
    left: usize,
    /// What came when the operator was made, and where it stands.
    made: Option<(Record, Vec<Position>)>,
    /// Taken away when every place evaluates for itself.
    run: Option<Run>,
    series: Option<(Vec<Series>, Record)>,
    charge: Option<Charge>,
    /// Results from number `first` on, with how many places still want each.
    ready: VecDeque<(Column, Record, usize)>,
    first: usize,
}

impl Common {
    /// Whether all results may wait.
    fn may_wait(&mut self, context: &Context, series: usize, steps: usize) -> bool {
        self.charge = context.charge_waiting(series.saturating_mul(column::bytes(steps)));
        self.charge.is_some()
    }

    /// Result number `at` for one place.
    fn take(&mut self, at: usize) -> Result<(Column, Record)> {
        while at >= self.first + self.ready.len() {
            let (column, record) = self.run.as_mut().ok_or_else(lost)?.next()?;
            self.ready.push_back((column, record, self.left));
        }
        let entry = &mut self.ready[at - self.first];
        entry.2 = entry.2.saturating_sub(1);
        if entry.2 > 0 {
            return Ok((entry.0.clone(), entry.1.clone()));
        }
        let taken = (std::mem::take(&mut entry.0), std::mem::take(&mut entry.1));
        self.drop_read();
        Ok(taken)
    }

    fn drop_read(&mut self) {
        while self.ready.pop_front_if(|(.., wanted)| *wanted == 0).is_some() {
            self.first += 1;
        }
        if self.left == 0 {
            (self.charge, self.run) = (None, None);
        }
    }

    /// A place that read `at` results is gone.
    fn leave(&mut self, at: usize) {
        self.left = self.left.saturating_sub(1);
        let first = self.first;
        for (index, entry) in self.ready.iter_mut().enumerate() {
            if first + index >= at {
                entry.2 = entry.2.saturating_sub(1);
            }
        }
        self.drop_read();
    }
}

/// One of the places.
struct Reader {
    me: Place,
    common: Arc<Mutex<Common>>,
    /// Where results must not wait: an evaluation of its own, and where that stands.
    own: Option<(Run, Vec<Position>)>,
    at: usize,
}

impl Reader {
    /// A second evaluation, when the first one cannot be shared.
    fn evaluate_again(&mut self) -> Result<()> {
        let mut run = Run::new(&self.me, self.me.context.apart().alone())?;
        // Both were added with those of the first evaluation.
        drop(run.context.taken());
        drop(run.series()?);
        self.own = Some((run, self.me.positions.clone()));
        Ok(())
    }
}

impl Operator for Reader {
    fn series(&mut self) -> Result<Vec<Series>> {
        let common = self.common.clone();
        let mut common = common.lock();
        let Some((_, positions)) = common.made.clone() else { return Err(lost()) };
        let is_first = common.series.is_none();
        if is_first {
            let (series, record) = common.run.as_mut().ok_or_else(lost)?.series()?;
            let count = series.len();
            common.series = Some((series, record));
            if !common.may_wait(&self.me.context, count, self.me.steps.len()) {
                self.own = common.run.take().map(|run| (run, positions.clone()));
            }
        }
        let (series, record) = common.series.clone().ok_or_else(lost)?;
        let again = !is_first && common.charge.is_none();
        drop(common);
        self.me.add(record, &positions)?;
        if again {
            self.evaluate_again()?;
        }
        Ok(series)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        let record = match &mut self.own {
            Some((run, positions)) => {
                let (next, record) = run.next()?;
                *column = next;
                Record { notes: record.notes.moved(positions, &self.me.positions), ..record }
            }
            None => {
                let mut common = self.common.lock();
                let (next, record) = common.take(self.at)?;
                *column = next;
                let positions = common.made.as_ref().map_or(&[][..], |(_, positions)| positions);
                Record { notes: record.notes.moved(positions, &self.me.positions), ..record }
            }
        };
        self.at += 1;
        self.me.context.add(record)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.common.lock().leave(self.at);
    }
}
