//! How the numbers of a page are coded, for tools that look inside.

use super::Page;
use crate::stream::Codec;

/// A stream of a page: numbers that are coded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coding {
    /// The coding.
    pub name: &'static str,
    /// How many numbers.
    pub numbers: usize,
    /// Bytes that they take.
    pub bytes: usize,
}

impl Page {
    /// The streams of the page. Columns whose numbers are all equal, or ascend evenly, have none.
    pub fn codings(&self) -> impl Iterator<Item = Coding> + '_ {
        self.streams.iter().map(|stream| {
            let name = match stream.codec {
                Codec::Zstd => "zstd",
                Codec::Pco64 => "pco, 64 bits",
                Codec::Pco32 => "pco, 32 bits",
                Codec::Pco16 => "pco, 16 bits",
            };
            Coding { name, numbers: stream.count, bytes: stream.bytes.len() }
        })
    }
}
