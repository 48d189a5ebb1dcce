//! The page on node_exporter's own fixtures against node_exporter's own output: same families with the
//! same HELP and TYPE, same series, equal values. The collectors upstream leaves out of that run
//! (filesystem, uname, the figures of netdev and time) are checked on small trees made here.

mod page;
mod ttar;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nave_base::clock::FakeClock;
use nave_exporter::{Node, NodeOptions};
use nave_wire::exposition::{Entry, Format, Parser};
use page::Parsed;
use tempfile::TempDir;

/// 2026-11-20T00:00:00Z
const NOW_MS: i64 = 1_795_132_800_000;

/// The fixtures; none, loudly, where they are absent, and a failure where the environment says `CI`.
fn corpus() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let root = std::env::var_os("NAVE_CORPORA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let folder = root.join("node_exporter");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "corpora not found at {}", root.display());
    #[allow(clippy::print_stderr)] // a test that checks nothing must say so
    {
        eprintln!("SKIPPED: corpora not found at {}", root.display());
    }
    None
}

fn page(options: NodeOptions) -> Parsed {
    let page = Node::new(options, FakeClock::at(NOW_MS)).unwrap().page();
    check_scrapable(&page);
    Parsed::read(&page)
}

/// Our own scraper takes every line.
fn check_scrapable(page: &str) {
    let mut parser = Parser::new(page.as_bytes(), Format::Text);
    while let Some(entry) = parser.next().unwrap() {
        if let Entry::Sample(sample) = entry {
            sample.labels().unwrap();
        }
    }
}

/// The families of the golden page that our collectors make with the options of the test.
fn belongs(name: &str) -> bool {
    const PREFIXES: [&str; 7] = [
        "node_cpu_",
        "node_disk_",
        "node_load",
        "node_procs_",
        "node_softirqs_total",
        "node_time_clocksource_",
        "node_vmstat_",
    ];
    const NAMES: [&str; 4] =
        ["node_boot_time_seconds", "node_context_switches_total", "node_forks_total", "node_intr_total"];
    // Collectors of their own there (cpufreq, cpu_vulnerabilities), or off by default (cpu.info).
    const OTHERS: [&str; 6] = [
        "node_cpu_info",
        "node_cpu_bug_info",
        "node_cpu_flag_info",
        "node_cpu_frequency_hertz",
        "node_cpu_scaling_",
        "node_cpu_vulnerabilities_",
    ];
    let memory = name.starts_with("node_memory_") && !name.starts_with("node_memory_numa_");
    let begins = |all: &[&str]| all.iter().any(|prefix| name.starts_with(prefix));
    memory || NAMES.contains(&name) || (begins(&PREFIXES) && !begins(&OTHERS))
}

/// Every file of the manifest is there with its size, every link with its target.
fn check_unpacked(manifest: &str, root: &Path) {
    for line in manifest.lines().filter(|line| line.starts_with("sys/") || line.starts_with("udev/")) {
        let columns: Vec<&str> = line.split('\t').collect();
        let path = root.join(columns[0]);
        match columns[1] {
            "L" => assert_eq!(fs::read_link(&path).unwrap(), Path::new(columns[2]), "{line}"),
            // The corpus lost the bytes of some binary files that are not UTF-8; nobody reads those here.
            _ if fs::read_to_string(&path).unwrap().contains('\u{fffd}') => {}
            _ => assert_eq!(fs::metadata(&path).unwrap().len().to_string(), columns[2], "{line}"),
        }
    }
}

