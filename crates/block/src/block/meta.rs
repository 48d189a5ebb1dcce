//! What a block is: its name, its tenant, its time range and its counts.

use std::fmt;
use std::str::FromStr;

use nave_base::random::Random;
use nave_base::varint;
use nave_model::time::{TimeRange, Timestamp};

use crate::damage::{Cursor, Damage, put_sized, seal, unseal};

/// The name of a block: a ULID, 48 bits of milliseconds and 80 random bits. Sorts by the time it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u128);

/// Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a ULID.
const LEN: usize = 26;

impl BlockId {
    /// A new name.
    #[must_use]
    pub fn generate(now: Timestamp, random: &Random) -> Self {
        let noise = u128::from(random.u64()) << 16 | u128::from(random.u64() & 0xffff);
        Self(u128::from(now.0 as u64 & 0xffff_ffff_ffff) << 80 | noise)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |i: usize| char::from(DIGITS[(self.0 >> (5 * (LEN - 1 - i)) & 31) as usize]);
        f.write_str(&(0..LEN).map(digit).collect::<String>())
    }
}

/// Not a ULID: 26 characters of Crockford's base 32 in capitals.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a ULID of 26 characters, came {0:?}")]
pub struct NotAnId(String);

impl FromStr for BlockId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let wrong = || NotAnId(text.chars().take(40).collect());
        if text.len() != LEN || !matches!(text.as_bytes()[0], b'0'..=b'7') {
            return Err(wrong());
        }
        let mut id = 0;
        for byte in text.bytes() {
            let digit = DIGITS.iter().position(|digit| *digit == byte).ok_or_else(wrong)?;
            id = id << 5 | digit as u128;
        }
        Ok(Self(id))
    }
}

/// The flushes of the store whose samples a file holds: `lo ..= hi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeqRange {
    /// The first.
    pub lo: u64,
    /// The last.
    pub hi: u64,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileKind {
    /// Pages and numbers of series, without a label index: what a flush writes.
    Part,
    /// With a label index.
    #[default]
    Block,
}

/// What a block says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Its name.
    pub id: BlockId,
    /// Whose data it is; empty without tenants.
    pub tenant: String,
    /// First and last sample; of an empty block a range in which nothing is.
    pub range: TimeRange,
    /// Its series.
    pub series: u32,
    /// Samples in all pages.
    pub samples: u64,
    /// How many of them are native histograms.
    pub histograms: u64,
    /// Which flushes it holds.
    pub seq: SeqRange,
    /// With or without a label index.
    pub kind: FileKind,
}

/// The most bytes of a tenant's name.
const TENANT_MAX: usize = 1024;

impl Meta {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.id.0.to_be_bytes());
        put_sized(out, self.tenant.as_bytes());
        varint::put_i64(out, self.range.min.0);
        varint::put_i64(out, self.range.max.0);
        varint::put_u64(out, u64::from(self.series));
        for number in [self.samples, self.histograms, self.seq.lo, self.seq.hi] {
            varint::put_u64(out, number);
        }
        out.push(u8::from(self.kind == FileKind::Block));
        seal(out, start);
    }

    pub(super) fn take(bytes: &[u8]) -> Result<Self, Damage> {
        let mut cursor: Cursor<'_> = unseal("meta", bytes)?;
        let id = BlockId(u128::from_be_bytes(cursor.fixed()?));
        let tenant = cursor.sized()?;
        let tenant = std::str::from_utf8(tenant).ok().filter(|tenant| tenant.len() <= TENANT_MAX);
        let tenant = tenant.ok_or_else(|| cursor.damage("expected a tenant's name"))?.to_owned();
        let range = TimeRange { min: Timestamp(cursor.i64()?), max: Timestamp(cursor.i64()?) };
        let series = cursor.count("series", u32::MAX as usize)? as u32;
        let (samples, histograms) = (cursor.u64()?, cursor.u64()?);
        let seq = SeqRange { lo: cursor.u64()?, hi: cursor.u64()? };
        let kind = match cursor.byte()? {
            0 => FileKind::Part,
            1 => FileKind::Block,
            code => return Err(cursor.damage(format!("unknown kind of file {code}"))),
        };
        cursor.end()?;
        Ok(Self { id, tenant, range, series, samples, histograms, seq, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ulids() {
        let check = |id: u128, text: &str| {
            assert_eq!(BlockId(id).to_string(), text);
            assert_eq!(text.parse(), Ok(BlockId(id)));
        };
        check(0, "00000000000000000000000000");
        check(u128::MAX, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        check(1_469_918_176_385 << 80, "01ARYZ6S410000000000000000");
        for wrong in ["", "0", "80000000000000000000000000", "0000000000000000000000000U"] {
            assert!(wrong.parse::<BlockId>().is_err(), "{wrong}");
        }
        let random = Random::from_seed(1);
        assert!(BlockId::generate(Timestamp(1), &random) < BlockId::generate(Timestamp(2), &random));
    }
}
