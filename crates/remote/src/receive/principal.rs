//! Who a request comes from.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::http::request::Parts;
use nave_model::append::{Batch, Outcome, Principal};
use nave_model::time::Timestamp;

/// Finds the principal of a request by its credentials, headers or address.
pub trait ResolvePrincipal: Send + Sync {
    /// Decides on whose behalf samples are written.
    ///
    /// # Errors
    /// When the sender may not write; the answer has the given status.
    fn resolve(&self, request: &Parts) -> Result<Arc<Principal>, Refused>;

    /// Told of every write that was read and decoded, before it is appended.
    fn received(&self, _principal: &Principal, _load: &Load) {}

    /// Told what became of it; `None` when nothing of it is promised.
    fn answered(&self, _principal: &Principal, _load: &Load, _outcome: Option<&Outcome>) {}
}

/// What one write carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Bytes of the body as they came.
    pub bytes: usize,
    /// Samples and histograms.
    pub samples: usize,
    /// Time of the newest of them.
    pub newest: Option<Timestamp>,
}

impl Load {
    /// The load of `batch`, which came as `bytes` bytes.
    #[must_use]
    pub fn of(batch: &Batch, bytes: usize) -> Self {
        let floats = batch.timestamps.iter().copied();
        let newest = floats.chain(batch.histograms.iter().map(|one| one.timestamp)).max();
        Self { bytes, samples: batch.sample_count(), newest }
    }
}

/// A sender that may not write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// 401, 403 or 429.
    pub status: StatusCode,
    /// What to tell the sender.
    pub why: String,
    /// When to come back, for a limit that passes.
    pub retry_after: Option<Duration>,
    /// How to say who one is: the value of `WWW-Authenticate` of a 401.
    pub challenge: Option<&'static str>,
}

impl Refused {
    /// A refusal that no waiting cures.
    #[must_use]
    pub fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), retry_after: None, challenge: None }
    }
}

/// Everyone may write, as [`Principal::anonymous`] with the peer's address as sender.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

impl ResolvePrincipal for Anonymous {
    fn resolve(&self, request: &Parts) -> Result<Arc<Principal>, Refused> {
        let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
        let sender =
            peer.map_or_else(|| "unknown address".to_owned(), |ConnectInfo(peer)| peer.ip().to_string());
        Ok(Arc::new(Principal::anonymous(&sender)))
    }
}
