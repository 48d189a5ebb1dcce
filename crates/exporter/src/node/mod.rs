//! The page of a Linux host: one collector per subject, each with node_exporter's families.
//!
//! A collector reads files below the configured roots and adds families to a page of its own, which
//! joins the whole page only when all of it could be read: a collector that fails contributes
//! `node_scrape_collector_success` 0 and nothing half. Collectors run one after the other; together
//! they take a few milliseconds, except for file systems that hang, see `statfs.rs`.

mod cpu;
mod diskstats;
mod file;
mod filesystem;
mod loadavg;
mod meminfo;
mod mountinfo;
mod netdev;
mod options;
mod stat;
mod statfs;
mod time;
mod udev;
mod uname;
mod vmstat;

use std::collections::BTreeSet;
use std::path::PathBuf;

use nave_base::clock::SharedClock;
use parking_lot::Mutex;

use crate::page::{Kind, Page};
pub use options::NodeOptions;

/// Why a collector failed, or why options were refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not look as the kernel writes it.
    #[error("{}, line {line}: expected {expected}, came {came:?}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What should have stood there.
        expected: &'static str,
        /// What stood there, at most 80 characters of it.
        came: String,
    },
    /// An option is not a regular expression.
    #[error("{option} is not a regular expression: {source}")]
    Pattern {
        /// Its flag.
        option: &'static str,
        /// What is wrong with it.
        source: regex::Error,
    },
}

type Collect = fn(&Node, &mut Page) -> Result<(), Error>;

const COLLECTORS: [(&str, Collect); 10] = [
    ("cpu", |node, page| node.cpu.collect(&node.options, page)),
    ("diskstats", |node, page| node.disks.collect(&node.options, page)),
    ("filesystem", |node, page| node.filesystems.collect(&node.options, page)),
    ("loadavg", |node, page| loadavg::collect(&node.options, page)),
    ("meminfo", |node, page| meminfo::collect(&node.options, page)),
    ("netdev", |node, page| node.devices.collect(&node.options, page)),
    ("stat", |node, page| stat::collect(&node.options, page)),
    ("time", |node, page| time::collect(&node.options, node.clock.now_ms(), page)),
    ("uname", |_, page| uname::collect(page)),
    ("vmstat", |node, page| node.vmstat.collect(&node.options, page)),
];

/// The collectors with what they remember between pages.
#[derive(Debug)]
pub struct Node {
    options: NodeOptions,
    clock: SharedClock,
    cpu: cpu::Cpu,
    disks: diskstats::Disks,
    filesystems: filesystem::Filesystems,
    devices: netdev::Devices,
    vmstat: vmstat::Vmstat,
    failing: Mutex<BTreeSet<&'static str>>,
}

impl Node {
    /// Checks the options; reads nothing yet.
    ///
    /// # Errors
    /// [`Error::Pattern`] names the filter that is not a regular expression.
    pub fn new(options: NodeOptions, clock: SharedClock) -> Result<Self, Error> {
        Ok(Self {
            cpu: cpu::Cpu::default(),
            disks: diskstats::Disks::new(&options)?,
            filesystems: filesystem::Filesystems::new(&options)?,
            devices: netdev::Devices::new(&options)?,
            vmstat: vmstat::Vmstat::new(&options)?,
            failing: Mutex::default(),
            options,
            clock,
        })
    }

    /// The page as text 0.0.4, as the machine is now. Blocks on file reads, at most for about the
    /// mount timeout: call it from a thread that may block.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = Page::default();
        let mut figures = Vec::with_capacity(COLLECTORS.len());
        for (name, collect) in COLLECTORS {
            let mut part = Page::default();
            let start = self.clock.monotonic();
            let outcome = collect(self, &mut part);
            let seconds = self.clock.monotonic().saturating_sub(start).as_secs_f64();
            figures.push((name, seconds, outcome.is_ok()));
            self.report(name, outcome.as_ref().err());
            if outcome.is_ok() {
                page.append(part);
            }
        }
        add_figures(&mut page, &figures);
        page.into_text()
    }

    /// Logs the first failure of a collector and its recovery, not every page in between.
    fn report(&self, name: &'static str, error: Option<&Error>) {
        let mut failing = self.failing.lock();
        match error {
            Some(error) if failing.insert(name) => {
                tracing::warn!(collector = name, %error, "collector failed");
            }
            None if failing.remove(name) => {
                tracing::info!(collector = name, "collector works again");
            }
            _ => {}
        }
    }
}

fn add_figures(page: &mut Page, figures: &[(&str, f64, bool)]) {
    const DURATION: &str = "node_exporter: Duration of a collector scrape.";
    const SUCCESS: &str = "node_exporter: Whether a collector succeeded.";
    for (name, seconds, ok) in figures {
        let labels = [("collector", *name)];
        page.family("node_scrape_collector_duration_seconds", DURATION, Kind::Gauge)
            .sample(&labels, *seconds);
        page.family("node_scrape_collector_success", SUCCESS, Kind::Gauge).sample(&labels, f64::from(*ok));
    }
    // Not node_exporter_build_info: this program is not node_exporter and must not count as one.
    let help = "A metric with a constant '1' value labeled by the version and platform of Nave's exporter.";
    page.family("nave_exporter_build_info", help, Kind::Gauge).sample(
        &[
            ("arch", std::env::consts::ARCH),
            ("os", std::env::consts::OS),
            ("version", env!("CARGO_PKG_VERSION")),
        ],
        1.0,
    );
}
