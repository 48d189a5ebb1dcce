//! The values of one series at all steps.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::sample::Value;

/// The bits of the NaN that means "no float at this step". No arithmetic produces it: it is a signalling
/// NaN, and results are quiet. Compare bits only.
const ABSENT: u64 = 0x7ff0_6e61_7665_0001;

/// One value, or none, per step: floats densely, histograms sparsely.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column {
    floats: Vec<f64>,
    /// By step, ascending. Such a step has no float.
    histograms: Vec<(u32, Arc<Histogram>)>,
}

impl Column {
    /// `steps` steps without values.
    pub(crate) fn new(steps: usize) -> Self {
        let mut column = Self::default();
        column.reset(steps);
        column
    }

    /// Removes all values; then there are `steps` steps.
    pub(crate) fn reset(&mut self, steps: usize) {
        self.floats.clear();
        self.floats.resize(steps, f64::from_bits(ABSENT));
        self.histograms.clear();
    }

    /// How many steps.
    pub(crate) fn steps(&self) -> usize {
        self.floats.len()
    }

    /// The float at `step`.
    #[inline]
    pub(crate) fn float(&self, step: usize) -> Option<f64> {
        let value = self.floats[step];
        (value.to_bits() != ABSENT).then_some(value)
    }

    /// The value at `step`.
    pub(crate) fn value(&self, step: usize) -> Option<Value> {
        self.float(step).map(Value::Float).or_else(|| self.histogram(step).cloned().map(Value::Histogram))
    }

    /// The histogram at `step`.
    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<Histogram>> {
        if self.histograms.is_empty() {
            return None;
        }
        let key = u32::try_from(step).ok()?;
        let at = self.histograms.binary_search_by_key(&key, |(at, _)| *at).ok()?;
        Some(&self.histograms[at].1)
    }

    /// Whether there is a value at `step`.
    pub(crate) fn is_present(&self, step: usize) -> bool {
        self.floats[step].to_bits() != ABSENT || self.histogram(step).is_some()
    }

    /// Whether there is any histogram.
    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    /// Whether there is no value at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.floats.iter().all(|value| value.to_bits() == ABSENT)
    }

    /// How many values.
    pub(crate) fn count(&self) -> usize {
        self.histograms.len() + self.floats.iter().filter(|value| value.to_bits() != ABSENT).count()
    }

    /// Sets a float at a step without value.
    #[inline]
    pub(crate) fn set(&mut self, step: usize, value: f64) {
        self.floats[step] = value;
    }

    /// Sets a value at a step without value.
    pub(crate) fn set_value(&mut self, step: usize, value: Value) {
        match value {
            Value::Float(value) => self.set(step, value),
            Value::Histogram(histogram) => self.set_histogram(step, histogram),
        }
    }

    /// Sets a histogram at a step without value; cheapest in ascending order.
    pub(crate) fn set_histogram(&mut self, step: usize, histogram: Arc<Histogram>) {
        let key = u32::try_from(step).expect("Column: under 4 Gi steps");
        let at = self.histograms.partition_point(|(at, _)| *at < key);
        self.histograms.insert(at, (key, histogram));
    }

    /// Removes the value at `step`.
    pub(crate) fn clear(&mut self, step: usize) {
        self.floats[step] = f64::from_bits(ABSENT);
        if !self.histograms.is_empty() {
            self.histograms.retain(|(at, _)| *at as usize != step);
        }
    }

    /// Removes the histograms.
    pub(crate) fn drop_histograms(&mut self) {
        self.histograms.clear();
    }

    /// The floats that are there, with their steps.
    pub(crate) fn floats(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.floats.iter().copied().enumerate().filter(|(_, value)| value.to_bits() != ABSENT)
    }

    /// The histograms with their steps.
    pub(crate) fn histograms(&self) -> impl Iterator<Item = (usize, &Arc<Histogram>)> + '_ {
        self.histograms.iter().map(|(step, histogram)| (*step as usize, histogram))
    }

    /// Replaces every float by `map`'s result.
    pub(crate) fn map_floats(&mut self, mut map: impl FnMut(usize, f64) -> f64) {
        for (step, value) in self.floats.iter_mut().enumerate() {
            if value.to_bits() != ABSENT {
                *value = map(step, *value);
            }
        }
    }

    /// Replaces every float by `map`'s result, or removes it.
    pub(crate) fn filter_map_floats(&mut self, map: impl Fn(usize, f64) -> Option<f64>) {
        for (step, value) in self.floats.iter_mut().enumerate() {
            if value.to_bits() != ABSENT {
                *value = map(step, *value).unwrap_or(f64::from_bits(ABSENT));
            }
        }
    }

    /// Replaces every histogram by `map`'s result.
    pub(crate) fn map_histograms(&mut self, map: impl Fn(&Histogram) -> Histogram) {
        for (_, histogram) in &mut self.histograms {
            *histogram = Arc::new(map(histogram));
        }
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        bytes(self.steps())
    }
}

/// What a column of floats takes in memory.
pub(crate) fn bytes(steps: usize) -> usize {
    steps * size_of::<f64>() + size_of::<Column>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_not_nan() {
        let mut column = Column::new(3);
        assert!(column.is_empty());
        column.set(1, f64::NAN);
        column.set(2, nave_model::sample::stale_nan());
        assert!(column.float(0).is_none() && column.float(1).is_some_and(f64::is_nan));
        assert_eq!((column.count(), column.floats().count()), (2, 2));
        column.clear(1);
        assert_eq!(column.count(), 1);
    }
}
