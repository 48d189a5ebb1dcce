//! Serving an axum router: listeners, limits, compression, CORS, request metrics, graceful stop.
//!
//! ```text
//! bind -> Listeners --serve--> accept (at most N connections) -> hyper (HTTP/1.1, HTTP/2 cleartext)
//!                                 read timeout on head and body -> layers -> router
//! ```
//!
//! A request whose client went away is dropped with everything it awaits. A panic in a handler is a 500
//! for that request. TLS and authentication by `web.config.file` are not here yet.

mod accept;
mod compress;
mod cors;
mod layer;
mod lenient;
mod listen;
mod metric;

pub use accept::{ServeOptions, serve};
pub use cors::CorsOrigin;
pub use layer::{LayerOptions, layered};
pub use listen::{BindError, Listeners};
pub use metric::Metrics;

#[cfg(test)]
mod tests;
