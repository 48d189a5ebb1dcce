//! Compaction on a disk that fails, against a plain reading of the files.

use std::collections::BTreeMap;
use std::path::Path;

use nave_base::clock::{Clock, FakeClock};
use nave_base::disk::FaultDisk;
use nave_base::random::Random;
use nave_block::page::Scratch;
use nave_block::{BlockWriter, FileKind, Options, PageCache, SeqRange};
use nave_model::append::Tenant;
use nave_model::matcher::Matcher;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

use super::columns::{Merged, remove_range};
use super::*;
use crate::catalog::{Tombstone, WINDOW_MS, Window};

const DIR: &str = "/data";
/// The clock stands behind the first days, whose windows are all closed.
const NOW: i64 = 100 * WINDOW_MS;

/// A catalog with files, without the rest of a store.
struct World {
    disk: FaultDisk,
    clock: Arc<FakeClock>,
    catalog: Arc<Catalog>,
    compactor: Arc<Compactor>,
}

type Points = Vec<(i64, u64)>;

fn labels(id: u32) -> Labels {
    let (name, cluster) = (format!("metric_{}", id % 3), ["staging", "live"][id as usize % 2]);
    let pairs = [("__name__", name.as_str()), ("id", &id.to_string()), ("cluster", cluster)];
    Labels::from_pairs(pairs).unwrap()
}

impl World {
    fn open(disk: FaultDisk, retention: Retention) -> Self {
        Self::open_in(disk, Path::new(DIR), retention)
    }

    fn open_in(disk: FaultDisk, dir: &Path, retention: Retention) -> Self {
        let clock = FakeClock::at(NOW);
        let shared: SharedDisk = Arc::new(disk.clone());
        let random = Random::from_seed(7);
        let opened = Catalog::open(shared.clone(), dir, clock.clone(), random, PageCache::none());
        let catalog = Arc::new(opened.unwrap().0);
        let settings = Settings { dir: dir.to_owned(), retention, free_bytes_min: 0 };
        let hooks = Hooks {
            labels_of: Box::new(|id| Some(labels(id))),
            is_busy: Box::new(|| false),
            unflushed_min_ms: Box::new(|| i64::MAX),
            raise_floor: Box::new(|_| {}),
        };
        let registry = Registry::default();
        let compactor = Compactor::new(settings, catalog.clone(), shared, clock.clone(), &registry, hooks);
        Self { disk, clock, catalog, compactor }
    }

    fn new(retention: Retention) -> Self {
        Self::open(FaultDisk::new(1, None), retention)
    }

    /// Flush `seq`: a part of window `window` with the samples of some series.
    fn part(&self, seq: u64, window: i64, series: &[(u32, &[(i64, f64)])]) {
        let (id, path) = self.catalog.new_path(FileKind::Part);
        let seq = SeqRange { lo: seq, hi: seq };
        let tenant = Tenant::default().0.to_string();
        let options = Options { seq, kind: FileKind::Part, page_samples: 8, tenant };
        let mut writer = BlockWriter::create(Arc::new(self.disk.clone()), &path, id, options).unwrap();
        let mut sorted: Vec<_> = series.iter().map(|(id, points)| (labels(*id), *id, *points)).collect();
        sorted.sort_by(|a, b| nave_block::series_order(&a.0, &b.0));
        let window = Window::aligned(window * WINDOW_MS, WINDOW_MS);
        for (labels, id, points) in sorted {
            let mut columns = Columns::default();
            points.iter().for_each(|(t, v)| columns.push(Timestamp(window.start_ms + t), *v));
            writer.push(&labels, id, &columns).unwrap();
        }
        let entry = self.catalog.entry(writer.finish().unwrap(), window, true).unwrap();
        self.catalog.commit(|edit| edit.add(entry)).unwrap();
    }

