//! Chunks: runs of samples of one series, in every encoding that Prometheus has written.
//!
//! ```text
//! encoding  1  XOR floats                    4  the same, joint control bits, start timestamps
//!           2  histograms, integer counts    5  the same with start timestamps
//!           3  histograms, float counts      6  the same with start timestamps
//! ```
//!
//! This room knows the bytes between the length and the checksum; where they lie is [`crate::block`]'s and
//! [`crate::head_chunk`]'s. All encodings are read; 1, 2 and 3 are written, which every Prometheus reads.
//! Integer counts above 2^53 lose their lowest bits, because Nave counts in floats.

mod encode;
mod histogram;
mod histogram_write;
mod xor;
mod xor2;

pub use encode::{Encoded, encode};
pub(crate) use histogram::is_known as is_known_schema;

use nave_model::select::Columns;

use crate::error::Damage;

/// No chunk is longer; Prometheus aims at a kilobyte.
pub(crate) const CHUNK_BYTES_MAX: u64 = 16 << 20;

/// XOR floats.
pub const XOR: u8 = 1;
/// Native histograms with integer counts.
pub const HISTOGRAM: u8 = 2;
/// Native histograms with float counts.
pub const FLOAT_HISTOGRAM: u8 = 3;
const XOR2: u8 = 4;
const HISTOGRAM_ST: u8 = 5;
const FLOAT_HISTOGRAM_ST: u8 = 6;

/// Replaces the content of `out` by the samples of a chunk of `encoding`.
///
/// # Errors
/// When the bytes are not such a chunk, its times do not ascend, or the encoding is unknown; `out` then holds the
/// samples before the damage.
pub fn decode(encoding: u8, bytes: &[u8], out: &mut Columns) -> Result<(), Damage> {
    out.clear();
    match encoding {
        XOR => xor::decode(bytes, out),
        XOR2 => xor2::decode(bytes, out),
        HISTOGRAM | FLOAT_HISTOGRAM | HISTOGRAM_ST | FLOAT_HISTOGRAM_ST => {
            let header = histogram::Header::read(bytes, encoding >= HISTOGRAM_ST)?;
            let integer = matches!(encoding, HISTOGRAM | HISTOGRAM_ST);
            if integer { histogram::integers(&header, out) } else { histogram::floats(&header, out) }
        }
        other => Err(format!("chunk encoding {other} is unknown").into()),
    }
}

/// A sample must be later than the one before.
fn ascending(out: &Columns, t: i64) -> Result<(), Damage> {
    match out.timestamps.last() {
        Some(last) if last.0 >= t => Err(format!("time {t} follows {last}").into()),
        _ => Ok(()),
    }
}

/// Which bits of a XOR are written: the window between its leading and trailing zeros.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    leading: u32,
    trailing: u32,
    set: bool,
}

impl Window {
    /// Reads `5 bits leading, 6 bits width` and then a XOR of that width.
    fn take_new(&mut self, reader: &mut crate::bit::BitReader<'_>) -> Result<u64, Damage> {
        let leading = reader.take(5)? as u32;
        let width = match reader.take(6)? as u32 {
            0 => 64,
            width => width,
        };
        if leading + width > 64 {
            return Err("a value has more than 64 bits".into());
        }
        *self = Self { leading, trailing: 64 - leading - width, set: true };
        Ok(reader.take(width)? << self.trailing)
    }

    fn take_same(&self, reader: &mut crate::bit::BitReader<'_>) -> Result<u64, Damage> {
        Ok(reader.take(64 - self.leading - self.trailing)? << self.trailing)
    }

    /// Reads the value that follows `before`.
    fn take(&mut self, reader: &mut crate::bit::BitReader<'_>, before: u64) -> Result<u64, Damage> {
        let xor = match reader.ones(2)? {
            0 => 0,
            1 => self.take_same(reader)?,
            _ => self.take_new(reader)?,
        };
        Ok(before ^ xor)
    }

    /// Writes the value that follows `before`.
    fn put(&mut self, writer: &mut crate::bit::BitWriter, before: u64, value: u64) {
        let xor = before ^ value;
        if xor == 0 {
            return writer.put(0, 1);
        }
        let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        if self.set && leading >= self.leading && trailing >= self.trailing {
            writer.put(0b10, 2);
            return writer.put(xor >> self.trailing, 64 - self.leading - self.trailing);
        }
        *self = Self { leading, trailing, set: true };
        let width = 64 - leading - trailing;
        writer.put(0b11, 2);
        writer.put(u64::from(leading), 5);
        writer.put(u64::from(width & 63), 6);
        writer.put(xor >> trailing, width);
    }
}
