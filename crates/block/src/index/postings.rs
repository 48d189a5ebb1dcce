//! One symbol's series as bytes: a single number inline, else differences as varints or a bitmap, whichever is smaller.
//!
//! ```text
//! entry   varint (series << 1 | 1)                  one series
//!         varint (bytes << 1), form, bytes - 1      more: form 0 = varints, form 1 = roaring, run-optimised
//! ```

use nave_base::varint;

use super::{Postings, SKIP};
use crate::damage::{Cursor, Damage, unseal};

/// What a report calls it.
const PART: &str = "index postings";

const VARINTS: u8 = 0;
const BITMAP: u8 = 1;

/// Appends `series`, which are ascending and not empty.
pub(super) fn put(out: &mut Vec<u8>, series: &[u32]) {
    if let [single] = series {
        return varint::put_u64(out, u64::from(*single) << 1 | 1);
    }
    let mut bytes = vec![VARINTS];
    let mut next = 0;
    for number in series {
        varint::put_u64(&mut bytes, u64::from(number - next));
        next = number + 1;
    }
    let mut bitmap: Postings = series.iter().copied().collect();
    bitmap.optimize();
    if bitmap.serialized_size() < bytes.len() {
        bytes = vec![BITMAP];
        bitmap.serialize_into(&mut bytes).expect("writing to memory does not fail");
    }
    varint::put_u64(out, (bytes.len() as u64) << 1);
    out.extend_from_slice(&bytes);
}

/// The series of all symbols, as bytes.
#[derive(Debug)]
pub(super) struct PostingsTable {
    series: u32,
    bytes: Vec<u8>,
    /// Where every 32nd entry begins.
    skips: Vec<usize>,
}

impl PostingsTable {
    /// Checks the section, which has the series of `symbols` symbols.
    pub(super) fn open(bytes: Vec<u8>, symbols: usize) -> Result<Self, Damage> {
        let mut cursor = unseal(PART, &bytes)?;
        let series = cursor.count("series", u32::MAX as usize)? as u32;
        let came = cursor.u64()?;
        if came != symbols as u64 {
            return Err(cursor.damage(format!("expected {symbols} symbols, came {came}")));
        }
        let skips = read_skips(&mut cursor, bytes.len())?;
        if skips.len() != symbols.div_ceil(SKIP) {
            let expected = symbols.div_ceil(SKIP);
            return Err(cursor.damage(format!("expected {expected} skips, came {}", skips.len())));
        }
        Ok(Self { series, bytes, skips })
    }

    pub(super) fn series(&self) -> u32 {
        self.series
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + self.skips.len() * size_of::<usize>()
    }

    /// Stands before all entries.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { table: self, next: usize::MAX, cursor: Cursor::new(PART, &[]) }
    }
}

/// Reads entries; cheapest in order.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    table: &'a PostingsTable,
    next: usize,
    cursor: Cursor<'a>,
}

impl Reader<'_> {
    /// Adds the series of a symbol to `found`.
    pub(super) fn add(&mut self, ordinal: u32, found: &mut Postings) -> Result<(), Damage> {
        let ordinal = ordinal as usize;
        // After damage nobody knows where it stands.
        let mut next = std::mem::replace(&mut self.next, usize::MAX);
        if ordinal < next || ordinal - next >= SKIP {
            let start = self.table.skips.get(ordinal / SKIP);
            let missing = || Damage::new("index dictionary", 0, format!("there is no symbol {ordinal}"));
            self.cursor = Cursor::new(PART, &self.table.bytes[*start.ok_or_else(missing)?..]);
            next = ordinal / SKIP * SKIP;
        }
        for _ in next..ordinal {
            skip(&mut self.cursor)?;
        }
        take(&mut self.cursor, self.table.series, found)?;
        self.next = ordinal + 1;
        Ok(())
    }
}

fn read_skips(cursor: &mut Cursor<'_>, len: usize) -> Result<Vec<usize>, Damage> {
    let mut table = cursor.part(PART)?;
    let mut at = len - cursor.left();
    let mut skips = Vec::new();
    while !table.is_empty() {
        at = at.saturating_add(table.count("bytes", len)?);
        if at > len {
            return Err(table.damage("a skip leads out of the postings"));
        }
        skips.push(at);
    }
    Ok(skips)
}

/// Steps over an entry.
fn skip(cursor: &mut Cursor<'_>) -> Result<(), Damage> {
    let head = cursor.u64()?;
    if head & 1 == 0 {
        cursor.take(usize::try_from(head >> 1).unwrap_or(usize::MAX))?;
    }
    Ok(())
}

/// Adds an entry's series to `out`; all are below `series`.
fn take(cursor: &mut Cursor<'_>, series: u32, out: &mut Postings) -> Result<(), Damage> {
    let head = cursor.u64()?;
    if head & 1 == 1 {
        let number = u32::try_from(head >> 1).ok().filter(|number| *number < series);
        out.insert(number.ok_or_else(|| cursor.damage(format!("expected one of {series} series")))?);
        return Ok(());
    }
    let bytes = cursor.take(usize::try_from(head >> 1).unwrap_or(usize::MAX))?;
    match bytes.split_first() {
        Some((&VARINTS, bytes)) => take_varints(bytes, series, out),
        Some((&BITMAP, bytes)) => take_bitmap(bytes, series, out),
        _ => Err(cursor.damage("expected a list or a bitmap of series")),
    }
}

fn take_varints(bytes: &[u8], series: u32, out: &mut Postings) -> Result<(), Damage> {
    let mut cursor = Cursor::new("postings list", bytes);
    let mut next = 0u64;
    while !cursor.is_empty() {
        let number = cursor.u64()?.saturating_add(next);
        let number = u32::try_from(number).ok().filter(|number| *number < series);
        let number = number.ok_or_else(|| cursor.damage(format!("expected one of {series} series")))?;
        out.insert(number);
        next = u64::from(number) + 1;
    }
    Ok(())
}

fn take_bitmap(mut bytes: &[u8], series: u32, out: &mut Postings) -> Result<(), Damage> {
    let broken = |what: String| Damage::new("postings bitmap", 0, what);
    let bitmap = Postings::deserialize_from(&mut bytes).map_err(|error| broken(error.to_string()))?;
    if !bytes.is_empty() || bitmap.max().is_some_and(|max| max >= series) {
        return Err(broken(format!("expected a bitmap of {series} series, it is larger")));
    }
    *out |= bitmap;
    Ok(())
}
