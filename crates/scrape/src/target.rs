//! A target: what is scraped, under which labels, and how it went last time.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use nave_discovery::TargetGroup;
use nave_model::duration::PromDuration;
use nave_model::label::{Builder, Labels};
use nave_model::relabel::{Verdict, process};
use nave_model::time::Timestamp;
use parking_lot::Mutex;
use url::Url;

use crate::config::ScrapeConfig;
use crate::metadata::Families;

pub(crate) const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
/// Relabelling may set these; the job decides otherwise.
const HISTOGRAMS: [&str; 3] = [
    "__scrape_native_histograms__",
    "__always_scrape_classic_histograms__",
    "__convert_classic_histograms_to_nhcb__",
];
const PARAM_PREFIX: &str = "__param_";
const META_PREFIX: &str = "__meta_";
const RESERVED_PREFIX: &str = "__";

/// Whether the last scrape worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// It did.
    Up,
    /// It did not.
    Down,
    /// There was none yet.
    #[default]
    Unknown,
}

impl Health {
    /// The word of the HTTP API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// How the last scrape went.
#[derive(Debug, Clone, Default)]
pub(crate) struct Last {
    pub(crate) health: Health,
    pub(crate) error: String,
    pub(crate) at: Option<Timestamp>,
    pub(crate) duration: Duration,
}

/// One target.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) discovered: Labels,
    /// The labels of its series.
    pub(crate) labels: Labels,
    pub(crate) url: Url,
    pub(crate) interval: PromDuration,
    pub(crate) timeout: PromDuration,
    /// What its labels say of native and classic histograms and of converting them.
    pub(crate) histograms: [Option<bool>; 3],
    /// Equal for targets that are scraped in the same way under the same labels, today and after a restart.
    pub(crate) hash: u64,
    pub(crate) last: Mutex<Last>,
    pub(crate) families: Mutex<Families>,
}

/// What became of discovered labels.
#[derive(Debug)]
pub(crate) enum Built {
    Target(Box<Target>),
    Dropped(Labels),
}

impl Target {
    /// Makes the target of `own` labels in `group`.
    pub(crate) fn build(
        config: &ScrapeConfig,
        group: &TargetGroup,
        own: &[(String, String)],
    ) -> Result<Built, String> {
        let mut labels = discovered(config, group, own);
        let discovered = labels.build();
        if process(&mut labels, &config.relabel_configs) == Verdict::Drop {
            return Ok(Built::Dropped(discovered));
        }
        let address = labels.get(ADDRESS).to_owned();
        if address.is_empty() {
            return Err("no address".to_owned());
        }
        if address.contains('/') {
            return Err(format!("{address:?} is not a valid hostname"));
        }
        let interval = duration(&labels, INTERVAL, "interval")?;
        let timeout = duration(&labels, TIMEOUT, "timeout")?;
        if timeout > interval {
            let (timeout, interval) = (labels.get(TIMEOUT), labels.get(INTERVAL));
            return Err(format!(
                "scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})"
            ));
        }
        let histograms = switches(&labels)?;
        labels.retain(|name, _| !name.starts_with(META_PREFIX));
        if labels.get("instance").is_empty() {
            labels.set("instance", &address);
        }
        let url = url(config, &labels)?;
        let all = labels.build();
        let hash = stable_hash(&(all.as_bytes(), url.as_str()));
        Ok(Built::Target(Box::new(Self {
            discovered,
            labels: all.filtered(|name| !name.starts_with(RESERVED_PREFIX)),
            url,
            interval,
            timeout,
            histograms,
            hash,
            last: Mutex::default(),
            families: Mutex::default(),
        })))
    }

    /// A target that is no address: a page of this process.
    pub(crate) fn builtin(
        job: &str,
        instance: &str,
        more: &[(String, String)],
        interval: PromDuration,
    ) -> Self {
        let mut labels = Builder::default();
        labels.set("job", job).set("instance", instance);
        more.iter().for_each(|(name, value)| _ = labels.set(name, value));
        let labels = labels.build();
        let url = Url::parse(&format!("builtin://{job}/metrics"))
            .or_else(|_| Url::parse("builtin://nave/metrics"))
            .expect("a constant URL is one");
        Self {
            discovered: labels.clone(),
            hash: stable_hash(&(labels.as_bytes(), "builtin")),
            labels,
            url,
            interval,
            timeout: interval,
            histograms: [None; 3],
            last: Mutex::default(),
            families: Mutex::default(),
        }
    }