    fn run(&self, extent: Extent) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        self.compactor.run_here(runtime.handle(), extent, Pace::Hurried).1
    }

    fn delete(&self, id: u32, range: TimeRange, seq: u64) {
        let matchers = vec![Matcher::equal("id", &id.to_string())];
        let tombstone = Tombstone { tenant: Tenant::default(), matchers, range, seq };
        self.catalog.commit(|edit| edit.add_tombstone(tombstone)).unwrap();
    }

    /// What a reader sees, by series.
    fn content(&self) -> BTreeMap<String, Points> {
        let version = self.catalog.version();
        let mut files = version.files.clone();
        files.sort_by_key(|entry| entry.meta.seq.lo);
        let mut all: BTreeMap<String, Merged> = BTreeMap::new();
        for entry in files {
            let block = entry.block().unwrap();
            let mut scratch = Scratch::new();
            let (ids, mut damages) = (block.ids().unwrap(), Vec::new());
            for ordinal in 0..block.meta().series {
                let mut columns = Columns::default();
                block.read(ordinal, TimeRange::ALL, &mut scratch, &mut columns, &mut damages).unwrap();
                let labels = labels(ids[ordinal as usize]);
                for tombstone in super::clean::of(&version, &entry) {
                    if Matcher::all_match(&tombstone.matchers, &labels) {
                        remove_range(&mut columns, tombstone.range);
                    }
                }
                all.entry(labels.to_string()).or_default().add(&mut columns);
            }
        }
        let points = |merged: &Merged| {
            let columns = merged.columns();
            columns.timestamps.iter().map(|t| t.0).zip(columns.values.iter().map(|v| v.to_bits())).collect()
        };
        all.retain(|_, merged| !merged.columns().is_empty());
        all.iter().map(|(labels, merged)| (labels.clone(), points(merged))).collect()
    }

    /// `part w0 1-2` for each file.
    fn files(&self) -> Vec<String> {
        let version = self.catalog.version();
        let show = |entry: &Arc<crate::catalog::Entry>| {
            let kind = if entry.meta.kind == FileKind::Part { "part" } else { "block" };
            let day = if entry.window.length_ms() > WINDOW_MS { "d" } else { "w" };
            let SeqRange { lo, hi } = entry.meta.seq;
            format!("{kind} {day}{} {lo}-{hi}", entry.window.start_ms / WINDOW_MS)
        };
        version.files.iter().map(show).collect()
    }

    fn names_on_disk(&self) -> usize {
        use nave_base::disk::Disk;
        self.disk.list(&Path::new(DIR).join("block")).unwrap().len()
    }
}

/// Flushes with late samples, duplicates and conflicts, over three windows of two days.
fn fill(world: &World, seed: u64, flushes: u64) {
    let random = Random::from_seed(seed);
    for seq in 1..=flushes {
        for window in [0, 1, 13] {
            let mut series: Vec<(u32, Vec<(i64, f64)>)> = Vec::new();
            for id in 0..6 {
                let mut points: BTreeMap<i64, f64> = BTreeMap::new();
                for _ in 0..random.u64() % 12 {
                    points.insert((random.u64() % 40) as i64 * 1000, (random.u64() % 3) as f64);
                }
                if !points.is_empty() {
                    series.push((id, points.into_iter().collect()));
                }
            }
            let borrowed: Vec<_> = series.iter().map(|(id, points)| (*id, points.as_slice())).collect();
            if !borrowed.is_empty() {
                world.part(seq, window, &borrowed);
            }
        }
    }
}

#[test]
fn merging_changes_nothing_that_a_reader_sees() {
    for seed in 0..10 {
        let world = World::new(Retention::default());
        fill(&world, seed, 8);
        world.delete(1, TimeRange { min: Timestamp(5_000), max: Timestamp(20_000) }, 6);
        let before = world.content();
        world.run(Extent::Due).unwrap();
        assert_eq!(world.content(), before, "seed {seed}");
        assert_eq!(world.files().len(), 2, "{:?}", world.files());
        assert_eq!(world.names_on_disk(), 2);
        assert!(world.catalog.version().tombstones.is_empty(), "nothing is left that it hides");
        let metrics = &world.compactor.metrics;
        assert!(metrics.conflicts.get() > 0.0 && metrics.duplicates.get() > 0.0);
    }
}

/// The power goes at every operation of the disk: the old files or the new ones are there.
#[test]
fn a_power_cut_anywhere_leaves_the_old_or_the_new() {
    let mut cut = 0;
    loop {
        let world = World::new(Retention::default());
        fill(&world, 3, 3);
        world.delete(1, TimeRange { min: Timestamp(5_000), max: Timestamp(20_000) }, 2);
        let before = world.content();
        world.disk.cut_power_after(Some(cut));
        let outcome = world.run(Extent::Due);
        let was_down = world.disk.is_down();
        assert!(was_down || outcome.is_ok(), "cut at {cut}");
        let after = World::open(world.disk.after_power_cut(), Retention::default());
        assert_eq!(after.content(), before, "cut at {cut}");
        after.run(Extent::Due).unwrap();
        assert_eq!(after.content(), before, "cut at {cut}, then merged");
        assert_eq!((after.files().len(), after.names_on_disk()), (2, 2), "cut at {cut}");
        if !was_down {
            break;
        }
        cut += 1;
    }
    assert!(cut > 20, "{cut} operations");
}

