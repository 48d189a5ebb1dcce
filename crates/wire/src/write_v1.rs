//! Remote write 1.0 bodies: a snappy block around `prometheus.WriteRequest`.
//!
//! Decoding walks the protobuf once and copies nothing but numbers: a series' labels stay where they
//! stand in the body, as a range that the appender looks up by hash and decodes only when unknown.
//!
//! - Broken snappy or protobuf is an error of the request. A bad label set is an error of its series and
//!   is found by [`LABEL_FORMAT`] when the appender decodes it.
//! - What is allocated is bounded: a claimed length is checked first, and the decoded form may not exceed a
//!   fixed multiple of the body ([`Error::TooLarge`]).
//! - Unknown fields are skipped, fields may come in any order, and of a repeated scalar the last one
//!   counts, as protobuf wants it.

mod decode;
pub(crate) mod encode;
pub(crate) mod field;
pub(crate) mod histogram;
mod labels;

use bytes::Bytes;

pub use decode::decode;
pub(crate) use decode::{Allowance, HEAP_BYTES, index, kind_of, text};
pub(crate) use encode::kind_number;
pub use encode::{Encoder, Series};
pub use labels::LABEL_FORMAT;
pub(crate) use labels::pair;

/// Snappy cannot expand more than this: its densest element makes 64 bytes of 3.
const SNAPPY_MAX_RATIO: usize = 22;

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It would need more memory than it may: answer 413.
    #[error("request is too large: {what} of {size} bytes, the limit is {limit}")]
    TooLarge {
        /// What would be that large.
        what: &'static str,
        /// How large.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// Not a snappy block: answer 400.
    #[error("snappy decompression failed: {0}; the body must be one snappy block")]
    Snappy(String),
    /// Not a zstd frame: answer 400.
    #[error("zstd decompression failed: {0}; the body must be one zstd frame")]
    Zstd(String),
    /// Not the message that it should be: answer 400.
    #[error("protobuf decoding failed at byte {offset} of the decompressed body: expected {expected}")]
    Protobuf {
        /// Where in the decompressed body.
        offset: usize,
        /// What should have stood there.
        expected: &'static str,
    },
}

/// Decompresses `body` to at most `limit` bytes.
///
/// # Errors
/// [`Error::TooLarge`] when the body says that it is longer, before anything is allocated;
/// [`Error::Snappy`] when it is empty, damaged, or claims a length that snappy cannot reach.
pub fn decompress(body: &[u8], limit: usize) -> Result<Bytes, Error> {
    if body.is_empty() {
        return Err(Error::Snappy("the body is empty".to_owned()));
    }
    let size = snap::raw::decompress_len(body).map_err(|error| Error::Snappy(error.to_string()))?;
    if size > limit {
        let what = "the decompressed body";
        return Err(Error::TooLarge { what, size: size as u64, limit: limit as u64 });
    }
    if size > body.len().saturating_mul(SNAPPY_MAX_RATIO) {
        let length = body.len();
        return Err(Error::Snappy(format!("{length} bytes cannot decompress to the declared {size}")));
    }
    let plain = snap::raw::Decoder::new().decompress_vec(body);
    plain.map(Bytes::from).map_err(|error| Error::Snappy(error.to_string()))
}

#[cfg(test)]
mod tests;
