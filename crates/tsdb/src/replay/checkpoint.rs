//! Checkpoints, as releases before the registry wrote them: what the segments that they dropped had named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::SharedDisk;
use nave_wal::snapshot;

use super::{Replayed, log, note_damage};
use crate::error::Error;
use crate::head::Head;

pub(crate) fn checkpoint_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("checkpoint-{segment:08}"))
}

/// Numbers of the checkpoints in `dir`, newest first, and names of unfinished ones.
pub(crate) fn checkpoints(disk: &SharedDisk, dir: &Path) -> Result<(Vec<u64>, Vec<PathBuf>), Error> {
    let (mut whole, mut unfinished) = (Vec::new(), Vec::new());
    for entry in disk.list(dir).map_err(|error| Error::folder(dir, &error))? {
        let Some(number) = entry.name.strip_prefix("checkpoint-") else { continue };
        match number.parse::<u64>() {
            Ok(number) => whole.push(number),
            Err(_) => unfinished.push(dir.join(&entry.name)),
        }
    }
    whole.sort_unstable_by(|a, b| b.cmp(a));
    Ok((whole, unfinished))
}

/// Reads the newest whole one.
pub(super) fn read(
    head: &Arc<Head>,
    disk: &SharedDisk,
    dir: &Path,
    found: &mut Replayed,
) -> Result<(), Error> {
    for number in checkpoints(disk, dir)?.0 {
        let path = checkpoint_path(dir, number);
        let mut unreadable = Vec::new();
        let whole = snapshot::read::<Error>(disk, &path, number, |record| {
            unreadable.extend(log::name(head, record).err());
            Ok(())
        })?;
        unreadable.into_iter().for_each(|what| note_damage(head, found, what));
        if whole {
            found.checkpoint = Some(number);
            return Ok(());
        }
        note_damage(head, found, format!("checkpoint {} is damaged", path.display()));
    }
    Ok(())
}
