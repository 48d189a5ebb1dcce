//! All symbols in byte order, each by what it does not share with the one before.
//!
//! Every 32nd symbol stands whole, so that a symbol is found by halving and a walk of at most 31 steps, and an
//! ordinal's text by such a walk alone. In memory it is as large as its plain bytes; in the file they are compressed.

use nave_base::varint;
use std::io;

use super::SKIP;
use crate::damage::{Cursor, Damage, put_sized, seal, unseal};
use crate::stream::{Decoder, Encoder};

/// Plain bytes that are compressed together.
const CHUNK: usize = 64 << 10;

/// What a report calls it.
const PART: &str = "index dictionary";

/// Writes `symbols`, which ascend.
pub(super) fn write<'a>(
    symbols: impl Iterator<Item = &'a [u8]>,
    encoder: &mut Encoder,
) -> io::Result<Vec<u8>> {
    let (mut plain, mut skips, mut start, mut count) = (Vec::new(), Vec::new(), 0, 0usize);
    let mut before: &[u8] = &[];
    for symbol in symbols {
        if count.is_multiple_of(SKIP) {
            varint::put_u64(&mut skips, (plain.len() - start) as u64);
            (start, before) = (plain.len(), &[]);
        }
        let shared = symbol.iter().zip(before).take_while(|(a, b)| a == b).count();
        varint::put_u64(&mut plain, shared as u64);
        put_sized(&mut plain, &symbol[shared..]);
        (before, count) = (symbol, count + 1);
    }
    let (mut heads, mut chunks) = (Vec::new(), Vec::new());
    for chunk in plain.chunks(CHUNK) {
        let at = chunks.len();
        let compressed = encoder.put_bytes(chunk, &mut chunks)?;
        varint::put_u64(&mut heads, ((chunks.len() - at) as u64) << 1 | u64::from(compressed));
    }
    let mut out = vec![0; 4];
    varint::put_u64(&mut out, count as u64);
    put_sized(&mut out, &skips);
    put_sized(&mut out, &heads);
    out.extend_from_slice(&chunks);
    seal(&mut out, 0);
    Ok(out)
}

/// The symbols in memory.
#[derive(Debug)]
pub(super) struct Dictionary {
    symbols: usize,
    plain: Vec<u8>,
    /// Where every 32nd symbol is.
    starts: Vec<usize>,
}

impl Dictionary {
    /// Checks and decompresses the section.
    pub(super) fn open(bytes: &[u8], decoder: &mut Decoder) -> Result<Self, Damage> {
        let mut cursor = unseal(PART, bytes)?;
        let symbols = cursor.count("symbols", u32::MAX as usize)?;
        let mut skips = cursor.part(PART)?;
        let mut heads = cursor.part(PART)?;
        let mut plain = Vec::new();
        while !heads.is_empty() {
            let head = heads.u64()?;
            let stored = cursor.take(usize::try_from(head >> 1).unwrap_or(usize::MAX))?;
            if head & 1 == 1 {
                plain.extend_from_slice(&decoder.take_bytes_unsized(PART, stored, CHUNK)?);
            } else {
                plain.extend_from_slice(stored);
            }
        }
        cursor.end()?;
        let (mut starts, mut start) = (Vec::new(), 0usize);
        while !skips.is_empty() {
            start += skips.count("bytes", plain.len() - start)?;
            starts.push(start);
        }
        if starts.len() != symbols.div_ceil(SKIP) {
            let (expected, came) = (symbols.div_ceil(SKIP), starts.len());
            return Err(skips.damage(format!("expected {expected} skips, came {came}")));
        }
        Ok(Self { symbols, plain, starts })
    }

    pub(super) fn len(&self) -> usize {
        self.symbols
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        self.plain.len() + self.starts.len() * size_of::<usize>()
    }

    /// Stands before symbol `ordinal` of those that stand whole.
    fn walk_from(&self, group: usize) -> Walk<'_> {
        let at = self.starts.get(group).copied().unwrap_or(self.plain.len());
        let rest = Cursor::new(PART, &self.plain[at..]);
        Walk { symbols: self.symbols, next: group * SKIP, rest, key: Vec::new(), pending: false }
    }

    /// Stands before the first symbol that is not less than `target`.
    pub(super) fn seek(&self, target: &[u8]) -> Result<Walk<'_>, Damage> {
        let (mut low, mut high) = (0, self.starts.len());
        while low < high {
            let middle = (low + high) / 2;
            let mut walk = self.walk_from(middle);
            walk.step()?;
            if walk.key.as_slice() <= target { low = middle + 1 } else { high = middle }
        }
        let mut walk = self.walk_from(low.saturating_sub(1));
        while walk.step()? {
            if walk.key.as_slice() >= target {
                walk.pending = true;
                break;
            }
        }
        Ok(walk)
    }

    /// The text of a symbol.
    pub(super) fn text(&self, ordinal: u32) -> Result<Vec<u8>, Damage> {
        let mut walk = self.walk_from(ordinal as usize / SKIP);
        for _ in 0..=ordinal as usize % SKIP {
            if !walk.step()? {
                return Err(Damage::new(PART, 0, format!("there is no symbol {ordinal}")));
            }
        }
        Ok(walk.key)
    }
}

/// Goes through symbols in order.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    symbols: usize,
    /// The ordinal behind `key`'s.
    next: usize,
    rest: Cursor<'a>,
    key: Vec<u8>,
    /// Whether `key` has not been given yet.
    pending: bool,
}

impl Walk<'_> {
    /// Goes to the next symbol; false behind the last.
    fn step(&mut self) -> Result<bool, Damage> {
        if self.next >= self.symbols {
            return Ok(false);
        }
        let shared = if self.next.is_multiple_of(SKIP) { 0 } else { self.key.len() };
        let shared = self.rest.count("shared bytes", shared)?;
        let own = self.rest.sized()?;
        self.key.truncate(shared);
        self.key.extend_from_slice(own);
        self.next += 1;
        Ok(true)
    }

    /// The next symbol and its ordinal.
    pub(super) fn next(&mut self) -> Result<Option<(&[u8], u32)>, Damage> {
        let there = std::mem::take(&mut self.pending) || self.step()?;
        Ok(there.then(|| (self.key.as_slice(), (self.next - 1) as u32)))
    }

    /// The ordinal of the symbol that [`Walk::next`] will give.
    pub(super) fn ordinal(&self) -> u32 {
        (self.next - usize::from(self.pending)) as u32
    }
}
