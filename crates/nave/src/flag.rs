//! The command line: Nave's subcommands, and Prometheus' flags when there is no subcommand.
//!
//! Two steps, as typed and as meant: [`Server`] holds what was typed; [`Server::mode`] and the
//! accessors say what it means. A flag that only one mode knows is refused in the other with upstream's
//! text.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use nave_model::duration::PromDuration;
use nave_remote::receive::Message;
use nave_remote::{CatchUp, CatchUpOptions};
use nave_scrape::config::ByteSize;

use crate::log;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "nave",
    version,
    about = "One program for the metrics of many clusters",
    args_conflicts_with_subcommands = true
)]
#[command(
    after_help = "Without a subcommand, nave takes Prometheus' command line: a hub, or an agent with --agent."
)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    server: Server,
}

/// What to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Store, query and receive the metrics of all clusters.
    Hub(Box<Server>),
    /// Scrape one cluster and push to a hub.
    Agent(Box<Server>),
    /// Serve a built-in exporter's page.
    Exporter {
        /// Which exporter.
        #[command(subcommand)]
        kind: Exporter,
    },
    /// Run a hub and two agents on this machine with real host metrics.
    Demo(Demo),
    /// Make and show the credentials of clusters.
    Cluster {
        /// What to do.
        #[command(subcommand)]
        kind: crate::cluster::Command,
    },
    /// Run tests of queries.
    Test {
        /// What to test.
        #[command(subcommand)]
        kind: crate::promql_test::Test,
    },
    /// Look into queries.
    Query {
        /// What to do.
        #[command(subcommand)]
        kind: crate::explain::Query,
    },
    /// Find the broken link between a spoke and its hub.
    Doctor(crate::doctor::Doctor),
    /// Say what becomes of an object of Kubernetes.
    Explain {
        /// Which object.
        #[command(subcommand)]
        kind: crate::monitor::Explain,
    },
    /// Work on the folder of a hub that is not running.
    Tsdb {
        /// What to do.
        #[command(subcommand)]
        kind: crate::tsdb::Command,
    },
    /// Check files without running anything.
    Check {
        /// What to check.
        #[command(subcommand)]
        kind: Check,
    },
}

/// Built-in exporters.
#[derive(Debug, Subcommand)]
pub(crate) enum Exporter {
    /// Metrics of this host under node_exporter's names.
    Node(Node),
}

/// Flags of `nave exporter node`.
#[derive(Debug, Args)]
pub(crate) struct Node {
    /// Address to listen on, as host:port or :port.
    #[arg(long = "web.listen-address", default_value = "0.0.0.0:9100")]
    pub(crate) listen: Vec<String>,
    /// TLS, users and headers of the listening side.
    #[arg(long = "web.config.file")]
    pub(crate) web_config: Option<PathBuf>,
    /// Where procfs is mounted.
    #[arg(long = "path.procfs", default_value = "/proc")]
    pub(crate) procfs: PathBuf,
    /// Where sysfs is mounted.
    #[arg(long = "path.sysfs", default_value = "/sys")]
    pub(crate) sysfs: PathBuf,
    /// The host's root, when it is mounted elsewhere.
    #[arg(long = "path.rootfs", default_value = "/")]
    pub(crate) rootfs: PathBuf,
    #[command(flatten)]
    pub(crate) log: Log,
}

/// Flags of `nave demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the demo keeps its files; the default is a new folder below the system's temporary one.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Port of the hub; the agents take the two after it.
    #[arg(long, default_value_t = 9090)]
    pub(crate) port: u16,
    /// Scrape interval of the agents.
    #[arg(long, default_value = "5s")]
    pub(crate) interval: PromDuration,
}

/// What `nave check` checks.
#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// A prometheus.yml; prints what is wrong with file, line and column and exits with 1.
    Config {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Check as an agent's configuration.
        #[arg(long)]
        agent: bool,
    },
    /// The way of a sample to a hub, step by step; writes one sample of nave_doctor_probe.
    RemoteWrite(crate::doctor::Endpoint),
}

