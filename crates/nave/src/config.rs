//! `prometheus.yml` as a whole: every section belongs to the crate that uses it; this file only composes
//! them and checks what spans sections.
//!
//! A file loads whole or not at all. Unknown keys are errors. Sections that no part of this version uses
//! (rules, alerting, remote read, tracing) are read, kept for the config page and named in a warning.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nave_model::duration::PromDuration;
use nave_model::relabel::NameScheme;
use nave_remote::RemoteWriteConfig;
use nave_scrape::config::{ByteSize, Defaults, Escaping, ScrapeConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::flag::Mode;
use crate::yaml;

/// The sections of the main file.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Defaults of scraping and rules, and the external labels.
    pub(crate) global: Global,
    /// Settings of upstream's runtime; without effect here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<Value>,
    /// Not evaluated by this version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rule_files: Vec<String>,
    /// Files with more scrape configs; the last path element may hold `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) scrape_config_files: Vec<String>,
    /// What to scrape.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) scrape_configs: Vec<ScrapeConfig>,
    /// Not used by this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alerting: Option<Value>,
    /// Where to push.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) remote_write: Vec<RemoteWriteConfig>,
    /// Not used by this version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) remote_read: Vec<Value>,
    /// Retention; everything else in it has no effect here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage: Option<Storage>,
    /// Not used by this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tracing: Option<Value>,
    /// Not used by this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp: Option<Value>,
}

/// The `global` section (features F5).
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Global {
    pub(crate) scrape_interval: PromDuration,
    pub(crate) scrape_timeout: PromDuration,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) scrape_protocols: Vec<String>,
    pub(crate) evaluation_interval: PromDuration,
    pub(crate) rule_query_offset: PromDuration,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) external_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) query_log_file: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) scrape_failure_log_file: String,
    pub(crate) body_size_limit: ByteSize,
    pub(crate) sample_limit: u64,
    pub(crate) label_limit: u64,
    pub(crate) label_name_length_limit: u64,
    pub(crate) label_value_length_limit: u64,
    pub(crate) target_limit: u64,
    pub(crate) keep_dropped_targets: u64,
    pub(crate) metric_name_validation_scheme: NameScheme,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metric_name_escaping_scheme: Option<Escaping>,
    pub(crate) scrape_native_histograms: bool,
    pub(crate) convert_classic_histograms_to_nhcb: bool,
    pub(crate) always_scrape_classic_histograms: bool,
    pub(crate) extra_scrape_metrics: bool,
}

impl Global {
    /// Fills in upstream's defaults and gives the part that scraping uses.
    fn scrape_defaults(&mut self) -> Result<Defaults, nave_scrape::Error> {
        let defaults = Defaults {
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
        .resolve()?;
        self.scrape_interval = defaults.scrape_interval;
        self.scrape_timeout = defaults.scrape_timeout;
        if self.evaluation_interval.is_zero() {
            self.evaluation_interval = PromDuration::from_secs(60);
        }
        Ok(defaults)
    }
}

/// The `storage` section (features F11).
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tsdb: Option<StorageTsdb>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exemplars: Option<Value>,
}

/// `storage.tsdb`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageTsdb {
    /// Accepted for compatibility: late samples are taken anywhere inside retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out_of_order_time_window: Option<PromDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stale_series_compaction_threshold: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chunk_encoding: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention: Option<Retention>,
}

/// `storage.tsdb.retention`; overrides the flags.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<PromDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) percentage: Option<u64>,
}

