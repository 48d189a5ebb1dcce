//! Recorded samples of real programs: what a sample takes on disk once the target has compacted, and whether
//! it comes back bit for bit.
//!
//! A recording NAME is `NAME.series.txt` (a series per line, text format), `NAME.values.f64le.xz` (doubles,
//! series after series) and `NAME.timestamps.i64le` (three columns of milliseconds: nodes, Prometheus,
//! VictoriaMetrics), as in the corpus `samples`. Times are moved into the last day.

use crate::report::Round;
use crate::server::{self, Def, Server};
use crate::workload::Rng;
use crate::write::{self, Packer, Payload};
use crate::{Place, proto, query, results, upkeep};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Recordings begin at a multiple of this, milliseconds.
const ALIGN_MS: i64 = 8 * 3_600_000;
/// Step of the grid, milliseconds.
const GRID_MS: i64 = 15_000;

/// Which recordings, and from where.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The corpora's folder, or that of the recordings.
    #[arg(long, env = "NAVE_CORPORA")]
    pub recordings: PathBuf,
    /// Recordings; `NAME` has the times as recorded, `NAME+grid` every 15 s exactly, `NAME+Nms` each scrape
    /// off that grid by a random 0..=N milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "real15+grid,real15,real1+grid,real1+4ms")]
    pub names: Vec<String>,
    /// Rounds; each goes through all targets, and the table shows medians.
    #[arg(long, default_value_t = 1)]
    pub rounds: usize,
}

/// One recording in memory.
pub struct Recording {
    /// Labels with the metric name, sorted by name.
    pub series: Vec<Vec<(String, String)>>,
    /// For each series, which column of times it has.
    columns: Vec<usize>,
    /// Unix milliseconds, for each column.
    pub times: [Vec<i64>; 3],
    /// Samples, series after series.
    pub values: Vec<f64>,
}

impl Recording {
    pub fn load(folder: &Path, name: &str) -> Result<Recording> {
        let (name, times_are) = name.split_once('+').map_or((name, None), |(n, t)| (n, Some(t)));
        let jitter: Option<u64> = match times_are {
            None => None,
            Some("grid") => Some(0),
            Some(ms) => Some(ms.strip_suffix("ms").and_then(|n| n.parse().ok()).with_context(|| {
                format!("{name}+{ms}: behind the + stands grid, or milliseconds such as 4ms")
            })?),
        };
        let path = |suffix: &str| folder.join(format!("{name}.{suffix}"));
        let text = std::fs::read_to_string(path("series.txt")).with_context(|| {
            format!(
                "{}: the recordings come with the project's corpora; see NAVE_CORPORA",
                path("series.txt").display()
            )
        })?;
        let series = text
            .lines()
            .map(|l| parse_series(l).with_context(|| format!("not a series: {l}")))
            .collect::<Result<Vec<_>>>()?;
        let out = std::process::Command::new("xz").arg("-dc").arg(path("values.f64le.xz")).output();
        let out = out.context("xz, which unpacks the recordings")?;
        anyhow::ensure!(out.status.success(), "xz: {}", String::from_utf8_lossy(&out.stderr));
        let words = |bytes: &[u8]| -> Vec<[u8; 8]> {
            bytes.chunks_exact(8).map(|c| c.try_into().expect("8 bytes")).collect()
        };
        let values: Vec<f64> = words(&out.stdout).into_iter().map(f64::from_le_bytes).collect();
        let times = words(&std::fs::read(path("timestamps.i64le"))?);
        let length = times.len() / 3;
        anyhow::ensure!(values.len() == series.len() * length, "{name}: {} values", values.len());
        let mut rng = Rng::new(1);
        let mut column = |i: usize| -> Vec<i64> {
            let one: Vec<i64> =
                times[i * length..(i + 1) * length].iter().map(|w| i64::from_le_bytes(*w)).collect();
            let Some(jitter) = jitter else { return one };
            let on_grid = |at: usize| one[0] + at as i64 * GRID_MS;
            (0..length).map(|at| on_grid(at) + rng.below(jitter + 1) as i64).collect()
        };
        let times = [column(0), column(1), column(2)];
        let columns = series.iter().map(|s| source(s)).collect();
        Ok(Recording { series, columns, times, values })
    }

