//! Bits, most significant first, and the variable-width integers that Prometheus' chunks are made of.

use crate::error::Damage;

/// Widths of the integers of histogram chunks by their unary prefix: 1 to 7 ones and a zero.
const VARBIT: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Reads bits off a slice.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bits are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() * 8 - self.at
    }

    /// The next `count` bits, at most 64.
    #[inline]
    pub(crate) fn take(&mut self, count: u32) -> Result<u64, Damage> {
        if count as usize > self.left() {
            return Err("the samples are cut short".into());
        }
        if count == 0 {
            return Ok(0);
        }
        let (byte, shift) = (self.at / 8, self.at % 8);
        let window = match self.bytes.get(byte..byte + 16) {
            Some(window) => window.try_into().unwrap_or([0; 16]),
            None => {
                let mut window = [0; 16];
                let rest = &self.bytes[byte..];
                window[..rest.len().min(16)].copy_from_slice(&rest[..rest.len().min(16)]);
                window
            }
        };
        self.at += count as usize;
        Ok(((u128::from_be_bytes(window) << shift) >> (128 - count)) as u64)
    }

    pub(crate) fn bit(&mut self) -> Result<bool, Damage> {
        Ok(self.take(1)? == 1)
    }

    /// How many ones come before the next zero, which is taken too; at most `most`, without a zero then.
    pub(crate) fn ones(&mut self, most: u32) -> Result<u32, Damage> {
        for ones in 0..most {
            if !self.bit()? {
                return Ok(ones);
            }
        }
        Ok(most)
    }

    /// A field of `width` bits that holds `-(2^(width-1) - 1) ..= 2^(width-1)`.
    pub(crate) fn signed(&mut self, width: u32) -> Result<i64, Damage> {
        let value = self.take(width)?;
        let negative = width < 64 && value > 1 << (width - 1);
        Ok(if negative { value.wrapping_sub(1 << width) as i64 } else { value as i64 })
    }

    pub(crate) fn varbit_i64(&mut self) -> Result<i64, Damage> {
        match self.ones(8)? {
            0 => Ok(0),
            8 => Ok(self.take(64)? as i64),
            ones => self.signed(VARBIT[ones as usize - 1]),
        }
    }

    pub(crate) fn varbit_u64(&mut self) -> Result<u64, Damage> {
        match self.ones(8)? {
            0 => Ok(0),
            8 => self.take(64),
            ones => self.take(VARBIT[ones as usize - 1]),
        }
    }

    /// LEB128 in whole bytes from wherever the reader stands.
    pub(crate) fn leb_u64(&mut self) -> Result<u64, Damage> {
        let mut value = 0u64;
        for i in 0..10 {
            let byte = self.take(8)?;
            if i == 9 && byte > 1 {
                break;
            }
            value |= (byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("an integer has more than 64 bits".into())
    }

    /// The same in zigzag form.
    pub(crate) fn leb_i64(&mut self) -> Result<i64, Damage> {
        let value = self.leb_u64()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

/// Collects bits.
#[derive(Debug, Clone, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Unused bits of the last byte.
    free: u32,
}

impl BitWriter {
    /// Starts behind whole bytes.
    pub(crate) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes, free: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds the low `count` bits of `value`.
    pub(crate) fn put(&mut self, value: u64, mut count: u32) {
        while count > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let now = count.min(self.free);
            let part = (value >> (count - now)) & ((1 << now) - 1);
            let last = self.bytes.len() - 1;
            self.bytes[last] |= (part as u8) << (self.free - now);
            self.free -= now;
            count -= now;
        }
    }

    pub(crate) fn put_varbit_i64(&mut self, value: i64) {
        if value == 0 {
            return self.put(0, 1);
        }
        for (i, width) in (1..).zip(VARBIT) {
            if fits(value, width) {
                self.put((1 << (i + 1)) - 2, i + 1);
                return self.put(value as u64, width);
            }
        }
        self.put(0xff, 8);
        self.put(value as u64, 64);
    }

    pub(crate) fn put_varbit_u64(&mut self, value: u64) {
        if value == 0 {
            return self.put(0, 1);
        }
        for (i, width) in (1..).zip(VARBIT) {
            if value < 1 << width {
                self.put((1 << (i + 1)) - 2, i + 1);
                return self.put(value, width);
            }
        }
        self.put(0xff, 8);
        self.put(value, 64);
    }
}

/// Whether a field of `width` bits, fewer than 64, holds `value`.
pub(crate) fn fits(value: i64, width: u32) -> bool {
    let half = 1i64 << (width - 1);
    -(half - 1) <= value && value <= half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back() {
        let mut values = vec![0, 1, -1, i64::MIN, i64::MAX];
        for width in VARBIT {
            let half = 1i64 << (width - 1);
            values.extend([half, half + 1, half - 1, -half, 1 - half, -half - 1]);
        }
        let mut writer = BitWriter::default();
        for value in &values {
            writer.put_varbit_i64(*value);
            writer.put_varbit_u64(*value as u64);
            writer.put(1, 1);
        }
        let bytes = writer.into_bytes();
        let mut reader = BitReader::new(&bytes);
        for value in values {
            assert_eq!(reader.varbit_i64(), Ok(value));
            assert_eq!(reader.varbit_u64(), Ok(value as u64));
            assert_eq!(reader.bit(), Ok(true));
        }
        assert!(reader.left() < 8);
    }

    #[test]
    fn what_is_cut_is_an_error() {
        let mut reader = BitReader::new(&[0xff, 0x01]);
        assert_eq!(reader.take(12), Ok(0xff0));
        assert!(reader.take(5).is_err());
        assert!(reader.leb_u64().is_err());
        assert!(BitReader::new(&[0xff; 11]).leb_u64().is_err());
    }
}
