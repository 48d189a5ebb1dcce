//! Getting a page: the request, and the body decompressed under a limit while it comes.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use nave_http::client::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use nave_http::client::{Client, Request, Response};
use nave_wire::exposition::Format;

use crate::config::protocol::accept_header;
use crate::config::{Protocol, ScrapeConfig};
use crate::target::Target;

/// A page as it came.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) body: Bytes,
    pub(crate) format: PageFormat,
    /// Whether the transport vouches that nothing is missing at the end.
    pub(crate) whole: bool,
}

/// The language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageFormat {
    /// Text, line by line.
    Lines(Format),
    /// Delimited messages.
    Protobuf,
}

impl PageFormat {
    fn from_content_type(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("application/vnd.google.protobuf") {
            return Format::from_content_type(content_type).map(Self::Lines);
        }
        let known = parts.filter_map(|part| part.split_once('=')).all(|(name, value)| {
            match (name.trim(), value.trim().trim_matches('"')) {
                ("proto", message) => message == "io.prometheus.client.MetricFamily",
                ("encoding", encoding) => encoding == "delimited",
                _ => true,
            }
        });
        known.then_some(Self::Protobuf)
    }
}

/// Why there is no page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Longer than the limit.
    TooLarge,
    /// Anything else, in words for the user.
    Other(String),
}

/// Pages of this process: called instead of an HTTP request.
pub trait BuiltinSource: Send + Sync {
    /// The page in the text format. May block; it is called off the runtime's workers.
    fn page(&self) -> String;
}

/// Where the pages of a pool come from.
#[derive(Clone)]
pub(crate) enum Source {
    Http(Arc<Fetcher>),
    Builtin(Arc<dyn BuiltinSource>),
}

impl Source {
    /// The page of `target`, `hint` bytes long last time.
    pub(crate) async fn page(&self, target: &Target, hint: usize) -> Result<Page, Failure> {
        match self {
            Self::Http(fetcher) => fetcher.page(target, hint).await,
            Self::Builtin(source) => {
                let source = source.clone();
                let page = tokio::task::spawn_blocking(move || source.page()).await;
                let body =
                    page.map_err(|error| Failure::Other(format!("the built-in page failed: {error}")))?;
                Ok(Page { body: body.into(), format: PageFormat::Lines(Format::Text), whole: true })
            }
        }
    }
}

/// Requests by the settings of one job.
pub(crate) struct Fetcher {
    client: Client,
    headers: HeaderMap,
    fallback: Option<Protocol>,
    body_bytes_max: usize,
}

impl Fetcher {
    /// `bytes_max` bounds pages whose job sets no `body_size_limit`, and those whose limit is above it. With
    /// `zero_starts`, pages are asked for in protobuf first where nobody said otherwise, as upstream does.
    pub(crate) fn new(config: &ScrapeConfig, client: Client, bytes_max: usize, zero_starts: bool) -> Self {
        let limit = usize::try_from(config.body_size_limit.0).unwrap_or(usize::MAX);
        Self {
            client,
            headers: headers(config, zero_starts),
            fallback: config.fallback_protocol(),
            body_bytes_max: if limit == 0 { bytes_max } else { limit.min(bytes_max) },
        }
    }

    async fn page(&self, target: &Target, hint: usize) -> Result<Page, Failure> {
        let mut headers = self.headers.clone();
        if let Ok(seconds) = HeaderValue::from_str(&target.timeout.as_secs_f64().to_string()) {
            headers.insert(HeaderName::from_static("x-prometheus-scrape-timeout-seconds"), seconds);
        }
        let mut request = Request::get(target.url.clone(), target.timeout.into());
        request.headers = headers;
        let failed = |error: nave_http::client::Error| match error {
            nave_http::client::Error::TooLarge { .. } => Failure::TooLarge,
            error => Failure::Other(format!("Get {:?}: {error}", target.url.as_str())),
        };
        let mut response = self.client.send(request).await.map_err(failed)?;
        if response.status().as_u16() != 200 {
            return Err(Failure::Other(format!("server returned HTTP status {}", response.status())));
        }
        let format = self.format(&response).map_err(Failure::Other)?;
        let gzip =
            response.header("content-encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("gzip"));
        let chunked =
            response.header("transfer-encoding").is_some_and(|encoding| encoding.contains("chunked"));
        let whole = gzip || chunked || response.header("content-length").is_some();
        let mut body = Body::new(gzip, hint, self.body_bytes_max);
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.push(&chunk)?;
        }
        Ok(Page { body: body.finish()?, format, whole })
    }

