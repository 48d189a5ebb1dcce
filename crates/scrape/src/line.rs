//! What a sample of a page is to [`crate::ingest`], whatever the page's language.

use nave_model::label::{BUCKET, Labels, METRIC_NAME};
use nave_model::metadata::MetricType;
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;
use nave_wire::exposition::SampleLine;
use nave_wire::exposition::protobuf::{self, Measured};

use crate::cache::Role;

/// One sample of a page.
pub(crate) trait Line {
    /// Equal keys are equal labels.
    fn key(&self) -> &[u8];

    /// What was measured.
    fn value(&self) -> Measured<'_>;

    /// When, if the page says.
    fn timestamp(&self) -> Option<Timestamp>;

    /// Since when the series counts; 0 is not known.
    fn start(&self) -> i64;

    /// The labels as exposed.
    fn labels(&self) -> Result<Labels, String>;

    /// When the series is part of a classic histogram: which, and the histogram's labels. `labels` are its own, `family`
    /// is what the last metadata named.
    fn part(&self, labels: &Labels, family: &str) -> Result<Option<(Role, Labels)>, String>;

    /// Whether [`Line::exemplars`] may give any.
    fn may_have_exemplars(&self) -> bool;

    /// The exemplars.
    fn exemplars(&self) -> Result<Vec<Exemplar>, String>;
}

impl Line for SampleLine<'_> {
    fn key(&self) -> &[u8] {
        self.series
    }

    fn value(&self) -> Measured<'_> {
        Measured::Float(self.value)
    }

    fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    fn start(&self) -> i64 {
        self.start_timestamp.unwrap_or_default().0
    }

    fn labels(&self) -> Result<Labels, String> {
        SampleLine::labels(self).map_err(|error| error.to_string())
    }

    fn part(&self, labels: &Labels, family: &str) -> Result<Option<(Role, Labels)>, String> {
        if self.kind() != MetricType::Histogram || family.is_empty() {
            return Ok(None);
        }
        let bound = || labels.get(BUCKET).parse().ok().filter(|bound: &f64| !bound.is_nan());
        let role = match labels.metric_name().strip_prefix(family) {
            Some("_bucket") => bound().map(Role::Bucket),
            Some("_count") => Some(Role::Count),
            Some("_sum") => Some(Role::Sum),
            _ => None,
        };
        Ok(role.map(|role| {
            let mut whole = labels.to_builder();
            whole.set(METRIC_NAME, family).remove(BUCKET);
            (role, whole.build())
        }))
    }

    fn may_have_exemplars(&self) -> bool {
        self.exemplar.is_some()
    }

    fn exemplars(&self) -> Result<Vec<Exemplar>, String> {
        let Some(exemplar) = &self.exemplar else { return Ok(Vec::new()) };
        let labels = exemplar.labels().map_err(|error| error.to_string())?;
        Ok(vec![Exemplar { labels, value: exemplar.value, timestamp: exemplar.timestamp }])
    }
}

impl Line for protobuf::Sample<'_> {
    fn key(&self) -> &[u8] {
        self.key
    }

    fn value(&self) -> Measured<'_> {
        self.value
    }

    fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    fn start(&self) -> i64 {
        self.start_timestamp.unwrap_or_default().0
    }

    fn labels(&self) -> Result<Labels, String> {
        protobuf::Sample::labels(self)
    }

    fn part(&self, _: &Labels, _: &str) -> Result<Option<(Role, Labels)>, String> {
        let role = match self.part {
            _ if !self.only_classic => return Ok(None),
            protobuf::Part::Bucket(bound) if !bound.is_nan() => Role::Bucket(bound),
            protobuf::Part::Count => Role::Count,
            protobuf::Part::Sum => Role::Sum,
            _ => return Ok(None),
        };
        Ok(Some((role, self.whole_labels()?)))
    }

    fn may_have_exemplars(&self) -> bool {
        protobuf::Sample::may_have_exemplars(self)
    }

    fn exemplars(&self) -> Result<Vec<Exemplar>, String> {
        protobuf::Sample::exemplars(self).map_err(|error| error.to_string())
    }
}
