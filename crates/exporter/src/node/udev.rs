//! What udev knows of a block device: the `E:KEY=value` lines of its database entry.

use std::collections::BTreeMap;
use std::path::Path;

use super::file::Text;

/// Properties by key; empty where udev does not run.
#[derive(Debug, Default)]
pub(super) struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Reads the entry of the block device `major:minor`.
    pub(super) fn read(database: &Path, major: &str, minor: &str) -> Self {
        let Ok(file) = Text::read(database.join(format!("b{major}:{minor}"))) else { return Self::default() };
        let property = |line: &str| {
            let (key, value) = line.strip_prefix("E:")?.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        };
        Self(file.lines().filter_map(|(_, line)| property(line)).collect())
    }

    /// The value, empty when unknown.
    pub(super) fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// The first of these that is known.
    pub(super) fn first(&self, keys: &[&str]) -> &str {
        keys.iter().map(|key| self.get(key)).find(|value| !value.is_empty()).unwrap_or("")
    }
}
