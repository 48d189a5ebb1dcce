//! gzip for answers whose client asks for it.
//!
//! Only whole bodies are compressed; a stream goes out as it is.

use std::io::Write;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Smaller bodies do not get smaller.
const BYTES_MIN: u64 = 1024;
/// Larger bodies are compressed on a thread that may block.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Whether `accept-encoding` names gzip without ruling it out.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let refused = parameters
                .trim()
                .strip_prefix("q=")
                .is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q == 0.0));
            coding.trim().eq_ignore_ascii_case("gzip") && !refused
        })
}

/// Compresses the body where that is worth it.
pub(super) async fn gzip(response: Response<Body>) -> Response<Body> {
    let whole = response.body().size_hint().exact();
    if whole.is_none_or(|size| size < BYTES_MIN) || response.headers().contains_key(header::CONTENT_ENCODING)
    {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let limit = whole.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    let Ok(plain) = axum::body::to_bytes(body, limit).await else {
        // A whole body of ours cannot fail; if it did, an empty answer must not look like a full one.
        head.status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        return Response::from_parts(head, Body::empty());
    };
    let packed = if plain.len() <= INLINE_BYTES_MAX {
        pack(&plain)
    } else {
        let copy = plain.clone();
        tokio::task::spawn_blocking(move || pack(&copy)).await.unwrap_or(None)
    };
    head.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let Some(packed) = packed else { return Response::from_parts(head, Body::from(plain)) };
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(packed))
}

fn pack(plain: &Bytes) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}
