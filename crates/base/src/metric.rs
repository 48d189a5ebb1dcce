//! The program's own metrics: counters, gauges, histograms and summaries, and their text pages.
//!
//! Handles are cheap clones of atomics. A [`Registry`] knows all of them and writes the page that
//! `/metrics` serves, as Prometheus text 0.0.4 or OpenMetrics 1.0. Figures that are known elsewhere
//! (series in the head, bytes on disk) are read at page time by a [`Registry::collect`] callback.
//! Summaries are here because upstream's names need them; that is why this is not a library.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

/// What the page says after `# TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, sum and count.
    Histogram,
    /// Quantiles, sum and count.
    Summary,
}

/// Which page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Text,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

#[derive(Debug, Default)]
struct Number(AtomicU64);

impl Number {
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    fn add(&self, value: f64) {
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

/// A number that only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<Number>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.0.add(1.0);
    }

    /// Adds `value`, which is not negative.
    pub fn add(&self, value: f64) {
        debug_assert!(value >= 0.0, "a counter only grows");
        self.0.add(value);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// A number that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<Number>);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds `value`, which may be negative.
    pub fn add(&self, value: f64) {
        self.0.add(value);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// Counts of observations in cumulative buckets.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<HistogramInner>);

#[derive(Debug)]
struct HistogramInner {
    bounds: &'static [f64],
    counts: Vec<AtomicU64>,
    sum: Number,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(HistogramInner { bounds, counts, sum: Number::default() }))
    }

    /// Counts `value`.
    pub fn observe(&self, value: f64) {
        let bucket = self.0.bounds.partition_point(|bound| *bound < value);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum.add(value);
    }

    /// Counts `duration` in seconds.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(duration.as_secs_f64());
    }

    /// How many were observed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// Quantiles 0.5, 0.9 and 0.99 of the newest 512 observations, with sum and count of all.
#[derive(Debug, Clone, Default)]
pub struct Summary(Arc<Mutex<SummaryInner>>);

#[derive(Debug, Default)]
struct SummaryInner {
    newest: Vec<f64>,
    at: usize,
    count: u64,
    sum: f64,
}

const SUMMARY_WINDOW: usize = 512;
const SUMMARY_QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

impl Summary {
    /// Counts `value`.
    pub fn observe(&self, value: f64) {
        let mut inner = self.0.lock();
        let at = inner.at;
        if inner.newest.len() < SUMMARY_WINDOW {
            inner.newest.push(value);
        } else {
            inner.newest[at] = value;
        }
        inner.at = (at + 1) % SUMMARY_WINDOW;
        inner.count += 1;
        inner.sum += value;
    }

    /// Counts `duration` in seconds.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(duration.as_secs_f64());
    }
}

/// Something that can stand in a family and write its samples.
pub trait Metric: Clone + Send + Sync + 'static {
    /// What the page says after `# TYPE`.
    const KIND: Kind;
    /// Writes the samples of one label set.
    fn write(&self, labels: &[(&str, &str)], page: &mut Page<'_>);
}

impl Metric for Counter {
    const KIND: Kind = Kind::Counter;
    fn write(&self, labels: &[(&str, &str)], page: &mut Page<'_>) {
        page.sample(labels, self.get());
    }
}

impl Metric for Gauge {
    const KIND: Kind = Kind::Gauge;
    fn write(&self, labels: &[(&str, &str)], page: &mut Page<'_>) {
        page.sample(labels, self.get());
    }
}

impl Metric for Histogram {
    const KIND: Kind = Kind::Histogram;
    fn write(&self, labels: &[(&str, &str)], page: &mut Page<'_>) {
        let mut sum = 0;
        for (i, count) in self.0.counts.iter().enumerate() {
            sum += count.load(Ordering::Relaxed);
            let bound = self.0.bounds.get(i).copied().unwrap_or(f64::INFINITY);
            page.line("_bucket", labels, Some(("le", &number(bound))), sum as f64);
        }
        page.line("_sum", labels, None, self.0.sum.get());
        page.line("_count", labels, None, sum as f64);
    }
}

