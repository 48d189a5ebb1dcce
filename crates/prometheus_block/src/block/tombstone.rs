//! `tombstones`: deleted stretches of series.
//!
//! ```text
//! 01 30 BA 30 | version 1 | (uvarint series, varint min, varint max)* | u32 CRC-32C of the entries
//! ```

use std::collections::HashMap;
use std::io;
use std::path::Path;

use nave_base::disk::Disk;
use nave_base::varint;
use nave_model::time::{TimeRange, Timestamp};

use crate::columns::joined;
use crate::error::{Damage, Error};

const HEADER: [u8; 5] = [0x01, 0x30, 0xba, 0x30, 1];
const BYTES_MAX: u64 = 256 << 20;

/// By series, sorted and apart from each other. A block without the file has none.
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<HashMap<u64, Vec<TimeRange>>, Error> {
    let path = dir.join("tombstones");
    let file = match disk.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        file => file.map_err(Error::io(&path))?,
    };
    if file.len().map_err(Error::io(&path))? > BYTES_MAX {
        return Err(Damage::from("too long for tombstones").at(&path, 0));
    }
    let bytes = file.read_from(0).map_err(Error::io(&path))?;
    parse(&bytes).map_err(|damage| damage.at(&path, 0))
}

fn parse(bytes: &[u8]) -> Result<HashMap<u64, Vec<TimeRange>>, Damage> {
    let rest = bytes.strip_prefix(&HEADER).ok_or("no header of tombstones of version 1")?;
    let (mut entries, stored) = rest.split_last_chunk::<4>().ok_or("the checksum is missing")?;
    let (stored, computed) = (u32::from_be_bytes(*stored), crc32c::crc32c(entries));
    if stored != computed {
        return Err(Damage::checksum(stored, computed));
    }
    let mut all: HashMap<u64, Vec<TimeRange>> = HashMap::new();
    while !entries.is_empty() {
        let entry = (|| {
            let series = varint::take_u64(&mut entries)?;
            let (min, max) = (varint::take_i64(&mut entries)?, varint::take_i64(&mut entries)?);
            Some((series, TimeRange { min: Timestamp(min), max: Timestamp(max) }))
        })();
        let (series, range) = entry.ok_or("an entry is cut short")?;
        all.entry(series).or_default().push(range);
    }
    Ok(all.into_iter().map(|(series, ranges)| (series, joined(ranges))).collect())
}

/// A file without entries.
pub(super) fn empty() -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    bytes.extend_from_slice(&0u32.to_be_bytes());
    bytes
}
