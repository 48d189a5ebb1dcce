//! The header of a segment, and which layout of records it announces. `docs/format/wal.md` draws it.
//!
//! Written is the newest version; the one before it is read.

use std::path::{Path, PathBuf};

use nave_base::random::Random;

use crate::Error;
use crate::frame::le32;
use crate::window::Window;

/// Bytes before the first record, in every version.
pub(crate) const HEADER_BYTES: u64 = 24;

const MAGIC: [u8; 8] = *b"NAVEWAL\n";
const PLAIN: u32 = 1;
const SALTED: u32 = 2;

/// How the records of a file are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Version 1: one checksum over length, kind and payload. Bytes of a payload may look like a record.
    Plain,
    /// Version 2: the head of a record has a checksum of its own, over this salt and where the record stands, so
    /// that neither a payload nor an earlier life of the file holds what looks like one.
    Salted(u32),
}

/// A salt that nobody outside knows.
pub(crate) fn salt() -> u32 {
    let [a, b, c, d, ..] = Random::from_system().u64().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// What stands at the start of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    Good(Layout),
    /// Shorter than a header: a segment that was being made.
    Short,
    Damaged,
}

pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.wal"))
}

/// The number of a segment's file name; `None` for other files.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    let plain = digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok().filter(|number| *number > 0) } else { None }
}

/// The header of file `number`. Salted ones have room for the low half of the number, which is enough to notice a
/// renamed file.
pub(crate) fn header(number: u64, layout: Layout) -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[12..20].copy_from_slice(&number.to_le_bytes());
    let version = match layout {
        Layout::Plain => PLAIN,
        Layout::Salted(salt) => {
            bytes[16..20].copy_from_slice(&salt.to_le_bytes());
            SALTED
        }
    };
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    let check = crc32c::crc32c(&bytes[..20]);
    bytes[20..].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// Judges the header of file `number`.
pub(crate) fn check_header(window: &mut Window, number: u64, path: &Path) -> Result<Header, Error> {
    let bytes =
        window.get(0, HEADER_BYTES).map_err(|error| Error::io("reading the header of", path, &error))?;
    if bytes.len() < HEADER_BYTES as usize {
        return Ok(Header::Short);
    }
    let salted = Layout::Salted(le32(&bytes[16..]));
    if let Some(layout) = [salted, Layout::Plain].into_iter().find(|layout| bytes == header(number, *layout))
    {
        return Ok(Header::Good(layout));
    }
    let checked = crc32c::crc32c(&bytes[..20]) == le32(&bytes[20..]);
    let found = le32(&bytes[8..]);
    if checked && bytes[..8] == MAGIC && ![PLAIN, SALTED].contains(&found) {
        return Err(Error::Version { path: path.to_owned(), found, expected: SALTED });
    }
    Ok(Header::Damaged)
}
