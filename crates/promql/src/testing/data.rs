//! Series with everything that makes queries hard: resets, gaps, stale markers, NaN, infinities, native histograms
//! with both kinds of buckets, and series that change from floats to histograms.

use std::sync::Arc;

use nave_model::append::HistogramSample;
use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::sample::{Value, stale_nan};
use nave_model::time::Timestamp;

use super::{Grammar, When};
use crate::testscript::MemoryStore;

const STEP_MS: i64 = 15_000;
const STEPS: i64 = 200;

/// A series with its samples.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its labels.
    pub labels: Labels,
    /// Its floats, ascending in time.
    pub floats: Vec<(Timestamp, f64)>,
    /// Its histograms, ascending in time.
    pub histograms: Vec<HistogramSample>,
}

/// The data of one seed.
#[derive(Debug, Clone)]
pub struct Data {
    start: i64,
    /// By labels.
    pub series: Vec<Stored>,
}

/// What a float series does.
#[derive(Clone, Copy)]
enum Shape {
    Counter,
    Gauge,
    Odd,
    Steady,
}

impl Data {
    /// Series that end about `now`, in ms.
    ///
    /// # Panics
    /// Never: the labels are valid.
    #[must_use]
    pub fn new(seed: u64, now: i64) -> Self {
        let mut data = Self { start: (now / STEP_MS - STEPS) * STEP_MS, series: Vec::new() };
        let mut random = fastrand::Rng::with_seed(seed ^ 0x0dd0);
        for instance in ["a:1", "b:1", "c:1"] {
            for job in ["x", "y"] {
                let base = [("instance", instance), ("job", job)];
                for mode in ["idle", "user"] {
                    data.floats(
                        "cpu_seconds_total",
                        &base,
                        Some(("mode", mode)),
                        Shape::Counter,
                        &mut random,
                    );
                }
                for le in ["0.1", "0.5", "1", "+Inf"] {
                    data.floats("latency_bucket", &base, Some(("le", le)), Shape::Counter, &mut random);
                }
                data.floats("memory_bytes", &base, None, Shape::Gauge, &mut random);
                data.floats("odd", &base, None, Shape::Odd, &mut random);
                data.floats("up", &base, None, Shape::Steady, &mut random);
                data.histograms("latency_native", &base, false, &mut random);
                data.histograms("latency_custom", &base, true, &mut random);
            }
        }
        data.floats("mixed", &[("instance", "a:1"), ("job", "x")], None, Shape::Counter, &mut random);
        data.mix(&mut random);
        // Prometheus reads series in the order in which they came, we in label order; where that shows (`limitk`, the
        // last bit of a sum), neither is wrong.
        data.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        data
    }

    fn times(&self, random: &mut fastrand::Rng) -> Vec<(Timestamp, bool)> {
        let jitter = if random.bool() { 0 } else { random.i64(0..STEP_MS) };
        let mut gap = 0;
        let mut times = Vec::new();
        for step in 0..STEPS {
            let t = Timestamp(self.start + step * STEP_MS + jitter);
            if gap > 0 {
                gap -= 1;
                continue;
            }
            if random.u32(0..60) == 0 {
                gap = random.i64(1..30);
                // Half of the gaps begin with a stale marker.
                if random.bool() {
                    times.push((t, true));
                }
                continue;
            }
            times.push((t, false));
        }
        times
    }

    fn floats(
        &mut self,
        name: &str,
        base: &[(&str, &str)],
        more: Option<(&str, &str)>,
        shape: Shape,
        random: &mut fastrand::Rng,
    ) {
        let pairs = [("__name__", name)].into_iter().chain(base.iter().copied()).chain(more);
        let labels = Labels::from_pairs(pairs).expect("Data: labels are valid");
        let mut value = random.f64() * 100.0;
        let mut floats = Vec::new();
        for (t, stale) in self.times(random) {
            value = match shape {
                Shape::Counter if random.u32(0..50) == 0 => random.f64() * 3.0,
                Shape::Counter => {
                    value + (random.f64() * 8.0).floor() * if random.bool() { 1.0 } else { 0.37 }
                }
                Shape::Gauge => (random.f64() - 0.4) * 1e9,
                Shape::Odd => odd(random),
                Shape::Steady => f64::from(u8::from(random.u32(0..10) > 0)),
            };
            floats.push((t, if stale { stale_nan() } else { value }));
        }
        self.series.push(Stored { labels, floats, histograms: Vec::new() });
    }

