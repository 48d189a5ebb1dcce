//! The receiving end: `POST /api/v1/write`, and the paths under which others call it.
//!
//! A request is decompressed and decoded within limits, appended as one batch and answered:
//!
//! | what happened                                          | answer                                     |
//! | ------------------------------------------------------ | ------------------------------------------ |
//! | everything stored, or known already                     | 204; 2.0 is told the numbers in headers    |
//! | some samples refused, the others are stored              | 400 that names the first refused ones      |
//! | empty or broken body                                    | 400                                        |
//! | receiver off                                            | 404 that says how to switch it on          |
//! | not POST                                                | 405                                        |
//! | larger than a limit                                     | 413                                        |
//! | other media type, encoding or message                    | 415                                        |
//! | too much at once, no room, shutting down                 | 503, where it helps with `Retry-After`     |
//!
//! OTLP metrics come in beside, at `/api/v1/otlp/v1/metrics`, and take the same way to the store.
//!
//! This is the only place of the crate that knows HTTP status. Late samples are taken, which every answer
//! says by `X-Nave-Late: accepted`.

mod answer;
mod body;
mod header;
mod histogram;
mod metric;
mod otlp;
mod principal;
mod share;

#[cfg(test)]
mod checklist_tests;
#[cfg(test)]
mod otlp_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use nave_base::budget::{Budget, Charge};
use nave_base::clock::SharedClock;
use nave_base::metric::Registry;
use nave_model::append::{Append, Batch, Item, Principal, Reason};
pub use nave_wire::otlp::{Promote, Settings as OtlpSettings, Strategy as TranslationStrategy};
use nave_wire::remote_write::Encoding;
pub use nave_wire::remote_write::Message;
use nave_wire::{write_v1, write_v2};
use tokio::sync::Semaphore;

use self::answer::{Refusal, Written};
use self::metric::ReceiverMetrics;
pub use self::otlp::Otlp;
pub use self::principal::{Anonymous, Load, Refused, ResolvePrincipal};
use self::share::{Shares, Turn};
use crate::Metrics;
pub use crate::metric::RECEIVER;

/// Where senders push: Prometheus', Mimir's and Thanos' paths.
pub const PATHS: [&str; 3] = ["/api/v1/write", "/api/v1/push", "/api/v1/receive"];

/// The part of the receiver that one cluster may take where nobody says otherwise.
pub const CLUSTER_SHARE: f64 = 0.25;

/// Bounds of the receiver.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether writes are taken at all: `--web.enable-remote-write-receiver`.
    pub enabled: bool,
    /// Whether and how OTLP metrics are taken: `--web.enable-otlp-receiver`.
    pub otlp: Option<Arc<Otlp>>,
    /// Messages that are taken: `--web.remote-write-receiver.accepted-protobuf-messages`.
    pub accepted: Vec<Message>,
    /// Largest compressed body.
    pub body_bytes_max: usize,
    /// Largest decompressed body.
    pub decompressed_bytes_max: usize,
    /// Requests at once; more are told to come back.
    pub concurrent_requests_max: usize,
    /// Which part of the slots and of the budget one cluster may take: over 0 and up to 1.
    pub cluster_share: f64,
    /// How long a body may take to arrive.
    pub read_timeout: Duration,
    /// Charged for bodies in memory.
    pub budget: Budget,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            enabled: true,
            otlp: None,
            accepted: Message::ALL.to_vec(),
            body_bytes_max: 32 << 20,
            decompressed_bytes_max: 128 << 20,
            concurrent_requests_max: 256,
            cluster_share: CLUSTER_SHARE,
            read_timeout: Duration::from_secs(30),
            budget: Budget::unlimited(),
        }
    }
}

struct Receiver {
    options: Options,
    append: Arc<dyn Append>,
    principals: Arc<dyn ResolvePrincipal>,
    clock: SharedClock,
    metrics: ReceiverMetrics,
    slots: Arc<Semaphore>,
    shares: Shares,
}

/// The routes of [`PATHS`]. `metrics` are those that the senders of the process share.
pub fn router(
    options: Options,
    append: Arc<dyn Append>,
    principals: Arc<dyn ResolvePrincipal>,
    clock: SharedClock,
    metrics: &Metrics,
    registry: &Registry,
) -> Router {
    if options.enabled {
        tracing::info!(paths = ?PATHS, "remote_write: receiver takes writes");
    } else {
        tracing::info!("remote_write: receiver is off; --web.enable-remote-write-receiver switches it on");
    }
    let metrics = ReceiverMetrics::register(registry, metrics, clock.clone());
    let slots = Arc::new(Semaphore::new(options.concurrent_requests_max));
    let shares = Shares::new(&options, registry);
    let receiver = Arc::new(Receiver { options, append, principals, clock, metrics, slots, shares });
    let routes =
        PATHS.iter().fold(Router::new(), |router, path| router.route(path, axum::routing::any(handle)));
    routes.route(otlp::PATH, axum::routing::any(otlp::handle)).with_state(receiver)
}

