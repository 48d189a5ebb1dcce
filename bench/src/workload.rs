//! The parts of the simulated fleet: its size, its targets and series, and how values move. Which
//! metrics there are stands in `fleet.rs`.
//!
//! Everything follows from [`Spec`]: the same spec gives byte-identical labels, values and (for the
//! same `start_ms`) timestamps, whatever the number of connections or of encoder threads.

use crate::proto;
use std::fmt::Write as _;

/// Late samples are at most this much late, milliseconds.
pub const LATE_MS_MAX: i64 = 24 * 3_600_000;

/// Size and behaviour of the simulated fleet.
#[derive(Debug, Clone, clap::Args, serde::Serialize, serde::Deserialize)]
pub struct Spec {
    /// Clusters; nodes are dealt out to them in turn.
    #[arg(long, default_value_t = 8)]
    pub clusters: u32,
    /// Active series aimed at; whole nodes are added until it is reached.
    #[arg(long, default_value_t = 100_000)]
    pub series: u32,
    /// CPUs per node.
    #[arg(long, default_value_t = 8)]
    pub cpus: u32,
    /// Pods per node.
    #[arg(long, default_value_t = 20)]
    pub pods: u32,
    /// Scrape interval, milliseconds.
    #[arg(long, default_value_t = 15_000)]
    pub interval_ms: i64,
    /// Each scrape is late by a random 0..=N milliseconds.
    #[arg(long, default_value_t = 0)]
    pub jitter_ms: i64,
    /// Fraction (0..=1) of the pods replaced in each churn period.
    #[arg(long, default_value_t = 0.0)]
    pub churn: f64,
    /// Churn period, minutes.
    #[arg(long, default_value_t = 10)]
    pub churn_minutes: u32,
    /// Share (0..=1) of the samples that come late, by 1 to 24 hours.
    #[arg(long, default_value_t = 0.0)]
    pub late_share: f64,
    /// A target is late for this many scrapes on end.
    #[arg(long, default_value_t = 20)]
    pub late_burst: u32,
    /// Simulated time, minutes.
    #[arg(long, default_value_t = 60)]
    pub minutes: u32,
    /// Further simulated minutes, sent only by the restart stage, just before the kill.
    #[arg(long, default_value_t = 2)]
    pub tail_minutes: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Spec {
    pub fn rounds_of(&self, minutes: u32) -> u32 {
        (i64::from(minutes) * 60_000 / self.interval_ms) as u32
    }
    /// Scrapes of each target in the main part.
    pub fn rounds(&self) -> u32 {
        self.rounds_of(self.minutes)
    }
    /// Scrapes of each target in the main part and the tail together.
    pub fn all_rounds(&self) -> u32 {
        self.rounds() + self.rounds_of(self.tail_minutes)
    }

    /// By how many milliseconds scrape number `round` of the target with this seed is late; mostly 0.
    ///
    /// A delay is a whole number of runs, so that a late sample never has the time of another one of its
    /// series: whatever is sent is stored once, and every count can be checked.
    pub fn delay_ms(&self, seed: u64, round: u32) -> i64 {
        if self.late_share <= 0.0 {
            return 0;
        }
        let mut rng =
            Rng::new(seed ^ u64::from(round / self.late_burst.max(1)).wrapping_mul(0xd6e8_feb8_6659_fd93));
        if rng.unit() >= self.late_share {
            return 0;
        }
        let run = (i64::from(self.all_rounds()) * self.interval_ms).max(1);
        let (least, most) = ((3_600_000 + run - 1) / run, LATE_MS_MAX / run);
        run * (least + rng.below((most - least + 1).max(1) as u64) as i64)
    }
}

/// SplitMix64: small state, one per series, so that no series depends on another.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub fn text(&mut self, alphabet: &[u8], len: usize) -> String {
        (0..len).map(|_| alphabet[self.below(alphabet.len() as u64) as usize] as char).collect()
    }
    pub fn hex(&mut self, len: usize) -> String {
        self.text(b"0123456789abcdef", len)
    }
}

/// How a series' value moves from one scrape to the next.
#[derive(Debug, Clone, Copy)]
pub enum Model {
    /// Never changes.
    Const,
    /// Grows by about `per_s` a second, with relative noise; shown in steps of `1/scale` (0: unrounded).
    Counter { per_s: f64, noise: f64, scale: f64 },
    /// Grows by one with probability `p` at each scrape.
    Rare { p: f64 },
    /// Integer that moves by one, up or down, with probability `p` at each scrape.
    Flat { p: f64 },
    /// Random walk within bounds, in steps of at most `step`; shown in steps of `1/scale`.
    Walk { step: f64, min: f64, max: f64, scale: f64 },
    /// A fresh random number each time, with all its digits.
    Noise { min: f64, max: f64 },
    /// Cumulative histogram bucket: the part `cdf` of a counter whose seed all its buckets share.
    Bucket { per_s: f64, cdf: f64 },
    /// The scrape's own time, seconds.
    Clock,
}

/// Steps in which byte and event counters are shown.
const INT: f64 = 1.0;

