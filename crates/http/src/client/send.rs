//! Sending: a pool of connections and the headers that the settings add.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::oauth2::TokenSource;
use super::{Authorization, Error, Proxy, Response, Settings, TlsSettings};

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 10;
/// Connections that nobody used for this long are closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// What requests say they come from, unless their headers say otherwise.
const USER_AGENT: &str = concat!("nave/", env!("CARGO_PKG_VERSION"));

/// A request; the client adds what its settings say.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers; `http_headers` of the settings come on top.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// For everything from connecting to the last byte of the answer.
    pub timeout: Duration,
}

impl Request {
    /// A GET without headers.
    #[must_use]
    pub fn get(url: Url, timeout: Duration) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new(), timeout }
    }

    /// A POST of `body`.
    #[must_use]
    pub fn post(url: Url, body: Bytes, timeout: Duration) -> Self {
        Self { method: Method::POST, url, headers: HeaderMap::new(), body, timeout }
    }
}

/// Sends requests by one set of [`Settings`], over connections of its own. Clones share them.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    name: String,
    settings: Settings,
    authorization: Option<Authorization>,
    tokens: Option<TokenSource>,
    transport: Transport,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.0.name)
    }
}

impl Client {
    /// A client; `name` says in errors whose it is, such as `job "node"`.
    ///
    /// # Errors
    /// When the settings contradict each other or a TLS file is missing or broken.
    pub fn new(settings: &Settings, name: &str) -> Result<Self, Error> {
        settings.validate().map_err(|text| Error::Settings(format!("{name}: {text}")))?;
        let transport = Transport::new(
            settings.tls_config.clone().unwrap_or_default(),
            settings.proxy(),
            settings.follow_redirects.unwrap_or(true),
            settings.enable_http2.unwrap_or(true),
        )?;
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            settings: settings.clone(),
            authorization: settings.authorization(),
            tokens: settings.oauth2.as_ref().map(TokenSource::new).transpose()?,
            transport,
        })))
    }

    /// Sends `request` and waits for the head of the answer, whatever its status.
    ///
    /// # Errors
    /// When no answer came, or credentials could not be read.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let Request { method, url, mut headers, body, timeout } = request;
        self.add_headers(&mut headers).await?;
        let mut builder =
            self.0.transport.client()?.request(method, url.clone()).headers(headers).timeout(timeout);
        if let Some(basic) = &self.0.settings.basic_auth {
            let (name, password) = basic.read().await?;
            builder = builder.basic_auth(name, Some(password));
        }
        if !body.is_empty() {
            builder = builder.body(body);
        }
        match builder.send().await {
            Ok(response) => Ok(Response::new(response, timeout)),
            Err(error) => Err(Error::of_request(&error, &url, timeout)),
        }
    }

    async fn add_headers(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        let credentials = match (&self.0.tokens, &self.0.authorization) {
            (Some(tokens), _) => Some(tokens.header().await?),
            (None, Some(authorization)) => authorization.read().await?,
            (None, None) => None,
        };
        if let Some(credentials) = credentials {
            let mut value = header_value("authorization", &credentials)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        for (name, values) in &self.0.settings.http_headers {
            let key = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Error::Settings(format!("http_headers: {name:?} is not a header name")))?;
            for value in values.read().await? {
                headers.append(&key, header_value(name, &value)?);
            }
        }
        Ok(())
    }
}

/// The text of the value stays out of the error: it may be a secret.
fn header_value(name: &str, value: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(value)
        .map_err(|_| Error::Settings(format!("the value of header {name} has a character that HTTP forbids")))
}

/// Connections by TLS and proxy settings; made anew when a TLS file was changed.
pub(super) struct Transport {
    tls: TlsSettings,
    proxy: Proxy,
    follow_redirects: bool,
    http2: bool,
    current: ArcSwap<Connected>,
}

struct Connected {
    file_times: [Option<SystemTime>; 3],
    client: reqwest::Client,
}

impl Transport {
    pub(super) fn new(
        tls: TlsSettings,
        proxy: Proxy,
        follow_redirects: bool,
        http2: bool,
    ) -> Result<Self, Error> {
        let file_times = tls.file_times();
        let client = connect(&tls, &proxy, follow_redirects, http2)?;
        let current = ArcSwap::from_pointee(Connected { file_times, client });
        Ok(Self { tls, proxy, follow_redirects, http2, current })
    }

    pub(super) fn client(&self) -> Result<reqwest::Client, Error> {
        let current = self.current.load();
        let file_times = self.tls.file_times();
        if current.file_times == file_times {
            return Ok(current.client.clone());
        }
        let client = connect(&self.tls, &self.proxy, self.follow_redirects, self.http2)?;
        self.current.store(Arc::new(Connected { file_times, client: client.clone() }));
        Ok(client)
    }
}

fn connect(
    tls: &TlsSettings,
    proxy: &Proxy,
    follow_redirects: bool,
    http2: bool,
) -> Result<reqwest::Client, Error> {
    let redirects = match follow_redirects {
        true => reqwest::redirect::Policy::limited(REDIRECTS_MAX),
        false => reqwest::redirect::Policy::none(),
    };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.connection(http2)?)
        .redirect(redirects)
        .referer(false)
        .user_agent(USER_AGENT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true);
    if !http2 {
        builder = builder.http1_only();
    }
    proxy.apply(builder)?.build().map_err(|error| Error::Settings(error.to_string()))
}
