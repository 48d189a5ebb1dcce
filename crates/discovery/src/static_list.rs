//! `static_configs`: targets written in the configuration.

use serde::{Deserialize, Serialize};

use crate::group::Written;
use crate::{Error, TargetGroup};

/// One entry of `static_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct StaticConfig(Written);

impl StaticConfig {
    /// The targets as a group.
    #[must_use]
    pub fn group(&self, source: &str) -> TargetGroup {
        self.0.group(source)
    }
}

impl TryFrom<Written> for StaticConfig {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self, Error> {
        let bad = written.targets.iter().flatten().find(|target| target.contains('/'));
        bad.map_or(Ok(()), |target| Err(Error::Address(target.clone())))?;
        Ok(Self(written))
    }
}

impl From<StaticConfig> for Written {
    fn from(config: StaticConfig) -> Self {
        config.0
    }
}
