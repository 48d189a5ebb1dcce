//! An answer whose body is read piece by piece, never without a limit.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::Error;

/// The head of an answer; the body is still on the wire.
#[derive(Debug)]
pub struct Response {
    inner: reqwest::Response,
    timeout: Duration,
}

impl Response {
    pub(super) fn new(inner: reqwest::Response, timeout: Duration) -> Self {
        Self { inner, timeout }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// One header as text; `None` when missing or not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// The next piece of the body as the peer sent it (maybe compressed); `None` at its end.
    ///
    /// # Errors
    /// When the deadline of the request passes or the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self.inner.chunk().await {
            Ok(chunk) => Ok(chunk),
            Err(error) => Err(Error::of_request(&error, self.inner.url(), self.timeout)),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Response::chunk`], and [`Error::TooLarge`] as soon as it is longer than `limit` bytes.
    pub async fn bytes(mut self, limit: u64) -> Result<Bytes, Error> {
        if self.inner.content_length().is_some_and(|length| length > limit) {
            return Err(Error::TooLarge { limit });
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(Error::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// At most `limit` bytes from the front of the body as text, for error messages. Never fails: what
    /// cannot be read is left out.
    pub async fn text_prefix(mut self, limit: usize) -> String {
        let mut body = Vec::new();
        while body.len() < limit {
            match self.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        body.truncate(limit);
        String::from_utf8_lossy(&body).into_owned()
    }
}
