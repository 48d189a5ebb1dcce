//! Puts measured tables into a page of documentation. What stands between `<!-- fleetbench NAME -->` and
//! `<!-- end -->` is written anew from `NAME.json`; `NAME queries` shows the queries of the same results.
//! Everything else on the page is its authors'.

use crate::report;
use crate::results::{self, Results};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- fleetbench ";
const END: &str = "<!-- end -->";

/// Which page, and where the results are.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder with the JSON of the other subcommands.
    #[arg(long, default_value = "runs")]
    pub results: PathBuf,
    #[arg(long, default_value = "../docs/benchmarks.md")]
    pub page: PathBuf,
    /// A sentence on the circumstances, shown with each table that is written.
    #[arg(long, default_value = "")]
    pub note: String,
}

/// Rewrites the page; sections without results stay as they are.
pub fn run(o: &Options) -> Result<()> {
    let text = std::fs::read_to_string(&o.page).with_context(|| o.page.display().to_string())?;
    let new = rewrite(&text, |name| section(&o.results, name, &o.note))?;
    std::fs::write(&o.page, new).with_context(|| o.page.display().to_string())
}

/// Replaces each marked section for which `section` has a text.
fn rewrite(page: &str, mut section: impl FnMut(&str) -> Result<Option<String>>) -> Result<String> {
    let (mut out, mut rest) = (String::new(), page);
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->").context("a marker that does not end in -->")?;
        let (old, after) =
            after.split_once(END).with_context(|| format!("{BEGIN}{name} --> without {END} behind it"))?;
        let new = section(name)?.map(|t| format!("\n\n{}\n\n", t.trim_end()));
        let _ = write!(out, "{before}{BEGIN}{name} -->{}{END}", new.as_deref().unwrap_or(old));
        rest = after;
    }
    Ok(out + rest)
}

fn section(folder: &Path, name: &str, note: &str) -> Result<Option<String>> {
    let (stem, view) = name.split_once(' ').unwrap_or((name, ""));
    let file = folder.join(format!("{stem}.json"));
    if !file.exists() {
        eprintln!("{}: not there; the page keeps what it has", file.display());
        return Ok(None);
    }
    let results = results::load(&file)?;
    Ok(Some(match view {
        "queries" => format!("{}\n{}", report::queries_short(&results.rounds), answers(&results)),
        _ => format!(
            "{}\n\n{}{}",
            circumstances(&results, note),
            report::figures_table(&results.rounds),
            remarks(&results)
        ),
    }))
}

/// What was run, when, on what.
fn circumstances(r: &Results, note: &str) -> String {
    let m = &r.machine;
    let versions: Vec<String> = r.versions.iter().map(|(n, v)| format!("{n} {}", short_version(v))).collect();
    let rounds = r.rounds.iter().map(|r| r.round).max().unwrap_or(0);
    let rounds = if rounds > 1 { format!("; medians of {rounds} rounds") } else { String::new() };
    let load = r.rounds.iter().map(|r| r.load_before).fold(f64::NAN, f64::max);
    let note = if note.is_empty() { String::new() } else { format!(" {note}") };
    format!(
        "`{}`\n\n{}; {} cores ({}), {:.0} GiB; {}{rounds}. Load average before each was at most {load:.1}.{note}",
        r.command,
        date(r.ended),
        m.cpus,
        m.cpu,
        m.memory_gib,
        versions.join(", ")
    )
}

/// How many answers differ from the first target's.
fn answers(r: &Results) -> String {
    let targets = report::targets(&r.rounds);
    let Some((first, others)) = targets.split_first() else { return String::new() };
    let asked = r.rounds.first().map_or(0, |r| r.queries.len());
    let differ = |t: &str| r.differences.iter().filter(|d| d.target == t).count();
    let each: Vec<String> = others.iter().map(|t| format!("{t} {}", differ(t))).collect();
    format!(
        "Of {asked} answers, these many differ from {first}'s (values by more than 1e-9): {}.\n",
        each.join(", ")
    )
}

fn remarks(r: &Results) -> String {
    let mut out = String::new();
    for round in &r.rounds {
        for remark in &round.remarks {
            let _ = write!(out, "\n- {} (round {}): {remark}", round.target, round.round);
        }
    }
    if out.is_empty() { out } else { format!("{out}\n") }
}

/// The first thing in a program's version line that looks like a version: two dots or more between digits.
fn short_version(line: &str) -> &str {
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    let version = |w: &&str| {
        let w = w.trim_start_matches('v');
        w.split('.').count() >= 3
            && w.split('.').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut words = words.filter(version);
    words.next().map_or("(version unknown)", |w| w.trim_start_matches('v'))
}

/// A day of the Gregorian calendar from Unix seconds.
fn date(unix: u64) -> String {
    let (mut year, mut day) = (1970, unix / 86_400);
    let leap = |y: u64| (y.is_multiple_of(4) && !y.is_multiple_of(100)) || y.is_multiple_of(400);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_marked_sections_and_nothing_else() {
        let page =
            "# A\n<!-- fleetbench x -->\nold\n<!-- end -->\nb <!-- fleetbench y q -->old<!-- end --> c";
        let new = rewrite(page, |name| Ok((name == "x").then(|| "| new |\n".to_string()))).unwrap();
        assert_eq!(
            new,
            "# A\n<!-- fleetbench x -->\n\n| new |\n\n<!-- end -->\nb <!-- fleetbench y q -->old<!-- end --> c"
        );
        assert_eq!(rewrite(&new, |name| Ok((name == "x").then(|| "| new |".to_string()))).unwrap(), new);
        assert!(rewrite("<!-- fleetbench x -->", |_| Ok(None)).is_err());
    }

    #[test]
    fn dates_and_versions() {
        assert_eq!(
            [0, 951_782_400, 1_795_132_800, 1_767_225_599].map(date),
            ["1970-01-01", "2000-02-29", "2026-11-20", "2025-12-31"]
        );
        assert_eq!(short_version("prometheus, version 3.5.3+ds1 (branch: x, revision: 12)"), "3.5.3");
        assert_eq!(short_version("victoria-metrics-20260101-000000-tags-v1.145.0-0-gabc"), "1.145.0");
        assert_eq!(short_version("hello"), "(version unknown)");
    }
}
