//! The table over time that `soak` writes and `plot` reads: comma-separated, one line for each time.

use crate::report::{Round, quantile};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::Path;

/// Columns, in order; the unit is the last part of the name.
#[rustfmt::skip]
const COLUMNS: [&str; 22] = [
    "simulated_h", "wall_s", "samples", "rate_samples_per_s", "cpu_s", "cpu_cores", "cpu_s_per_million_samples",
    "rss_mib", "rss_anon_mib", "rss_max_mib", "disk_mib", "written_mib", "files", "fds",
    "ack_p50_ms", "ack_p99_ms", "ack_max_ms", "dashboard_p50_ms", "dashboard_p99_ms", "rule_p50_ms", "rule_p99_ms",
    "failed_queries",
];

/// Figures over time; a figure that is not known at a time is NaN, an empty field in the file.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Table {
    rows: Vec<Vec<f64>>,
}

impl Table {
    pub fn push(&mut self, row: &[f64; 22]) {
        self.rows.push(row.to_vec());
    }
    pub fn rows(&self) -> usize {
        self.rows.len()
    }
    /// One column; `None` if there is none of that name.
    pub fn column(&self, name: &str) -> Option<Vec<f64>> {
        let index = COLUMNS.iter().position(|c| *c == name)?;
        Some(self.rows.iter().map(|r| r[index]).collect())
    }

    pub fn write(&self, file: &Path) -> Result<()> {
        let mut text = COLUMNS.join(",") + "\n";
        for row in &self.rows {
            let fields: Vec<String> =
                row.iter().map(|v| if v.is_finite() { short(*v) } else { String::new() }).collect();
            let _ = writeln!(text, "{}", fields.join(","));
        }
        std::fs::write(file, text).with_context(|| file.display().to_string())
    }

    pub fn read(file: &Path) -> Result<Table> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        anyhow::ensure!(head == COLUMNS.join(","), "{}: not a table of `soak`", file.display());
        let field = |f: &str| if f.is_empty() { Ok(f64::NAN) } else { f.parse::<f64>() };
        let mut rows = Vec::new();
        for (number, line) in lines.enumerate() {
            let row: Vec<f64> = line
                .split(',')
                .map(field)
                .collect::<Result<_, _>>()
                .with_context(|| format!("{}:{}", file.display(), number + 2))?;
            anyhow::ensure!(
                row.len() == COLUMNS.len(),
                "{}:{}: {} fields",
                file.display(),
                number + 2,
                row.len()
            );
            rows.push(row);
        }
        Ok(Table { rows })
    }

    /// Adds what changed over the run, which took `hours` of simulated time: the second hour against the last
    /// one (the second and the last tenth of a run that is shorter than four).
    pub fn summarise(&self, hours: f64, r: &mut Round) {
        let part = if hours >= 4.0 { 1.0 } else { hours / 10.0 };
        let between = |name: &str, from: f64, to: f64| {
            let at = self.column("simulated_h").unwrap_or_default();
            let values = self.column(name).unwrap_or_default();
            let mut within: Vec<f64> = at
                .iter()
                .zip(values)
                .filter(|(t, v)| **t > from && **t <= to && v.is_finite())
                .map(|p| p.1)
                .collect();
            within.sort_by(f64::total_cmp);
            if within.is_empty() { f64::NAN } else { quantile(&within, 0.5) }
        };
        let max = |name: &str| {
            self.column(name)
                .unwrap_or_default()
                .into_iter()
                .filter(|v| v.is_finite())
                .fold(f64::NAN, f64::max)
        };
        let word = if hours >= 4.0 { "hour" } else { "tenth" };
        for (name, shown, unit) in [
            ("rss_max_mib", "RSS", "MiB"),
            ("cpu_s_per_million_samples", "CPU per million samples", "CPU-s"),
            ("dashboard_p50_ms", "dashboards p50", "ms"),
            ("dashboard_p99_ms", "dashboards p99", "ms"),
            ("rule_p50_ms", "rules p50", "ms"),
            ("rule_p99_ms", "rules p99", "ms"),
            ("ack_p99_ms", "ack p99", "ms"),
        ] {
            let (early, late) = (between(name, part, 2.0 * part), between(name, hours - part, hours + 1.0));
            r.add(&format!("{shown}, second {word}"), unit, early);
            r.add(&format!("{shown}, last {word}"), unit, late);
            r.add(&format!("{shown}, last to second {word}"), "x", late / early);
        }
        let most = |from: f64, to: f64| {
            let column = |name| self.column(name).unwrap_or_default();
            let rows = column("simulated_h").into_iter().zip(column("rss_max_mib"));
            rows.filter(|(t, _)| *t > from && *t <= to).map(|p| p.1).fold(f64::NAN, f64::max)
        };
        let half = hours / 2.0;
        r.add(
            "RSS, most in the second half to most in the first",
            "x",
            most(half, hours + 1.0) / most(0.0, half),
        );
        for (name, shown, unit) in [
            ("disk_mib", "disk, most", "MiB"),
            ("files", "files, most", "files"),
            ("fds", "open files, most", "fds"),
            ("ack_max_ms", "ack max", "ms"),
        ] {
            r.add(shown, unit, max(name));
        }
    }
}

/// Six significant digits are enough for a plot.
fn short(v: f64) -> String {
    if v.fract() == 0.0 {
        format!("{v}")
    } else {
        format!("{v:.*}", (5 - v.abs().log10().floor().min(5.0) as i32).clamp(0, 8) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        let mut table = Table::default();
        for i in 1..=20 {
            let mut row = [f64::from(i); 22];
            row[0] = f64::from(i) * 0.5;
            row[3] = f64::NAN;
            row[7] = 0.125;
            row[9] = if i <= 4 { 100.0 } else { 110.0 };
            table.push(&row);
        }
        let file = std::env::temp_dir().join(format!("fleetbench-{}.csv", std::process::id()));
        table.write(&file).unwrap();
        let read = Table::read(&file).unwrap();
        assert_eq!(read.column("rss_mib"), table.column("rss_mib"));
        assert!(read.column("rate_samples_per_s").unwrap().iter().all(|v| v.is_nan()));
        assert!(read.column("nothing").is_none());
        let mut r = Round::default();
        read.summarise(10.0, &mut r);
        assert_eq!(r.get("RSS, last to second hour"), Some(1.1));
        assert_eq!(r.get("files, most"), Some(20.0));
        std::fs::write(&file, "a,b\n").unwrap();
        assert!(Table::read(&file).is_err());
        std::fs::remove_file(&file).unwrap();
    }
}
