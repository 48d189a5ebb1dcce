//! An agent that is given a hub instead of a configuration file: `nave agent --hub.url ...`.
//!
//! It scrapes its host through the built-in node exporter and itself, and pushes to the hub with the token
//! of its cluster. With a configuration file the hub is one endpoint more.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nave_remote::RemoteWriteConfig;
use url::Url;

use crate::config::Config;
use crate::flag::{Mode, Server as Flags};

/// The endpoint's name in metrics and positions.
const NAME: &str = "hub";

/// Whether the configuration is made from flags alone.
pub(super) fn is_alone(flags: &Flags) -> bool {
    flags.hub_url.is_some() && !flags.was_given("--config.file")
}

/// The configuration of an agent without a file.
pub(super) fn config(flags: &Flags) -> Result<Config> {
    let listen = flags.listen.first().map_or("0.0.0.0:9090", String::as_str);
    let (host, port) = listen.rsplit_once(':').context("--web.listen-address: expected host:port")?;
    let host = if matches!(host, "" | "0.0.0.0" | "[::]") { "localhost" } else { host };
    let target = quoted(&format!("{host}:{port}"));
    let instance = quoted(&format!("{}:{port}", super::hostname()));
    let endpoint = endpoint(flags.hub_url.as_deref().unwrap_or_default(), flags.hub_token_file.as_deref())?;
    Config::built_in(
        format!(
            "global: {{scrape_interval: 15s, scrape_timeout: 10s}}\n\
             scrape_configs:\n  - job_name: nave-agent\n    static_configs:\n      \
             - {{targets: [{target}], labels: {{instance: {instance}}}}}\n{endpoint}"
        ),
        Mode::Agent,
    )
}

/// Adds the hub's endpoint to a configuration that came from a file.
pub(super) fn add(flags: &Flags, config: &mut Config) -> Result<()> {
    let Some(url) = &flags.hub_url else { return Ok(()) };
    if config.remote_write.iter().any(|write| write.remote_name() == NAME) {
        bail!(
            "the configuration has a remote_write named {NAME:?}, and so has --hub.url: rename or remove one"
        );
    }
    config.remote_write.extend(endpoints(url, flags.hub_token_file.as_deref())?);
    Ok(())
}

/// The endpoint that a hub's URL and a token make.
pub(crate) fn endpoints(url: &str, token_file: Option<&Path>) -> Result<Vec<RemoteWriteConfig>> {
    Ok(Config::built_in(endpoint(url, token_file)?, Mode::Agent)?.remote_write)
}

/// The `remote_write` section of the hub.
fn endpoint(url: &str, token_file: Option<&Path>) -> Result<String> {
    let url = quoted(write_url(url)?.as_str());
    let mut section = format!(
        "remote_write:\n  - name: {NAME}\n    url: {url}\n    queue_config: {{retry_on_http_429: true}}\n    \
         protobuf_message: io.prometheus.write.v2.Request\n"
    );
    if let Some(path) = token_file {
        let path = std::path::absolute(path)?;
        std::fs::read(&path).with_context(|| format!("--hub.token-file: cannot read {}", path.display()))?;
        let path = quoted(&path.display().to_string());
        section.push_str(&format!("    authorization: {{credentials_file: {path}}}\n"));
    }
    Ok(section)
}

/// Where to write: the URL's own path, or the usual one where it has none.
fn write_url(text: &str) -> Result<Url> {
    let wrong = || format!("--hub.url: expected a URL such as https://hub:9090, came {text:?}");
    let mut url = Url::parse(text).with_context(wrong)?;
    ensure!(matches!(url.scheme(), "http" | "https") && url.host().is_some(), wrong());
    if !url.path().ends_with("/api/v1/write") {
        let path = format!("{}/api/v1/write", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

/// JSON strings are YAML strings.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::{Meant, parse};

    fn flags(line: &str) -> Flags {
        match parse(line.split_whitespace().map(ToOwned::to_owned)).unwrap() {
            Meant::Server(_, flags) => *flags,
            Meant::Command(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn where_to_write() {
        let check = |url: &str, expect: &str| assert_eq!(write_url(url).unwrap().as_str(), expect);
        check("http://hub:9090", "http://hub:9090/api/v1/write");
        check("https://hub/nave/", "https://hub/nave/api/v1/write");
        check("https://hub/api/v1/write", "https://hub/api/v1/write");
        for wrong in ["hub:9090", "", "ftp://hub"] {
            assert!(write_url(wrong).unwrap_err().to_string().contains("expected a URL"), "{wrong}");
        }
    }

    #[test]
    fn a_hub_and_a_token_are_a_whole_configuration() {
        let token = tempfile::NamedTempFile::new().unwrap();
        let path = token.path().display();
        let flags = flags(&format!("nave agent --hub.url=http://hub:9090 --hub.token-file={path}"));
        assert!(is_alone(&flags) && flags.exporter_node);
        let config = config(&flags).unwrap();
        assert_eq!(config.scrape_configs[0].job_name, "nave-agent");
        let shown = config.show();
        assert!(
            shown.contains("url: http://hub:9090/api/v1/write") && shown.contains("credentials_file"),
            "{shown}"
        );
        let mut twice = config.clone();
        assert!(add(&flags, &mut twice).unwrap_err().to_string().contains("rename or remove one"));
    }
}
