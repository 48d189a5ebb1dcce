//! Decoded pages of all blocks of a process, within one budget.
//!
//! A page is charged with all its streams decoded, because they are decoded where it lies as series are asked for. The charge ends when
//! the last reader lets go of the page. Pages that nobody has asked for again since the hand came by last are the
//! first to go (CLOCK), so that one pass over many series does not drive out what is read all the time.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nave_base::budget::{Budget, Charge};
use parking_lot::Mutex;

use super::BlockId;
use crate::page::Page;

/// Locks; a power of two.
const SHARDS: usize = 16;

/// Decoded pages, shared by all blocks that were opened with a clone of it.
#[derive(Debug, Clone)]
pub struct PageCache(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    budget: Budget,
    hasher: std::hash::RandomState,
    shards: [Mutex<Shard>; SHARDS],
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
    /// Where eviction goes on.
    hand: AtomicU64,
}

/// Block and offset of a page.
type Key = (BlockId, u64);

#[derive(Debug, Default)]
struct Shard {
    pages: HashMap<Key, Slot>,
    /// In the order in which the hand comes by.
    order: VecDeque<Key>,
}

#[derive(Debug)]
struct Slot {
    page: Arc<Kept>,
    asked_again: bool,
}

/// A page and what it costs. Not charged when there was no room: then it lives as long as its reader.
#[derive(Debug)]
pub(super) struct Kept {
    page: Page,
    charge: Option<Charge>,
}

impl std::ops::Deref for Kept {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

/// What a [`PageCache`] has done so far and holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounts {
    /// Pages found.
    pub hits: u64,
    /// Pages that had to be read.
    pub misses: u64,
    /// Pages dropped for others or for [`PageCache::shrink`].
    pub evictions: u64,
    /// Pages held.
    pub pages: usize,
    /// Bytes charged.
    pub bytes: usize,
}

impl PageCache {
    /// One that keeps pages as long as `budget`, which is its own, has room for them.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self(Some(Arc::new(Shared {
            budget,
            hasher: std::hash::RandomState::new(),
            shards: Default::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            hand: AtomicU64::new(0),
        })))
    }

    /// One that keeps nothing: for merges and tools, which see each page once.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Counters, for metrics.
    #[must_use]
    pub fn counts(&self) -> CacheCounts {
        let Some(shared) = &self.0 else { return CacheCounts::default() };
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheCounts {
            hits: load(&shared.hits),
            misses: load(&shared.misses),
            evictions: load(&shared.evictions),
            pages: shared.shards.iter().map(|shard| shard.lock().pages.len()).sum(),
            bytes: shared.budget.used(),
        }
    }

    /// Lets go of at least `bytes` where it has them, for when memory is short; gives how many it was.
    pub fn shrink(&self, bytes: usize) -> usize {
        self.0.as_ref().map_or(0, |shared| shared.shrink(bytes))
    }

    /// Lets go of a block's pages.
    pub(super) fn forget(&self, block: BlockId) {
        let Some(shared) = &self.0 else { return };
        for shard in &shared.shards {
            let mut shard = shard.lock();
            shard.pages.retain(|key, _| key.0 != block);
            shard.order.retain(|key| key.0 != block);
        }
    }

    /// A page if it is there, else what `load` gives, which is kept if there is room for it.
    pub(super) fn get<E>(
        &self,
        block: BlockId,
        offset: u64,
        load: impl FnOnce() -> Result<Page, E>,
    ) -> Result<Arc<Kept>, E> {
        let Some(shared) = &self.0 else { return Ok(Arc::new(Kept { page: load()?, charge: None })) };
        let key = (block, offset);
        if let Some(page) = shared.find(key) {
            shared.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(page);
        }
        shared.misses.fetch_add(1, Ordering::Relaxed);
        let page = load()?;
        let charge = shared.charge(page.memory());
        let page = Arc::new(Kept { page, charge });
        if page.charge.is_some() {
            return Ok(shared.keep(key, page));
        }
        Ok(page)
    }
}

impl Shared {
    fn shard(&self, key: Key) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn find(&self, key: Key) -> Option<Arc<Kept>> {
        let mut shard = self.shard(key).lock();
        let slot = shard.pages.get_mut(&key)?;
        slot.asked_again = true;
        Some(Arc::clone(&slot.page))
    }

    /// Keeps a page, or gives the one that another reader has brought meanwhile.
    fn keep(&self, key: Key, page: Arc<Kept>) -> Arc<Kept> {
        let mut shard = self.shard(key).lock();
        if let Some(slot) = shard.pages.get(&key) {
            return Arc::clone(&slot.page);
        }
        shard.order.push_back(key);
        shard.pages.insert(key, Slot { page: Arc::clone(&page), asked_again: false });
        page
    }

    /// Room for a page, made by letting others go.
    fn charge(&self, bytes: usize) -> Option<Charge> {
        if bytes > self.budget.limit() {
            return None;
        }
        loop {
            if let Ok(charge) = self.budget.charge(bytes) {
                return Some(charge);
            }
            // Bytes whose readers still hold them do not come back at once; some more will do.
            if self.shrink(bytes) == 0 {
                return None;
            }
        }
    }

    fn shrink(&self, bytes: usize) -> usize {
        let (mut freed, mut empty) = (0, 0);
        while freed < bytes && empty < SHARDS {
            let at = self.hand.fetch_add(1, Ordering::Relaxed) as usize % SHARDS;
            let Some(page) = self.shards[at].lock().evict() else {
                empty += 1;
                continue;
            };
            self.evictions.fetch_add(1, Ordering::Relaxed);
            empty = 0;
            freed += page.charge.as_ref().map_or(0, Charge::bytes);
        }
        freed
    }
}

impl Shard {
    /// Takes out the next page that nobody has asked for since the hand came by.
    fn evict(&mut self) -> Option<Arc<Kept>> {
        for _ in 0..=2 * self.order.len() {
            let key = self.order.pop_front()?;
            match self.pages.get_mut(&key) {
                Some(slot) if slot.asked_again => {
                    slot.asked_again = false;
                    self.order.push_back(key);
                }
                _ => return self.pages.remove(&key).map(|slot| slot.page),
            }
        }
        None
    }
}
