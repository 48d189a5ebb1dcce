//! From borrowed names and values in any order to [`Labels`], with one allocation when sorted.

use std::borrow::Cow;

use nave_base::varint;
use nave_model::label::{LabelError, Labels};

/// A name and a value, borrowed where the input needs no unescaping.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Sorts `pairs`, leaves out empty values and refuses empty and repeated names.
pub(crate) fn to_labels(pairs: &mut [Pair<'_>]) -> Result<Labels, LabelError> {
    if !pairs.is_sorted_by(|a, b| a.0 <= b.0) {
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
    }
    if pairs.first().is_some_and(|(name, _)| name.is_empty()) {
        return Err(LabelError::InvalidName { name: String::new() });
    }
    if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(LabelError::Duplicate { name: twice[0].0.clone().into_owned() });
    }
    let size = pairs.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut bytes = Vec::with_capacity(size);
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        varint::put_u64(&mut bytes, name.len() as u64);
        bytes.extend_from_slice(name.as_bytes());
        varint::put_u64(&mut bytes, value.len() as u64);
        bytes.extend_from_slice(value.as_bytes());
    }
    Labels::from_bytes(&bytes)
}
