//! Writes a page, family by family.

use nave_model::label::{is_legacy_metric_name, is_legacy_name};
use nave_model::metadata::MetricType;

use super::{Format, write_float};

/// Collects a page. The caller keeps samples of a family together and after their [`Self::family`].
#[derive(Debug, Clone)]
pub struct PageWriter {
    text: String,
    format: Format,
}

impl PageWriter {
    /// An empty page.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { text: String::new(), format }
    }

    /// Writes `# HELP` and `# TYPE`. In OpenMetrics a counter's family loses the `_total` of its samples.
    pub fn family(&mut self, name: &str, help: &str, kind: MetricType) {
        let name = match (self.format, kind) {
            (Format::OpenMetrics, MetricType::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        self.text.push_str("# HELP ");
        self.metric_name(name);
        self.text.push(' ');
        escape(&mut self.text, help, self.format == Format::OpenMetrics);
        self.text.push_str("\n# TYPE ");
        self.metric_name(name);
        self.text.push(' ');
        self.text.push_str(word(self.format, kind));
        self.text.push('\n');
    }

    /// Writes a sample without a time.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let quoted = !is_legacy_metric_name(name);
        if !quoted {
            self.text.push_str(name);
        }
        if quoted || !labels.is_empty() {
            self.braces(quoted.then_some(name), labels);
        }
        self.text.push(' ');
        write_float(&mut self.text, value);
        self.text.push('\n');
    }

    /// How many bytes are written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing is written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The page, complete.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn braces(&mut self, name: Option<&str>, labels: &[(&str, &str)]) {
        self.text.push('{');
        if let Some(name) = name {
            self.quote(name);
        }
        for (i, (label, value)) in labels.iter().enumerate() {
            if i > 0 || name.is_some() {
                self.text.push(',');
            }
            if is_legacy_name(label) {
                self.text.push_str(label);
            } else {
                self.quote(label);
            }
            self.text.push('=');
            self.quote(value);
        }
        self.text.push('}');
    }

    fn metric_name(&mut self, name: &str) {
        if is_legacy_metric_name(name) {
            self.text.push_str(name);
        } else {
            self.quote(name);
        }
    }

    fn quote(&mut self, text: &str) {
        self.text.push('"');
        escape(&mut self.text, text, true);
        self.text.push('"');
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

/// The text format knows five types; the others are written as what they look like in it.
fn word(format: Format, kind: MetricType) -> &'static str {
    match (format, kind) {
        (Format::OpenMetrics, kind) => kind.as_str(),
        (Format::Text, MetricType::Unknown) => "untyped",
        (Format::Text, MetricType::GaugeHistogram) => "histogram",
        (Format::Text, MetricType::Info | MetricType::StateSet) => "gauge",
        (Format::Text, kind) => kind.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats() {
        let page = |format| {
            let mut page = PageWriter::new(format);
            page.family("a_total", "Say \"\\\n\".", MetricType::Counter);
            page.sample("a_total", &[("x", "q\"\\\n"), ("y.z", "1")], 1e6);
            page.family("b.c", "", MetricType::Unknown);
            page.sample("b.c", &[], f64::NAN);
            page.sample("b.c", &[("x", "")], 0.5);
            page.finish()
        };
        let text = r#"# HELP a_total Say "\\\n".
# TYPE a_total counter
a_total{x="q\"\\\n","y.z"="1"} 1e+06
# HELP "b.c" 
# TYPE "b.c" untyped
{"b.c"} NaN
{"b.c",x=""} 0.5
"#;
        assert_eq!(page(Format::Text), text);
        let openmetrics = text
            .replace("HELP a_total Say \"\\\\\\n\"", "HELP a Say \\\"\\\\\\n\\\"")
            .replace("TYPE a_total", "TYPE a")
            .replace("untyped", "unknown");
        assert_eq!(page(Format::OpenMetrics), openmetrics + "# EOF\n");
    }
}
