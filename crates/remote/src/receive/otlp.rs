//! `POST /api/v1/otlp/v1/metrics`: OTLP metrics over HTTP, in protobuf, plain or gzip.
//!
//! Credentials, limits, budget and what is answered are those of remote write, with two differences that the protocol
//! wants: success is 200, and what could not be translated is told in the answer's `partial_success` and is no error,
//! because sending it again would not help. Samples that the store refuses are a 400, as for remote write.

use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::Response;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use nave_base::budget::Charge;
use nave_model::append::Principal;
use nave_wire::otlp;
use parking_lot::RwLock;

use super::answer::Refusal;
use super::share::Turn;
use super::{Load, Message, Receiver};

/// Where OTLP senders push.
pub(super) const PATH: &str = "/api/v1/otlp/v1/metrics";
/// A body is decompressed in steps of this size, each charged before it is taken.
const STEP_BYTES: usize = 64 << 10;
/// What a batch takes beside its labels, as a multiple of the body.
const DECODED_FACTOR: usize = 2;

/// How OTLP metrics become series; can be changed while requests come in.
#[derive(Debug, Default)]
pub struct Otlp(RwLock<Arc<otlp::Settings>>);

impl Otlp {
    /// From now on requests are translated by `settings`.
    pub fn set(&self, settings: otlp::Settings) {
        *self.0.write() = Arc::new(settings);
    }

    fn settings(&self) -> Arc<otlp::Settings> {
        self.0.read().clone()
    }
}

pub(super) async fn handle(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    match receiver.receive_otlp(request).await {
        Ok(refused) => answer(&refused),
        Err(refusal) => {
            receiver.metrics.log(&refusal);
            refusal.into_response()
        }
    }
}

/// 200, with the message where something was left out.
fn answer(refused: &otlp::Refused) -> Response {
    let mut response = Response::new(Body::from(otlp::response(refused)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(otlp::CONTENT_TYPE));
    response
}

impl Receiver {
    async fn receive_otlp(&self, request: Request) -> Result<otlp::Refused, Refusal> {
        let Some(otlp) = &self.options.otlp else { return Err(Refusal::OtlpDisabled) };
        if request.method() != Method::POST {
            return Err(Refusal::Method(request.method().clone()));
        }
        let gzip = check(request.headers())?;
        let (parts, body) = request.into_parts();
        let principal = self.principals.resolve(&parts)?;
        let turn = self.enter(&principal)?;
        let taken = self.take_otlp(&parts, body, gzip, &otlp.settings(), principal, &turn).await;
        taken.inspect_err(|refusal| turn.refused(refusal))
    }

    async fn take_otlp(
        &self,
        parts: &Parts,
        body: Body,
        gzip: bool,
        settings: &otlp::Settings,
        principal: Arc<Principal>,
        turn: &Turn<'_>,
    ) -> Result<otlp::Refused, Refusal> {
        let mut charge = turn.budget.charge(0)?;
        let body = self.read(parts, body, &mut charge).await?;
        let (bytes, limit) = (body.len(), self.options.decompressed_bytes_max);
        let body = if gzip { decompress(&body, limit, &mut charge)? } else { body };
        charge.grow(body.len().saturating_mul(DECODED_FACTOR))?;
        let otlp::Translated { batch, refused } = otlp::decode(&body, settings, principal, limit)?;
        charge.grow(batch.bytes.len())?;
        if refused.points > 0 {
            tracing::debug!(points = refused.points, reasons = ?refused.reasons, "otlp: points were left out");
        }
        let load = Load::of(&batch, bytes);
        self.append(batch, &load, Message::V2).await?;
        Ok(refused)
    }
}

/// Whether the body is compressed.
fn check(headers: &HeaderMap) -> Result<bool, Refusal> {
    let text = |name| {
        let value: Option<&HeaderValue> = headers.get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned()).unwrap_or_default()
    };
    let content_type = text(CONTENT_TYPE);
    let media = content_type.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case(otlp::CONTENT_TYPE) {
        return Err(Refusal::Unsupported(format!(
            "unsupported content type {content_type:?}: expected {} (OTLP in JSON is not taken)",
            otlp::CONTENT_TYPE
        )));
    }
    match text(CONTENT_ENCODING).to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" => Ok(true),
        other => {
            Err(Refusal::Unsupported(format!("unsupported compression {other:?}: expected gzip or none")))
        }
    }
}

fn decompress(body: &[u8], limit: usize, charge: &mut Charge) -> Result<Bytes, Refusal> {
    let mut decoder = MultiGzDecoder::new(body);
    let mut plain = Vec::new();
    loop {
        charge.grow(STEP_BYTES)?;
        let start = plain.len();
        let step = (&mut decoder).take(STEP_BYTES as u64).read_to_end(&mut plain);
        step.map_err(|error| Refusal::Broken(format!("gzip: {error}")))?;
        if plain.len() > limit {
            return Err(Refusal::TooLarge { what: "the decompressed body", limit });
        }
        if plain.len() == start {
            return Ok(plain.into());
        }
    }
}