    /// Moves all times so that the first is at 00:00, 08:00 or 16:00 UTC, the latest that leaves the last before
    /// `now_ms`: the same recording is cut into the same blocks of hours and days whenever it is measured.
    pub fn place_before(&mut self, now_ms: i64) {
        let first = self.times.iter().flatten().copied().min().unwrap_or(0);
        let last = self.times.iter().flatten().copied().max().unwrap_or(0);
        let begin = (now_ms - (last - first)).div_euclid(ALIGN_MS) * ALIGN_MS;
        self.times.iter_mut().flatten().for_each(|t| *t += begin - first);
    }

    /// Requests with the samples in order of their scrapes.
    pub fn encode(&self, batch: usize) -> Vec<Payload> {
        let labels: Vec<Box<[u8]>> = self
            .series
            .iter()
            .map(|s| {
                proto::encode_labels(&s.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>())
            })
            .collect();
        let (length, mut packer, mut out) = (self.times[0].len(), Packer::new(batch), Vec::new());
        for scrape in 0..length {
            for (i, labels) in labels.iter().enumerate() {
                let value = self.values[i * length + scrape];
                out.extend(packer.put(labels, value, self.times[self.columns[i]][scrape]));
            }
        }
        out.extend(packer.flush());
        out
    }

    /// How many samples of an answer are missing or differ in a bit.
    fn differing(&self, answer: &query::Answer, name: &str) -> u64 {
        let length = self.times[0].len();
        let mut wrong = 0;
        for (i, series) in self.series.iter().enumerate().filter(|s| metric(s.1) == name) {
            let found = answer.get(&key(series)).map_or(&[][..], |p| p);
            let found: BTreeMap<i64, f64> = found.iter().copied().collect();
            for scrape in 0..length {
                let value = self.values[i * length + scrape];
                let same = |v: &f64| v.to_bits() == value.to_bits() || (v.is_nan() && value.is_nan());
                wrong += u64::from(!found.get(&self.times[self.columns[i]][scrape]).is_some_and(same));
            }
        }
        wrong
    }
}

/// The metric's name; upper-case labels sort before it.
fn metric(series: &[(String, String)]) -> &str {
    series.iter().find(|l| l.0 == "__name__").map_or("", |l| l.1.as_str())
}

/// Which column of times a series has: that of its instance.
fn source(series: &[(String, String)]) -> usize {
    let instance = series.iter().find(|l| l.0 == "instance").map_or("", |l| l.1.as_str());
    match instance.split('-').next() {
        Some("prom") => 1,
        Some("vm") => 2,
        _ => 0,
    }
}

/// `name{a="b",...}` as labels sorted by name.
fn parse_series(line: &str) -> Option<Vec<(String, String)>> {
    let (name, mut rest) = line.split_once('{').unwrap_or((line, "}"));
    let mut out = vec![("__name__".to_string(), name.to_string())];
    while rest != "}" {
        let (label, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, c) => value.push(c),
            }
        };
        if !value.is_empty() {
            out.push((label.to_string(), value)); // a label without a value is no label
        }
        rest = quoted[end + 1..].strip_prefix(',').unwrap_or(&quoted[end + 1..]);
    }
    out.sort_unstable();
    Some(out)
}

