//! The targets of one job: discovered, relabelled, compared with those that run, started and stopped.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nave_base::Shutdown;
use nave_discovery::{Discovery, Groups, TargetGroup};
use nave_model::label::Labels;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cache::Cache;
use crate::config::ScrapeConfig;
use crate::fetch::Source;
use crate::metadata::{Families, Texts};
use crate::run::{Control, Env, Loop, Siblings, Stop};
use crate::target::{Built, Target};

/// Dropped targets that are kept to be shown when the config sets no `keep_dropped_targets`.
const DROPPED_MAX: usize = 10_000;

struct Running {
    target: Arc<Target>,
    control: Control,
    task: JoinHandle<Cache>,
    /// Of the settings its loop was started with.
    generation: u64,
}

#[derive(Default)]
struct Targets {
    running: HashMap<u64, Running>,
    dropped: Vec<Labels>,
    dropped_count: usize,
    forced_error: Option<String>,
}

/// What outlives a change of settings.
pub(crate) struct Shared {
    env: Arc<Env>,
    job: String,
    texts: Arc<Texts>,
    targets: Mutex<Targets>,
}

impl Siblings for Shared {
    fn forced_error(&self) -> Option<String> {
        self.targets.lock().forced_error.clone()
    }
}

/// The settings that loops are started with.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) config: Arc<ScrapeConfig>,
    pub(crate) source: Source,
    pub(crate) generation: u64,
}

/// One job.
pub(crate) struct Pool {
    pub(crate) settings: Settings,
    pub(crate) shared: Arc<Shared>,
    /// `None` for the job of a built-in page.
    discovery: Option<Discovery>,
    watcher: Shutdown,
}

impl Pool {
    pub(crate) fn new(env: &Arc<Env>, settings: Settings, discovery: Option<Discovery>) -> Self {
        env.metrics.pools.inc();
        let shared = Arc::new(Shared {
            env: env.clone(),
            job: settings.config.job_name.clone(),
            texts: Arc::default(),
            targets: Mutex::default(),
        });
        let pool = Self { settings, shared, discovery, watcher: Shutdown::new() };
        pool.watch();
        pool
    }

    /// Follows what discovery finds until the settings change again.
    fn watch(&self) {
        let Some(discovery) = &self.discovery else { return };
        let mut groups = discovery.groups();
        let (shared, settings, watcher) = (self.shared.clone(), self.settings.clone(), self.watcher.clone());
        let stopped = watcher.clone();
        let sync = move |groups: &mut watch::Receiver<Option<Groups>>| {
            // Nothing may be known yet after a start; what runs goes on meanwhile.
            let found = groups.borrow_and_update().clone();
            if let Some(found) = found {
                shared.sync(&settings, &found, &stopped);
            }
        };
        // What is known at once is there when the reload returns.
        sync(&mut groups);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = watcher.cancelled() => return,
                    changed = groups.changed() => match changed {
                        Ok(()) => sync(&mut groups),
                        Err(_) => return,
                    },
                }
            }
        });
    }

    /// New settings; `discovery` is given when where targets come from has changed.
    pub(crate) fn reconfigure(&mut self, settings: Settings, discovery: Option<Discovery>) {
        self.shared.env.metrics.reloads.inc();
        self.watcher.cancel();
        self.watcher = Shutdown::new();
        self.settings = settings;
        if discovery.is_some() {
            self.discovery = discovery;
        }
        self.watch();
    }

    /// Ends all loops; their series end too, as soon as it is sure that they do not come back.
    pub(crate) fn remove(self) {
        self.watcher.cancel();
        let mut targets = self.shared.targets.lock();
        for (_, running) in targets.running.drain() {
            self.shared.env.live.remove(&running.target.labels);
            running.control.stop(Stop::Removed);
        }
        self.shared.env.metrics.remove_pool(&self.shared.job);
    }

    /// The loops, to wait for when the process ends.
    pub(crate) fn take_tasks(&self) -> Vec<JoinHandle<Cache>> {
        self.watcher.cancel();
        self.shared.targets.lock().running.drain().map(|(_, running)| running.task).collect()
    }
}

