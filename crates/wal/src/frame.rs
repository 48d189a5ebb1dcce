//! Bytes of a record: its head and its payload. `docs/format/wal.md` draws them.
//!
//! Invariant: a salted head fits only where it was written, and only in this life of the file. So a reader may look
//! for the next record behind damage without taking for one what a sender put into a payload.

use std::io;
use std::ops::Range;

use crate::Error;
use crate::header::Layout;
use crate::window::Window;

/// Bytes of a salted head: length, checksum of the payload, kind, checksum of the head.
pub(crate) const FRAME_BYTES: u64 = 13;
/// Bytes of a plain head: length, checksum, kind.
const PLAIN_BYTES: u64 = 9;
/// No payload is larger.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

/// What stands where a record is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A record with this kind; its payload and end.
    Whole { kind: u8, payload: (u64, u64), end: u64 },
    /// Exactly the end of the file, or behind it.
    AtEnd,
    /// No record. The next one may stand at any byte from here on.
    Broken { next: u64 },
}

/// The head of a record, taken for what it says.
#[derive(Debug, Clone, Copy)]
struct Head {
    length: u32,
    check: u32,
    kind: u8,
    bytes: u64,
}

impl Head {
    fn payload(&self, offset: u64) -> (u64, u64) {
        (offset + self.bytes, u64::from(self.length))
    }

    fn end(&self, offset: u64) -> u64 {
        offset + self.bytes + u64::from(self.length)
    }
}

/// Adds a record to `out`. Its head fits once it is [`seal`]ed.
pub(crate) fn put(out: &mut Vec<u8>, kind: u8, payload: &[u8]) -> Result<(), Error> {
    let len = length(payload)?;
    out.reserve(payload.len() + FRAME_BYTES as usize);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    Ok(())
}

/// Binds the records of `group` to a file and to `offset`, where the first of them will stand.
pub(crate) fn seal(group: &mut [u8], salt: u32, offset: u64) {
    let mut at = 0;
    while at < group.len() {
        let check = head_checksum(&group[at..at + 9], salt, offset + at as u64);
        group[at + 9..at + 13].copy_from_slice(&check.to_le_bytes());
        at += FRAME_BYTES as usize + le32(&group[at..]) as usize;
    }
}

/// Adds a record of version 1 to `out`.
pub(crate) fn put_plain(out: &mut Vec<u8>, kind: u8, payload: &[u8]) -> Result<(), Error> {
    let len = length(payload)?;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&plain_checksum(len, kind, payload).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
    Ok(())
}

fn length(payload: &[u8]) -> Result<u32, Error> {
    if payload.len() > RECORD_BYTES_MAX {
        return Err(Error::TooLarge { bytes: payload.len(), limit: RECORD_BYTES_MAX });
    }
    Ok(u32::try_from(payload.len()).expect("a record fits its limit"))
}

fn head_checksum(head: &[u8], salt: u32, offset: u64) -> u32 {
    let mut bytes = [0; 21];
    bytes[..4].copy_from_slice(&salt.to_le_bytes());
    bytes[4..12].copy_from_slice(&offset.to_le_bytes());
    bytes[12..].copy_from_slice(&head[..9]);
    crc32c::crc32c(&bytes)
}

/// The length is under the checksum too: a CRC that has become zero stays so over any number of zero bytes,
/// so without it a damaged length could cut a record short and still fit.
fn plain_checksum(len: u32, kind: u8, payload: &[u8]) -> u32 {
    let [a, b, c, d] = len.to_le_bytes();
    crc32c::crc32c_append(crc32c::crc32c(&[a, b, c, d, kind]), payload)
}

pub(crate) fn le32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The head in `bytes`, which stand at `offset`; `None` when there are too few or they are none. A plain head is
/// believed: only its record's payload tells.
fn head(bytes: &[u8], layout: Layout, offset: u64) -> Option<Head> {
    let size = match layout {
        Layout::Plain => PLAIN_BYTES,
        Layout::Salted(_) => FRAME_BYTES,
    };
    let bytes = bytes.get(..usize::try_from(size).ok()?)?;
    let head = Head { length: le32(bytes), check: le32(&bytes[4..]), kind: bytes[8], bytes: size };
    let fits = match layout {
        Layout::Plain => true,
        Layout::Salted(salt) => head_checksum(bytes, salt, offset) == le32(&bytes[9..]),
    };
    (fits && head.length as usize <= RECORD_BYTES_MAX).then_some(head)
}

