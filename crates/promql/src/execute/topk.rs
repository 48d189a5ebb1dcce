//! Aggregations that pick series: topk, bottomk, limitk.
//!
//! Which series are picked is known only when all input was seen, so the input is read when the series
//! are asked for. Per group and step the picked values stand in a binary heap built and read as Go's
//! `container/heap` does it: among equal values the same ones win as upstream.

use std::cmp::Ordering;

use hashbrown::HashMap;
use nave_base::budget::Charge;
use nave_model::sample::Value;

use super::grouping::group;
use super::note::number;
use super::{BoxOperator, Column, Context, Operator, Result, Series};
use crate::ast::AggregateOp;
use crate::error::QueryError;
use crate::kernel::order;
use crate::plan::{Aggregate, Steps};

/// The operator; `count` is k per step.
pub(super) fn operator(
    input: BoxOperator,
    aggregate: &Aggregate,
    count: &[f64],
    steps: Steps,
    context: &Context,
) -> Result<BoxOperator> {
    let count = count.iter().map(|k| limit(*k)).collect::<Result<Vec<_>>>()?;
    let steps = steps.len();
    let (aggregate, context) = (aggregate.clone(), context.clone());
    Ok(Box::new(Picking { input, aggregate, count, steps, context, picked: Vec::new(), at: 0, charge: None }))
}

fn limit(k: f64) -> Result<usize> {
    if k.is_nan() {
        return Err(QueryError::execution("Parameter value is NaN"));
    }
    if k >= i64::MAX as f64 {
        return Err(QueryError::execution(format!("Scalar value {} overflows int64", number(k))));
    }
    if k <= i64::MIN as f64 {
        return Err(QueryError::execution(format!("Scalar value {} underflows int64", number(k))));
    }
    Ok(usize::try_from(k as i64).unwrap_or(0))
}

struct Picking {
    input: BoxOperator,
    aggregate: Aggregate,
    count: Vec<usize>,
    steps: usize,
    context: Context,
    /// What comes out, in order.
    picked: Vec<Column>,
    at: usize,
    charge: Option<Charge>,
}

#[derive(Debug, Clone)]
struct Entry {
    series: usize,
    value: Value,
}

impl Entry {
    fn float(&self) -> f64 {
        match &self.value {
            Value::Float(value) => *value,
            Value::Histogram(_) => f64::NAN,
        }
    }
}

impl Picking {
    /// The heaps by group, then step.
    fn pick(&mut self, groups: &[usize], count: usize) -> Result<Vec<Vec<Vec<Entry>>>> {
        let mut heaps: Vec<Vec<Vec<Entry>>> = vec![vec![Vec::new(); self.steps]; count];
        let mut charge = self.context.charge(count * self.steps * size_of::<Vec<Entry>>())?;
        let mut column = Column::default();
        for (series, group) in groups.iter().enumerate() {
            self.context.check()?;
            self.input.next(&mut column)?;
            self.ignore_histograms(&mut column);
            let mut grown = 0;
            for (step, heap) in heaps[*group].iter_mut().enumerate() {
                let Some(value) = column.value(step) else { continue };
                if heap.len() < self.count[step] {
                    grown += size_of::<Entry>();
                }
                offer(heap, self.count[step], Entry { series, value }, self.aggregate.op);
            }
            charge.grow(grown)?;
        }
        self.charge = Some(charge);
        Ok(heaps)
    }

    fn ignore_histograms(&self, column: &mut Column) {
        if column.has_histograms() && self.aggregate.op != AggregateOp::Limitk {
            let text = format!("ignored histogram in {} aggregation", self.aggregate.op.as_str());
            self.context.note(|notes| notes.info(self.aggregate.input.pos, text));
            column.drop_histograms();
        }
    }
}

/// Puts `entry` into a heap of at most `count`.
fn offer(heap: &mut Vec<Entry>, count: usize, entry: Entry, op: AggregateOp) {
    let less = |a: &Entry, b: &Entry| before(op, a.float(), b.float());
    if op == AggregateOp::Limitk {
        if heap.len() < count {
            heap.push(entry);
        }
    } else if heap.len() < count {
        heap.push(entry);
        sift_up(heap, less);
    } else if let Some(top) = heap.first_mut() {
        let (old, new) = (top.float(), entry.float());
        let better = if op == AggregateOp::Topk { old < new } else { old > new };
        if better || (old.is_nan() && !new.is_nan()) {
            *top = entry;
            sift_down(heap, less);
        }
    }
}

/// Whether `a` leaves the heap before `b`: the smaller, or for bottomk the greater; NaN first.
fn before(op: AggregateOp, a: f64, b: f64) -> bool {
    if a.is_nan() {
        return true;
    }
    if op == AggregateOp::Topk { a < b } else { a > b }
}

fn sift_up(heap: &mut [Entry], less: impl Fn(&Entry, &Entry) -> bool) {
    let mut at = heap.len() - 1;
    while at > 0 {
        let parent = (at - 1) / 2;
        if !less(&heap[at], &heap[parent]) {
            break;
        }
        heap.swap(at, parent);
        at = parent;
    }
}

fn sift_down(heap: &mut [Entry], less: impl Fn(&Entry, &Entry) -> bool) {
    let mut at = 0;
    loop {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        if left >= heap.len() {
            break;
        }
        let child = if right < heap.len() && less(&heap[right], &heap[left]) { right } else { left };
        if !less(&heap[child], &heap[at]) {
            break;
        }
        heap.swap(at, child);
        at = child;
    }
}

/// The order in which an instant query shows a group.
fn shown(op: AggregateOp, a: &Entry, b: &Entry) -> Ordering {
    match op {
        AggregateOp::Topk => order::ascending(b.float(), a.float()),
        AggregateOp::Bottomk => order::ascending_nan_last(a.float(), b.float()),
        _ => Ordering::Equal,
    }
}

impl Operator for Picking {
    fn series(&mut self) -> Result<Vec<Series>> {
        let series = self.input.series()?;
        if self.count.iter().all(|count| *count == 0) {
            return Ok(Vec::new());
        }
        let groups = group(&series, &self.aggregate);
        let mut heaps = self.pick(&groups.of, groups.series.len())?;
        if self.steps == 1 {
            heaps.iter_mut().flatten().for_each(|heap| heap.sort_by(|a, b| shown(self.aggregate.op, a, b)));
        }
        let mut place: HashMap<usize, usize> = HashMap::new();
        let mut order = Vec::new();
        for (step, entry) in heaps
            .iter()
            .flat_map(|steps| steps.iter().enumerate())
            .flat_map(|(s, heap)| heap.iter().map(move |e| (s, e)))
        {
            let at = *place.entry(entry.series).or_insert_with(|| {
                order.push(entry.series);
                self.picked.push(Column::new(self.steps));
                self.picked.len() - 1
            });
            self.picked[at].set_value(step, entry.value.clone());
        }
        Ok(order.into_iter().map(|index| series[index].clone()).collect())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        std::mem::swap(column, &mut self.picked[self.at]);
        self.at += 1;
        Ok(())
    }
}
