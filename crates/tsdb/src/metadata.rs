//! Metadata of metric families, bounded.

use std::collections::BTreeMap;
use std::sync::Arc;

use nave_model::metadata::Metadata;

/// Different metadata of one family; the oldest makes room.
const VARIANTS_MAX: usize = 8;
/// Longer texts are not kept.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Families of one tenant.
#[derive(Debug, Default)]
pub(crate) struct MetadataTable {
    families: BTreeMap<Arc<str>, Vec<Metadata>>,
}

impl MetadataTable {
    /// Whether adding this would change anything.
    pub(crate) fn wants(&self, family: &str, metadata: &Metadata, families_max: usize) -> bool {
        let texts = [family, &metadata.help, &metadata.unit];
        if family.is_empty() || texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
            return false;
        }
        match self.families.get(family) {
            Some(known) => !known.contains(metadata),
            None => self.families.len() < families_max,
        }
    }

    pub(crate) fn insert(&mut self, family: Arc<str>, metadata: Metadata) {
        let known = self.families.entry(family).or_default();
        if known.contains(&metadata) {
            return;
        }
        if known.len() >= VARIANTS_MAX {
            known.remove(0);
        }
        known.push(metadata);
    }

    pub(crate) fn list(&self, family: Option<&str>) -> Vec<(Arc<str>, Metadata)> {
        let all = self.families.iter().filter(|(name, _)| family.is_none_or(|family| family == &***name));
        all.flat_map(|(name, known)| known.iter().map(|metadata| (name.clone(), metadata.clone()))).collect()
    }
}