/// Logging flags.
#[derive(Debug, Clone, Args)]
pub(crate) struct Log {
    /// Least severe level to log.
    #[arg(long = "log.level", value_enum, default_value = "info")]
    pub(crate) level: log::Severity,
    /// Form of the log lines.
    #[arg(long = "log.format", value_enum, default_value = "logfmt")]
    pub(crate) format: log::Format,
}

macro_rules! switch {
    () => {
        "true"
    };
}

/// Prometheus' flags, and Nave's own for hub and agent.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Configuration file.
    #[arg(long = "config.file", default_value = "prometheus.yml")]
    pub(crate) config_file: PathBuf,
    /// Watch the configuration file and reload when it changes.
    #[arg(long = "config.auto-reload", num_args = 0..=1, require_equals = true, default_missing_value = switch!(), default_value = "false")]
    pub(crate) auto_reload: bool,
    /// How often to look for changes.
    #[arg(long = "config.auto-reload-interval", default_value = "30s")]
    pub(crate) auto_reload_interval: PromDuration,
    /// Address to listen on, as host:port or :port; may be repeated.
    #[arg(long = "web.listen-address", default_value = "0.0.0.0:9090")]
    pub(crate) listen: Vec<String>,
    /// TLS, users and headers of the listening side, in upstream's format.
    #[arg(long = "web.config.file")]
    pub(crate) web_config: Option<PathBuf>,
    /// Longest time to read a request and write its answer.
    #[arg(long = "web.read-timeout", default_value = "5m")]
    pub(crate) read_timeout: PromDuration,
    /// Most connections at a time.
    #[arg(long = "web.max-connections", default_value_t = 512)]
    pub(crate) max_connections: usize,
    /// URL under which this server is reached from outside.
    #[arg(long = "web.external-url")]
    pub(crate) external_url: Option<String>,
    /// Prefix of all paths; the path of the external URL when absent.
    #[arg(long = "web.route-prefix")]
    pub(crate) route_prefix: Option<String>,
    /// Allow reload and quit by HTTP.
    #[arg(long = "web.enable-lifecycle", num_args = 0..=1, require_equals = true, default_missing_value = switch!(), default_value = "false")]
    pub(crate) enable_lifecycle: bool,
    /// Allow deletes, snapshots and compaction by HTTP.
    #[arg(long = "web.enable-admin-api", num_args = 0..=1, require_equals = true, default_missing_value = switch!(), default_value = "false")]
    pub(crate) enable_admin: bool,
    /// Take samples at /api/v1/write.
    #[arg(long = "web.enable-remote-write-receiver", num_args = 0..=1, require_equals = true, default_missing_value = switch!(), default_value = "false")]
    pub(crate) enable_receiver: bool,
    /// Take OpenTelemetry metrics at /api/v1/otlp/v1/metrics.
    #[arg(long = "web.enable-otlp-receiver", num_args = 0..=1, require_equals = true, default_missing_value = switch!(), default_value = "false")]
    pub(crate) enable_otlp: bool,
    /// Remote-write message that the receiver takes; may be repeated.
    #[arg(
        long = "web.remote-write-receiver.accepted-protobuf-messages",
        default_values = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"],
        value_parser = accepted_message
    )]
    pub(crate) accepted_messages: Vec<Message>,
    /// Most bytes of one remote-write request as it comes.
    #[arg(long = "web.remote-write-receiver.max-body-bytes", default_value_t = 32 << 20)]
    pub(crate) write_bytes_max: usize,
    /// Most bytes of one remote-write request after decompression.
    #[arg(long = "web.remote-write-receiver.max-decompressed-bytes", default_value_t = 128 << 20)]
    pub(crate) write_decompressed_bytes_max: usize,
    /// Most remote-write requests at a time.
    #[arg(long = "web.remote-write-receiver.max-concurrency", default_value_t = 256)]
    pub(crate) write_concurrency_max: usize,
    /// Who may write, as which cluster and how much; switches the receiver on and refuses everyone else.
    #[arg(long = "clusters.file")]
    pub(crate) clusters_file: Option<PathBuf>,
    /// Which part of the receiver's slots and memory one cluster may take.
    #[arg(long = "clusters.share", default_value_t = nave_remote::receive::CLUSTER_SHARE, value_parser = share)]
    pub(crate) cluster_share: f64,
    /// A cluster from which nothing came for longer is called silent.
    #[arg(long = "clusters.silent-after", default_value = "5m")]
    pub(crate) silent_after: PromDuration,
    /// Push to this hub; without --config.file, scrape this host and this agent.
    #[arg(long = "hub.url")]
    pub(crate) hub_url: Option<String>,
    /// File with the token that nave cluster add made for the hub; read again when it changes.
    #[arg(long = "hub.token-file", requires = "hub_url")]
    pub(crate) hub_token_file: Option<PathBuf>,
    /// Title of the web pages.
    #[arg(long = "web.page-title", default_value = "Nave")]
    pub(crate) page_title: String,
    /// Origins that browsers may call from, as an anchored regular expression.
    #[arg(long = "web.cors.origin", default_value = ".*")]
    pub(crate) cors_origin: String,
    /// Folder of the hub's samples.
    #[arg(long = "storage.tsdb.path", default_value = "data/")]
    pub(crate) tsdb_path: PathBuf,
    /// How long to keep samples; 15d when neither this nor a size is given.
    #[arg(long = "storage.tsdb.retention.time")]
    pub(crate) retention_time: Option<PromDuration>,
    /// How many bytes of samples to keep, such as 45GB; units are powers of two.
    #[arg(long = "storage.tsdb.retention.size")]
    pub(crate) retention_size: Option<ByteSize>,
    /// Rules that keep some series longer or shorter than the rest; read again when it changes.
    #[arg(long = "storage.tsdb.retention.rules-file")]
    pub(crate) retention_rules_file: Option<PathBuf>,
    /// Bytes that stay free on the disk: with fewer, writes are refused until there is room again.
    #[arg(long = "storage.tsdb.min-free-bytes", default_value = "64MB")]
    pub(crate) disk_free_min: ByteSize,
    /// Do not lock the folder.
    #[arg(long = "storage.tsdb.no-lockfile", num_args = 0..=1, require_equals = true, default_missing_value = switch!(), default_value = "false")]
    pub(crate) tsdb_no_lockfile: bool,
    /// When there are blocks or a log of Prometheus in the folder: import their samples while the hub runs
    /// (background), before it is ready (wait), or not at all (off). Their files are left as they are.
    #[arg(long = "storage.tsdb.import-prometheus", value_enum, default_value = "background")]
    pub(crate) import_prometheus: crate::server::Takeover,
    /// Most series in the hub; new ones above it are refused. 0 is no limit.
    #[arg(long = "storage.tsdb.max-series", default_value_t = 0)]
    pub(crate) series_max: u64,
    /// Folder of the agent's queue.
    #[arg(long = "storage.agent.path", default_value = "data-agent/")]
    pub(crate) agent_path: PathBuf,
    /// Most bytes of unsent samples on disk; a quarter of the free disk when absent, at most 32GB.
    #[arg(long = "storage.queue.max-bytes")]
    pub(crate) queue_bytes_max: Option<ByteSize>,
    /// Accepted for Prometheus' command lines; without effect: what was sent is removed by whole segments.
    #[arg(long = "storage.agent.retention.min-time", default_value = "5m")]
    pub(crate) agent_retention_min: PromDuration,
    /// Samples older than this are removed even when not sent.
    #[arg(long = "storage.agent.retention.max-time", default_value = "7d")]
    pub(crate) agent_retention_max: PromDuration,
    /// Do not lock the folder of the agent's queue.
    #[arg(long = "storage.agent.no-lockfile", num_args = 0..=1, require_equals = true, default_missing_value = switch!(), default_value = "false")]
    pub(crate) agent_no_lockfile: bool,
    /// What is sent first after an outage: samples as they came, or new ones at once and the others beside them;
    /// auto is fresh_first where the endpoint says that it takes late samples, as a Nave hub does.
    #[arg(long = "storage.remote.catch-up", value_enum, default_value = "auto")]
    pub(crate) catch_up_order: CatchUpOrder,
    /// Which part of all samples may be older ones while both are sent; what piled up in an hour is gone after
    /// (1 - share) / share hours.
    #[arg(long = "storage.remote.catch-up-share", value_parser = catch_up_share, default_value = "0.85")]
    pub(crate) catch_up_share: f64,
    /// How long to go on sending at shutdown.
    #[arg(long = "storage.remote.flush-deadline", default_value = "1m")]
    pub(crate) flush_deadline: PromDuration,
    /// How far back an instant selector looks for a sample.
    #[arg(long = "query.lookback-delta", default_value = "5m")]
    pub(crate) lookback_delta: PromDuration,
    /// Longest time of a query.
    #[arg(long = "query.timeout", default_value = "2m")]
    pub(crate) query_timeout: PromDuration,
    /// Most queries at a time.
    #[arg(long = "query.max-concurrency", default_value_t = 20)]
    pub(crate) query_concurrency_max: usize,
    /// Most samples that one query may hold in memory.
    #[arg(long = "query.max-samples", default_value_t = 50_000_000)]
    pub(crate) query_samples_max: u64,
    /// Memory that the process should stay within; 0 is what the machine or the cgroup has.
    #[arg(long = "memory.limit", default_value = "0B")]
    pub(crate) memory_max: ByteSize,
    /// Most bytes that one query may hold in memory.
    #[arg(long = "query.memory-limit", default_value = "2GB")]
    pub(crate) query_memory_max: ByteSize,
    /// Memory for finished steps of range queries, which a refreshed dashboard need not evaluate again; 0 keeps none.
    #[arg(long = "query.cache-size", default_value = "64MB")]
    pub(crate) query_cache_max: ByteSize,
    /// Align scrape timestamps to the interval when they are off by at most the tolerance.
    #[arg(long = "scrape.adjust-timestamps", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = switch!(), default_value = "true")]
    pub(crate) adjust_timestamps: bool,
    /// Accepted for Prometheus' command lines; without effect: a timestamp is moved by at most 2ms.
    #[arg(long = "scrape.timestamp-tolerance", hide = true, default_value = "2ms")]
    pub(crate) timestamp_tolerance: PromDuration,
    /// Scrape this host through the built-in node exporter.
    #[arg(long = "exporter.node", num_args = 0..=1, require_equals = true, default_missing_value = switch!(), default_value = "false")]
    pub(crate) exporter_node: bool,
    /// The job name of the built-in node exporter.
    #[arg(long = "exporter.node.job", default_value = "node")]
    pub(crate) node_job: String,
    /// Where the built-in node exporter finds procfs.
    #[arg(long = "exporter.node.procfs", default_value = "/proc")]
    pub(crate) node_procfs: PathBuf,
    /// Where the built-in node exporter finds sysfs.
    #[arg(long = "exporter.node.sysfs", default_value = "/sys")]
    pub(crate) node_sysfs: PathBuf,
    /// The host's root for the built-in node exporter.
    #[arg(long = "exporter.node.rootfs", default_value = "/")]
    pub(crate) node_rootfs: PathBuf,
    /// Feature names, separated by commas; may be repeated.
    #[arg(long = "enable-feature", value_delimiter = ',')]
    pub(crate) features: Vec<String>,
    /// Run as an agent: scrape and push, no storage, no queries.
    #[arg(long = "agent", num_args = 0..=1, require_equals = true, default_missing_value = switch!(), default_value = "false")]
    pub(crate) agent: bool,
    #[command(flatten)]
    pub(crate) log: Log,
    /// All flags with their values, for /api/v1/status/flags.
    #[arg(skip)]
    pub(crate) shown: BTreeMap<String, String>,
    /// Flags that stood on the command line.
    #[arg(skip)]
    given: Vec<String>,
}

