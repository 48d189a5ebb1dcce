//! `nave explain servicemonitor`: the one reason why a ServiceMonitor gives no target, or the targets it gives.
//!
//! What it looks at are the objects of the cluster, from files or from `kubectl`; it does not talk to a hub or an agent.

mod chain;
mod object;
mod read;
mod selector;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// What `nave explain` explains.
#[derive(Debug, Subcommand)]
pub(crate) enum Explain {
    /// Say why a ServiceMonitor gives no target, or which it gives; exits with 1 when it gives none.
    Servicemonitor(Asked),
}

/// Flags of `nave explain servicemonitor`.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Name of the ServiceMonitor.
    name: String,
    /// Its namespace; not needed where only one namespace has a monitor of that name.
    #[arg(long, short)]
    namespace: Option<String>,
    /// Files with the cluster's objects, as YAML or JSON (ServiceMonitors, Services, EndpointSlices, Namespaces, Prometheuses);
    /// "-" is the standard input. Without the flag, kubectl is asked.
    #[arg(long)]
    objects: Vec<PathBuf>,
    /// The kubectl to ask.
    #[arg(long, default_value = "kubectl")]
    kubectl: PathBuf,
}

/// Prints what becomes of the monitor.
pub(crate) async fn explain(asked: &Explain) -> Result<ExitCode> {
    let Explain::Servicemonitor(asked) = asked;
    let objects = if asked.objects.is_empty() {
        read::from_cluster(&asked.kubectl).await?
    } else {
        read::from_files(&asked.objects)?
    };
    let outcome = chain::follow(&objects, &asked.name, asked.namespace.as_deref());
    writeln!(std::io::stdout(), "{outcome}")?;
    Ok(if outcome.targets.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