    fn histograms(&mut self, name: &str, base: &[(&str, &str)], custom: bool, random: &mut fastrand::Rng) {
        let labels = Labels::from_pairs([("__name__", name)].into_iter().chain(base.iter().copied()))
            .expect("Data: labels are valid");
        let mut counts = [0u64; 6];
        let mut histograms = Vec::new();
        for (timestamp, stale) in self.times(random) {
            if random.u32(0..60) == 0 {
                counts = [0; 6];
            }
            counts.iter_mut().for_each(|count| *count += random.u64(0..5));
            let mut histogram = histogram(counts, custom);
            if stale {
                histogram = Histogram { sum: stale_nan(), ..empty(custom) };
            }
            histograms.push(HistogramSample {
                timestamp,
                histogram: Arc::new(histogram),
                start_timestamp: None,
            });
        }
        self.series.push(Stored { labels, floats: Vec::new(), histograms });
    }

    /// The second half of `mixed` is histograms.
    fn mix(&mut self, random: &mut fastrand::Rng) {
        let Some(mixed) = self.series.last_mut() else { return };
        let half = mixed.floats.len() / 2;
        for (i, (timestamp, _)) in mixed.floats.split_off(half).into_iter().enumerate() {
            let counts = [1, 2, 3, 4, 5, 6].map(|n| n * (i as u64 + random.u64(1..3)));
            let histogram = Arc::new(histogram(counts, false));
            mixed.histograms.push(HistogramSample { timestamp, histogram, start_timestamp: None });
        }
    }

    /// Everything in a store that gives all series, so that plans which read other ranges see the same ones.
    ///
    /// # Panics
    /// Never: no two samples of a series are at one time.
    #[must_use]
    pub fn stored(&self) -> Arc<MemoryStore> {
        let store = MemoryStore::giving_all();
        for Stored { labels, floats, histograms } in &self.series {
            for (timestamp, value) in floats {
                store.append_float(labels, *timestamp, *value).expect("Data: one sample at a time");
            }
            for sample in histograms {
                let value = Value::Histogram(sample.histogram.clone());
                store.append(labels, sample.timestamp, value, None).expect("Data: one sample at a time");
            }
        }
        Arc::new(store)
    }

    /// A random time or range over the data.
    pub fn when(&self, grammar: &mut Grammar) -> When {
        let random = grammar.random();
        let span = STEPS * STEP_MS;
        let at = self.start + random.i64(-60_000..span + 400_000);
        if random.bool() {
            return When::At(at);
        }
        let step = [1_000, 7_000, 15_000, 30_000, 61_000][random.usize(0..5)];
        When::Range { start: at, end: at + step * random.i64(0..25), step }
    }
}

fn odd(random: &mut fastrand::Rng) -> f64 {
    match random.u32(0..12) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => -0.0,
        4 => 0.0,
        5 => 1e300,
        6 => -1e-300,
        7 => 0.1,
        8 => 9_007_199_254_740_993.0,
        _ => (random.f64() - 0.5) * 10f64.powi(random.i32(-20..20)),
    }
}

fn empty(custom: bool) -> Histogram {
    Histogram {
        schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { 2 },
        zero_threshold: if custom { 0.0 } else { 0.001 },
        zero_count: 0.0,
        count: 0.0,
        sum: 0.0,
        positive_spans: Vec::new(),
        positive_buckets: Vec::new(),
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        custom_bounds: if custom { vec![0.1, 0.5, 1.0, 5.0] } else { Vec::new() },
        counter_reset_hint: CounterResetHint::Unknown,
        integer: true,
    }
}

fn histogram(counts: [u64; 6], custom: bool) -> Histogram {
    let [zero, a, b, c, d, e] = counts.map(|count| count as f64);
    if custom {
        return Histogram {
            count: a + b + c + d + e,
            sum: a * 0.05 + b * 0.3 + c * 0.7 + d * 2.0 + e * 7.0,
            positive_spans: vec![Span { offset: 0, length: 5 }],
            positive_buckets: vec![a, b, c, d, e],
            ..empty(true)
        };
    }
    Histogram {
        zero_count: zero,
        count: zero + a + b + c + d + e,
        sum: a * 0.5 + b + c * 4.0 + d * 9.0 - e,
        positive_spans: vec![Span { offset: -3, length: 2 }, Span { offset: 4, length: 2 }],
        positive_buckets: vec![a, b, c, d],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![e],
        ..empty(false)
    }
}
