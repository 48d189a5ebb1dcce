//! The exposition page under construction: families by name, each with its samples.
//!
//! Not a registry: values are known when they are added, and a page lives for one scrape. Invariants:
//! every family has HELP and TYPE once, families come sorted by name, and a family without samples is
//! left out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What the page says after `# TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Untyped,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Untyped => "untyped",
        }
    }
}

/// The samples of one metric name.
#[derive(Debug)]
pub(crate) struct Family {
    help: Cow<'static, str>,
    kind: Kind,
    lines: Vec<(String, f64)>,
}

impl Family {
    /// Adds the sample with these labels; label names are in the order they are to be shown.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.lines.push((write_labels(labels), value));
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
        self.0.entry(name.into()).or_insert_with(|| Family { help: help.into(), kind, lines: Vec::new() })
    }

    /// Takes over all families of `other`, whose names this page does not have.
    pub(crate) fn append(&mut self, mut other: Page) {
        debug_assert!(other.0.keys().all(|name| !self.0.contains_key(name)), "collectors share a family");
        self.0.append(&mut other.0);
    }

    /// The page as Prometheus text 0.0.4.
    pub(crate) fn into_text(self) -> String {
        let mut text = String::new();
        for (name, family) in self.0.iter().filter(|(_, family)| !family.lines.is_empty()) {
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", family.kind.name());
            for (labels, value) in &family.lines {
                let _ = writeln!(text, "{name}{labels} {}", Number(*value));
            }
        }
        text
    }
}

struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

fn write_labels(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (i, (name, value)) in labels.iter().enumerate() {
        text.push(if i == 0 { '{' } else { ',' });
        text.push_str(name);
        text.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
    }
    if !labels.is_empty() {
        text.push('}');
    }
    text
}

/// `text` as a part of a metric name: every byte that may not stand there becomes an underscore.
pub(crate) fn metric_name_part(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_sorted_escaped_and_never_empty() {
        let mut page = Page::default();
        page.family("b_total", "Has a \\ and\na line.", Kind::Counter).sample(&[("a", "q\"\\\n")], 1.5);
        page.family("a", "First.", Kind::Gauge)
            .sample(&[], f64::INFINITY)
            .sample(&[("x", "y"), ("z", "")], -2e21);
        page.family("c", "Nothing in it.", Kind::Untyped);
        let expect = "# HELP a First.\n# TYPE a gauge\na +Inf\na{x=\"y\",z=\"\"} -2000000000000000000000\n\
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
