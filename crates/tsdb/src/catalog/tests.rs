//! Manifests come back, crashes leave the old or the new, pins hold versions.

use nave_base::clock::FakeClock;
use nave_base::disk::{Disk, MemoryDisk};
use nave_model::append::Tenant;
use nave_model::matcher::{MatchOp, Matcher};
use nave_model::time::TimeRange;

use super::*;

const DIR: &str = "/data";

fn open(disk: &MemoryDisk) -> Result<(Catalog, bool), Error> {
    let disk: SharedDisk = Arc::new(disk.clone());
    Catalog::open(
        disk,
        Path::new(DIR),
        FakeClock::at(1_700_000_000_000),
        Random::from_seed(7),
        PageCache::none(),
    )
}

/// A file of no content, added by a commit.
fn add(catalog: &Catalog, lo: u64, start_ms: i64) -> Arc<Version> {
    let (id, path) = catalog.new_path(FileKind::Part);
    let file = catalog.disk.append(&path).unwrap();
    file.append(b"part").unwrap();
    file.sync().unwrap();
    catalog.disk.sync_dir(&Path::new(DIR).join(BLOCK_DIR)).unwrap();
    let range = TimeRange { min: Timestamp(start_ms), max: Timestamp(start_ms + 5) };
    let (seq, tenant) = (SeqRange { lo, hi: lo }, "default".to_owned());
    let meta =
        FileMeta { id, kind: FileKind::Part, tenant, seq, range, series: 3, samples: 9, histograms: 2 };
    let window = Window::aligned(start_ms, WINDOW_MS);
    let entry = catalog.entry(meta, window, lo == 2).unwrap();
    let registry = RegistryLength { generation: 1, bytes: 100 * lo };
    catalog
        .commit(|edit| {
            edit.add(entry);
            edit.flushed(lo, lo + 10, registry, 50);
        })
        .unwrap()
}

fn shown(version: &Version) -> String {
    let files = version.files.iter().map(|entry| {
        let Entry { meta, window, path, bytes, cold, .. } = &**entry;
        format!("{meta:?} {window:?} {path:?} {bytes} {cold}")
    });
    let files: Vec<_> = files.collect();
    let Version { tombstones, next_seq, log_start, registry, next_id, floor, .. } = version;
    format!("{files:#?} {tombstones:?} {next_seq} {log_start} {registry:?} {next_id} {floor}")
}

#[test]
fn a_manifest_comes_back() {
    let disk = MemoryDisk::default();
    let (catalog, found) = open(&disk).unwrap();
    assert!(!found);
    add(&catalog, 2, WINDOW_MS * 3);
    add(&catalog, 1, -WINDOW_MS);
    let matchers = vec![Matcher::new(MatchOp::NotRegex, "job", "a|b").unwrap(), Matcher::equal("x", "")];
    let range = TimeRange { min: Timestamp(5), max: Timestamp::MAX };
    let version = catalog
        .commit(|edit| {
            edit.set_floor(-4);
            edit.add_tombstone(Tombstone { tenant: Tenant::default(), matchers, range, seq: 2 });
        })
        .unwrap();
    assert_eq!(version.files.iter().map(|entry| entry.meta.seq.lo).collect::<Vec<_>>(), [1, 2]);
    let (again, found) = open(&disk.after_power_cut(0)).unwrap();
    assert!(found);
    assert_eq!(shown(&again.version()), shown(&version));
    assert_eq!(again.version().hot_seq, 3, "memory is empty after a start");
    assert_eq!(again.version().readable(&Tenant::default(), range).count(), 1, "one file is older");
}

#[test]
fn every_damaged_byte_is_named() {
    let disk = MemoryDisk::default();
    let (catalog, _) = open(&disk).unwrap();
    add(&catalog, 1, 0);
    let path = Path::new(DIR).join(MANIFEST);
    let bytes = disk.open(&path).unwrap().read_from(0).unwrap();
    for at in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[at] ^= 0x10;
        let (shared, cache): (SharedDisk, _) = (Arc::new(disk.clone()), PageCache::none());
        let open = |meta, window, bytes, cold| {
            Entry::open(&shared, &cache, (meta, window, PathBuf::new()), bytes, cold)
        };
        assert!(manifest::decode(&broken, &open).is_err(), "byte {at}");
        assert!(manifest::decode(&bytes[..at], &open).is_err(), "cut at {at}");
    }
    disk.remove(&path).unwrap();
    let error = open(&disk).unwrap_err().to_string();
    assert!(error.contains("it is missing, but there are files as block/"), "{error}");
}

#[test]
fn what_no_manifest_names_is_removed() {
    let disk = MemoryDisk::default();
    let (catalog, _) = open(&disk).unwrap();
    let version = add(&catalog, 1, 0);
    let kept = version.files[0].path.clone();
    for garbage in ["/data/block/x.part", "/data/series/0000000009"] {
        disk.append(Path::new(garbage)).unwrap().append(b"x").unwrap();
    }
    let (again, _) = open(&disk).unwrap();
    let names: Vec<_> = disk.list(Path::new("/data/block")).unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, [kept.file_name().unwrap().to_str().unwrap()]);
    assert!(disk.list(Path::new("/data/series")).unwrap().is_empty());
    again.commit(|edit| edit.remove(version.files[0].meta.id)).unwrap();
    assert!(disk.open(&kept).is_err());
    let error = again.commit(|edit| edit.remove(version.files[0].meta.id)).unwrap_err();
    assert!(matches!(error, Error::Gone { .. }), "{error}");
}

#[tokio::test]
async fn pins_hold_versions() {
    let disk = MemoryDisk::default();
    let (catalog, _) = open(&disk).unwrap();
    let old = catalog.pin();
    let version = add(&catalog, 1, 0);
    let new = catalog.pin();
    assert_eq!((catalog.oldest_pin(), version.number, new.hot_seq), (Some(0), 1, 1));
    assert!(new.is_hot(&new.files[0]));
    let hot = catalog.raise_hot_seq(2);
    assert!(!hot.is_hot(&hot.files[0]) && hot.number == 2);
    let wait = catalog.unpinned_before(1);
    tokio::pin!(wait);
    assert!(futures_util::poll!(wait.as_mut()).is_pending());
    drop(old);
    wait.await;
    assert_eq!(catalog.oldest_pin(), Some(1));
}

#[test]
fn windows_are_aligned() {
    let disk = MemoryDisk::default();
    let (catalog, _) = open(&disk).unwrap();
    let version = catalog.version();
    let check = |t, start| assert_eq!(Window::of(t, "default", &version).start_ms, start, "{t}");
    check(0, 0);
    check(WINDOW_MS - 1, 0);
    check(-1, -WINDOW_MS);
    assert!(Window::of(i64::MIN, "", &version).contains(i64::MIN));
    assert!(Window::of(i64::MAX, "", &version).contains(i64::MAX));
}
