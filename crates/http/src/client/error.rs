//! Why a request failed, told apart by what a person would do about it.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a request has no answer, or why there is no client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The settings cannot be used; sending again does not help.
    #[error("invalid HTTP client settings: {0}")]
    Settings(String),
    /// A file with credentials or certificates could not be read.
    #[error("unable to read file {file}: {error}")]
    CredentialFile {
        /// Which.
        file: PathBuf,
        /// What the file system said.
        error: String,
    },
    /// The host name was not found.
    #[error("lookup {host}: {error}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        error: String,
    },
    /// Nothing listens there.
    #[error("dial {address}: connection refused")]
    Refused {
        /// Host and port.
        address: String,
    },
    /// No route, network down and the like.
    #[error("dial {address}: {error}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system said.
        error: String,
    },
    /// The deadline passed.
    #[error("context deadline exceeded (timeout of {0:?})")]
    Timeout(Duration),
    /// No common TLS parameters, or a certificate that is not trusted.
    #[error("tls: {0}")]
    Tls(String),
    /// The peer closed the connection in the middle.
    #[error("connection reset by peer: {0}")]
    Reset(String),
    /// The answer is larger than the caller allows.
    #[error("body size limit exceeded: more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The authorization server gave no token.
    #[error("oauth2: cannot fetch token: {0}")]
    Token(String),
    /// Anything else on the way: broken HTTP, too many redirects.
    #[error("{0}")]
    Protocol(String),
}

impl Error {
    /// Whether sending the same request again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Settings(_) | Self::TooLarge { .. })
    }

    pub(super) fn of_request(error: &reqwest::Error, url: &url::Url, timeout: Duration) -> Self {
        let host = url.host_str().unwrap_or_default();
        let address = || format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        if error.is_dns() {
            return Self::Dns { host: host.to_owned(), error: innermost(error) };
        }
        if let Some(tls) = find::<rustls::Error>(error) {
            return Self::Tls(tls_text(&tls, host));
        }
        // An operating system's time-out of the connection is not the caller's deadline.
        match find_io_kind(error) {
            Some((io::ErrorKind::ConnectionRefused, _)) => Self::Refused { address: address() },
            Some((
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof,
                text,
            )) => Self::Reset(text),
            _ if error.is_timeout() => Self::Timeout(timeout),
            Some((_, text)) if error.is_connect() => Self::Unreachable { address: address(), error: text },
            _ if closed_early(error) => Self::Reset(innermost(error)),
            _ => Self::Protocol(innermost(error)),
        }
    }
}

const UNKNOWN_AUTHORITY: &str = "failed to verify certificate: certificate signed by unknown authority";

fn tls_text(error: &rustls::Error, host: &str) -> String {
    use rustls::CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => UNKNOWN_AUTHORITY.to_owned(),
        error if super::tls::is_authority(error) => UNKNOWN_AUTHORITY.to_owned(),
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            format!("failed to verify certificate: certificate is not valid for {host}")
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "failed to verify certificate: certificate has expired".to_owned()
        }
        other => other.to_string(),
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| inner(*error))
}

fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    // An `io::Error` passes its inner error over when asked for its source.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn find<E: StdError + Clone + 'static>(error: &reqwest::Error) -> Option<E> {
    chain(error).find_map(|error| error.downcast_ref::<E>().cloned())
}

fn find_io_kind(error: &reqwest::Error) -> Option<(io::ErrorKind, String)> {
    chain(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .last()
        .map(|error| (error.kind(), error.to_string()))
}

fn closed_early(error: &reqwest::Error) -> bool {
    chain(error)
        .filter_map(|error| error.downcast_ref::<hyper::Error>())
        .any(|error| error.is_incomplete_message() || error.is_closed() || error.is_canceled())
}

fn innermost(error: &reqwest::Error) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}
