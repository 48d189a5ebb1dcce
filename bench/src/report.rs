//! Figures, medians over rounds, and the table.

use crate::query::{Difference, Measured};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// The `q` quantile (nearest rank) of sorted values; 0 of none.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n => sorted[((q * n as f64).ceil() as usize).clamp(1, n) - 1],
    }
}

/// A number, or NaN for `null`.
pub fn nullable<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

/// One measured figure of one target in one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    /// Unit, for the reader; less is better unless it is a rate.
    pub unit: String,
    /// JSON has no NaN; `null` stands for it.
    #[serde(deserialize_with = "nullable")]
    pub value: f64,
}

/// All that one round gave for one target.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Round {
    pub target: String,
    pub round: usize,
    /// 1-minute load average of the machine when this began.
    pub load_before: f64,
    pub figures: Vec<Figure>,
    /// Bytes of each entry of the data directory after the ingest.
    pub disk: Vec<(String, u64)>,
    pub queries: Vec<Measured>,
    /// Things that went wrong, such as refused samples.
    pub remarks: Vec<String>,
}

impl Round {
    pub fn add(&mut self, name: &str, unit: &str, value: f64) {
        self.figures.push(Figure { name: name.to_string(), unit: unit.to_string(), value });
    }

    /// The value of a figure added before.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|f| f.name == name).map(|f| f.value)
    }
}

/// Every figure of every round, the queries' included, as (name, unit, value).
fn figures(round: &Round) -> impl Iterator<Item = (String, &str, f64)> + '_ {
    let of = |f: fn(&Measured) -> f64| round.queries.iter().map(f).sum::<f64>();
    let mut sums = Vec::new();
    if !round.queries.is_empty() {
        sums.push(("all queries: sum of p50".to_string(), "ms", of(|q| q.p50_ms)));
        sums.push(("all queries: sum of CPU".to_string(), "ms", of(|q| q.cpu_ms)));
    }
    round.figures.iter().map(|f| (f.name.clone(), f.unit.as_str(), f.value)).chain(sums)
}

fn number(v: f64) -> String {
    match v.abs() {
        _ if !v.is_finite() => "-".into(),
        a if a == 0.0 || (a >= 1000.0) => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        a if a >= 0.1 => format!("{v:.3}"),
        _ => format!("{v:.5}"),
    }
}

/// Median over the rounds in which a target has the figure.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| quantile(&values, 0.5))
}

/// The targets, in order of their first round.
pub fn targets(rounds: &[Round]) -> Vec<&str> {
    let mut targets: Vec<&str> = Vec::new();
    for r in rounds {
        if !targets.contains(&r.target.as_str()) {
            targets.push(&r.target);
        }
    }
    targets
}

/// Median of a figure over a target's rounds.
fn of(rounds: &[Round], target: &str, f: &dyn Fn(&Round) -> Option<f64>) -> Option<f64> {
    median(rounds.iter().filter(|r| r.target == target).filter_map(f).collect())
}

/// `1.23x`, or `-` where one of them is missing.
fn ratio(value: Option<f64>, to: Option<f64>) -> String {
    value.zip(to).map(|(v, t)| v / t).filter(|r| r.is_finite()).map_or("-".into(), |r| format!("{r:.2}x"))
}

/// All figures, in Markdown: medians over the rounds, and ratios to the first target.
pub fn figures_table(rounds: &[Round]) -> String {
    let targets = targets(rounds);
    let names: String = targets
        .iter()
        .enumerate()
        .map(|(i, t)| if i > 0 { format!(" {t} | ratio |") } else { format!(" {t} |") })
        .collect();
    let mut out =
        format!("| figure |{names}\n|---|{}\n", "---:|".repeat((targets.len() * 2).saturating_sub(1)));
    let mut names: Vec<(String, &str)> = Vec::new();
    for (name, unit, _) in rounds.iter().flat_map(figures) {
        if !names.iter().any(|n| n.0 == name) {
            names.push((name, unit));
        }
    }
    for (name, unit) in &names {
        let value = |t: &str| of(rounds, t, &|r| figures(r).find(|f| f.0 == *name).map(|f| f.2));
        let first = targets.first().and_then(|t| value(t));
        let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
        let _ = write!(out, "| {name}{unit} |");
        for (i, target) in targets.iter().enumerate() {
            let v = value(target);
            let _ = write!(out, " {} |", v.map_or("-".into(), number));
            if i > 0 {
                let _ = write!(out, " {} |", ratio(v, first));
            }
        }
        out.push('\n');
    }
    out
}

