//! What the store gives against the model.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use nave_model::label::Labels;
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::select::{LabelIndex, Need, Scope, SelectError, Selection};
use nave_model::time::{TimeRange, Timestamp};

use crate::content::{Answer, Seen, read, tenant};
use crate::model::{Excuse, Model};
use crate::world::{TENANTS, World};

/// Matchers that select some, all or none.
const VALUES: [(&str, &[&str]); 4] = [
    ("__name__", &["metric_0", "metric_1", "metric_2|metric_3", "metric_.*", ""]),
    ("instance", &["host-0:9100", "host-[1-3].*", ".+", "host-(2|4):9100"]),
    ("pod", &["", "pod-1", "pod-1.*", ".*", "pod-(4|5|7)"]),
    ("number", &["", "3", "[0-6]", ".+"]),
];

pub fn matchers(dice: &mut Rng) -> Vec<Matcher> {
    let one = |dice: &mut Rng| {
        let (name, values) = VALUES[dice.usize(..VALUES.len())];
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        Matcher::new(ops[dice.usize(..4)], name, values[dice.usize(..values.len())])
            .expect("patterns are whole")
    };
    (0..dice.u8(..4)).map(|_| one(dice)).collect()
}

pub fn selection(number: u8, matchers: Vec<Matcher>, range: TimeRange) -> Selection {
    let scope = Scope { tenant: tenant(number), matchers: Vec::new() };
    Selection { scope, ..Selection::new(matchers, range) }
}

impl World {
    /// Everything of every tenant.
    pub async fn check(&mut self) -> Result<(), String> {
        for number in 0..TENANTS as u8 {
            self.compare(number, Vec::new(), TimeRange::ALL).await?;
        }
        Ok(())
    }

    pub async fn query(&mut self, seed: u64, number: u8, (min, max): (i64, i64)) -> Result<(), String> {
        let mut dice = Rng::with_seed(seed);
        let range = TimeRange { min: Timestamp(min), max: Timestamp(max) };
        let matchers = matchers(&mut dice);
        let Some(answer) = self.compare(number, matchers.clone(), range).await? else { return Ok(()) };
        self.compare_last(number, (&matchers, range), &answer).await?;
        self.compare_limited(number, (&matchers, range), &answer, dice.usize(1..5)).await?;
        self.compare_names(number, &matchers, range).await
    }

    /// A query may fail only while the disk does.
    fn excuse<T>(&self, result: Result<T, SelectError>) -> Result<Option<T>, String> {
        match result {
            // What it says after the power went counts for nothing.
            _ if self.disk.is_down() => Ok(None),
            Ok(answer) => Ok(Some(answer)),
            Err(SelectError::Storage(_)) if self.disk.trouble().0.reads > 0 => Ok(None),
            Err(error) => Err(format!("a query failed: {error}")),
        }
    }

    async fn compare(
        &mut self,
        number: u8,
        matchers: Vec<Matcher>,
        range: TimeRange,
    ) -> Result<Option<Answer>, String> {
        let result = read(self.tsdb(), selection(number, matchers.clone(), range)).await;
        let Some((answer, warnings)) = self.excuse(result)? else { return Ok(None) };
        if !warnings.is_empty() && !self.rotted && !self.had_errors() {
            return Err(format!("warnings where nothing is wrong: {warnings:?}"));
        }
        let named = !self.named.is_empty() || !warnings.is_empty();
        let excuse = match named {
            true if self.rotted => Excuse::ForGood,
            // What could not be read now can be read again.
            true if self.disk.trouble().0.reads > 0 => Excuse::Now,
            _ => Excuse::No,
        };
        let floor = self.floor();
        let model = &mut self.models[usize::from(number)];
        let of = |error: String, labels: &Labels, t: i64| {
            format!("{labels} at {t}: {error}; matchers {matchers:?}, range {range:?}, warnings {warnings:?}")
        };
        let mut found: BTreeMap<&Labels, BTreeMap<i64, &Seen>> = BTreeMap::new();
        for (labels, samples) in &answer {
            if !Matcher::all_match(&matchers, labels) {
                return Err(format!("{labels} does not match {matchers:?}"));
            }
            self.counts.compared += samples.len() as u64;
            found.insert(labels, samples.iter().map(|(t, seen)| (*t, seen)).collect());
            let slots = model.series.get(labels);
            let unknown = samples.iter().find(|(t, _)| slots.is_none_or(|slots| !slots.contains_key(t)));
            if let Some((t, seen)) = unknown {
                return Err(of(format!("{seen:?} was never written"), labels, *t));
            }
        }
        for (labels, slots) in &mut model.series {
            if !Matcher::all_match(&matchers, labels) {
                continue;
            }
            let samples = found.get(labels);
            for (t, slot) in slots.range_mut(range.min.0..=range.max.0) {
                let seen = samples.and_then(|samples| samples.get(t)).copied();
                let excuse = if *t < floor { Excuse::ForGood } else { excuse };
                slot.see(seen, excuse).map_err(|error| of(error, labels, *t))?;
            }
        }
        Ok(Some(answer))
    }

