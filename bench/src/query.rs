//! Queries: latency, CPU, and whether the targets agree.

use crate::report::{Round, quantile};
use crate::server::{self, Def, Server};
use crate::write::Facts;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// Values count as equal within this relative difference.
const TOLERANCE: f64 = 1e-9;

/// One `[[query]]` of a queries file. Without `range` and `api` it is an instant query at the data's end.
#[derive(Debug, Clone, Deserialize)]
pub struct Query {
    pub name: String,
    /// PromQL; for the metadata APIs the selector given as `match[]`.
    pub expr: String,
    /// Range query over this long before the data's end (such as `1h`), cut to where the data starts.
    pub range: Option<String>,
    /// Step of the range query.
    pub step: Option<String>,
    /// Metadata API instead of a query: `labels`, `label/<name>/values` or `series`.
    pub api: Option<String>,
}

impl Query {
    /// How far a range query looks back; 0 for others.
    pub fn range_seconds(&self) -> f64 {
        self.range.as_deref().map_or(0.0, |r| seconds(r).unwrap_or(0.0))
    }

    /// The API and its arguments for data from `start_ms` to `end_ms`, which is when it is asked.
    pub fn request(&self, start_ms: i64, end_ms: i64) -> Result<(&str, Vec<(&'static str, String)>)> {
        let expr = self.expr.clone();
        Ok(match (&self.api, &self.range) {
            (Some(api), _) => {
                (api, vec![("match[]", expr), ("start", time(start_ms)), ("end", time(end_ms))])
            }
            (None, None) => ("query", vec![("query", expr), ("time", time(end_ms))]),
            (None, Some(range)) => {
                let start = (end_ms - (seconds(range)? * 1000.0) as i64).max(start_ms);
                let step = self.step.clone().unwrap_or_else(|| "15s".into());
                let times = [("start", time(start)), ("end", time(end_ms)), ("step", step)];
                ("query_range", [("query", expr)].into_iter().chain(times).collect())
            }
        })
    }
}

/// Reads a queries file.
pub fn load(file: &Path) -> Result<Vec<Query>> {
    #[derive(Deserialize)]
    struct File {
        query: Vec<Query>,
    }
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let queries = toml::from_str::<File>(&text).with_context(|| file.display().to_string())?.query;
    for q in &queries {
        for text in q.range.iter().chain(&q.step) {
            seconds(text)?;
        }
    }
    Ok(queries)
}

/// `15s`, `5m`, `2h`, `1d` in seconds.
fn seconds(text: &str) -> Result<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).context("no unit")?;
    let unit = match &text[split..] {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => anyhow::bail!("{text}: unknown unit"),
    };
    Ok(text[..split].parse::<f64>()? * unit)
}

/// A result brought to one form: for each label set, its points (Unix milliseconds, value).
pub type Answer = BTreeMap<String, Vec<(i64, f64)>>;

/// What one query cost on one target.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Measured {
    pub name: String,
    pub error: Option<String>,
    /// First run, and the warm runs: request to last byte, milliseconds.
    pub first_ms: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub max_ms: f64,
    /// The server's CPU time per warm run, milliseconds.
    pub cpu_ms: f64,
    pub runs: usize,
    pub series: usize,
    pub points: usize,
    pub bytes: usize,
    #[serde(skip)]
    pub answer: Answer,
}

/// Asks queries of one server.
pub struct Client<'a> {
    def: &'a Def,
    http: reqwest::Client,
}

impl<'a> Client<'a> {
    pub fn new(def: &'a Def) -> Result<Self> {
        Ok(Client { def, http: reqwest::Client::builder().timeout(Duration::from_secs(150)).build()? })
    }

    /// Sends one API request and returns the body.
    pub async fn ask(&self, api: &str, args: &[(&str, String)]) -> Result<bytes::Bytes> {
        let mut url = reqwest::Url::parse(&format!("{}/{api}", self.def.query_url))?;
        url.query_pairs_mut()
            .extend_pairs(args.iter().map(|(n, v)| (*n, v.as_str())))
            .extend_pairs(&self.def.query_args);
        let answer = self.http.get(url).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        anyhow::ensure!(
            status.is_success(),
            "{status}: {}",
            String::from_utf8_lossy(&body[..body.len().min(300)])
        );
        Ok(body)
    }

