//! Tombstones: which files they mask, when those are written again, and when a tombstone is forgotten.

use std::sync::Arc;
use std::time::Duration;

use nave_base::Shutdown;
use nave_block::FileKind;
use nave_model::append::Tenant;
use nave_model::matcher::Matcher;
use nave_model::time::TimeRange;

use super::merge::{Input, Report};
use super::{Compactor, Extent};
use crate::catalog::{Entry, Tombstone, Version};
use crate::error::Error;

/// How long after a delete files are written again without being asked; deletes tend to come in bursts.
const RIPE: Duration = Duration::from_secs(3600);

/// Deletes that are not carried out yet.
const TOMBSTONES_MAX: usize = 1000;

/// The tombstones that mask a file.
pub(super) fn of<'a>(version: &'a Version, entry: &'a Entry) -> impl Iterator<Item = &'a Tombstone> + 'a {
    let meta = &entry.meta;
    version.tombstones.iter().filter(move |tombstone| {
        meta.seq.hi <= tombstone.seq
            && *tombstone.tenant.0 == *meta.tenant
            && tombstone.range.overlaps(&meta.range)
    })
}

/// What makes a tombstone different from others.
fn name(tombstone: &Tombstone) -> String {
    let Tombstone { tenant, matchers, range, seq } = tombstone;
    format!("{:?} {seq} {} {} {matchers:?}", tenant.0, range.min, range.max)
}

impl Compactor {
    /// Hides what `selectors` match in `range` of all flushes up to `seq`, at once and over a restart.
    ///
    /// # Errors
    /// [`Error::Tombstones`] when there are too many, or of the disk; nothing is hidden then.
    pub(crate) fn delete(
        &self,
        tenant: &Tenant,
        selectors: Vec<Vec<Matcher>>,
        range: TimeRange,
        seq: u64,
    ) -> Result<Arc<Version>, Error> {
        self.catalog.commit(|edit| {
            let known = edit.version().tombstones.len();
            if known + selectors.len() > TOMBSTONES_MAX {
                return edit.refuse(Error::Tombstones { limit: TOMBSTONES_MAX });
            }
            for matchers in selectors {
                edit.add_tombstone(Tombstone { tenant: tenant.clone(), matchers, range, seq });
            }
            // What memory holds of these flushes is not asked any more: the files are masked.
            edit.set_hot_seq(seq + 1);
        })
    }

    /// Whether the file should be written again because something in it was deleted.
    pub(super) fn hides(&self, version: &Version, entry: &Entry, extent: Extent) -> bool {
        of(version, entry).any(|tombstone| {
            (extent == Extent::Tombstones || self.is_ripe(tombstone)) && self.is_hidden_in(tombstone, entry)
        })
    }

    fn is_ripe(&self, tombstone: &Tombstone) -> bool {
        let now = self.clock.monotonic();
        let seen = *self.memory.lock().seen.entry(name(tombstone)).or_insert(now);
        now.saturating_sub(seen) >= RIPE
    }

    /// Whether the file has series that the tombstone hides; a file that cannot be read may have.
    fn is_hidden_in(&self, tombstone: &Tombstone, entry: &Entry) -> bool {
        let key = (entry.meta.id, name(tombstone));
        if self.memory.lock().clean.contains(&key) {
            return false;
        }
        let found = self.matches_any(&tombstone.matchers, entry);
        if !found {
            self.memory.lock().clean.insert(key);
        }
        found
    }

    fn matches_any(&self, matchers: &[Matcher], entry: &Entry) -> bool {
        let Ok(block) = entry.block() else { return true };
        if entry.meta.kind == FileKind::Part {
            let matches = |id: &u32| {
                let labels = (self.hooks.labels_of)(*id);
                labels.is_some_and(|labels| Matcher::all_match(matchers, &labels))
            };
            return block.ids().map_or(true, |ids| ids.iter().any(matches));
        }
        let all: Vec<_> = matchers.iter().collect();
        let found = block.index().map(|index| nave_block::select(index, &all, &Shutdown::new()));
        found.is_none_or(|found| found.map_or(true, |found| !found.is_empty()))
    }

    /// The tombstones of the inputs were applied: the new file has nothing that they hide.
    pub(super) fn note_clean(&self, inputs: &[Input], report: &Report) {
        let Some(meta) = &report.meta else { return };
        let mut memory = self.memory.lock();
        for tombstone in inputs.iter().flat_map(|input| &input.tombstones) {
            memory.clean.insert((meta.id, name(tombstone)));
        }
    }

    /// Forgets tombstones that hide nothing any more.
    pub(super) fn forget_tombstones(&self) -> Result<(), Error> {
        let version = self.catalog.version();
        let is_needed = |tombstone: &Tombstone| {
            let masks = |entry: &Entry| of(&version, entry).any(|other| name(other) == name(tombstone));
            version.files.iter().any(|entry| masks(entry) && self.is_hidden_in(tombstone, entry))
        };
        let gone: Vec<_> = version.tombstones.iter().filter(|one| !is_needed(one)).map(name).collect();
        if !gone.is_empty() {
            self.catalog.commit(|edit| {
                let kept = edit.version().tombstones.iter().filter(|one| !gone.contains(&name(one)));
                let kept: Vec<_> = kept.cloned().collect();
                edit.set_tombstones(kept);
            })?;
        }
        self.forget_files();
        Ok(())
    }

    /// Drops what is remembered of files and tombstones that are gone.
    fn forget_files(&self) {
        let version = self.catalog.version();
        let names: Vec<_> = version.tombstones.iter().map(name).collect();
        let exists = |id| version.files.iter().any(|entry| entry.meta.id == id);
        let mut memory = self.memory.lock();
        memory.clean.retain(|(id, tombstone)| names.contains(tombstone) && exists(*id));
        memory.seen.retain(|tombstone, _| names.contains(tombstone));
        memory.ruled.retain(|id, _| exists(*id));
        memory.unreadable.retain(|id| exists(*id));
        memory.failed.retain(|id, _| exists(*id));
    }
}
