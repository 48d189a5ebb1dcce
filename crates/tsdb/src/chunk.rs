//! Compressed runs of float samples of one series.
//!
//! The idea is that of Facebook's Gorilla paper: times as differences of differences, values as the XOR
//! with the one before. Values come back bit for bit, so stale markers and NaNs with a payload survive.
//!
//! This layout lives in memory only; blocks have codecs of their own. Times inside a chunk are strictly
//! ascending. The time of the first sample stands beside the bits, everything else inside:
//!
//! ```text
//! time    0                     same distance as before (the first distance is 0)
//!         10   + 8 bits         distance changed by -128 ..= 127
//!         110  + 14 bits        by -8192 ..= 8191
//!         1110 + 24 bits        by -2^23 .. 2^23
//!         1111 + 64 bits        by anything
//! value   (first: 64 bits)
//!         0                     same bits as before
//!         10   + bits           the XOR lies in the window of the last one
//!         11   + 6 + 6 + bits   leading zeros, width - 1, the window
//! ```

use std::sync::Arc;

use crate::bits::{BitReader, BitWriter};

/// A sample: time in ms and the bits of the value.
pub(crate) type Point = (i64, u64);

/// Samples of a full chunk.
pub(crate) const CHUNK_SAMPLES: usize = 120;
/// No chunk has more samples.
pub(crate) const CHUNK_SAMPLES_MAX: usize = 240;

/// Room that an open chunk begins with: a few samples, without growing for each of them.
const OPEN_BYTES: usize = 24;

const STEPS: [(u64, u32, u32); 3] = [(0b10, 2, 8), (0b110, 3, 14), (0b1110, 4, 24)];

/// A finished chunk. Cloning copies a pointer.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) count: u32,
    /// The flush that took its last sample; 0 is none.
    pub(crate) seq: u32,
    bytes: Arc<[u8]>,
}

impl Chunk {
    /// Encodes `points`, which are ascending and not empty.
    pub(crate) fn encode(points: &[Point]) -> Option<Self> {
        let mut open = Open::default();
        for (t, value) in points {
            open.append(*t, *value);
        }
        open.seal()
    }

    pub(crate) fn iter(&self) -> Points<'_> {
        Points::new(&self.bytes, self.min, self.count)
    }

    /// The value at exactly `t`.
    pub(crate) fn find(&self, t: i64) -> Option<u64> {
        find(self.iter(), t)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.len() + 16
    }
}

pub(crate) fn find(points: Points<'_>, t: i64) -> Option<u64> {
    for (at, value) in points {
        if at >= t {
            return (at == t).then_some(value);
        }
    }
    None
}

/// A chunk that still grows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Open {
    bits: BitWriter,
    pub(crate) count: u32,
    pub(crate) first: i64,
    /// Time and value of the newest sample; they outlive [`Open::seal`].
    pub(crate) last: i64,
    pub(crate) value: u64,
    distance: i64,
    leading: u32,
    width: u32,
}

impl Open {
    /// Adds a sample; `t` is greater than that of the one before.
    pub(crate) fn append(&mut self, t: i64, value: u64) {
        if self.count == 0 {
            self.first = t;
            self.bits.reserve(OPEN_BYTES);
            self.distance = 0;
            self.width = 0;
            self.bits.put(value, 64);
        } else {
            let distance = t.wrapping_sub(self.last);
            self.put_step(distance.wrapping_sub(self.distance));
            self.put_value(value ^ self.value);
            self.distance = distance;
        }
        (self.last, self.value) = (t, value);
        self.count += 1;
    }

    fn put_step(&mut self, step: i64) {
        if step == 0 {
            return self.bits.put(0, 1);
        }
        for (prefix, prefix_bits, bits) in STEPS {
            let bound = 1i64 << (bits - 1);
            if (-bound..bound).contains(&step) {
                self.bits.put(prefix, prefix_bits);
                return self.bits.put(step as u64, bits);
            }
        }
        self.bits.put(0b1111, 4);
        self.bits.put(step as u64, 64);
    }

    fn put_value(&mut self, xor: u64) {
        if xor == 0 {
            return self.bits.put(0, 1);
        }
        let (leading, trailing) = (xor.leading_zeros(), xor.trailing_zeros());
        let window_trailing = 64u32.saturating_sub(self.leading + self.width);
        if self.width > 0 && leading >= self.leading && trailing >= window_trailing {
            self.bits.put(0b10, 2);
            return self.bits.put(xor >> window_trailing, self.width);
        }
        (self.leading, self.width) = (leading, 64 - leading - trailing);
        self.bits.put(0b11, 2);
        self.bits.put(u64::from(leading), 6);
        self.bits.put(u64::from(self.width - 1), 6);
        self.bits.put(xor >> trailing, self.width);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }

