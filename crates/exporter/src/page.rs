//! The exposition page under construction: families by name, each written as its samples come.
//!
//! Not a registry: values are known when they are added, and a page lives for one scrape. Invariants:
//! every family has HELP and TYPE once, families come sorted by name, and a family without samples is
//! left out.

use std::borrow::Cow;
use std::collections::BTreeMap;

pub(crate) use nave_model::metadata::MetricType as Kind;
use nave_wire::exposition::{Format, PageWriter};

/// The samples of one metric name.
#[derive(Debug)]
pub(crate) struct Family {
    name: Cow<'static, str>,
    text: PageWriter,
    samples: usize,
}

impl Family {
    fn new(name: Cow<'static, str>, help: &str, kind: Kind) -> Self {
        let mut text = PageWriter::new(Format::Text);
        text.family(&name, help, kind);
        Self { name, text, samples: 0 }
    }

    /// Adds the sample with these labels; label names are in the order they are to be shown.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.text.sample(&self.name, labels, value);
        self.samples += 1;
        self
    }
}

/// All families of one scrape.
#[derive(Debug, Default)]
pub(crate) struct Page(BTreeMap<Cow<'static, str>, Family>);

impl Page {
    /// The family of this name, created when it is new.
    pub(crate) fn family(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        kind: Kind,
    ) -> &mut Family {
        let name = name.into();
        self.0.entry(name.clone()).or_insert_with(|| Family::new(name, &help.into(), kind))
    }

    /// Takes over all families of `other`, whose names this page does not have.
    pub(crate) fn append(&mut self, mut other: Page) {
        debug_assert!(other.0.keys().all(|name| !self.0.contains_key(name)), "collectors share a family");
        self.0.append(&mut other.0);
    }

    /// The page as Prometheus text 0.0.4.
    pub(crate) fn into_text(self) -> String {
        let written = self.0.into_values().filter(|family| family.samples > 0);
        written.map(|family| family.text.finish()).collect()
    }
}

/// `text` as a part of a metric name: every byte that may not stand there becomes an underscore.
pub(crate) fn metric_name_part(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_sorted_and_never_empty() {
        let mut page = Page::default();
        page.family("b_total", "Has a \\ and\na line.", Kind::Counter).sample(&[("a", "q\"\\\n")], 1.5);
        page.family("a", "First.", Kind::Gauge)
            .sample(&[], f64::INFINITY)
            .sample(&[("x", "y"), ("z", "")], -2.0);
        page.family("c", "Nothing in it.", Kind::Unknown);
        page.family("a", "First.", Kind::Gauge).sample(&[("x", "z")], 0.0);
        let expect = "# HELP a First.\n# TYPE a gauge\na +Inf\na{x=\"y\",z=\"\"} -2\na{x=\"z\"} 0\n\
                      # HELP b_total Has a \\\\ and\\na line.\n# TYPE b_total counter\n\
                      b_total{a=\"q\\\"\\\\\\n\"} 1.5\n";
        assert_eq!(page.into_text(), expect);
    }

    #[test]
    fn name_parts() {
        for (text, expect) in [("pgfault", "pgfault"), ("Active(anon)", "Active_anon_"), ("ü-1", "__1")] {
            assert_eq!(metric_name_part(text), expect);
        }
    }
}