impl Config {
    /// Loads `path` for `mode`, with its scrape config files, paths made relative to its folder.
    pub(crate) fn load(path: &Path, mode: Mode) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
        let mut config = Self::parse(path, &text, mode)?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        config.include_scrape_configs(dir)?;
        config.check(path)?;
        for scrape in &mut config.scrape_configs {
            scrape.resolve_paths(dir);
        }
        for write in &mut config.remote_write {
            write.resolve_http_paths(dir);
        }
        Ok(config)
    }

    /// The configuration of a hub that was given no file: it scrapes itself (HUB-07).
    pub(crate) fn default_hub(listen: &str) -> Result<Self> {
        let port = listen.rsplit(':').next().unwrap_or("9090");
        let text = format!(
            "scrape_configs:\n  - job_name: nave\n    static_configs:\n      - targets: ['localhost:{port}']\n"
        );
        Self::parse(Path::new("built-in configuration"), &text, Mode::Hub)
    }

    fn parse(path: &Path, text: &str, mode: Mode) -> Result<Self> {
        let mut config: Self = yaml::parse(path, text)?;
        if mode == Mode::Agent {
            config.refuse_hub_sections(path)?;
        }
        for value in config.global.external_labels.values_mut() {
            *value = expand_environment(value);
        }
        Ok(config)
    }

    fn refuse_hub_sections(&self, path: &Path) -> Result<()> {
        let sections = [
            ("alerting", self.alerting.is_some()),
            ("rule_files", !self.rule_files.is_empty()),
            ("remote_read", !self.remote_read.is_empty()),
        ];
        for (name, present) in sections {
            if present {
                bail!(yaml::Error::whole(path, &format!("field {name} is not allowed in agent mode")));
            }
        }
        Ok(())
    }

    fn include_scrape_configs(&mut self, dir: &Path) -> Result<()> {
        for pattern in &self.scrape_config_files {
            for file in nave_discovery::glob(&dir.join(pattern)) {
                let text = fs::read_to_string(&file)
                    .with_context(|| format!("cannot read the scrape config file {}", file.display()))?;
                let included: ScrapeConfigFile = yaml::parse(&file, &text)?;
                self.scrape_configs.extend(included.scrape_configs);
            }
        }
        Ok(())
    }

    /// What no single section can check; fills in the defaults of `global`.
    fn check(&mut self, path: &Path) -> Result<()> {
        let defaults = self.global.scrape_defaults().map_err(|text| yaml::Error::whole(path, &text))?;
        let mut jobs = HashSet::new();
        for scrape in &mut self.scrape_configs {
            scrape.apply_defaults(&defaults).map_err(|error| yaml::Error::whole(path, &error))?;
            if !jobs.insert(scrape.job_name.clone()) {
                let text = format!("found multiple scrape configs with job name {:?}", scrape.job_name);
                bail!(yaml::Error::whole(path, &text));
            }
        }
        nave_remote::check_names(&self.remote_write).map_err(|error| yaml::Error::whole(path, &error))?;
        Ok(())
    }

    /// Sections that are present and have no effect in this version.
    pub(crate) fn unused_sections(&self) -> Vec<&'static str> {
        let sections = [
            ("rule_files", !self.rule_files.is_empty()),
            ("alerting", self.alerting.is_some()),
            ("remote_read", !self.remote_read.is_empty()),
            ("tracing", self.tracing.is_some()),
            ("otlp", self.otlp.is_some()),
        ];
        sections.into_iter().filter(|(_, present)| *present).map(|(name, _)| name).collect()
    }

    /// The loaded configuration as YAML, secrets hidden.
    pub(crate) fn show(&self) -> String {
        let mut shown = self.clone();
        let unused = [&mut shown.alerting, &mut shown.tracing, &mut shown.otlp, &mut shown.runtime];
        for value in unused.into_iter().flatten() {
            hide_secrets(value);
        }
        shown.remote_read.iter_mut().for_each(hide_secrets);
        yaml::print(&shown)
    }

    /// External labels in order of name.
    pub(crate) fn external_labels(&self) -> Vec<(String, String)> {
        self.global.external_labels.clone().into_iter().collect()
    }

    /// Files that a change of should trigger a reload.
    pub(crate) fn watched_files(&self, path: &Path) -> Vec<PathBuf> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let included =
            self.scrape_config_files.iter().flat_map(|pattern| nave_discovery::glob(&dir.join(pattern)));
        std::iter::once(path.to_owned()).chain(included).collect()
    }
}

/// A file named by `scrape_config_files`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScrapeConfigFile {
    scrape_configs: Vec<ScrapeConfig>,
}

/// `${NAME}` and `$NAME` become the variable's value, or nothing when it is not set; `$$` is a dollar.
fn expand_environment(text: &str) -> String {
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
        out.push_str(&std::env::var(name).unwrap_or_default());
        rest = after;
    }
    out + rest
}

/// Replaces values whose key names a secret, at any depth.
fn hide_secrets(value: &mut Value) {
    const SECRET: [&str; 8] = [
        "password",
        "credentials",
        "bearer_token",
        "client_secret",
        "secret_key",
        "key",
        "secrets",
        "client_certificate_key",
    ];
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if SECRET.contains(&key.as_str()) {
                    *value = "<secret>".into();
                } else {
                    hide_secrets(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, mode: Mode) -> Result<Config> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("prometheus.yml");
        fs::write(&path, text)?;
        Config::load(&path, mode)
    }

    #[test]
    fn external_labels_take_environment_variables() {
        let home = std::env::var("PATH").unwrap();
        assert_eq!(
            expand_environment("a$$b ${PATH}-$PATH.${NAVE_SURELY_UNSET}"),
            format!("a$b {home}-{home}.")
        );
    }

    #[test]
    fn secrets_of_unused_sections_are_hidden() {
        let text = "alerting: {alertmanagers: [{basic_auth: {username: u, password: hunter2}}]}\n";
        let shown = load(text, Mode::Hub).unwrap().show();
        assert!(shown.contains("<secret>") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn sections_of_a_hub_are_refused_in_an_agent() {
        let error = load("rule_files: [a.yml]\n", Mode::Agent).unwrap_err().to_string();
        assert!(error.ends_with("field rule_files is not allowed in agent mode"), "{error}");
    }

    #[test]
    fn a_hub_without_a_file_scrapes_itself() {
        let config = Config::default_hub("0.0.0.0:9090").unwrap();
        assert_eq!(config.scrape_configs[0].job_name, "nave");
    }
}
