//! Selections against a plain map, by seed: appends in any order, flushes, merges and deletions simulated by writing files,
//! series that memory forgets and that come back; damaged files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures_util::FutureExt as _;
use nave_base::clock::FakeClock;
use nave_base::disk::{Disk, MemoryDisk, SharedDisk};
use nave_base::metric::Registry;
use nave_base::random::Random;
use nave_block::{BlockWriter, FileKind, Meta, NO_ID, Options, SeqRange, series_order};
use nave_model::append::{Append, BatchBuilder, HistogramSample, Principal, SeriesRef};
use nave_model::histogram::{CounterResetHint, Histogram};
use nave_model::label::Labels;
use nave_model::matcher::MatchOp;
use nave_model::select::{Columns, Need};

use super::*;
use crate::catalog::{Tombstone, Version, WINDOW_MS, Window};

const NOW: i64 = 1_700_000_000_000;
/// Three windows begin here.
const BASE: i64 = (NOW / WINDOW_MS - 3) * WINDOW_MS;
const STEP: i64 = 60_000;
const STEPS: u64 = 360;

/// A float's bits, or a histogram's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Float(u64),
    Histogram(u64),
}

type Samples = BTreeMap<(Labels, i64), Value>;

/// What a simulated file holds, with the numbers it names.
#[derive(Debug, Clone, Default)]
struct Content {
    samples: Samples,
    ids: BTreeMap<Labels, u32>,
}

struct World {
    random: Random,
    tsdb: Tsdb,
    /// What queries must give.
    kept: Samples,
    /// What memory took since the last flush.
    fresh: Samples,
    /// What memory holds.
    memory: BTreeSet<(Labels, i64)>,
    files: BTreeMap<PathBuf, Content>,
}

