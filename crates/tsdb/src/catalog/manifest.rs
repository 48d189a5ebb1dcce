//! The bytes of the manifest: `docs/format/manifest.md` draws them.

use std::sync::Arc;

use nave_base::varint::{put_i64, put_u64, take_bytes, take_i64, take_u64};
use nave_block::block::BlockId;
use nave_model::append::Tenant;
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::time::{TimeRange, Timestamp};

use super::{Entry, FileKind, FileMeta, RegistryLength, SeqRange, Tombstone, Version, Window};

const MAGIC: &[u8; 8] = b"NAVEMAN\n";
const VERSION: u32 = 1;
const HEAD: usize = MAGIC.len() + 4;
const CRC: usize = 4;

/// Bit of a file's flags.
const COLD: u8 = 1;

const OPS: [MatchOp; 4] = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];

pub(super) fn encode(version: &Version) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    put_u64(&mut out, version.next_seq);
    put_u64(&mut out, version.log_start);
    put_u64(&mut out, version.registry.generation);
    put_u64(&mut out, version.registry.bytes);
    put_u64(&mut out, u64::from(version.next_id));
    put_i64(&mut out, version.floor);
    put_u64(&mut out, version.files.len() as u64);
    version.files.iter().for_each(|entry| put_file(&mut out, entry));
    put_u64(&mut out, version.tombstones.len() as u64);
    version.tombstones.iter().for_each(|tombstone| put_tombstone(&mut out, tombstone));
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Decodes a manifest. After a start nothing is in memory, so `hot_seq` is behind every flush.
pub(super) fn decode(
    bytes: &[u8],
    open: &dyn Fn(FileMeta, Window, u64, bool) -> Entry,
) -> Result<Version, String> {
    if bytes.len() < HEAD + CRC || &bytes[..MAGIC.len()] != MAGIC {
        return Err(format!("expected a manifest, came {} bytes of something else", bytes.len()));
    }
    let (body, crc) = bytes.split_at(bytes.len() - CRC);
    let (expected, came) = (crc32c::crc32c(body).to_le_bytes(), crc);
    if came != expected {
        return Err(format!("its checksum is {came:02x?}, but its bytes have {expected:02x?}"));
    }
    let number = u32::from_le_bytes([body[8], body[9], body[10], body[11]]);
    if number != VERSION {
        return Err(format!(
            "it has format version {number}, this program reads {VERSION}: use a later release"
        ));
    }
    let mut rest = &body[HEAD..];
    let version = take_version(&mut rest, open).filter(|_| rest.is_empty());
    version.ok_or_else(|| format!("it cannot be read at offset {}", body.len() - rest.len()))
}

fn take_version(rest: &mut &[u8], open: &dyn Fn(FileMeta, Window, u64, bool) -> Entry) -> Option<Version> {
    let next_seq = take_u64(rest)?;
    let log_start = take_u64(rest)?;
    let registry = RegistryLength { generation: take_u64(rest)?, bytes: take_u64(rest)? };
    let next_id = u32::try_from(take_u64(rest)?).ok()?;
    let floor = take_i64(rest)?;
    let count = take_u64(rest)?;
    let mut files = Vec::new();
    for _ in 0..count {
        let (meta, window, bytes, cold) = take_file(rest)?;
        files.push(Arc::new(open(meta, window, bytes, cold)));
    }
    let count = take_u64(rest)?;
    let mut tombstones = Vec::new();
    for _ in 0..count {
        tombstones.push(take_tombstone(rest)?);
    }
    let tombstones = tombstones.into();
    let hot_seq = next_seq;
    Some(Version { number: 0, files, tombstones, next_seq, hot_seq, log_start, registry, next_id, floor })
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u64(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(rest)?).ok()
}

fn put_range(out: &mut Vec<u8>, range: TimeRange) {
    put_i64(out, range.min.0);
    put_i64(out, range.max.0);
}

fn take_range(rest: &mut &[u8]) -> Option<TimeRange> {
    Some(TimeRange { min: Timestamp(take_i64(rest)?), max: Timestamp(take_i64(rest)?) })
}

fn put_file(out: &mut Vec<u8>, entry: &Entry) {
    let meta = &entry.meta;
    out.extend_from_slice(&meta.id.0.to_be_bytes());
    out.push(if meta.kind == FileKind::Part { 1 } else { 2 });
    out.push(if entry.cold { COLD } else { 0 });
    put_text(out, &meta.tenant);
    put_u64(out, meta.seq.lo);
    put_u64(out, meta.seq.hi - meta.seq.lo);
    put_range(out, meta.range);
    put_i64(out, entry.window.start_ms);
    put_i64(out, entry.window.end_ms);
    put_u64(out, u64::from(meta.series));
    put_u64(out, meta.samples);
    put_u64(out, meta.histograms);
    put_u64(out, entry.bytes);
}

fn take_file(rest: &mut &[u8]) -> Option<(FileMeta, Window, u64, bool)> {
    let (id, tail) = rest.split_first_chunk::<16>()?;
    let (&[kind, flags], tail) = tail.split_first_chunk::<2>()?;
    *rest = tail;
    let kind = match kind {
        1 => FileKind::Part,
        2 => FileKind::Block,
        _ => return None,
    };
    let tenant = take_text(rest)?.to_owned();
    let lo = take_u64(rest)?;
    let seq = SeqRange { lo, hi: lo.checked_add(take_u64(rest)?)? };
    let range = take_range(rest)?;
    let window = Window { start_ms: take_i64(rest)?, end_ms: take_i64(rest)? };
    let series = u32::try_from(take_u64(rest)?).ok()?;
    let samples = take_u64(rest)?;
    let histograms = take_u64(rest)?;
    let bytes = take_u64(rest)?;
    let id = BlockId(u128::from_be_bytes(*id));
    let meta = FileMeta { id, kind, tenant, seq, range, series, samples, histograms };
    Some((meta, window, bytes, flags & COLD != 0))
}

fn put_tombstone(out: &mut Vec<u8>, tombstone: &Tombstone) {
    put_text(out, &tombstone.tenant.0);
    put_range(out, tombstone.range);
    put_u64(out, tombstone.seq);
    put_u64(out, tombstone.matchers.len() as u64);
    for matcher in &tombstone.matchers {
        out.push(OPS.iter().position(|op| *op == matcher.op()).unwrap_or_default() as u8);
        put_text(out, matcher.name());
        put_text(out, matcher.value());
    }
}

fn take_tombstone(rest: &mut &[u8]) -> Option<Tombstone> {
    let tenant = Tenant(Arc::from(take_text(rest)?));
    let range = take_range(rest)?;
    let seq = take_u64(rest)?;
    let count = take_u64(rest)?;
    let mut matchers = Vec::new();
    for _ in 0..count {
        let (op, tail) = rest.split_first()?;
        *rest = tail;
        let op = *OPS.get(usize::from(*op))?;
        matchers.push(Matcher::new(op, take_text(rest)?, take_text(rest)?).ok()?);
    }
    Some(Tombstone { tenant, matchers, range, seq })
}
