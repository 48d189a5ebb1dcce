//! Encoding 1: times as differences of differences, values as XOR with the one before.
//!
//! ```text
//! u16 count | varint t0, 64 bits v0 | uvarint t1 - t0, v1 | dod, v2 | dod, v3 | ...
//! dod   0 | 10 + 14 bits | 110 + 17 | 1110 + 20 | 1111 + 64
//! ```

use nave_base::varint;
use nave_model::select::Columns;
use nave_model::time::Timestamp;

use super::{Window, ascending};
use crate::bit::{BitReader, BitWriter, fits};
use crate::error::Damage;

/// Widths of a difference of differences by its prefix: 1 to 3 ones and a zero.
const DOD: [u32; 3] = [14, 17, 20];

pub(super) fn decode(bytes: &[u8], out: &mut Columns) -> Result<(), Damage> {
    let (count, rest) = bytes.split_first_chunk().ok_or("the chunk has no header")?;
    let mut reader = BitReader::new(rest);
    let mut window = Window::default();
    let (mut t, mut delta, mut value) = (0i64, 0i64, 0u64);
    for n in 0..u16::from_be_bytes(*count) {
        match n {
            0 => {
                t = reader.leb_i64()?;
                value = reader.take(64)?;
            }
            1 => {
                delta = reader.leb_u64()? as i64;
                t = t.wrapping_add(delta);
                value = window.take(&mut reader, value)?;
            }
            _ => {
                delta = delta.wrapping_add(take_dod(&mut reader)?);
                t = t.wrapping_add(delta);
                value = window.take(&mut reader, value)?;
            }
        }
        ascending(out, t)?;
        out.push(Timestamp(t), f64::from_bits(value));
    }
    Ok(())
}

fn take_dod(reader: &mut BitReader<'_>) -> Result<i64, Damage> {
    match reader.ones(4)? {
        0 => Ok(0),
        4 => Ok(reader.take(64)? as i64),
        ones => reader.signed(DOD[ones as usize - 1]),
    }
}

fn put_dod(writer: &mut BitWriter, dod: i64) {
    if dod == 0 {
        return writer.put(0, 1);
    }
    for (i, width) in (1..).zip(DOD) {
        if fits(dod, width) {
            writer.put((1 << (i + 1)) - 2, i + 1);
            return writer.put(dod as u64, width);
        }
    }
    writer.put(0b1111, 4);
    writer.put(dod as u64, 64);
}

/// A chunk of float samples, of which there is at least one and at most 65,535, ascending in time.
pub(super) fn encode(times: &[Timestamp], values: &[f64]) -> Vec<u8> {
    let mut head = (times.len() as u16).to_be_bytes().to_vec();
    varint::put_i64(&mut head, times[0].0);
    head.extend_from_slice(&values[0].to_bits().to_be_bytes());
    if times.len() > 1 {
        varint::put_u64(&mut head, times[1].0.wrapping_sub(times[0].0) as u64);
    }
    let mut writer = BitWriter::after(head);
    let mut window = Window::default();
    let mut before = None;
    for (n, (t, value)) in times.iter().zip(values).enumerate() {
        if let Some((last, delta, bits)) = before {
            let step = t.0.wrapping_sub(last);
            if n > 1 {
                put_dod(&mut writer, step.wrapping_sub(delta));
            }
            window.put(&mut writer, bits, value.to_bits());
            before = Some((t.0, step, value.to_bits()));
        } else {
            before = Some((t.0, 0, value.to_bits()));
        }
    }
    writer.into_bytes()
}
