//! A copy of the store as it stands: a folder that opens as a store.
//!
//! Parts and blocks never change, so a second name is enough; the registry grows, so its bytes are copied. The
//! manifest comes last: without it a folder is no store. The log is left out; who wants what is in it flushes before.

use std::io;
use std::path::{Path, PathBuf};

use nave_base::disk::Disk;
use nave_block::FileKind;

use super::Compactor;
use crate::catalog::{BLOCK_DIR, Catalog, SERIES_DIR, Version};
use crate::error::Error;

/// Where snapshots lie, as upstream.
const SNAPSHOT_DIR: &str = "snapshots";
/// Bytes copied at once.
const CHUNK: usize = 1 << 20;
/// Files may be merged away while their names are taken; then all is begun again.
const ATTEMPTS: u32 = 5;

impl Compactor {
    /// Makes a snapshot below `snapshots`; gives its name. Blocks.
    ///
    /// # Errors
    /// Of the file system; what was made is then removed.
    pub(crate) fn snapshot(&self) -> Result<String, Error> {
        let noise = self.catalog.new_path(FileKind::Block).0.0 as u64;
        let name = format!("{}-{noise:016x}", utc(self.clock.now_ms()));
        let dir = self.dir.join(SNAPSHOT_DIR).join(&name);
        let mut attempt = 1;
        loop {
            match self.copy_to(&dir) {
                Ok(()) => return Ok(name),
                Err(error) => {
                    remove_files(&*self.disk, &dir);
                    if error.kind() != io::ErrorKind::NotFound || attempt == ATTEMPTS {
                        return Err(Error::folder(&dir, &error));
                    }
                    attempt += 1;
                }
            }
        }
    }

    fn copy_to(&self, dir: &Path) -> io::Result<()> {
        let version = self.catalog.version();
        let (blocks, series) = (dir.join(BLOCK_DIR), dir.join(SERIES_DIR));
        for made in [&blocks, &series] {
            self.disk.create_dir_all(made)?;
        }
        for entry in &version.files {
            let name = entry.path.file_name().unwrap_or_default();
            link_or_copy(&*self.disk, &entry.path, &blocks.join(name))?;
        }
        let registry = version.registry;
        if registry.generation > 0 {
            let from = self.catalog.registry_path(registry.generation);
            let to = series.join(from.file_name().unwrap_or_default());
            copy(&*self.disk, &from, &to, registry.bytes)?;
        }
        self.disk.sync_dir(&blocks)?;
        self.disk.sync_dir(&series)?;
        // Its log begins anew.
        let version = Version { log_start: 0, ..(*version).clone() };
        Catalog::write_manifest(&*self.disk, dir, &version)
    }
}

fn link_or_copy(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    match disk.link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        // No second names here, or too many of them: a copy serves as well.
        Err(_) => copy(disk, from, to, u64::MAX),
        linked => linked,
    }
}

/// Copies the first `len` bytes.
fn copy(disk: &dyn Disk, from: &Path, to: &Path, len: u64) -> io::Result<()> {
    let (source, target) = (disk.open(from)?, disk.append(to)?);
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    while done < len {
        let wanted = usize::try_from(len - done).unwrap_or(CHUNK).min(CHUNK);
        match source.read_at(&mut buffer[..wanted], done)? {
            0 => break,
            read => {
                target.append(&buffer[..read])?;
                done += read as u64;
            }
        }
    }
    target.sync()
}

fn remove_files(disk: &dyn Disk, dir: &Path) {
    let folders: [PathBuf; 3] = [dir.to_owned(), dir.join(BLOCK_DIR), dir.join(SERIES_DIR)];
    for folder in &folders {
        for entry in disk.list(folder).unwrap_or_default().iter().filter(|entry| !entry.is_dir) {
            if let Err(error) = disk.remove(&folder.join(&entry.name)) {
                let path = folder.join(&entry.name);
                tracing::warn!(component = "tsdb", path = %path.display(), %error, "a file of a failed snapshot stays");
            }
        }
    }
}

/// `20171210T211224Z`.
fn utc(ms: i64) -> String {
    let (days, second) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) / 1000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a day since 1970: years begin in March here, so that leap days come last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let check = |ms: i64, want: &str| assert_eq!(utc(ms), want);
        check(0, "19700101T000000Z");
        check(1_512_940_344_000, "20171210T211224Z");
        check(1_709_164_800_000, "20240229T000000Z");
        check(1_735_689_599_999, "20241231T235959Z");
    }
}