/// The label set as query::Answer has it.
fn key(series: &[(String, String)]) -> String {
    let pair = |(n, v): &(String, String)| format!("{n}={}", serde_json::Value::from(v.as_str()));
    series.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// Measures every target with every recording.
pub async fn run(place: Place, o: Options) -> Result<()> {
    let inner = o.recordings.join("samples");
    let folder = if inner.is_dir() { inner } else { o.recordings.clone() };
    let defs = server::load(&place.targets_file, &place.work, &place.only, &[])?;
    let mut rounds = Vec::new();
    for round in 1..=o.rounds {
        for def in &defs {
            let mut r = results::round(def, round);
            for name in &o.names {
                eprintln!("{} round {round}: {name}", def.name);
                let mut recording = Recording::load(&folder, name)?;
                recording.place_before(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64);
                if let Err(e) = one(def, &recording, name, &mut r).await {
                    eprintln!("{}: {e:#}", def.name);
                    r.remarks.push(format!("{name}: ended early: {e:#}"));
                }
            }
            rounds.push(r);
        }
    }
    results::finish(&place, "recordings", Some(serde_json::json!({ "recordings": o.names })), &rounds)
}

async fn one(def: &Def, recording: &Recording, name: &str, r: &mut Round) -> Result<()> {
    let server = Server::start(def, true).await?;
    let connection = write::connection()?;
    let mut refused = 0;
    for payload in recording.encode(2000) {
        let (status, text) = write::post(&connection, &def.write_url, &payload).await?;
        if !(200..300).contains(&status) {
            refused += payload.samples;
            r.remarks.push(format!("{name}: {status}: {text}"));
        }
    }
    r.add(&format!("{name}: samples refused"), "samples", refused.into());
    upkeep::flush(def).await?;
    let stored = (recording.values.len() as u64, recording.series.len());
    upkeep::compacted(def, &server, &format!("{name}: "), stored, r).await?;
    let client = query::Client::new(def)?;
    let last = recording.times.iter().flatten().copied().max().unwrap_or(0);
    let first = recording.times.iter().flatten().copied().min().unwrap_or(0);
    let names: BTreeSet<&str> = recording.series.iter().map(|s| metric(s)).collect();
    let mut wrong = 0;
    for metric in names {
        let expr = format!("{metric}[{}s]", (last - first) / 1000 + 60);
        let time = format!("{:.3}", last as f64 / 1e3);
        let answer = query::parse(&client.ask("query", &[("query", expr), ("time", time)]).await?)?;
        wrong += recording.differing(&answer, metric);
    }
    r.add(&format!("{name}: samples missing or not bit-exact"), "samples", wrong as f64);
    server.stop().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_series() {
        let pairs = |line: &str| {
            parse_series(line)
                .map(|s| s.into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(";"))
        };
        assert_eq!(pairs("up").unwrap(), "__name__=up");
        assert_eq!(pairs(r#"a{z="1",y="",b="x,\"y\"\\\n}"}"#).unwrap(), "__name__=a;b=x,\"y\"\\\n};z=1");
        assert_eq!(pairs("a{b=c}"), None);
        assert_eq!(pairs(r#"a{b="c"#), None);
        let series = parse_series(r#"a{instance="prom-1:9090",b="q\"q"}"#).unwrap();
        assert_eq!(
            (source(&series), key(&series)),
            (1, r#"__name__="a",b="q\"q",instance="prom-1:9090""#.into())
        );
    }

    #[test]
    fn finds_what_differs() {
        let series = vec![parse_series("a").unwrap(), parse_series(r#"a{instance="vm-1"}"#).unwrap()];
        let columns = series.iter().map(|s| source(s)).collect();
        let times = [vec![0, 10], vec![1, 11], vec![2, 12]];
        let mut recording = Recording { series, columns, times, values: vec![1.0, f64::NAN, 3.0, 4.0] };
        let answer: query::Answer = [
            (r#"__name__="a""#.to_string(), vec![(0, 1.0), (10, f64::NAN)]),
            (r#"__name__="a",instance="vm-1""#.to_string(), vec![(2, 3.0 + 1e-15), (12, 4.0)]),
        ]
        .into();
        assert_eq!(recording.differing(&answer, "a"), 1);
        let sent: u32 = recording.encode(3).iter().map(|p| p.samples).sum();
        assert_eq!(sent, 4);
        recording.place_before(30_000_000);
        assert_eq!(recording.times[2], [28_800_002, 28_800_012]);
    }
}