#[test]
fn a_damaged_page_costs_that_page() {
    let world = World::new(Retention::default());
    let long: Vec<_> = (0..64).map(|i| (i * 1000, i as f64)).collect();
    world.part(1, 0, &[(0, &long), (1, &long)]);
    world.part(2, 0, &[(2, &long)]);
    let before = world.content();
    let first = world.catalog.version().files[0].path.clone();
    // Behind the header the pages begin.
    assert!(world.disk.flip(&first, 60, 0x10));
    world.run(Extent::Due).unwrap();
    assert_eq!(world.files(), ["block w0 1-2"]);
    assert!(world.compactor.metrics.damaged_pages.get() >= 1.0);
    let after = world.content();
    assert_eq!(after.get(&labels(2).to_string()), before.get(&labels(2).to_string()));
    let left: usize = after.values().map(Vec::len).sum();
    assert!((65..3 * 64).contains(&left), "{left}");
}

#[test]
fn a_file_that_cannot_be_opened_is_left_and_the_rest_is_merged() {
    use nave_base::disk::Disk;
    let world = World::new(Retention::default());
    for seq in 1..=3 {
        world.part(seq, 0, &[(seq as u32, &[(seq as i64, 1.0)])]);
    }
    let second = world.catalog.version().files[1].path.clone();
    let len = world.disk.open(&second).unwrap().len().unwrap();
    assert!(world.disk.flip(&second, len - 3, 0xff));
    world.run(Extent::Due).unwrap();
    assert_eq!(world.files(), ["block w0 1-3", "part w0 2-2"]);
}

#[test]
fn a_full_disk_changes_nothing_and_is_tried_again() {
    let world = World::new(Retention::default());
    fill(&world, 5, 4);
    let before = (world.content(), world.files());
    for room in [0, 300, 600, 1200] {
        world.clock.advance(Duration::from_secs(3600));
        world.disk.set_limit(Some(world.disk.used() + room));
        assert!(world.run(Extent::Due).is_err());
        assert_eq!((world.content(), world.files()), before);
    }
    assert!(world.compactor.metrics.skipped.get() > 0.0);
    world.disk.set_limit(None);
    world.run(Extent::Due).unwrap();
    assert_eq!(world.files(), before.1, "not at once");
    world.clock.advance(Duration::from_secs(3600));
    world.run(Extent::Due).unwrap();
    assert_eq!((world.content(), world.files().len()), (before.0, 2));
}

#[test]
fn deleted_samples_leave_the_files_when_asked_or_in_time() {
    let all: Vec<_> = (0..20).map(|i| (i * 1000, 1.0)).collect();
    let world = World::new(Retention::default());
    world.part(1, 0, &[(0, &all), (1, &all)]);
    world.part(2, 1, &[(1, &all)]);
    world.run(Extent::Due).unwrap();
    let samples = || world.catalog.version().files.iter().map(|entry| entry.meta.samples).sum::<u64>();
    assert_eq!(samples(), 60);
    world.delete(0, TimeRange { min: Timestamp(0), max: Timestamp(9_000) }, 2);
    assert_eq!(world.content()[&labels(0).to_string()].len(), 10);
    world.run(Extent::Due).unwrap();
    assert_eq!(samples(), 60, "files are not written again for every delete");
    world.run(Extent::Tombstones).unwrap();
    assert_eq!(samples(), 50);
    assert!(world.catalog.version().tombstones.is_empty());
    // The same flush, another delete: it counts on its own. All of a file goes.
    world.delete(1, TimeRange::ALL, 2);
    world.run(Extent::Due).unwrap();
    assert_eq!(samples(), 50);
    world.clock.advance(Duration::from_secs(3600));
    world.run(Extent::Due).unwrap();
    assert_eq!(samples(), 10);
    assert!(world.catalog.version().tombstones.is_empty());
    assert_eq!(world.content().len(), 1);
}

