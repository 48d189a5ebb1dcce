//! What a run leaves: tables for the reader, JSON for `report` (page.rs).

use crate::Place;
use crate::query::{self, Difference};
use crate::report::{self, Round};
use crate::server::Def;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// All results of one invocation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// Subcommand.
    pub mode: String,
    /// Unix seconds at its end.
    pub ended: u64,
    /// The command line, program and folders left out.
    pub command: String,
    pub machine: Machine,
    /// What each target's program says its version is.
    pub versions: BTreeMap<String, String>,
    /// The workload's facts, where there are any.
    pub workload: Option<serde_json::Value>,
    pub rounds: Vec<Round>,
    pub differences: Vec<Difference>,
}

/// What the measurements ran on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    pub cpus: usize,
    pub cpu: String,
    pub memory_gib: f64,
}

impl Machine {
    fn this() -> Self {
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix(name)?.split_once(':').map(|p| p.1.trim().to_string()));
            line.unwrap_or_default()
        };
        let kib = field("/proc/meminfo", "MemTotal");
        let kib: f64 = kib.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(f64::NAN);
        Machine {
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: field("/proc/cpuinfo", "model name"),
            memory_gib: (kib / 104_857.6).round() / 10.0,
        }
    }
}

/// A round that begins now.
pub fn round(def: &Def, round: usize) -> Round {
    Round { target: def.name.clone(), round, load_before: load_average(), ..Default::default() }
}

/// The command line without what says where things lie.
fn command_line(args: impl Iterator<Item = String>) -> String {
    const FOLDERS: [&str; 8] =
        ["--work", "--json", "--targets-file", "--queries", "--rules", "--recordings", "--csv", "--out"];
    let (mut out, mut skip) = (String::from("fleetbench"), false);
    for arg in args.skip(1) {
        let name = arg.split('=').next().unwrap_or_default();
        if skip || FOLDERS.contains(&name) {
            skip = !skip && !arg.contains('=');
        } else {
            out = format!("{out} {arg}");
        }
    }
    out
}

/// The first line that says a program's version: its own, or that of the Debian package it came in.
fn version(def: &Def) -> String {
    let first = |mut command: std::process::Command| {
        let out = command.output().map(|o| [o.stdout, o.stderr].concat()).unwrap_or_default();
        String::from_utf8_lossy(&out).lines().next().unwrap_or_default().trim().to_string()
    };
    let program = Path::new(&def.command[0]);
    let mut own = std::process::Command::new(program);
    own.arg("--version");
    let line = first(own);
    if line.contains(|c: char| c.is_ascii_digit()) {
        return line;
    }
    let package = def.package.as_deref().or(program.file_name().and_then(|n| n.to_str())).unwrap_or_default();
    let changes = program.with_file_name(format!("../share/doc/{package}/changelog.Debian.gz"));
    let mut unpack = std::process::Command::new("gzip");
    unpack.arg("-dc").arg(changes);
    first(unpack)
}

/// Compares the answers, prints the table, writes the JSON.
pub fn finish(
    place: &Place,
    mode: &str,
    workload: Option<serde_json::Value>,
    rounds: &[Round],
) -> Result<()> {
    let mut differences = Vec::new();
    for other in rounds.iter().filter(|r| r.round == 1).skip(1) {
        let pairs = rounds[0].queries.iter().zip(&other.queries);
        differences.extend(pairs.filter_map(|(a, b)| query::difference(&other.target, a, b)));
    }
    print!("{}", report::table(rounds, &differences));
    let Some(file) = &place.json else { return Ok(()) };
    let defs = crate::server::load(&place.targets_file, &place.work, &place.only, &placeholders())?;
    let mut all = serde_json::to_value(Results {
        mode: mode.to_string(),
        ended: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs(),
        command: command_line(std::env::args()),
        machine: Machine::this(),
        versions: defs.iter().map(|d| (d.name.clone(), version(d))).collect(),
        workload,
        rounds: Vec::new(),
        differences,
    })?;
    all["rounds"] = serde_json::to_value(rounds)?;
    std::fs::write(file, serde_json::to_vec_pretty(&all)?).with_context(|| file.display().to_string())
}

/// What an agents file needs to be read; nothing is started with it.
fn placeholders() -> [(&'static str, String); 3] {
    [("interval", String::new()), ("sink_url", String::new()), ("sd_file", String::new())]
}

/// Reads what [`finish`] wrote.
pub fn load(file: &Path) -> Result<Results> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| file.display().to_string())
}

pub fn load_average() -> f64 {
    std::fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|t| t.split(' ').next()?.parse().ok())
        .unwrap_or(f64::NAN)
}

/// CPU-seconds all of the machine has been busy, or kept from us, since it started.
pub fn machine_cpu_seconds() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<f64> = text
        .lines()
        .next()
        .context("/proc/stat")?
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal
    Ok([0, 1, 2, 5, 6, 7].iter().filter_map(|&i| fields.get(i)).sum::<f64>() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_names_no_folders() {
        let args =
            "target/fleetbench compare --work /a/b --series 5 --json=/x/y --only a,b --csv c --rounds 2";
        let shown = command_line(args.split(' ').map(String::from));
        assert_eq!(shown, "fleetbench compare --series 5 --only a,b --rounds 2");
    }
}
