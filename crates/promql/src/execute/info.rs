//! `info()`: adds labels of info series, such as `target_info`, to the series they describe.
//!
//! An info series describes what has the same `instance` and `job`. Which one does can change from step to
//! step, so one input series may become several, each with some of its steps. All info series are read
//! first; the input streams.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
use nave_base::budget::Charge;
use nave_model::label::{Labels, METRIC_NAME};
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::sample::is_stale;
use nave_model::select::Columns;

use super::scan::{Evaluate, Scan, Scratch};
use super::{BoxOperator, Column, Context, Operator, Result, Series, column};
use crate::error::QueryError;
use crate::plan::{Info, Shift, Source, Steps};

/// What tells which series an info series describes.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// More values than this are not worth a matcher.
const VALUES_MAX: usize = 1000;

/// The operator.
pub(super) fn operator(input: BoxOperator, info: &Info, steps: Steps, context: &Context) -> BoxOperator {
    Box::new(Join {
        input,
        source: info.source.clone(),
        labels: info.labels.clone(),
        names: info.names.clone(),
        steps,
        context: context.clone(),
        parts: VecDeque::new(),
        timelines: Vec::new(),
        ready: VecDeque::new(),
        charge: None,
    })
}

struct Join {
    input: BoxOperator,
    source: Source,
    labels: Vec<Matcher>,
    names: Vec<Matcher>,
    steps: Steps,
    context: Context,
    /// What becomes of each input series, in order.
    parts: VecDeque<Parts>,
    timelines: Vec<Timeline>,
    ready: VecDeque<Column>,
    charge: Option<Charge>,
}

/// Which info series describe one pair of identifying labels.
#[derive(Default)]
struct Timeline {
    /// Sets of info series, one per metric name; the first set is empty.
    sets: Vec<Vec<usize>>,
    /// The set at each step.
    at: Vec<u32>,
}

/// What becomes of one input series.
enum Parts {
    /// It stays as it is.
    Whole,
    /// Per set of the timeline: the output series, none, or why there can be none.
    Split { timeline: usize, output: Vec<Output>, count: usize },
}

#[derive(Clone)]
enum Output {
    Series(usize),
    Dropped,
    Conflict(String),
}

impl Operator for Join {
    fn series(&mut self) -> Result<Vec<Series>> {
        let base = self.input.series()?;
        let is_info = |series: &Series| Matcher::all_match(&self.names, &series.labels);
        let described: Vec<bool> = base.iter().map(|series| !is_info(series)).collect();
        let asked = base.iter().zip(&described).filter(|(_, described)| **described);
        let (infos, times) = self.read(asked.map(|(series, _)| &series.labels))?;
        let known = self.timelines(&infos, &times)?;
        let mut all = Vec::with_capacity(base.len());
        for (series, described) in base.into_iter().zip(described) {
            self.context.check()?;
            if !described {
                all.push(series);
                self.parts.push_back(Parts::Whole);
                continue;
            }
            let timeline = known.get(&identity(&series.labels)).copied().unwrap_or(0);
            let from = all.len();
            let mut output = Vec::new();
            for set in &self.timelines[timeline].sets {
                output.push(self.described(&series, set, &infos, &mut all, from));
            }
            let count = all.len() - from;
            self.parts.push_back(Parts::Split { timeline, output, count });
        }
        Ok(all)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        while self.ready.is_empty() {
            self.context.check()?;
            let Some(parts) = self.parts.pop_front() else {
                return Err(QueryError::Internal("info(): more series asked for than there are".into()));
            };
            let mut input = Column::default();
            self.input.next(&mut input)?;
            match parts {
                Parts::Whole => self.ready.push_back(input),
                Parts::Split { timeline, output, count } => {
                    self.ready.extend(split(&input, &self.timelines[timeline], &output, count)?);
                }
            }
        }
        *column = self.ready.pop_front().unwrap_or_default();
        Ok(())
    }
}

