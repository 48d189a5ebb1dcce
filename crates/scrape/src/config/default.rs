//! What `global` says for all scrape configs.

use nave_model::duration::PromDuration;
use nave_model::relabel::NameScheme;

use super::protocol::check_list;
use super::{ByteSize, Escaping, Protocol};
use crate::Error;

/// The scrape part of `global`. 0 and empty mean upstream's default, which is no limit for limits.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // named as the fields of `global`; see [`super::Fields`]
pub struct Defaults {
    pub scrape_interval: PromDuration,
    pub scrape_timeout: PromDuration,
    pub scrape_protocols: Vec<String>,
    pub scrape_failure_log_file: String,
    pub body_size_limit: ByteSize,
    pub sample_limit: u64,
    pub label_limit: u64,
    pub label_name_length_limit: u64,
    pub label_value_length_limit: u64,
    pub target_limit: u64,
    pub keep_dropped_targets: u64,
    pub metric_name_validation_scheme: NameScheme,
    pub metric_name_escaping_scheme: Option<Escaping>,
    pub scrape_native_histograms: bool,
    pub convert_classic_histograms_to_nhcb: bool,
    pub always_scrape_classic_histograms: bool,
    pub extra_scrape_metrics: bool,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            scrape_interval: PromDuration::from_secs(60),
            scrape_timeout: PromDuration::from_secs(10),
            scrape_protocols: Vec::new(),
            scrape_failure_log_file: String::new(),
            body_size_limit: ByteSize::default(),
            sample_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            target_limit: 0,
            keep_dropped_targets: 0,
            metric_name_validation_scheme: NameScheme::Utf8,
            metric_name_escaping_scheme: None,
            scrape_native_histograms: false,
            convert_classic_histograms_to_nhcb: false,
            always_scrape_classic_histograms: false,
            extra_scrape_metrics: false,
        }
    }
}

impl Defaults {
    /// Fills in interval and timeout and checks the whole; call it before it is used.
    ///
    /// # Errors
    /// When the timeout is over the interval or a protocol is unknown.
    pub fn resolve(mut self) -> Result<Self, Error> {
        let built_in = Self::default();
        if self.scrape_interval.is_zero() {
            self.scrape_interval = built_in.scrape_interval;
        }
        if self.scrape_timeout.is_zero() {
            self.scrape_timeout = built_in.scrape_timeout.min(self.scrape_interval);
        }
        if self.scrape_timeout > self.scrape_interval {
            return Err(Error::Settings("global scrape timeout greater than scrape interval".to_owned()));
        }
        check_list(&self.scrape_protocols)
            .map_err(|text| Error::Settings(format!("{text} for global config")))?;
        let legacy = self.metric_name_validation_scheme == NameScheme::Legacy;
        if legacy && self.metric_name_escaping_scheme == Some(Escaping::AllowUtf8) {
            let text = "utf8 metric names requested but validation scheme is not set to UTF8";
            return Err(Error::Settings(text.to_owned()));
        }
        Ok(self)
    }

    /// What a job offers that does not say so; `native` is whether it wants native histograms.
    pub(super) fn protocols(&self, native: bool) -> Vec<String> {
        if !self.scrape_protocols.is_empty() {
            return self.scrape_protocols.clone();
        }
        // Only protobuf pages hold native histograms.
        let all: &[Protocol] = if native || self.scrape_native_histograms {
            &Protocol::PROTOBUF_FIRST
        } else {
            &Protocol::DEFAULT
        };
        all.iter().map(ToString::to_string).collect()
    }
}
