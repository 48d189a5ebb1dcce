//! Where the collectors read and what they leave out; defaults are node_exporter's.

use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

use super::Error;

/// Options of [`super::Node`]. A filter is a regular expression that is searched for, so it brings
/// its own anchors; an empty one matches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOptions {
    /// Mount point of procfs (`--path.procfs`).
    pub procfs: PathBuf,
    /// Mount point of sysfs (`--path.sysfs`).
    pub sysfs: PathBuf,
    /// Where the root of the host is mounted (`--path.rootfs`); stripped from the mount points shown.
    pub rootfs: PathBuf,
    /// udev's device database (`--path.udev.data`).
    pub udev_data: PathBuf,
    /// `--collector.filesystem.mount-points-exclude`
    pub mount_points_exclude: String,
    /// `--collector.filesystem.fs-types-exclude`
    pub fs_types_exclude: String,
    /// How long all mount points of one page may take to answer
    /// (`--collector.filesystem.mount-timeout`).
    pub mount_timeout: Duration,
    /// `--collector.diskstats.device-exclude`
    pub disk_devices_exclude: String,
    /// `--collector.netdev.device-exclude`
    pub net_devices_exclude: String,
    /// `--collector.netdev.device-include`: when not empty, only these.
    pub net_devices_include: String,
    /// `--collector.vmstat.fields`: the fields shown.
    pub vmstat_fields: String,
    /// `--collector.stat.softirq`: also shows softirq calls by vector.
    pub stat_softirq: bool,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            procfs: "/proc".into(),
            sysfs: "/sys".into(),
            rootfs: "/".into(),
            udev_data: "/run/udev/data".into(),
            mount_points_exclude:
                "^/(dev|proc|run|sys|mnt|media|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)".into(),
            fs_types_exclude: "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|\
                hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|\
                squashfs|erofs|sysfs|tracefs)$"
                .into(),
            mount_timeout: Duration::from_secs(5),
            disk_devices_exclude: r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$".into(),
            net_devices_exclude: String::new(),
            net_devices_include: String::new(),
            vmstat_fields: "^(oom_kill|pgpg|pswp|pg.*fault).*".into(),
            stat_softirq: false,
        }
    }
}

/// A filter that is compiled once; the empty pattern matches nothing.
#[derive(Debug)]
pub(super) struct Filter(Option<Regex>);

impl Filter {
    pub(super) fn new(option: &'static str, pattern: &str) -> Result<Self, Error> {
        if pattern.is_empty() {
            return Ok(Self(None));
        }
        Regex::new(pattern).map(|regex| Self(Some(regex))).map_err(|source| Error::Pattern { option, source })
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_filters() {
        let options = NodeOptions::default();
        let check = |pattern: &str, text: &str, expect: bool| {
            assert_eq!(Filter::new("test", pattern).unwrap().matches(text), expect, "{text}");
        };
        for (point, expect) in [
            ("/", false),
            ("/run", true),
            ("/run/lock", true),
            ("/running", false),
            ("/var/lib/docker/x", true),
        ] {
            check(&options.mount_points_exclude, point, expect);
        }
        for (fs, expect) in [("ext4", false), ("cgroup2", true), ("tmpfs", false), ("overlay", true)] {
            check(&options.fs_types_exclude, fs, expect);
        }
        for (device, expect) in [("sda", false), ("sda1", true), ("nvme0n1", false), ("nvme0n1p2", true)] {
            check(&options.disk_devices_exclude, device, expect);
        }
        check(&options.net_devices_exclude, "lo", false);
    }

    #[test]
    fn a_broken_filter_is_named() {
        let error = Filter::new("--collector.netdev.device-exclude", "(").unwrap_err();
        assert!(
            error.to_string().starts_with("--collector.netdev.device-exclude is not a regular expression")
        );
    }
}
