//! The store's side of compaction: what runs by itself, and what an operator may ask.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nave_base::Shutdown;
use nave_base::disk::SharedDisk;
use nave_base::metric::{Kind, Registry};
use nave_model::append::{AppendError, Tenant};
use nave_model::matcher::Matcher;
use nave_model::time::TimeRange;

use super::keep::Wanted;
use super::{BlockStatus, Compactor, Extent, Hooks, Retention, RetentionRule, Settings};
use crate::catalog::Catalog;
use crate::error::Error;
use crate::head::Head;
use crate::series::Series;
use crate::store::Tsdb;

/// How often the space in use is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often it is asked whether something is to be merged.
const MERGE_EVERY: Duration = Duration::from_secs(60);
/// Appends that wait at the same time when merging gives way to them.
const APPENDS_MIN: usize = 4;

/// The compactor of a store that is being opened.
pub(crate) fn of(
    head: &Arc<Head>,
    catalog: &Arc<Catalog>,
    disk: &SharedDisk,
    registry: &Registry,
) -> Arc<Compactor> {
    let options = &head.options;
    let (keep_ms, bytes_max) = (options.retention_ms, options.retention_bytes);
    let settings = Settings {
        dir: options.dir.clone(),
        retention: Retention { keep_ms, bytes_max, ..Retention::default() },
        free_bytes_min: options.disk_free_bytes_min,
    };
    let (labels, appends, floor) = (head.clone(), head.clone(), head.clone());
    let hooks = Hooks {
        labels_of: Box::new(move |id| labels.table.get(id).map(|series| series.labels.clone())),
        is_busy: Box::new(move || appends.tickets.under_way() >= APPENDS_MIN),
        // Flushes come well within the grace of a window.
        unflushed_min_ms: Box::new(|| i64::MAX),
        raise_floor: Box::new(move |oldest| floor.raise_floor(oldest)),
    };
    head.raise_floor(catalog.version().floor);
    let clock = head.clock.clone();
    let compactor = Compactor::new(settings, catalog.clone(), disk.clone(), clock, registry, hooks);
    register_gauges(registry, &compactor);
    compactor
}

fn register_gauges(registry: &Registry, compactor: &Arc<Compactor>) {
    type Gauge = (&'static str, &'static str, fn(&Compactor) -> f64);
    let gauges: [Gauge; 4] = [
        ("prometheus_tsdb_blocks_loaded", "Number of parts and blocks.", |compactor| {
            compactor.catalog.version().files.len() as f64
        }),
        ("prometheus_tsdb_storage_blocks_bytes", "Bytes of parts and blocks on disk.", |compactor| {
            compactor.catalog.version().bytes() as f64
        }),
        (
            "nave_tsdb_storage_bytes",
            "Bytes of everything in the data folder, as of the last look.",
            |compactor| compactor.room.used() as f64,
        ),
        ("nave_tsdb_tombstones", "Deletes that are not carried out in all files.", |compactor| {
            compactor.catalog.version().tombstones.len() as f64
        }),
    ];
    for (name, help, read) in gauges {
        let compactor = Arc::downgrade(compactor);
        registry.collect(name, help, Kind::Gauge, move |page| {
            if let Some(compactor) = compactor.upgrade() {
                page.sample(&[], read(&compactor));
            }
        });
    }
}

impl Compactor {
    /// Refuses writes while there is no room for them.
    pub(crate) fn check_writable(&self) -> Result<(), AppendError> {
        if !self.room.is_spent() {
            return Ok(());
        }
        self.metrics.refused.inc();
        let limit = self.retention().bytes_max;
        let used = self.room.used();
        let what = match limit {
            Some(limit) => format!(
                "the data folder has {used} of {limit} bytes (--storage.tsdb.retention.size), or the disk is full"
            ),
            None => "the disk is full up to --storage.tsdb.min-free-bytes".to_owned(),
        };
        Err(AppendError::Full { what: format!("{what}: writes are taken again when there is room") })
    }
}

impl Tsdb {
    /// Merges files, drops old ones and watches the space in use, until `shutdown`.
    pub(crate) async fn keep_files(&self, shutdown: Shutdown) {
        tokio::join!(self.keep_space(shutdown.clone()), self.keep_merged(shutdown));
    }

