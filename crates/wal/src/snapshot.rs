//! One file of records that appears whole or not at all: checkpoints.
//!
//! The bytes are those of a segment of version 1, with a number of the caller's choice in the header, and the count of
//! records in a last record. It is written under another name and renamed when it is durable.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::{File, SharedDisk};

use crate::frame::{self, Frame};
use crate::header::{self, HEADER_BYTES, Header, Layout};
use crate::window::Window;
use crate::{Error, Record};

/// Kind of the record that ends a snapshot; the caller's kinds are below.
const END: u8 = u8::MAX;
const FLUSH_BYTES: usize = 1 << 20;

/// Writes a snapshot. Dropped before [`Writer::finish`] it leaves nothing that counts.
#[derive(Debug)]
pub struct Writer {
    disk: SharedDisk,
    path: PathBuf,
    fresh: PathBuf,
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    count: u64,
}

impl Writer {
    /// Begins the snapshot that will stand at `path`; `number` must be given again to read it.
    ///
    /// # Errors
    /// Of the file system.
    pub fn create(disk: SharedDisk, path: &Path, number: u64) -> Result<Self, Error> {
        let fresh = path.with_extension("tmp");
        let make = || -> io::Result<Arc<dyn File>> {
            let file = disk.append(&fresh)?;
            file.truncate(0)?;
            Ok(file)
        };
        let file = make().map_err(|error| Error::io("making", &fresh, &error))?;
        let buffer = header::header(number, Layout::Plain).to_vec();
        Ok(Self { disk, path: path.to_owned(), fresh, file, buffer, count: 0 })
    }

    /// Adds a record; `kind` is below 255.
    ///
    /// # Errors
    /// As [`crate::Log::append`]; the snapshot is then useless.
    pub fn append(&mut self, kind: u8, payload: &[u8]) -> Result<(), Error> {
        debug_assert_ne!(kind, END, "kind 255 ends a snapshot");
        frame::put_plain(&mut self.buffer, kind, payload)?;
        self.count += 1;
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = self.file.append(&self.buffer);
        self.buffer.clear();
        written.map_err(|error| self.failed(&error))
    }

    /// Makes the snapshot durable and puts it in place of an older one at its path.
    ///
    /// # Errors
    /// Of the file system; the older one is then still there.
    pub fn finish(mut self) -> Result<(), Error> {
        frame::put_plain(&mut self.buffer, END, &self.count.to_le_bytes())?;
        self.flush()?;
        let publish = || -> io::Result<()> {
            self.file.sync()?;
            self.disk.rename(&self.fresh, &self.path)?;
            self.disk.sync_dir(self.path.parent().unwrap_or(Path::new(".")))
        };
        publish().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Error {
        // The failure is the news; a leftover is overwritten by the next attempt.
        let _ = self.disk.remove(&self.fresh);
        Error::io("writing", &self.path, error)
    }
}

/// Gives the records of the snapshot at `path` to `each`, in order, after all of them were found to be whole.
/// `Ok(false)` when there is none, or it is damaged anywhere; `each` was then not called.
///
/// # Errors
/// Of the file system, [`Error::Version`], and those of `each`.
pub fn read<E: From<Error>>(
    disk: &SharedDisk,
    path: &Path,
    number: u64,
    mut each: impl FnMut(&Record) -> Result<(), E>,
) -> Result<bool, E> {
    let file = match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(|error| Error::io("opening", path, &error))?,
    };
    let mut window = Window::new(file);
    let Header::Good(layout) = header::check_header(&mut window, number, path)? else { return Ok(false) };
    if layout != Layout::Plain || !is_whole(&mut window, path)? {
        return Ok(false);
    }
    let mut record = Record::default();
    let mut offset = HEADER_BYTES;
    while let Frame::Whole { kind, payload, end } = look(&mut window, offset, path)? {
        if kind == END {
            break;
        }
        record.kind = kind;
        record.payload.clear();
        let bytes = window.get(payload.0, payload.1).map_err(|error| Error::io("reading", path, &error))?;
        record.payload.extend_from_slice(bytes);
        each(&record)?;
        offset = end;
    }
    Ok(true)
}

fn is_whole(window: &mut Window, path: &Path) -> Result<bool, Error> {
    let (mut offset, mut count) = (HEADER_BYTES, 0u64);
    loop {
        match look(window, offset, path)? {
            Frame::Whole { kind: END, payload, .. } => {
                let said = window.get(payload.0, payload.1).map(|bytes| bytes == count.to_le_bytes());
                return said.map_err(|error| Error::io("reading", path, &error));
            }
            Frame::Whole { end, .. } => (offset, count) = (end, count + 1),
            _ => return Ok(false),
        }
    }
}

fn look(window: &mut Window, offset: u64, path: &Path) -> Result<Frame, Error> {
    frame::look(window, Layout::Plain, offset).map_err(|error| Error::io("reading", path, &error))
}
