//! Serving an axum router: listeners, limits, compression, CORS, request metrics, graceful stop.
//!
//! ```text
//! bind -> Listeners --serve--> accept (at most N connections) -> TLS, if any -> hyper (HTTP/1.1, HTTP/2)
//!                                 read timeout on head and body -> layers -> router
//! ```
//!
//! A request whose client went away is dropped with everything it awaits. A panic in a handler is a 500
//! for that request. [`Security`] is `web.config.file`: TLS, client certificates, basic authentication,
//! headers.

mod accept;
mod compress;
mod cors;
mod layer;
mod lenient;
mod listen;
mod metric;
mod security;

pub use accept::{ServeOptions, serve};
pub use cors::CorsOrigin;
pub use layer::{LayerOptions, layered};
pub use listen::{BindError, Listeners};
pub use metric::Metrics;
pub use security::{
    Cipher, ClientAuth, ClientNames, Curve, Headers, HttpServer, Parse, PasswordHash, RateLimit, Security,
    SecurityError, SecuritySettings, TlsServer, Version,
};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_security;