/// The queries, each target's median and CPU in one cell, and the last target's ratios to the first.
pub fn queries_short(rounds: &[Round]) -> String {
    let targets = targets(rounds);
    let (Some(first), Some(last)) = (targets.first(), targets.last()) else { return String::new() };
    let names: String = targets.iter().map(|t| format!(" {t} |")).collect();
    let mut out = format!(
        "| query (p50 / CPU in ms) |{names} {last} to {first}: p50, CPU |\n|---|{}\n",
        "---:|".repeat(targets.len() + 1)
    );
    for name in query_names(rounds) {
        let row = |t: &str| {
            let one = |f: fn(&Measured) -> f64| of(rounds, t, &|r| measured(r, name).map(f));
            (one(|q| q.p50_ms), one(|q| q.cpu_ms))
        };
        let show = |v: Option<f64>| v.map_or("-".into(), number);
        let cells: String =
            targets.iter().map(|t| row(t)).map(|(p, c)| format!(" {} / {} |", show(p), show(c))).collect();
        let (a, b) = (row(first), row(last));
        let _ = writeln!(out, "| {name} |{cells} {}, {} |", ratio(b.0, a.0), ratio(b.1, a.1));
    }
    out
}

fn query_names(rounds: &[Round]) -> Vec<&str> {
    let mut queries: Vec<&str> = Vec::new();
    for q in rounds.iter().flat_map(|r| &r.queries) {
        if !queries.contains(&q.name.as_str()) {
            queries.push(&q.name);
        }
    }
    queries
}

/// A query's figures in a round in which it did not fail.
fn measured<'a>(round: &'a Round, name: &str) -> Option<&'a Measured> {
    round.queries.iter().find(|q| q.name == name && q.error.is_none())
}

/// The queries with all their figures.
fn queries_long(rounds: &[Round]) -> String {
    type Column = fn(&Measured) -> f64;
    let columns: [Column; 4] = [|q| q.p50_ms, |q| q.p95_ms, |q| q.max_ms, |q| q.cpu_ms];
    let targets = targets(rounds);
    let names: String = targets.iter().map(|t| format!(" {t}: p50 | p95 | max | CPU |")).collect();
    let ratios: String = targets[1..].iter().map(|t| format!(" {t}: p50 | CPU |")).collect();
    let mut out =
        format!("| query (ms, per run) |{names}{ratios}\n|---|{}\n", "---:|".repeat(targets.len() * 6 - 2));
    for name in query_names(rounds) {
        let row = |t: &&str| columns.map(|f| of(rounds, t, &|r| measured(r, name).map(f)));
        let rows: Vec<_> = targets.iter().map(row).collect();
        let values: String =
            rows.iter().flatten().map(|v| format!(" {} |", v.map_or("-".into(), number))).collect();
        let ratios: String = rows[1..]
            .iter()
            .flat_map(|r| [0, 3].map(|i| format!(" {} |", ratio(r[i], rows[0][i]))))
            .collect();
        let _ = writeln!(out, "| {name} |{values}{ratios}");
    }
    out
}

/// The tables, in Markdown: figures, queries, disk, differences, remarks; medians over the rounds.
pub fn table(rounds: &[Round], differences: &[Difference]) -> String {
    let (targets, mut out) = (targets(rounds), format!("\n{}", figures_table(rounds)));
    let queries = query_names(rounds);
    if !queries.is_empty() {
        let _ = write!(out, "\n{}", queries_long(rounds));
    }
    let _ = writeln!(out);
    for r in rounds {
        let disk: Vec<String> = r
            .disk
            .iter()
            .filter(|d| d.1 > 4096)
            .map(|(n, b)| format!("{n} {:.2} MiB", *b as f64 / 1_048_576.0))
            .collect();
        let disk = if disk.is_empty() { String::new() } else { format!("; disk: {}", disk.join(", ")) };
        let _ = writeln!(out, "{} round {}: load before {:.2}{disk}", r.target, r.round, r.load_before);
        for remark in &r.remarks {
            let _ = writeln!(out, "  REMARK {remark}");
        }
    }
    if targets.len() > 1 && !queries.is_empty() {
        let _ = writeln!(
            out,
            "\nAnswers that differ from those of {} (the others agree within 1e-9):",
            targets[0]
        );
        for d in differences {
            let _ = writeln!(
                out,
                "- {} / {}:{} series -{} +{}, points unmatched {}, off {}/{}, worst {:.3e}, median {:.1e}; {}",
                d.query,
                d.target,
                if d.only_names { " only __name__ kept or not;" } else { "" },
                d.missing_series,
                d.extra_series,
                d.unmatched_points,
                d.off_points,
                d.common_points,
                d.worst,
                d.median,
                d.example.chars().take(400).collect::<String>()
            );
        }
    }
    out
}
