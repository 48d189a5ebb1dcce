//! Pools of integers as bytes: the smaller of two codings.
//!
//! A stream holds the residuals of many columns of alike size, one after the other. It is coded by pco (wrapped
//! format: header, chunk, one page; no differences of its own, they were taken inside the columns) or as zigzag
//! varints compressed by zstd. Which one is smaller depends on the data, so both are tried.
//!
//! A stream does not know its length: the page's directory says how many numbers and bytes it has.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pco::data_types::Number;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec, PagingSpec};

use crate::column::{unzigzag, zigzag};
use crate::damage::Damage;
use nave_base::varint;

/// What encoding may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// Little: for what lives some hours.
    Fast,
    /// What makes it small.
    #[default]
    Small,
}

impl Effort {
    /// Of pco; 12 saves 1 to 3 % over 8 for half the speed.
    fn pco_level(self) -> usize {
        if self == Self::Fast { 4 } else { 8 }
    }

    /// Of zstd; 9 saves 0.2 % of a block over 6.
    fn zstd_level(self) -> i32 {
        if self == Self::Fast { 1 } else { 9 }
    }
}

/// A varint has at most this many bytes.
const VARINT_MAX: usize = 10;

/// From so many numbers on a fast encoder trusts that pco wins.
const PCO_ALONE: usize = 256;

/// How a stream is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Zigzag varints, then zstd.
    Zstd,
    /// pco over integers of 64 bits.
    Pco64,
    /// pco over integers of 32 bits.
    Pco32,
    /// pco over integers of 16 bits.
    Pco16,
}

impl Codec {
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Zstd, Self::Pco64, Self::Pco32, Self::Pco16].into_iter().find(|codec| codec.code() == code)
    }

    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

/// Which codings are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    /// Mostly zeros: pco cannot win.
    Sparse,
    /// Both.
    Dense,
}

/// Writes streams; keeps its compression context and buffers.
pub(crate) struct Encoder {
    effort: Effort,
    zstd: zstd::bulk::Compressor<'static>,
    varints: Vec<u8>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    pub(crate) fn new(effort: Effort) -> io::Result<Self> {
        let zstd = zstd::bulk::Compressor::new(effort.zstd_level())?;
        Ok(Self { effort, zstd, varints: Vec::new() })
    }

    /// Appends `values`, which are not empty, to `out`.
    pub(crate) fn put(&mut self, values: &[i64], trial: Trial, out: &mut Vec<u8>) -> io::Result<Codec> {
        if trial == Trial::Dense && self.effort == Effort::Fast && values.len() >= PCO_ALONE {
            let (codec, numbers) = put_narrowest(values, self.effort)?;
            out.extend_from_slice(&numbers);
            return Ok(codec);
        }
        self.varints.clear();
        values.iter().for_each(|value| varint::put_u64(&mut self.varints, zigzag(*value)));
        let packed = self.zstd.compress(&self.varints)?;
        if trial == Trial::Dense {
            let (codec, numbers) = put_narrowest(values, self.effort)?;
            if numbers.len() < packed.len() {
                out.extend_from_slice(&numbers);
                return Ok(codec);
            }
        }
        out.extend_from_slice(&packed);
        Ok(Codec::Zstd)
    }

    /// Appends `bytes` to `out`, compressed when that is smaller; true when it is.
    pub(crate) fn put_bytes(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
        let packed = self.zstd.compress(bytes)?;
        let smaller = packed.len() < bytes.len();
        out.extend_from_slice(if smaller { &packed } else { bytes });
        Ok(smaller)
    }
}

fn put_narrowest(values: &[i64], effort: Effort) -> io::Result<(Codec, Vec<u8>)> {
    let (min, max) = values.iter().fold((0, 0), |(min, max), value| (*value.min(&min), *value.max(&max)));
    let fits = |low: i64, high: i64| low <= min && max <= high;
    if fits(i16::MIN.into(), i16::MAX.into()) {
        let narrow: Vec<i16> = values.iter().map(|value| *value as i16).collect();
        return Ok((Codec::Pco16, put_pco(&narrow, effort)?));
    }
    if fits(i32::MIN.into(), i32::MAX.into()) {
        let narrow: Vec<i32> = values.iter().map(|value| *value as i32).collect();
        return Ok((Codec::Pco32, put_pco(&narrow, effort)?));
    }
    Ok((Codec::Pco64, put_pco(values, effort)?))
}

