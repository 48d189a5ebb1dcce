//! The hub: store, engine, receiver, and the same scraping and pushing as an agent.

use std::sync::Arc;

use anyhow::{Context, Result};
use nave_base::budget::Budget;
use nave_model::append::Append;
use nave_model::duration::PromDuration;
use nave_promql::{Engine, EngineOptions, Follow, ParseOptions, Rewrites};
use nave_remote::{Metrics, receive};
use nave_tsdb::Tsdb;

use super::Process;
use super::cluster::ClustersFile;
use super::part::{Hub, Parts, builtins, scraper};
use super::push::Push;
use super::query::{ActiveQueries, QueryLog};
use super::storage::RulesFile;
use super::takeover;
use super::target::Targets;
use crate::config::{Config, Retention};
use crate::fatal::OrDie;
use crate::flag::Server as Flags;
use crate::tee::Tee;

/// Upstream's retention when neither time nor size is given.
const RETENTION: PromDuration = PromDuration::from_secs(15 * 24 * 3600);
/// The hub's own queue lies here below the store's folder.
const QUEUE_DIR: &str = "remote";

/// Rebuilds the store and sets up the rest; nothing runs before the first configuration is applied.
pub(super) async fn start(process: &Process, config: &Config) -> Result<Parts> {
    let store = open_store(process, config).await?;
    process.status.set_store(store.clone());
    tokio::spawn({
        let (store, shutdown) = (store.clone(), process.shutdown.clone());
        async move { store.keep(shutdown).await }
    });
    let kept =
        retention(&process.flags, config).0.map(|time| i64::try_from(time.as_ms()).unwrap_or(i64::MAX));
    takeover::start(process, &store, kept).await?;
    let metrics = Metrics::register(&process.registry);
    let tee = Arc::new(OrDie(Tee::new(store.clone())));
    let scraper = scraper(process, tee.clone());
    let metadata = Arc::new(Targets(scraper.clone()));
    let push =
        Push::open(process, process.flags.tsdb_path.join(QUEUE_DIR), metrics.clone(), metadata).await?;
    tee.0.forward_to(push.clone());
    let queries = Budget::new("queries", memory_for_queries(&process.flags));
    let rules = RulesFile::open(process, &store)?;
    if let Some(rules) = &rules {
        tokio::spawn(rules.clone().watch(process.shutdown.clone()));
    }
    let clusters = ClustersFile::open(process, &store)?;
    let principals: Arc<dyn receive::ResolvePrincipal> = match &clusters {
        None => Arc::new(receive::Anonymous),
        Some(file) => {
            tokio::spawn(file.clone().watch(process.shutdown.clone()));
            file.clusters()
        }
    };
    let otlp = process.flags.enable_otlp.then(Arc::<receive::Otlp>::default);
    let receiver = receive::router(
        receive::Options { otlp: otlp.clone(), ..receiver_options(&process.flags) },
        tee as Arc<dyn Append>,
        principals,
        process.clock.clone(),
        &metrics,
        &process.registry,
    );
    let query_log = Arc::new(QueryLog::new(process.clock.clone(), &process.registry));
    let active = ActiveQueries::open(
        &process.flags.tsdb_path,
        process.flags.query_concurrency_max,
        process.clock.clone(),
    )?;
    let engine = engine(process, &queries, vec![query_log.clone(), Arc::new(active)]);
    let builtins = builtins(process, config.global.scrape_interval)?;
    Ok(Parts {
        scraper,
        push,
        builtins,
        queries,
        hub: Some(Hub { store, engine, query_log, receiver, otlp, clusters, rules }),
    })
}

async fn open_store(process: &Process, config: &Config) -> Result<Arc<Tsdb>> {
    let flags = &process.flags;
    let (time, size) = retention(flags, config);
    let mut options = nave_tsdb::Options::new(&flags.tsdb_path);
    options.retention_ms = time.map(|time| i64::try_from(time.as_ms()).unwrap_or(i64::MAX));
    options.retention_bytes = size;
    options.disk_free_bytes_min = flags.disk_free_min.0;
    options.lock = !flags.tsdb_no_lockfile;
    options.memory_limit = Some(memory_limit(flags));
    options.resident_bytes = Some(crate::process::resident_bytes);
    let exemplars = config.storage.as_ref().and_then(|storage| storage.exemplars.as_ref());
    if let Some(max) = exemplars.and_then(|exemplars| exemplars.max_exemplars) {
        // As upstream: nothing and less switch them off.
        options.exemplars_max = usize::try_from(max).unwrap_or(0);
    }
    if flags.series_max > 0 {
        options.series_max = usize::try_from(flags.series_max).unwrap_or(usize::MAX);
    }
    let (clock, registry) = (process.clock.clone(), process.registry.clone());
    let open = move || Tsdb::open(options, super::disk(), clock, &registry);
    let store = tokio::task::spawn_blocking(open).await?;
    Ok(Arc::new(store.with_context(|| format!("cannot open the store in {}", flags.tsdb_path.display()))?))
}

