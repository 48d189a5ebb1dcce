//! Reading a body that a stranger sends: never more than the limit, and charged while it grows.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use nave_base::budget::Charge;
use nave_wire::remote_write::Encoding;
use nave_wire::{write_v1, zstd_body};

use super::answer::Refusal;

/// Decompressed bytes, and the numbers that are decoded from them.
const DECODED_FACTOR: usize = 2;

/// What decompressing and decoding `compressed` will need, by its own word, at most for `limit` bytes.
pub(super) fn decoded_bytes(compressed: &[u8], encoding: Encoding, limit: usize) -> usize {
    let claimed = match encoding {
        Encoding::Snappy => snap::raw::decompress_len(compressed).ok(),
        Encoding::Zstd => zstd_body::decompressed_len(compressed).and_then(|len| usize::try_from(len).ok()),
    };
    claimed.unwrap_or(0).min(limit).saturating_mul(DECODED_FACTOR)
}

/// The message, of at most `limit` bytes.
pub(super) fn decompress(compressed: &[u8], encoding: Encoding, limit: usize) -> Result<Bytes, Refusal> {
    Ok(match encoding {
        Encoding::Snappy => write_v1::decompress(compressed, limit)?,
        Encoding::Zstd => zstd_body::decompress(compressed, limit)?,
    })
}

/// The whole body.
pub(super) async fn read(
    body: Body,
    headers: &HeaderMap,
    limit: usize,
    charge: &mut Charge,
) -> Result<Bytes, Refusal> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(Refusal::TooLarge { what: "the compressed body", limit });
    }
    let mut stream = body.into_data_stream();
    let mut all = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|error| Refusal::Broken(format!("the body did not arrive whole: {error}")))?;
        if all.len() + chunk.len() > limit {
            return Err(Refusal::TooLarge { what: "the compressed body", limit });
        }
        charge.grow(chunk.len())?;
        all.extend_from_slice(&chunk);
    }
    if all.is_empty() {
        return Err(Refusal::Broken("the body is empty, expected a snappy-compressed request".to_owned()));
    }
    Ok(all.freeze())
}
