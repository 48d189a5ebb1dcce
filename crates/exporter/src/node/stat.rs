//! Boot time, context switches, forks, interrupts, processes and softirqs from `/proc/stat`.

use super::file::Text;
use super::{Error, NodeOptions};
use crate::page::{Kind, Page};

const FIELDS: [(&str, &str, &str, Kind); 6] = [
    ("btime", "node_boot_time_seconds", "Node boot time, in unixtime.", Kind::Gauge),
    ("ctxt", "node_context_switches_total", "Total number of context switches.", Kind::Counter),
    ("intr", "node_intr_total", "Total number of interrupts serviced.", Kind::Counter),
    ("processes", "node_forks_total", "Total number of forks.", Kind::Counter),
    ("procs_running", "node_procs_running", "Number of processes in runnable state.", Kind::Gauge),
    (
        "procs_blocked",
        "node_procs_blocked",
        "Number of processes blocked waiting for I/O to complete.",
        Kind::Gauge,
    ),
];

/// In the order of the kernel's line, after the sum of all.
const SOFTIRQS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"];

pub(super) fn collect(options: &NodeOptions, page: &mut Page) -> Result<(), Error> {
    let file = Text::read(options.procfs.join("stat"))?;
    for (line, text) in file.lines() {
        let mut words = text.split_whitespace();
        let Some(key) = words.next() else { continue };
        if let Some((_, name, help, kind)) = FIELDS.iter().find(|field| field.0 == key) {
            page.family(*name, *help, *kind).sample(&[], file.number(line, words.next())?);
        } else if key == "softirq" && options.stat_softirq {
            for (vector, count) in SOFTIRQS.iter().zip(words.skip(1)) {
                page.family("node_softirqs_total", "Number of softirq calls.", Kind::Counter)
                    .sample(&[("vector", vector)], file.number(line, Some(count))?);
            }
        }
    }
    Ok(())
}
