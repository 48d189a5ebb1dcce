//! Label selectors of Kubernetes: which labels match, and which requirement is the one that does not.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A label selector; without requirements it matches everything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Selector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Requirement>,
}

/// One of `matchExpressions`.
#[derive(Debug, Clone, Deserialize)]
struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Requirement {
    fn is_met(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }

    fn text(&self) -> String {
        let values = self.values.join(", ");
        match self.operator {
            Operator::In => format!("{} in ({values})", self.key),
            Operator::NotIn => format!("{} not in ({values})", self.key),
            Operator::Exists => format!("a label {}", self.key),
            Operator::DoesNotExist => format!("no label {}", self.key),
        }
    }
}

impl Selector {
    /// A selector of exact values.
    pub(super) fn of_labels(labels: &BTreeMap<String, String>) -> Self {
        Self { match_labels: labels.clone(), match_expressions: Vec::new() }
    }

    /// Whether all requirements are met.
    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.unmet(labels).is_empty()
    }

    /// The requirements that `labels` do not meet, each with what is there instead.
    pub(super) fn unmet(&self, labels: &BTreeMap<String, String>) -> Vec<String> {
        let exact = self.match_labels.iter().filter(|(key, value)| labels.get(*key) != Some(*value));
        let exact = exact.map(|(key, value)| (key, format!("{key}={value}")));
        let others = self.match_expressions.iter().filter(|requirement| !requirement.is_met(labels));
        let others = others.map(|requirement| (&requirement.key, requirement.text()));
        let found = |key: &String| match labels.get(key) {
            Some(value) => format!("it has {key}={value}"),
            None => format!("it has no label {key}"),
        };
        exact.chain(others).map(|(key, wanted)| format!("wants {wanted}, {}", found(key))).collect()
    }

    /// How many requirements there are.
    pub(super) fn len(&self) -> usize {
        self.match_labels.len() + self.match_expressions.len()
    }

    /// The requirements as a list for people.
    pub(super) fn text(&self) -> String {
        let exact = self.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        exact.chain(self.match_expressions.iter().map(Requirement::text)).collect::<Vec<_>>().join(", ")
    }
}