impl Metric for Summary {
    const KIND: Kind = Kind::Summary;
    fn write(&self, labels: &[(&str, &str)], page: &mut Page<'_>) {
        let (mut newest, count, sum) = {
            let inner = self.0.lock();
            (inner.newest.clone(), inner.count, inner.sum)
        };
        newest.sort_by(f64::total_cmp);
        for quantile in SUMMARY_QUANTILES {
            let rank = (quantile * newest.len() as f64).ceil() as usize;
            let value = newest.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN);
            page.line("", labels, Some(("quantile", &number(quantile))), value);
        }
        page.line("_sum", labels, None, sum);
        page.line("_count", labels, None, count as f64);
    }
}

/// Metrics of one name that differ in label values.
pub struct Family<M>(Arc<FamilyInner<M>>);

struct FamilyInner<M> {
    names: &'static [&'static str],
    make: Box<dyn Fn() -> M + Send + Sync>,
    children: RwLock<BTreeMap<Vec<String>, M>>,
}

impl<M> Clone for Family<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> std::fmt::Debug for Family<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Family").field("names", &self.0.names).finish_non_exhaustive()
    }
}

impl<M: Metric> Family<M> {
    fn new(names: &'static [&'static str], make: impl Fn() -> M + Send + Sync + 'static) -> Self {
        Self(Arc::new(FamilyInner { names, make: Box::new(make), children: RwLock::default() }))
    }

    /// The metric with these label values, in the order of the label names. Keep the handle where
    /// it is used often; this looks it up under a lock.
    pub fn with(&self, values: &[&str]) -> M {
        assert_eq!(values.len(), self.0.names.len(), "one value per label name of {:?}", self.0.names);
        let key: Vec<String> = values.iter().map(ToString::to_string).collect();
        if let Some(metric) = self.0.children.read().get(&key) {
            return metric.clone();
        }
        self.0.children.write().entry(key).or_insert_with(&self.0.make).clone()
    }

    /// Forgets the metric with these label values.
    pub fn remove(&self, values: &[&str]) {
        let key: Vec<String> = values.iter().map(ToString::to_string).collect();
        self.0.children.write().remove(&key);
    }

    /// The sum over all children, for tests and status pages.
    pub fn fold<T>(&self, start: T, mut add: impl FnMut(T, &M) -> T) -> T {
        self.0.children.read().values().fold(start, &mut add)
    }

    fn write(&self, page: &mut Page<'_>) {
        for (values, metric) in &*self.0.children.read() {
            let labels: Vec<(&str, &str)> =
                self.0.names.iter().copied().zip(values.iter().map(String::as_str)).collect();
            metric.write(&labels, page);
        }
    }
}

type WriteFamily = Box<dyn Fn(&mut Page<'_>) + Send + Sync>;

struct Registered {
    name: String,
    help: &'static str,
    kind: Kind,
    write: WriteFamily,
}

/// All metrics of a process. Clones share.
#[derive(Clone, Default)]
pub struct Registry(Arc<RwLock<Vec<Registered>>>);

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({} families)", self.0.read().len())
    }
}

impl Registry {
    fn add(&self, name: &str, help: &'static str, kind: Kind, write: WriteFamily) {
        let mut all = self.0.write();
        assert!(all.iter().all(|known| known.name != name), "metric {name} is registered twice");
        all.push(Registered { name: name.to_owned(), help, kind, write });
    }

    fn add_family<M: Metric>(&self, name: &str, help: &'static str, family: Family<M>) -> Family<M> {
        let written = family.clone();
        self.add(name, help, M::KIND, Box::new(move |page| written.write(page)));
        family
    }

    /// A counter; `name` ends in `_total`.
    pub fn counter(&self, name: &str, help: &'static str) -> Counter {
        self.counter_family(name, help, &[]).with(&[])
    }

