//! Proxy settings, shared by `http_config` and `oauth2`.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Error, Secret};

/// Which proxy requests go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// The proxy; empty for none.
    pub url: String,
    /// Hosts and networks that are reached directly, separated by commas.
    pub no_proxy: String,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` decide.
    pub from_environment: bool,
    /// Headers sent to the proxy with `CONNECT`.
    pub connect_header: BTreeMap<String, Vec<Secret>>,
}

impl Proxy {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.from_environment && !self.url.is_empty() {
            return Err("if proxy_from_environment is configured, proxy_url must not be configured".into());
        }
        if self.from_environment && !self.no_proxy.is_empty() {
            return Err("if proxy_from_environment is configured, no_proxy must not be configured".into());
        }
        if !self.no_proxy.is_empty() && self.url.is_empty() {
            return Err("if no_proxy is configured, proxy_url must also be configured".into());
        }
        if !self.connect_header.is_empty() && self.url.is_empty() && !self.from_environment {
            return Err(
                "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also \
                 be configured"
                    .into(),
            );
        }
        if !self.url.is_empty() {
            // Without the text, which may hold a password.
            url::Url::parse(&self.url).map_err(|error| format!("proxy_url cannot be parsed: {error}"))?;
        }
        Ok(())
    }

    pub(super) fn apply(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Error> {
        if self.from_environment {
            return Ok(builder);
        }
        let builder = builder.no_proxy();
        if self.url.is_empty() {
            return Ok(builder);
        }
        let proxy = reqwest::Proxy::all(&self.url)
            .map_err(|error| Error::Settings(format!("proxy_url: {error}")))?
            .no_proxy(reqwest::NoProxy::from_string(&self.no_proxy))
            .headers(self.connect_headers()?);
        Ok(builder.proxy(proxy))
    }

    fn connect_headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        for (name, values) in &self.connect_header {
            let bad = || Error::Settings(format!("proxy_connect_header: {name:?} is not a valid header"));
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            for value in values {
                headers.append(&key, HeaderValue::from_str(value.expose()).map_err(|_| bad())?);
            }
        }
        Ok(headers)
    }
}
