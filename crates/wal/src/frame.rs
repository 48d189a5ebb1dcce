//! Bytes of a segment: a header, then frames. `docs/format/wal.md` draws them.

use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::window::Window;

/// Bytes before the first record.
pub(crate) const HEADER_BYTES: u64 = 24;
/// Bytes of a record before its payload.
pub(crate) const FRAME_BYTES: u64 = 9;
/// No payload is larger.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

const MAGIC: [u8; 8] = *b"NAVEWAL\n";
const VERSION: u32 = 1;

/// What stands at the start of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    Good,
    /// Shorter than a header: a segment that was being made.
    Short,
    Damaged,
}

/// What stands where a record is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A record with this kind; its payload and end.
    Whole { kind: u8, payload: (u64, u64), end: u64 },
    /// Exactly the end of the file, or behind it.
    AtEnd,
    /// The file ends inside the record.
    Short,
    /// The checksum does not fit; were the length right, the next record would stand at `end`.
    Mismatch { end: u64 },
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

pub(crate) fn header(number: u64) -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&number.to_le_bytes());
    let check = crc32c::crc32c(&bytes[..20]);
    bytes[20..].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// Judges the header of segment `number`.
pub(crate) fn check_header(window: &mut Window, number: u64, path: &Path) -> Result<Header, Error> {
    let bytes =
        window.get(0, HEADER_BYTES).map_err(|error| Error::io("reading the header of", path, &error))?;
    if bytes.len() < HEADER_BYTES as usize {
        return Ok(Header::Short);
    }
    if bytes == header(number) {
        return Ok(Header::Good);
    }
    let checked = crc32c::crc32c(&bytes[..20]) == le32(&bytes[20..]);
    let found = le32(&bytes[8..]);
    if checked && bytes[..8] == MAGIC && found != VERSION {
        return Err(Error::Version { path: path.to_owned(), found, expected: VERSION });
    }
    Ok(Header::Damaged)
}

/// Adds a record to `out`.
pub(crate) fn put(out: &mut Vec<u8>, kind: u8, payload: &[u8]) -> Result<(), Error> {
    if payload.len() > RECORD_BYTES_MAX {
        return Err(Error::TooLarge { bytes: payload.len(), limit: RECORD_BYTES_MAX });
    }
    let len = u32::try_from(payload.len()).expect("a record fits its limit");
    out.reserve(payload.len() + FRAME_BYTES as usize);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&checksum(len, kind, payload).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
    Ok(())
}

/// The length is under the checksum too: a CRC that has become zero stays so over any number of zero bytes,
/// so without it a damaged length could cut a record short and still fit.
fn checksum(len: u32, kind: u8, payload: &[u8]) -> u32 {
    let [a, b, c, d] = len.to_le_bytes();
    crc32c::crc32c_append(crc32c::crc32c(&[a, b, c, d, kind]), payload)
}

fn le32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Looks at the record that starts at `offset`.
pub(crate) fn look(window: &mut Window, offset: u64) -> io::Result<Frame> {
    let head = window.get(offset, FRAME_BYTES)?;
    if head.is_empty() {
        return Ok(Frame::AtEnd);
    }
    if head.len() < FRAME_BYTES as usize {
        return Ok(Frame::Short);
    }
    let (length, check, kind) = (le32(head), le32(&head[4..]), head[8]);
    let len = u64::from(length);
    let payload = (offset + FRAME_BYTES, len);
    let end = offset + FRAME_BYTES + len;
    if len > RECORD_BYTES_MAX as u64 {
        return Ok(Frame::Short);
    }
    let bytes = window.get(payload.0, len)?;
    if bytes.len() as u64 != len {
        return Ok(Frame::Short);
    }
    Ok(if checksum(length, kind, bytes) == check {
        Frame::Whole { kind, payload, end }
    } else {
        Frame::Mismatch { end }
    })
}

/// Whether a damaged record can be stepped over: its length is right when a whole record follows it.
pub(crate) fn step_over(window: &mut Window, end: u64) -> io::Result<bool> {
    Ok(matches!(look(window, end)?, Frame::Whole { .. }))
}

/// The end of the last whole record at or after `from`, stepping over damaged ones.
pub(crate) fn last_whole(window: &mut Window, from: u64) -> io::Result<u64> {
    let mut offset = from;
    loop {
        offset = match look(window, offset)? {
            Frame::Whole { end, .. } => end,
            Frame::Mismatch { end } if step_over(window, end)? => end,
            _ => return Ok(offset),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by the fuzzer: four bytes of ones bring a CRC-32C to zero, where zeros leave it.
    #[test]
    fn a_damaged_length_never_fits() {
        let (kind, payload) = (0xff, [0xff, 0xff, 0xff, 0, 0, 0]);
        let mut bytes = Vec::new();
        put(&mut bytes, kind, &payload).unwrap();
        let check = le32(&bytes[4..]);
        for len in 0..6u32 {
            assert_ne!(checksum(len, kind, &payload[..len as usize]), check, "length {len}");
        }
    }
}
