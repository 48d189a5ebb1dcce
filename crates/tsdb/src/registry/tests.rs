//! What was named comes back, cut tails are cut, damage is named.

use nave_base::disk::{Disk, MemoryDisk};

use super::*;

const DIR: &str = "/data";

/// Everything that was read, as text.
#[derive(Default)]
struct Kept(parking_lot::Mutex<Vec<String>>);

impl Kept {
    fn add(&self, what: String) -> bool {
        self.0.lock().push(what);
        true
    }
}

impl Frames for Kept {
    fn expect(&self, series: usize) {
        self.add(format!("expect {series}"));
    }
    fn series(&self, tenant: &Tenant, id: u32, labels: Labels) {
        self.add(format!("series {} {id} {labels}", tenant.0));
    }
    fn key(&self, key: u128, id: u32) {
        self.add(format!("key {key} {id}"));
    }
    fn metadata(&self, payload: &[u8]) -> bool {
        self.add(format!("metadata {}", record::metadata(payload).map_or(0, |found| found.1.len())))
    }
    fn exemplars(&self, payload: &[u8]) -> bool {
        self.add(format!("exemplars {payload:?}"))
    }
}

fn write(writer: &mut Writer, ids: std::ops::Range<u32>) {
    for id in ids {
        let labels = Labels::from_pairs([("__name__", "up"), ("instance", &format!("host{id}"))]).unwrap();
        let tenant = Tenant(["a", "b"][(id / 4 % 2) as usize].into());
        writer.series(&tenant, id, &labels).unwrap();
        writer.key(u128::from(id) << 90 | 5, id).unwrap();
    }
}

fn read(disk: &MemoryDisk, length: RegistryLength) -> (Vec<String>, Vec<String>) {
    let kept = Kept::default();
    let shared: SharedDisk = Arc::new(disk.clone());
    let found = load(&shared, Path::new(DIR), length, 3, &kept).unwrap();
    let mut all = kept.0.into_inner();
    all.sort();
    (all, found.damages)
}

#[test]
fn series_keys_and_metadata_come_back() {
    let disk = MemoryDisk::default();
    let shared: SharedDisk = Arc::new(disk.clone());
    let mut writer = Writer::append(&shared, Path::new(DIR), RegistryLength::default()).unwrap();
    write(&mut writer, 1..9);
    let first = writer.finish().unwrap();
    // A flush that did not happen leaves bytes that do not count.
    let mut lost = Writer::append(&shared, Path::new(DIR), first).unwrap();
    write(&mut lost, 50..90);
    lost.finish().unwrap();
    let mut writer = Writer::append(&shared, Path::new(DIR), first).unwrap();
    write(&mut writer, 9..12);
    writer.metadata(&metadata_payload(&Tenant::default(), [])).unwrap();
    let second = writer.finish().unwrap();
    let (all, damages) = read(&disk.after_power_cut(0), second);
    assert_eq!((all.len(), damages.len()), (1 + 11 + 11 + 1, 0));
    assert!(all.contains(&"series a 11 {__name__=\"up\", instance=\"host11\"}".to_owned()), "{all:?}");
    assert!(all.contains(&"expect 11".to_owned()));
    assert_eq!(read(&disk, first).0.len(), 1 + 8 + 8);
    assert_eq!(read(&disk, RegistryLength::default()).0.len(), 0);
}

#[test]
fn every_damaged_byte_is_named() {
    let disk = MemoryDisk::default();
    let shared: SharedDisk = Arc::new(disk.clone());
    let mut writer = Writer::append(&shared, Path::new(DIR), RegistryLength::default()).unwrap();
    write(&mut writer, 1..9);
    let length = writer.finish().unwrap();
    let path = registry_path(Path::new(DIR), 1);
    let bytes = disk.open(&path).unwrap().read_from(0).unwrap();
    for at in 0..bytes.len() {
        let broken = MemoryDisk::default();
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x41;
        broken.append(&path).unwrap().append(&flipped).unwrap();
        let shared: SharedDisk = Arc::new(broken);
        let kept = Kept::default();
        let found = load(&shared, Path::new(DIR), length, 1, &kept);
        assert!(found.is_err() || !found.unwrap().damages.is_empty(), "byte {at}");
    }
}
