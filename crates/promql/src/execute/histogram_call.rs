//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`, of classic and native histograms.
//!
//! The buckets of one classic histogram are series of their own and need not be neighbours, so all of
//! them are held. Output series are the histograms, in the order of their first series, once per
//! quantile asked for.

mod mended;

use hashbrown::HashMap;
use nave_base::budget::Charge;
use nave_model::histogram::Histogram;
use nave_model::label::{BUCKET, Labels, METRIC_NAME};

use super::note::{for_metric, quoted};
use super::{BoxOperator, Column, Context, Operator, Result, Series};
use crate::ast::Position;
use crate::error::QueryError;
use crate::kernel::bucket::{self, Bucket};
use crate::kernel::histogram;
use crate::plan::{Kind, Node, Steps};
use mended::MendedSteps;

/// `histogram_quantile(q, v)`.
pub(super) fn quantile(
    q: Vec<f64>,
    positions: &[Position],
    input: BoxOperator,
    steps: Steps,
    context: &Context,
) -> BoxOperator {
    super::quantile::warn_outside(positions[0], &q, context);
    let figures = vec![Figure { label: None, what: What::Quantile(q) }];
    operator(figures, positions[1], input, steps, context)
}

/// `histogram_quantiles(v, label, q ...)`, with the values of each `q` per step.
pub(super) fn quantiles(
    qs: Vec<Vec<f64>>,
    (args, positions): (&[Node], &[Position]),
    input: BoxOperator,
    steps: Steps,
    context: &Context,
) -> Result<BoxOperator> {
    let name = match &args[1].kind {
        Kind::Text(text) => text.as_str().filter(|name| !name.is_empty()).map(str::to_owned),
        _ => None,
    };
    let Some(name) = name else {
        return Err(QueryError::execution("invalid label name in histogram_quantiles()"));
    };
    let figure = |(q, pos): (Vec<f64>, &Position)| {
        super::quantile::warn_outside(*pos, &q, context);
        let value = super::note::open_metrics(q.first().copied().unwrap_or(f64::NAN));
        Figure { label: Some((name.clone(), value)), what: What::Quantile(q) }
    };
    let figures = qs.into_iter().zip(&positions[2..]).map(figure).collect();
    Ok(operator(figures, positions[0], input, steps, context))
}

/// `histogram_fraction(lower, upper, v)`.
pub(super) fn fraction(
    bounds: (Vec<f64>, Vec<f64>),
    positions: &[Position],
    input: BoxOperator,
    steps: Steps,
    context: &Context,
) -> BoxOperator {
    let figures = vec![Figure { label: None, what: What::Fraction(bounds.0, bounds.1) }];
    operator(figures, positions[2], input, steps, context)
}

fn operator(
    figures: Vec<Figure>,
    pos: Position,
    input: BoxOperator,
    steps: Steps,
    context: &Context,
) -> BoxOperator {
    let context = context.clone();
    let (histograms, mended) = (Vec::new(), MendedSteps::default());
    Box::new(OfHistograms { input, figures, pos, steps, context, histograms, mended, at: 0, charge: None })
}

/// What is computed, and the label that tells its series from others.
struct Figure {
    label: Option<(String, String)>,
    what: What,
}

/// Arguments per step.
enum What {
    Quantile(Vec<f64>),
    Fraction(Vec<f64>, Vec<f64>),
}

/// Everything that belongs to one label set.
#[derive(Default)]
struct Entry {
    name: String,
    /// Upper bounds with the counts at all steps.
    buckets: Vec<(f64, Column)>,
    native: Option<Column>,
}

struct OfHistograms {
    input: BoxOperator,
    figures: Vec<Figure>,
    pos: Position,
    steps: Steps,
    context: Context,
    histograms: Vec<Entry>,
    mended: MendedSteps,
    /// Output series so far.
    at: usize,
    charge: Option<Charge>,
}

impl OfHistograms {
    fn bad_bucket(&self, labels: &Labels) {
        let text = format!(
            "bucket label \"le\" is missing or has a malformed value of {}{}",
            quoted(labels.get(BUCKET)),
            for_metric(labels.metric_name())
        );
        self.context.note(|notes| notes.warn(self.pos, text));
    }

