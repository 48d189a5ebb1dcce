//! Remote write out: one queue on disk, one sender per endpoint, changed by reloads.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nave_api::view::{EndpointView, EndpointsView};
use nave_model::append::Append;
use nave_model::time::Timestamp;
use nave_remote::{
    MetadataSource, Metrics, Queue, QueueOptions, RemoteWriteConfig, Sender, SenderOptions, Source,
};
use tokio::sync::Mutex;

use super::Process;
use crate::config::Config;

/// The queue and its senders.
pub(crate) struct Push {
    process: Process,
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    metadata: Arc<dyn MetadataSource>,
    active: AtomicBool,
    senders: Mutex<Vec<Endpoint>>,
}

/// A running sender with what it was started with.
struct Endpoint {
    config: RemoteWriteConfig,
    external_labels: Vec<(String, String)>,
    sender: Sender,
}

impl Push {
    /// Opens the queue in `dir`. Nothing is sent before the first [`Push::apply`].
    pub(super) async fn open(
        process: &Process,
        dir: PathBuf,
        metrics: Arc<Metrics>,
        metadata: Arc<dyn MetadataSource>,
    ) -> Result<Arc<Self>> {
        let mut options = QueueOptions::new(&dir, super::queue_bytes_max(&process.flags, &dir)?);
        options.retention_max = process.flags.agent_retention_max.into();
        options.lock = !(process.flags.agent_no_lockfile || process.flags.tsdb_no_lockfile);
        let (clock, registry, shared) = (process.clock.clone(), process.registry.clone(), metrics.clone());
        let open = move || Queue::open(options, super::disk(), clock, &registry, shared);
        let queue = tokio::task::spawn_blocking(open)
            .await?
            .with_context(|| format!("cannot open the queue in {}", dir.display()))?;
        Ok(Arc::new(Self {
            process: process.clone(),
            queue: Arc::new(queue),
            metrics,
            metadata,
            active: AtomicBool::new(false),
            senders: Mutex::default(),
        }))
    }

    /// Where samples go in.
    pub(crate) fn queue(&self) -> Arc<dyn Append> {
        self.queue.clone()
    }

    /// Whether there is any endpoint.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// Stops senders that are not in `config` any more, as it is there, and starts new ones.
    pub(super) async fn apply(&self, config: &Config) -> Result<()> {
        let mut senders = self.senders.lock().await;
        let external_labels = config.external_labels();
        let mut kept = Vec::new();
        for endpoint in senders.drain(..) {
            if config.remote_write.contains(&endpoint.config) && endpoint.external_labels == external_labels {
                kept.push(endpoint);
            } else {
                endpoint.sender.stop().await;
            }
        }
        *senders = kept;
        // After the old ones have written their positions down, before new ones read theirs.
        let names: Vec<_> = config.remote_write.iter().map(RemoteWriteConfig::remote_name).collect();
        self.queue.set_endpoints(&names);
        self.active.store(!names.is_empty(), Ordering::Relaxed);
        for wanted in &config.remote_write {
            if !senders.iter().any(|endpoint| endpoint.config == *wanted) {
                senders.push(self.start(wanted, &external_labels)?);
            }
        }
        Ok(())
    }

    fn start(&self, config: &RemoteWriteConfig, external_labels: &[(String, String)]) -> Result<Endpoint> {
        let options = SenderOptions {
            config: config.clone(),
            external_labels: external_labels.to_vec(),
            catch_up: self.process.flags.catch_up(),
            source: self.queue.clone() as Arc<dyn Source>,
            metadata: Some(self.metadata.clone()),
            metrics: self.metrics.clone(),
            clock: self.process.clock.clone(),
            flush_deadline: self.process.flags.flush_deadline.into(),
        };
        let sender = Sender::start(options).with_context(|| format!("remote_write to {}", config.url))?;
        Ok(Endpoint { config: config.clone(), external_labels: external_labels.to_vec(), sender })
    }

    /// The endpoints with what they failed of last.
    async fn shown(&self) -> Vec<EndpointView> {
        let shown = |endpoint: &Endpoint| EndpointView {
            name: endpoint.sender.name().to_owned(),
            url: endpoint.sender.url().to_owned(),
            last_failure: endpoint.sender.last_failure().map(|(at, why)| (Timestamp(at), why)),
        };
        self.senders.lock().await.iter().map(shown).collect()
    }

    /// Sends what is in memory until the flush deadline; the rest stays in the queue.
    pub(super) async fn stop(&self) {
        let endpoints = std::mem::take(&mut *self.senders.lock().await);
        futures_util::future::join_all(endpoints.into_iter().map(|endpoint| endpoint.sender.stop())).await;
    }
}

impl EndpointsView for Push {
    fn endpoints(&self) -> BoxFuture<'_, Vec<EndpointView>> {
        self.shown().boxed()
    }
}
