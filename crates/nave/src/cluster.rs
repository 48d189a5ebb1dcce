//! The clusters file on the command line: `nave cluster add` and `nave cluster list`.
//!
//! The file is YAML that people edit too, so adding a cluster inserts lines and leaves the rest, comments
//! among it, as it was ([`edit`]). A secret is shown once or written to a file of its own; the clusters file
//! holds its hash.

mod edit;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nave_base::disk::{LocalDisk, write_atomically};
use nave_remote::cluster::{ClusterConfig, ClustersConfig, SecretHash, check_cluster_name, new_token};

use crate::yaml;

/// What `nave cluster` does.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make credentials of a new cluster and print the command that joins it.
    Add(Add),
    /// Show the clusters of a file.
    List {
        /// The clusters file.
        #[arg(long = "clusters.file", default_value = "clusters.yml")]
        file: PathBuf,
    },
}

/// Flags of `nave cluster add`.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// Name of the cluster: its series get the label cluster="NAME".
    name: String,
    /// The clusters file; made when it does not exist.
    #[arg(long = "clusters.file", default_value = "clusters.yml")]
    file: PathBuf,
    /// Where the cluster's agents reach the hub; this machine at port 9090 when absent.
    #[arg(long = "hub.url")]
    hub_url: Option<String>,
    /// Write the token to this new file instead of showing it.
    #[arg(long = "hub.token-file")]
    token_file: Option<PathBuf>,
}

/// Runs `nave cluster`.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Add(flags) => add(flags),
        Command::List { file } => list(file),
    }
}

/// Reads and checks a clusters file.
pub(crate) fn parse(path: &Path, text: &str) -> Result<ClustersConfig> {
    Ok(yaml::parse(path, text)?)
}

/// The text of a clusters file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| {
        format!("cannot read the clusters file {}; nave cluster add makes it", path.display())
    })
}

fn add(flags: &Add) -> Result<()> {
    if let Err(why) = check_cluster_name(&flags.name) {
        bail!(why);
    }
    let token = new_token().map_err(anyhow::Error::msg)?;
    let text = match fs::read_to_string(&flags.file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other.with_context(|| format!("cannot read {}", flags.file.display()))?,
    };
    let text = with_cluster(&flags.file, &text, &flags.name, SecretHash::of(token.as_bytes()))?;
    if let Some(path) = &flags.token_file {
        write_secret(path, &token)?;
    }
    let path = std::path::absolute(&flags.file)?;
    write_atomically(&LocalDisk, &path, text.as_bytes())
        .with_context(|| format!("cannot write {}", flags.file.display()))?;
    say(&joining(flags, &token))
}

/// `text` with one cluster more, checked to hold exactly that.
fn with_cluster(path: &Path, text: &str, name: &str, hash: SecretHash) -> Result<String> {
    let mut expected = parse(path, text)?;
    let cluster = ClusterConfig { token_sha256: vec![hash], ..ClusterConfig::default() };
    if expected.clusters.insert(name.to_owned(), cluster).is_some() {
        bail!(
            "{} has a cluster {name} already: choose another name, or remove it there first",
            path.display()
        );
    }
    let edited = edit::insert(text, name, &String::from(hash));
    match parse(path, &edited) {
        Ok(parsed) if parsed == expected => Ok(edited),
        _ => bail!(
            "{} is written in a way that cannot be added to: write `clusters:` on a line of its own, with one \
             indented line per cluster below it",
            path.display()
        ),
    }
}

fn write_secret(path: &Path, token: &str) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let wrong = || format!("cannot make the token file {}", path.display());
    let mut file = options.open(path).with_context(wrong)?;
    file.write_all(token.as_bytes()).and_then(|()| file.sync_all()).with_context(wrong)
}

/// What to do next, with the one command that joins.
fn joining(flags: &Add, token: &str) -> String {
    let Add { name, file, .. } = flags;
    let default = || format!("http://{}:9090", crate::server::hostname());
    let url = flags.hub_url.clone().unwrap_or_else(default);
    let file = file.display();
    let join = |token_file: &str| format!("nave agent --hub.url={url} --hub.token-file={token_file}");
    let (command, secret) = match &flags.token_file {
        Some(path) => (
            join(&path.display().to_string()),
            format!("The token is in {}; {file} holds only its hash.", path.display()),
        ),
        None => (
            format!("(umask 077; printf %s {token} > {name}.token) && {}", join(&format!("{name}.token"))),
            format!("The token is shown this once; {file} holds only its hash."),
        ),
    };
    format!(
        "Cluster {name} is in {file}. A hub that runs with --clusters.file={file} knows it at once.\n\
         This joins a host of that cluster:\n\n  {command}\n\n{secret}"
    )
}

fn list(path: &Path) -> Result<()> {
    let config = parse(path, &read(path)?)?;
    say(&format!(
        "{:<24} {:>6} {:>5} {:>5}  {:<28} LIMITS",
        "CLUSTER", "TOKENS", "USERS", "CERTS", "LABELS"
    ))?;
    for (name, cluster) in &config.clusters {
        let labels: Vec<_> = cluster.labels.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let limits: Vec<_> = cluster.limits.named().map(|(name, limit)| format!("{name}={limit}")).collect();
        let (tokens, users) = (cluster.token_sha256.len(), cluster.basic_auth.len());
        let certificates = cluster.client_certificate.len();
        let (labels, limits) = (labels.join(","), limits.join(","));
        let line = format!("{name:<24} {tokens:>6} {users:>5} {certificates:>5}  {labels:<28} {limits}");
        say(line.trim_end())?;
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_added_to_any_layout_or_refused() {
        let path = Path::new("clusters.yml");
        let hash = SecretHash::of(b"abc");
        let kept = "# ours\nclusters: # all\n    old:\n        labels: {a: b}\n# end\n";
        for text in ["", "# only a remark", "clusters:\n", "clusters: {}\n", kept] {
            let edited = with_cluster(path, text, "new", hash).unwrap();
            let parsed = parse(path, &edited).unwrap();
            assert!(parsed.clusters["new"].token_sha256[0].matches(&hash), "{edited}");
            let twice = with_cluster(path, &edited, "newer", SecretHash::of(b"x")).unwrap();
            assert!(parse(path, &twice).unwrap().clusters.contains_key("new"), "{twice}");
            assert!(with_cluster(path, &edited, "new", hash).is_err(), "it is there already");
        }
        let edited = with_cluster(path, kept, "new", hash).unwrap();
        assert!(edited.starts_with("# ours\nclusters: # all\n") && edited.ends_with("# end\n"), "{edited}");
        assert!(with_cluster(path, "clusters: {a: {}}\n", "new", hash).is_err(), "a flow map of clusters");
        let error = with_cluster(path, "clusters:\n  a: {x: 1}\n", "new", hash).unwrap_err().to_string();
        assert!(error.contains("clusters.yml:2:"), "{error}");
    }

    #[test]
    fn the_token_is_printed_only_where_it_is_not_in_a_file() {
        let mut flags = Add {
            name: "spoke1".to_owned(),
            file: "c.yml".into(),
            hub_url: Some("https://hub".to_owned()),
            token_file: None,
        };
        let text = joining(&flags, "nave_x");
        assert!(text.contains(
            "nave_x > spoke1.token) && nave agent --hub.url=https://hub --hub.token-file=spoke1.token"
        ));
        flags.token_file = Some("t".into());
        let text = joining(&flags, "nave_x");
        assert!(
            text.contains("nave agent --hub.url=https://hub --hub.token-file=t") && !text.contains("nave_x")
        );
    }
}
