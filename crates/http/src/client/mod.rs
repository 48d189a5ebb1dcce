//! Requests as upstream's `http_config` describes them: credentials, TLS, proxies, headers.
//!
//! One [`Client`] has one connection pool and one set of [`Settings`]. Credential files are read at each
//! request and TLS files when they change, so rotating them needs no reload. Bodies are never
//! decompressed here and never read without a limit.

mod credential;
mod error;
mod oauth2;
mod proxy;
mod response;
mod secret;
mod send;
mod settings;
mod tls;

#[cfg(test)]
mod tests;

pub use credential::{Authorization, BasicAuth, HeaderValues};
pub use error::Error;
pub use oauth2::OAuth2;
pub use proxy::Proxy;
pub use response::Response;
pub use secret::Secret;
pub use send::{Client, Request};
pub use settings::Settings;
pub use tls::{TlsSettings, TlsVersion};

pub use reqwest::header;
pub use reqwest::{Method, StatusCode};
pub use url::Url;

/// What the macro [`crate::with_http_settings`] needs at the place of its use.
#[doc(hidden)]
pub mod macro_support {
    pub use super::settings::{or_default, shown_true, shown_url};
    pub use serde;
}