fn put_pco<T: Number>(values: &[T], effort: Effort) -> io::Result<Vec<u8>> {
    let config = ChunkConfig::default()
        .with_compression_level(effort.pco_level())
        .with_mode_spec(ModeSpec::Classic)
        .with_delta_spec(DeltaSpec::NoOp)
        .with_paging_spec(PagingSpec::Exact(vec![values.len()]));
    let file = FileCompressor::default();
    let mut chunk = file.chunk_compressor(values, &config).map_err(io::Error::other)?;
    let out = file.write_header(Vec::new()).and_then(|out| chunk.write_meta(out));
    out.and_then(|out| chunk.write_page(0, out)).map_err(io::Error::other)
}

/// Decoded numbers, as wide as they need to be: decoded pages are kept in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Numbers {
    Narrow(Vec<i16>),
    Middle(Vec<i32>),
    Wide(Vec<i64>),
}

impl Numbers {
    /// `seen` has all bits that occur in the zigzag forms of `wide`.
    fn narrowest(wide: Vec<i64>, seen: u64) -> Self {
        if seen <= u64::from(u16::MAX) {
            Self::Narrow(wide.into_iter().map(|number| number as i16).collect())
        } else if seen <= u64::from(u32::MAX) {
            Self::Middle(wide.into_iter().map(|number| number as i32).collect())
        } else {
            Self::Wide(wide)
        }
    }
}

/// Reads streams; keeps its decompression context and buffers.
///
/// A context is large and many readers meet no zstd at all, so it is made when it is needed first, and handed on to
/// the next decoder afterwards.
#[derive(Default)]
pub(crate) struct Decoder {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    varints: Vec<u8>,
}

/// Contexts that wait for the next decoder.
static SPARE: Mutex<Vec<zstd::bulk::Decompressor<'static>>> = Mutex::new(Vec::new());
/// No more of them are kept.
const SPARE_MAX: usize = 16;

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        if let Some(zstd) = self.zstd.take() {
            let mut spare = spare();
            if spare.len() < SPARE_MAX {
                spare.push(zstd);
            }
        }
    }
}

fn spare() -> MutexGuard<'static, Vec<zstd::bulk::Decompressor<'static>>> {
    // Contexts are as good as new whatever happened to their last user.
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Decoder {
    fn zstd(&mut self) -> io::Result<&mut zstd::bulk::Decompressor<'static>> {
        let zstd = match self.zstd.take() {
            Some(zstd) => zstd,
            None => match spare().pop() {
                Some(zstd) => zstd,
                None => zstd::bulk::Decompressor::new()?,
            },
        };
        Ok(self.zstd.insert(zstd))
    }

    /// The `count` numbers of a stream; the caller has bounded `count`.
    pub(crate) fn take(&mut self, codec: Codec, bytes: &[u8], count: usize) -> Result<Numbers, Damage> {
        match codec {
            Codec::Zstd => self.take_varints(bytes, count),
            Codec::Pco64 => take_pco(bytes, count).map(Numbers::Wide),
            Codec::Pco32 => take_pco(bytes, count).map(Numbers::Middle),
            Codec::Pco16 => take_pco(bytes, count).map(Numbers::Narrow),
        }
    }

    /// The inverse of [`Encoder::put_bytes`]; at most `max` bytes.
    pub(crate) fn take_bytes(
        &mut self,
        part: &'static str,
        bytes: &[u8],
        max: usize,
    ) -> Result<Vec<u8>, Damage> {
        let mut out = Vec::with_capacity(max);
        let read = self.zstd().and_then(|zstd| zstd.decompress_to_buffer(bytes, &mut out));
        read.map_err(|error| Damage::new(part, 0, format!("zstd: {error}")))?;
        Ok(out)
    }

    /// As [`Decoder::take_bytes`], where no length was declared but by zstd's frame: it is met by `max` first.
    pub(crate) fn take_bytes_unsized(
        &mut self,
        part: &'static str,
        bytes: &[u8],
        max: usize,
    ) -> Result<Vec<u8>, Damage> {
        let len = zstd::bulk::Decompressor::upper_bound(bytes).unwrap_or(usize::MAX);
        if len > max {
            return Err(Damage::new(part, 0, format!("expected at most {max} bytes, came {len}")));
        }
        self.take_bytes(part, bytes, len)
    }

    fn take_varints(&mut self, bytes: &[u8], count: usize) -> Result<Numbers, Damage> {
        let mut varints = std::mem::take(&mut self.varints);
        varints.clear();
        varints.reserve(count * VARINT_MAX);
        let read = self.zstd().and_then(|zstd| zstd.decompress_to_buffer(bytes, &mut varints));
        self.varints = varints;
        read.map_err(|error| Damage::new("stream", 0, format!("zstd: {error}")))?;
        let mut out = Vec::with_capacity(count);
        let (mut rest, mut seen) = (&self.varints[..], 0);
        for i in 0..count {
            let value = match rest.split_first() {
                Some((byte, tail)) if *byte < 0x80 => {
                    rest = tail;
                    u64::from(*byte)
                }
                _ => varint::take_u64(&mut rest).ok_or_else(|| {
                    Damage::new("stream", i, format!("expected {count} numbers, number {i} is cut short"))
                })?,
            };
            seen |= value;
            out.push(unzigzag(value));
        }
        match rest.len() {
            0 => Ok(Numbers::narrowest(out, seen)),
            more => {
                Err(Damage::new("stream", count, format!("expected {count} numbers, {more} bytes are left")))
            }
        }
    }
}