/// Changes what the store keeps to what a reloaded configuration says.
pub(super) fn apply_retention(store: &Tsdb, flags: &Flags, config: &Config) {
    let (time, size) = retention(flags, config);
    store.set_retention(time.map(|time| i64::try_from(time.as_ms()).unwrap_or(i64::MAX)), size);
}

/// Time and bytes to keep: the configuration before the flags, upstream's default when nothing is said.
fn retention(flags: &Flags, config: &Config) -> (Option<PromDuration>, Option<u64>) {
    let none = Retention::default();
    let tsdb = config.storage.as_ref().and_then(|storage| storage.tsdb.as_ref());
    let file = tsdb.and_then(|tsdb| tsdb.retention.as_ref()).unwrap_or(&none);
    let time = file.time.or(flags.retention_time).filter(|time| !time.is_zero());
    let size = file.size.or(flags.retention_size).map(|size| size.0).filter(|size| *size > 0);
    if time.is_none() && size.is_none() { (Some(RETENTION), None) } else { (time, size) }
}

/// As `runtimeinfo` shows it: `15d`, `45GiB`, or both.
pub(super) fn retention_text(flags: &Flags, config: &Config) -> String {
    let (time, size) = retention(flags, config);
    let size = size.map(|bytes| nave_scrape::config::ByteSize(bytes).to_string());
    let parts: Vec<_> = time.map(|time| time.to_string()).into_iter().chain(size).collect();
    parts.join(" or ")
}

fn receiver_options(flags: &Flags) -> receive::Options {
    receive::Options {
        enabled: flags.enable_receiver || flags.clusters_file.is_some(),
        accepted: flags.accepted_messages.clone(),
        body_bytes_max: flags.write_bytes_max,
        decompressed_bytes_max: flags.write_decompressed_bytes_max,
        concurrent_requests_max: flags.write_concurrency_max,
        cluster_share: flags.cluster_share,
        budget: Budget::new("remote write", memory_for_writes(flags)),
        read_timeout: flags.read_timeout.into(),
        ..receive::Options::default()
    }
}

fn engine(process: &Process, memory: &Budget, follow: Vec<Arc<dyn Follow>>) -> Engine {
    let flags = &process.flags;
    let mut parse = ParseOptions::default();
    for feature in &flags.features {
        // Features of other parts are no business of the parser.
        let _ = parse.enable(feature);
    }
    let cache_bytes = usize::try_from(flags.query_cache_max.0).unwrap_or(usize::MAX);
    let options = EngineOptions {
        lookback: flags.lookback_delta.into(),
        timeout: flags.query_timeout.into(),
        max_samples: flags.query_samples_max,
        max_concurrency: flags.query_concurrency_max,
        memory: memory.clone(),
        query_memory_bytes_max: usize::try_from(flags.query_memory_max.0).unwrap_or(usize::MAX),
        default_step_ms: process.status.default_step(),
        parse,
        delayed_name_removal: flags.has_feature("promql-delayed-name-removal"),
        use_start_timestamps: flags.has_feature("use-start-timestamps"),
        per_step_stats: flags.has_feature("promql-per-step-stats"),
        cache: memory.child("query cache", cache_bytes),
        rewrites: Rewrites::ALL,
        follow,
    };
    Engine::new(options, process.clock.clone(), &process.registry)
}

/// Queries together may take half of the memory there is.
fn memory_for_queries(flags: &Flags) -> usize {
    memory_limit(flags) / 2
}

/// Writes that are under way together may take a quarter of the memory there is, and at least what the largest one
/// needs compressed, decompressed and decoded: a request that is allowed is never refused for ever.
fn memory_for_writes(flags: &Flags) -> usize {
    let largest = flags.write_decompressed_bytes_max.saturating_mul(4).saturating_add(flags.write_bytes_max);
    (memory_limit(flags) / 4).max(largest)
}

/// Bytes of memory that this process should stay within.
fn memory_limit(flags: &Flags) -> usize {
    let own = Some(flags.memory_max.0).filter(|bytes| *bytes > 0);
    usize::try_from(own.unwrap_or_else(machine_memory)).unwrap_or(usize::MAX)
}

/// Bytes of memory that this process may use: the machine's, or what its cgroup allows.
pub(super) fn machine_memory() -> u64 {
    const FALLBACK: u64 = 4 << 30;
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    let cgroup = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let cgroup = cgroup.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(u64::MAX);
    total.map_or(FALLBACK, |kib| kib << 10).min(cgroup)
}
