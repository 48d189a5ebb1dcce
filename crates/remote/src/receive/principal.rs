//! Who a request comes from.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::http::request::Parts;
use nave_model::append::Principal;

/// Finds the principal of a request by its credentials, headers or address.
pub trait ResolvePrincipal: Send + Sync {
    /// Decides on whose behalf samples are written.
    ///
    /// # Errors
    /// When the sender may not write; the answer has the given status.
    fn resolve(&self, request: &Parts) -> Result<Arc<Principal>, Refused>;
}

/// A sender that may not write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// 401, 403 or 429.
    pub status: StatusCode,
    /// What to tell the sender.
    pub why: String,
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