fn histogram(count: f64) -> Arc<Histogram> {
    Arc::new(Histogram {
        schema: 0,
        zero_threshold: 0.0,
        zero_count: count,
        count,
        sum: 1.0,
        positive_spans: vec![],
        positive_buckets: vec![],
        negative_spans: vec![],
        negative_buckets: vec![],
        custom_bounds: vec![],
        counter_reset_hint: CounterResetHint::Unknown,
        integer: true,
    })
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

/// In order of labels `Zone` comes before the name, in files after it.
fn all_series() -> Vec<Labels> {
    let mut all = Vec::new();
    for name in ["up", "latency"] {
        for instance in ["a", "b", "c"] {
            for zone in ["", "x", "y"] {
                for replica in ["r0", "r1"] {
                    all.push(labels(&[
                        ("__name__", name),
                        ("instance", instance),
                        ("Zone", zone),
                        ("replica", replica),
                    ]));
                }
            }
        }
    }
    all
}

impl World {
    fn new(seed: u64) -> Self {
        let disk: SharedDisk = Arc::new(MemoryDisk::default());
        let options = crate::Options::new("/data");
        let tsdb = Tsdb::open(options, disk, FakeClock::at(NOW), &Registry::default()).unwrap();
        Self {
            random: Random::from_seed(seed),
            tsdb,
            kept: Samples::new(),
            fresh: Samples::new(),
            memory: BTreeSet::new(),
            files: BTreeMap::new(),
        }
    }

    fn below(&self, end: u64) -> u64 {
        self.random.u64() % end
    }

    fn pick<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    fn reader(&self) -> &Reader {
        self.tsdb.reader()
    }

    fn version(&self) -> Arc<Version> {
        self.reader().catalog.version()
    }

    async fn append(&mut self) {
        let series = all_series();
        let mut batch = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
        let from = self.below(STEPS);
        for i in 0..self.below(60) {
            let labels = self.pick(&series).clone();
            let step = if self.below(3) == 0 { self.below(STEPS) } else { (from + i / 2) % STEPS };
            let (t, number) = (BASE + step as i64 * STEP, 1 + self.below(3));
            batch.series(&labels, SeriesRef::NONE);
            let value = if self.below(8) == 0 {
                let (timestamp, histogram) = (Timestamp(t), histogram(number as f64));
                batch.histogram(HistogramSample { timestamp, start_timestamp: None, histogram });
                Value::Histogram(number)
            } else {
                batch.sample(Timestamp(t), number as f64);
                Value::Float((number as f64).to_bits())
            };
            if self.memory.insert((labels.clone(), t)) {
                self.fresh.insert((labels.clone(), t), value);
            }
            self.kept.entry((labels, t)).or_insert(value);
        }
        self.tsdb.append(batch.build()).await.unwrap();
    }

    fn write(&mut self, kind: FileKind, seq: SeqRange, content: Content) -> Meta {
        let (id, path) = self.reader().catalog.new_path(kind);
        let page_samples = *self.pick(&[7, 40, 32 << 10]);
        let options = Options { page_samples, tenant: Tenant::default().0.to_string(), seq, kind };
        let disk = self.tsdb.disk().clone();
        let mut writer = BlockWriter::create(disk, &path, id, options).unwrap();
        let mut series: BTreeMap<&Labels, Columns> = BTreeMap::new();
        for ((labels, t), value) in &content.samples {
            let columns = series.entry(labels).or_default();
            match value {
                Value::Float(bits) => columns.push(Timestamp(*t), f64::from_bits(*bits)),
                Value::Histogram(count) => columns.push_histogram(Timestamp(*t), histogram(*count as f64)),
            }
        }
        let mut series: Vec<_> = series.into_iter().collect();
        series.sort_by(|a, b| series_order(a.0, b.0));
        for (labels, columns) in series {
            writer.push(labels, content.ids[labels], &columns).unwrap();
        }
        let meta = writer.finish().unwrap();
        self.files.insert(path, content);
        meta
    }

    /// Writes what is fresh into parts. Memory keeps it.
    fn flush(&mut self) {
        let catalog = self.reader().catalog.clone();
        let seq = catalog.next_seq();
        let partition = self.reader().head.find_partition(&Tenant::default());
        let mut windows: BTreeMap<Window, Content> = BTreeMap::new();
        for ((labels, t), value) in std::mem::take(&mut self.fresh) {
            let content = windows.entry(Window::aligned(t, WINDOW_MS)).or_default();
            let id = partition.as_ref().unwrap().index.read().get(&labels).unwrap().id;
            content.ids.insert(labels.clone(), id);
            content.samples.insert((labels, t), value);
        }
        let mut entries = Vec::new();
        for (window, content) in windows {
            let meta = self.write(FileKind::Part, SeqRange { lo: seq, hi: seq }, content);
            entries.push(catalog.entry(meta, window, false).unwrap());
        }
        let version = catalog.version();
        let done = catalog.commit(|edit| {
            entries.into_iter().for_each(|entry| edit.add(entry));
            edit.flushed(seq, version.log_start, version.registry, 1 << 20);
        });
        done.unwrap();
    }

    /// Flushes, and empties memory.
    fn forget(&mut self) {
        self.flush();
        let Reader { head, catalog, .. } = self.reader();
        catalog.raise_hot_seq(catalog.next_seq());
        head.table.for_each(|series| series.state.lock().drop_before(i64::MAX));
        self.memory.clear();
    }

    /// Merges neighbouring files of a window into a block.
    fn compact(&mut self) {
        let version = self.version();
        let windows: BTreeSet<Window> = version.files.iter().map(|entry| entry.window).collect();
        let windows: Vec<_> = windows.into_iter().collect();
        if windows.is_empty() {
            return;
        }
        let window = *self.pick(&windows);
        let files: Vec<_> = version.files.iter().filter(|entry| entry.window == window).collect();
        let from = self.below(files.len() as u64) as usize;
        let to = from + 1 + self.below((files.len() - from) as u64) as usize;
        let mut merged = Content::default();
        for entry in &files[from..to] {
            let content = &self.files[&entry.path];
            let gone = |labels: &Labels, t: i64| {
                version.tombstones.iter().any(|tombstone| {
                    entry.meta.seq.hi <= tombstone.seq
                        && tombstone.range.contains(Timestamp(t))
                        && Matcher::all_match(&tombstone.matchers, labels)
                })
            };
            for ((labels, t), value) in content.samples.iter().filter(|((labels, t), _)| !gone(labels, *t)) {
                let id = if self.below(9) == 0 { NO_ID } else { content.ids[labels] };
                merged.ids.insert(labels.clone(), id);
                merged.samples.entry((labels.clone(), *t)).or_insert(*value);
            }
        }
        let seq = SeqRange { lo: files[from].meta.seq.lo, hi: files[to - 1].meta.seq.hi };
        let catalog = self.reader().catalog.clone();
        let fresh = (!merged.samples.is_empty()).then(|| {
            let meta = self.write(FileKind::Block, seq, merged);
            catalog.entry(meta, window, true).unwrap()
        });
        let done = catalog.commit(|edit| {
            files[from..to].iter().for_each(|entry| edit.remove(entry.meta.id));
            fresh.into_iter().for_each(|entry| edit.add(entry));
        });
        done.unwrap();
    }

    fn delete(&mut self) {
        self.forget();
        let (matchers, range) = (self.matchers(), self.range());
        self.kept.retain(|(labels, t), _| {
            !(range.contains(Timestamp(*t)) && Matcher::all_match(&matchers, labels))
        });
        let catalog = &self.reader().catalog;
        let tombstone = Tombstone { tenant: Tenant::default(), matchers, range, seq: catalog.next_seq() - 1 };
        catalog.commit(|edit| edit.add_tombstone(tombstone)).unwrap();
    }

    /// Memory forgets series that it has no samples of and that no part names.
    fn bury(&mut self) {
        let version = self.version();
        let parts = version.files.iter().filter(|entry| entry.meta.kind == FileKind::Part);
        let named: BTreeSet<u32> =
            parts.flat_map(|entry| entry.block().unwrap().ids().unwrap().to_vec()).collect();
        let head = &self.reader().head;
        let Some(partition) = head.find_partition(&Tenant::default()) else { return };
        let mut dead = Vec::new();
        head.table.for_each(|series| {
            let empty = series.state.lock().bounds().is_none();
            if empty && !named.contains(&series.id) && self.below(2) == 0 {
                series.state.lock().dead = true;
                dead.push(series.clone());
            }
        });
        partition.index.write().remove(&dead);
        dead.iter().for_each(|series| head.table.remove(series.id));
        head.raw.retain(|series| !series.state.lock().dead);
    }

    fn matchers(&self) -> Vec<Matcher> {
        let all = [
            (MatchOp::Equal, "__name__", "up"),
            (MatchOp::Equal, "Zone", ""),
            (MatchOp::NotEqual, "Zone", ""),
            (MatchOp::Regex, "instance", "a|b"),
            (MatchOp::NotRegex, "instance", "a|c"),
            (MatchOp::Regex, "Zone", "x?"),
            (MatchOp::Regex, "replica", "r.+"),
            (MatchOp::NotEqual, "__name__", "up"),
            (MatchOp::Equal, "instance", "nowhere"),
        ];
        let matcher = |(op, name, value): &(MatchOp, &str, &str)| Matcher::new(*op, name, value).unwrap();
        (0..self.below(3)).map(|_| matcher(self.pick(&all))).collect()
    }

    fn range(&self) -> TimeRange {
        let (a, b) = (self.below(STEPS) as i64, self.below(STEPS) as i64);
        match self.below(4) {
            0 => TimeRange::ALL,
            1 => TimeRange { min: Timestamp(BASE + a * STEP), max: Timestamp(BASE + a * STEP) },
            _ => TimeRange { min: Timestamp(BASE + a.min(b) * STEP), max: Timestamp(BASE + a.max(b) * STEP) },
        }
    }

    async fn check(&self, seed: u64) {
        let mut selection = Selection::new(self.matchers(), self.range());
        selection.need = *self.pick(&[Need::Samples, Need::Samples, Need::LastSample]);
        if self.below(3) == 0 {
            selection.replica_labels = vec!["replica".to_owned()];
        }
        let expect = expected(&self.kept, &selection);
        let came = read(&self.tsdb, &selection).await;
        let given: BTreeMap<_, _> = came.iter().filter(|(_, samples)| !samples.is_empty()).cloned().collect();
        assert_eq!(given, expect, "seed {seed}, {selection:?}");
        let names: Vec<_> = came.iter().map(|(labels, _)| labels.clone()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "seed {seed}: {names:?}");
        self.check_at_hand(&selection, came.len(), seed);
        let limit = self.below(5) as usize;
        let limited = Selection { limit: Some(limit), ..selection.clone() };
        let few: Vec<_> = read(&self.tsdb, &limited).await;
        assert_eq!(few, came[..limit.min(came.len())], "seed {seed}");
        self.check_listing(Selection { replica_labels: vec![], ..selection }, seed).await;
    }

    /// What is at hand resolves at once and is no more than was said; with `may_block` everything resolves at once.
    fn check_at_hand(&self, selection: &Selection, came: usize, seed: u64) {
        let Selection { scope, matchers, range, .. } = selection;
        let most = self.tsdb.at_hand(scope, matchers, *range);
        assert!(most.is_none_or(|most| came <= most), "seed {seed}: {came} series, at most {most:?}");
        let blocking = Selection { may_block: true, ..selection.clone() };
        let opened = self.tsdb.open(blocking).now_or_never().expect("at once").unwrap();
        assert_eq!(opened.len(), came, "seed {seed}");
        assert!(opened.fetch(0..came).now_or_never().is_some());
    }

    async fn check_listing(&self, selection: Selection, seed: u64) {
        let expect = expected(&self.kept, &Selection { need: Need::Samples, ..selection.clone() });
        let exact = self.version().tombstones.is_empty() && selection.range == TimeRange::ALL;
        let check = |what: &str, came: Listing, expect: BTreeSet<String>| {
            assert!(came.items.is_sorted() && came.warnings.is_empty());
            let came: BTreeSet<String> = came.items.into_iter().collect();
            assert!(came.is_superset(&expect), "seed {seed}, {what}: {came:?} {expect:?} {selection:?}");
            assert!(!exact || came == expect, "seed {seed}, {what}: {came:?} {expect:?} {selection:?}");
        };
        let names = expect.keys().flat_map(|labels| labels.iter().map(|(name, _)| name.to_owned()));
        check("names", self.tsdb.label_names(selection.clone()).await.unwrap(), names.collect());
        for name in ["Zone", "instance", "nothing"] {
            let values = expect.keys().map(|labels| labels.get(name).to_owned()).filter(|v| !v.is_empty());
            let came = self.tsdb.label_values(name.to_owned(), selection.clone()).await.unwrap();
            check(name, came, values.collect());
        }
    }
}

type Answer = BTreeMap<Labels, Vec<(i64, Value)>>;

fn expected(kept: &Samples, selection: &Selection) -> Answer {
    let mut all: BTreeMap<Labels, BTreeMap<i64, Value>> = BTreeMap::new();
    // In label order, so the first series wins.
    for ((labels, t), value) in kept {
        if selection.range.contains(Timestamp(*t)) && Matcher::all_match(&selection.matchers, labels) {
            let labels =
                labels.filtered(|name| !selection.replica_labels.iter().any(|replica| replica == name));
            all.entry(labels).or_default().entry(*t).or_insert(*value);
        }
    }
    let last = selection.need == Need::LastSample;
    let cut = |samples: BTreeMap<i64, Value>| {
        let skipped = if last { samples.len() - 1 } else { 0 };
        samples.into_iter().skip(skipped).collect()
    };
    all.into_iter().map(|(labels, samples)| (labels, cut(samples))).collect()
}

async fn read(tsdb: &Tsdb, selection: &Selection) -> Vec<(Labels, Vec<(i64, Value)>)> {
    let opened = Select::open(tsdb, selection.clone()).await.unwrap();
    let mut columns = Columns::default();
    let mut all = Vec::new();
    for from in (0..opened.len()).step_by(5) {
        let to = opened.len().min(from + 5);
        let pages = opened.fetch(from..to).await.unwrap();
        for index in from..to {
            pages.decode(index, &mut columns).unwrap();
            let mut values: Vec<_> =
                columns.values.iter().map(|value| Value::Float(value.to_bits())).collect();
            for (at, histogram) in &columns.histograms {
                values[*at as usize] = Value::Histogram(histogram.count as u64);
            }
            let samples = columns.timestamps.iter().map(|t| t.0).zip(values).collect();
            all.push((opened.labels(index), samples));
        }
    }
    all
}

#[tokio::test]
async fn any_history_reads_as_a_map() {
    for seed in 0..25 {
        let mut world = World::new(seed);
        for _ in 0..30 {
            match world.below(12) {
                0..=4 => world.append().await,
                5..=6 => world.flush(),
                7 => world.forget(),
                8..=9 => world.compact(),
                10 => world.bury(),
                _ if world.below(3) == 0 => world.delete(),
                _ => world.compact(),
            }
            world.check(seed).await;
        }
    }
}

/// The pages of this block are small, so that damage costs a part of it.
async fn damaged_world() -> (World, PathBuf) {
    let mut world = World::new(3);
    for _ in 0..20 {
        world.append().await;
    }
    world.forget();
    let path = world.version().files[0].path.clone();
    (world, path)
}

fn flip(disk: &dyn Disk, path: &std::path::Path, at: usize) {
    let mut bytes = disk.open(path).unwrap().read_from(0).unwrap();
    bytes[at] ^= 0x40;
    disk.remove(path).unwrap();
    disk.append(path).unwrap().append(&bytes).unwrap();
}

#[tokio::test]
async fn damage_is_named_and_never_a_wrong_sample() {
    let (world, path) = damaged_world().await;
    let disk = world.tsdb.disk().clone();
    let len = disk.open(&path).unwrap().len().unwrap() as usize;
    let catalog = world.reader().catalog.clone();
    let selection = Selection::new(vec![], TimeRange::ALL);
    let before = expected(&world.kept, &selection);
    let mut known = 0.0;
    for at in (0..len).step_by(37) {
        flip(&*disk, &path, at);
        // The same file again, opened anew.
        let meta = catalog.version().files[0].meta.clone();
        let window = catalog.version().files[0].window;
        let entry = catalog.entry(meta.clone(), window, true).unwrap();
        let reader = Reader { damages: Arc::default(), ..world.reader().clone() };
        let opened = with_first_file(&reader, entry, &selection);
        let (samples, warnings) = opened.unwrap_or_else(|error| panic!("byte {at}: {error}"));
        for (labels, t, value) in &samples {
            let expect = before[labels].iter().find(|(other, _)| other == t);
            assert_eq!(expect, Some(&(*t, *value)), "byte {at}");
        }
        let complete = samples.len() == before.values().map(Vec::len).sum::<usize>();
        assert!(complete || !warnings.is_empty(), "byte {at}: samples are missing without a word");
        known += reader.damages.pages.get();
        flip(&*disk, &path, at);
    }
    assert!(known > 10.0, "hardly any flip was seen: {known}");
}

type Plain = Vec<(Labels, i64, Value)>;

/// Reads with `entry` in the place of the first file.
fn with_first_file(
    reader: &Reader,
    entry: crate::catalog::Entry,
    selection: &Selection,
) -> Result<(Plain, Vec<String>), SelectError> {
    let mut version = (*reader.catalog.version()).clone();
    version.files[0] = Arc::new(entry);
    let warnings = Warnings::default();
    let damaged = |path: &std::path::Path, what: String| warnings.add(&reader.damages, path, &what);
    let sources = source::sources(&version, &Tenant::default(), selection.range, damaged);
    let matchers = matchers(selection);
    let wanted = Wanted { matchers: &matchers, range: selection.range, cancel: &selection.cancel };
    let partition = reader.head.find_partition(&Tenant::default()).unwrap();
    let mut damaged =
        |source: &source::Source, what: String| warnings.add(&reader.damages, source.path(), &what);
    let found = find::everywhere(&reader.head, Some(&partition), &sources, wanted, &mut damaged)?;
    let ingredients =
        Ingredients { found, sources, damages: reader.damages.clone(), warnings, pin: reader.catalog.pin() };
    let opened = Opened::new((&reader.head, Some(&partition)), selection, ingredients)?;
    let mut samples = Plain::new();
    let mut columns = Columns::default();
    let pages = futures_util::FutureExt::now_or_never(opened.fetch(0..opened.len())).unwrap()?;
    for index in 0..opened.len() {
        pages.decode(index, &mut columns)?;
        let mut values: Vec<_> = columns.values.iter().map(|value| Value::Float(value.to_bits())).collect();
        for (at, histogram) in &columns.histograms {
            values[*at as usize] = Value::Histogram(histogram.count as u64);
        }
        let times = columns.timestamps.iter().map(|t| t.0);
        samples.extend(times.zip(values).map(|(t, value)| (opened.labels(index), t, value)));
    }
    Ok((samples, opened.warnings()))
}
