//! All mechanisms of one job, merged.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{FileSdConfig, Metrics, StaticConfig, TargetGroup, file};

/// All groups of a job.
pub type Groups = Arc<Vec<Arc<TargetGroup>>>;

/// A mechanism that finds targets.
pub trait Discoverer: Send {
    /// Publishes all its groups at first and whenever they change, until `shutdown`. Trouble is logged and
    /// counted; what was published stays good meanwhile.
    fn run(self: Box<Self>, publisher: Publisher, shutdown: Shutdown) -> BoxFuture<'static, ()>;
}

struct Shared {
    /// By mechanism; `None` until it has published for the first time.
    parts: Mutex<Vec<Option<Vec<Arc<TargetGroup>>>>>,
    merged: watch::Sender<Option<Groups>>,
    job: String,
    metrics: Metrics,
}

impl Shared {
    fn publish(&self, at: usize, groups: Vec<TargetGroup>) {
        self.metrics.received_updates.inc();
        let mut parts = self.parts.lock();
        parts[at] = Some(groups.into_iter().map(Arc::new).collect());
        // Half of the targets would look as if the others had gone.
        let Some(all) = parts.iter().cloned().collect::<Option<Vec<_>>>() else { return };
        let merged: Vec<_> = all.into_iter().flatten().collect();
        let targets: usize = merged.iter().map(|group| group.targets.len()).sum();
        self.metrics.discovered_targets.with(&[self.metrics.name, &self.job]).set(targets as f64);
        self.metrics.updates.inc();
        self.merged.send_replace(Some(Arc::new(merged)));
    }
}

/// Where one mechanism puts its groups.
pub struct Publisher {
    shared: Arc<Shared>,
    at: usize,
}

impl Publisher {
    /// Replaces all groups of this mechanism.
    pub fn publish(&self, groups: Vec<TargetGroup>) {
        self.shared.publish(self.at, groups);
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Publisher({} of {})", self.at, self.shared.job)
    }
}

/// The running mechanisms of one job. Dropping it stops them.
pub struct Discovery {
    shared: Arc<Shared>,
    shutdown: Shutdown,
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Discovery({})", self.shared.job)
    }
}

impl Discovery {
    /// Starts the mechanisms that the settings of `job` name. Needs a tokio runtime.
    #[must_use]
    pub fn start(
        job: &str,
        lists: &[StaticConfig],
        files: &[FileSdConfig],
        clock: &SharedClock,
        metrics: &Metrics,
    ) -> Self {
        let mut mechanisms: Vec<Box<dyn Discoverer>> = Vec::new();
        for config in files {
            mechanisms.push(Box::new(file::Files::new(job, config, clock.clone(), metrics.clone())));
        }
        let lists = lists.iter().enumerate().map(|(at, list)| list.group(&format!("static/{at}"))).collect();
        Self::run(job, lists, mechanisms, metrics)
    }

    /// Runs `mechanisms` beside groups that never change.
    #[must_use]
    pub fn run(
        job: &str,
        fixed: Vec<TargetGroup>,
        mechanisms: Vec<Box<dyn Discoverer>>,
        metrics: &Metrics,
    ) -> Self {
        let shared = Arc::new(Shared {
            parts: Mutex::new(vec![None; mechanisms.len() + 1]),
            merged: watch::Sender::new(None),
            job: job.to_owned(),
            metrics: metrics.clone(),
        });
        let shutdown = Shutdown::new();
        shared.publish(0, fixed);
        for (at, mechanism) in mechanisms.into_iter().enumerate() {
            let publisher = Publisher { shared: shared.clone(), at: at + 1 };
            tokio::spawn(mechanism.run(publisher, shutdown.child_token()));
        }
        Self { shared, shutdown }
    }

    /// All groups, `None` until every mechanism has published once.
    #[must_use]
    pub fn groups(&self) -> watch::Receiver<Option<Groups>> {
        self.shared.merged.subscribe()
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.shared.metrics.discovered_targets.remove(&[self.shared.metrics.name, &self.shared.job]);
    }
}
