//! The disk keeps what it owes, loses only what it may, and does it again for the same seed.

use std::collections::BTreeSet;

use super::*;
use crate::clock::Clock;

const DIR: &str = "/d";

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn disk(seed: u64) -> FaultDisk {
    let disk = FaultDisk::new(seed, None);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk
}

fn read(disk: &FaultDisk, name: &str) -> Option<Vec<u8>> {
    Some(disk.open(&path(name)).ok()?.read_from(0).unwrap())
}

fn write(disk: &FaultDisk, name: &str, bytes: &[u8]) {
    disk.append(&path(name)).unwrap().append(bytes).unwrap();
}

/// What several seeds leave of a file that was half synced.
fn outcomes(make: impl Fn(&FaultDisk)) -> BTreeSet<Option<Vec<u8>>> {
    let one = |seed| {
        let disk = disk(seed);
        make(&disk);
        read(&disk.after_power_cut(), "log")
    };
    (0..200).map(one).collect()
}

#[test]
fn what_was_synced_stays_and_the_rest_may_be_anything() {
    let all = outcomes(|disk| {
        write(disk, "log", b"kept");
        disk.open(&path("log")).unwrap().sync().unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        write(disk, "log", b"more");
    });
    assert!(all.iter().flatten().all(|bytes| bytes.starts_with(b"kept") && bytes.len() <= 8));
    for expected in [&b"kept"[..], b"keptm", b"keptmore", b"kept\0\0\0\0"] {
        assert!(all.contains(&Some(expected.to_vec())), "{expected:?}");
    }
    assert!(!all.contains(&None));
}

#[test]
fn a_name_that_was_not_synced_may_go() {
    let all = outcomes(|disk| {
        write(disk, "log", b"old");
        disk.open(&path("log")).unwrap().sync().unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        write(disk, "new", b"new");
        disk.open(&path("new")).unwrap().sync().unwrap();
        disk.rename(&path("new"), &path("log")).unwrap();
        assert_eq!(read(disk, "log").unwrap(), b"new");
    });
    assert_eq!(all, BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]));
    let all = outcomes(|disk| {
        write(disk, "log", b"");
        disk.remove(&path("log")).unwrap();
    });
    assert_eq!(all, BTreeSet::from([None, Some(Vec::new())]), "the removal may come to disk later");
}

#[test]
fn a_failed_sync_loses_what_it_covered_although_later_ones_succeed() {
    let all = outcomes(|disk| {
        let file = disk.append(&path("log")).unwrap();
        file.append(b"lost").unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        disk.set_faults(Faults { syncs: 1000, ..Faults::default() });
        file.sync().unwrap_err();
        disk.set_faults(Faults::default());
        file.append(b"kept").unwrap();
        file.sync().unwrap();
        assert_eq!(read(disk, "log").unwrap(), b"lostkept");
    });
    assert!(all.iter().flatten().all(|bytes| bytes.ends_with(b"kept")));
    assert!(all.contains(&Some(b"\0\0\0\0kept".to_vec())));
}

#[test]
fn the_power_goes_amid_any_operation() {
    for after in 0..5 {
        let mut lengths = BTreeSet::new();
        for seed in 0..40 {
            let disk = disk(seed);
            disk.cut_power_after(Some(after));
            let work = || -> io::Result<()> {
                let file = disk.append(&path("log"))?;
                file.append(b"0123456789")?;
                file.sync()?;
                disk.sync_dir(Path::new(DIR))
            };
            assert_eq!(work().is_err(), after < 4);
            assert_eq!(disk.is_down(), after < 4);
            let incidents = disk.incidents();
            assert!(incidents.iter().all(|incident| matches!(incident.what, What::PowerCut(_))));
            lengths.insert(read(&disk.after_power_cut(), "log").map(|bytes| bytes.len()));
            assert!(disk.open(&path("log")).is_err(), "nothing happens on a disk without power");
        }
        assert_eq!(lengths == BTreeSet::from([Some(10)]), after == 4, "after {after}: {lengths:?}");
    }
}

#[test]
fn a_kill_keeps_everything_written_and_durability_as_it_was() {
    let old = disk(1);
    write(&old, "log", b"unsynced");
    old.link(&path("log"), &path("second")).unwrap();
    let disk = old.after_kill();
    assert!(old.is_down());
    assert_eq!(read(&disk, "log").unwrap(), b"unsynced");
    write(&disk, "second", b"!");
    assert_eq!(read(&disk, "log").unwrap(), b"unsynced!", "two names of one file");
    assert_eq!(disk.used(), 9);
    let lost = (0..20).any(|_| read(&disk.after_kill().after_power_cut(), "log").is_none());
    assert!(lost || read(&disk.after_power_cut(), "log").is_none());
}

#[test]
fn faults_come_at_their_rate_and_are_told() {
    let clock = FakeClock::at(0);
    let disk = FaultDisk::new(3, Some(clock.clone()));
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let file = disk.append(&path("log")).unwrap();
    file.append(&[0; 100]).unwrap();
    disk.set_faults(Faults { flips: 500, slow: 100, slow_ms_max: 50, reads: 100, ..Faults::default() });
    let mut buffer = [0; 100];
    let mut flipped = 0;
    for _ in 0..1000 {
        if file.read_at(&mut buffer, 0).is_ok() {
            flipped += buffer.iter().map(|byte| byte.count_ones()).sum::<u32>();
        }
    }
    let count = |is: fn(&What) -> bool| disk.incidents().iter().filter(|i| is(&i.what)).count();
    assert_eq!(count(|what| matches!(what, What::FlippedRead { .. })), flipped as usize);
    assert!((350..550).contains(&flipped), "{flipped}");
    assert!((50..150).contains(&count(|what| matches!(what, What::Failed(_)))));
    assert!(clock.now_ms() > 1000);
    disk.set_faults(Faults::default());
    let rotted = disk.rot(|path| path.ends_with("log")).unwrap();
    let ones = || read(&disk, "log").unwrap().iter().map(|byte| byte.count_ones()).sum::<u32>();
    assert_eq!(ones(), 1);
    let What::Rotted { offset, mask } = rotted.what else { panic!("{rotted}") };
    assert!(disk.flip(&rotted.path, offset, mask) && !disk.flip(&rotted.path, 100, mask));
    assert_eq!(ones(), 0);
}

#[test]
fn the_same_seed_does_the_same() {
    let run = |seed| {
        let disk = disk(seed);
        disk.set_faults(Faults { writes: 300, names: 100, syncs: 300, ..Faults::default() });
        for i in 0..50u8 {
            if let Ok(file) = disk.append(&path("log")) {
                let _ = file.append(&[i; 700]).and_then(|()| file.sync());
            }
        }
        (disk.incidents(), read(&disk.after_power_cut(), "log"))
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn a_full_disk_takes_a_part_and_held_writers_wait() {
    let disk = disk(0);
    disk.set_limit(Some(3));
    let file = disk.append(&path("log")).unwrap();
    assert_eq!(file.append(b"four").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.append(&path("other")).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.used(), 3);
    disk.set_limit(None);
    disk.hold();
    let writer = std::thread::spawn(move || file.append(b"!").unwrap());
    disk.wait_for_held();
    assert_eq!(disk.used(), 3);
    disk.release();
    writer.join().unwrap();
    assert_eq!(read(&disk, "log").unwrap(), b"fou!");
}
