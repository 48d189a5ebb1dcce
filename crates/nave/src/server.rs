//! A hub or an agent, from start to stop.
//!
//! ```text
//! flags, config -> listen (answers 503) -> store or queue -> scraper, senders -> ready -> signals -> stop
//! ```
//!
//! The listeners are bound before anything is read from disk, so that a taken port is an early error and
//! probes see "not ready" rather than a refused connection while the log is replayed.

mod agent;
mod cluster;
mod hub;
pub(crate) mod join;
mod part;
mod push;
mod query;
mod reload;
mod status;
mod storage;
mod takeover;
mod target;
mod watch;
mod web;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use nave_base::Shutdown;
use nave_base::clock::{SharedClock, SystemClock};
use nave_base::disk::LocalDisk;
use nave_base::metric::{Kind, Registry};

pub(crate) use self::push::Push;
use self::reload::Reloader;
use self::status::Status;
pub(crate) use self::status::hostname;
pub(crate) use self::takeover::Takeover;
pub(crate) use self::web::security;
use crate::config::Config;
use crate::flag::{Mode, Server as Flags};
use crate::{fatal, log, process, signal};

/// The Prometheus release whose behaviour this is, with Nave's own version as build metadata.
pub(crate) const VERSION: &str = concat!("3.14.0+nave.", env!("CARGO_PKG_VERSION"));

/// What all parts of one process share.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) mode: Mode,
    pub(crate) flags: Arc<Flags>,
    pub(crate) clock: SharedClock,
    pub(crate) registry: Registry,
    pub(crate) shutdown: Shutdown,
    pub(crate) status: Arc<Status>,
}

/// Runs until SIGINT, SIGTERM or `/-/quit`.
pub(crate) async fn run(mode: Mode, flags: Flags) -> Result<()> {
    log::install(flags.log.level, flags.log.format)?;
    fatal::install();
    warn_of_features(&flags);
    let config = load(mode, &flags)?;
    let process = Process::new(mode, flags, &config);
    tracing::info!(version = VERSION, mode = mode.name(), "starting nave");
    let web = web::start(&process).await?;
    let parts = match mode {
        Mode::Hub => hub::start(&process, &config).await?,
        Mode::Agent => agent::start(&process, &config).await?,
    };
    let reloader = Reloader::start(process.clone(), &parts, config).await?;
    web.open(parts.router(&process, reloader.clone())?);
    process.status.set_ready();
    tracing::info!("ready to serve requests");
    let reloads = tokio::spawn(reloader.run());
    tokio::select! {
        name = signal::interrupted() => tracing::info!(signal = name?, "stopping"),
        () = process.shutdown.cancelled() => tracing::info!("stopping, as asked by /-/quit"),
    }
    reloads.abort();
    parts.stop().await;
    process.shutdown.cancel();
    web.stopped().await;
    tracing::info!("stopped");
    Ok(())
}

/// The configuration as the flags say: from a file, or built in.
fn load(mode: Mode, flags: &Flags) -> Result<Config> {
    let path = &flags.config_file;
    if join::is_alone(flags) {
        return join::config(flags);
    }
    let built_in = mode == Mode::Hub && !flags.was_given("--config.file") && !path.exists();
    if built_in {
        tracing::info!(file = %path.display(), "no configuration file; the hub scrapes itself");
        let listen = flags.listen.first().map_or("0.0.0.0:9090", String::as_str);
        return Config::default_hub(listen);
    }
    let mut config = Config::load(path, mode).context("error loading the configuration")?;
    join::add(flags, &mut config)?;
    for section in config.unused_sections() {
        tracing::warn!(section, "this section of the configuration is read, but not used by this version");
    }
    Ok(config)
}

/// Says which feature names have no effect; an unknown one may be a typing error.
fn warn_of_features(flags: &Flags) {
    const KNOWN: [&str; 10] = [
        "agent",
        "promql-experimental-functions",
        "promql-extended-range-selectors",
        "promql-binop-fill-modifiers",
        "promql-delayed-name-removal",
        "promql-duration-expr",
        "promql-per-step-stats",
        "extra-scrape-metrics",
        "created-timestamp-zero-ingestion",
        "use-start-timestamps",
    ];
    for feature in flags.features.iter().filter(|feature| !KNOWN.contains(&feature.as_str())) {
        tracing::warn!(
            feature,
            "unknown option for --enable-feature, or one that this version does not have"
        );
    }
}

impl Process {
    fn new(mode: Mode, flags: Flags, config: &Config) -> Self {
        let clock = SystemClock::shared();
        let registry = Registry::default();
        process::register(&registry);
        let name = "prometheus_build_info";
        let help =
            "A metric with a constant '1' value labeled by version and revision from which it was built.";
        registry.collect(name, help, Kind::Gauge, |page| {
            page.sample(&[("version", VERSION), ("revision", "")], 1.0);
        });
        let status = Arc::new(Status::new(&flags, config, &clock, &registry));
        Self { mode, flags: Arc::new(flags), clock, registry, shutdown: Shutdown::new(), status }
    }

    /// The built-in source of host metrics, when asked for.
    fn node_exporter(&self) -> Result<Option<Arc<nave_exporter::Node>>> {
        let flags = &self.flags;
        if !flags.exporter_node {
            return Ok(None);
        }
        let options = crate::exporter::options(&flags.node_procfs, &flags.node_sysfs, &flags.node_rootfs);
        let node = nave_exporter::Node::new(options, self.clock.clone());
        Ok(Some(Arc::new(node.context("cannot set up the built-in node exporter")?)))
    }
}

impl Mode {
    /// As in logs and pages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Agent => "agent",
        }
    }
}

/// Bytes that unsent samples may take: as the flag says, else a quarter of what is free, at most 32 GiB.
fn queue_bytes_max(flags: &Flags, dir: &Path) -> Result<u64> {
    const MOST: u64 = 32 << 30;
    const LEAST: u64 = 64 << 20;
    if let Some(bytes) = flags.queue_bytes_max {
        return Ok(bytes.0);
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let disk =
        rustix::fs::statvfs(dir).with_context(|| format!("cannot ask for the room at {}", dir.display()))?;
    Ok((disk.f_bavail.saturating_mul(disk.f_frsize) / 4).clamp(LEAST, MOST))
}

/// The machine's disk; every store goes through it.
fn disk() -> nave_base::disk::SharedDisk {
    LocalDisk::shared()
}
