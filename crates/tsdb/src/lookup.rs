//! Finding known series without decoding labels: by raw label bytes, and by number.
//!
//! Both tables are split into parts with locks of their own, so that cores do not wait for each other.
//! The key of raw bytes is a 128-bit SipHash-1-3 with the secret of the data folder: two byte strings are taken
//! for the same series when their hashes are equal, so nobody may be able to make them equal. Keys outlive the
//! process, so nothing goes into them that means something else after a restart.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use nave_base::disk::SharedDisk;
use nave_model::append::{Contradiction, LabelFormat, Principal};
use parking_lot::RwLock;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::series::Series;

const SHARDS: usize = 64;
/// Two numbers and their CRC-32C.
const SECRET_FILE: &str = "secret";

/// The secret of a data folder.
#[derive(Clone, Copy)]
pub(crate) struct Secret((u64, u64));

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Two numbers from the operating system's random source, by way of the standard library.
    pub(crate) fn random() -> Self {
        let number = || RandomState::new().build_hasher().finish();
        Self((number(), number()))
    }

    /// The secret in `dir`, made when there is none; only this user may read it.
    pub(crate) fn open(disk: &SharedDisk, dir: &Path) -> io::Result<Self> {
        let path = dir.join(SECRET_FILE);
        match disk.open(&path) {
            Ok(file) => {
                let bytes = file.read_from(0)?;
                if let Some((a, b)) = take(&bytes) {
                    return Ok(Self((a, b)));
                }
                tracing::warn!(
                    component = "tsdb",
                    "the file of the secret is damaged: every series is looked up anew"
                );
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let secret = Self::random();
        let mut bytes = [secret.0.0.to_le_bytes(), secret.0.1.to_le_bytes()].concat();
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        let fresh = path.with_extension("tmp");
        let file = disk.append(&fresh)?;
        disk.restrict(&fresh)?;
        file.truncate(0)?;
        file.append(&bytes)?;
        file.sync()?;
        disk.rename(&fresh, &path)?;
        disk.sync_dir(dir)?;
        Ok(secret)
    }
}

fn take(bytes: &[u8]) -> Option<(u64, u64)> {
    let (bytes, crc) = bytes.split_at_checked(16).filter(|(_, crc)| crc.len() == 4)?;
    let number = |at: usize| bytes[at..at + 8].try_into().ok().map(u64::from_le_bytes);
    (crc32c::crc32c(bytes).to_le_bytes() == crc).then_some((number(0)?, number(8)?))
}

/// Raw label bytes of a sender to the series that they mean. A cache: it may forget.
#[derive(Debug)]
pub(crate) struct RawTable {
    secret: (u64, u64),
    shards: Vec<RwLock<HashMap<u128, Arc<Series>, AlreadyHashed>>>,
    shard_max: usize,
}

impl RawTable {
    /// `entries_max` bounds a sender who writes one series in ever new ways.
    pub(crate) fn new(secret: Secret, entries_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { secret: secret.0, shards, shard_max: entries_max / SHARDS + 1 }
    }

    /// What tells senders apart whose bytes mean different series: all that stamping looks at.
    pub(crate) fn sender(&self, principal: &Principal) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        let mut text = |text: &str| {
            hasher.write_u64(text.len() as u64);
            hasher.write(text.as_bytes());
        };
        text(&principal.tenant.0);
        for (name, value) in &principal.stamp {
            text(name);
            text(value);
        }
        hasher.write_u8(u8::from(principal.contradiction == Contradiction::Refuse));
        hasher.finish()
    }

    /// The key of raw label bytes of a [`RawTable::sender`].
    pub(crate) fn key(&self, sender: u64, format: LabelFormat, bytes: &[u8]) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write_u64(sender);
        hasher.write_u8(format.id);
        hasher.write(bytes);
        hasher.finish128().as_u128()
    }

    /// Makes room for `count` keys.
    pub(crate) fn reserve(&self, count: usize) {
        self.shards.iter().for_each(|shard| shard.write().reserve(count / SHARDS));
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

    /// Calls `each` for every key, a shard locked at a time.
    pub(crate) fn for_each(&self, mut each: impl FnMut(u128, &Series)) {
        for shard in &self.shards {
            shard.read().iter().for_each(|(key, series)| each(*key, series));
        }
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

/// Numbers under one lock.
const GROUP: usize = 1 << 10;
/// Groups that are made together.
const GROUPS: usize = 1 << 6;
const PAGE_IDS: usize = GROUP * GROUPS;
const PAGES: usize = (u32::MAX as usize + 1) / PAGE_IDS;

/// Series by number. Numbers are given away one after the other, so a place for each costs less than a hash table, and
/// groups whose series are all gone give their memory back.
#[derive(Debug)]
pub(crate) struct SeriesTable {
    pages: Box<[OnceLock<Page>]>,
}

type Page = Box<[RwLock<Group>]>;

#[derive(Debug, Default)]
struct Group {
    places: Vec<Option<Arc<Series>>>,
    living: usize,
}

impl SeriesTable {
    pub(crate) fn new() -> Self {
        Self { pages: (0..PAGES).map(|_| OnceLock::new()).collect() }
    }

    fn group(&self, id: u32) -> Option<&RwLock<Group>> {
        let groups = self.pages[id as usize / PAGE_IDS].get()?;
        Some(&groups[id as usize / GROUP % GROUPS])
    }

    pub(crate) fn get(&self, id: u32) -> Option<Arc<Series>> {
        self.group(id)?.read().places.get(id as usize % GROUP)?.clone()
    }

    pub(crate) fn insert(&self, series: Arc<Series>) {
        self.insert_new(series);
    }

    /// As [`SeriesTable::insert`]; gives whether the number was free.
    pub(crate) fn insert_new(&self, series: Arc<Series>) -> bool {
        let id = series.id as usize;
        let page = self.pages[id / PAGE_IDS].get_or_init(|| (0..GROUPS).map(|_| RwLock::default()).collect());
        let mut group = page[id / GROUP % GROUPS].write();
        if group.places.is_empty() {
            group.places = vec![None; GROUP];
        }
        let is_new = group.places[id % GROUP].replace(series).is_none();
        group.living += usize::from(is_new);
        is_new
    }

    pub(crate) fn remove(&self, id: u32) {
        let Some(group) = self.group(id) else { return };
        let mut group = group.write();
        let gone = group.places.get_mut(id as usize % GROUP).and_then(Option::take);
        if gone.is_some() {
            group.living -= 1;
            if group.living == 0 {
                group.places = Vec::new();
            }
        }
    }

    /// Calls `each` for every series, by number; a group at a time is copied, so that no lock is held meanwhile.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Arc<Series>)) {
        for group in self.pages.iter().filter_map(OnceLock::get).flatten() {
            let all: Vec<_> = group.read().places.iter().flatten().cloned().collect();
            all.iter().for_each(&mut each);
        }
    }
}

/// A number that is never 0 and differs from life to life of the process.
pub(crate) fn new_generation() -> u32 {
    (RandomState::new().hash_one("generation") as u32).max(1)
}

#[cfg(test)]
mod tests {
    use nave_base::disk::MemoryDisk;

    use super::*;

    #[test]
    fn keys_tell_senders_formats_and_bytes_apart() {
        let secret = Secret::random();
        let table = RawTable::new(secret, 100);
        let (a, mut b) = (Principal::anonymous("a"), Principal::anonymous("b"));
        assert_eq!(table.sender(&a), table.sender(&b), "names of senders change no labels");
        b.stamp = vec![("cluster".to_owned(), "b".to_owned())];
        let (a, b) = (table.sender(&a), table.sender(&b));
        let format = |id| LabelFormat { id, ..LabelFormat::CANONICAL };
        let key = table.key(a, format(0), b"x");
        assert_eq!(key, RawTable::new(secret, 100).key(a, format(0), b"x"));
        let others = [
            table.key(b, format(0), b"x"),
            table.key(a, format(1), b"x"),
            table.key(a, format(0), b"y"),
            RawTable::new(Secret::random(), 100).key(a, format(0), b"x"),
        ];
        assert!(!others.contains(&key));
    }

    #[test]
    fn series_by_number() {
        let table = SeriesTable::new();
        let make = |id| Series::new(id, 0, nave_model::label::Labels::empty());
        let ids = [0, 1, 1023, 1024, 65_535, 65_536, 1 << 31, u32::MAX];
        for id in ids {
            assert!(table.get(id).is_none() && table.insert_new(make(id)) && !table.insert_new(make(id)));
            assert_eq!(table.get(id).unwrap().id, id);
        }
        let shown = || {
            let mut all = Vec::new();
            table.for_each(|series| all.push(series.id));
            all
        };
        assert_eq!(shown(), ids);
        for id in [1, 1023, 5, 1 << 30] {
            table.remove(id);
            table.remove(id);
        }
        assert_eq!(shown(), [0, 1024, 65_535, 65_536, 1 << 31, u32::MAX]);
        table.remove(0);
        assert!(table.insert_new(make(7)), "a group that was given back is made again");
    }

    #[test]
    fn the_secret_stays() {
        let disk: SharedDisk = Arc::new(MemoryDisk::default());
        let first = Secret::open(&disk, Path::new("/data")).unwrap();
        assert_eq!(Secret::open(&disk, Path::new("/data")).unwrap().0, first.0);
        let file = disk.append(Path::new("/data/secret")).unwrap();
        file.append(b"x").unwrap();
        assert_ne!(Secret::open(&disk, Path::new("/data")).unwrap().0, first.0, "damage makes a new one");
    }
}
