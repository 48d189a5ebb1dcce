//! All jobs: reload and views.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use nave_base::metric::{Kind, Page, Registry};
use nave_discovery::Discovery;
use nave_http::client::Client;
use nave_model::append::{Append, Principal};
use nave_model::duration::PromDuration;
use parking_lot::Mutex;

use crate::Error;
use crate::config::ScrapeConfig;
use crate::fetch::{BuiltinSource, Fetcher, Source};
use crate::metric::Metrics;
use crate::pool::{Pool, Settings};
use crate::run::{Env, Live};
use crate::target::Target;
use crate::view::{ActiveTarget, DroppedTarget, TargetMetadata, Targets};

/// Longest page that is read where no limit is configured, in bytes.
pub const PAGE_BYTES_MAX: usize = 256 << 20;

/// What scraping needs.
pub struct Options {
    /// Takes the samples.
    pub append: Arc<dyn Append>,
    /// Wall and monotonic time.
    pub clock: SharedClock,
    /// Takes scraping's and discovery's own metrics.
    pub registry: Registry,
    /// On whose behalf; the sender is replaced by job and instance of each target.
    pub principal: Principal,
    /// Moves the phases of all targets, so that two processes with the same targets scrape at other times.
    pub offset_seed: u64,
    /// Bounds pages, also those of jobs with a higher or no `body_size_limit`; see [`PAGE_BYTES_MAX`].
    pub page_bytes_max: usize,
    /// Whether a scrape that comes up to 2 ms late gets the time it should have had
    /// (upstream `--scrape.adjust-timestamps`).
    pub align_timestamps: bool,
    /// Whether a series that says since when it counts gets a zero at that time
    /// (upstream's feature `created-timestamp-zero-ingestion`).
    pub zero_starts: bool,
}

/// A page of this process, shown as the one target of a job of its own.
#[derive(Clone)]
pub struct Builtin {
    /// The `job` label; no scrape config may have that name.
    pub job: String,
    /// The `instance` label.
    pub instance: String,
    /// More labels.
    pub labels: Vec<(String, String)>,
    /// How often.
    pub interval: PromDuration,
    /// The page.
    pub source: Arc<dyn BuiltinSource>,
}

/// Scrapes all jobs. Dropping it without [`Scraper::shutdown`] leaves the loops running.
pub struct Scraper {
    env: Arc<Env>,
    discovery_metrics: nave_discovery::Metrics,
    pools: Arc<Mutex<BTreeMap<String, Pool>>>,
}

impl std::fmt::Debug for Scraper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scraper({} pools)", self.pools.lock().len())
    }
}

impl Scraper {
    /// Registers metrics; scrapes nothing until [`Scraper::reload`].
    #[must_use]
    pub fn new(options: Options) -> Self {
        let env = Env {
            append: options.append,
            clock: options.clock,
            metrics: Metrics::new(&options.registry),
            principal: options.principal,
            offset_seed: options.offset_seed,
            align_timestamps: options.align_timestamps,
            zero_starts: options.zero_starts,
            page_bytes_max: options.page_bytes_max,
            live: Live::default(),
            shutdown: Shutdown::new(),
        };
        let pools = Arc::default();
        collect_metadata_size(&options.registry, &pools);
        let discovery_metrics = nave_discovery::Metrics::new(&options.registry, "scrape");
        Self { env: Arc::new(env), discovery_metrics, pools }
    }

    /// Makes what is scraped equal to `configs` (with their defaults applied) and `builtins`. Targets that stay as
    /// they are do not notice; series of targets that go get stale markers. Needs a tokio runtime.
    ///
    /// # Errors
    /// When a client cannot be made or a job name stands twice; then nothing has changed.
    pub fn reload(&self, configs: &[ScrapeConfig], builtins: &[Builtin]) -> Result<(), Error> {
        let mut pools = self.pools.lock();
        let prepared = self.prepare(&pools, configs, builtins).inspect_err(|_| {
            self.env.metrics.reloads_failed.inc();
        })?;
        let names: HashSet<&str> = configs
            .iter()
            .map(|config| config.job_name.as_str())
            .chain(builtins.iter().map(|builtin| builtin.job.as_str()))
            .collect();
        let gone: Vec<String> = pools.keys().filter(|job| !names.contains(job.as_str())).cloned().collect();
        for pool in gone.iter().filter_map(|job| pools.remove(job)) {
            pool.remove();
        }
        for (settings, builtin) in prepared {
            self.apply(&mut pools, settings, builtin);
        }
        Ok(())
    }

