//! Where the bytes of a block come from.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use nave_base::disk::File;

/// Where a block's bytes come from: a local file, memory, or ranged reads of an object.
pub trait ReadRange: Debug + Send + Sync {
    /// Bytes there are.
    ///
    /// # Errors
    /// Of the source.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are none.
    ///
    /// # Errors
    /// Of the source.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Exactly the `len` bytes at `offset`.
    ///
    /// # Errors
    /// Of the source; [`io::ErrorKind::UnexpectedEof`] when there are fewer.
    fn read_range(&self, offset: u64, len: usize) -> io::Result<Vec<u8>>;
}

/// A file of a disk.
#[derive(Debug, Clone)]
pub struct LocalFile(pub Arc<dyn File>);

impl ReadRange for LocalFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_range(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.0.read_at(&mut bytes[filled..], offset + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(bytes)
    }
}

impl ReadRange for Vec<u8> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn read_range(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.get(start..start.saturating_add(len)).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(bytes.to_vec())
    }
}
