//! Target groups: targets that share labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The label that holds host and port.
pub const ADDRESS_LABEL: &str = "__address__";

/// Targets that share labels, from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroup {
    /// Unique within a mechanism: a file and position, an object's name.
    pub source: Arc<str>,
    /// The labels of each target, `__address__` among them.
    pub targets: Vec<Vec<(String, String)>>,
    /// Labels of all targets; a target's own win.
    pub labels: Vec<(String, String)>,
}

/// A group as files and static lists write it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    #[serde(default)]
    pub(crate) targets: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

impl Written {
    pub(crate) fn group(&self, source: &str) -> TargetGroup {
        let address = |target: &String| vec![(ADDRESS_LABEL.to_owned(), target.clone())];
        TargetGroup {
            source: Arc::from(source),
            targets: self.targets.iter().flatten().map(address).collect(),
            labels: self.labels.clone().unwrap_or_default().into_iter().collect(),
        }
    }
}