    /// The last sample alone is the last one of all.
    async fn compare_last(
        &self,
        number: u8,
        (matchers, range): (&[Matcher], TimeRange),
        all: &Answer,
    ) -> Result<(), String> {
        let last = Selection { need: Need::LastSample, ..selection(number, matchers.to_vec(), range) };
        let Some((answer, _)) = self.excuse(read(self.tsdb(), last).await)? else { return Ok(()) };
        let newest = |answer: &Answer| -> BTreeMap<Labels, String> {
            let last = |(labels, samples): &(Labels, Vec<(i64, Seen)>)| {
                Some((labels.clone(), format!("{:?}", samples.last()?)))
            };
            answer.iter().filter_map(last).collect()
        };
        let (expected, found) = (newest(all), newest(&answer));
        if self.rotted || self.disk.trouble().0.reads > 0 || expected == found {
            return Ok(());
        }
        Err(format!("last samples differ: {found:?}, of all: {expected:?}"))
    }

    /// With a limit the first ones are given.
    async fn compare_limited(
        &self,
        number: u8,
        (matchers, range): (&[Matcher], TimeRange),
        all: &Answer,
        limit: usize,
    ) -> Result<(), String> {
        let limited = Selection { limit: Some(limit), ..selection(number, matchers.to_vec(), range) };
        let Some((answer, _)) = self.excuse(read(self.tsdb(), limited).await)? else { return Ok(()) };
        let labels = |answer: &Answer| answer.iter().map(|(labels, _)| labels.clone()).collect::<Vec<_>>();
        let (expected, found) = (labels(all), labels(&answer));
        let first = &expected[..limit.min(expected.len())];
        if self.rotted || self.disk.trouble().0.reads > 0 || found == first {
            Ok(())
        } else {
            Err(format!("{found:?}, expected {first:?}"))
        }
    }

    /// Names and values of series that must be there are listed, and none that nobody wrote.
    async fn compare_names(&self, number: u8, matchers: &[Matcher], range: TimeRange) -> Result<(), String> {
        let floor = self.floor();
        let model = &self.models[usize::from(number)];
        for name in [None, Some("pod"), Some("__name__")] {
            let selection = selection(number, matchers.to_vec(), range);
            let listed = match name {
                None => self.tsdb().label_names(selection).await,
                Some(name) => self.tsdb().label_values(name.to_owned(), selection).await,
            };
            let Some(listing) = self.excuse(listed)? else { continue };
            let items: BTreeSet<_> = listing.items.iter().cloned().collect();
            if !listing.items.is_sorted() || items.len() != listing.items.len() {
                return Err(format!("not sorted or not unique: {:?}", listing.items));
            }
            let (must, may) = bounds(model, (matchers, range, floor), name);
            let missing: Vec<_> = must.difference(&items).collect();
            let invented: Vec<_> = items.difference(&may).collect();
            let excused = self.rotted || self.disk.trouble().0.reads > 0;
            if !missing.is_empty() && !excused || !invented.is_empty() {
                return Err(format!("labels ({name:?}): missing {missing:?}, invented {invented:?}"));
            }
        }
        Ok(())
    }
}

/// What must be listed, and what may be.
fn bounds(
    model: &Model,
    (matchers, range, floor): (&[Matcher], TimeRange, i64),
    name: Option<&str>,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut must, mut may) = (BTreeSet::new(), BTreeSet::new());
    for (labels, slots) in &model.series {
        if !Matcher::all_match(matchers, labels) {
            continue;
        }
        let items: Vec<String> = match name {
            None => labels.iter().map(|(name, _)| name.to_owned()).collect(),
            Some(name) => {
                Some(labels.get(name)).filter(|v| !v.is_empty()).map(ToOwned::to_owned).into_iter().collect()
            }
        };
        let sure = |(t, slot): (&i64, &crate::model::Slot)| slot.acknowledged && !slot.excused && *t >= floor;
        if slots.range(range.min.0..=range.max.0).any(sure) {
            must.extend(items.iter().cloned());
        }
        may.extend(items);
    }
    (must, may)
}