impl Join {
    /// The info series for `asked`, and the time of their newest sample per step.
    fn read<'a>(&self, asked: impl Iterator<Item = &'a Labels>) -> Result<(Vec<Labels>, Vec<Column>)> {
        let mut values: [BTreeSet<&str>; 2] = Default::default();
        for labels in asked {
            let identity = IDENTIFYING.map(|name| labels.get(name));
            if identity.iter().any(|value| !value.is_empty()) {
                values.iter_mut().zip(identity).for_each(|(values, value)| {
                    values.insert(value);
                });
            }
        }
        if values[0].is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut source = self.source.clone();
        for (name, values) in IDENTIFYING.iter().zip(&values) {
            let escaped: Vec<String> = values.iter().map(|value| escaped(value)).collect();
            let matcher = Matcher::new(MatchOp::Regex, name, &escaped.join("|"));
            if let Some(matcher) = matcher.ok().filter(|_| values.len() <= VALUES_MAX) {
                source.matchers.push(matcher);
            }
        }
        let newest = InfoTimes { steps: self.steps, shift: source.shift, lookback: source.window_ms };
        let mut scan = Scan::new(&source, self.steps, &self.context, Arc::new(newest));
        let infos: Vec<Labels> = scan.series()?.into_iter().map(|series| series.labels).collect();
        let mut times = Vec::with_capacity(infos.len());
        for _ in &infos {
            let mut column = Column::default();
            scan.next(&mut column)?;
            times.push(column);
        }
        Ok((infos, times))
    }

    /// Fills the timelines; gives the one of each pair of identifying labels. The first one is empty.
    fn timelines(&mut self, infos: &[Labels], times: &[Column]) -> Result<HashMap<[String; 2], usize>> {
        let steps = self.steps.len();
        let mut of: HashMap<[String; 2], Vec<usize>> = HashMap::new();
        for (index, labels) in infos.iter().enumerate() {
            of.entry(identity(labels)).or_default().push(index);
        }
        self.charge = Some(self.context.charge((infos.len() + of.len()) * column::bytes(steps))?);
        self.timelines.push(Timeline { sets: vec![Vec::new()], at: vec![0; steps] });
        let mut known = HashMap::new();
        for (identity, members) in of {
            self.context.check()?;
            known.insert(identity, self.timelines.len());
            self.timelines.push(timeline(&members, infos, times, steps)?);
        }
        Ok(known)
    }

    /// What becomes of `series` where `set` describes it. Equal label sets become one series.
    fn described(
        &self,
        series: &Series,
        set: &[usize],
        infos: &[Labels],
        all: &mut Vec<Series>,
        from: usize,
    ) -> Output {
        if set.is_empty() && !self.labels.iter().all(Matcher::matches_empty) {
            return Output::Dropped;
        }
        let labels = match self.enriched(&series.labels, set, infos) {
            Ok(labels) => labels,
            Err(name) => return Output::Conflict(name),
        };
        let known = all[from..].iter().position(|known| known.labels == labels);
        let at = known.unwrap_or_else(|| {
            all.push(Series { labels, drop_name: series.drop_name });
            all.len() - 1 - from
        });
        Output::Series(at)
    }

    /// `base` with the labels asked for that it does not have, or the name of one with two values.
    fn enriched(&self, base: &Labels, set: &[usize], infos: &[Labels]) -> Result<Labels, String> {
        let wanted = |name: &str| {
            let asked = self.labels.is_empty() || self.labels.iter().any(|matcher| matcher.name() == name);
            name != METRIC_NAME && asked && base.get(name).is_empty()
        };
        let mut added: Vec<(&str, &str)> = Vec::new();
        for (name, value) in
            set.iter().flat_map(|index| infos[*index].iter()).filter(|(name, _)| wanted(name))
        {
            match added.iter().find(|(known, _)| *known == name) {
                Some((_, known)) if *known != value => return Err(name.to_owned()),
                Some(_) => {}
                None => added.push((name, value)),
            }
        }
        let mut labels = base.to_builder();
        for (name, value) in added {
            labels.set(name, value);
        }
        Ok(labels.build())
    }
}

/// `value` as a pattern that matches only it.
fn escaped(value: &str) -> String {
    let mut pattern = String::with_capacity(value.len());
    for character in value.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

fn identity(labels: &Labels) -> [String; 2] {
    IDENTIFYING.map(|name| labels.get(name).to_owned())
}

/// Of the info series of one name the one with the newest sample describes a step.
fn timeline(members: &[usize], infos: &[Labels], times: &[Column], steps: usize) -> Result<Timeline> {
    let mut timeline = Timeline { sets: vec![Vec::new()], at: Vec::with_capacity(steps) };
    for step in 0..steps {
        let mut set: Vec<usize> = Vec::new();
        for member in members {
            let Some(time) = times[*member].float(step) else { continue };
            let name = infos[*member].metric_name();
            let Some(slot) = set.iter_mut().find(|known| infos[**known].metric_name() == name) else {
                set.push(*member);
                continue;
            };
            let other = times[*slot].float(step).unwrap_or(f64::MIN);
            if other == time {
                let (a, b) = (&infos[*slot], &infos[*member]);
                return Err(QueryError::execution(format!(
                    "found duplicate series for info metric: existing {a} @ {time}, new {b} @ {time}"
                )));
            }
            if time > other {
                *slot = *member;
            }
        }
        let known = timeline.sets.iter().position(|known| *known == set);
        let at = known.unwrap_or_else(|| {
            timeline.sets.push(set);
            timeline.sets.len() - 1
        });
        timeline.at.push(u32::try_from(at).unwrap_or(0));
    }
    Ok(timeline)
}

fn split(input: &Column, timeline: &Timeline, output: &[Output], count: usize) -> Result<Vec<Column>> {
    let mut columns = vec![Column::new(input.steps()); count];
    for (step, set) in timeline.at.iter().enumerate() {
        let Some(value) = input.value(step) else { continue };
        match &output[*set as usize] {
            Output::Series(at) => columns[*at].set_value(step, value),
            Output::Dropped => {}
            Output::Conflict(name) => {
                return Err(QueryError::execution(format!("conflicting label: {name}")));
            }
        }
    }
    Ok(columns)
}

/// The time of the newest sample per step, which must be a float.
struct InfoTimes {
    steps: Steps,
    shift: Shift,
    lookback: i64,
}

impl Evaluate for InfoTimes {
    fn evaluate(
        &self,
        series: &Series,
        samples: &mut Columns,
        scratch: &mut Scratch,
        column: &mut Column,
    ) -> Result<()> {
        for (step, time) in self.steps.iter().enumerate() {
            let at = self.shift.apply(time);
            let after = samples.timestamps.partition_point(|known| known.0 <= at);
            let Some(index) = after.checked_sub(1) else { continue };
            let found = samples.timestamps[index];
            if found.0 <= at.saturating_sub(self.lookback) || is_stale(samples.values[index]) {
                continue;
            }
            let key = u32::try_from(index).unwrap_or(u32::MAX);
            if let Ok(histogram) = samples.histograms.binary_search_by_key(&key, |(at, _)| *at) {
                if is_stale(samples.histograms[histogram].1.sum) {
                    continue;
                }
                return Err(QueryError::execution(format!(
                    "info sample should be float, got a native histogram of {}",
                    series.labels
                )));
            }
            column.set(step, found.0 as f64);
            scratch.looked_at.add(step, 1);
        }
        Ok(())
    }

    fn drops_name(&self) -> bool {
        false
    }
}