    /// By the content type, else by the fallback; texts are upstream's.
    fn format(&self, response: &Response) -> Result<PageFormat, String> {
        let content_type = response.header("content-type").unwrap_or_default();
        if let Some(format) = PageFormat::from_content_type(content_type) {
            return Ok(format);
        }
        let fallback = self.fallback.map(Protocol::format);
        fallback.ok_or_else(|| match content_type {
            "" => "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol \
                   specified for target"
                .to_owned(),
            _ if !content_type.contains('/') => {
                format!("cannot parse Content-Type {content_type:?} and no fallback_scrape_protocol for target")
            }
            _ => format!(
                "received unsupported Content-Type {content_type:?} and no fallback_scrape_protocol specified for target"
            ),
        })
    }
}

fn headers(config: &ScrapeConfig, zero_starts: bool) -> HeaderMap {
    use crate::config::Escaping;
    let escaping = config.metric_name_escaping_scheme.unwrap_or(Escaping::AllowUtf8);
    let mut protocols = config.protocols();
    if zero_starts && protocols == Protocol::DEFAULT {
        protocols = Protocol::PROTOBUF_FIRST.to_vec();
    }
    let mut headers = HeaderMap::new();
    if let Ok(accept) = HeaderValue::from_str(&accept_header(&protocols, escaping)) {
        headers.insert(ACCEPT, accept);
    }
    let encoding = if config.enable_compression { "gzip" } else { "identity" };
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Nave/", env!("CARGO_PKG_VERSION"))));
    headers
}

/// A body that is decompressed as it comes and never grows beyond its limit.
enum Body {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

struct Bounded {
    bytes: Vec<u8>,
    max: usize,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > self.max {
            self.full = true;
            return Err(io::Error::other("body size limit exceeded"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Body {
    fn new(gzip: bool, hint: usize, max: usize) -> Self {
        let bounded = Bounded { bytes: Vec::with_capacity(hint.min(max)), max, full: false };
        if gzip { Self::Gzip(Box::new(MultiGzDecoder::new(bounded))) } else { Self::Plain(bounded) }
    }

    fn push(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let (written, full) = match self {
            Self::Plain(bounded) => (bounded.write_all(chunk), bounded.full),
            Self::Gzip(decoder) => {
                let written = decoder.write_all(chunk);
                (written, decoder.get_ref().full)
            }
        };
        written.map_err(|error| failure(&error, full))
    }

    fn finish(self) -> Result<Bytes, Failure> {
        match self {
            Self::Plain(bounded) => Ok(bounded.bytes.into()),
            Self::Gzip(mut decoder) => {
                let tried = decoder.try_finish();
                let full = decoder.get_ref().full;
                tried.map_err(|error| failure(&error, full))?;
                (*decoder)
                    .finish()
                    .map(|bounded| bounded.bytes.into())
                    .map_err(|error| failure(&error, false))
            }
        }
    }
}

fn failure(error: &io::Error, full: bool) -> Failure {
    if full { Failure::TooLarge } else { Failure::Other(format!("gzip: {error}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(chunks: &[&[u8]], gzip: bool, max: usize) -> Result<Bytes, Failure> {
        let mut body = Body::new(gzip, 0, max);
        chunks.iter().try_for_each(|chunk| body.push(chunk))?;
        body.finish()
    }

    #[test]
    fn bodies_stay_under_the_limit() {
        assert_eq!(read(&[b"ab", b"cd"], false, 4), Ok(Bytes::from_static(b"abcd")));
        assert_eq!(read(&[b"ab", b"cde"], false, 4), Err(Failure::TooLarge));
        let page = b"a 1\n".repeat(1_000);
        let packed = gzip(&page);
        let (head, tail) = packed.split_at(packed.len() / 2);
        assert_eq!(read(&[head, tail], true, 4_000).unwrap(), page);
        assert_eq!(read(&[head, tail], true, 3_999), Err(Failure::TooLarge));
        assert!(
            matches!(read(&[head], true, 4_000), Err(Failure::Other(text)) if text.starts_with("gzip: "))
        );
        assert!(matches!(read(&[b"nonsense"], true, 4_000), Err(Failure::Other(_))));
        let bomb = gzip(&vec![0; 64 << 20]);
        assert_eq!(read(&[&bomb], true, 1 << 20), Err(Failure::TooLarge));
    }
}