/// Which of the two servers is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Stores and answers queries.
    Hub,
    /// Scrapes and pushes.
    Agent,
}

/// The command line as meant.
pub(crate) enum Meant {
    /// A hub or an agent.
    Server(Mode, Box<Server>),
    /// Anything else.
    Command(Command),
}

/// Reads the command line; prints usage or an error and exits where clap does.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Meant> {
    let command = Line::command();
    let args = negations(&command, args);
    let matches = command.clone().try_get_matches_from(args).unwrap_or_else(|error| error.exit());
    let line = Line::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match line.command {
        None => server(line.server, &command, &matches, None),
        Some(Command::Hub(flags)) => sub(*flags, &command, &matches, "hub", Mode::Hub),
        Some(Command::Agent(flags)) => sub(*flags, &command, &matches, "agent", Mode::Agent),
        Some(other) => Ok(Meant::Command(other)),
    }
}

fn sub(flags: Server, line: &clap::Command, matches: &ArgMatches, name: &str, mode: Mode) -> Result<Meant> {
    let command = line.find_subcommand(name).expect("the subcommand that was matched");
    let matches = matches.subcommand_matches(name).expect("the subcommand that was matched");
    server(flags, command, matches, Some(mode))
}

/// `--storage.remote.catch-up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CatchUpOrder {
    /// Fresh samples first where the endpoint says that it takes late ones.
    Auto,
    /// Always in the order of arrival.
    #[value(name = "in_order")]
    InOrder,
    /// Always fresh samples first.
    #[value(name = "fresh_first")]
    FreshFirst,
}

