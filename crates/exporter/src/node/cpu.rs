//! Time per CPU and mode from `/proc/stat`; throttling and isolation from sysfs.
//!
//! The kernel's idle and iowait counters may step back a little, and start again when a CPU was
//! offline. Invariant: what is shown never goes back except for such a restart.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::Mutex;

use super::file::{Text, read_attribute, read_number};
use super::{Error, NodeOptions};
use crate::page::{Kind, Page};

/// Ticks per second of the figures in procfs (USER_HZ), fixed on every architecture Linux runs today.
const TICKS_PER_SECOND: f64 = 100.0;
/// A step back of idle by more than this is a CPU that was offline.
const RESTART_SECONDS: f64 = 3.0;
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;
const GUEST_MODES: [&str; 2] = ["user", "nice"];

/// Seconds by mode, then by guest mode.
type Seconds = [f64; MODES.len() + GUEST_MODES.len()];

/// What was shown last, by CPU.
#[derive(Debug, Default)]
pub(super) struct Cpu {
    shown: Mutex<BTreeMap<String, Seconds>>,
}

impl Cpu {
    pub(super) fn collect(&self, options: &NodeOptions, page: &mut Page) -> Result<(), Error> {
        let read = read_seconds(options)?;
        let mut shown = self.shown.lock();
        shown.retain(|cpu, _| read.iter().any(|(name, _)| name == cpu));
        for (cpu, seconds) in read {
            let kept = merge(shown.get(&cpu), seconds);
            add_seconds(page, &cpu, &kept);
            shown.insert(cpu, kept);
        }
        add_throttles(&options.sysfs, page);
        add_isolated(&options.sysfs, page);
        Ok(())
    }
}

fn read_seconds(options: &NodeOptions) -> Result<Vec<(String, Seconds)>, Error> {
    let file = Text::read(options.procfs.join("stat"))?;
    let mut cpus = Vec::new();
    for (line, text) in file.lines() {
        let mut words = text.split_whitespace();
        let Some(cpu) = words.next().and_then(|key| key.strip_prefix("cpu")).filter(|cpu| !cpu.is_empty())
        else {
            continue;
        };
        let mut seconds = Seconds::default();
        // Old kernels have fewer figures; what they lack is 0.
        for (slot, word) in seconds.iter_mut().zip(words) {
            *slot = file.number::<u64>(line, Some(word))? as f64 / TICKS_PER_SECOND;
        }
        cpus.push((cpu.to_owned(), seconds));
    }
    Ok(cpus)
}

/// What to show: the new figures, where they do not go back.
fn merge(shown: Option<&Seconds>, read: Seconds) -> Seconds {
    match shown {
        Some(shown) if shown[IDLE] - read[IDLE] < RESTART_SECONDS => {
            std::array::from_fn(|mode| read[mode].max(shown[mode]))
        }
        _ => read,
    }
}

fn add_seconds(page: &mut Page, cpu: &str, seconds: &Seconds) {
    let (modes, guest) = seconds.split_at(MODES.len());
    let family = page.family("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.", Kind::Counter);
    for (mode, value) in MODES.iter().zip(modes) {
        family.sample(&[("cpu", cpu), ("mode", mode)], *value);
    }
    let help = "Seconds the CPUs spent in guests (VMs) for each mode.";
    let family = page.family("node_cpu_guest_seconds_total", help, Kind::Counter);
    for (mode, value) in GUEST_MODES.iter().zip(guest) {
        family.sample(&[("cpu", cpu), ("mode", mode)], *value);
    }
}

/// Throttling is counted once per core and once per package; hyper-threads of a core show the same.
fn add_throttles(sysfs: &Path, page: &mut Page) {
    let (mut cores, mut packages) = (BTreeMap::new(), BTreeMap::new());
    let Ok(entries) = std::fs::read_dir(sysfs.join("devices/system/cpu")) else { return };
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if !name.strip_prefix("cpu").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
            continue;
        }
        let Some(package) = read_attribute(&folder.join("topology/physical_package_id")) else { continue };
        let Some(core) = read_attribute(&folder.join("topology/core_id")) else { continue };
        if let Some(count) = read_number(&folder.join("thermal_throttle/core_throttle_count")) {
            cores.entry((core, package.clone())).or_insert(count);
        }
        if let Some(count) = read_number(&folder.join("thermal_throttle/package_throttle_count")) {
            packages.entry(package).or_insert(count);
        }
    }
    for ((core, package), count) in cores {
        let help = "Number of times this CPU core has been throttled.";
        page.family("node_cpu_core_throttles_total", help, Kind::Counter)
            .sample(&[("core", &core), ("package", &package)], count);
    }
    for (package, count) in packages {
        let help = "Number of times this CPU package has been throttled.";
        page.family("node_cpu_package_throttles_total", help, Kind::Counter)
            .sample(&[("package", &package)], count);
    }
}

fn add_isolated(sysfs: &Path, page: &mut Page) {
    let list = read_attribute(&sysfs.join("devices/system/cpu/isolated")).unwrap_or_default();
    let help = "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.";
    for cpu in parse_cpu_list(&list) {
        page.family("node_cpu_isolated", help, Kind::Gauge).sample(&[("cpu", &cpu.to_string())], 1.0);
    }
}

/// `1,3-5` is 1, 3, 4, 5. What is not a list is empty: the file is the kernel's, not a user's.
fn parse_cpu_list(list: &str) -> Vec<u16> {
    list.split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(idle: f64, user: f64) -> Seconds {
        let mut seconds = Seconds::default();
        (seconds[0], seconds[IDLE]) = (user, idle);
        seconds
    }

    #[test]
    fn counters_go_back_only_for_a_restart() {
        let shown = seconds(100.0, 10.0);
        for (read, expect) in [
            (seconds(101.0, 11.0), seconds(101.0, 11.0)),
            (seconds(99.5, 11.0), seconds(100.0, 11.0)),
            (seconds(101.0, 9.0), seconds(101.0, 10.0)),
            (seconds(1.0, 2.0), seconds(1.0, 2.0)),
        ] {
            assert_eq!(merge(Some(&shown), read), expect);
        }
        assert_eq!(merge(None, shown), shown);
    }

    #[test]
    fn cpu_lists() {
        for (list, expect) in
            [("", &[][..]), ("0", &[0]), ("1,3-5,9", &[1, 3, 4, 5, 9]), ("5-3", &[]), ("x,2", &[2])]
        {
            assert_eq!(parse_cpu_list(list), expect, "{list}");
        }
    }
}
