//! Encoding 4: floats with joint control bits and optional start timestamps, of the newest Prometheus only.
//!
//! ```text
//! u16 count | start byte | varint t0, 64 bits v0[, varint t0 - start] | uvarint t1 - t0, value[, start] | ...
//! from the third sample   0      same distance, same value
//!                         10     same distance, other value:   0 + bits | 1 + 5 + 6 + bits
//!                         110    distance changed, 13 bits, value
//!                         1110   20 bits, value
//!                         11110  64 bits, value
//!                         11111  same distance, stale marker
//! value                   0 same | 10 + bits | 110 + 5 + 6 + bits | 111 stale marker
//! ```
//!
//! The XOR is against the last value that was no stale marker.

use nave_model::sample::STALE_NAN_BITS;
use nave_model::select::Columns;
use nave_model::time::Timestamp;

use super::{Window, ascending};
use crate::bit::BitReader;
use crate::error::Damage;

/// The start timestamps beside the samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starts {
    /// Whether the first sample has one.
    first: bool,
    /// From which sample on there is a change in every one; 0 is never.
    from: u16,
    start: i64,
    difference: i64,
}

impl Starts {
    pub(super) fn new(header: u8) -> Self {
        Self { first: header & 0x80 != 0, from: u16::from(header & 0x7f), start: 0, difference: 0 }
    }

    /// Reads what stands behind sample `n` at `t`; `before` is the time of the one before.
    pub(super) fn take(
        &mut self,
        reader: &mut BitReader<'_>,
        n: u16,
        t: i64,
        before: i64,
    ) -> Result<(), Damage> {
        if n == 0 {
            if self.first {
                self.start = t.wrapping_sub(reader.leb_i64()?);
            }
        } else if self.from > 0 && n >= self.from {
            let read = reader.varbit_i64()?;
            self.difference = if n == self.from { read } else { self.difference.wrapping_add(read) };
            self.start = before.wrapping_sub(self.difference);
        }
        Ok(())
    }

    /// Adds the start of the sample pushed last.
    pub(super) fn push(&self, out: &mut Columns) {
        if self.first || self.from > 0 {
            out.start_timestamps.push(Timestamp(self.start));
        }
    }
}

pub(super) fn decode(bytes: &[u8], out: &mut Columns) -> Result<(), Damage> {
    let (header, rest) = bytes.split_first_chunk::<3>().ok_or("the chunk has no header")?;
    let mut starts = Starts::new(header[2]);
    let mut reader = BitReader::new(rest);
    let mut window = Window::default();
    let (mut t, mut delta, mut base) = (0i64, 0i64, 0u64);
    for n in 0..u16::from_be_bytes([header[0], header[1]]) {
        let before = t;
        let value = match n {
            0 => {
                t = reader.leb_i64()?;
                reader.take(64)?
            }
            1 => {
                delta = reader.leb_u64()? as i64;
                t = t.wrapping_add(delta);
                value(&mut reader, &mut window, base)?
            }
            _ => {
                let value = joint(&mut reader, &mut window, &mut delta, base)?;
                t = t.wrapping_add(delta);
                value
            }
        };
        if value != STALE_NAN_BITS {
            base = value;
        }
        starts.take(&mut reader, n, t, before)?;
        ascending(out, t)?;
        out.push(Timestamp(t), f64::from_bits(value));
        starts.push(out);
    }
    Ok(())
}

fn joint(reader: &mut BitReader<'_>, window: &mut Window, delta: &mut i64, base: u64) -> Result<u64, Damage> {
    let width = match reader.ones(5)? {
        0 => return Ok(base),
        1 if reader.bit()? => return Ok(base ^ window.take_new(reader)?),
        1 => return Ok(base ^ window.take_same(reader)?),
        5 => return Ok(STALE_NAN_BITS),
        ones => [13, 20, 64][ones as usize - 2],
    };
    let bits = reader.take(width)?;
    let dod = ((bits << (64 - width)) as i64) >> (64 - width);
    *delta = delta.wrapping_add(dod);
    value(reader, window, base)
}

fn value(reader: &mut BitReader<'_>, window: &mut Window, base: u64) -> Result<u64, Damage> {
    Ok(match reader.ones(3)? {
        0 => base,
        1 => base ^ window.take_same(reader)?,
        2 => base ^ window.take_new(reader)?,
        _ => STALE_NAN_BITS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bit::BitWriter;

    /// A chunk written by hand: five samples, one a stale marker, starts from the third on.
    #[test]
    fn joint_control_bits_and_starts() {
        let mut bits = BitWriter::after(vec![0, 5, 0x02, 200, 1]);
        bits.put(1.0f64.to_bits(), 64);
        // 15 later, the same value.
        bits.put(15, 8);
        bits.put(0, 1);
        // The same distance, another value in a new window; start 110 against 115.
        let xor = 1.0f64.to_bits() ^ 2.0f64.to_bits();
        let (leading, trailing) = (xor.leading_zeros(), xor.trailing_zeros());
        let width = 64 - leading - trailing;
        bits.put(0b101, 3);
        bits.put(u64::from(leading), 5);
        bits.put(u64::from(width & 63), 6);
        bits.put(xor >> trailing, width);
        bits.put_varbit_i64(5);
        // A stale marker; start 110 again, which is 20 before 130.
        bits.put(0b11111, 5);
        bits.put_varbit_i64(15);
        // Two earlier than expected, the value as before the marker.
        bits.put(0b110, 3);
        bits.put((-2i64) as u64, 13);
        bits.put(0, 1);
        bits.put_varbit_i64(15);
        let mut columns = Columns::default();
        decode(&bits.into_bytes(), &mut columns).unwrap();
        let times: Vec<_> = columns.timestamps.iter().map(|t| t.0).collect();
        assert_eq!(times, [100, 115, 130, 145, 158]);
        let bits: Vec<_> = columns.values.iter().map(|value| value.to_bits()).collect();
        let two = 2.0f64.to_bits();
        assert_eq!(bits, [1.0f64.to_bits(), 1.0f64.to_bits(), two, STALE_NAN_BITS, two]);
        let starts: Vec<_> = columns.start_timestamps.iter().map(|t| t.0).collect();
        assert_eq!(starts, [0, 0, 110, 110, 110]);
    }
}
