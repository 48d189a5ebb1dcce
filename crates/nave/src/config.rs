//! `prometheus.yml` as a whole: every section belongs to the crate that uses it; this file only composes
//! them and checks what spans sections.
//!
//! A file loads whole or not at all. Unknown keys are errors. Sections that no part of this version uses
//! (rules, alerting, remote read, tracing, OTLP) are read and checked, kept for the config page and named in
//! a warning.

mod alerting;
mod entry;
mod global;
mod otlp;
mod remote_read;
mod storage;
mod tracing;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod place_tests;
#[cfg(test)]
mod secret_tests;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nave_model::relabel::NameScheme;
use nave_remote::RemoteWriteConfig;
use nave_remote::receive::OtlpSettings;
use nave_scrape::config::ScrapeConfig;
use serde::{Deserialize, Serialize};

use self::alerting::Alerting;
use self::entry::list;
pub(crate) use self::global::Global;
use self::otlp::Otlp;
use self::remote_read::RemoteRead;
pub(crate) use self::storage::{Retention, Storage};
use self::tracing::Tracing;
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
    runtime: Option<Runtime>,
    /// Not evaluated by this version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rule_files: Vec<String>,
    /// Files with more scrape configs; the last path element may hold `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scrape_config_files: Vec<String>,
    /// What to scrape.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list::<_, _, entry::Scrape>")]
    pub(crate) scrape_configs: Vec<ScrapeConfig>,
    /// Not used by this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    alerting: Option<Alerting>,
    /// Where to push.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list::<_, _, entry::RemoteWrite>")]
    pub(crate) remote_write: Vec<RemoteWriteConfig>,
    /// Not used by this version.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list::<_, _, entry::RemoteRead>")]
    remote_read: Vec<RemoteRead>,
    /// Retention; everything else in it has no effect here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage: Option<Storage>,
    /// Not used by this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    tracing: Option<Tracing>,
    /// How OpenTelemetry metrics become series.
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp: Option<Otlp>,
}

/// The `runtime` section.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Runtime {
    #[serde(skip_serializing_if = "Option::is_none")]
    gogc: Option<i64>,
}

/// A file named by `scrape_config_files`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScrapeConfigFile {
    #[serde(deserialize_with = "list::<_, _, entry::Scrape>")]
    scrape_configs: Vec<ScrapeConfig>,
}

/// A file as it was read: what errors point into.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn read(path: &Path, what: &str) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the {what} file {}", path.display()))?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// Refuses the value of `field`, as `global.scrape_interval` or `remote_write[2].name`.
    fn refuse<T>(&self, field: &str, why: &dyn ToString) -> Result<T> {
        bail!(yaml::Error::in_field(&self.path, &self.text, field, why))
    }
}

impl Config {
    /// Loads `path` for `mode`, with its scrape config files, paths made relative to its folder.
    pub(crate) fn load(path: &Path, mode: Mode) -> Result<Self> {
        let source = Source::read(path, "configuration")?;
        let mut config = Self::parse(&source, mode)?;
        let dir = folder(path);
        config.include_scrape_configs(dir, &source)?;
        config.global.resolve_paths(dir);
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
        Self::built_in(text, Mode::Hub)
    }

    /// A configuration that is in no file.
    pub(crate) fn built_in(text: String, mode: Mode) -> Result<Self> {
        Self::parse(&Source { path: PathBuf::from("built-in configuration"), text }, mode)
    }

    /// The main file alone, checked.
    fn parse(source: &Source, mode: Mode) -> Result<Self> {
        let parsed = yaml::parse(&source.path, &source.text);
        let mut config: Self = parsed.map_err(|error| name_misplaced_labels(error, &source.text))?;
        if mode == Mode::Agent {
            config.refuse_hub_sections(source)?;
        }
        config.check_patterns(source)?;
        config.check_global(source)?;
        config.check_names(source)?;
        config.global.expand_external_labels();
        let mut jobs = Jobs::default();
        jobs.complete(&config.global, &mut config.scrape_configs, source)?;
        Ok(config)
    }

    fn refuse_hub_sections(&self, source: &Source) -> Result<()> {
        let sections = [
            ("alerting", self.alerting.is_some()),
            ("rule_files", !self.rule_files.is_empty()),
            ("remote_read", !self.remote_read.is_empty()),
        ];
        match sections.into_iter().find(|(_, present)| *present) {
            Some((name, _)) => source.refuse(name, &format!("field {name} is not allowed in agent mode")),
            None => Ok(()),
        }
    }

    fn check_patterns(&self, source: &Source) -> Result<()> {
        let lists = [
            ("rule_files", "rule", &self.rule_files),
            ("scrape_config_files", "scrape config", &self.scrape_config_files),
        ];
        for (field, what, patterns) in lists {
            if let Some(at) = patterns.iter().position(|pattern| !is_file_pattern(pattern)) {
                let why = format!("invalid {what} file path {:?}", patterns[at]);
                return source.refuse(&format!("{field}[{at}]"), &why);
            }
        }
        Ok(())
    }

