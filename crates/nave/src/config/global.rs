//! `global`: the defaults of scraping, and the labels that leave this process with every series.

use std::collections::BTreeMap;
use std::path::Path;

use nave_http::client::macro_support::or_default;
use nave_model::duration::PromDuration;
use nave_model::relabel::NameScheme;
use nave_scrape::config::{ByteSize, Defaults, Escaping};
use serde::{Deserialize, Serialize};

/// The `global` section (features F5).
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Global {
    #[serde(deserialize_with = "or_default")]
    pub(crate) scrape_interval: PromDuration,
    #[serde(deserialize_with = "or_default")]
    pub(crate) scrape_timeout: PromDuration,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) scrape_protocols: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) evaluation_interval: PromDuration,
    #[serde(deserialize_with = "or_default")]
    pub(crate) rule_query_offset: PromDuration,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) external_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(crate) query_log_file: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(crate) scrape_failure_log_file: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) body_size_limit: ByteSize,
    #[serde(deserialize_with = "or_default")]
    pub(crate) sample_limit: u64,
    #[serde(deserialize_with = "or_default")]
    pub(crate) label_limit: u64,
    #[serde(deserialize_with = "or_default")]
    pub(crate) label_name_length_limit: u64,
    #[serde(deserialize_with = "or_default")]
    pub(crate) label_value_length_limit: u64,
    #[serde(deserialize_with = "or_default")]
    pub(crate) target_limit: u64,
    #[serde(deserialize_with = "or_default")]
    pub(crate) keep_dropped_targets: u64,
    #[serde(deserialize_with = "or_default")]
    pub(crate) metric_name_validation_scheme: NameScheme,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metric_name_escaping_scheme: Option<Escaping>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) scrape_native_histograms: bool,
    #[serde(deserialize_with = "or_default")]
    pub(crate) convert_classic_histograms_to_nhcb: bool,
    #[serde(deserialize_with = "or_default")]
    pub(crate) always_scrape_classic_histograms: bool,
    #[serde(deserialize_with = "or_default")]
    pub(crate) extra_scrape_metrics: bool,
}

impl Global {
    /// Fills in upstream's defaults and checks what scraping uses.
    pub(super) fn resolve(&mut self) -> Result<(), nave_scrape::Error> {
        let defaults = self.scrape_defaults().resolve()?;
        self.scrape_interval = defaults.scrape_interval;
        self.scrape_timeout = defaults.scrape_timeout;
        if self.evaluation_interval.is_zero() {
            self.evaluation_interval = PromDuration::from_secs(60);
        }
        Ok(())
    }

    /// Makes paths relative to the folder of the file.
    pub(super) fn resolve_paths(&mut self, dir: &Path) {
        if !self.query_log_file.is_empty() {
            self.query_log_file = dir.join(&self.query_log_file).to_string_lossy().into_owned();
        }
    }

    /// The part that scraping uses; complete once [`Global::resolve`] has run.
    pub(super) fn scrape_defaults(&self) -> Defaults {
        Defaults {
            scrape_interval: self.scrape_interval,
            scrape_timeout: self.scrape_timeout,
            scrape_protocols: self.scrape_protocols.clone(),
            scrape_failure_log_file: self.scrape_failure_log_file.clone(),
            body_size_limit: self.body_size_limit,
            sample_limit: self.sample_limit,
            label_limit: self.label_limit,
            label_name_length_limit: self.label_name_length_limit,
            label_value_length_limit: self.label_value_length_limit,
            target_limit: self.target_limit,
            keep_dropped_targets: self.keep_dropped_targets,
            metric_name_validation_scheme: self.metric_name_validation_scheme,
            metric_name_escaping_scheme: self.metric_name_escaping_scheme,
            scrape_native_histograms: self.scrape_native_histograms,
            convert_classic_histograms_to_nhcb: self.convert_classic_histograms_to_nhcb,
            always_scrape_classic_histograms: self.always_scrape_classic_histograms,
            extra_scrape_metrics: self.extra_scrape_metrics,
        }
    }

    /// The external label whose name the naming scheme does not allow, and the words for it.
    pub(super) fn bad_external_label(&self) -> Option<(&str, String)> {
        let scheme = self.metric_name_validation_scheme;
        let name = self.external_labels.keys().find(|name| !scheme.allows_label(name))?;
        Some((name, format!("{name:?} is not a valid label name")))
    }

    /// Puts variables of the environment into the values of the external labels.
    pub(super) fn expand_external_labels(&mut self) {
        for value in self.external_labels.values_mut() {
            *value = expand(value, |name| std::env::var(name).unwrap_or_default());
        }
    }
}

/// `${NAME}` and `$NAME` become the variable's value, or nothing when it is not set; `$$` is a dollar.
fn expand(text: &str, variable: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            after.split_at(end)
        });
        out.push_str(&variable(name));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_labels_take_environment_variables() {
        let check = |text: &str, want: &str| {
            let variable = |name: &str| if name == "TEST" { "Value".to_owned() } else { String::new() };
            assert_eq!(expand(text, variable), want, "{text}");
        };
        check("foo", "foo");
        check("${TEST}", "Value");
        check("foo${TEST}bar", "fooValuebar");
        check("foo$${TEST}", "foo${TEST}");
        check("foo$$bar", "foo$bar");
        check("$TEST-$OTHER.${OTHER}", "Value-.");
    }
}