fn take_pco<T: Number + Default>(bytes: &[u8], count: usize) -> Result<Vec<T>, Damage> {
    let broken = |error| Damage::new("stream", 0, format!("pco: {error}"));
    let (file, rest) = FileDecompressor::new(bytes).map_err(broken)?;
    let (mut chunk, rest) = file.chunk_decompressor::<T, _>(rest).map_err(broken)?;
    let mut page = chunk.page_decompressor(rest, count).map_err(broken)?;
    let mut out = vec![T::default(); count];
    let progress = page.read(&mut out).map_err(broken)?;
    if progress.n_processed != count || !progress.finished || !page.into_src().is_empty() {
        return Err(Damage::new("stream", 0, format!("pco: expected exactly {count} numbers, came others")));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wide(numbers: Numbers) -> Vec<i64> {
        match numbers {
            Numbers::Narrow(numbers) => numbers.into_iter().map(Into::into).collect(),
            Numbers::Middle(numbers) => numbers.into_iter().map(Into::into).collect(),
            Numbers::Wide(numbers) => numbers,
        }
    }

    fn check(values: &[i64], trial: Trial) -> Codec {
        let mut decoder = Decoder::default();
        let mut fast = Vec::new();
        let codec = Encoder::new(Effort::Fast).unwrap().put(values, trial, &mut fast).unwrap();
        assert_eq!(wide(decoder.take(codec, &fast, values.len()).unwrap()), values);
        let mut bytes = Vec::new();
        let codec = Encoder::new(Effort::Small).unwrap().put(values, trial, &mut bytes).unwrap();
        assert_eq!(wide(decoder.take(codec, &bytes, values.len()).unwrap()), values);
        if codec == Codec::Zstd {
            assert!(decoder.take(codec, &bytes, values.len() + 1).is_err(), "one more than there are");
        }
        assert!(decoder.take(codec, &bytes[..bytes.len() - 1], values.len()).is_err(), "cut short");
        codec
    }

    #[test]
    fn the_smaller_coding_wins() {
        let noise = |bits: u32| -> Vec<i64> {
            let mut state = 1u64;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as i64
            };
            (0..5000).map(|_| next() >> (64 - bits)).collect()
        };
        assert_eq!(check(&[0; 500], Trial::Sparse), Codec::Zstd);
        assert_eq!(check(&noise(5), Trial::Dense), Codec::Pco16);
        assert_eq!(check(&noise(19), Trial::Dense), Codec::Pco32);
        assert_eq!(check(&noise(50), Trial::Dense), Codec::Pco64);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn every_stream_comes_back(values in prop::collection::vec(prop_oneof![any::<i64>(), -9i64..9], 1..400)) {
            check(&values, Trial::Dense);
            check(&values, Trial::Sparse);
        }

        #[test]
        fn foreign_bytes_are_damage_or_numbers(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 1usize..300) {
            let mut decoder = Decoder::default();
            for codec in [Codec::Zstd, Codec::Pco64, Codec::Pco32, Codec::Pco16] {
                if let Ok(numbers) = decoder.take(codec, &bytes, count) {
                    assert_eq!(wide(numbers).len(), count);
                }
            }
        }
    }
}
