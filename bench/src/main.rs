//! `fleetbench`: measures servers that speak Prometheus remote write 1.0 and the Prometheus query
//! API, and agents that scrape and remote-write. See README.md for how to run it.

mod agent;
mod compare;
mod fleet;
mod late;
mod layout;
mod live;
mod paced;
mod page;
mod plot;
mod proto;
mod query;
mod recording;
mod recovery;
mod report;
mod results;
mod server;
mod soak;
mod stream;
mod timetable;
mod upkeep;
mod workload;
mod write;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use write::SendOptions;

#[derive(Parser)]
#[command(about = "Benchmark for Prometheus-compatible metrics servers and agents")]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    /// Start each target on an empty directory, send the workload, report speed, CPU, memory, disk.
    Ingest(Load),
    /// As ingest, then send the tail, kill -9, start again: time until ready and samples lost.
    Restart {
        #[command(flatten)]
        load: Load,
        /// Kill it while every connection sends, after three quarters of the load; there is no tail then.
        #[arg(long)]
        under_load: bool,
    },
    /// Ingest, queries and restart for every target, in one table.
    Compare {
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        ask: Ask,
    },
    /// A given rate from many senders: ack latency, also while the server compacts.
    Paced {
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        options: paced::Options,
    },
    /// Simulated hours with churn, dashboards and rules; figures over time as CSV (for `plot`).
    Soak {
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        options: soak::Options,
    },
    /// Put the tables of results (--json of the others) into a page, between its markers.
    Report(page::Options),
    /// Draw tables over time that `soak` wrote as SVG.
    Plot(plot::Options),
    /// Recorded samples of real programs: bytes per sample on disk, and whether they come back bit for bit.
    Recordings {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        options: recording::Options,
    },
    /// A share of the samples 1 to 24 hours late, beside the same amount in order.
    Late(Load),
    /// Ask the queries of servers filled by `ingest` before (the same --work).
    Query {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        ask: Ask,
    },
    /// Measure the agents of an agents file: scrape the built-in targets, write to the built-in sink.
    Agent {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        options: agent::Options,
    },
    /// Serve synthetic /t/<n>/metrics pages until stopped.
    Targets {
        #[arg(long, default_value = "127.0.0.1:19500")]
        listen: String,
        #[arg(long, default_value_t = 200)]
        targets: usize,
        /// Series per target.
        #[arg(long, default_value_t = 500)]
        series: usize,
    },
    /// Count what is written to /write; GET /stats; POST /outage?on=1 or ?on=0. Until stopped.
    Sink {
        #[arg(long, default_value = "127.0.0.1:19501")]
        listen: String,
    },
}

#[derive(Args)]
struct Place {
    /// Targets file.
    #[arg(long, default_value = "targets.toml")]
    targets_file: PathBuf,
    /// Directory to work in; each target gets its own below.
    #[arg(long, default_value = "runs")]
    work: PathBuf,
    /// Only these targets of the file.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also write everything as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct Load {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    spec: workload::Spec,
    #[command(flatten)]
    send: SendOptions,
    /// After the queries, compact what was stored and measure what it takes then.
    #[arg(long)]
    compact: bool,
    /// Rounds; each goes through all targets, and the table shows medians.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

#[derive(Args)]
struct Ask {
    /// Queries file.
    #[arg(long, default_value = "queries/dashboards.toml")]
    queries: PathBuf,
    /// Warm runs of each query.
    #[arg(long, default_value_t = 10)]
    warm: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Cli::parse().command {
        Cmd::Ingest(load) => compare::run(load, None, false, "ingest").await,
        Cmd::Restart { load, under_load: true } => recovery::run_under_load(load).await,
        Cmd::Restart { load, under_load: false } => compare::run(load, None, true, "restart").await,
        Cmd::Compare { load, ask } => compare::run(load, Some(ask), true, "compare").await,
        Cmd::Paced { load, options } => paced::run(load, options).await,
        Cmd::Soak { load, options } => soak::run(load, options).await,
        Cmd::Report(options) => page::run(&options),
        Cmd::Plot(options) => plot::run(&options),
        Cmd::Recordings { place, options } => recording::run(place, options).await,
        Cmd::Late(load) => late::run(load).await,
        Cmd::Query { place, ask } => compare::query_only(place, ask).await,
        Cmd::Agent { place, options } => {
            let rounds = agent::run(&place.targets_file, &place.work, &place.only, &options).await?;
            results::finish(&place, "agent", None, &rounds)
        }
        Cmd::Targets { listen, targets, series } => agent::serve_targets(&listen, targets, series).await,
        Cmd::Sink { listen } => agent::serve_sink(&listen).await,
    }
}
