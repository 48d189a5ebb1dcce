//! Bit strings, most significant bit first.
//!
//! Reading past the end gives `None`, never a panic.

/// Appends bits to a byte vector.
#[derive(Debug, Clone, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Unused bits of the last byte.
    free: u32,
}

impl BitWriter {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes room for `bytes`.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve_exact(bytes);
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.free = 0;
    }

    /// Gives back what a series of incompressible values made it grow to.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
    }

    /// Appends the low `count` bits of `value`, at most 64.
    pub(crate) fn put(&mut self, value: u64, count: u32) {
        let mut left = count;
        if self.free > 0
            && let Some(last) = self.bytes.last_mut()
        {
            let take = left.min(self.free);
            left -= take;
            self.free -= take;
            let part = (value >> left) & ((1 << take) - 1);
            *last |= (part << self.free) as u8;
        }
        if left > 0 {
            let bytes = left.div_ceil(8);
            // The low bits at the top, zeros behind them.
            let word = (value << (64 - left)).to_be_bytes();
            self.bytes.extend_from_slice(&word[..bytes as usize]);
            self.free = bytes * 8 - left;
        }
    }
}

/// Takes bits off the front of a byte slice.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits taken so far.
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `count` bits, at most 64.
    #[inline]
    pub(crate) fn take(&mut self, count: u32) -> Option<u64> {
        if count > 56 {
            let high = self.take(count - 32)?;
            return Some(high << 32 | self.take(32)?);
        }
        if count == 0 {
            return Some(0);
        }
        let word = self.peek();
        self.skip(count)?;
        Some(word >> (64 - count))
    }

    /// The next bits from the top of the word, at least 57 of them; zeros behind the end.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        let at = self.position / 8;
        let word = match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(eight) => u64::from_be_bytes(*eight),
            None => self.tail(at),
        };
        word << (self.position % 8)
    }

    /// Passes over `count` bits.
    #[inline]
    pub(crate) fn skip(&mut self, count: u32) -> Option<()> {
        self.position += count as usize;
        (self.position <= self.bytes.len() * 8).then_some(())
    }

    /// Fewer than eight bytes, filled up with zeros.
    #[cold]
    fn tail(&self, at: usize) -> u64 {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let mut eight = [0; 8];
        eight[..rest.len()].copy_from_slice(rest);
        u64::from_be_bytes(eight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_can_be_taken() {
        let pieces =
            [(1, 1), (0, 3), (0x1ff, 9), (u64::MAX, 64), (5, 57), (0, 64), (1 << 55, 56), (7, 3), (0, 0)];
        let mut writer = BitWriter::default();
        for (value, count) in pieces {
            writer.put(value, count);
        }
        let mut reader = BitReader::new(writer.bytes());
        for (value, count) in pieces {
            assert_eq!(reader.take(count), Some(value), "{count} bits");
        }
        assert_eq!(reader.take(8), None);
    }
}
