//! `static_configs`: targets written in the configuration.

use serde::{Deserialize, Serialize};

use crate::group::Written;
use crate::{Error, TargetGroup};

/// One entry of `static_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StaticConfig(Written);

impl StaticConfig {
    /// The targets as a group.
    #[must_use]
    pub fn group(&self, source: &str) -> TargetGroup {
        self.0.group(source)
    }

    /// Checks that targets are hosts with ports. Not for lists that relabelling rules follow: there, a target
    /// may be anything the rules make use of, as the URL that a prober is told.
    ///
    /// # Errors
    /// With the first target that has a path in it.
    pub fn check_addresses(&self) -> Result<(), Error> {
        let bad = self.0.targets.iter().flatten().find(|target| target.contains('/'));
        bad.map_or(Ok(()), |target| Err(Error::Address(target.clone())))
    }
}