    /// Everything that can fail: settings and clients of all jobs.
    fn prepare<'a>(
        &self,
        pools: &BTreeMap<String, Pool>,
        configs: &[ScrapeConfig],
        builtins: &'a [Builtin],
    ) -> Result<Vec<(Settings, Option<&'a Builtin>)>, Error> {
        let mut names = HashSet::new();
        let mut once = |job: &str| match names.insert(job.to_owned()) {
            true => Ok(()),
            false => Err(Error::Settings(format!("found multiple scrape configs with job name {job:?}"))),
        };
        let mut all = Vec::new();
        for config in configs {
            once(&config.job_name)?;
            all.push((self.settings(pools.get(&config.job_name), config)?, None));
        }
        for builtin in builtins {
            once(&builtin.job)?;
            let config = Arc::new(ScrapeConfig::of_builtin(&builtin.job)?);
            let source = Source::Builtin(builtin.source.clone());
            let generation = pools.get(&builtin.job).map_or(0, |pool| pool.settings.generation);
            all.push((Settings { config, source, generation }, Some(builtin)));
        }
        Ok(all)
    }

    fn settings(&self, pool: Option<&Pool>, config: &ScrapeConfig) -> Result<Settings, Error> {
        if let Some(pool) = pool
            && let Source::Http(_) = pool.settings.source
            && pool.settings.config.scrapes_like(config)
        {
            return Ok(Settings { config: Arc::new(config.clone()), ..pool.settings.clone() });
        }
        let job = &config.job_name;
        let client = Client::new(&config.http(), &format!("job {job:?}")).map_err(|error| {
            self.env.metrics.pools_failed.inc();
            Error::Client { job: job.clone(), error }
        })?;
        let fetcher = Fetcher::new(config, client, self.env.page_bytes_max, self.env.zero_starts);
        let generation = pool.map_or(0, |pool| pool.settings.generation + 1);
        Ok(Settings { config: Arc::new(config.clone()), source: Source::Http(Arc::new(fetcher)), generation })
    }

    fn apply(&self, pools: &mut BTreeMap<String, Pool>, settings: Settings, builtin: Option<&Builtin>) {
        let job = settings.config.job_name.clone();
        if let Some(builtin) = builtin {
            let Builtin { job, instance, labels, interval, .. } = builtin;
            let target = Target::builtin(job, instance, labels, *interval);
            let pool =
                pools.entry(job.clone()).or_insert_with(|| Pool::new(&self.env, settings.clone(), None));
            pool.shared.start(&settings, std::iter::once(target));
            return;
        }
        let discover = || {
            let config = &settings.config;
            let (lists, files) = (&config.static_configs, &config.file_sd_configs);
            Discovery::start(&job, lists, files, &self.env.clock, &self.discovery_metrics)
        };
        match pools.get_mut(&job) {
            None => {
                let discovery = discover();
                pools.insert(job.clone(), Pool::new(&self.env, settings, Some(discovery)));
            }
            Some(pool) if pool.settings.config == settings.config => {}
            Some(pool) => {
                let old = &pool.settings.config;
                let same = old.static_configs == settings.config.static_configs
                    && old.file_sd_configs == settings.config.file_sd_configs;
                let discovery = (!same).then(discover);
                pool.reconfigure(settings, discovery);
            }
        }
    }

    /// Names of the pools.
    #[must_use]
    pub fn pools(&self) -> Vec<String> {
        self.pools.lock().keys().cloned().collect()
    }

    /// What the pool was configured with last.
    #[must_use]
    pub fn config(&self, pool: &str) -> Option<Arc<ScrapeConfig>> {
        self.pools.lock().get(pool).map(|pool| pool.settings.config.clone())
    }

    /// All targets as they are now.
    #[must_use]
    pub fn targets(&self) -> Targets {
        let mut all = Targets::default();
        for (name, pool) in &*self.pools.lock() {
            let mut active: Vec<_> =
                pool.shared.active().iter().map(|target| ActiveTarget::of(target, name)).collect();
            active.sort_by(|a, b| a.labels.cmp(&b.labels).then_with(|| a.scrape_url.cmp(&b.scrape_url)));
            all.active.append(&mut active);
            let (dropped, count) = pool.shared.dropped();
            let shown = |discovered_labels| DroppedTarget { discovered_labels, scrape_pool: name.clone() };
            all.dropped.extend(dropped.into_iter().map(shown));
            all.dropped_counts.insert(name.clone(), count);
        }
        all
    }

    /// What targets say about their metrics, in order of pool.
    #[must_use]
    pub fn metadata(&self) -> Vec<TargetMetadata> {
        let mut all = Vec::new();
        for pool in self.pools.lock().values() {
            for target in pool.shared.active() {
                let told = target.families.lock().all().into_iter();
                all.extend(told.map(|(family, metadata)| TargetMetadata {
                    target: target.labels.clone(),
                    family,
                    metadata,
                }));
            }
        }
        all
    }

    /// Ends all loops and waits for what they are storing. Their series go on after a restart, so there are no
    /// stale markers.
    pub async fn shutdown(&self) {
        self.env.shutdown.cancel();
        let pools = std::mem::take(&mut *self.pools.lock());
        let tasks: Vec<_> = pools.values().flat_map(Pool::take_tasks).collect();
        for task in tasks {
            // A loop that panicked has nothing to wait for.
            let _ = task.await;
        }
    }
}

/// Counts the metadata that is kept, when somebody looks.
fn collect_metadata_size(registry: &Registry, pools: &Arc<Mutex<BTreeMap<String, Pool>>>) {
    let by_pool = |pick: fn((usize, usize)) -> usize| {
        let pools = Arc::downgrade(pools);
        move |page: &mut Page<'_>| {
            let Some(pools) = pools.upgrade() else { return };
            for (name, pool) in &*pools.lock() {
                let sizes =
                    pool.shared.active().into_iter().map(|target| pick(target.families.lock().size()));
                page.sample(&[("scrape_job", name)], sizes.sum::<usize>() as f64);
            }
        }
    };
    registry.collect(
        "prometheus_target_metadata_cache_entries",
        "Metric families whose metadata is kept.",
        Kind::Gauge,
        by_pool(|(entries, _)| entries),
    );
    registry.collect(
        "prometheus_target_metadata_cache_bytes",
        "Bytes of metadata that are kept.",
        Kind::Gauge,
        by_pool(|(_, bytes)| bytes),
    );
}
