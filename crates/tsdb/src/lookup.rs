//! Finding known series without decoding labels: by raw label bytes, and by number.
//!
//! Both tables are split into shards with locks of their own, so that cores do not wait for each other.
//! The key of raw bytes is a 128-bit SipHash-1-3 with a secret of this process: two byte strings are taken
//! for the same series when their hashes are equal, so nobody may be able to make them equal.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use nave_model::append::{LabelFormat, Principal};
use parking_lot::RwLock;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::series::Series;

const SHARDS: usize = 64;

/// Raw label bytes of a sender to the series that they mean. A cache: it may forget.
#[derive(Debug)]
pub(crate) struct RawTable {
    secret: (u64, u64),
    shards: Vec<RwLock<HashMap<u128, Arc<Series>, AlreadyHashed>>>,
    shard_max: usize,
}

impl RawTable {
    /// `entries_max` bounds a sender who writes one series in ever new ways.
    pub(crate) fn new(entries_max: usize) -> Self {
        // Two numbers from the operating system's random source, by way of the standard library.
        let number = || RandomState::new().build_hasher().finish();
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { secret: (number(), number()), shards, shard_max: entries_max / SHARDS + 1 }
    }

    pub(crate) fn key(&self, principal: &Principal, format: LabelFormat, bytes: &[u8]) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write_u32(principal.id);
        hasher.write_u8(format.id);
        hasher.write(bytes);
        hasher.finish128().as_u128()
    }

    pub(crate) fn get(&self, key: u128) -> Option<Arc<Series>> {
        self.shard(key).read().get(&key).cloned()
    }

    pub(crate) fn insert(&self, key: u128, series: Arc<Series>) {
        let mut shard = self.shard(key).write();
        if shard.len() >= self.shard_max {
            shard.clear();
        }
        shard.insert(key, series);
    }

    /// Forgets removed series.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&Series) -> bool) {
        for shard in &self.shards {
            shard.write().retain(|_, series| keep(series));
        }
    }

    fn shard(&self, key: u128) -> &RwLock<HashMap<u128, Arc<Series>, AlreadyHashed>> {
        &self.shards[(key >> 64) as usize % SHARDS]
    }
}

/// For keys that are hashes already.
#[derive(Debug, Clone, Default)]
pub(crate) struct AlreadyHashed;

#[derive(Debug, Default)]
pub(crate) struct Passed(u64);

impl BuildHasher for AlreadyHashed {
    type Hasher = Passed;
    fn build_hasher(&self) -> Passed {
        Passed(0)
    }
}

impl Hasher for Passed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

/// Series by number.
#[derive(Debug)]
pub(crate) struct SeriesTable {
    shards: Vec<RwLock<HashMap<u32, Arc<Series>, FixedState>>>,
}

impl SeriesTable {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    pub(crate) fn get(&self, id: u32) -> Option<Arc<Series>> {
        self.shard(id).read().get(&id).cloned()
    }

    pub(crate) fn insert(&self, series: Arc<Series>) {
        self.shard(series.id).write().insert(series.id, series);
    }

    pub(crate) fn remove(&self, id: u32) {
        self.shard(id).write().remove(&id);
    }

    /// Calls `each` for every series; a shard at a time is copied, so that no lock is held meanwhile.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Arc<Series>)) {
        for shard in &self.shards {
            let all: Vec<_> = shard.read().values().cloned().collect();
            all.iter().for_each(&mut each);
        }
    }

    fn shard(&self, id: u32) -> &RwLock<HashMap<u32, Arc<Series>, FixedState>> {
        &self.shards[id as usize % SHARDS]
    }
}

/// A number that is never 0 and differs from life to life of the process.
pub(crate) fn new_generation() -> u32 {
    (RandomState::new().hash_one("generation") as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_principals_formats_and_bytes_apart() {
        let table = RawTable::new(100);
        let (a, mut b) = (Principal::anonymous("a"), Principal::anonymous("b"));
        b.id = 1;
        let format = |id| LabelFormat { id, ..LabelFormat::CANONICAL };
        let key = table.key(&a, format(0), b"x");
        assert_eq!(key, table.key(&a, format(0), b"x"));
        let others = [
            table.key(&b, format(0), b"x"),
            table.key(&a, format(1), b"x"),
            table.key(&a, format(0), b"y"),
            RawTable::new(100).key(&a, format(0), b"x"),
        ];
        assert!(!others.contains(&key));
    }
}
