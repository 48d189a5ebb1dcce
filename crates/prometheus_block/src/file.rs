//! Files by ranges and in sequence, with a buffer and checked lengths.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::{Disk, File};

use crate::error::Error;

/// How much is read at once.
const READ_BYTES: u64 = 256 << 10;
const WRITE_BYTES: usize = 1 << 20;

/// An open file with the stretch of it that was read last.
#[derive(Debug)]
pub(crate) struct Source {
    file: Arc<dyn File>,
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
    buffer: Vec<u8>,
    start: u64,
}

impl Source {
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let file = disk.open(path).map_err(Error::io(path))?;
        let len = file.len().map_err(Error::io(path))?;
        Ok(Self { file, path: path.to_owned(), len, buffer: Vec::new(), start: 0 })
    }

    /// Another view of the same file.
    pub(crate) fn reopened(&self) -> Self {
        let (file, path) = (self.file.clone(), self.path.clone());
        Self { file, path, len: self.len, buffer: Vec::new(), start: 0 }
    }

    pub(crate) fn damaged(&self, offset: u64, what: impl Into<crate::Damage>) -> Error {
        what.into().at(&self.path, offset)
    }

    /// `len` bytes at `offset`.
    pub(crate) fn get(&mut self, offset: u64, len: u64) -> Result<&[u8], Error> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            let what = format!("{len} bytes are said to be here, but the file ends at {}", self.len);
            return Err(self.damaged(offset, what));
        }
        self.get_up_to(offset, len)
    }

    /// `len` bytes at `offset`, fewer where the file ends.
    pub(crate) fn get_up_to(&mut self, offset: u64, len: u64) -> Result<&[u8], Error> {
        let len = len.min(self.len.saturating_sub(offset));
        let end = self.start + self.buffer.len() as u64;
        if offset < self.start || offset + len > end {
            self.fill(offset, len.max(READ_BYTES).min(self.len.saturating_sub(offset)))?;
        }
        let from = (offset - self.start) as usize;
        match self.buffer.get(from..from + len as usize) {
            Some(bytes) => Ok(bytes),
            None => Err(crate::Damage::from("the file became shorter").at(&self.path, offset)),
        }
    }

    fn fill(&mut self, offset: u64, len: u64) -> Result<(), Error> {
        self.buffer.clear();
        self.buffer.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        self.start = offset;
        let mut filled = 0;
        while filled < self.buffer.len() {
            let read = self.file.read_at(&mut self.buffer[filled..], offset + filled as u64);
            match read.map_err(Error::io(&self.path))? {
                0 => break,
                n => filled += n,
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }

    /// A fixed-width integer, most significant byte first.
    pub(crate) fn get_u32(&mut self, offset: u64) -> Result<u32, Error> {
        let bytes = self.get(offset, 4)?;
        Ok(bytes.try_into().map_or(0, u32::from_be_bytes))
    }

    /// The same with 64 bits.
    pub(crate) fn get_u64(&mut self, offset: u64) -> Result<u64, Error> {
        let bytes = self.get(offset, 8)?;
        Ok(bytes.try_into().map_or(0, u64::from_be_bytes))
    }

    /// Compares the checksum behind `len` bytes at `offset`, whatever their number.
    pub(crate) fn check(&mut self, offset: u64, len: u64) -> Result<(), Error> {
        let end = offset.checked_add(len).and_then(|end| end.checked_add(4));
        if end.is_none_or(|end| end > self.len) {
            return Err(self.damaged(offset, format!("a section of {len} bytes goes beyond the file's end")));
        }
        let (mut crc, mut at) = (0, offset);
        while at < offset + len {
            let part = self.get(at, READ_BYTES.min(offset + len - at))?;
            crc = crc32c::crc32c_append(crc, part);
            at += part.len() as u64;
        }
        match self.get_u32(offset + len)? {
            stored if stored == crc => Ok(()),
            stored => Err(self.damaged(offset, crate::Damage::checksum(stored, crc))),
        }
    }
}

/// A file that is written from start to end.
#[derive(Debug)]
pub(crate) struct Sink {
    file: Arc<dyn File>,
    pub(crate) path: PathBuf,
    buffer: Vec<u8>,
    written: u64,
    crc: u32,
}

impl Sink {
    pub(crate) fn create(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let file = disk.append(path).map_err(Error::io(path))?;
        Ok(Self { file, path: path.to_owned(), buffer: Vec::new(), written: 0, crc: 0 })
    }

    /// Bytes so far.
    pub(crate) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// As [`Sink::put`], and the bytes count for the next checksum.
    pub(crate) fn put_checked(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.put(bytes)
    }

    /// Ends what is checked.
    pub(crate) fn put_checksum(&mut self) -> Result<(), Error> {
        let crc = std::mem::take(&mut self.crc);
        self.put(&crc.to_be_bytes())
    }

    /// Zeros up to a multiple of `align`.
    pub(crate) fn pad(&mut self, align: u64) -> Result<(), Error> {
        let zeros = self.position().next_multiple_of(align) - self.position();
        self.put(&vec![0; zeros as usize])
    }

    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.file.append(&self.buffer).map_err(Error::io(&self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left and makes it durable.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.flush()?;
        self.file.sync().map_err(Error::io(&self.path))
    }
}
