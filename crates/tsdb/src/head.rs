//! What the parts of the store share: tables of series, tenants, bounds of time, counts.
//!
//! Lock order: a partition's index, then a shard of a table, then a series. No two of one kind at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use nave_base::clock::SharedClock;
use nave_model::append::{CLUSTER, Limits, Principal, Reason, Tenant};
use nave_model::label::{Labels, METRIC_NAME};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::exemplar::Exemplars;
use crate::index::Index;
use crate::lookup::{RawTable, Secret, SeriesTable, new_generation};
use crate::metadata::MetadataTable;
use crate::metric::Counters;
use crate::options::Options;
use crate::record::Family;
use crate::replay::Early;
use crate::series::Series;
use crate::statistics::Growth;
use crate::ticket::Tickets;

/// Raw-byte keys per series that are remembered: a few senders of one series are ordinary.
const RAW_KEYS_PER_SERIES: usize = 4;
/// Samples that are younger than this are still expected to arrive.
const SETTLE_MS: i64 = 10 * 60_000;

/// One tenant's series.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Position in the head's list.
    pub(crate) number: u16,
    pub(crate) tenant: Tenant,
    pub(crate) index: RwLock<Index>,
    pub(crate) metadata: Mutex<MetadataTable>,
    /// What the next flush must sort in and name.
    pub(crate) fresh: Mutex<Fresh>,
}

/// Series and metadata that came since the last flush took notice.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    pub(crate) series: Vec<Arc<Series>>,
    pub(crate) metadata: Vec<Family>,
}

/// The shared state of a [`crate::Tsdb`].
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
    pub(crate) generation: u32,
    pub(crate) raw: RawTable,
    pub(crate) table: SeriesTable,
    pub(crate) partitions: RwLock<Vec<Arc<Partition>>>,
    pub(crate) next_id: AtomicU32,
    pub(crate) series_count: AtomicUsize,
    pub(crate) chunk_count: AtomicI64,
    pub(crate) tickets: Tickets,
    pub(crate) counters: Counters,
    pub(crate) growth: Growth,
    /// Milliseconds and bytes that are kept; the settings may change while it runs.
    pub(crate) retention: RwLock<(Option<i64>, Option<u64>)>,
    /// Oldest time kept, as far as it was ever enforced.
    floor: AtomicI64,
    pub(crate) min_time: AtomicI64,
    pub(crate) max_time: AtomicI64,
    pub(crate) epoch: AtomicU64,
    settled: AtomicI64,
    /// Keys of raw label bytes that the registry does not have yet.
    pub(crate) fresh_keys: Mutex<Vec<(u128, u32)>>,
    pub(crate) exemplars: Exemplars,
    /// What [`crate::series::State::drop_flushed`] may drop.
    pub(crate) droppable: Droppable,
    /// What is appended while the samples of the log are put into memory.
    pub(crate) early: RwLock<Option<Early>>,
    /// Whether these are there.
    replayed: watch::Sender<bool>,
    /// Whether the label index is built.
    ready: watch::Sender<bool>,
}

/// Flushes that every reader looks at the files for.
#[derive(Debug, Default)]
pub(crate) struct Droppable {
    /// In-order samples: flushes below this.
    pub(crate) hot_seq: AtomicU32,
    /// Late samples: flushes up to this.
    pub(crate) late_seq: AtomicU32,
}

impl Head {
    pub(crate) fn new(options: Options, clock: SharedClock, secret: Secret) -> Self {
        Self {
            raw: RawTable::new(secret, options.series_max.saturating_mul(RAW_KEYS_PER_SERIES)),
            retention: RwLock::new((options.retention_ms, options.retention_bytes)),
            exemplars: Exemplars::new(options.exemplars_max),
            options,
            clock,
            generation: new_generation(),
            table: SeriesTable::new(),
            partitions: RwLock::default(),
            next_id: AtomicU32::new(1),
            series_count: AtomicUsize::new(0),
            chunk_count: AtomicI64::new(0),
            tickets: Tickets::default(),
            counters: Counters::default(),
            growth: Growth::default(),
            floor: AtomicI64::new(i64::MIN),
            min_time: AtomicI64::new(i64::MAX),
            max_time: AtomicI64::new(i64::MIN),
            epoch: AtomicU64::new(0),
            settled: AtomicI64::new(i64::MIN),
            fresh_keys: Mutex::default(),
            droppable: Droppable::default(),
            early: RwLock::default(),
            replayed: watch::Sender::new(false),
            ready: watch::Sender::new(false),
        }
    }

    /// The samples of the log are in memory.
    pub(crate) fn set_replayed(&self) {
        self.replayed.send_replace(true);
    }

    /// Resolves when the samples of the log are in memory.
    pub(crate) async fn replayed(&self) {
        let mut replayed = self.replayed.subscribe();
        // The sender lives as long as `self`.
        let _ = replayed.wait_for(|replayed| *replayed).await;
    }