    pub(crate) fn iter(&self) -> Points<'_> {
        Points::new(self.bits.bytes(), self.first, self.count)
    }

    /// Takes the samples out as a finished chunk; `None` when there is none.
    pub(crate) fn seal(&mut self) -> Option<Chunk> {
        if self.count == 0 {
            return None;
        }
        let bytes = Arc::from(self.bits.bytes());
        let chunk = Chunk { min: self.first, max: self.last, count: self.count, seq: 0, bytes };
        self.clear();
        Some(chunk)
    }

    /// As [`Open::clear`], and gives the memory back.
    pub(crate) fn release(&mut self) {
        self.clear();
        self.bits.shrink_to(0);
    }

    /// Drops the samples and keeps the newest one's time and value.
    pub(crate) fn clear(&mut self) {
        self.bits.clear();
        self.bits.shrink_to(256);
        self.count = 0;
    }
}

/// Decodes samples one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Points<'a> {
    bits: BitReader<'a>,
    left: u32,
    started: bool,
    t: i64,
    distance: i64,
    value: u64,
    leading: u32,
    width: u32,
}

impl<'a> Points<'a> {
    pub(crate) fn new(bytes: &'a [u8], first: i64, count: u32) -> Self {
        let bits = BitReader::new(bytes);
        Self { bits, left: count, started: false, t: first, distance: 0, value: 0, leading: 0, width: 0 }
    }

    #[inline]
    fn take_step(&mut self) -> Option<i64> {
        let word = self.bits.peek();
        let ones = word.leading_ones();
        if ones == 0 {
            self.bits.skip(1)?;
            return Some(0);
        }
        let Some((_, prefix, bits)) = STEPS.get(ones as usize - 1) else {
            self.bits.skip(4)?;
            return Some(self.bits.take(64)? as i64);
        };
        self.bits.skip(prefix + bits)?;
        Some((word << prefix) as i64 >> (64 - bits))
    }

    #[inline]
    fn take_xor(&mut self) -> Option<u64> {
        let word = self.bits.peek();
        match word >> 62 {
            0b00 | 0b01 => {
                self.bits.skip(1)?;
                return Some(0);
            }
            0b10 => self.bits.skip(2)?,
            _ => {
                self.bits.skip(14)?;
                self.leading = (word >> 56) as u32 & 63;
                self.width = ((word >> 50) as u32 & 63) + 1;
            }
        }
        let trailing = 64u32.checked_sub(self.leading + self.width).filter(|_| self.width > 0)?;
        Some(self.bits.take(self.width)? << trailing)
    }

    #[inline]
    fn advance(&mut self) -> Option<Point> {
        if self.started {
            self.distance = self.distance.wrapping_add(self.take_step()?);
            self.t = self.t.wrapping_add(self.distance);
            self.value ^= self.take_xor()?;
        } else {
            self.started = true;
            self.value = self.bits.take(64)?;
        }
        Some((self.t, self.value))
    }
}

impl Iterator for Points<'_> {
    type Item = Point;

    #[inline]
    fn next(&mut self) -> Option<Point> {
        self.left = self.left.checked_sub(1)?;
        self.advance()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

#[cfg(test)]
mod tests {
    use nave_model::sample::STALE_NAN_BITS;
    use proptest::prelude::*;

    use super::*;

    fn check(points: &[Point]) {
        let chunk = Chunk::encode(points).unwrap();
        assert_eq!(chunk.iter().collect::<Vec<_>>(), points);
        assert_eq!((chunk.min, chunk.max), (points[0].0, points[points.len() - 1].0));
        for (t, value) in points {
            assert_eq!(chunk.find(*t), Some(*value));
        }
    }

    #[test]
    fn edges_come_back_bit_for_bit() {
        check(&[(0, 0)]);
        check(&[(i64::MIN, u64::MAX), (i64::MAX, 0)]);
        check(&[(i64::MIN, 1), (0, 1), (i64::MAX, STALE_NAN_BITS)]);
        let steps = [0i64, 1, 129, 130, 8322, 8323, 8_400_000, 1 << 30, 1 << 40, (1 << 40) + 1];
        let values = [1.0f64, 1.0, -0.0, 0.0, f64::NAN, f64::INFINITY, 5e-324, 1e308, 2.0, 3.0];
        let points: Vec<_> = steps.iter().zip(values).map(|(t, v)| (*t, v.to_bits())).collect();
        check(&points);
    }

    #[test]
    fn an_even_series_is_small() {
        let points: Vec<_> = (0..120).map(|i| (i * 15_000, f64::to_bits(7.0))).collect();
        assert!(Chunk::encode(&points).unwrap().bytes.len() < 50);
    }

    proptest! {
        #[test]
        fn round_trip(steps in proptest::collection::vec((1i64..1 << 42, any::<u64>(), 0u32..64), 1..240)) {
            let mut t = -1_000_000;
            let mut points = Vec::new();
            for (step, value, shift) in steps {
                t += step >> (shift % 42);
                if points.last().is_none_or(|(last, _)| *last < t) {
                    points.push((t, value << shift));
                }
            }
            check(&points);
        }

        #[test]
        fn foreign_bits_end_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Points::new(&bytes, 5, 240).count() <= 240);
        }
    }
}
