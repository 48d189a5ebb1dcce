//! `oauth2`: tokens by the client-credentials grant, kept until shortly before they expire.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};

use super::credential::{read_credential, resolve};
use super::macro_support::or_default;
use super::send::Transport;
use super::{Error, Proxy, Secret, TlsSettings};

/// A token is renewed this long before it expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);
/// How long the authorization server may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// `oauth2` of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OAuth2 {
    /// Only `client_credentials`, which is the default.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub grant_type: String,
    /// The client's name.
    #[serde(deserialize_with = "or_default")]
    pub client_id: String,
    /// The client's password.
    #[serde(skip_serializing_if = "Secret::is_empty", deserialize_with = "or_default")]
    pub client_secret: Secret,
    /// The same in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The authorization server.
    #[serde(serialize_with = "super::macro_support::shown_url", deserialize_with = "or_default")]
    pub token_url: String,
    /// More parameters of the request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the authorization server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsSettings>,
    /// Proxy towards the authorization server.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default",
        serialize_with = "super::macro_support::shown_url"
    )]
    pub proxy_url: String,
    /// What is reached without the proxy.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub no_proxy: String,
    /// Whether the environment names the proxy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_from_environment: bool,
    /// Headers for the proxy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

impl OAuth2 {
    pub(super) fn validate(&self) -> Result<(), String> {
        if !matches!(self.grant_type.as_str(), "" | "client_credentials") {
            return Err(format!(
                "oauth2 grant_type {:?} is not supported: expected \"client_credentials\"",
                self.grant_type
            ));
        }
        if self.client_id.is_empty() {
            return Err("oauth2 client_id must be configured".into());
        }
        if self.token_url.is_empty() {
            return Err("oauth2 token_url must be configured".into());
        }
        // Without the text, which may hold a password.
        url::Url::parse(&self.token_url)
            .map_err(|error| format!("oauth2 token_url cannot be parsed: {error}"))?;
        if !self.client_secret.is_empty() && self.client_secret_file.is_some() {
            return Err("at most one of oauth2 client_secret & client_secret_file must be configured".into());
        }
        if let Some(tls) = &self.tls_config {
            tls.validate()?;
        }
        self.proxy().validate()
    }

    pub(super) fn resolve_paths(&mut self, dir: &Path) {
        resolve(&mut self.client_secret_file, dir);
        if let Some(tls) = &mut self.tls_config {
            tls.resolve_paths(dir);
        }
    }

    fn proxy(&self) -> Proxy {
        Proxy {
            url: self.proxy_url.clone(),
            no_proxy: self.no_proxy.clone(),
            from_environment: self.proxy_from_environment,
            connect_header: self.proxy_connect_header.clone(),
        }
    }
}

struct Token {
    header: String,
    secret: String,
    expires: Option<Instant>,
}

impl Token {
    fn is_fresh(&self, secret: &str) -> bool {
        self.secret == secret && self.expires.is_none_or(|at| Instant::now() + EXPIRY_MARGIN < at)
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
}

/// Gets tokens and keeps the newest.
pub(super) struct TokenSource {
    settings: OAuth2,
    transport: Transport,
    token: tokio::sync::Mutex<Option<Token>>,
}

impl TokenSource {
    pub(super) fn new(settings: &OAuth2) -> Result<Self, Error> {
        let transport =
            Transport::new(settings.tls_config.clone().unwrap_or_default(), settings.proxy(), true, true)?;
        Ok(Self { settings: settings.clone(), transport, token: tokio::sync::Mutex::default() })
    }

    /// The value of the `Authorization` header.
    pub(super) async fn header(&self) -> Result<String, Error> {
        let secret = match &self.settings.client_secret_file {
            Some(file) => read_credential(file).await?,
            None => self.settings.client_secret.expose().to_owned(),
        };
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| token.is_fresh(&secret)) {
            return Ok(token.header.clone());
        }
        let token = self.fetch(secret).await?;
        let header = token.header.clone();
        *kept = Some(token);
        Ok(header)
    }

    async fn fetch(&self, secret: String) -> Result<Token, Error> {
        // Servers differ in where they look for the client's credentials; as upstream, the header is
        // tried first and the form after a refusal.
        let answer = match self.ask(&secret, true).await {
            Err(Error::Token(_)) => self.ask(&secret, false).await?,
            answer => answer?,
        };
        let Some(token) = answer.access_token.filter(|token| !token.is_empty()) else {
            return Err(Error::Token("the answer has no access_token".into()));
        };
        let scheme = match answer.token_type.as_deref() {
            None | Some("") => "Bearer",
            Some(scheme) if scheme.eq_ignore_ascii_case("bearer") => "Bearer",
            Some(scheme) => scheme,
        };
        let seconds = match answer.expires_in {
            Some(serde_json::Value::Number(number)) => number.as_u64(),
            Some(serde_json::Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        // Instant overflows for absurd lifetimes; those never expire.
        let expires = seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        Ok(Token { header: format!("{scheme} {token}"), secret, expires })
    }

    /// What is posted. A function of its own, as the serializer must not live across an await.
    fn form(&self, secret: &str, in_header: bool) -> String {
        let settings = &self.settings;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !settings.scopes.is_empty() {
            form.append_pair("scope", &settings.scopes.join(" "));
        }
        form.extend_pairs(&settings.endpoint_params);
        if !in_header {
            form.append_pair("client_id", &settings.client_id).append_pair("client_secret", secret);
        }
        form.finish()
    }

    async fn ask(&self, secret: &str, in_header: bool) -> Result<Answer, Error> {
        let settings = &self.settings;
        let url = url::Url::parse(&settings.token_url)
            .map_err(|error| Error::Settings(format!("oauth2 token_url: {error}")))?;
        let mut request = self
            .transport
            .client()?
            .post(url.clone())
            .timeout(TIMEOUT)
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .body(self.form(secret, in_header));
        if in_header {
            request = request.basic_auth(&settings.client_id, Some(secret));
        }
        let response = request.send().await.map_err(|error| Error::of_request(&error, &url, TIMEOUT))?;
        let status = response.status();
        let body = super::Response::new(response, TIMEOUT).bytes(ANSWER_BYTES_MAX).await?;
        if !status.is_success() {
            let text: String = String::from_utf8_lossy(&body).chars().take(256).collect();
            return Err(Error::Token(format!("server returned {status}: {text}")));
        }
        serde_json::from_slice(&body).map_err(|error| Error::Token(format!("unreadable answer: {error}")))
    }
}
