//! The labels of one `TimeSeries` as they stand in the body: fields `repeated Label labels = 1`, tags and
//! lengths included.

use std::borrow::Cow;

use nave_model::append::LabelFormat;
use nave_model::label::{LabelError, Labels};

use super::Error;
use super::field::{Fields, Wire};
use crate::pairs::{Pair, to_labels};

/// Raw label bytes of remote write 1.0. Decoding sorts, leaves out empty values, and refuses empty or
/// repeated names, text that is not UTF-8, and anything that is no `Label`.
pub static LABEL_FORMAT: LabelFormat = LabelFormat { id: 1, decode };

fn decode(bytes: &[u8]) -> Result<Labels, LabelError> {
    let fields = Fields::new(bytes);
    pairs(fields).map_err(|error| damage(&error, bytes.len()))?.and_then(|mut pairs| to_labels(&mut pairs))
}

fn damage(error: &Error, len: usize) -> LabelError {
    let offset = if let Error::Protobuf { offset, .. } = error { *offset } else { 0 };
    LabelError::Damaged { offset, len }
}

/// Collects the `Label` fields of `fields`, skipping others. The outer error is protobuf's, the inner one
/// is the label set's.
pub(super) fn pairs(mut fields: Fields<'_>) -> Result<Result<Vec<Pair<'_>>, LabelError>, Error> {
    let mut pairs = Vec::with_capacity(16);
    while let Some((number, wire)) = fields.tag()? {
        match (number, wire) {
            (1, Wire::Bytes) => match pair(fields.nested()?)? {
                Ok(pair) => pairs.push(pair),
                Err(error) => return Ok(Err(error)),
            },
            (1, _) => return fields.wrong_wire(),
            _ => fields.skip(wire)?,
        }
    }
    Ok(Ok(pairs))
}

/// One `Label` message; the outer error is protobuf's.
pub(crate) fn pair(mut label: Fields<'_>) -> Result<Result<Pair<'_>, LabelError>, Error> {
    let (mut name, mut value) = (&b""[..], &b""[..]);
    while let Some((number, wire)) = label.tag()? {
        match (number, wire) {
            (1, Wire::Bytes) => name = label.nested()?.rest(),
            (2, Wire::Bytes) => value = label.nested()?.rest(),
            (1 | 2, _) => return label.wrong_wire(),
            _ => label.skip(wire)?,
        }
    }
    let not_utf8 = |_| LabelError::NotUtf8 { name: String::from_utf8_lossy(name).into_owned() };
    let name_text = match std::str::from_utf8(name).map_err(not_utf8) {
        Ok(text) => text,
        Err(error) => return Ok(Err(error)),
    };
    let value = std::str::from_utf8(value).map_err(not_utf8);
    Ok(value.map(|value| (Cow::Borrowed(name_text), Cow::Borrowed(value))))
}