#[test]
fn rules_drop_series_of_old_windows_once() {
    let staging = RetentionRule {
        matchers: vec![Matcher::equal("cluster", "staging")],
        keep_ms: Some(NOW - WINDOW_MS),
    };
    let retention = Retention { keep_ms: None, rules: vec![staging], ..Retention::default() };
    let world = World::new(retention);
    for window in [0, 1] {
        world.part(1, window, &[(0, &[(0, 1.0)]), (1, &[(0, 1.0)])]);
    }
    world.part(2, 13, &[(0, &[(0, 1.0)])]);
    world.run(Extent::Due).unwrap();
    // A day is one window here, and that is not wholly too old yet.
    assert_eq!((world.files().len(), world.content()[&labels(0).to_string()].len()), (2, 3));
    world.clock.advance(Duration::from_secs(23 * 3600));
    let compactions = || world.compactor.metrics.compactions.get();
    let before = compactions();
    world.run(Extent::Due).unwrap();
    assert_eq!(world.content()[&labels(0).to_string()].len(), 1);
    assert_eq!(world.content()[&labels(1).to_string()].len(), 2, "others stay");
    assert_eq!(compactions() - before, 1.0);
    world.run(Extent::Due).unwrap();
    assert_eq!(compactions() - before, 1.0, "once");
    world.compactor.set_retention(|retention| retention.keep_ms = Some(NOW));
    world.run(Extent::Due).unwrap();
    assert_eq!(world.content().len(), 1, "the rest is older than everything that is kept");
}

#[test]
fn size_and_time_drop_the_oldest_windows() {
    let world = World::new(Retention::default());
    for window in 0..4 {
        world.part(window as u64 + 1, window, &[(0, &[(0, 1.0)]), (1, &[(0, 1.0)])]);
    }
    let file = world.catalog.version().files[0].bytes;
    let used = world.compactor.room.look().unwrap().used;
    let limit = (used - file - file / 2) * 8 / 7;
    world.compactor.set_retention(|retention| retention.bytes_max = Some(limit));
    world.compactor.check_space(true).unwrap();
    let version = world.catalog.version();
    assert_eq!((version.files.len(), version.floor), (2, 2 * WINDOW_MS));
    assert!(!world.compactor.room.is_spent());
    world.compactor.set_retention(|retention| {
        (retention.bytes_max, retention.keep_ms) = (None, Some(world.clock.now_ms() - 3 * WINDOW_MS));
    });
    world.run(Extent::Due).unwrap();
    assert_eq!(world.files(), ["block w3 4-4"]);
    assert_eq!(world.compactor.metrics.size_retentions.get(), 2.0);
    assert_eq!(world.compactor.metrics.time_retentions.get(), 1.0);
}

#[test]
fn a_snapshot_is_a_store_of_its_own() {
    let world = World::new(Retention::default());
    fill(&world, 5, 3);
    world.delete(1, TimeRange { min: Timestamp(5_000), max: Timestamp(20_000) }, 2);
    let before = world.content();
    let name = world.compactor.snapshot().unwrap();
    assert_eq!(&name[..17], "19700109T080000Z-");
    let levels = |world: &World| world.compactor.blocks().iter().map(|block| block.level).collect::<Vec<_>>();
    assert!(levels(&world).iter().all(|level| *level == "part"));
    world.run(Extent::Due).unwrap();
    assert_eq!(levels(&world), ["day", "window"]);
    // Names that are gone here are still there, and what is done there changes nothing here.
    let dir = Path::new(DIR).join("snapshots").join(&name);
    let copy = World::open_in(world.disk.after_power_cut(), &dir, Retention::default());
    assert_eq!(copy.content(), before);
    copy.run(Extent::Everything).unwrap();
    assert_eq!(copy.content(), before);
    let again = World::open(copy.disk.after_power_cut(), Retention::default());
    assert_eq!(again.content(), before);
}

#[test]
fn a_failed_snapshot_leaves_nothing() {
    let world = World::new(Retention::default());
    fill(&world, 5, 2);
    world.disk.set_limit(Some(world.disk.used()));
    let used = world.disk.used();
    assert!(world.compactor.snapshot().is_err());
    assert_eq!(world.disk.used(), used);
}

#[test]
fn stopping_leaves_everything_as_it_was() {
    let world = World::new(Retention::default());
    fill(&world, 5, 4);
    let before = (world.content(), world.files());
    world.compactor.stop();
    world.run(Extent::Due).unwrap();
    assert_eq!((world.content(), world.files()), before);
}

#[test]
fn merging_that_is_behind_asks_for_more_than_what_is_left_over() {
    let world = World::new(Retention::default());
    // Closed windows of a day that is not over.
    for (seq, window) in (96..99).enumerate() {
        world.part(1 + seq as u64, window, &[(1, &[(1000, 1.0)])]);
    }
    assert!(world.compactor.is_behind());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = |pace| world.compactor.run_here(runtime.handle(), Extent::Due, pace);
    let (ended, outcome) = run(Pace::Aside);
    outcome.unwrap();
    assert_eq!(ended, Ended::Behind);
    let (ended, outcome) = run(Pace::Hurried);
    outcome.unwrap();
    assert_eq!(ended, Ended::Done);
    assert!(!world.compactor.is_behind());
}
