//! `scrape_configs`: what is scraped and how.
//!
//! A [`ScrapeConfig`] is checked where it is read; what depends on `global` is filled in and checked by
//! [`ScrapeConfig::apply_defaults`]. After that, no field is unset.

mod default;
mod field;
pub(crate) mod protocol;
mod size;
mod unsupported;

use std::ops::Deref;
use std::path::Path;

use nave_discovery::StaticConfig;
use nave_model::relabel::NameScheme;
use serde::{Deserialize, Serialize};

pub use default::Defaults;
pub use field::Fields;
pub use protocol::{Escaping, Protocol};
pub use size::ByteSize;

use crate::Error;

/// One entry of `scrape_configs`, checked. Its fields are those of [`Fields`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct ScrapeConfig(Fields);

impl Deref for ScrapeConfig {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl From<ScrapeConfig> for Fields {
    fn from(config: ScrapeConfig) -> Self {
        config.0
    }
}

impl TryFrom<Fields> for ScrapeConfig {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self, Error> {
        if fields.job_name.is_empty() {
            return refuse("job_name is empty".to_owned());
        }
        let job = format!("for scrape config with job name {:?}", fields.job_name);
        fields.http().validate().or_else(refuse)?;
        protocol::check_list(&fields.scrape_protocols).or_else(|text| refuse(format!("{text} {job}")))?;
        if fields.relabel_configs.is_empty() {
            let mut lists = fields.static_configs.iter();
            lists.try_for_each(StaticConfig::check_addresses).or_else(|error| refuse(error.to_string()))?;
        }
        if let Some(name) = &fields.fallback_scrape_protocol {
            name.parse::<Protocol>()
                .or_else(|text| refuse(format!("invalid fallback_scrape_protocol {job}: {text}")))?;
        }
        Ok(Self(fields))
    }
}

fn refuse<T>(text: String) -> Result<T, Error> {
    Err(Error::Settings(text))
}

impl ScrapeConfig {
    /// Fills in what `global` says and the entry does not, and checks the whole.
    ///
    /// # Errors
    /// When the timeout is over the interval, or names are asked for in an encoding that is not accepted.
    pub fn apply_defaults(&mut self, defaults: &Defaults) -> Result<(), Error> {
        let fields = &mut self.0;
        let job = format!("for scrape config with job name {:?}", fields.job_name);
        if fields.scrape_interval.is_zero() {
            fields.scrape_interval = defaults.scrape_interval;
        }
        if fields.scrape_timeout > fields.scrape_interval {
            return refuse(format!("scrape timeout greater than scrape interval {job}"));
        }
        if fields.scrape_timeout.is_zero() {
            fields.scrape_timeout = defaults.scrape_timeout.min(fields.scrape_interval);
        }
        fields.apply_limits(defaults);
        if fields.scrape_protocols.is_empty() {
            fields.scrape_protocols = defaults.protocols(fields.scrape_native_histograms == Some(true));
        }
        if fields.scrape_failure_log_file.is_empty() {
            fields.scrape_failure_log_file.clone_from(&defaults.scrape_failure_log_file);
        }
        let scheme =
            *fields.metric_name_validation_scheme.get_or_insert(defaults.metric_name_validation_scheme);
        let inferred = match (defaults.metric_name_escaping_scheme, scheme) {
            (Some(Escaping::AllowUtf8), NameScheme::Legacy) | (None, NameScheme::Legacy) => {
                Escaping::Underscores
            }
            (Some(escaping), _) => escaping,
            (None, NameScheme::Utf8) => Escaping::AllowUtf8,
        };
        let escaping = *fields.metric_name_escaping_scheme.get_or_insert(inferred);
        if escaping == Escaping::AllowUtf8 && scheme != NameScheme::Utf8 {
            return refuse(format!(
                "utf8 metric names requested but validation scheme is not set to UTF8 {job}"
            ));
        }
        for rule in fields.relabel_configs.iter().chain(&fields.metric_relabel_configs) {
            rule.validate(scheme).or_else(|error| refuse(format!("{error} {job}")))?;
        }
        Ok(())
    }

    /// Makes relative file names relative to `dir`, the folder of the configuration file.
    pub fn resolve_paths(&mut self, dir: &Path) {
        self.0.resolve_http_paths(dir);
        for files in &mut self.0.file_sd_configs {
            files.resolve_paths(dir);
        }
        if !self.0.scrape_failure_log_file.is_empty() {
            self.0.scrape_failure_log_file =
                dir.join(&self.0.scrape_failure_log_file).to_string_lossy().into_owned();
        }
    }

    /// The config of a job of this process' own, which nobody wrote.
    pub(crate) fn of_builtin(job: &str) -> Result<Self, Error> {
        // Defaults stand in the attributes of the fields: an entry without keys has them all.
        let nothing = std::iter::empty::<(&str, &str)>();
        let entry = serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(nothing);
        let mut fields = Fields::deserialize(entry).map_err(|error| Error::Settings(error.to_string()))?;
        job.clone_into(&mut fields.job_name);
        let mut config = Self::try_from(fields)?;
        config.apply_defaults(&Defaults::default())?;
        Ok(config)
    }

    /// Whether both scrape a given target in the same way, so that its loop need not notice the change. What
    /// decides which targets there are, and what is part of their labels, does not count.
    pub(crate) fn scrapes_like(&self, other: &Self) -> bool {
        let loops_only = |config: &Self| {
            let mut fields = config.0.clone();
            fields.static_configs.clear();
            fields.file_sd_configs.clear();
            fields.relabel_configs.clear();
            fields.params.clear();
            fields.metrics_path.clear();
            fields.scheme.clear();
            (fields.scrape_interval, fields.scrape_timeout) = Default::default();
            (fields.target_limit, fields.keep_dropped_targets) = (0, 0);
            fields
        };
        loops_only(self) == loops_only(other)
    }

    /// What is offered to the target, best first.
    #[must_use]
    pub fn protocols(&self) -> Vec<Protocol> {
        self.scrape_protocols.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// What a page is taken for whose `Content-Type` does not say.
    #[must_use]
    pub fn fallback_protocol(&self) -> Option<Protocol> {
        self.fallback_scrape_protocol.as_ref().and_then(|name| name.parse().ok())
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