    /// Counters by label values.
    pub fn counter_family(
        &self,
        name: &str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family<Counter> {
        self.add_family(name, help, Family::new(labels, Counter::default))
    }

    /// A gauge.
    pub fn gauge(&self, name: &str, help: &'static str) -> Gauge {
        self.gauge_family(name, help, &[]).with(&[])
    }

    /// Gauges by label values.
    pub fn gauge_family(
        &self,
        name: &str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family<Gauge> {
        self.add_family(name, help, Family::new(labels, Gauge::default))
    }

    /// A histogram with the given upper bounds, ascending, without `+Inf`.
    pub fn histogram(&self, name: &str, help: &'static str, bounds: &'static [f64]) -> Histogram {
        self.histogram_family(name, help, &[], bounds).with(&[])
    }

    /// Histograms by label values.
    pub fn histogram_family(
        &self,
        name: &str,
        help: &'static str,
        labels: &'static [&'static str],
        bounds: &'static [f64],
    ) -> Family<Histogram> {
        self.add_family(name, help, Family::new(labels, move || Histogram::new(bounds)))
    }

    /// A summary.
    pub fn summary(&self, name: &str, help: &'static str) -> Summary {
        self.summary_family(name, help, &[]).with(&[])
    }

    /// Summaries by label values.
    pub fn summary_family(
        &self,
        name: &str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family<Summary> {
        self.add_family(name, help, Family::new(labels, Summary::default))
    }

    /// A metric whose samples are read when the page is written: `write` calls [`Page::sample`] for
    /// each label set.
    pub fn collect(
        &self,
        name: &str,
        help: &'static str,
        kind: Kind,
        write: impl Fn(&mut Page<'_>) + Send + Sync + 'static,
    ) {
        self.add(name, help, kind, Box::new(write));
    }

    /// The page, families sorted by name.
    #[must_use]
    pub fn page(&self, format: Format) -> String {
        let all = self.0.read();
        let mut order: Vec<&Registered> = all.iter().collect();
        order.sort_by(|a, b| a.name.cmp(&b.name));
        let mut text = String::new();
        for Registered { name, help, kind, write } in order {
            let family = match (format, kind) {
                (Format::OpenMetrics, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
                _ => name,
            };
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
                Kind::Summary => "summary",
            };
            let start = text.len();
            let _ = writeln!(text, "# HELP {family} {}\n# TYPE {family} {kind}", escape_help(help));
            let header = text.len();
            write(&mut Page { text: &mut text, name });
            if text.len() == header {
                text.truncate(start);
            }
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

/// Where the samples of one family are written.
#[derive(Debug)]
pub struct Page<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Page<'_> {
    /// One sample of a counter or gauge.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line("", labels, None, value);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], more: Option<(&str, &str)>, value: f64) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut open = '{';
        for (name, value) in labels.iter().copied().chain(more) {
            self.text.push(open);
            open = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if open == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {}", number(value));
    }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if value != 0.0 && !(1e-5..1e21).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

fn escape_help(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pages_of_every_kind() {
        let registry = Registry::default();
        registry.counter("b_total", "Counts.").add(2.5);
        registry.gauge_family("a", "Goes.", &["x"]).with(&["q\"\\\n"]).set(f64::NEG_INFINITY);
        let histogram = registry.histogram("h", "Spreads.", &[0.1, 1.0]);
        for value in [0.1, 0.5, 7.0] {
            histogram.observe(value);
        }
        registry.summary("s", "Sums.").observe(3.0);
        registry.counter_family("unused_total", "Has no child.", &["x"]);
        registry.collect("c", "Asked.", Kind::Gauge, |page| page.sample(&[], 1e21));
        let text = registry.page(Format::Text);
        assert_eq!(
            text,
            "# HELP a Goes.\n# TYPE a gauge\na{x=\"q\\\"\\\\\\n\"} -Inf\n\
             # HELP b_total Counts.\n# TYPE b_total counter\nb_total 2.5\n\
             # HELP c Asked.\n# TYPE c gauge\nc 1e21\n\
             # HELP h Spreads.\n# TYPE h histogram\nh_bucket{le=\"0.1\"} 1\nh_bucket{le=\"1\"} 2\n\
             h_bucket{le=\"+Inf\"} 3\nh_sum 7.6\nh_count 3\n\
             # HELP s Sums.\n# TYPE s summary\ns{quantile=\"0.5\"} 3\ns{quantile=\"0.9\"} 3\n\
             s{quantile=\"0.99\"} 3\ns_sum 3\ns_count 1\n"
        );
        let open = registry.page(Format::OpenMetrics);
        assert!(open.contains("# TYPE b counter\nb_total 2.5\n") && open.ends_with("# EOF\n"));
    }
}
