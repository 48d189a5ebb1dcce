//! The page cache: what it holds, what it costs, and readers at the same time.

use std::path::Path;
use std::sync::Arc;

use nave_base::budget::Budget;
use nave_base::disk::{Disk, MemoryDisk};
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

use super::*;
use crate::page::Scratch;

const SERIES: u32 = 200;

fn samples(series: u32) -> Columns {
    let mut columns = Columns::default();
    for i in 0..100u32 {
        let value = f64::from((i + 1) * (series + 3) * 7919 % 1009);
        columns.push(Timestamp(i64::from(i) * 15_000), value);
    }
    columns
}

fn written(id: BlockId) -> Vec<u8> {
    let disk = MemoryDisk::default();
    let options = Options { page_samples: 1000, kind: FileKind::Part, ..Options::default() };
    let path = Path::new("/a");
    let mut writer = BlockWriter::create(Arc::new(disk.clone()), path, id, options).unwrap();
    for series in 0..SERIES {
        let labels = Labels::from_pairs([("n", format!("{series:05}"))]).unwrap();
        writer.push(&labels, series, &samples(series)).unwrap();
    }
    writer.finish().unwrap();
    disk.open(path).unwrap().read_from(0).unwrap()
}

fn read(block: &Block<Vec<u8>>, series: u32, scratch: &mut Scratch) {
    let (mut out, mut damages) = (Columns::default(), Vec::new());
    block.read(series, TimeRange::ALL, scratch, &mut out, &mut damages).unwrap();
    assert!(damages.is_empty());
    assert_eq!(out.values, samples(series).values);
}

#[test]
fn the_second_read_is_a_hit_and_a_dropped_block_is_forgotten() {
    let budget = Budget::new("pages", 64 << 20);
    let cache = PageCache::new(budget.clone());
    let block = Block::open(written(BlockId(1)), cache.clone()).unwrap();
    let mut scratch = Scratch::new();
    read(&block, 7, &mut scratch);
    let first = cache.counts();
    assert_eq!((first.hits, first.misses, first.pages), (0, 2, 2));
    read(&block, 7, &mut scratch);
    read(&block, 8, &mut scratch);
    assert_eq!((cache.counts().hits, cache.counts().misses), (4, 2));
    assert!(first.bytes > 0 && cache.counts().bytes == budget.used());
    drop(block);
    assert_eq!((cache.counts().pages, budget.used()), (0, 0));
}

#[test]
fn the_budget_holds_and_pages_that_are_asked_for_again_stay() {
    let whole = Block::open(written(BlockId(1)), PageCache::new(Budget::new("all", 64 << 20))).unwrap();
    let mut scratch = Scratch::new();
    (0..SERIES).for_each(|series| read(&whole, series, &mut scratch));
    let budget = Budget::new("pages", whole.cache().counts().bytes / 4);
    let cache = PageCache::new(budget.clone());
    let block = Block::open(written(BlockId(2)), cache.clone()).unwrap();
    for series in 0..SERIES {
        read(&block, series, &mut scratch);
        read(&block, 0, &mut scratch);
        assert!(budget.used() <= budget.limit());
    }
    let counts = cache.counts();
    assert!(counts.evictions > 0, "{counts:?}");
    // The page of times and that of series 0 are read at most now and then again.
    assert!(counts.misses < u64::from(SERIES) / 10 + 15, "{counts:?}");
    assert!(cache.shrink(1) > 0);
    cache.shrink(usize::MAX);
    assert_eq!((cache.counts().pages, budget.used()), (0, 0));
    let none = Block::open(written(BlockId(3)), PageCache::new(Budget::new("none", 10))).unwrap();
    read(&none, 3, &mut scratch);
    assert_eq!(none.cache().counts().pages, 0);
}

#[test]
fn readers_at_the_same_time() {
    let budget = Budget::new("pages", 60_000);
    let block = Block::open(written(BlockId(1)), PageCache::new(budget.clone())).unwrap();
    std::thread::scope(|scope| {
        for reader in 0..4 {
            let block = &block;
            scope.spawn(move || {
                let mut scratch = Scratch::new();
                (0..600).for_each(|i| read(block, (i * 37 + reader * 50) % SERIES, &mut scratch));
            });
        }
    });
    assert!(block.cache().counts().hits > 0 && budget.peak() <= budget.limit());
    drop(block);
    assert_eq!(budget.used(), 0);
}
