//! `histogram_quantile` and `histogram_fraction` of classic histograms.
//!
//! The buckets of one histogram are series of their own and need not be neighbours, so all of them are
//! held. Output series are the histograms, in the order of their first bucket.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use nave_base::budget::Charge;
use nave_model::label::{BUCKET, Labels, METRIC_NAME};

use super::note::{for_metric, number, quoted, two_digits};
use super::{BoxOperator, Column, Context, Operator, Result, Series};
use crate::ast::Position;
use crate::error::QueryError;
use crate::kernel::bucket::{self, Bucket, Mended};
use crate::kernel::date;
use crate::plan::{Node, Steps};

/// `histogram_quantile(q, v)`.
pub(super) fn quantile(
    q: Vec<f64>,
    args: &[Node],
    input: BoxOperator,
    steps: Steps,
    context: &Context,
) -> BoxOperator {
    super::quantile::warn_outside(args[0].pos, &q, context);
    operator(Figure::Quantile(q), args[1].pos, input, steps, context)
}

/// `histogram_fraction(lower, upper, v)`.
pub(super) fn fraction(
    bounds: (Vec<f64>, Vec<f64>),
    args: &[Node],
    input: BoxOperator,
    steps: Steps,
    context: &Context,
) -> BoxOperator {
    operator(Figure::Fraction(bounds.0, bounds.1), args[2].pos, input, steps, context)
}

fn operator(
    figure: Figure,
    pos: Position,
    input: BoxOperator,
    steps: Steps,
    context: &Context,
) -> BoxOperator {
    let context = context.clone();
    let (histograms, mended) = (Vec::new(), BTreeMap::new());
    Box::new(OfBuckets { input, figure, pos, steps, context, histograms, mended, at: 0, charge: None })
}

/// What is computed, with its arguments per step.
enum Figure {
    Quantile(Vec<f64>),
    Fraction(Vec<f64>, Vec<f64>),
}

/// Upper bounds with the counts at all steps.
#[derive(Default)]
struct Classic {
    name: String,
    buckets: Vec<(f64, Column)>,
}

struct OfBuckets {
    input: BoxOperator,
    figure: Figure,
    pos: Position,
    steps: Steps,
    context: Context,
    histograms: Vec<Classic>,
    /// By metric name.
    mended: BTreeMap<String, MendedSteps>,
    at: usize,
    charge: Option<Charge>,
}

/// What was mended, over all steps.
#[derive(Debug, Clone, Copy)]
struct MendedSteps {
    mended: Mended,
    count: u64,
    first: i64,
    last: i64,
}

impl OfBuckets {
    fn bad_bucket(&self, labels: &Labels) {
        let text = format!(
            "bucket label \"le\" is missing or has a malformed value of {}{}",
            quoted(labels.get(BUCKET)),
            for_metric(labels.metric_name())
        );
        self.context.note(|notes| notes.warn(self.pos, text));
    }

    fn mend(&mut self, name: &str, time: i64, new: Mended) {
        let start = MendedSteps { mended: new, count: 0, first: time, last: time };
        let all = self.mended.entry(name.to_owned()).or_insert(start);
        all.mended.lowest = all.mended.lowest.min(new.lowest);
        all.mended.highest = all.mended.highest.max(new.highest);
        all.mended.difference = all.mended.difference.max(new.difference);
        all.count += 1;
        (all.first, all.last) = (all.first.min(time), all.last.max(time));
    }

    fn note_mended(&self) {
        for (name, all) in &self.mended {
            let MendedSteps { mended: Mended { lowest, highest, difference }, count, first, last } = *all;
            let text = format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see {MONOTONICITY}){}, from \
                 buckets {} to {}, with a max diff of {}, over {count} samples from {} to {}",
                for_metric(name),
                number(lowest),
                number(highest),
                two_digits(difference),
                date::rfc3339(first),
                date::rfc3339(last),
            );
            self.context.note(|notes| notes.info(self.pos, text));
        }
    }
}

/// The page that upstream's info names.
const MONOTONICITY: &str =
    "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile";

impl Operator for OfBuckets {
    fn series(&mut self) -> Result<Vec<Series>> {
        let mut charge = self.context.charge(0)?;
        let mut found: HashMap<Labels, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut output = Vec::new();
        for series in self.input.series()? {
            self.context.check()?;
            let mut column = Column::default();
            self.input.next(&mut column)?;
            if column.has_histograms() {
                return Err(QueryError::not_built(
                    "native histograms in histogram_quantile() and histogram_fraction()",
                ));
            }
            if column.is_empty() {
                continue;
            }
            let Ok(upper) = series.labels.get(BUCKET).parse::<f64>() else {
                self.bad_bucket(&series.labels);
                continue;
            };
            let key = series.labels.filtered(|name| name != BUCKET);
            let at = *found.entry(key).or_insert_with_key(|key| {
                let one = Series { labels: key.clone(), drop_name: series.drop_name };
                output.push(self.context.without_name(one));
                let name = key.get(METRIC_NAME).to_owned();
                self.histograms.push(Classic { name, buckets: Vec::new() });
                self.histograms.len() - 1
            });
            charge.grow(column.bytes())?;
            self.histograms[at].buckets.push((upper, column));
        }
        self.charge = Some(charge);
        Ok(output)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.context.check()?;
        column.reset(self.steps.len());
        let Classic { name, buckets: columns } = std::mem::take(&mut self.histograms[self.at]);
        let mut buckets = Vec::with_capacity(columns.len());
        for step in 0..self.steps.len() {
            buckets.clear();
            let present = |(upper, column): &(f64, Column)| {
                column.float(step).map(|count| Bucket { upper: *upper, count })
            };
            buckets.extend(columns.iter().filter_map(present));
            if buckets.is_empty() {
                continue;
            }
            let value = match &self.figure {
                Figure::Quantile(q) => {
                    let (value, mended) = bucket::quantile(q[step], &mut buckets);
                    if let Some(mended) = mended {
                        self.mend(&name, self.steps.at(step), mended);
                    }
                    value
                }
                Figure::Fraction(lower, upper) => bucket::fraction(lower[step], upper[step], &mut buckets),
            };
            column.set(step, value);
        }
        self.at += 1;
        if self.at == self.histograms.len() {
            self.note_mended();
        }
        Ok(())
    }
}
