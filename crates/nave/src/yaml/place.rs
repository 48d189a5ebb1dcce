//! Where the fields of a document stand. Only looked at once something is wrong with the document.

use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Options, Spanned};

/// A position in a text; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// All fields, as `a.b[2].c`, with the places of their values and then of the keys in them; an outer field
/// stands before its inner ones.
#[derive(Default)]
pub(super) struct Outline(Vec<(String, Place)>);

impl Outline {
    /// Of a broken text, the outline is empty.
    pub(super) fn of(text: &str) -> Self {
        // The library's bounds on depth and aliases stay on: what exceeds them goes without names.
        let mut options = Options::default();
        options.duplicate_keys = DuplicateKeyPolicy::FirstWins;
        let mut outline = Self::default();
        if let Ok(root) = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options) {
            outline.add(&mut String::new(), &root);
        }
        outline
    }

    fn add(&mut self, path: &mut String, node: &Spanned<Node>) {
        self.0.push((path.clone(), node.referenced.into()));
        let end = path.len();
        match &node.value {
            Node::Map(entries) => {
                for (key, value) in entries {
                    // A key that is wrong itself is a matter of the map around it.
                    self.0.push((path.clone(), key.referenced.into()));
                    if end > 0 {
                        path.push('.');
                    }
                    path.push_str(&key.value);
                    self.add(path, value);
                    path.truncate(end);
                }
            }
            Node::List(entries) => {
                for (at, value) in entries.iter().enumerate() {
                    let _ = write!(path, "[{at}]");
                    self.add(path, value);
                    path.truncate(end);
                }
            }
            Node::Scalar => {}
        }
    }

    /// The outermost field that has its value, or a key, at `place`; empty for the document and where there
    /// is none.
    pub(super) fn field_at(&self, place: Place) -> String {
        let found = self.0.iter().find(|(_, at)| *at == place);
        found.map(|(field, _)| field.clone()).unwrap_or_default()
    }

    /// The names of all fields, outer before inner.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(field, _)| field.as_str())
    }

    /// The field of that name, or the innermost around it that is written.
    pub(super) fn find(&self, field: &str) -> (String, Option<Place>) {
        let mut wanted = field;
        loop {
            if let Some((field, place)) = self.0.iter().find(|(field, _)| field == wanted) {
                return (field.clone(), Some(*place));
            }
            if wanted.is_empty() {
                return (String::new(), None);
            }
            wanted = &wanted[..wanted.rfind(['.', '[']).unwrap_or(0)];
        }
    }
}

/// The shape of a document.
enum Node {
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    Scalar,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            entries.push(entry);
        }
        Ok(Node::List(entries))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
}