impl Shared {
    /// Makes what runs equal to what was found.
    fn sync(self: &Arc<Self>, settings: &Settings, groups: &Groups, stopped: &Shutdown) {
        let begun = self.env.clock.monotonic();
        let mut found = HashMap::new();
        let (mut dropped, mut dropped_count) = (Vec::new(), 0);
        let keep = match settings.config.keep_dropped_targets {
            0 => DROPPED_MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        for built in groups.iter().flat_map(|group| self.build(settings, group)) {
            match built {
                Built::Target(target) => _ = found.entry(target.hash).or_insert(target),
                Built::Dropped(labels) => {
                    dropped_count += 1;
                    if dropped.len() < keep {
                        dropped.push(labels);
                    }
                }
            }
        }
        let limit = settings.config.target_limit;
        let forced_error = (limit > 0 && found.len() as u64 > limit).then(|| {
            self.env.metrics.exceeded_target_limit.inc();
            format!("target_limit exceeded (number of targets: {}, limit: {limit})", found.len())
        });
        {
            let mut targets = self.targets.lock();
            if stopped.is_cancelled() {
                // Newer settings have been applied meanwhile.
                return;
            }
            (targets.dropped, targets.dropped_count) = (dropped, dropped_count);
            targets.forced_error = forced_error;
            self.start_in(&mut targets, settings, found.into_values().map(|target| *target));
        }
        let metrics = &self.env.metrics;
        let job = [self.job.as_str()];
        metrics.pool_syncs.with(&job).inc();
        metrics.pool_target_limit.with(&job).set(limit as f64);
        metrics.sync_length.with(&job).observe_duration(self.env.clock.monotonic().saturating_sub(begun));
    }

    fn build(&self, settings: &Settings, group: &TargetGroup) -> Vec<Built> {
        let mut built = Vec::with_capacity(group.targets.len());
        for (at, own) in group.targets.iter().enumerate() {
            match Target::build(&settings.config, group, own) {
                Ok(one) => built.push(one),
                Err(error) => {
                    self.env.metrics.sync_failed.with(&[&self.job]).inc();
                    tracing::error!(job = self.job, group = %group.source, instance = at, %error, "no target can be made");
                }
            }
        }
        built
    }

    /// Starts what does not run, restarts what runs by other settings, and stops the rest.
    pub(crate) fn start(self: &Arc<Self>, settings: &Settings, found: impl Iterator<Item = Target>) {
        self.start_in(&mut self.targets.lock(), settings, found);
    }

    fn start_in(
        self: &Arc<Self>,
        targets: &mut Targets,
        settings: &Settings,
        found: impl Iterator<Item = Target>,
    ) {
        let mut there = HashSet::new();
        for target in found {
            there.insert(target.hash);
            let (target, before) = match targets.running.remove(&target.hash) {
                Some(running) if running.generation == settings.generation => {
                    targets.running.insert(running.target.hash, running);
                    continue;
                }
                Some(running) => {
                    running.control.stop(Stop::Replaced);
                    (running.target, Some(running.task))
                }
                None => {
                    self.env.live.add(&target.labels);
                    *target.families.lock() = Families::new(self.texts.clone());
                    (Arc::new(target), None)
                }
            };
            let control = Control::new(&self.env.shutdown);
            let siblings: Arc<dyn Siblings> = self.clone();
            let Settings { config, source, generation } = settings;
            let scraping = Loop::new(&self.env, config, source, &target, siblings, control.clone());
            let task = tokio::spawn(scraping.run(before));
            let hash = target.hash;
            targets.running.insert(hash, Running { target, control, task, generation: *generation });
        }
        targets.running.retain(|hash, running| {
            let stays = there.contains(hash);
            if !stays {
                self.env.live.remove(&running.target.labels);
                running.control.stop(Stop::Removed);
            }
            stays
        });
        self.env.metrics.pool_targets.with(&[&self.job]).set(targets.running.len() as f64);
    }

    pub(crate) fn active(&self) -> Vec<Arc<Target>> {
        self.targets.lock().running.values().map(|running| running.target.clone()).collect()
    }

    /// Dropped targets that are kept, and how many there are.
    pub(crate) fn dropped(&self) -> (Vec<Labels>, usize) {
        let targets = self.targets.lock();
        (targets.dropped.clone(), targets.dropped_count)
    }
}
