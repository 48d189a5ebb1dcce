//! Where randomness comes from.

use std::ops::Range;

/// A source of choices: a generator, or bytes that a fuzzer made. After the last byte every choice is the first one, so
/// what is built from them ends.
#[derive(Debug)]
pub enum Choices {
    /// A generator.
    Seeded(fastrand::Rng),
    /// Bytes, the last one first.
    Bytes(Vec<u8>),
}

impl Choices {
    /// The choices of a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(fastrand::Rng::with_seed(seed))
    }

    /// The choices that `bytes` make.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.iter().rev().copied().collect())
    }

    /// A number in `range`, which is not empty.
    pub fn u32(&mut self, range: Range<u32>) -> u32 {
        match self {
            Self::Seeded(random) => random.u32(range),
            Self::Bytes(bytes) => range.start + number(bytes, u64::from(range.end - range.start)) as u32,
        }
    }

    /// A number in `range`, which is not empty.
    pub fn usize(&mut self, range: Range<usize>) -> usize {
        match self {
            Self::Seeded(random) => random.usize(range),
            Self::Bytes(bytes) => range.start + number(bytes, (range.end - range.start) as u64) as usize,
        }
    }

    /// A number in `range`, which is not empty.
    pub fn i64(&mut self, range: Range<i64>) -> i64 {
        match self {
            Self::Seeded(random) => random.i64(range),
            Self::Bytes(bytes) => range.start + number(bytes, range.end.abs_diff(range.start)) as i64,
        }
    }

    /// Yes or no.
    pub fn bool(&mut self) -> bool {
        match self {
            Self::Seeded(random) => random.bool(),
            Self::Bytes(bytes) => number(bytes, 2) == 1,
        }
    }
}

/// Below `below`, from as many bytes as that takes.
fn number(bytes: &mut Vec<u8>, below: u64) -> u64 {
    let (mut value, mut room) = (0_u64, 1_u64);
    while room < below {
        value = value << 8 | u64::from(bytes.pop().unwrap_or(0));
        room = room.saturating_mul(256);
    }
    value % below.max(1)
}