    /// For errors and logs.
    pub(crate) fn name(&self) -> Arc<str> {
        Arc::from(format!("job {:?} instance {:?}", self.labels.get("job"), self.labels.get("instance")))
    }

    /// How long to wait from `now` for its first scrape, so that targets are spread over the interval and
    /// a target has the same phase after every restart.
    pub(crate) fn offset(&self, now: Timestamp, seed: u64) -> Duration {
        let interval = self.interval.as_ms().max(1);
        let phase = (self.hash ^ seed) % interval;
        let passed = now.0.rem_euclid(interval as i64) as u64;
        Duration::from_millis((interval - passed + phase) % interval)
    }
}

/// The labels before relabelling: the target's own, the group's, then what the config says.
fn discovered(config: &ScrapeConfig, group: &TargetGroup, own: &[(String, String)]) -> Builder {
    let mut labels = Builder::default();
    let set = |labels: &mut Builder, name: &str, value: &str| {
        if labels.get(name).is_empty() {
            labels.set(name, value);
        }
    };
    for (name, value) in own.iter().chain(&group.labels) {
        set(&mut labels, name, value);
    }
    set(&mut labels, "job", &config.job_name);
    set(&mut labels, INTERVAL, &config.scrape_interval.to_string());
    set(&mut labels, TIMEOUT, &config.scrape_timeout.to_string());
    set(&mut labels, PATH, &config.metrics_path);
    set(&mut labels, SCHEME, &config.scheme);
    for (name, values) in &config.params {
        if let Some(first) = values.first() {
            set(&mut labels, &format!("{PARAM_PREFIX}{name}"), first);
        }
    }
    labels
}

fn duration(labels: &Builder, label: &str, what: &str) -> Result<PromDuration, String> {
    let duration: PromDuration =
        labels.get(label).parse().map_err(|error| format!("error parsing scrape {what}: {error}"))?;
    if duration.is_zero() {
        return Err(format!("scrape {what} cannot be 0"));
    }
    Ok(duration)
}

fn switches(labels: &Builder) -> Result<[Option<bool>; 3], String> {
    let mut switches = [None; 3];
    for (name, switch) in HISTOGRAMS.into_iter().zip(&mut switches) {
        *switch = match labels.get(name) {
            "" => None,
            "true" => Some(true),
            "false" => Some(false),
            other => return Err(format!("error parsing {name}: expected true or false, came {other:?}")),
        };
    }
    Ok(switches)
}

fn url(config: &ScrapeConfig, labels: &Builder) -> Result<Url, String> {
    let (scheme, address) = (labels.get(SCHEME), labels.get(ADDRESS));
    if !matches!(scheme, "http" | "https") {
        return Err(format!("unsupported protocol scheme {scheme:?}, expected http or https"));
    }
    let base = format!("{scheme}://{address}");
    let mut url =
        Url::parse(&base).map_err(|error| format!("invalid target address {address:?}: {error}"))?;
    url.set_path(labels.get(PATH));
    let mut params = config.params.clone();
    for (name, value) in labels.pairs() {
        if let Some(name) = name.strip_prefix(PARAM_PREFIX) {
            let values = params.entry(name.to_owned()).or_default();
            values.truncate(values.len().max(1));
            match values.first_mut() {
                Some(first) => first.clone_from(value),
                None => values.push(value.clone()),
            }
        }
    }
    if !params.is_empty() {
        let pairs = params.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        url.query_pairs_mut().extend_pairs(pairs);
    }
    Ok(url)
}

