//! What decoding needs and keeps.

use std::io;

use crate::block::Run;
use crate::stream::Decoder;

/// What decoding needs and keeps: compression contexts and buffers. One per thread.
#[derive(Debug)]
pub struct Scratch {
    pub(super) decoder: Decoder,
    pub(super) main: Vec<i64>,
    pub(super) distance: Vec<i64>,
    pub(crate) run: Run,
}

impl Scratch {
    /// Empty buffers.
    ///
    /// # Errors
    /// When there is no memory for the decompressor.
    pub fn new() -> io::Result<Self> {
        Ok(Self { decoder: Decoder::new()?, main: Vec::new(), distance: Vec::new(), run: Run::default() })
    }

    pub(crate) fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }
}
