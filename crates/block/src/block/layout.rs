//! Header, page directory and footer: where what is.

use nave_base::varint;
use nave_model::time::{TimeRange, Timestamp};

use super::BlockId;
use crate::damage::{Cursor, Damage, seal, unseal};
use crate::page::Kind;

/// The first bytes of a block.
const MAGIC: [u8; 8] = *b"NAVEBLK\n";
/// The last bytes of a block.
const END: [u8; 8] = *b"\nNAVEEND";
/// The version of the format.
const VERSION: u32 = 1;
/// Bytes of the header.
pub(super) const HEADER_LEN: usize = 32;
/// Bytes of the footer.
pub(super) const FOOTER_LEN: usize = 96;

/// Why a header or a footer is not taken.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    Version(u32),
    Damage(Damage),
}

/// A part of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// The sections that the footer names, in order of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) dictionary: Section,
    pub(super) postings: Section,
    pub(super) rows: Section,
    pub(super) directory: Section,
    pub(super) meta: Section,
}

/// One page: where it is and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageEntry {
    /// What its columns hold.
    pub kind: Kind,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes.
    pub len: usize,
    /// First series (values, ids) or first column (times, histograms).
    pub first: u32,
    /// Last series (values, ids) or last column (times, histograms).
    pub last: u32,
    /// Its samples; of histograms the doubles in its columns.
    pub samples: usize,
    /// First and last sample; of times the smallest and the greatest number; nothing of ids.
    pub range: TimeRange,
}

pub(super) fn put_header(out: &mut Vec<u8>, id: BlockId) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&id.0.to_be_bytes());
    let crc = crc32c::crc32c(out);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The name in the header.
pub(super) fn take_header(bytes: &[u8]) -> Result<BlockId, Refusal> {
    let mut cursor = Cursor::new("header", bytes);
    let mut read = || {
        let magic = cursor.fixed::<8>()?;
        if magic != MAGIC {
            return Err(Damage::new("header", 0, "expected the first bytes of a block"));
        }
        Ok((cursor.u32()?, cursor.fixed()?, cursor.u32()?))
    };
    let (version, id, crc) = read().map_err(Refusal::Damage)?;
    check("header", &bytes[..HEADER_LEN - 4], crc)?;
    if version == VERSION { Ok(BlockId(u128::from_be_bytes(id))) } else { Err(Refusal::Version(version)) }
}

fn check(part: &'static str, bytes: &[u8], expected: u32) -> Result<(), Refusal> {
    let came = crc32c::crc32c(bytes);
    let what = || format!("expected checksum {expected:08x}, the bytes have {came:08x}");
    if came == expected { Ok(()) } else { Err(Refusal::Damage(Damage::new(part, 0, what()))) }
}

impl Footer {
    fn sections(&self) -> [Section; 5] {
        [self.dictionary, self.postings, self.rows, self.directory, self.meta]
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        for Section { offset, len } in self.sections() {
            out.extend_from_slice(&offset.to_le_bytes());
            out.extend_from_slice(&len.to_le_bytes());
        }
        out.extend_from_slice(&VERSION.to_le_bytes());
        let crc = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&END);
    }

    /// The footer of a file of `file_len` bytes; its sections lie inside, one behind the other.
    pub(super) fn take(bytes: &[u8], file_len: u64) -> Result<Self, Refusal> {
        let mut cursor = Cursor::new("footer", bytes);
        let mut read = || {
            let mut sections = [Section::default(); 5];
            for section in &mut sections {
                let mut number = || cursor.fixed().map(u64::from_le_bytes);
                *section = Section { offset: number()?, len: number()? };
            }
            let (version, crc) = (cursor.u32()?, cursor.u32()?);
            match cursor.fixed::<8>()? {
                END => Ok((sections, version, crc)),
                _ => Err(Damage::new("footer", FOOTER_LEN - 8, "expected the last bytes of a block")),
            }
        };
        let (sections, version, crc) = read().map_err(Refusal::Damage)?;
        check("footer", &bytes[..FOOTER_LEN - 12], crc)?;
        if version != VERSION {
            return Err(Refusal::Version(version));
        }
        let end = file_len.saturating_sub(FOOTER_LEN as u64);
        let mut next = sections[0].offset;
        for section in sections {
            let follows = section.offset == next && section.offset >= HEADER_LEN as u64;
            next =
                section.offset.checked_add(section.len).filter(|next| follows && *next <= end).ok_or_else(
                    || {
                        Refusal::Damage(Damage::new(
                            "footer",
                            0,
                            format!("section at {} is not in its place", section.offset),
                        ))
                    },
                )?;
        }
        if next != end {
            return Err(Refusal::Damage(Damage::new(
                "footer",
                0,
                "expected the last section to end at the footer",
            )));
        }
        let [dictionary, postings, rows, directory, meta] = sections;
        Ok(Self { dictionary, postings, rows, directory, meta })
    }
}

pub(super) fn put_directory(out: &mut Vec<u8>, pages: &[PageEntry]) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    varint::put_u64(out, pages.len() as u64);
    for page in pages {
        out.push(page.kind.code());
        varint::put_u64(out, page.len as u64);
        varint::put_u64(out, u64::from(page.first));
        varint::put_u64(out, u64::from(page.last - page.first));
        varint::put_u64(out, page.samples as u64);
        varint::put_i64(out, page.range.min.0);
        varint::put_u64(out, page.range.max.0.wrapping_sub(page.range.min.0) as u64);
    }
    seal(out, start);
}

/// The pages, which fill the file from the header to `end`.
pub(super) fn take_directory(bytes: &[u8], end: u64) -> Result<Vec<PageEntry>, Damage> {
    let mut cursor = unseal("directory", bytes)?;
    let count = cursor.count("pages", bytes.len())?;
    let mut pages = Vec::with_capacity(count);
    let mut offset = HEADER_LEN as u64;
    for _ in 0..count {
        let page = take_page(&mut cursor, offset)?;
        offset = offset.saturating_add(page.len as u64);
        if offset > end {
            return Err(cursor.damage(format!("expected pages up to {end}, one ends at {offset}")));
        }
        pages.push(page);
    }
    cursor.end()?;
    if offset != end {
        return Err(cursor.damage(format!("expected pages up to {end}, they end at {offset}")));
    }
    Ok(pages)
}

fn take_page(cursor: &mut Cursor<'_>, offset: u64) -> Result<PageEntry, Damage> {
    let code = cursor.byte()?;
    let kind = Kind::from_code(code).ok_or_else(|| cursor.damage(format!("unknown kind of page {code}")))?;
    let len = cursor.count("bytes of a page", u32::MAX as usize)?;
    let first = cursor.count("series or columns", u32::MAX as usize)? as u32;
    let more = cursor.count("series or columns", (u32::MAX - first) as usize)? as u32;
    let samples = cursor.count("samples", kind.samples_max())?;
    let min = cursor.i64()?;
    let max = min.wrapping_add(cursor.u64()? as i64);
    let range = TimeRange { min: Timestamp(min), max: Timestamp(max) };
    Ok(PageEntry { kind, offset, len, first, last: first + more, samples, range })
}
