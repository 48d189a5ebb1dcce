//! The table of symbols of a request that is read.

use bytes::Bytes;

use crate::write_v1::Error;
use crate::write_v1::field::{Fields, Wire};

/// What is expected of a reference.
const IN_TABLE: &str = "a reference to one of the symbols";

/// Ranges of the body.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    body: Bytes,
    ranges: Vec<(u32, u32)>,
}

impl Symbols {
    pub(super) fn new(body: Bytes) -> Self {
        Self { body, ranges: Vec::new() }
    }

    /// `body` is no longer than `u32` counts.
    pub(super) fn push(&mut self, symbol: Fields<'_>) {
        self.ranges.push((symbol.at as u32, symbol.end as u32));
    }

    /// The symbol of a label: there must be one.
    #[inline]
    pub(super) fn get(&self, reference: u64, at: usize) -> Result<&[u8], Error> {
        match usize::try_from(reference).ok().and_then(|reference| self.ranges.get(reference)) {
            Some((start, end)) => Ok(&self.body[*start as usize..*end as usize]),
            None => Err(Error::Protobuf { offset: at, expected: IN_TABLE }),
        }
    }

    /// The symbol of an optional text: reference 0 says that there is none when the table is empty.
    pub(super) fn optional(&self, reference: u64, at: usize) -> Result<&[u8], Error> {
        if reference == 0 && self.ranges.is_empty() { Ok(b"") } else { self.get(reference, at) }
    }
}

/// Walks the references of one field `labels_refs`, packed or one by one, as pairs of name and value.
pub(super) fn each_reference(
    fields: &mut Fields<'_>,
    wire: Wire,
    mut each: impl FnMut(u64, usize) -> Result<(), Error>,
) -> Result<(), Error> {
    match wire {
        Wire::Varint => {
            let at = fields.at;
            each(fields.varint()?, at)
        }
        Wire::Bytes => {
            let mut packed = fields.nested()?;
            while !packed.is_empty() {
                let at = packed.at;
                each(packed.varint()?, at)?;
            }
            Ok(())
        }
        _ => fields.wrong_wire(),
    }
}