    async fn keep_merged(&self, shutdown: Shutdown) {
        let clock = self.head().clock.clone();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return self.compactor.stop(),
                () = clock.sleep(MERGE_EVERY) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return self.compactor.stop(),
                result = self.compactor.run(Extent::Due) => match result {
                    Ok(()) | Err(Error::Stopped) => {}
                    Err(error) => tracing::warn!(component = "tsdb", %error, "not everything could be merged"),
                },
            }
        }
    }

    async fn keep_space(&self, shutdown: Shutdown) {
        let clock = self.head().clock.clone();
        loop {
            if let Err(error) = self.watch_space().await {
                tracing::error!(component = "tsdb", %error, "cannot look after the space in use");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = clock.sleep(LOOK_EVERY) => {}
                () = self.compactor.room.spent() => {}
            }
        }
    }

    /// Looks at the space in use; drops the oldest windows and flushes the log when there is too little.
    async fn watch_space(&self) -> Result<(), Error> {
        let was_full = self.compactor.room.is_spent();
        if self.check_space(true).await? == Wanted::Flush {
            let flushed = self.flush().await;
            self.check_space(false).await?;
            flushed?;
        }
        let is_full = self.compactor.room.is_spent();
        match (was_full, is_full) {
            (false, true) => tracing::error!(
                component = "tsdb",
                used = self.compactor.room.used(),
                "no room: writes are refused, reads go on"
            ),
            (true, false) => tracing::info!(component = "tsdb", "there is room again: writes are taken"),
            _ => {}
        }
        Ok(())
    }

    async fn check_space(&self, flush_first: bool) -> Result<Wanted, Error> {
        let compactor = self.compactor.clone();
        tokio::task::spawn_blocking(move || compactor.check_space(flush_first))
            .await
            .map_err(|_| Error::Stopped)?
    }

    /// Flushes, drops what is too old, and merges everything that can be merged.
    ///
    /// # Errors
    /// The first failure; what could be done was done.
    pub async fn compact_all(&self) -> Result<(), Error> {
        self.flush().await?;
        self.compactor.run(Extent::Everything).await
    }

    /// Hides the samples in `range` of all series that one of `selectors` matches: for good when this returns, and
    /// gone from the disk when their files are merged. What was acknowledged before the call is gone, what is appended
    /// after it stays; a sample that is appended meanwhile is either, and stays what it is. Waits for queries under way.
    ///
    /// # Errors
    /// Of the disk; [`Error::Tombstones`] when too many deletes wait to be carried out.
    pub async fn delete_series(
        &self,
        tenant: &Tenant,
        selectors: Vec<Vec<Matcher>>,
        range: TimeRange,
    ) -> Result<(), Error> {
        if selectors.is_empty() {
            return Ok(());
        }
        // What the flush takes is deleted. It ends the chunks in the same moment, so none has both that and later samples.
        let seq = self.flush_and_end(Some(self.matching(tenant, &selectors))).await?.seq;
        let (compactor, tenant) = (self.compactor.clone(), tenant.clone());
        let work = move || compactor.delete(&tenant, selectors, range, seq);
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped)??;
        // From here on readers look at the files, which are masked; memory gives up what the files have.
        let flusher = self.flushing.flusher.clone();
        flusher.cool(i64::MAX);
        let catalog = &self.compactor.catalog;
        catalog.unpinned_before(catalog.version().number).await;
        let drop_flushed = move || flusher.drop_all_flushed();
        tokio::task::spawn_blocking(drop_flushed).await.map_err(|_| Error::Stopped)?;
        // The flush may have taken samples whose records came behind its cut: a restart would bring them back.
        self.appends_under_way().await;
        self.flush().await?;
        // Caches of answers must not bring it back.
        self.head().epoch.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Whether one of `selectors` matches a series of `tenant`.
    fn matching(&self, tenant: &Tenant, selectors: &[Vec<Matcher>]) -> Box<dyn Fn(&Series) -> bool + Send> {
        // A partition that comes later has nothing from before the call.
        let number = self.head().find_partition(tenant).map(|partition| partition.number);
        let selectors = selectors.to_vec();
        Box::new(move |series| {
            number == Some(series.partition)
                && selectors.iter().any(|matchers| Matcher::all_match(matchers, &series.labels))
        })
    }

    /// Frees the space of what was deleted, by writing the files anew that have some of it.
    ///
    /// # Errors
    /// The first failure; the other files were written.
    pub async fn clean_tombstones(&self) -> Result<(), Error> {
        self.compactor.run(Extent::Tombstones).await
    }

    /// Copies the store as it stands into a folder below `snapshots`, most of it by second names of the same files;
    /// gives the folder's name. Unless `skip_head`, what is only in memory and log is flushed before.
    ///
    /// # Errors
    /// Of the disk; nothing is left then.
    pub async fn snapshot(&self, skip_head: bool) -> Result<String, Error> {
        if !skip_head {
            self.flush().await?;
        }
        let compactor = self.compactor.clone();
        tokio::task::spawn_blocking(move || compactor.snapshot()).await.map_err(|_| Error::Stopped)?
    }

    /// All parts and blocks, oldest first.
    #[must_use]
    pub fn blocks(&self) -> Vec<BlockStatus> {
        self.compactor.blocks()
    }

    /// Changes what is kept, as [`crate::Options::retention_ms`] and [`crate::Options::retention_bytes`]. Keeping less
    /// is enforced by the next run; keeping more does not bring back what was dropped.
    pub fn set_retention(&self, retention_ms: Option<i64>, retention_bytes: Option<u64>) {
        self.compactor.set_retention(|retention| {
            (retention.keep_ms, retention.bytes_max) = (retention_ms, retention_bytes);
        });
        self.note_retention();
    }

    /// Series that are kept longer or shorter than the rest; the first rule that matches a series decides.
    pub fn set_retention_rules(&self, rules: Vec<RetentionRule>) {
        self.compactor.set_retention(|retention| retention.rules = rules);
        self.note_retention();
    }

    /// The head takes and keeps what anything is kept for.
    fn note_retention(&self) {
        let retention = self.compactor.retention();
        *self.head().retention.write() = (retention.longest_ms(), retention.bytes_max);
    }
}