/// A hash that is the same in every process.
fn stable_hash(value: &impl Hash) -> u64 {
    foldhash::quality::FixedState::with_seed(0).hash_one(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Defaults;

    fn build(yaml: &str, own: &[(&str, &str)]) -> Result<Built, String> {
        let mut config: ScrapeConfig = serde_saphyr::from_str(yaml).expect(yaml);
        config.apply_defaults(&Defaults::default()).unwrap();
        let own: Vec<_> = own.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let labels = vec![("zone".to_owned(), "a".to_owned()), ("__meta_x".to_owned(), "y".to_owned())];
        Target::build(&config, &TargetGroup { source: "s".into(), targets: Vec::new(), labels }, &own)
    }

    fn target(yaml: &str, own: &[(&str, &str)]) -> Target {
        match build(yaml, own).unwrap() {
            Built::Target(target) => *target,
            Built::Dropped(labels) => panic!("dropped {labels}"),
        }
    }

    #[test]
    fn labels_and_url() {
        let yaml = "{job_name: j, params: {b: [x, y], a: ['1 2']}, metrics_path: '/p?q', relabel_configs: [{source_labels: [__meta_x], target_label: x}]}";
        let plain = target(yaml, &[(ADDRESS, "h:1")]);
        assert_eq!(plain.labels.to_string(), r#"{instance="h:1", job="j", x="y", zone="a"}"#);
        assert_eq!(plain.url.as_str(), "http://h:1/p%3Fq?a=1+2&b=x&b=y");
        assert_eq!(plain.discovered.get("__meta_x"), "y");
        assert_eq!((plain.interval.as_ms(), plain.timeout.as_ms()), (60_000, 10_000));
        let own = [
            (ADDRESS, "h"),
            ("job", "mine"),
            ("__scheme__", "https"),
            ("__param_b", "z"),
            ("__scrape_interval__", "30s"),
        ];
        let own = target(yaml, &own);
        assert_eq!(own.url.as_str(), "https://h/p%3Fq?a=1+2&b=z&b=y");
        assert_eq!(
            (own.labels.get("job"), own.labels.get("instance"), own.interval.as_ms()),
            ("mine", "h", 30_000)
        );
        assert_ne!(own.hash, plain.hash);
        assert_eq!(plain.hash, target(yaml, &[(ADDRESS, "h:1")]).hash);
        let six = target("{job_name: j}", &[(ADDRESS, "[::1]:9100")]);
        assert_eq!(six.url.as_str(), "http://[::1]:9100/metrics");
    }

    #[test]
    fn what_is_no_target() {
        let check = |yaml: &str, own: &[(&str, &str)], want: &str| {
            assert_eq!(build(yaml, own).unwrap_err(), want);
        };
        check("{job_name: j}", &[], "no address");
        check("{job_name: j}", &[(ADDRESS, "a/b")], "\"a/b\" is not a valid hostname");
        check(
            "{job_name: j}",
            &[(ADDRESS, "a"), ("__scrape_interval__", "x")],
            "error parsing scrape interval: not a valid duration string: \"x\"",
        );
        check("{job_name: j}", &[(ADDRESS, "a"), ("__scrape_timeout__", "0")], "scrape timeout cannot be 0");
        check(
            "{job_name: j}",
            &[(ADDRESS, "a"), ("__scrape_timeout__", "2m")],
            "scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")",
        );
        check(
            "{job_name: j, scheme: ftp}",
            &[(ADDRESS, "a")],
            "unsupported protocol scheme \"ftp\", expected http or https",
        );
        let drop = "{job_name: j, relabel_configs: [{action: drop, source_labels: [zone], regex: a}]}";
        assert!(matches!(build(drop, &[(ADDRESS, "a")]), Ok(Built::Dropped(_))));
    }

    #[test]
    fn phases_stay_and_are_spread() {
        let one = target("{job_name: j}", &[(ADDRESS, "h:1")]);
        let phase = |now: i64| (now + one.offset(Timestamp(now), 5).as_millis() as i64) % 60_000;
        assert_eq!(phase(1_000_000), phase(1_234_567));
        let mut tenths = [0; 10];
        for n in 0..1_000 {
            let address = format!("h:{n}");
            let target = target("{job_name: j}", &[(ADDRESS, &address)]);
            tenths[(target.offset(Timestamp(0), 5).as_secs() / 6) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (50..200).contains(count)), "{tenths:?}");
    }
}
