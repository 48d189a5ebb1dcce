//! What decoding needs and keeps.

use crate::block::Run;
use crate::stream::Decoder;

/// What decoding needs and keeps: compression contexts and buffers. One per thread.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) decoder: Decoder,
    pub(super) main: Vec<i64>,
    pub(super) distance: Vec<i64>,
    pub(crate) run: Run,
}

impl Scratch {
    /// Empty buffers. What is large is made when it is needed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }
}
