//! What the store does when memory runs short: flush early, keep less in memory, then slow writers down.
//!
//! Memory in use is what the process has resident, where the caller can tell, and at least what the head is known to
//! hold. Below 70 % of the limit nothing happens. Above it what is in log and memory is flushed, and what files have
//! is dropped from memory. Above 90 % appends are told to come back later, and nothing is lost by that.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use nave_base::budget::Budget;
use nave_base::metric::{Counter, Kind, Registry};
use nave_block::PageCache;
use nave_model::append::AppendError;

use crate::head::Head;
use crate::options::Options;

/// A series with its labels, its places in tables and lists, and its state.
const SERIES_BYTES: usize = 700;
/// A chunk of ordinary samples.
const CHUNK_BYTES: usize = 400;
const HIGH_PERCENT: usize = 70;
const FULL_PERCENT: usize = 90;
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Pages of files that are kept decoded, when there is no limit.
const CACHE_BYTES: usize = 256 << 20;
/// With a limit, this part of it.
const CACHE_PART: usize = 8;

/// How short memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Calm,
    /// Flush early, keep less.
    High,
    /// Take nothing more.
    Full,
}

const LEVELS: [Level; 3] = [Level::Calm, Level::High, Level::Full];

/// The bound on memory and what is in use of it.
#[derive(Debug)]
pub(crate) struct Pressure {
    limit: Option<usize>,
    resident: Option<fn() -> Option<usize>>,
    cache: Budget,
    used: AtomicUsize,
    level: AtomicU8,
    refused: Counter,
}

impl Pressure {
    pub(crate) fn new(options: &Options) -> Self {
        let cache =
            options.memory_limit.map_or(CACHE_BYTES, |limit| (limit / CACHE_PART).min(CACHE_BYTES * 8));
        Self {
            limit: options.memory_limit,
            resident: options.resident_bytes,
            cache: Budget::new("page cache", cache),
            used: AtomicUsize::new(0),
            level: AtomicU8::new(0),
            refused: Counter::default(),
        }
    }

    /// A cache within the bound.
    pub(crate) fn page_cache(&self) -> PageCache {
        PageCache::new(self.cache.clone())
    }

    /// Looks at what is in use.
    pub(crate) fn look(&self, head: &Head) -> Level {
        let series = head.series_count.load(Ordering::Relaxed) * SERIES_BYTES;
        let chunks = usize::try_from(head.chunk_count.load(Ordering::Relaxed)).unwrap_or(0) * CHUNK_BYTES;
        let known = series + chunks + self.cache.used();
        let used = self.resident.and_then(|resident| resident()).unwrap_or(0).max(known);
        self.used.store(used, Ordering::Relaxed);
        let percent = self.limit.map_or(0, |limit| used.saturating_mul(100) / limit.max(1));
        let level = match percent {
            FULL_PERCENT.. => Level::Full,
            HIGH_PERCENT.. => Level::High,
            _ => Level::Calm,
        };
        self.level.store(level as u8, Ordering::Relaxed);
        level
    }

    /// As of the last look.
    pub(crate) fn level(&self) -> Level {
        LEVELS[usize::from(self.level.load(Ordering::Relaxed)).min(LEVELS.len() - 1)]
    }

    /// Refuses an append while memory is full.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        if self.level() < Level::Full {
            return Ok(());
        }
        self.refused.inc();
        let (used, limit) = (self.used.load(Ordering::Relaxed), self.limit.unwrap_or(usize::MAX));
        let what = format!("{used} of {limit} bytes of memory are in use (--memory.limit)");
        Err(AppendError::Overloaded { what, retry_after: RETRY_AFTER })
    }

    /// The store's own metrics of it.
    pub(crate) fn register(&self, registry: &Registry) {
        let refused = self.refused.clone();
        let help = "Batches refused because memory was short; senders send them again.";
        registry.collect("nave_tsdb_memory_refused_total", help, Kind::Counter, move |page| {
            page.sample(&[], refused.get());
        });
        let limit = self.limit.map_or(0.0, |limit| limit as f64);
        registry
            .gauge("nave_memory_limit_bytes", "Memory that the process may use; 0 is no limit.")
            .set(limit);
    }
}

#[cfg(test)]
mod tests {
    use nave_base::clock::FakeClock;

    use super::*;
    use crate::lookup::Secret;

    #[test]
    fn levels_follow_the_greater_of_known_and_resident() {
        fn resident() -> Option<usize> {
            Some(7_500)
        }
        let head = Head::new(Options::new("/unused"), FakeClock::at(0), Secret::random());
        let check = |limit, resident: Option<fn() -> Option<usize>>, series, expect| {
            let options =
                Options { memory_limit: limit, resident_bytes: resident, ..Options::new("/unused") };
            head.series_count.store(series, Ordering::Relaxed);
            let pressure = Pressure::new(&options);
            assert_eq!(pressure.look(&head), expect);
            assert_eq!((pressure.level(), pressure.check().is_err()), (expect, expect == Level::Full));
        };
        check(None, Some(resident), 1000, Level::Calm);
        check(Some(20_000), None, 0, Level::Calm);
        check(Some(20_000), None, 20, Level::High);
        check(Some(20_000), None, 26, Level::Full);
        check(Some(10_000), Some(resident), 0, Level::High);
        check(Some(8_000), Some(resident), 0, Level::Full);
    }
}