    fn check_global(&mut self, source: &Source) -> Result<()> {
        if let Some((name, why)) = self.global.bad_external_label() {
            return source.refuse(&format!("global.external_labels.{name}"), &why);
        }
        let resolved = self.global.resolve();
        resolved.or_else(|why| source.refuse("global", &why))?;
        let legacy = self.global.metric_name_validation_scheme == NameScheme::Legacy;
        if let Some(otlp) = self.otlp.as_ref().filter(|_| legacy) {
            otlp.check_legacy_names().or_else(|why| source.refuse("otlp.translation_strategy", &why))?;
        }
        Ok(())
    }

    fn check_names(&self, source: &Source) -> Result<()> {
        for end in 1..=self.remote_write.len() {
            let field = format!("remote_write[{}]", end - 1);
            let checked = nave_remote::check_names(&self.remote_write[..end]);
            checked.or_else(|why| source.refuse(&field, &why))?;
        }
        match remote_read::duplicate_name(&self.remote_read) {
            Some((at, why)) => source.refuse(&format!("remote_read[{at}].name"), &why),
            None => Ok(()),
        }
    }

    fn include_scrape_configs(&mut self, dir: &Path, main: &Source) -> Result<()> {
        let mut jobs = Jobs(self.scrape_configs.iter().map(|job| job.job_name.clone()).collect());
        for (at, pattern) in self.scrape_config_files.iter().enumerate() {
            for path in nave_discovery::glob(&dir.join(pattern)) {
                let source = Source::read(&path, "scrape config")
                    .or_else(|why| main.refuse(&format!("scrape_config_files[{at}]"), &format!("{why:#}")))?;
                let mut included: ScrapeConfigFile = yaml::parse(&path, &source.text)?;
                jobs.complete(&self.global, &mut included.scrape_configs, &source)?;
                self.scrape_configs.extend(included.scrape_configs);
            }
        }
        Ok(())
    }

    /// Sections that are present and have no effect in this version.
    pub(crate) fn unused_sections(&self) -> Vec<&'static str> {
        let sections = [
            ("rule_files", !self.rule_files.is_empty()),
            ("alerting", self.alerting.is_some()),
            ("remote_read", !self.remote_read.is_empty()),
            ("tracing", self.tracing.is_some()),
        ];
        sections.into_iter().filter(|(_, present)| *present).map(|(name, _)| name).collect()
    }

    /// How OpenTelemetry metrics become series, under a query lookback of so many milliseconds.
    pub(crate) fn otlp(&self, lookback_ms: i64) -> OtlpSettings {
        self.otlp.as_ref().map_or_else(
            || OtlpSettings { lookback_ms, ..OtlpSettings::default() },
            |otlp| otlp.settings(lookback_ms),
        )
    }

    /// The loaded configuration as YAML, secrets hidden.
    pub(crate) fn show(&self) -> String {
        yaml::print(self)
    }

    /// External labels in order of name.
    pub(crate) fn external_labels(&self) -> Vec<(String, String)> {
        self.global.external_labels.clone().into_iter().collect()
    }

    /// Files that a change of should trigger a reload.
    pub(crate) fn watched_files(&self, path: &Path) -> Vec<PathBuf> {
        let dir = folder(path);
        let included =
            self.scrape_config_files.iter().flat_map(|pattern| nave_discovery::glob(&dir.join(pattern)));
        std::iter::once(path.to_owned()).chain(included).collect()
    }
}

/// The names of jobs so far, over all files.
#[derive(Default)]
struct Jobs(HashSet<String>);

impl Jobs {
    /// Gives jobs what `global` says and checks that no other has their name.
    fn complete(&mut self, global: &Global, jobs: &mut [ScrapeConfig], source: &Source) -> Result<()> {
        let defaults = global.scrape_defaults();
        for (at, job) in jobs.iter_mut().enumerate() {
            let field = format!("scrape_configs[{at}]");
            job.apply_defaults(&defaults).or_else(|why| source.refuse(&field, &why))?;
            if !self.0.insert(job.job_name.clone()) {
                let why = format!("found multiple scrape configs with job name {:?}", job.job_name);
                return source.refuse(&format!("{field}.job_name"), &why);
            }
        }
        Ok(())
    }
}

/// External labels of one endpoint are shown in the field's documents and exist nowhere: whatever else is wrong
/// with a file, one that has them is told where they belong (RW-16, RW-17).
fn name_misplaced_labels(error: yaml::Error, text: &str) -> yaml::Error {
    let misplaced = yaml::find_field(text, |field| {
        let (parent, key) = field.rsplit_once('.').unwrap_or_default();
        let parent = parent.rsplit('.').next().unwrap_or_default();
        matches!(key, "external_labels" | "externalLabels")
            && (parent.starts_with("remote_write[") || parent.starts_with("remoteWrite["))
    });
    match misplaced {
        // The endpoint's own reader may have said so.
        Some(_) if error.to_string().contains("write external_labels under global") => error,
        Some(field) => {
            error.with_note(&format!("{field} is not used there: write external_labels under global"))
        }
        None => error,
    }
}

/// The folder that relative paths in `path` begin from.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a pattern has `*` only once, and in its last part.
fn is_file_pattern(pattern: &str) -> bool {
    pattern.split_once('*').is_none_or(|(_, after)| !after.contains('/'))
}
