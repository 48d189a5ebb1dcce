//! Series, keys and metadata of the registry, put into the tables.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use nave_base::disk::SharedDisk;
use nave_model::append::Tenant;
use nave_model::label::Labels;
use parking_lot::Mutex;

use crate::catalog::Version;
use crate::error::Error;
use crate::exemplar::Kept;
use crate::head::Head;
use crate::record;
use crate::registry::{self, Found, Frames};
use crate::series::Series;

/// Reads the registry into `head`.
pub(super) fn load(
    head: &Arc<Head>,
    disk: &SharedDisk,
    dir: &Path,
    version: &Version,
    threads: usize,
) -> Result<Found, Error> {
    let flushed = u32::try_from(version.next_seq - 1).unwrap_or(u32::MAX);
    let loader = Loader { head, flushed, exemplars: Mutex::default(), first: OnceLock::new() };
    let found = registry::load(disk, dir, version.registry, threads, &loader)?;
    let mut exemplars = loader.exemplars.into_inner();
    // Frames come in any order.
    exemplars.sort_by_key(|kept| kept.t);
    exemplars.into_iter().for_each(|kept| head.exemplars.insert(kept));
    Ok(found)
}

struct Loader<'a> {
    head: &'a Arc<Head>,
    /// The last flush: its part may name any series.
    flushed: u32,
    exemplars: Mutex<Vec<Arc<Kept>>>,
    /// The tenant that came first and its partition: mostly there is no other.
    first: OnceLock<(Tenant, u16)>,
}

impl Loader<'_> {
    fn partition(&self, tenant: &Tenant) -> Option<u16> {
        if let Some((first, number)) = self.first.get()
            && first == tenant
        {
            return Some(*number);
        }
        let number = self.head.partition(tenant).ok()?.number;
        self.first.get_or_init(|| (tenant.clone(), number));
        Some(number)
    }
}

impl Frames for Loader<'_> {
    fn expect(&self, series: usize) {
        self.head.raw.reserve(series);
    }

    fn series(&self, tenant: &Tenant, id: u32, labels: Labels) {
        let Some(partition) = self.partition(tenant) else { return };
        // Mostly the manifest knows; threads that write one number all the time wait for each other.
        if id >= self.head.next_id.load(Ordering::Relaxed) {
            self.head.next_id.fetch_max(id.saturating_add(1), Ordering::Relaxed);
        }
        let series = Series::new(id, partition, labels);
        series.registered.store(true, Ordering::Relaxed);
        series.in_registry.store(true, Ordering::Relaxed);
        series.state.lock().note_written(self.flushed);
        if self.head.table.insert_new(series) {
            self.head.series_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn key(&self, key: u128, id: u32) {
        if let Some(series) = self.head.table.get(id) {
            self.head.raw.insert(key, series);
        }
    }

    fn metadata(&self, payload: &[u8]) -> bool {
        let Some((tenant, all)) = record::metadata(payload) else { return false };
        let Ok(partition) = self.head.partition(&tenant) else { return true };
        let mut table = partition.metadata.lock();
        all.into_iter().for_each(|(family, metadata)| table.insert(family, metadata));
        true
    }

    fn exemplars(&self, payload: &[u8]) -> bool {
        let Some(all) = record::exemplars(payload) else { return false };
        self.exemplars.lock().extend(super::kept(self.head, all));
        true
    }
}
