//! The hub's clusters: from the file into the receiver, and from there to the API.
//!
//! The file is read at the start, with every reload and when its text changes. A file that is not valid
//! changes nothing, says so in the log and in a metric, and does not keep a running hub from running.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use nave_api::view::{ClusterView, ClustersView};
use nave_base::Shutdown;
use nave_base::metric::Gauge;
use nave_model::append::Tenant;
use nave_model::time::Timestamp;
use nave_remote::cluster::{ClusterStatus, Clusters, ClustersConfig};
use nave_tsdb::Tsdb;

use super::{Process, watch};
use crate::cluster;

/// A clusters file in use.
pub(super) struct ClustersFile {
    path: PathBuf,
    clusters: Arc<Clusters>,
    /// The text that was tried last, valid or not.
    seen: ArcSwap<String>,
    process: Process,
    succeeded: Gauge,
}

impl ClustersFile {
    /// The file of `--clusters.file`, when there is one.
    pub(super) fn open(process: &Process, store: &Arc<Tsdb>) -> Result<Option<Arc<Self>>> {
        let Some(path) = process.flags.clusters_file.clone() else { return Ok(None) };
        let text = cluster::read(&path)?;
        let config = cluster::parse(&path, &text).context("error loading the clusters file")?;
        tracing::info!(file = %path.display(), clusters = config.clusters.len(), "clusters: credentials decide who writes");
        let store = store.clone();
        let clusters = Clusters::new(
            &config,
            process.flags.silent_after.into(),
            process.clock.clone(),
            Arc::new(move |cluster| store.series_of_cluster(&Tenant::default(), cluster)),
            &process.registry,
        );
        let succeeded = process.registry.gauge(
            "nave_clusters_file_last_reload_successful",
            "Whether the clusters file is in use as it stands on disk.",
        );
        succeeded.set(1.0);
        let process = process.clone();
        Ok(Some(Arc::new(Self { path, clusters, seen: ArcSwap::from_pointee(text), process, succeeded })))
    }

    /// What the receiver asks.
    pub(super) fn clusters(&self) -> Arc<Clusters> {
        self.clusters.clone()
    }

    /// Reads and checks the file without using it.
    pub(super) fn load(&self) -> Result<ClustersConfig> {
        let loaded = cluster::read(&self.path).and_then(|text| {
            self.seen.store(Arc::new(text.clone()));
            cluster::parse(&self.path, &text)
        });
        if loaded.is_err() {
            self.succeeded.set(0.0);
        }
        loaded
    }

    /// From now on `config` decides.
    pub(super) fn apply(&self, config: &ClustersConfig) {
        self.clusters.apply(config);
        self.succeeded.set(1.0);
        tracing::info!(file = %self.path.display(), clusters = config.clusters.len(), "completed loading of the clusters file");
    }

    /// Follows changes of the file until the shutdown.
    pub(super) async fn watch(self: Arc<Self>, shutdown: Shutdown) {
        let changed = || match self.load() {
            Ok(config) => self.apply(&config),
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "error reloading the clusters file; the running clusters stay"
                );
            }
        };
        watch::follow(&self.path, &self.seen, &self.process.clock, &shutdown, changed).await;
    }
}

/// The clusters as the API shows them; none where there is no file.
pub(super) struct View(pub(super) Option<Arc<ClustersFile>>);

impl ClustersView for View {
    fn clusters(&self) -> Vec<ClusterView> {
        let status = self.0.as_ref().map(|file| file.clusters.status()).unwrap_or_default();
        status.into_iter().map(shown).collect()
    }
}

fn shown(status: ClusterStatus) -> ClusterView {
    let counts = |counts: &mut dyn Iterator<Item = (&'static str, u64)>| {
        counts.map(|(name, count)| (name.to_owned(), count)).collect()
    };
    ClusterView {
        silent: status.silent,
        last_contact: status.last_contact_ms.map(Timestamp),
        lag_seconds: status.lag,
        samples_per_second: status.samples_per_second,
        bytes_per_second: status.bytes_per_second,
        active_series: status.active_series as u64,
        requests: status.requests,
        received_bytes: status.bytes,
        accepted_samples: status.accepted_samples,
        rejected_samples: counts(&mut status.rejected.into_iter()),
        throttled_requests: counts(&mut status.throttled.into_iter()),
        sender_version: status.sender_version,
        clock_skew_seconds: status.clock_skew,
        limits: counts(&mut status.limits.named()),
        labels: status.labels,
        name: status.name,
    }
}