fn catch_up_share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "expected a number between 0 and 1, such as 0.85".to_owned())
}

/// A part of a whole.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "expected a number such as 0.25".to_owned())?;
    if share > 0.0 && share <= 1.0 {
        Ok(share)
    } else {
        Err("expected a number over 0 and up to 1".to_owned())
    }
}

/// The full name of a protobuf message of remote write.
fn accepted_message(name: &str) -> Result<Message, String> {
    let supported = || Message::ALL.map(Message::name).join(", ");
    Message::from_name(name).ok_or_else(|| {
        format!("unknown type for remote write protobuf message {name}, supported: {}", supported())
    })
}

fn server(
    mut flags: Server,
    command: &clap::Command,
    matches: &ArgMatches,
    mode: Option<Mode>,
) -> Result<Meant> {
    for arg in command.get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        let Ok(Some(raw)) = matches.try_get_raw(arg.get_id().as_str()) else {
            flags.shown.insert(long.to_owned(), String::new());
            continue;
        };
        let values: Vec<_> = raw.map(|value| value.to_string_lossy()).collect();
        flags.shown.insert(long.to_owned(), values.join(","));
        if matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            flags.given.push(format!("--{long}"));
        }
    }
    let mode = flags.mode(mode)?;
    // An agent that was given nothing but a hub has its host to scrape.
    let alone = flags.hub_url.is_some() && !flags.was_given("--config.file");
    if alone && !flags.was_given("--exporter.node") {
        flags.exporter_node = true;
        flags.shown.insert("exporter.node".to_owned(), "true".to_owned());
    }
    Ok(Meant::Server(mode, Box::new(flags)))
}