    /// The label index is whole.
    pub(crate) fn set_ready(&self) {
        self.ready.send_replace(true);
    }

    pub(crate) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Resolves when the label index is whole.
    pub(crate) async fn ready(&self) {
        let mut ready = self.ready.subscribe();
        // The sender lives as long as `self`.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// The partition of `tenant`, when it has ever written.
    pub(crate) fn find_partition(&self, tenant: &Tenant) -> Option<Arc<Partition>> {
        self.partitions.read().iter().find(|known| known.tenant == *tenant).cloned()
    }

    /// The partition of `tenant`.
    pub(crate) fn partition(&self, tenant: &Tenant) -> Result<Arc<Partition>, Reason> {
        if let Some(known) = self.find_partition(tenant) {
            return Ok(known);
        }
        let mut all = self.partitions.write();
        if let Some(known) = all.iter().find(|known| known.tenant == *tenant) {
            return Ok(known.clone());
        }
        let limit = Reason::Limit { name: "tenants", limit: u64::from(u16::MAX) };
        let number = u16::try_from(all.len()).map_err(|_| limit)?;
        let (index, metadata, fresh) = (RwLock::default(), Mutex::default(), Mutex::default());
        let made = Arc::new(Partition { number, tenant: tenant.clone(), index, metadata, fresh });
        all.push(made.clone());
        Ok(made)
    }

    /// The series of `labels`, made when it is new and `principal` may have one more.
    pub(crate) fn series(
        &self,
        partition: &Partition,
        principal: &Principal,
        labels: Labels,
    ) -> Result<Arc<Series>, Reason> {
        if let Some(known) = partition.index.read().get(&labels) {
            return Ok(known.clone());
        }
        let mut index = partition.index.write();
        if let Some(known) = index.get(&labels) {
            return Ok(known.clone());
        }
        let limit = self.options.series_max;
        if self.series_count.load(Ordering::Relaxed) >= limit {
            return Err(Reason::Limit { name: "series_max", limit: limit as u64 });
        }
        check_limits(&index, &principal.limits, &labels)?;
        let next = self.next_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |id| id.checked_add(1));
        let numbers = Reason::Limit { name: "series numbers", limit: u64::from(u32::MAX) };
        let id = next.map_err(|_| numbers)?;
        let series = Series::new(id, partition.number, labels);
        self.add(partition, &mut index, series.clone());
        self.counters.series_created.inc();
        self.growth.note(self.clock.now_ms());
        Ok(series)
    }

    /// Puts a series into every table.
    pub(crate) fn add(&self, partition: &Partition, index: &mut Index, series: Arc<Series>) {
        self.table.insert(series.clone());
        partition.fresh.lock().series.push(series.clone());
        index.insert(series);
        self.series_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Oldest time accepted and kept at `now`.
    pub(crate) fn oldest_at(&self, now: i64) -> i64 {
        let by_age = self.retention.read().0.map_or(i64::MIN, |kept| now.saturating_sub(kept));
        by_age.max(self.floor.load(Ordering::Relaxed))
    }

    /// Oldest time kept, as far as it was ever enforced.
    pub(crate) fn floor(&self) -> i64 {
        self.floor.load(Ordering::Relaxed)
    }

    pub(crate) fn raise_floor(&self, floor: i64) {
        self.floor.fetch_max(floor, Ordering::Relaxed);
    }

    pub(crate) fn note_times(&self, min: i64, max: i64) {
        self.min_time.fetch_min(min, Ordering::Relaxed);
        self.max_time.fetch_max(max, Ordering::Relaxed);
        if min < self.settled.load(Ordering::SeqCst) {
            self.epoch.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The epoch, and the time before which samples are not expected any more.
    pub(crate) fn settled(&self) -> (u64, i64) {
        let until = self.clock.now_ms().saturating_sub(SETTLE_MS);
        let before = self.settled.fetch_max(until, Ordering::SeqCst);
        (self.epoch.load(Ordering::SeqCst), before.max(until))
    }
}

/// Whether the cluster of `labels` may have this series too.
fn check_limits(index: &Index, limits: &Limits, labels: &Labels) -> Result<(), Reason> {
    let cluster = labels.get(CLUSTER);
    let reached = |name, limit: Option<u64>, count: usize| match limit {
        Some(limit) if count as u64 >= limit => Err(Reason::Limit { name, limit }),
        _ => Ok(()),
    };
    reached("limits.series of the cluster", limits.series, index.count(CLUSTER, cluster))?;
    if limits.series_per_metric.is_none() {
        return Ok(());
    }
    let count = index.count_of_metric(cluster, labels.get(METRIC_NAME));
    reached("limits.series_per_metric of the cluster", limits.series_per_metric, count)
}
