//! `file_sd_configs`: target groups in JSON and YAML files.
//!
//! Files are looked at every two seconds by time, length and inode (which also sees the symlink swap of
//! a mounted ConfigMap) and read when one of these changed, or when the refresh interval has passed. A file
//! that cannot be read or parsed keeps the groups it had; a file that is gone takes its groups with it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use nave_model::duration::PromDuration;
use serde::{Deserialize, Serialize};

use crate::group::Written;
use crate::{Discoverer, Error, Metrics, Publisher, TargetGroup, glob};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;
const FILEPATH_LABEL: &str = "__meta_filepath";

/// One entry of `file_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenConfig")]
pub struct FileSdConfig {
    files: Vec<String>,
    refresh_interval: PromDuration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenConfig {
    #[serde(default)]
    files: Vec<String>,
    #[serde(default = "five_minutes")]
    refresh_interval: PromDuration,
}

fn five_minutes() -> PromDuration {
    PromDuration::from_secs(300)
}

impl TryFrom<WrittenConfig> for FileSdConfig {
    type Error = Error;

    fn try_from(written: WrittenConfig) -> Result<Self, Error> {
        if written.files.is_empty() {
            return Err(Error::NoFiles);
        }
        let bad = written.files.iter().find(|file| !is_target_file(file));
        bad.map_or(Ok(()), |file| Err(Error::Path(file.clone())))?;
        Ok(Self { files: written.files, refresh_interval: written.refresh_interval })
    }
}

/// JSON or YAML by its ending, with `*` in the last part only.
fn is_target_file(path: &str) -> bool {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    !dir.contains('*') && ["json", "yml", "yaml", "JSON", "YML", "YAML"].contains(&ending)
}

impl FileSdConfig {
    /// Makes relative paths relative to `dir`, the folder of the configuration file.
    pub fn resolve_paths(&mut self, dir: &Path) {
        for file in &mut self.files {
            *file = dir.join(&*file).to_string_lossy().into_owned();
        }
    }
}

/// What tells whether a file was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    mtime: (i64, i64),
    len: u64,
    inode: (u64, u64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        let (mtime, inode) = ((meta.mtime(), meta.mtime_nsec()), (meta.dev(), meta.ino()));
        Some(Self { mtime, len: meta.len(), inode })
    }
}

struct Known {
    stamp: Option<Stamp>,
    groups: Vec<TargetGroup>,
}

pub(crate) struct Files {
    job: String,
    patterns: Vec<PathBuf>,
    refresh: Duration,
    clock: SharedClock,
    metrics: Metrics,
    known: BTreeMap<PathBuf, Known>,
}

impl Files {
    pub(crate) fn new(job: &str, config: &FileSdConfig, clock: SharedClock, metrics: Metrics) -> Self {
        Self {
            job: job.to_owned(),
            patterns: config.files.iter().map(PathBuf::from).collect(),
            refresh: config.refresh_interval.into(),
            clock,
            metrics,
            known: BTreeMap::new(),
        }
    }

    /// Reads what changed, or everything; says whether the groups are others than before.
    fn look(&mut self, everything: bool) -> bool {
        let start = self.clock.monotonic();
        let mut paths: Vec<PathBuf> = self.patterns.iter().flat_map(|pattern| glob(pattern)).collect();
        paths.sort();
        paths.dedup();
        let before = self.known.len();
        let metrics = &self.metrics;
        self.known.retain(|path, _| {
            let stays = paths.contains(path);
            if !stays {
                metrics.file_mtime.remove(&[&path.to_string_lossy()]);
            }
            stays
        });
        let mut changed = before != self.known.len();
        for path in paths {
            changed |= self.look_at(&path, everything);
        }
        self.metrics.file_scan.observe_duration(self.clock.monotonic().saturating_sub(start));
        changed
    }

    fn look_at(&mut self, path: &Path, everything: bool) -> bool {
        let stamp = Stamp::of(path);
        let known = self.known.entry(path.to_owned()).or_insert(Known { stamp: None, groups: Vec::new() });
        if stamp.is_some() && stamp == known.stamp && !everything {
            return false;
        }
        let news = stamp != known.stamp;
        known.stamp = stamp;
        match read(path) {
            Ok(groups) => {
                let name = path.to_string_lossy();
                self.metrics.file_mtime.with(&[&name]).set(stamp.map_or(0, |stamp| stamp.mtime.0) as f64);
                let changed = known.groups != groups;
                known.groups = groups;
                changed
            }
            Err(error) => {
                self.metrics.file_read_errors.inc();
                self.metrics.refresh_failures.with(&["file", &self.job]).inc();
                if news {
                    let kept = known.groups.len();
                    tracing::error!(job = self.job, %error, kept, "target file refused; its last good groups stay");
                }
                false
            }
        }
    }

    fn groups(&self) -> Vec<TargetGroup> {
        self.known.values().flat_map(|known| known.groups.iter().cloned()).collect()
    }
}

impl Discoverer for Files {
    fn run(self: Box<Self>, publisher: Publisher, shutdown: Shutdown) -> BoxFuture<'static, ()> {
        let mut files = self;
        async move {
            let (mut first, mut read_all_at) = (true, Duration::ZERO);
            loop {
                let now = files.clock.monotonic();
                let everything = now >= read_all_at;
                if everything {
                    read_all_at = now + files.refresh;
                }
                // Reading files may block; a panic in it would be a bug, and ends this mechanism only.
                let looked = tokio::task::spawn_blocking(move || {
                    let changed = files.look(everything);
                    (files, changed)
                });
                let Ok((back, changed)) = looked.await else { return };
                files = back;
                if first || changed {
                    publisher.publish(files.groups());
                }
                first = false;
                tokio::select! {
                    () = files.clock.sleep(LOOK_EVERY.min(files.refresh)) => {}
                    () = shutdown.cancelled() => return,
                }
            }
        }
        .boxed()
    }
}

/// The groups of one file.
fn read(path: &Path) -> Result<Vec<TargetGroup>, Error> {
    let refuse = |problem: String| Error::File { file: path.display().to_string(), problem };
    let len = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if len > FILE_BYTES_MAX {
        return Err(refuse(format!("{len} bytes are more than the {FILE_BYTES_MAX} that are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    parse(path, &text).map_err(refuse)
}

fn parse(path: &Path, text: &str) -> Result<Vec<TargetGroup>, String> {
    let json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let written: Vec<Option<Written>> = if json {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        serde_saphyr::from_str::<Option<_>>(text).map_err(|error| error.to_string())?.unwrap_or_default()
    };
    let name = path.to_string_lossy();
    let group = |(at, written): (usize, Option<Written>)| {
        let written = written.ok_or_else(|| format!("nil target group item found (index {at})"))?;
        let mut group = written.group(&format!("{name}:{at}"));
        group.labels.retain(|(label, _)| label != FILEPATH_LABEL);
        group.labels.push((FILEPATH_LABEL.to_owned(), name.to_string()));
        Ok(group)
    };
    written.into_iter().enumerate().map(group).collect()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
