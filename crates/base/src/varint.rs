//! LEB128 variable-length integers, the smallest shared piece of every byte format.

/// Appends `value`, 1 to 10 bytes.
pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` in zigzag form, so that small negative numbers stay short.
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Takes an integer off the front of `input`; `None` when it is cut short or longer than 64 bits.
#[inline]
pub fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (i, &byte) in input.iter().enumerate().take(10) {
        if i == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *input = &input[i + 1..];
            return Some(value);
        }
    }
    None
}

/// The inverse of [`put_i64`].
#[inline]
pub fn take_i64(input: &mut &[u8]) -> Option<i64> {
    let value = take_u64(input)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Takes a length and that many bytes off the front of `input`.
#[inline]
pub fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = *input;
    let len = usize::try_from(take_u64(&mut rest)?).ok()?;
    let (bytes, rest) = rest.split_at_checked(len)?;
    *input = rest;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_at_the_edges() {
        for value in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_u64(&mut out, value);
            put_i64(&mut out, value as i64);
            let mut rest = &out[..];
            assert_eq!(take_u64(&mut rest), Some(value));
            assert_eq!(take_i64(&mut rest), Some(value as i64));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn cut_or_overlong_input_is_none() {
        assert_eq!(take_u64(&mut &[0x80u8, 0x80][..]), None);
        assert_eq!(take_u64(&mut &[0xffu8; 10][..]), None);
        assert_eq!(take_bytes(&mut &[5u8, 1, 2][..]), None);
    }
}
