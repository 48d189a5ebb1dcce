//! The one binary: reads the command line and hands over to what was asked for.

use std::process::ExitCode;

use anyhow::{Context, Result};

mod check;
mod cluster;
mod config;
mod demo;
mod doctor;
mod explain;
mod exporter;
mod fatal;
mod feature;
mod flag;
mod log;
mod monitor;
mod process;
mod promql_test;
mod server;
mod signal;
mod tee;
mod tsdb;
mod yaml;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            // The chain of causes is what the operator needs; a backtrace is not.
            complain(&format!("nave: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let meant = flag::parse(std::env::args())?;
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("a TLS provider is installed already; this is a bug");
    }
    if std::env::var_os(demo::DIE_WITH_PARENT).is_some() {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .context("cannot tie this process to its parent")?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(dispatch(meant))
}

async fn dispatch(meant: flag::Meant) -> Result<ExitCode> {
    match meant {
        flag::Meant::Server(mode, flags) => server::run(mode, *flags).await?,
        flag::Meant::Command(flag::Command::Exporter { kind: flag::Exporter::Node(flags) }) => {
            exporter::node(flags).await?;
        }
        flag::Meant::Command(flag::Command::Demo(flags)) => demo::run(flags).await?,
        flag::Meant::Command(flag::Command::Cluster { kind }) => cluster::run(&kind)?,
        flag::Meant::Command(flag::Command::Check { kind: flag::Check::Config { files, agent } }) => {
            return check::config(&files, agent);
        }
        flag::Meant::Command(flag::Command::Test { kind: promql_test::Test::Promql(scripts) }) => {
            return promql_test::promql(&scripts).await;
        }
        flag::Meant::Command(flag::Command::Query { kind: explain::Query::Explain(asked) }) => {
            return explain::explain(&asked).await;
        }
        flag::Meant::Command(flag::Command::Check { kind: flag::Check::RemoteWrite(asked) }) => {
            return doctor::check(&asked).await;
        }
        flag::Meant::Command(flag::Command::Doctor(asked)) => return doctor::run(&asked).await,
        flag::Meant::Command(flag::Command::Explain { kind }) => return monitor::explain(&kind).await,
        flag::Meant::Command(flag::Command::Tsdb { kind }) => return tsdb::run(kind).await,
        flag::Meant::Command(flag::Command::Hub(_) | flag::Command::Agent(_)) => {
            unreachable!("flag::parse turns these into Meant::Server")
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stderr, reason = "errors before and after the logger's life")]
fn complain(line: &str) {
    eprintln!("{line}");
}
