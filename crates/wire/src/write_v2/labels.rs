//! The labels of one series, written out: for each label in the order of the request the length and bytes
//! of its name and of its value (LEB128 lengths). Labels that come sorted, as the specification wants,
//! have the bytes of `Labels`.

use std::borrow::Cow;

use nave_base::varint;
use nave_model::append::LabelFormat;
use nave_model::label::{LabelError, Labels};

use crate::pairs::{Pair, to_labels};

/// Raw label bytes of remote write 2.0. Decoding sorts, leaves out empty values, and refuses empty or
/// repeated names and text that is not UTF-8.
pub static LABEL_FORMAT: LabelFormat = LabelFormat { id: 2, decode };

fn decode(bytes: &[u8]) -> Result<Labels, LabelError> {
    let mut pairs: Vec<Pair<'_>> = Vec::with_capacity(16);
    let mut rest = bytes;
    while !rest.is_empty() {
        let damaged = LabelError::Damaged { offset: bytes.len() - rest.len(), len: bytes.len() };
        let name = varint::take_bytes(&mut rest).ok_or_else(|| damaged.clone())?;
        let value = varint::take_bytes(&mut rest).ok_or(damaged)?;
        pairs.push(pair(name, value)?);
    }
    to_labels(&mut pairs)
}

/// Both texts, when they are UTF-8.
pub(super) fn pair<'a>(name: &'a [u8], value: &'a [u8]) -> Result<Pair<'a>, LabelError> {
    let not_utf8 = |_| LabelError::NotUtf8 { name: String::from_utf8_lossy(name).into_owned() };
    let name_text = std::str::from_utf8(name).map_err(not_utf8)?;
    let value = std::str::from_utf8(value).map_err(not_utf8)?;
    Ok((Cow::Borrowed(name_text), Cow::Borrowed(value)))
}
