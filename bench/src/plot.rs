//! Plots of the tables over time, as SVG: one small panel for each figure, one line for each table.

use crate::timetable::Table;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One panel: its title with the unit, and the column it shows.
const PANELS: [(&str, &str); 10] = [
    ("Resident memory, most in each stretch (MiB)", "rss_max_mib"),
    ("Disk (MiB)", "disk_mib"),
    ("Files", "files"),
    ("Open file descriptors", "fds"),
    ("CPU per million samples, readers included (CPU-s)", "cpu_s_per_million_samples"),
    ("Samples taken (per s)", "rate_samples_per_s"),
    ("Dashboards, p99 (ms)", "dashboard_p99_ms"),
    ("Rules, p99 (ms)", "rule_p99_ms"),
    ("Acknowledgement, p99 (ms)", "ack_p99_ms"),
    ("Acknowledgement, longest (ms)", "ack_max_ms"),
];
/// Distinct for most kinds of colour blindness.
const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
/// A panel and what is around its plot, in pixels.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 34.0;
const COLUMNS: usize = 2;
const LEGEND: f64 = 34.0;
/// More points than this in a line are not seen; the largest of each group is drawn.
const POINTS_MAX: usize = 400;

/// What to plot, and where to.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Tables that `soak` wrote; lines are named by the files, without `soak-`.
    #[arg(required = true)]
    pub csv: Vec<PathBuf>,
    #[arg(long)]
    pub out: PathBuf,
}

/// Reads the tables and writes the plot.
pub fn run(o: &Options) -> Result<()> {
    let mut tables = Vec::new();
    for file in &o.csv {
        let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        tables.push((stem.trim_start_matches("soak-").to_string(), Table::read(file)?));
    }
    write(&o.out, &draw(&tables))
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| file.display().to_string())
}

/// The whole picture.
pub fn draw(tables: &[(String, Table)]) -> String {
    let rows = PANELS.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, LEGEND + HEIGHT * rows as f64);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (i, (name, _)) in tables.iter().enumerate() {
        let x = LEFT + 170.0 * i as f64;
        let _ = writeln!(
            out,
            "<path d=\"M{x} 18h24\" stroke=\"{}\" stroke-width=\"3\"/><text x=\"{}\" y=\"22\">{}</text>",
            COLORS[i % COLORS.len()],
            x + 30.0,
            escape(name)
        );
    }
    for (i, (title, column)) in PANELS.iter().enumerate() {
        let (x, y) = ((i % COLUMNS) as f64 * WIDTH, LEGEND + (i / COLUMNS) as f64 * HEIGHT);
        let _ = writeln!(out, "<g transform=\"translate({x} {y})\">");
        panel(title, column, tables, &mut out);
        out.push_str("</g>\n");
    }
    out + "</svg>\n"
}

fn panel(title: &str, column: &str, tables: &[(String, Table)], out: &mut String) {
    let lines: Vec<Vec<(f64, f64)>> = tables
        .iter()
        .map(|(_, t)| {
            let at = t.column("simulated_h").unwrap_or_default();
            thin(
                at.into_iter()
                    .zip(t.column(column).unwrap_or_default())
                    .filter(|p| p.1.is_finite())
                    .collect(),
            )
        })
        .collect();
    let most = |f: fn(&(f64, f64)) -> f64| lines.iter().flatten().map(f).fold(0.0, f64::max);
    let (x_ticks, y_ticks) = (ticks(most(|p| p.0)), ticks(most(|p| p.1)));
    let x_max = most(|p| p.0).max(1e-9);
    let y_max = y_ticks.last().copied().unwrap_or(1.0);
    let (inner_width, inner_height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let x = |v: f64| LEFT + v / x_max * inner_width;
    let y = |v: f64| TOP + (1.0 - v / y_max) * inner_height;
    let _ =
        writeln!(out, "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{}</text>", TOP - 9.0, escape(title));
    for v in y_ticks {
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {0:.1}h{inner_width}\" stroke=\"#ddd\"/><text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\" fill=\"#555\">{3}</text>",
            y(v),
            LEFT - 6.0,
            y(v) + 4.0,
            shown(v)
        );
    }
    for v in x_ticks.into_iter().filter(|v| *v <= x_max) {
        let _ = writeln!(
            out,
            "<path d=\"M{0:.1} {1}v4\" stroke=\"#999\"/><text x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\" fill=\"#555\">{3}</text>",
            x(v),
            TOP + inner_height,
            TOP + inner_height + 15.0,
            shown(v)
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#555\">simulated hours</text>",
        WIDTH - RIGHT,
        TOP + inner_height + 28.0
    );
    for (i, line) in lines.iter().enumerate().filter(|l| !l.1.is_empty()) {
        let points: Vec<String> = line.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/>",
            COLORS[i % COLORS.len()],
            points.join(" ")
        );
    }
}

/// Keeps the largest of each group of neighbours, so that no peak is lost.
fn thin(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(POINTS_MAX).max(1);
    points.chunks(group).filter_map(|c| c.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))).collect()
}

/// Four to eight round numbers from 0 to `max` or a little more.
fn ticks(max: f64) -> Vec<f64> {
    let max = if max > 0.0 { max } else { 1.0 };
    let power = 10f64.powf((max / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|f| f * power).into_iter().find(|s| max / s <= 6.0).unwrap_or(max);
    (0..=(max / step).ceil() as usize).map(|i| i as f64 * step).collect()
}

/// A number on an axis: 1500000 as 1.5M.
fn shown(v: f64) -> String {
    let (v, suffix) = match v {
        v if v >= 1e9 => (v / 1e9, "G"),
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e4 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let text = format!("{v:.3}");
    format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover() {
        assert_eq!(ticks(24.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]);
        assert_eq!(ticks(0.9), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        for max in [0.0, 1e-6, 3.7, 99.0, 100.0, 1234.5, 8e9] {
            let t = ticks(max);
            assert!((3..=8).contains(&t.len()) && *t.last().unwrap() >= max, "{max}: {t:?}");
        }
        assert_eq!([0.0, 0.25, 1500.0, 20_000.0, 2.5e6].map(shown), ["0", "0.25", "1500", "20k", "2.5M"]);
    }

    #[test]
    fn draws_a_line_for_each_table_and_loses_no_peak() {
        let mut table = Table::default();
        for i in 0..1000 {
            let mut row = [f64::from(i % 7); 22];
            row[0] = f64::from(i) / 100.0;
            row[9] = if i == 500 { 5000.0 } else { 10.0 };
            row[17] = f64::NAN;
            row[18] = f64::NAN;
            table.push(&row);
        }
        let svg = draw(&[("a<b".into(), table.clone()), ("c".into(), table)]);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a&lt;b") && svg.contains(">5000</text>"));
        assert_eq!(svg.matches("<polyline").count(), 2 * (PANELS.len() - 1));
        assert!(!svg.contains("NaN"));
    }
}