    /// The single value of an instant query at `at_ms`, if it has any.
    pub async fn scalar(&self, expr: &str, at_ms: i64) -> Result<Option<f64>> {
        let body = self.ask("query", &[("query", expr.to_string()), ("time", time(at_ms))]).await?;
        Ok(parse(&body)?.into_values().next().and_then(|p| p.first().map(|p| p.1)))
    }

    /// Counts every sample stored in start..end (Unix milliseconds, whole minutes apart).
    pub async fn count(&self, start_ms: i64, end_ms: i64) -> Result<u64> {
        let minutes = if (end_ms - start_ms) % 300_000 == 0 { 5 } else { 1 };
        let names = parse(
            &self.ask("label/__name__/values", &[("start", time(start_ms)), ("end", time(end_ms))]).await?,
        )?;
        let mut total = 0;
        // Name by name: without their names, series of different metrics may be the same.
        for name in names.keys().filter(|n| !n.starts_with("fleetbench_")) {
            // Windows are open on the left, so each ends one millisecond before a whole step.
            let args = [
                ("query", format!("sum(count_over_time({name}[{minutes}m]))")),
                ("start", time(start_ms - 1 + minutes * 60_000)),
                ("end", time(end_ms - 1)),
                ("step", (minutes * 60).to_string()),
            ];
            let answer = parse(&self.ask("query_range", &args).await?)?;
            total += answer.into_values().flatten().map(|p| p.1 as u64).sum::<u64>();
        }
        Ok(total)
    }

    /// Runs one query once and then `warm` times (fewer once that took 20 s, but 3 at least).
    pub async fn measure(&self, pid: &str, query: &Query, facts: &Facts, warm: usize) -> Measured {
        let mut out = Measured { name: query.name.clone(), ..Default::default() };
        if let Err(e) = self.measure_into(pid, query, facts, warm, &mut out).await {
            out.error = Some(e.to_string());
        }
        out
    }

    async fn measure_into(
        &self,
        pid: &str,
        query: &Query,
        facts: &Facts,
        warm: usize,
        out: &mut Measured,
    ) -> Result<()> {
        let (api, args) = query.request(facts.start_ms, facts.end_ms)?;
        let begun = Instant::now();
        let body = self.ask(api, &args).await?;
        out.first_ms = begun.elapsed().as_secs_f64() * 1e3;
        out.answer = parse(&body)?;
        (out.series, out.bytes) = (out.answer.len(), body.len());
        out.points = out.answer.values().map(Vec::len).sum();
        drop(body);
        let (cpu, begun, mut times) = (server::cpu_seconds(pid)?, Instant::now(), Vec::new());
        while times.len() < warm && (times.len() < 3 || begun.elapsed() < Duration::from_secs(20)) {
            let one = Instant::now();
            self.ask(api, &args).await?;
            times.push(one.elapsed().as_secs_f64() * 1e3);
        }
        out.runs = times.len();
        out.cpu_ms = (server::cpu_seconds(pid)? - cpu) * 1e3 / times.len().max(1) as f64;
        times.sort_by(f64::total_cmp);
        [out.p50_ms, out.p95_ms, out.max_ms] = [0.5, 0.95, 1.0].map(|q| quantile(&times, q));
        Ok(())
    }
}

/// Runs all queries against a started server.
pub async fn run(
    def: &Def,
    server: &Server,
    queries: &[Query],
    facts: &Facts,
    warm: usize,
) -> Result<Vec<Measured>> {
    let client = Client::new(def)?;
    let mut out = Vec::new();
    for query in queries {
        let m = client.measure(&server.pid, query, facts, warm).await;
        eprintln!(
            "  {:<38} p50 {:>9.2} ms  {:>7} series  {}",
            m.name,
            m.p50_ms,
            m.series,
            m.error.as_deref().unwrap_or("")
        );
        out.push(m);
    }
    Ok(out)
}

