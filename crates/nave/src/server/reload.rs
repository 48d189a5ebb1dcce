//! Reloading: by SIGHUP, `/-/reload` or a changed file. Whole or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nave_api::view::Lifecycle;
use nave_remote::receive::Otlp;
use nave_scrape::{Builtin, Scraper};
use nave_tsdb::Tsdb;
use tokio::sync::Mutex;

use super::Process;
use super::cluster::ClustersFile;
use super::part::Parts;
use super::push::Push;
use super::query::QueryLog;
use super::storage::RulesFile;
use crate::config::Config;
use crate::signal;

/// Applies configurations to the running parts, one at a time.
pub(crate) struct Reloader {
    process: Process,
    scraper: Arc<Scraper>,
    push: Arc<Push>,
    builtins: Vec<Builtin>,
    clusters: Option<Arc<ClustersFile>>,
    rules: Option<Arc<RulesFile>>,
    store: Option<Arc<Tsdb>>,
    query_log: Option<Arc<QueryLog>>,
    otlp: Option<Arc<Otlp>>,
    current: Mutex<Config>,
}

impl Reloader {
    /// Applies the first configuration.
    pub(super) async fn start(process: Process, parts: &Parts, config: Config) -> Result<Arc<Self>> {
        let reloader = Self {
            process,
            scraper: parts.scraper.clone(),
            push: parts.push.clone(),
            builtins: parts.builtins.clone(),
            clusters: parts.hub.as_ref().and_then(|hub| hub.clusters.clone()),
            rules: parts.hub.as_ref().and_then(|hub| hub.rules.clone()),
            store: parts.hub.as_ref().map(|hub| hub.store.clone()),
            query_log: parts.hub.as_ref().map(|hub| hub.query_log.clone()),
            otlp: parts.hub.as_ref().and_then(|hub| hub.otlp.clone()),
            current: Mutex::new(config.clone()),
        };
        reloader.apply(&config).await?;
        Ok(Arc::new(reloader))
    }

    /// Reloads on SIGHUP and, with `--config.auto-reload`, on changed files. Runs until dropped.
    pub(super) async fn run(self: Arc<Self>) -> Result<()> {
        let mut hangups = signal::hangups()?;
        let mut seen = self.file_times().await;
        loop {
            let changed = if self.process.flags.auto_reload {
                self.process.clock.sleep(self.process.flags.auto_reload_interval.into()).boxed()
            } else {
                std::future::pending().boxed()
            };
            tokio::select! {
                _ = hangups.recv() => {}
                () = changed => {
                    let now = self.file_times().await;
                    if now == seen {
                        continue;
                    }
                    seen = now;
                }
            }
            // The error was logged, and the metric says so too.
            let _ = self.reload_now().await;
        }
    }

    async fn file_times(&self) -> BTreeMap<PathBuf, Option<SystemTime>> {
        let files = self.current.lock().await.watched_files(&self.process.flags.config_file);
        let time = |path: &PathBuf| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        files.into_iter().map(|path| (path.clone(), time(&path))).collect()
    }

    async fn reload_now(&self) -> Result<()> {
        let mut current = self.current.lock().await;
        let file = &self.process.flags.config_file;
        let outcome = self.load_and_replace(&mut current).await;
        match &outcome {
            Ok(()) => tracing::info!(file = %file.display(), "completed loading of the configuration file"),
            Err(error) => {
                self.process.status.note_reload(&self.process.flags, None);
                tracing::error!(file = %file.display(), error = format!("{error:#}"), "error reloading the configuration; the running one stays");
            }
        }
        outcome
    }

    /// All files are read before any is used.
    async fn load_and_replace(&self, current: &mut Config) -> Result<()> {
        let config = super::load(self.process.mode, &self.process.flags)?;
        let clusters = self.clusters.as_ref().map(|file| file.load()).transpose()?;
        let rules = self.rules.as_ref().map(|file| file.load()).transpose()?;
        self.replace(current, config).await?;
        if let (Some(file), Some(clusters)) = (&self.clusters, &clusters) {
            file.apply(clusters);
        }
        if let (Some(file), Some(rules)) = (&self.rules, &rules) {
            file.apply(rules);
        }
        Ok(())
    }

    /// On an error the parts that already changed go back to `current`.
    async fn replace(&self, current: &mut Config, config: Config) -> Result<()> {
        if let Err(error) = self.apply(&config).await {
            self.apply(current).await.context("cannot go back to the running configuration")?;
            return Err(error);
        }
        self.process.status.note_reload(&self.process.flags, Some(&config));
        *current = config;
        Ok(())
    }

    async fn apply(&self, config: &Config) -> Result<()> {
        self.process.status.set_default_step(config.global.evaluation_interval.as_ms());
        if let Some(query_log) = &self.query_log {
            query_log.reopen(Path::new(&config.global.query_log_file))?;
        }
        if let Some(otlp) = &self.otlp {
            let lookback = self.process.flags.lookback_delta.as_ms();
            otlp.set(config.otlp(i64::try_from(lookback).unwrap_or(i64::MAX)));
        }
        self.push.apply(config).await?;
        self.scraper.reload(&config.scrape_configs, &self.builtins)?;
        if let Some(store) = &self.store {
            super::hub::apply_retention(store, &self.process.flags, config);
        }
        Ok(())
    }
}

impl Lifecycle for Reloader {
    fn ready(&self) -> Result<(), String> {
        if self.process.status.is_ready() { Ok(()) } else { Err("starting".to_owned()) }
    }

    fn reload(&self) -> BoxFuture<'_, Result<(), String>> {
        async { self.reload_now().await.map_err(|error| format!("{error:#}")) }.boxed()
    }

    fn quit(&self) {
        self.process.shutdown.cancel();
    }

    fn enabled(&self) -> bool {
        self.process.flags.enable_lifecycle
    }
}
