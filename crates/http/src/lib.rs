//! Both ends of every HTTP wire: [`client`] by upstream's `http_config`, and [`server`] with listeners,
//! limits and request metrics.
//!
//! It knows nothing of metrics beyond its own; routes belong to the crates that answer them.

// The macro `with_http_settings!` names this crate by its public path, here too.
extern crate self as nave_http;

pub mod client;
pub mod server;

pub use axum;
