//! Flipping bits, and what they may cost: of the log, the records that they are in and no other.
//!
//! Nothing here asks the store: the log is read beside it, as it would be without the flips and as it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::{Disk, FaultDisk, Incident, MemoryDisk, What};
use nave_wal::{Next, Position, Reader, Record};

use crate::world::World;

const LOG: &str = "/data/log";
const HEADER_BYTES: u64 = 24;

/// Files that the store does not open without. They change while it is open, so they rot only while it is closed.
pub fn can_refuse(path: &Path) -> bool {
    path.ends_with("lock") || path.ends_with("manifest") || path.starts_with("/data/series")
}

impl World {
    pub fn rot(&mut self, flips: u8, pick: fn(&Path) -> bool) {
        for _ in 0..flips {
            self.fresh_rot.extend(self.disk.rot(pick));
        }
        self.rotted |= !self.fresh_rot.is_empty();
    }

    /// Without manifest or registry nothing can be said of the rest: the store names the file and does not open. Then
    /// the file is restored from its copy; whether there was something to restore.
    pub fn restore(&mut self, error: &str) -> bool {
        let named = |incident: &Incident| {
            can_refuse(&incident.path) && error.contains(&incident.path.display().to_string())
        };
        let named: Vec<_> = self.fresh_rot.extract_if(.., |incident| named(incident)).collect();
        for Incident { path, what, .. } in &named {
            if let What::Rotted { offset, mask } = what {
                self.disk.flip(path, *offset, *mask);
            }
        }
        !named.is_empty()
    }
}

/// Flipped bits of the log.
pub struct Flips(Vec<(PathBuf, u64, u8)>);

impl Flips {
    pub fn of<'a>(incidents: impl IntoIterator<Item = &'a Incident>) -> Self {
        let flip = |incident: &Incident| match incident.what {
            What::Rotted { offset, mask } if incident.path.parent() == Some(Path::new(LOG)) => {
                Some((incident.path.clone(), offset, mask))
            }
            _ => None,
        };
        Self(incidents.into_iter().filter_map(flip).collect())
    }

    fn are_in(&self, path: &Path, from: u64, to: u64) -> bool {
        self.0.iter().any(|(flipped, offset, _)| flipped == path && (from..to).contains(offset))
    }

    /// Whether the newest segment of `before` has a flip in the last `cut_bytes`.
    pub fn reach_tail(&self, before: &[(PathBuf, Vec<u8>)], cut_bytes: u64) -> bool {
        let newest = before.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "wal")).max();
        let Some((path, bytes)) = newest else { return false };
        self.are_in(path, (bytes.len() as u64).saturating_sub(cut_bytes), u64::MAX)
    }

    /// Checks that every whole record without a flip that was there before the store was opened can still be read,
    /// unless its segment was dropped.
    pub fn cost_only_their_records(
        &self,
        before: &[(PathBuf, Vec<u8>)],
        disk: &FaultDisk,
    ) -> Result<(), String> {
        let now = log(disk);
        let read: BTreeSet<_> = records(&now).into_iter().collect();
        for (from, to) in records(&self.undone(before)) {
            let path = Path::new(LOG).join(format!("{:08}.wal", from.segment));
            let dropped = now.iter().all(|(there, _)| *there != path);
            let hit = self.are_in(&path, 0, HEADER_BYTES) || self.are_in(&path, from.offset, to.offset);
            if !dropped && !hit && !read.contains(&(from, to)) {
                return Err(format!("the whole record of the log at {from} was lost to a flip of another"));
            }
        }
        Ok(())
    }

    /// The files without the flips. Where a file was cut and written since, this makes damage instead: what is whole
    /// and without a flip is so in the file, too.
    fn undone(&self, files: &[(PathBuf, Vec<u8>)]) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = files.to_vec();
        for (flipped, offset, mask) in &self.0 {
            let file = files.iter_mut().find(|(path, _)| path == flipped);
            let at = usize::try_from(*offset).unwrap_or(usize::MAX);
            if let Some(byte) = file.and_then(|(_, bytes)| bytes.get_mut(at)) {
                *byte ^= mask;
            }
        }
        files
    }
}

/// The files of the log.
pub fn log(disk: &FaultDisk) -> Vec<(PathBuf, Vec<u8>)> {
    disk.peek(Path::new(LOG))
}

/// Begin and end of every record that can be read.
fn records(files: &[(PathBuf, Vec<u8>)]) -> Vec<(Position, Position)> {
    let disk = MemoryDisk::default();
    for (path, bytes) in files {
        disk.append(path).and_then(|file| file.append(bytes)).expect("memory has room");
    }
    let mut reader = Reader::at(Arc::new(disk), Path::new(LOG), Position::START);
    let (mut record, mut found) = (Record::default(), Vec::new());
    loop {
        match reader.next(&mut record) {
            Ok(Next::Record) => found.push((record.position, record.next)),
            Ok(Next::Damaged(_)) => {}
            Ok(Next::End) | Err(_) => return found,
        }
    }
}
