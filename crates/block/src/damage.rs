//! Damaged bytes as a value, and the cursor that finds them.
//!
//! Everything that reads a block goes through [`Cursor`], so that a length is met by its limit before memory is
//! taken for it, and so that a report says which part of which page was wrong. Bytes never cause a panic.

use nave_base::varint;

/// Bytes that are not what the format says: which part, where in it, and what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part}, byte {at}: {what}")]
pub struct Damage {
    /// The part that was read, such as `page directory`.
    pub part: &'static str,
    /// Offset inside that part, in bytes.
    pub at: usize,
    /// What was expected and what came.
    pub what: String,
}

impl Damage {
    pub(crate) fn new(part: &'static str, at: usize, what: impl Into<String>) -> Self {
        Self { part, at, what: what.into() }
    }
}

/// Reads a part from front to back.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    part: &'static str,
    len: usize,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(part: &'static str, bytes: &'a [u8]) -> Self {
        Self { part, len: bytes.len(), rest: bytes }
    }

    /// Damage at the place that is read next.
    pub(crate) fn damage(&self, what: impl Into<String>) -> Damage {
        Damage::new(self.part, self.len - self.rest.len(), what)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, Damage> {
        varint::take_u64(&mut self.rest).ok_or_else(|| self.damage("expected an integer, it is cut short"))
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, Damage> {
        varint::take_i64(&mut self.rest).ok_or_else(|| self.damage("expected an integer, it is cut short"))
    }

    /// A number of `what`, at most `max`.
    pub(crate) fn count(&mut self, what: &'static str, max: usize) -> Result<usize, Damage> {
        let before = self.clone();
        let value = self.u64()?;
        usize::try_from(value)
            .ok()
            .filter(|value| *value <= max)
            .ok_or_else(|| before.damage(format!("expected at most {max} {what}, came {value}")))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Damage> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| self.damage("cut short"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damage> {
        self.fixed().map(u32::from_le_bytes)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Damage> {
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.damage(format!("expected {len} bytes, {} are left", self.rest.len())));
        };
        self.rest = rest;
        Ok(bytes)
    }

    /// A length and that many bytes.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Damage> {
        let len = self.count("bytes", self.rest.len())?;
        self.take(len)
    }

    /// A length and that many bytes, to be read as a part of its own.
    pub(crate) fn part(&mut self, part: &'static str) -> Result<Cursor<'a>, Damage> {
        Ok(Cursor::new(part, self.sized()?))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes not yet read.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Everything must have been read.
    pub(crate) fn end(&self) -> Result<(), Damage> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(self.damage(format!("expected the end, {more} bytes are left"))),
        }
    }
}

/// Appends a length and the bytes.
pub(crate) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Prepends the CRC-32C of what was written from `start` on; four bytes must have been left there.
pub(crate) fn seal(out: &mut [u8], start: usize) {
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The bytes behind the CRC-32C at the front, when it fits.
pub(crate) fn unseal<'a>(part: &'static str, bytes: &'a [u8]) -> Result<Cursor<'a>, Damage> {
    let mut cursor = Cursor::new(part, bytes);
    let expected = cursor.u32()?;
    let came = crc32c::crc32c(cursor.rest);
    if expected != came {
        let what = format!("expected checksum {expected:08x}, the bytes have {came:08x}");
        return Err(Damage::new(part, 0, what));
    }
    Ok(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_say_where_and_what() {
        let mut cursor = Cursor::new("directory", &[3, 200, 1]);
        assert_eq!(cursor.byte().unwrap(), 3);
        let report = cursor.count("series", 100).unwrap_err().to_string();
        assert_eq!(report, "directory, byte 1: expected at most 100 series, came 200");
        let report = cursor.take(1).unwrap_err().to_string();
        assert_eq!(report, "directory, byte 3: expected 1 bytes, 0 are left");
    }

    #[test]
    fn a_seal_is_broken_by_any_bit() {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(b"some bytes");
        seal(&mut bytes, 0);
        assert_eq!(unseal("x", &bytes).unwrap().rest, b"some bytes");
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal("x", &broken).is_err(), "bit {bit}");
        }
    }
}
