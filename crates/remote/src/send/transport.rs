//! One request of remote write 1.0 and what its answer means.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use nave_base::clock::SharedClock;
use nave_http::client::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use nave_http::client::{Client, Request, Response, Url};

use super::retry_after;
use crate::cluster::SENT_HEADER;
use crate::{Error, RemoteWriteConfig};

/// How much of an error's body is read and logged.
const EXCERPT_BYTES: usize = 512;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 2xx.
    Delivered,
    /// It may work later: no answer, 5xx, 429, redirects that lead nowhere.
    Later {
        /// For people: the status and what the endpoint said, or why there was no answer.
        cause: String,
        /// When the endpoint wants to be asked again.
        wait: Option<Duration>,
        /// Whether this was 429, which is retried only where the settings say so.
        too_many: bool,
    },
    /// It never will: any other 4xx.
    Refused {
        /// The status and what the endpoint said.
        cause: String,
    },
}

/// Sends bodies to one endpoint. A trait so that the sender is tested without a network.
pub(super) trait Transport: Send + Sync {
    /// Posts a compressed body; `attempt` is 0 the first time.
    fn post(&self, body: Bytes, attempt: u32) -> BoxFuture<'_, Answer>;
}

/// The real thing.
#[derive(Debug)]
pub(super) struct HttpTransport {
    client: Client,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    clock: SharedClock,
}

impl HttpTransport {
    pub(super) fn new(config: &RemoteWriteConfig, clock: SharedClock) -> Result<Self, Error> {
        let fail = |why: String| Error::Settings { name: config.remote_name(), why };
        let client = Client::new(&config.http(), &format!("remote_write {:?}", config.remote_name()))
            .map_err(|error| fail(error.to_string()))?;
        let url = Url::parse(&config.url).map_err(|error| fail(format!("url: {error}")))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let bad = || fail(format!("headers: {name:?} cannot be sent as an HTTP header"));
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            headers.insert(key, HeaderValue::from_str(value).map_err(|_| bad())?);
        }
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static("0.1.0"));
        Ok(Self { client, url, headers, timeout: config.remote_timeout.into(), clock })
    }

    async fn send(&self, body: Bytes, attempt: u32) -> Answer {
        let mut request = Request::post(self.url.clone(), body, self.timeout);
        request.headers.clone_from(&self.headers);
        // The hub tells by it how far the clocks are apart.
        request.headers.insert(SENT_HEADER, HeaderValue::from(self.clock.now_ms()));
        if attempt > 0 {
            request.headers.insert("retry-attempt", HeaderValue::from(attempt));
        }
        match self.client.send(request).await {
            Ok(response) => self.judge(response).await,
            Err(error) => Answer::Later { cause: error.to_string(), wait: None, too_many: false },
        }
    }

    async fn judge(&self, response: Response) -> Answer {
        let status = response.status();
        if status.is_success() {
            return Answer::Delivered;
        }
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry_after::parse(text, self.clock.now_ms()));
        let text = response.text_prefix(EXCERPT_BYTES).await;
        let cause = format!("server returned HTTP status {status}: {}", text.trim());
        match status.as_u16() {
            429 => Answer::Later { cause, wait, too_many: true },
            400..=499 => Answer::Refused { cause },
            _ => Answer::Later { cause, wait, too_many: false },
        }
    }
}

impl Transport for HttpTransport {
    fn post(&self, body: Bytes, attempt: u32) -> BoxFuture<'_, Answer> {
        Box::pin(self.send(body, attempt))
    }
}