/// The heaviest queries, whose memory is measured: name, expression, range.
const HEAVY: [(&str, &str, Option<&str>); 2] = [
    ("peak growth of count by (__name__)", "count({__name__=~\".+\"}) by (__name__)", None),
    ("peak growth of rate over all pods, 6 h", "rate(container_cpu_usage_seconds_total[5m])", Some("6h")),
];

/// How much memory each of the heaviest queries takes on top of what is resident before it. Comes before all other
/// queries, whose garbage would hide it.
pub async fn growth(def: &Def, server: &Server, facts: &Facts, r: &mut Round) -> Result<()> {
    let client = Client::new(def)?;
    for (name, expr, range) in HEAVY {
        let (range, step) = (range.map(str::to_string), Some("60s".to_string()));
        let query = Query { name: name.into(), expr: expr.into(), range, step, api: None };
        let (api, args) = query.request(facts.start_ms, facts.end_ms)?;
        server.restart_peak()?;
        let before = server.peak_mib()?;
        if let Err(error) = client.ask(api, &args).await {
            r.remarks.push(format!("{name}: {error:#}"));
            continue;
        }
        r.add(name, "MiB", server.peak_mib()? - before);
    }
    Ok(())
}

fn time(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Brings any `data` of the query and metadata APIs to an [`Answer`].
pub fn parse(body: &[u8]) -> Result<Answer> {
    let mut top: Value = serde_json::from_slice(body)?;
    anyhow::ensure!(top["status"] == "success", "{}", top["error"]);
    let labels = |v: &Value| match v.as_object() {
        None => v.as_str().unwrap_or_default().to_string(),
        Some(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            sorted.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(",")
        }
    };
    let point = |v: &Value| -> Option<(i64, f64)> {
        Some(((v[0].as_f64()? * 1e3).round() as i64, v[1].as_str()?.parse().ok()?))
    };
    let data = top["data"].take();
    if let Some(list) = data.as_array() {
        return Ok(list.iter().map(|v| (labels(v), vec![(0, 1.0)])).collect());
    }
    match data["resultType"].as_str() {
        Some("scalar") => Ok([(String::new(), point(&data["result"]).into_iter().collect())].into()),
        Some("vector") => {
            let list = data["result"].as_array().context("no result")?;
            list.iter()
                .map(|s| Ok((labels(&s["metric"]), vec![point(&s["value"]).context("bad point")?])))
                .collect()
        }
        Some("matrix") => {
            let list = data["result"].as_array().context("no result")?;
            let points = |s: &Value| {
                s["values"].as_array().map(|v| v.iter().filter_map(point).collect()).unwrap_or_default()
            };
            Ok(list.iter().map(|s| (labels(&s["metric"]), points(s))).collect())
        }
        other => anyhow::bail!("unknown result type {other:?}"),
    }
}

/// How one target's answer differs from the first target's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Difference {
    pub query: String,
    pub target: String,
    /// Label sets only the first target has, and only this one has.
    pub missing_series: usize,
    pub extra_series: usize,
    /// Points only one of them has, among series both have.
    pub unmatched_points: usize,
    /// Points whose values differ by more than the tolerance, of all points in common.
    pub off_points: usize,
    pub common_points: usize,
    /// Largest and median relative difference among the points in common.
    #[serde(deserialize_with = "crate::report::nullable")]
    pub worst: f64,
    #[serde(deserialize_with = "crate::report::nullable")]
    pub median: f64,
    /// The label sets differ only in whether `__name__` is kept; the rest is compared without it.
    pub only_names: bool,
    /// One case, in words.
    pub example: String,
}

/// The same answer with the metric names left out of the label sets.
fn nameless(answer: &Answer) -> Answer {
    let strip = |k: &str| {
        k.split_once("\",").filter(|_| k.starts_with("__name__=")).map_or(k.to_string(), |p| p.1.to_string())
    };
    answer.iter().map(|(k, v)| (strip(k), v.clone())).collect()
}

