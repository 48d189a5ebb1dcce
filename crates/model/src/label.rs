//! Label sets.
//!
//! [`Labels`] is one shared byte string: for each label, in order of name, the length and bytes of
//! the name and of the value (LEB128 lengths). The same bytes are the canonical key of a series in
//! the log and in [`crate::append::Batch`].
//!
//! Invariants: names are unique, sorted and not empty; no value is empty (an empty value means the
//! label is absent); all text is UTF-8.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use nave_base::varint;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";
/// The label that holds a classic histogram's upper bound.
pub const BUCKET: &str = "le";

/// Why bytes or pairs are no label set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The bytes are cut short, or a length is wrong.
    #[error("label set is damaged: expected a length and that many bytes at offset {offset} of {len}")]
    Damaged {
        /// Where the reader stood.
        offset: usize,
        /// How many bytes there were.
        len: usize,
    },
    /// Not UTF-8.
    #[error("label {name:?} is not valid UTF-8")]
    NotUtf8 {
        /// The name, with replacement characters.
        name: String,
    },
    /// A name stands twice.
    #[error("duplicate label name {name:?}")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// Names are not ascending.
    #[error("label names are out of order: {name:?} after {before:?}")]
    OutOfOrder {
        /// The later name, which sorts before the earlier one.
        name: String,
        /// The earlier name.
        before: String,
    },
    /// A name is empty, or a name or the metric name is not allowed.
    #[error("invalid label name {name:?}")]
    InvalidName {
        /// The name.
        name: String,
    },
}

/// A sorted, immutable label set. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[u8]>);

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl Labels {
    /// No labels.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// Sorts `pairs` and leaves out empty values.
    ///
    /// # Errors
    /// When a name is empty or stands twice.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, LabelError> {
        let mut builder = Builder::default();
        for (name, value) in pairs {
            builder.push(name.as_ref(), value.as_ref());
        }
        builder.build_unique()
    }

    /// Takes canonical bytes after checking every invariant.
    ///
    /// # Errors
    /// When an invariant of the module does not hold.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LabelError> {
        let mut rest = bytes;
        let mut before: Option<&str> = None;
        while !rest.is_empty() {
            let damaged = LabelError::Damaged { offset: bytes.len() - rest.len(), len: bytes.len() };
            let name = varint::take_bytes(&mut rest).ok_or_else(|| damaged.clone())?;
            let value = varint::take_bytes(&mut rest).ok_or(damaged)?;
            let not_utf8 = || LabelError::NotUtf8 { name: String::from_utf8_lossy(name).into_owned() };
            let name = std::str::from_utf8(name).map_err(|_| not_utf8())?;
            std::str::from_utf8(value).map_err(|_| not_utf8())?;
            if name.is_empty() || value.is_empty() {
                return Err(LabelError::InvalidName { name: name.to_owned() });
            }
            match before.map(|before| before.cmp(name)) {
                None | Some(Ordering::Less) => {}
                Some(Ordering::Equal) => return Err(LabelError::Duplicate { name: name.to_owned() }),
                Some(Ordering::Greater) => {
                    let before = before.unwrap_or_default().to_owned();
                    return Err(LabelError::OutOfOrder { name: name.to_owned(), before });
                }
            }
            before = Some(name);
        }
        Ok(Self(Arc::from(bytes)))
    }

    /// The canonical bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Labels in order of name.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// Names and values by turns, as bytes: what needs no text is spared the check that it is one.
    fn fields(&self) -> Fields<'_> {
        Fields(&self.0)
    }

    /// The value of `name`, or `""` when absent.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        let mut fields = self.fields();
        while let (Some(known), Some(value)) = (fields.next(), fields.next()) {
            match known.cmp(name.as_bytes()) {
                Ordering::Less => {}
                Ordering::Equal => return text(value),
                Ordering::Greater => break,
            }
        }
        ""
    }

    /// Whether `name` is present.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }

    /// The metric name, or `""`.
    #[must_use]
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// How many labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only the labels for which `keep` says yes.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len());
        let mut fields = self.fields();
        loop {
            let start = self.0.len() - fields.0.len();
            let (Some(name), Some(_)) = (fields.next(), fields.next()) else { break };
            if keep(text(name)) {
                bytes.extend_from_slice(&self.0[start..self.0.len() - fields.0.len()]);
            }
        }
        if bytes.len() == self.0.len() { self.clone() } else { Self(Arc::from(bytes)) }
    }

    /// Without the metric name.
    #[must_use]
    pub fn without_metric_name(&self) -> Self {
        self.filtered(|name| name != METRIC_NAME)
    }

    /// A builder that starts from these labels.
    #[must_use]
    pub fn to_builder(&self) -> Builder {
        Builder { pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }
}

fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    varint::put_u64(bytes, name.len() as u64);
    bytes.extend_from_slice(name.as_bytes());
    varint::put_u64(bytes, value.len() as u64);
    bytes.extend_from_slice(value.as_bytes());
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Label by label, name before value; a prefix sorts first (upstream `labels.Compare`).
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.fields().cmp(other.fields()) }
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As in PromQL: `{a="1", b="2"}`.
impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            if is_legacy_name(name) {
                write!(f, "{comma}{name}={value:?}")?;
            } else {
                write!(f, "{comma}{name:?}={value:?}")?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Names and values by turns.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        Some(varint::take_bytes(&mut self.0).expect("Labels: lengths were checked"))
    }
}

#[inline]
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("Labels: text was checked")
}

/// Names and values in order of name.
#[derive(Debug, Clone)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let mut fields = Fields(self.0);
        let (name, value) = (fields.next()?, fields.next()?);
        self.0 = fields.0;
        Some((text(name), text(value)))
    }
}

/// Collects and changes labels in any order.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    pairs: Vec<(String, String)>,
}

impl Builder {
    /// Adds a label without looking for an earlier one of the same name.
    pub fn push(&mut self, name: &str, value: &str) -> &mut Self {
        self.pairs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets `name`; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.iter_mut().find(|(known, _)| known == name) {
            _ if value.is_empty() => _ = self.remove(name),
            Some(pair) => value.clone_into(&mut pair.1),
            None => _ = self.push(name, value),
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(known, _)| known != name);
        self
    }

    /// The value of `name`, or `""`.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The pairs as they stand, unsorted.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// Keeps only the labels for which `keep` says yes.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) -> &mut Self {
        self.pairs.retain(|(name, value)| keep(name, value));
        self
    }

    /// The label set; of a name pushed twice the last one wins.
    #[must_use]
    pub fn build(&self) -> Labels {
        let mut sorted: Vec<&(String, String)> = self.pairs.iter().rev().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        sorted.dedup_by(|later, first| later.0 == first.0);
        encode(&sorted)
    }

    /// The label set.
    ///
    /// # Errors
    /// When a name is empty or was pushed twice.
    pub fn build_unique(&self) -> Result<Labels, LabelError> {
        let mut sorted: Vec<&(String, String)> = self.pairs.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some((name, _)) = sorted.iter().find(|(name, _)| name.is_empty()) {
            return Err(LabelError::InvalidName { name: name.clone() });
        }
        match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(twice) => Err(LabelError::Duplicate { name: twice[0].0.clone() }),
            None => Ok(encode(&sorted)),
        }
    }
}

fn encode(sorted: &[&(String, String)]) -> Labels {
    let mut bytes = Vec::new();
    for (name, value) in sorted {
        if !value.is_empty() && !name.is_empty() {
            put(&mut bytes, name, value);
        }
    }
    Labels(Arc::from(bytes))
}

/// Whether `name` needs no quotes as a label name: `[a-zA-Z_][a-zA-Z0-9_]*`.
#[must_use]
pub fn is_legacy_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether `name` needs no quotes as a metric name: as a label name, with colons.
#[must_use]
pub fn is_legacy_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn sorted_and_without_empty_values() {
        let set = labels(&[("b", "2"), ("a", "1"), ("c", "")]);
        assert_eq!(format!("{set}"), r#"{a="1", b="2"}"#);
        assert_eq!((set.get("b"), set.get("c"), set.len()), ("2", "", 2));
        assert_eq!(Labels::from_bytes(set.as_bytes()).unwrap(), set);
        assert_eq!(set.filtered(|name| name == "b"), labels(&[("b", "2")]));
    }

    #[test]
    fn order_is_by_label_then_length() {
        let mut sets =
            [labels(&[("a", "2")]), labels(&[("a", "1"), ("b", "1")]), labels(&[("a", "1")]), labels(&[])];
        sets.sort();
        let text: Vec<_> = sets.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["{}", r#"{a="1"}"#, r#"{a="1", b="1"}"#, r#"{a="2"}"#]);
    }

    #[test]
    fn bad_bytes_are_refused() {
        let check = |bytes: &[u8], want: &str| {
            assert_eq!(Labels::from_bytes(bytes).unwrap_err().to_string(), want);
        };
        check(b"\x01a", "label set is damaged: expected a length and that many bytes at offset 0 of 2");
        check(b"\x01a\x011\x01a\x012", "duplicate label name \"a\"");
        check(b"\x01b\x011\x01a\x012", "label names are out of order: \"a\" after \"b\"");
        check(b"\x01\xff\x011", "label \"\u{fffd}\" is not valid UTF-8");
        check(b"\x01a\x00", "invalid label name \"a\"");
        assert!(Labels::from_pairs([("a", "1"), ("a", "2")]).is_err());
    }

    #[test]
    fn builder_sets_and_removes() {
        let mut builder = labels(&[("a", "1"), ("b", "2")]).to_builder();
        builder.set("a", "").set("c", "3").set("b", "4");
        assert_eq!(builder.build(), labels(&[("b", "4"), ("c", "3")]));
    }
}