/// `--no-x` means `--x=false` for switches, as upstream's flag parser takes it.
fn negations(line: &clap::Command, args: impl IntoIterator<Item = String>) -> Vec<String> {
    let hub = line.find_subcommand("hub").expect("nave hub exists");
    let is_switch = |name: &str| {
        hub.get_arguments().any(|arg| arg.get_long() == Some(name) && arg.is_require_equals_set())
    };
    let negate = |arg: String| match arg.strip_prefix("--no-") {
        Some(name) if is_switch(name) => format!("--{name}=false"),
        _ => arg,
    };
    args.into_iter().map(negate).collect()
}

impl Server {
    /// How remote write catches up after an outage.
    pub(crate) fn catch_up(&self) -> CatchUpOptions {
        let order = match self.catch_up_order {
            CatchUpOrder::Auto => None,
            CatchUpOrder::InOrder => Some(CatchUp::InOrder),
            CatchUpOrder::FreshFirst => Some(CatchUp::FreshFirst),
        };
        CatchUpOptions { order, share: self.catch_up_share }
    }

    fn mode(&self, asked: Option<Mode>) -> Result<Mode> {
        let old_spelling = self.features.iter().any(|feature| feature == "agent");
        let mode = match asked {
            Some(mode) => mode,
            None if self.agent || old_spelling => Mode::Agent,
            None => Mode::Hub,
        };
        let (foreign, prefixes): (_, &[&str]) = match mode {
            Mode::Agent => (
                "agent",
                &[
                    "--storage.tsdb.",
                    "--query.",
                    "--web.enable-remote-write-receiver",
                    "--web.enable-otlp-receiver",
                    "--clusters.",
                ],
            ),
            Mode::Hub => ("server", &["--storage.agent.", "--hub."]),
        };
        let wrong: Vec<_> =
            self.given.iter().filter(|flag| prefixes.iter().any(|prefix| flag.starts_with(prefix))).collect();
        if !wrong.is_empty() {
            bail!("The following flag(s) can not be used in {foreign} mode: {wrong:?}");
        }
        Ok(mode)
    }