/// Compares two targets' answers to one query; `None` when they agree.
pub fn difference(target: &str, reference: &Measured, other: &Measured) -> Option<Difference> {
    let (mut a, mut b) = (&reference.answer, &other.answer);
    let (without_a, without_b) = (nameless(a), nameless(b));
    let only_names =
        !a.keys().eq(b.keys()) && without_a.len() == a.len() && without_b.keys().eq(without_a.keys());
    if only_names {
        (a, b) = (&without_a, &without_b);
    }
    let mut d = Difference {
        query: reference.name.clone(),
        target: target.to_string(),
        missing_series: a.keys().filter(|k| !b.contains_key(*k)).count(),
        extra_series: b.keys().filter(|k| !a.contains_key(*k)).count(),
        unmatched_points: 0,
        off_points: 0,
        common_points: 0,
        worst: 0.0,
        median: 0.0,
        only_names,
        example: String::new(),
    };
    if let Some(e) = other.error.as_ref().or(reference.error.as_ref()) {
        d.example = format!("error: {e}");
        return Some(d);
    }
    let mut all = Vec::new();
    for (labels, left) in a {
        let Some(right) = b.get(labels) else { continue };
        let right: BTreeMap<i64, f64> = right.iter().copied().collect();
        let times: BTreeSet<i64> = left.iter().map(|p| p.0).chain(right.keys().copied()).collect();
        let left: BTreeMap<i64, f64> = left.iter().copied().collect();
        for t in times {
            let (Some(&x), Some(&y)) = (left.get(&t), right.get(&t)) else {
                d.unmatched_points += 1;
                if d.example.is_empty() {
                    d.example =
                        format!("{{{labels}}} at {t}: {:?} against {:?}", left.get(&t), right.get(&t));
                }
                continue;
            };
            d.common_points += 1;
            let same = x == y || (x.is_nan() && y.is_nan());
            let off = if same {
                0.0
            } else if x.is_finite() && y.is_finite() {
                (x - y).abs() / x.abs().max(y.abs())
            } else {
                f64::INFINITY
            };
            all.push(off);
            if off > TOLERANCE {
                d.off_points += 1;
                if off > d.worst || d.example.is_empty() {
                    d.example = format!("{{{labels}}} at {t}: {x} against {y}");
                }
            }
            d.worst = d.worst.max(off);
        }
    }
    if d.example.is_empty() {
        let only = |x: &Answer, y: &Answer| x.keys().find(|k| !y.contains_key(*k)).cloned();
        d.example = match (only(a, b), only(b, a)) {
            (None, None) if !only_names => return None,
            (None, None) => "values agree".to_string(),
            (left, right) => format!("only the first: {left:?}; only this one: {right:?}"),
        };
    }
    all.sort_by(f64::total_cmp);
    d.median = quantile(&all, 0.5);
    Some(d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(body: &str) -> Measured {
        Measured { name: "q".into(), answer: parse(body.as_bytes()).unwrap(), ..Default::default() }
    }

    #[test]
    fn finds_differences() {
        let vector = |value: &str, label: &str| {
            measured(&format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"b":"1","a":"{label}"}},"value":[1.5,"{value}"]}}]}}}}"#
            ))
        };
        let one = vector("1", "x");
        assert_eq!(one.answer.keys().next().unwrap(), r#"a="x",b="1""#);
        assert!(difference("t", &one, &vector("1.0000000001", "x")).is_none());
        assert!(difference("t", &vector("NaN", "x"), &vector("NaN", "x")).is_none());
        let off = difference("t", &one, &vector("1.1", "x")).unwrap();
        assert_eq!((off.off_points, off.common_points), (1, 1));
        let other = difference("t", &one, &vector("1", "y")).unwrap();
        assert_eq!((other.missing_series, other.extra_series), (1, 1));
        assert_eq!(seconds("5m").unwrap(), 300.0);
    }
}
