//! What a target's pages say about metric families: type, help, unit.
//!
//! Bounded per target; texts that several targets of a job share are stored once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nave_model::metadata::{Metadata, MetricType};
use parking_lot::Mutex;

/// Most families of one target that are kept.
const FAMILIES_MAX: usize = 10_000;
/// Longest help text that is kept, in bytes.
const HELP_BYTES_MAX: usize = 4_096;
/// Most texts that a job shares.
const TEXTS_MAX: usize = 100_000;

/// Texts that targets share.
#[derive(Debug, Default)]
pub(crate) struct Texts(Mutex<HashSet<Arc<str>>>);

impl Texts {
    fn share(&self, text: &str) -> Arc<str> {
        let mut texts = self.0.lock();
        if let Some(known) = texts.get(text) {
            return known.clone();
        }
        if texts.len() >= TEXTS_MAX {
            texts.retain(|text| Arc::strong_count(text) > 1);
        }
        let shared: Arc<str> = Arc::from(text);
        if texts.len() < TEXTS_MAX {
            texts.insert(shared.clone());
        }
        shared
    }
}

/// The families of one target.
#[derive(Debug, Default)]
pub(crate) struct Families {
    texts: Arc<Texts>,
    known: HashMap<Arc<str>, Metadata>,
    /// Changed since they were stored last.
    changed: Vec<Arc<str>>,
}

impl Families {
    pub(crate) fn new(texts: Arc<Texts>) -> Self {
        Self { texts, ..Self::default() }
    }

    pub(crate) fn kind(&mut self, family: &str, kind: MetricType) {
        if self.known.get(family).is_none_or(|known| known.kind != kind) {
            self.change(family, |metadata, _| metadata.kind = kind);
        }
    }

    pub(crate) fn help(&mut self, family: &str, help: &str) {
        let mut end = help.len().min(HELP_BYTES_MAX);
        while !help.is_char_boundary(end) {
            end -= 1;
        }
        let help = &help[..end];
        if self.known.get(family).is_none_or(|known| &*known.help != help) {
            self.change(family, |metadata, texts| metadata.help = texts.share(help));
        }
    }

    pub(crate) fn unit(&mut self, family: &str, unit: &str) {
        if self.known.get(family).is_none_or(|known| &*known.unit != unit) {
            self.change(family, |metadata, texts| metadata.unit = texts.share(unit));
        }
    }

    fn change(&mut self, family: &str, change: impl FnOnce(&mut Metadata, &Texts)) {
        if self.known.len() >= FAMILIES_MAX && !self.known.contains_key(family) {
            return;
        }
        let name = self.texts.share(family);
        change(self.known.entry(name.clone()).or_default(), &self.texts);
        self.changed.push(name);
    }

    /// Families that changed since the last call.
    pub(crate) fn take_changed(&mut self) -> Vec<(Arc<str>, Metadata)> {
        let mut names = std::mem::take(&mut self.changed);
        names.sort();
        names.dedup();
        names
            .into_iter()
            .filter_map(|name| self.known.get(&name).map(|known| (name.clone(), known.clone())))
            .collect()
    }

    /// All of them, unsorted.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Metadata)> {
        self.known.iter().map(|(name, metadata)| (name.clone(), metadata.clone())).collect()
    }

    /// Families and the bytes of their texts.
    pub(crate) fn size(&self) -> (usize, usize) {
        let bytes = |(name, known): (&Arc<str>, &Metadata)| name.len() + known.help.len() + known.unit.len();
        (self.known.len(), self.known.iter().map(bytes).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once_and_texts_are_shared() {
        let texts = Arc::new(Texts::default());
        let (mut one, mut two) = (Families::new(texts.clone()), Families::new(texts));
        for families in [&mut one, &mut two] {
            families.kind("a", MetricType::Counter);
            families.help("a", "Counts.");
        }
        assert_eq!(one.take_changed().len(), 1);
        one.help("a", "Counts.");
        assert!(one.take_changed().is_empty());
        assert!(Arc::ptr_eq(&one.all()[0].1.help, &two.all()[0].1.help));
        for n in 0..FAMILIES_MAX + 5 {
            one.kind(&format!("f{n}"), MetricType::Gauge);
        }
        one.help("a", &"\u{e9}".repeat(HELP_BYTES_MAX));
        let (families, bytes) = one.size();
        assert!(families == FAMILIES_MAX && bytes < FAMILIES_MAX * 8 + HELP_BYTES_MAX, "{families} {bytes}");
    }
}