/// Looks at the record that starts at `offset`.
pub(crate) fn look(window: &mut Window, layout: Layout, offset: u64) -> io::Result<Frame> {
    let bytes = window.get(offset, FRAME_BYTES)?;
    if bytes.is_empty() {
        return Ok(Frame::AtEnd);
    }
    let Some(head) = head(bytes, layout, offset) else {
        return Ok(Frame::Broken { next: offset + 1 });
    };
    let (kind, payload, end) = (head.kind, head.payload(offset), head.end(offset));
    let bytes = window.get(payload.0, payload.1)?;
    let check = match layout {
        Layout::Plain => plain_checksum(head.length, kind, bytes),
        Layout::Salted(_) => crc32c::crc32c(bytes),
    };
    Ok(if bytes.len() as u64 == payload.1 && check == head.check {
        Frame::Whole { kind, payload, end }
    } else {
        Frame::Broken { next: end }
    })
}

/// Where the next whole record stands, at `from` or behind it. Reads to the end of the file at most, and takes
/// about a nanosecond per byte. A plain record could be part of a payload, so there `from` alone is tried: the place
/// where the damaged record ends if its length is right.
pub(crate) fn find(window: &mut Window, layout: Layout, from: u64) -> io::Result<Option<u64>> {
    let is_whole = |window: &mut Window, offset| {
        look(window, layout, offset).map(|frame| matches!(frame, Frame::Whole { .. }))
    };
    let Layout::Salted(salt) = layout else {
        return Ok(is_whole(window, from)?.then_some(from));
    };
    let file_len = window.len()?;
    let mut at = from;
    while at + FRAME_BYTES <= file_len {
        let Range { start: next, end } = next_head(window, salt, at, file_len)?;
        if next < end && is_whole(window, next)? {
            return Ok(Some(next));
        }
        at = if next < end { next + 1 } else { end };
    }
    Ok(None)
}

/// Looks for a head that fits in the bytes at hand from `from` on: where it stands, and up to where was looked. Both are
/// the same when there is none.
fn next_head(window: &mut Window, salt: u32, from: u64, file_len: u64) -> io::Result<Range<u64>> {
    let bytes = window.chunk(from)?;
    let last = bytes.len().saturating_sub(FRAME_BYTES as usize - 1);
    let layout = Layout::Salted(salt);
    for i in 0..last {
        let offset = from + i as u64;
        // The length alone rules most places out.
        let room = (file_len - offset).min(RECORD_BYTES_MAX as u64);
        if u64::from(le32(&bytes[i..])) <= room && head(&bytes[i..], layout, offset).is_some() {
            return Ok(offset..from + last as u64);
        }
    }
    // Fewer bytes than a head: the file has shrunk.
    let end = if last == 0 { file_len } else { from + last as u64 };
    Ok(end..end)
}

/// The end of the last whole record at or after `from`, stepping over damaged ones.
pub(crate) fn last_whole(window: &mut Window, layout: Layout, from: u64) -> io::Result<u64> {
    let mut offset = from;
    loop {
        offset = match look(window, layout, offset)? {
            Frame::Whole { end, .. } => end,
            Frame::AtEnd => return Ok(offset),
            Frame::Broken { next } => match find(window, layout, next)? {
                Some(next) => next,
                None => return Ok(offset),
            },
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
        put_plain(&mut bytes, kind, &payload).unwrap();
        let check = le32(&bytes[4..]);
        for len in 0..6u32 {
            assert_ne!(plain_checksum(len, kind, &payload[..len as usize]), check, "length {len}");
        }
    }

    #[test]
    fn a_head_fits_only_where_it_was_sealed() {
        let mut group = Vec::new();
        put(&mut group, 1, b"one").unwrap();
        put(&mut group, 2, b"").unwrap();
        seal(&mut group, 77, 1000);
        let fits = |at: usize, salt, offset| head(&group[at..], Layout::Salted(salt), offset).is_some();
        assert!(fits(0, 77, 1000) && fits(16, 77, 1016));
        assert!(!fits(0, 78, 1000) && !fits(0, 77, 1001) && !fits(16, 77, 1000));
    }
}