/// One series: its encoded labels, its life in scrapes, and the state of its value.
pub struct Series {
    /// Labels as [`proto::encode_labels`] wrote them.
    pub labels: Box<[u8]>,
    /// First scrape that shows it.
    pub from: u32,
    /// Scrape at which it gets its stale marker; `u32::MAX` for never.
    pub until: u32,
    model: Model,
    value: f64,
    rng: Rng,
}

impl Series {
    /// The value at the next scrape, `ts` in Unix milliseconds, `dt` seconds after the last.
    pub fn next(&mut self, ts: i64, dt: f64) -> f64 {
        match self.model {
            Model::Const => {}
            Model::Counter { per_s, noise, scale } => {
                self.value += per_s * dt * (1.0 + noise * (2.0 * self.rng.unit() - 1.0));
                if scale > 0.0 {
                    return (self.value * scale).floor() / scale;
                }
            }
            Model::Rare { p } => self.value += f64::from(self.rng.unit() < p),
            Model::Flat { p } => {
                if self.rng.unit() < p {
                    self.value = (self.value + if self.rng.next() & 1 == 0 { 1.0 } else { -1.0 }).max(0.0);
                }
            }
            Model::Walk { step, min, max, scale } => {
                self.value = (self.value + step * (2.0 * self.rng.unit() - 1.0)).clamp(min, max);
                return (self.value * scale).round() / scale;
            }
            Model::Noise { min, max } => return min + (max - min) * self.rng.unit(),
            Model::Bucket { per_s, cdf } => {
                self.value += per_s * dt * (0.5 + self.rng.unit());
                return (self.value * cdf).floor();
            }
            Model::Clock => return ts as f64 / 1000.0,
        }
        self.value
    }
}

/// One scrape target: all its series share its timestamps.
pub struct Target {
    /// Where in the interval it is scraped, milliseconds.
    pub phase_ms: i64,
    pub series: Vec<Series>,
    pub job: &'static str,
    pub jitter: Rng,
    /// What its lateness follows from.
    pub seed: u64,
}

impl Target {
    /// Time of scrape number `round`, Unix milliseconds. Call it once per round, in order.
    pub fn scrape_time(&mut self, spec: &Spec, start_ms: i64, round: u32) -> i64 {
        let jitter = if spec.jitter_ms > 0 { self.jitter.below(spec.jitter_ms as u64 + 1) as i64 } else { 0 };
        start_ms + self.phase_ms + i64::from(round) * spec.interval_ms + jitter
            - spec.delay_ms(self.seed, round)
    }
}

/// Collects the series of one target.
pub struct Builder {
    /// Labels that all its series share.
    pub common: Vec<(String, String)>,
    pub target: Target,
    pub rng: Rng,
    /// Life of the series added next, in scrapes: first, and that of the stale marker.
    pub life: (u32, u32),
}

impl Builder {
    pub fn new(rng: &mut Rng, spec: &Spec, cluster: &str, job: &'static str, instance: &str) -> Self {
        let mut own = Rng::new(rng.next());
        let phase_ms = own.below((spec.interval_ms - spec.jitter_ms).max(1) as u64) as i64;
        let pair = |n: &str, v: &str| (n.to_string(), v.to_string());
        let (jitter, seed) = (Rng::new(own.next()), own.next());
        Builder {
            common: vec![pair("cluster", cluster), pair("job", job), pair("instance", instance)],
            target: Target { phase_ms, series: Vec::new(), job, jitter, seed },
            rng: own,
            life: (0, u32::MAX),
        }
    }

    /// Adds one series; `value` is where it starts.
    pub fn add(&mut self, name: &str, extra: &[(&str, &str)], model: Model, value: f64) {
        let rng = Rng::new(self.rng.next());
        self.add_seeded(name, extra, model, value, rng);
    }

