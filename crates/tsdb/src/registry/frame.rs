//! Bytes of the registry: a header, then frames.

use std::io;

use nave_base::varint::{put_i64, put_u64, take_bytes, take_i64, take_u64};
use nave_model::append::Tenant;
use nave_model::label::Labels;

/// Series with their labels, zstd.
pub(super) const SERIES: u8 = 1;
/// Keys of raw label bytes.
pub(super) const KEYS: u8 = 2;
/// Metadata of families, as in the log.
pub(super) const METADATA: u8 = 3;
/// Exemplars, as in the log.
pub(super) const EXEMPLARS: u8 = 4;

/// Bytes before the first frame.
pub(super) const HEADER_BYTES: usize = 24;
/// Bytes of a frame before its payload.
pub(super) const FRAME_HEAD: usize = 9;
/// No payload is larger, nor what it holds compressed.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 << 20;

const MAGIC: &[u8; 8] = b"NAVESER\n";
const VERSION: u32 = 1;
/// Labels repeat so much that the quickest level is small enough: about 12 bytes a series.
const LEVEL: i32 = 1;

pub(super) fn header(generation: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&generation.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..20]);
    bytes[20..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// What is wrong with a header.
pub(super) fn check_header(bytes: &[u8], generation: u64) -> Result<(), String> {
    if bytes == header(generation) {
        return Ok(());
    }
    let whole = bytes.len() == HEADER_BYTES && bytes.starts_with(MAGIC);
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if whole && crc32c::crc32c(&bytes[..20]) == word(20) && word(8) != VERSION {
        return Err(format!(
            "the registry has format version {}, this program reads {VERSION}: use a later release",
            word(8)
        ));
    }
    Err("the header of the registry is damaged".to_owned())
}

fn checksum(len: u32, kind: u8, payload: &[u8]) -> u32 {
    let [a, b, c, d] = len.to_le_bytes();
    crc32c::crc32c_append(crc32c::crc32c(&[a, b, c, d, kind]), payload)
}

pub(super) fn put(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    debug_assert!(payload.len() <= PAYLOAD_BYTES_MAX, "frames are bounded by their writers");
    let len = payload.len() as u32;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&checksum(len, kind, payload).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
}

/// A frame's kind, length and checksum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) len: u32,
    crc: u32,
}

impl Head {
    pub(super) fn take(bytes: &[u8; FRAME_HEAD]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self { kind: bytes[8], len: word(0), crc: word(4) }
    }

    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        checksum(self.len, self.kind, payload) == self.crc
    }
}

/// Content of a frame of series in the making.
#[derive(Debug, Default)]
pub(super) struct SeriesContent {
    bytes: Vec<u8>,
    count: u64,
    last: u32,
}

impl SeriesContent {
    pub(super) fn push(&mut self, id: u32, labels: &Labels) {
        put_i64(&mut self.bytes, i64::from(id) - i64::from(self.last));
        put_u64(&mut self.bytes, labels.as_bytes().len() as u64);
        self.bytes.extend_from_slice(labels.as_bytes());
        self.last = id;
        self.count += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The payload; the content is empty then.
    pub(super) fn take(&mut self, tenant: &Tenant) -> io::Result<Vec<u8>> {
        let Self { bytes, count, .. } = std::mem::take(self);
        let mut payload = Vec::new();
        put_u64(&mut payload, count);
        put_u64(&mut payload, tenant.0.len() as u64);
        payload.extend_from_slice(tenant.0.as_bytes());
        put_u64(&mut payload, bytes.len() as u64);
        payload.extend_from_slice(&zstd::bulk::compress(&bytes, LEVEL)?);
        Ok(payload)
    }
}

/// How many series a frame has.
pub(super) fn series_count(mut payload: &[u8]) -> Option<u64> {
    take_u64(&mut payload)
}

/// Gives the tenant, then every series of a frame to `each`. `None` when it is damaged.
pub(super) fn series(
    mut payload: &[u8],
    unpack: &mut zstd::bulk::Decompressor<'_>,
    each: &mut dyn FnMut(&Tenant, u32, Labels),
) -> Option<()> {
    let rest = &mut payload;
    let count = take_u64(rest)?;
    let tenant = Tenant(std::str::from_utf8(take_bytes(rest)?).ok()?.into());
    let len = usize::try_from(take_u64(rest)?).ok().filter(|len| *len <= PAYLOAD_BYTES_MAX)?;
    let bytes = unpack.decompress(rest, len).ok().filter(|bytes| bytes.len() == len)?;
    let mut rest = &bytes[..];
    let mut id = 0i64;
    for _ in 0..count {
        id = id.checked_add(take_i64(&mut rest)?)?;
        let labels = Labels::from_bytes(take_bytes(&mut rest)?).ok()?;
        each(&tenant, u32::try_from(id).ok()?, labels);
    }
    rest.is_empty().then_some(())
}

/// Content of a frame of keys in the making.
#[derive(Debug, Default)]
pub(super) struct KeyContent {
    ids: Vec<u8>,
    keys: Vec<u8>,
    last: u32,
}

const KEY_BYTES: usize = 16;

impl KeyContent {
    pub(super) fn push(&mut self, key: u128, id: u32) {
        put_i64(&mut self.ids, i64::from(id) - i64::from(self.last));
        self.last = id;
        self.keys.extend_from_slice(&key.to_le_bytes());
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn count(&self) -> u64 {
        (self.keys.len() / KEY_BYTES) as u64
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        let count = self.count();
        let Self { ids, keys, .. } = std::mem::take(self);
        let mut payload = Vec::with_capacity(ids.len() + keys.len() + 8);
        put_u64(&mut payload, count);
        payload.extend_from_slice(&keys);
        payload.extend_from_slice(&ids);
        payload
    }
}

/// Gives every key of a frame with its series to `each`.
pub(super) fn keys(mut payload: &[u8], each: &mut dyn FnMut(u128, u32)) -> Option<()> {
    let rest = &mut payload;
    let count = usize::try_from(take_u64(rest)?).ok()?;
    let (keys, mut ids) = rest.split_at_checked(count.checked_mul(KEY_BYTES)?)?;
    let mut id = 0i64;
    for key in keys.as_chunks::<KEY_BYTES>().0 {
        id = id.checked_add(take_i64(&mut ids)?)?;
        each(u128::from_le_bytes(*key), u32::try_from(id).ok()?);
    }
    ids.is_empty().then_some(())
}
