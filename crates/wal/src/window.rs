//! A buffered look at a file that may grow, shrink and grow again while it is read.
//!
//! Holds no truth: [`Window::forget`] drops what was buffered, and the next look reads the file.

use std::io;
use std::sync::Arc;

use nave_base::disk::File;

const CHUNK: u64 = 256 << 10;
/// Fewer bytes than this are not worth a look at: the buffer is filled again.
const SOME: u64 = 4 << 10;

#[derive(Debug)]
pub(crate) struct Window {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    start: u64,
}

impl Window {
    pub(crate) fn new(file: Arc<dyn File>) -> Self {
        Self { file, buffer: Vec::new(), start: 0 }
    }

    pub(crate) fn forget(&mut self) {
        self.buffer.clear();
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    /// The bytes `offset .. offset + len`, or fewer at the end of the file. No more is allocated than the
    /// file holds.
    pub(crate) fn get(&mut self, offset: u64, len: u64) -> io::Result<&[u8]> {
        let buffered = self.start..self.start + self.buffer.len() as u64;
        if !(buffered.start <= offset && offset + len <= buffered.end) {
            self.fill(offset, len)?;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX).min(self.buffer.len());
        let to = from.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)).min(self.buffer.len());
        Ok(&self.buffer[from..to])
    }

    /// What is at hand from `offset` on: at least a few bytes, unless the file ends.
    pub(crate) fn chunk(&mut self, offset: u64) -> io::Result<&[u8]> {
        let end = self.start + self.buffer.len() as u64;
        let at_hand = if self.start <= offset { end.saturating_sub(offset) } else { 0 };
        self.get(offset, if at_hand >= SOME { at_hand } else { CHUNK })
    }

    fn fill(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let there = self.file.len()?.saturating_sub(offset);
        let wanted = usize::try_from(len.max(CHUNK).min(there)).map_err(io::Error::other)?;
        self.start = offset;
        self.buffer.resize(wanted, 0);
        let mut filled = 0;
        while filled < wanted {
            match self.file.read_at(&mut self.buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) => {
                    self.buffer.clear();
                    return Err(error);
                }
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }
}