    pub fn add_seeded(&mut self, name: &str, extra: &[(&str, &str)], model: Model, value: f64, rng: Rng) {
        let mut labels: Vec<(&str, &str)> = vec![("__name__", name)];
        labels.extend(self.common.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        labels.extend_from_slice(extra);
        labels.sort_unstable();
        let (from, until) = self.life;
        self.target.series.push(Series {
            labels: proto::encode_labels(&labels),
            from,
            until,
            model,
            value,
            rng,
        });
    }

    /// A counter of whole numbers that has been running for a while; one that is new starts at 0.
    pub fn count(&mut self, name: &str, extra: &[(&str, &str)], per_s: f64) {
        let age = if self.life.0 == 0 { 1e4 + self.rng.unit() * 1e6 } else { 0.0 };
        self.add(name, extra, Model::Counter { per_s, noise: 0.8, scale: INT }, (per_s * age).floor());
    }

    /// A counter of seconds with two decimals, as the kernel's clock ticks give them.
    pub fn seconds(&mut self, name: &str, extra: &[(&str, &str)], per_s: f64) {
        let age = if self.life.0 == 0 { 1e4 + self.rng.unit() * 1e6 } else { 0.0 };
        self.add(
            name,
            extra,
            Model::Counter { per_s, noise: 0.3, scale: 100.0 },
            (per_s * age * 100.0).floor() / 100.0,
        );
    }

    /// A byte gauge around `mid` that moves in pages of 4096 bytes.
    pub fn bytes(&mut self, name: &str, extra: &[(&str, &str)], mid: f64) {
        let start = mid * (0.7 + 0.6 * self.rng.unit());
        self.add(
            name,
            extra,
            Model::Walk { step: mid / 50.0, min: mid / 4.0, max: mid * 2.0, scale: 1.0 / 4096.0 },
            start,
        );
    }

    pub fn fixed(&mut self, name: &str, extra: &[(&str, &str)], value: f64) {
        self.add(name, extra, Model::Const, value);
    }

    /// The series a scraper itself adds to each target.
    pub fn finish(mut self, out: &mut Vec<Target>) {
        let n = self.target.series.len() as f64;
        self.fixed("up", &[], 1.0);
        self.add("scrape_duration_seconds", &[], Model::Noise { min: 0.002, max: 0.05 }, 0.0);
        self.fixed("scrape_samples_scraped", &[], n);
        self.fixed("scrape_samples_post_metric_relabeling", &[], n);
        self.fixed("scrape_series_added", &[], 0.0);
        out.push(self.target);
    }
}

/// One /metrics page in the text format, without the labels that a scraper adds.
pub fn exposition(target: &mut Target, limit: usize, ts: i64, dt: f64, page: &mut String) {
    for series in target.series.iter_mut().take(limit) {
        let value = series.next(ts, dt);
        let mut first = true;
        for (name, text) in proto::labels(&series.labels) {
            match name {
                "__name__" => page.push_str(text),
                "cluster" | "job" | "instance" => {}
                _ => {
                    let _ = write!(page, "{}{name}=\"{text}\"", if first { '{' } else { ',' });
                    first = false;
                }
            }
        }
        let _ = writeln!(page, "{} {value}", if first { "" } else { "}" });
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::fleet::fleet;

    pub fn spec() -> Spec {
        Spec {
            clusters: 2,
            series: 4000,
            cpus: 2,
            pods: 4,
            interval_ms: 15_000,
            jitter_ms: 5,
            churn: 0.5,
            churn_minutes: 5,
            late_share: 0.0,
            late_burst: 4,
            minutes: 20,
            tail_minutes: 2,
            seed: 7,
        }
    }

    #[test]
    fn series_are_unique_sorted_and_the_same_each_time() {
        let (a, b) = (fleet(&spec()), fleet(&spec()));
        let all = |f: &[Target]| {
            f.iter()
                .flat_map(|t| t.series.iter().map(|s| (s.labels.clone(), s.from, s.until)))
                .collect::<Vec<_>>()
        };
        assert_eq!(all(&a), all(&b));
        let mut seen = std::collections::HashSet::new();
        for (labels, ..) in all(&a) {
            let pairs = proto::labels(&labels);
            assert!(pairs.windows(2).all(|w| w[0].0 < w[1].0), "{pairs:?}");
            assert!(["cluster", "job", "instance"].iter().all(|n| pairs.iter().any(|p| p.0 == *n)));
            assert!(seen.insert(labels));
        }
    }

    #[test]
    fn late_samples_have_their_share_their_bounds_and_times_of_their_own() {
        let spec = Spec { late_share: 0.2, jitter_ms: 0, ..spec() };
        let (mut late, mut all, mut longest) = (0.0, 0.0, 0);
        for target in &mut fleet(&Spec { churn: 0.0, ..spec.clone() }) {
            let mut seen = std::collections::HashSet::new();
            for round in 0..spec.all_rounds() {
                let on_time = target.phase_ms + i64::from(round) * spec.interval_ms;
                let delay = on_time - target.scrape_time(&spec, 0, round);
                assert!(delay == 0 || (3_600_000..=LATE_MS_MAX).contains(&delay), "{delay}");
                assert!(seen.insert(on_time - delay));
                (late, all, longest) = (late + f64::from(delay > 0), all + 1.0, longest.max(delay));
            }
        }
        assert!((0.15..0.25).contains(&(late / all)), "{}", late / all);
        assert!(longest > 20 * 3_600_000);
    }

    #[test]
    fn counters_never_fall_and_buckets_are_cumulative() {
        for target in &mut fleet(&spec()) {
            let mut last = vec![f64::NEG_INFINITY; target.series.len()];
            for round in 0..20 {
                let mut below = f64::NEG_INFINITY;
                for (i, s) in target.series.iter_mut().enumerate() {
                    let v = s.next(i64::from(round) * 15_000, 15.0);
                    match s.model {
                        Model::Counter { .. } | Model::Rare { .. } => assert!(v >= last[i]),
                        Model::Bucket { .. } => assert!(v >= last[i] && v >= below),
                        _ => {}
                    }
                    below = if matches!(s.model, Model::Bucket { .. }) { v } else { f64::NEG_INFINITY };
                    last[i] = v;
                }
            }
        }
    }
}
