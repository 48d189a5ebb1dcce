//! Reads a page into what can be compared: families and samples by their text.

use std::collections::BTreeMap;

/// A page, in any order.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// TYPE and HELP by family.
    pub(crate) families: BTreeMap<String, (String, String)>,
    /// Values by name and labels. Both writers sort labels by name.
    pub(crate) samples: BTreeMap<String, f64>,
}

impl Parsed {
    pub(crate) fn read(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                page.families.entry(name.to_owned()).or_default().1 = help.to_owned();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                page.families.entry(name.to_owned()).or_default().0 = kind.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let before = page.samples.insert(series.to_owned(), value.parse().unwrap());
                assert!(before.is_none(), "{series} is there twice");
            }
        }
        page
    }

    /// The families whose names `keep` wants.
    pub(crate) fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.families.retain(|name, _| keep(name));
        self.samples.retain(|series, _| keep(series.split('{').next().unwrap_or(series)));
        self
    }
}