    /// Reads all input; gives the label set of each entry.
    fn read(&mut self) -> Result<Vec<Series>> {
        let mut charge = self.context.charge(0)?;
        let mut found: HashMap<Labels, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut entries = Vec::new();
        for series in self.input.series()? {
            self.context.check()?;
            let mut column = Column::default();
            self.input.next(&mut column)?;
            charge.grow(column.bytes())?;
            let mut entry = |histograms: &mut Vec<Entry>, key: Labels| {
                *found.entry(key).or_insert_with_key(|key| {
                    entries.push(Series { labels: key.clone(), drop_name: series.drop_name });
                    let name = key.get(METRIC_NAME).to_owned();
                    histograms.push(Entry { name, ..Entry::default() });
                    histograms.len() - 1
                })
            };
            let is_classic = column.floats().next().is_some();
            if column.has_histograms() {
                let at = entry(&mut self.histograms, series.labels.clone());
                self.histograms[at].native = Some(column.clone());
            }
            if !is_classic {
                continue;
            }
            let Ok(upper) = series.labels.get(BUCKET).parse::<f64>() else {
                self.bad_bucket(&series.labels);
                continue;
            };
            let at = entry(&mut self.histograms, series.labels.filtered(|name| name != BUCKET));
            self.histograms[at].buckets.push((upper, column));
        }
        self.charge = Some(charge);
        Ok(entries)
    }

    fn classic(&mut self, entry: &Entry, what: &What, step: usize, buckets: &mut Vec<Bucket>) -> f64 {
        match what {
            What::Quantile(q) => {
                let (value, mended) = bucket::quantile(q[step], buckets);
                if let Some(mended) = mended {
                    self.mended.add(&entry.name, self.steps.at(step), mended);
                }
                value
            }
            What::Fraction(lower, upper) => bucket::fraction(lower[step], upper[step], buckets),
        }
    }

    fn native(&self, entry: &Entry, what: &What, step: usize, native: &Histogram) -> f64 {
        let suffix = for_metric(&entry.name);
        let has_nan = histogram::has_nan_observations(native);
        let info = |text: String| self.context.note(|notes| notes.info(self.pos, text));
        match what {
            What::Quantile(q) => {
                let value = histogram::quantile(q[step], native);
                if has_nan {
                    let result = if value.is_nan() { "NaN" } else { "skewed higher" };
                    info(format!(
                        "input to histogram_quantile has NaN observations, result is {result}{suffix}"
                    ));
                }
                value
            }
            What::Fraction(lower, upper) => {
                if has_nan {
                    info(format!(
                        "input to histogram_fraction has NaN observations, which are excluded from all fractions{suffix}"
                    ));
                }
                histogram::fraction(lower[step], upper[step], native)
            }
        }
    }

    fn values(&mut self, entry: &Entry, what: &What, column: &mut Column) {
        let mut buckets = Vec::with_capacity(entry.buckets.len());
        for step in 0..self.steps.len() {
            buckets.clear();
            let present = |(upper, column): &(f64, Column)| {
                column.float(step).map(|count| Bucket { upper: *upper, count })
            };
            buckets.extend(entry.buckets.iter().filter_map(present));
            let native = entry.native.as_ref().and_then(|native| native.histogram(step));
            let value = match (native, buckets.is_empty()) {
                (None, true) => continue,
                (None, false) => self.classic(entry, what, step, &mut buckets),
                (Some(native), true) => self.native(entry, what, step, native),
                (Some(_), false) => {
                    let suffix = for_metric(&entry.name);
                    let text = format!("vector contains a mix of classic and native histograms{suffix}");
                    self.context.note(|notes| notes.warn(self.pos, text));
                    continue;
                }
            };
            column.set(step, value);
        }
    }
}

impl Operator for OfHistograms {
    fn series(&mut self) -> Result<Vec<Series>> {
        let entries = self.read()?;
        let mut output = Vec::with_capacity(entries.len() * self.figures.len());
        for entry in entries {
            for figure in &self.figures {
                let mut labels = entry.labels.clone();
                if let Some((name, value)) = &figure.label {
                    labels = labels.to_builder().set(name, value).build();
                }
                output.push(self.context.without_name(Series { labels, ..entry.clone() }));
            }
        }
        Ok(output)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.context.check()?;
        column.reset(self.steps.len());
        let (at, figure) = (self.at / self.figures.len(), self.at % self.figures.len());
        let entry = std::mem::take(&mut self.histograms[at]);
        let what = std::mem::replace(&mut self.figures[figure].what, What::Quantile(Vec::new()));
        self.values(&entry, &what, column);
        self.figures[figure].what = what;
        self.histograms[at] = entry;
        self.at += 1;
        if self.at == self.histograms.len() * self.figures.len() {
            self.mended.note(self.pos, &self.context);
        }
        Ok(())
    }
}
