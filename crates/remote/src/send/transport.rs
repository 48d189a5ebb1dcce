//! One request and what its answer means.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use nave_base::clock::SharedClock;
use nave_http::client::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use nave_http::client::{Client, Request, Response, Url};
use nave_wire::remote_write::{
    EXEMPLARS_WRITTEN_HEADER, Encoding, HISTOGRAMS_WRITTEN_HEADER, LATE_ACCEPTED, LATE_HEADER, Message,
    SAMPLES_WRITTEN_HEADER, VERSION_HEADER, takes_zstd,
};

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
        /// What may be done about it.
        refusal: Refusal,
    },
}

/// What a refusal says about the samples of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing helps.
    Final,
    /// One sample may have cost the others (400 of a stock Prometheus), or they are too many (413): smaller
    /// requests may be taken.
    Divisible,
    /// Of floats, histograms and exemplars so many are stored; sending again would change nothing.
    Partial([usize; 3]),
    /// The endpoint does not know this message (415).
    Message,
}

/// Sends bodies to one endpoint. A trait so that the sender is tested without a network.
pub(super) trait Transport: Send + Sync {
    /// Posts a body; `attempt` is 0 the first time.
    fn post(&self, body: Body, attempt: u32) -> BoxFuture<'_, Answer>;

    /// Whether the last answer said that samples are taken in any order.
    fn takes_late(&self) -> bool;

    /// Whether it said that it takes zstd.
    fn takes_zstd(&self) -> bool;
}

/// What is posted.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    pub(super) message: Message,
    pub(super) encoding: Encoding,
    /// Compressed.
    pub(super) bytes: Bytes,
}

/// The real thing.
#[derive(Debug)]
pub(super) struct HttpTransport {
    client: Client,
    name: String,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    clock: SharedClock,
    /// It was said that the endpoint does not confirm what it has written.
    unconfirmed: AtomicBool,
    /// What [`LATE_HEADER`] of the last answer said.
    late: AtomicBool,
    /// What `Accept-Encoding` of the last answer said.
    zstd: AtomicBool,
}

impl HttpTransport {
    pub(super) fn new(config: &RemoteWriteConfig, clock: SharedClock) -> Result<Self, Error> {
        let name = config.remote_name();
        let fail = |why: String| Error::Settings { name: name.clone(), why };
        let client = Client::new(&config.http(), &format!("remote_write {name:?}"))
            .map_err(|error| fail(error.to_string()))?;
        let url = Url::parse(&config.url).map_err(|error| fail(format!("url: {error}")))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let bad = || fail(format!("headers: {name:?} cannot be sent as an HTTP header"));
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            headers.insert(key, HeaderValue::from_str(value).map_err(|_| bad())?);
        }
        let timeout = config.remote_timeout.into();
        let [unconfirmed, late, zstd] = [false; 3].map(AtomicBool::new);
        Ok(Self { client, name, url, headers, timeout, clock, unconfirmed, late, zstd })
    }

    async fn send(&self, body: Body, attempt: u32) -> Answer {
        let Body { message, encoding, bytes } = body;
        let mut request = Request::post(self.url.clone(), bytes, self.timeout);
        request.headers.clone_from(&self.headers);
        request.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(message.content_type()));
        let version = HeaderName::try_from(VERSION_HEADER).expect("HttpTransport: a constant name is good");
        request.headers.insert(version, HeaderValue::from_static(message.version()));
        // The hub tells by it how far the clocks are apart.
        request.headers.insert(SENT_HEADER, HeaderValue::from(self.clock.now_ms()));
        if attempt > 0 {
            request.headers.insert("retry-attempt", HeaderValue::from(attempt));
        }
        match self.client.send(request).await {
            Ok(response) => self.judge(message, response).await,
            Err(error) => Answer::Later { cause: error.to_string(), wait: None, too_many: false },
        }
    }

    async fn judge(&self, message: Message, response: Response) -> Answer {
        let status = response.status();
        let written = written(response.headers());
        let late = response.headers().get(LATE_HEADER).is_some_and(|value| value == LATE_ACCEPTED);
        // A proxy that answers in the endpoint's place says nothing about the endpoint.
        if late || status.is_success() {
            self.late.store(late, Ordering::Relaxed);
            let codings = response.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
            self.zstd.store(takes_zstd(codings), Ordering::Relaxed);
        }
        if status.is_success() {
            if message == Message::V2 && written.is_none() && !self.unconfirmed.swap(true, Ordering::Relaxed)
            {
                let remote_name = &self.name;
                tracing::error!(
                    remote_name,
                    "remote_write: the endpoint answers {status} to remote write 2.0 without saying what it has \
                     written; a receiver of 1.0 that ignores Content-Type stores nothing: check that the samples \
                     arrive, or set protobuf_message: prometheus.WriteRequest"
                );
            }
            return Answer::Delivered;
        }
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry_after::parse(text, self.clock.now_ms()));
        let text = response.text_prefix(EXCERPT_BYTES).await;
        let cause = format!("server returned HTTP status {status}: {}", text.trim());
        let refusal = match status.as_u16() {
            429 => return Answer::Later { cause, wait, too_many: true },
            400 => written.map_or(Refusal::Divisible, Refusal::Partial),
            413 => Refusal::Divisible,
            415 => Refusal::Message,
            401..=499 => Refusal::Final,
            _ => return Answer::Later { cause, wait, too_many: false },
        };
        Answer::Refused { cause, refusal }
    }
}

/// What the endpoint says that it has written, when it says so: missing kinds count as none.
fn written(headers: &HeaderMap) -> Option<[usize; 3]> {
    let names = [SAMPLES_WRITTEN_HEADER, HISTOGRAMS_WRITTEN_HEADER, EXEMPLARS_WRITTEN_HEADER];
    let counts = names.map(|name| headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok()));
    let any = counts.iter().any(Option::is_some);
    any.then(|| counts.map(Option::unwrap_or_default))
}

impl Transport for HttpTransport {
    fn post(&self, body: Body, attempt: u32) -> BoxFuture<'_, Answer> {
        Box::pin(self.send(body, attempt))
    }

    fn takes_zstd(&self) -> bool {
        self.zstd.load(Ordering::Relaxed)
    }

    fn takes_late(&self) -> bool {
        self.late.load(Ordering::Relaxed)
    }
}
