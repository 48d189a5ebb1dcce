//! Bodies between two Naves: the message as one zstd frame, which tells its length.
//!
//! A frame without its length is refused, so that a receiver knows what it needs before it allocates.

use bytes::Bytes;

use crate::write_v1::Error;

/// Fast, and most of the gain: the higher levels are slower than the rest of sending together.
const LEVEL: i32 = 3;

/// Compresses bodies; keeps its tables, which cost more than a small body.
pub(crate) struct Compressor(zstd::bulk::Compressor<'static>);

impl Compressor {
    /// `None` when there is no memory for the tables.
    pub(crate) fn new() -> Option<Self> {
        zstd::bulk::Compressor::new(LEVEL).ok().map(Self)
    }

    /// `None` when there is no memory.
    pub(crate) fn compress(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.compress(plain).ok()
    }
}

/// How many bytes `body` says that it decompresses to; `None` when it is no frame or does not say.
#[must_use]
pub fn decompressed_len(body: &[u8]) -> Option<u64> {
    zstd::zstd_safe::get_frame_content_size(body).ok().flatten()
}

/// Decompresses `body` to at most `limit` bytes.
///
/// # Errors
/// [`Error::TooLarge`] when the body says that it is longer, before anything is allocated;
/// [`Error::Zstd`] when it is damaged, does not tell its length, or tells another than it has.
pub fn decompress(body: &[u8], limit: usize) -> Result<Bytes, Error> {
    let missing = || Error::Zstd("no frame that tells its length".to_owned());
    let size = decompressed_len(body).ok_or_else(missing)?;
    let (what, limit_bytes) = ("the decompressed body", limit as u64);
    let length = usize::try_from(size).ok().filter(|size| *size <= limit);
    let length = length.ok_or(Error::TooLarge { what, size, limit: limit_bytes })?;
    let plain = zstd::bulk::decompress(body, length).map_err(|error| Error::Zstd(error.to_string()))?;
    if plain.len() != length {
        return Err(Error::Zstd(format!("{} bytes came out of a frame that tells {length}", plain.len())));
    }
    Ok(Bytes::from(plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_checked_before_anything_is_allocated() {
        let body = Compressor::new().unwrap().compress(&[7; 100_000]).unwrap();
        assert!(body.len() < 100);
        assert_eq!(decompress(&body, 100_000).unwrap(), vec![7; 100_000]);
        assert!(matches!(
            decompress(&body, 99_999),
            Err(Error::TooLarge { size: 100_000, limit: 99_999, .. })
        ));
        assert!(matches!(decompress(b"", 10), Err(Error::Zstd(_))));
        assert!(matches!(decompress(&body[..body.len() - 1], 100_000), Err(Error::Zstd(_))));
        // A frame from a stream, which does not know its length when it begins.
        let mut stream = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        std::io::Write::write_all(&mut stream, &[7; 100]).unwrap();
        assert!(matches!(decompress(&stream.finish().unwrap(), 1000), Err(Error::Zstd(_))));
        // A lie: the first bytes of the header tell the length.
        let mut lie = Compressor::new().unwrap().compress(&[7; 300]).unwrap();
        let at = lie.windows(2).position(|pair| pair == (300u16 - 256).to_le_bytes()).unwrap();
        lie[at] = 20;
        assert!(matches!(decompress(&lie, 1000), Err(Error::Zstd(_))));
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decompress(&body, 1000);
            let _ = decompress(&[&[0x28, 0xb5, 0x2f, 0xfd], &body[..]].concat(), 1000);
        }

        #[test]
        fn bodies_read_back(plain in prop::collection::vec(any::<u8>(), 0..3000)) {
            let body = Compressor::new().unwrap().compress(&plain).unwrap();
            prop_assert_eq!(decompress(&body, plain.len()).unwrap(), plain);
        }
    }
}