async fn handle(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    match receiver.receive(request).await {
        Ok(written) => answer::stored(written),
        Err(refusal) => {
            receiver.metrics.log(&refusal);
            refusal.into_response()
        }
    }
}

impl Receiver {
    async fn receive(&self, request: Request) -> Result<Option<Written>, Refusal> {
        if !self.options.enabled {
            return Err(Refusal::Disabled);
        }
        if request.method() != Method::POST {
            return Err(Refusal::Method(request.method().clone()));
        }
        let (message, encoding) = header::check(request.headers(), &self.options.accepted)?;
        let (parts, body) = request.into_parts();
        let principal = self.principals.resolve(&parts)?;
        let turn = self.enter(&principal)?;
        let taken = self.take(&parts, body, (message, encoding), principal, &turn).await;
        taken.inspect_err(|refusal| turn.refused(refusal))
    }

    /// A place among the requests that are under way, if its cluster and the receiver have one.
    fn enter(&self, principal: &Principal) -> Result<Turn<'_>, Refusal> {
        let turn = self.shares.enter(principal)?;
        match self.slots.try_acquire() {
            Ok(slot) => Ok(turn.with(slot)),
            Err(_) => Err(Refusal::Busy { limit: self.options.concurrent_requests_max }),
        }
    }

    async fn take(
        &self,
        parts: &Parts,
        body: Body,
        (message, encoding): (Message, Encoding),
        principal: Arc<Principal>,
        turn: &Turn<'_>,
    ) -> Result<Option<Written>, Refusal> {
        let mut charge = turn.budget.charge(0)?;
        let compressed = self.read(parts, body, &mut charge).await?;
        let limit = self.options.decompressed_bytes_max;
        charge.grow(body::decoded_bytes(&compressed, encoding, limit))?;
        let decompressed = body::decompress(&compressed, encoding, limit)?;
        let bytes = compressed.len();
        drop(compressed);
        let batch = match message {
            Message::V1 => write_v1::decode(decompressed, principal)?,
            Message::V2 => {
                let request = write_v2::Request::open(decompressed, limit)?;
                charge.grow(request.label_bytes())?;
                request.decode(principal)?
            }
        };
        let load = Load::of(&batch, bytes);
        let written = self.append(batch, &load, message).await?;
        Ok((message == Message::V2).then_some(written))
    }

    /// The body as it comes, within its limits of size and time.
    async fn read(&self, parts: &Parts, body: Body, charge: &mut Charge) -> Result<Bytes, Refusal> {
        tokio::select! {
            read = body::read(body, &parts.headers, self.options.body_bytes_max, charge) => read,
            () = self.clock.sleep(self.options.read_timeout) => {
                Err(Refusal::Slow { timeout: self.options.read_timeout })
            }
        }
    }

    async fn append(&self, mut batch: Batch, load: &Load, message: Message) -> Result<Written, Refusal> {
        let invalid = histogram::take_invalid(&mut batch);
        // What is needed to name a refused series; the batch itself goes to the appender.
        let (bytes, format, principal) = (batch.bytes.clone(), batch.label_format, batch.principal.clone());
        let series: Vec<_> = batch.series.iter().map(|one| (one.labels.clone(), one.samples.len())).collect();
        self.principals.received(&principal, load);
        let mut appended = self.append.append(batch).await;
        if let Ok(outcome) = &mut appended {
            outcome.histograms.rejected += invalid.len();
            outcome.rejections.extend(invalid);
        }
        self.principals.answered(&principal, load, appended.as_ref().ok());
        let mut outcome = appended.map_err(|error| Refusal::append(error, &principal))?;
        self.metrics
            .count(message, &outcome, &principal, |at| series.get(at).map_or(0, |(_, samples)| *samples));
        // A store without exemplars takes the samples beside them; upstream answers 2xx then, too.
        outcome
            .rejections
            .retain(|one| !matches!((one.item, &one.reason), (Item::Exemplar(_), Reason::Unsupported(_))));
        let written = Written::of(&outcome);
        if outcome.rejections.is_empty() {
            return Ok(written);
        }
        let named = |at: usize| {
            let (range, _) = series.get(at)?;
            let raw = bytes.get(range.start as usize..range.end as usize)?;
            Some(
                (format.decode)(raw)
                    .map_or_else(|_| format!("series {at} of the request"), |labels| labels.to_string()),
            )
        };
        Err(Refusal::rejected(&outcome, &principal, written, named))
    }
}