#[test]
fn the_golden_page() {
    let Some(corpus) = corpus() else { return };
    let trees = TempDir::new().unwrap();
    for archive in ["sys.ttar", "udev.ttar"] {
        ttar::unpack(&fs::read_to_string(corpus.join("fixtures").join(archive)).unwrap(), trees.path());
    }
    check_unpacked(&fs::read_to_string(corpus.join("unpacked-manifest.tsv")).unwrap(), trees.path());
    let came = page(NodeOptions {
        procfs: corpus.join("fixtures/proc"),
        sysfs: trees.path().join("sys"),
        udev_data: trees.path().join("udev/data"),
        stat_softirq: true,
        ..NodeOptions::default()
    });
    let golden = Parsed::read(&fs::read_to_string(corpus.join("golden/e2e-output.txt")).unwrap());
    let (came, golden) = (came.only(belongs), golden.only(belongs));
    assert!(golden.samples.len() > 350, "the golden page has {} of our samples", golden.samples.len());
    assert_eq!(came.families, golden.families);
    assert_eq!(came.samples, golden.samples);
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const NET_DEV: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
eth0:1:18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
";

#[test]
fn netdev() {
    let root = TempDir::new().unwrap();
    write(root.path(), "proc/net/dev", NET_DEV);
    write(root.path(), "sys/class/net/lo/statistics/rx_nohandler", "17\n");
    let options = NodeOptions {
        procfs: root.path().join("proc"),
        sysfs: root.path().join("sys"),
        ..NodeOptions::default()
    };
    let came = page(options.clone());
    for (name, expect) in [
        ("receive_bytes", 1.0),
        ("receive_frame", 6.0),
        ("receive_multicast", 8.0),
        ("transmit_bytes", 9.0),
        ("transmit_colls", 14.0),
        ("transmit_compressed", 16.0),
        ("receive_nohandler", 17.0),
    ] {
        let series = format!("node_network_{name}_total{{device=\"lo\"}}");
        assert_eq!(came.samples.get(&series), Some(&expect), "{series}");
        let (kind, help) = &came.families[&format!("node_network_{name}_total")];
        assert_eq!((&**kind, &**help), ("counter", &*format!("Network device statistic {name}.")));
    }
    let largest = came.samples["node_network_receive_bytes_total{device=\"eth0:1\"}"];
    assert_eq!(largest, 18_446_744_073_709_551_615.0);

    let devices = |options: NodeOptions| -> BTreeSet<String> {
        let all = page(options).only(|name| name == "node_network_receive_bytes_total");
        all.samples.into_keys().collect()
    };
    let lo = "node_network_receive_bytes_total{device=\"lo\"}".to_owned();
    let include = NodeOptions { net_devices_include: "^lo$".into(), ..options.clone() };
    assert_eq!(devices(include), BTreeSet::from([lo.clone()]));
    let exclude = NodeOptions { net_devices_exclude: "^eth".into(), ..options };
    assert_eq!(devices(exclude), BTreeSet::from([lo]));
}

#[test]
fn filesystem() {
    let root = TempDir::new().unwrap();
    let host = root.path().join("host");
    fs::create_dir_all(host.join("disk")).unwrap();
    let mounts = format!(
        "1 0 8:1 / {0} rw,noatime shared:1 - ext4 /dev/sda1 rw\n\
         2 1 8:2 / {0}/disk ro - xfs /dev/sdb rw\n\
         3 1 8:2 / {0}/disk ro - xfs /dev/sdb rw\n\
         4 1 0:9 / {0}/gone\\040away rw - nfs4 server:/x rw\n\
         5 1 0:10 / {0}/run/user rw - tmpfs tmpfs rw\n\
         6 1 0:11 / {0}/image rw - overlay overlay rw\n",
        host.display()
    );
    write(root.path(), "proc/1/mountinfo", &mounts);
    let came = page(NodeOptions { procfs: root.path().join("proc"), rootfs: host, ..NodeOptions::default() })
        .only(|name| name.starts_with("node_filesystem_"));
    let sda = r#"{device="/dev/sda1",device_error="",fstype="ext4",mountpoint="/"}"#;
    let sdb = r#"{device="/dev/sdb",device_error="",fstype="xfs",mountpoint="/disk"}"#;
    let gone =
        r#"{device="server:/x",device_error="entity not found",fstype="nfs4",mountpoint="/gone away"}"#;
    let value =
        |name: &str, labels: &str| came.samples.get(&format!("node_filesystem_{name}{labels}")).copied();
    assert_eq!(value("device_error", sda), Some(0.0));
    assert_eq!(value("readonly", sda), Some(0.0));
    assert_eq!(value("readonly", sdb), Some(1.0));
    assert_eq!(value("device_error", gone), Some(1.0));
    assert_eq!(value("size_bytes", gone), None);
    assert!(value("avail_bytes", sdb).unwrap() <= value("size_bytes", sdb).unwrap());
    let info = r#"{device="/dev/sdb",major="8",minor="2",mountpoint="/disk"}"#;
    assert_eq!(value("mount_info", info), Some(1.0));
    // Two mounts with all nine families, one with the two that need no answer.
    assert_eq!(came.samples.len(), 2 * 9 + 2, "{:?}", came.samples);
}

#[test]
fn this_machine() {
    let came = page(NodeOptions::default());
    let names: BTreeSet<&str> =
        came.samples.keys().map(|series| series.split('{').next().unwrap_or(series)).collect();
    for name in [
        "nave_exporter_build_info",
        "node_cpu_guest_seconds_total",
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes",
        "node_network_receive_bytes_total",
        "node_time_zone_offset_seconds",
        "node_uname_info",
    ] {
        assert!(names.contains(name), "{name} is missing");
    }
    assert_eq!(came.samples["node_time_seconds"], 1_795_132_800.0);
    for collector in ["cpu", "diskstats", "filesystem", "loadavg", "meminfo", "netdev", "stat", "vmstat"] {
        let series = format!("node_scrape_collector_success{{collector=\"{collector}\"}}");
        assert_eq!(came.samples[&series], 1.0, "{collector}");
    }
}

/// A collector whose files are missing or broken shows nothing but that it failed.
#[test]
fn broken_files() {
    let root = TempDir::new().unwrap();
    let options = NodeOptions { procfs: root.path().into(), ..NodeOptions::default() };
    let check = |collector: &str, path: &str, text: &str, families: &str| {
        write(root.path(), path, text);
        let came = page(options.clone());
        let series = format!("node_scrape_collector_success{{collector=\"{collector}\"}}");
        assert_eq!(came.samples[&series], 0.0, "{collector} with {text:?}");
        assert!(!came.samples.keys().any(|series| series.starts_with(families)), "{collector} with {text:?}");
    };
    check("cpu", "x", "", "node_cpu_");
    check("cpu", "stat", "cpu0 1 x\n", "node_cpu_");
    check("stat", "stat", "btime 1\nctxt\n", "node_boot_");
    check("loadavg", "loadavg", "0.1 0.2", "node_load");
    check("meminfo", "meminfo", "MemTotal: 1 kB\nMemFree 1 kB\n", "node_memory_");
    check("meminfo", "meminfo", "MemTotal: 1 MB\n", "node_memory_");
    check("diskstats", "diskstats", "8 0 sda 1 2 3\n", "node_disk_");
    check("netdev", "net/dev", "a\nb\nlo: 1 2\n", "node_network_");
    check("filesystem", "1/mountinfo", "garbage\n", "node_filesystem_");
    check("vmstat", "vmstat", "pgfault\n", "node_vmstat_");
}
