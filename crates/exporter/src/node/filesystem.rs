//! Size, space and nodes of every mounted file system that is not filtered out.
//!
//! A mount that answers with an error, or not in time, is shown with `node_filesystem_device_error` 1
//! and the reason as a label, and with no other figures than whether it is read-only.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::mountinfo::{self, Mount};
use super::options::Filter;
use super::statfs::{Answer, Statfs, Usage};
use super::{Error, NodeOptions};
use crate::page::{Kind, Page};

/// Name, HELP, figure.
type Figure = (&'static str, &'static str, fn(&Usage) -> f64);

const FIGURES: [Figure; 6] = [
    ("node_filesystem_size_bytes", "Filesystem size in bytes.", |usage| usage.size),
    ("node_filesystem_free_bytes", "Filesystem free space in bytes.", |usage| usage.free),
    ("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.", |usage| {
        usage.available
    }),
    ("node_filesystem_files", "Filesystem total file nodes.", |usage| usage.files),
    ("node_filesystem_files_free", "Filesystem total free file nodes.", |usage| usage.files_free),
    (
        "node_filesystem_purgeable_bytes",
        "Filesystem space available including purgeable space (MacOS specific).",
        |_| 0.0,
    ),
];

/// The filters, and the calls that may hang.
#[derive(Debug)]
pub(super) struct Filesystems {
    points_exclude: Filter,
    types_exclude: Filter,
    statfs: Statfs,
}

impl Filesystems {
    pub(super) fn new(options: &NodeOptions) -> Result<Self, Error> {
        Ok(Self {
            points_exclude: Filter::new(
                "--collector.filesystem.mount-points-exclude",
                &options.mount_points_exclude,
            )?,
            types_exclude: Filter::new("--collector.filesystem.fs-types-exclude", &options.fs_types_exclude)?,
            statfs: Statfs::default(),
        })
    }

    pub(super) fn collect(&self, options: &NodeOptions, page: &mut Page) -> Result<(), Error> {
        let mounts = self.shown(mountinfo::read(options)?, &options.rootfs);
        let paths: Vec<PathBuf> = mounts.iter().map(|mount| below(&options.rootfs, &mount.point)).collect();
        let answers = self.statfs.ask(&paths, options.mount_timeout);
        for (mount, answer) in mounts.iter().zip(&answers) {
            add(page, mount, answer);
        }
        Ok(())
    }

    /// What is not filtered out, each label set once: a point that is mounted over keeps its first.
    fn shown(&self, mounts: Vec<Mount>, rootfs: &Path) -> Vec<Mount> {
        let mut seen = BTreeSet::new();
        mounts
            .into_iter()
            .map(|mount| Mount { point: strip(rootfs, &mount.point), ..mount })
            .filter(|mount| !self.points_exclude.matches(&mount.point))
            .filter(|mount| !self.types_exclude.matches(&mount.fs_type))
            .filter(|mount| seen.insert((mount.point.clone(), mount.device.clone(), mount.fs_type.clone())))
            .collect()
    }
}

/// `point` as the host calls it: without `rootfs` in front.
fn strip(rootfs: &Path, point: &str) -> String {
    let path = Path::new(point);
    match path.strip_prefix(rootfs) {
        Ok(rest) => Path::new("/").join(rest).to_string_lossy().into_owned(),
        Err(_) => point.to_owned(),
    }
}

/// Where `point` of the host is found here.
fn below(rootfs: &Path, point: &str) -> PathBuf {
    rootfs.join(point.trim_start_matches('/'))
}

fn add(page: &mut Page, mount: &Mount, answer: &Answer) {
    let (usage, reason) = match answer {
        Answer::Usage(usage) => (Some(usage), String::new()),
        Answer::Failed(error) => (None, error.kind().to_string()),
        Answer::TimedOut => (None, "mountpoint timeout".to_owned()),
    };
    let labels = [
        ("device", &*mount.device),
        ("device_error", &*reason),
        ("fstype", &*mount.fs_type),
        ("mountpoint", &*mount.point),
    ];
    let help = "Whether an error occurred while getting statistics for the given device.";
    page.family("node_filesystem_device_error", help, Kind::Gauge)
        .sample(&labels, f64::from(usage.is_none()));
    page.family("node_filesystem_readonly", "Filesystem read-only status.", Kind::Gauge)
        .sample(&labels, f64::from(mount.read_only));
    let Some(usage) = usage else { return };
    for (name, help, figure) in FIGURES {
        page.family(name, help, Kind::Gauge).sample(&labels, figure(usage));
    }
    page.family("node_filesystem_mount_info", "Filesystem mount information.", Kind::Gauge).sample(
        &[
            ("device", &*mount.device),
            ("major", &*mount.major),
            ("minor", &*mount.minor),
            ("mountpoint", &*mount.point),
        ],
        1.0,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_host_that_is_mounted_elsewhere() {
        for (rootfs, point, shown, asked) in [
            ("/", "/", "/", "/"),
            ("/", "/home", "/home", "/home"),
            ("/host", "/host", "/", "/host/"),
            ("/host", "/host/home", "/home", "/host/home"),
            ("/host", "/hosts", "/hosts", "/host/hosts"),
            ("/host", "/home", "/home", "/host/home"),
        ] {
            let stripped = strip(Path::new(rootfs), point);
            assert_eq!(stripped, shown);
            assert_eq!(below(Path::new(rootfs), &stripped), Path::new(asked));
        }
    }
}
