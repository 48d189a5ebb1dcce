//! The files of the web UI, as they were built into the binary.
//!
//! File names below `assets/` carry a hash of their content, so they never change; everything else is asked
//! for again each time. The build leaves gzip and brotli forms beside each file that gets smaller.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// One built file.
#[derive(Debug)]
pub(super) struct File {
    /// Its path below the prefix, without a slash in front.
    pub(super) name: &'static str,
    /// A quoted hash of its content.
    pub(super) etag: &'static str,
    pub(super) plain: &'static [u8],
    pub(super) gzip: Option<&'static [u8]>,
    pub(super) brotli: Option<&'static [u8]>,
}

/// All of them; empty where the UI was not built.
pub(super) const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));

const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
pub(super) const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

impl File {
    /// The file in the smallest form that the client takes, or 304 when it has it.
    pub(super) fn answer(&self, headers: &HeaderMap) -> Response {
        let (coding, body) = self.form(headers);
        // Forms of one file are different to caches.
        let etag = match coding {
            Some(coding) => format!("{}-{coding}\"", self.etag.trim_end_matches('"')),
            None => self.etag.to_owned(),
        };
        let cache = if self.name.starts_with("assets/") { FOREVER } else { ASK_AGAIN };
        let mut response =
            if has(headers, &etag) { StatusCode::NOT_MODIFIED.into_response() } else { body.into_response() };
        let head = response.headers_mut();
        head.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        head.insert(header::CACHE_CONTROL, cache);
        head.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        head.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            head.insert(header::ETAG, etag);
        }
        if let Some(coding) = coding {
            head.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        response
    }

    fn form(&self, headers: &HeaderMap) -> (Option<&'static str>, &'static [u8]) {
        match (self.brotli, self.gzip) {
            (Some(brotli), _) if accepts(headers, "br") => (Some("br"), brotli),
            (_, Some(gzip)) if accepts(headers, "gzip") => (Some("gzip"), gzip),
            _ => (None, self.plain),
        }
    }

    fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next().unwrap_or_default() {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "json" => "application/json",
            _ => "text/plain; charset=utf-8",
        }
    }
}

/// Whether the client says that it has this version.
pub(super) fn has(headers: &HeaderMap, etag: &str) -> bool {
    let mut known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.any(|list| list.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag))
}

/// Whether `accept-encoding` names the coding without ruling it out.
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let all = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|item| {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.trim().strip_prefix("q=").map(|q| q.trim().parse::<f32>());
        name.trim().eq_ignore_ascii_case(coding) && !matches!(weight, Some(Ok(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: File = File {
        name: "assets/a-1.js",
        etag: "\"7\"",
        plain: b"plain",
        gzip: Some(b"gzip"),
        brotli: Some(b"br"),
    };

    async fn check(file: &File, asked: &[(&'static str, &'static str)]) -> (u16, String, HeaderMap) {
        let headers = asked
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        let response = file.answer(&headers.collect());
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap(), head.headers)
    }

    #[tokio::test]
    async fn the_smallest_form_that_the_client_takes() {
        for (accept, expect, etag) in [
            ("gzip, deflate, br, zstd", "br", "\"7-br\""),
            ("gzip;q=0.5, br;q=0", "gzip", "\"7-gzip\""),
            ("GZIP", "gzip", "\"7-gzip\""),
            ("deflate", "plain", "\"7\""),
            ("", "plain", "\"7\""),
        ] {
            let (status, body, headers) = check(&SCRIPT, &[("accept-encoding", accept)]).await;
            assert_eq!((status, body.as_str(), headers["etag"].to_str().unwrap()), (200, expect, etag));
        }
        let (_, _, headers) = check(&SCRIPT, &[]).await;
        assert!(headers.get("content-encoding").is_none());
        assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
        assert_eq!(headers["cache-control"], FOREVER);
    }

    #[tokio::test]
    async fn a_version_that_the_client_has_is_not_sent() {
        for (known, expect) in [("\"7\"", 304), ("\"8\", W/\"7\"", 304), ("\"7-br\"", 200), ("x", 200)] {
            let (status, body, _) = check(&SCRIPT, &[("if-none-match", known)]).await;
            assert_eq!(status, expect, "{known}");
            assert_eq!(body.is_empty(), status == 304);
        }
    }

    #[tokio::test]
    async fn what_has_no_hash_in_its_name_is_asked_for_again() {
        let icon = File { name: "favicon.svg", gzip: None, brotli: None, ..SCRIPT };
        let (_, body, headers) = check(&icon, &[("accept-encoding", "br")]).await;
        assert_eq!(body, "plain");
        assert_eq!(headers["cache-control"], ASK_AGAIN);
        assert_eq!(headers["content-type"], "image/svg+xml");
    }
}