    /// Whether a feature name was switched on.
    pub(crate) fn has_feature(&self, name: &str) -> bool {
        self.features.iter().any(|feature| feature == name)
    }

    /// Whether the flag stood on the command line.
    pub(crate) fn was_given(&self, flag: &str) -> bool {
        self.given.iter().any(|given| given == flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(line: &str) -> Result<(Mode, Server)> {
        match parse(line.split_whitespace().map(ToOwned::to_owned))? {
            Meant::Server(mode, flags) => Ok((mode, *flags)),
            Meant::Command(other) => bail!("not a server: {other:?}"),
        }
    }

    #[test]
    fn prometheus_command_lines() {
        let (mode, flags) = server("nave --config.file=x.yml --web.enable-remote-write-receiver --web.listen-address=:1 --web.listen-address=:2").unwrap();
        assert_eq!((mode, flags.enable_receiver, flags.listen.len()), (Mode::Hub, true, 2));
        assert_eq!(flags.shown["web.listen-address"], ":1,:2");
        assert_eq!(flags.shown["query.timeout"], "2m");
        assert!(flags.was_given("--config.file") && !flags.was_given("--query.timeout"));
        assert_eq!(server("nave --agent").unwrap().0, Mode::Agent);
        assert_eq!(server("nave --enable-feature=agent").unwrap().0, Mode::Agent);
        assert_eq!(server("nave --enable-feature=a,b").unwrap().1.features, ["a", "b"]);
        assert_eq!(server("nave hub --query.max-samples=5").unwrap().1.query_samples_max, 5);
        assert!(!server("nave --no-scrape.adjust-timestamps").unwrap().1.adjust_timestamps);
        let catch_up = |line: &str| server(line).map(|(_, flags)| flags.catch_up());
        assert_eq!(catch_up("nave").unwrap(), CatchUpOptions::default());
        let first = catch_up("nave --storage.remote.catch-up=fresh_first").unwrap();
        assert_eq!(first.order, Some(CatchUp::FreshFirst));
        // Asked of the command itself: a line that clap refuses ends the process.
        for wrong in ["--storage.remote.catch-up-share=1", "--clusters.share=0", "--clusters.share=1.5"] {
            assert!(Line::command().try_get_matches_from(["nave", wrong]).is_err(), "{wrong}");
        }
        assert!(server("nave --clusters.share=1 --web.enable-otlp-receiver").unwrap().1.enable_otlp);
    }

    #[test]
    fn flags_of_the_other_mode_are_refused() {
        let error = server("nave --agent --storage.tsdb.path=x").unwrap_err().to_string();
        assert_eq!(error, r#"The following flag(s) can not be used in agent mode: ["--storage.tsdb.path"]"#);
        assert!(server("nave hub --storage.agent.path=x").is_err());
        assert!(server("nave hub --hub.url=http://x").is_err());
        assert!(server("nave agent --clusters.file=x").is_err());
        assert!(server("nave agent --web.enable-otlp-receiver").is_err());
    }

    #[test]
    fn an_unknown_flag_names_the_nearest() {
        let error = Line::command().try_get_matches_from(["nave", "--config.fil=x"]).unwrap_err().to_string();
        assert!(error.contains("--config.file"), "{error}");
    }
}
