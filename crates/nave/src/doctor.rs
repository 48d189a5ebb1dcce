//! `nave doctor`: which link between a spoke and its hub is broken, and what to do about it.
//!
//! From a spoke it walks the way of a sample, step by step, and stops at the first step that fails. From the hub
//! (`--clusters`) it asks the hub what it knows of each cluster. Secrets are used, never shown.

mod fleet;
mod link;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use nave_remote::RemoteWriteConfig;

use self::report::Report;
use crate::config::Config;
use crate::flag::Mode;
use crate::server::join;

/// Flags of `nave doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The hub, as the agent has it.
    #[arg(long = "hub.url", conflicts_with = "config_file")]
    hub_url: Option<String>,
    /// File with the token for the hub.
    #[arg(long = "hub.token-file", requires = "hub_url")]
    hub_token_file: Option<PathBuf>,
    /// Check every remote_write endpoint of this configuration.
    #[arg(long = "config.file")]
    config_file: Option<PathBuf>,
    /// Ask the hub what it knows of its clusters instead of walking the way of a sample.
    #[arg(long, requires = "hub_url")]
    clusters: bool,
}

/// Flags of `nave check remote-write`.
#[derive(Debug, Args)]
pub(crate) struct Endpoint {
    /// The hub, as `https://hub:9090`, or where to write, as `https://hub:9090/api/v1/write`.
    url: String,
    /// File with a bearer token.
    #[arg(long = "hub.token-file")]
    token_file: Option<PathBuf>,
}

/// Looks, and prints what it sees; exit code 1 when something is broken.
pub(crate) async fn run(asked: &Doctor) -> Result<ExitCode> {
    let (endpoints, labels) = match (&asked.hub_url, &asked.config_file) {
        (Some(url), _) => (join::endpoints(url, asked.hub_token_file.as_deref())?, Vec::new()),
        (None, file) => {
            let file = file.clone().unwrap_or_else(|| PathBuf::from("prometheus.yml"));
            let config = Config::load(&file, Mode::Agent)
                .context("expected --hub.url, or the configuration of an agent in --config.file")?;
            let labels = config.external_labels();
            (config.remote_write, labels)
        }
    };
    ensure!(
        !endpoints.is_empty(),
        "the configuration has no remote_write, so nothing leaves this cluster: add one, or use --hub.url"
    );
    let mut report = Report::default();
    for endpoint in &endpoints {
        if asked.clusters {
            fleet::look(endpoint, &mut report).await?;
        } else {
            link::walk(endpoint, &labels, &mut report).await?;
        }
    }
    Ok(report.exit_code())
}

/// `nave check remote-write`: the same walk for one URL.
pub(crate) async fn check(asked: &Endpoint) -> Result<ExitCode> {
    let mut report = Report::default();
    for endpoint in join::endpoints(&asked.url, asked.token_file.as_deref())? {
        link::walk(&endpoint, &[], &mut report).await?;
    }
    Ok(report.exit_code())
}

/// The URL below which the hub's API lies: the endpoint's without its path of writing.
fn base(endpoint: &RemoteWriteConfig) -> Result<url::Url> {
    let mut url = url::Url::parse(&endpoint.url)?;
    let path = url.path().to_owned();
    let prefix =
        ["/api/v1/write", "/api/v1/push", "/api/v1/receive"].iter().find_map(|end| path.strip_suffix(end));
    url.set_path(&format!("{}/", prefix.unwrap_or_default()));
    url.set_query(None);
    Ok(url)
}
