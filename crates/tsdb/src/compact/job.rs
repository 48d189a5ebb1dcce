//! One job from plan to commit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use nave_block::{BlockId, Meta, Options, SeqRange};
use nave_model::label::Labels;
use tokio::runtime::Handle;

use super::merge::{Input, Output, Report, Store, merge};
use super::plan::{FileView, Job, Policy, Why, plan};
use super::throttle::Throttle;
use super::{Compactor, Extent};
use crate::catalog::{Entry, Version};
use crate::error::Error;

/// Bytes of label index per series, for the guess of what a merge will write.
const INDEX_BYTES: u64 = 60;
/// Days are put together only where they are at most this part of what is kept.
const DAYS_KEPT_MIN: i64 = 5;
/// After a failure: the first pause, and the longest.
const RETRY: Duration = Duration::from_secs(60);
const RETRY_MAX: Duration = Duration::from_secs(3600);

impl Compactor {
    /// The most urgent job that did not just fail.
    pub(super) fn next_job(&self, extent: Extent) -> Option<Job> {
        let now = self.clock.monotonic();
        let jobs = self.due(extent);
        let memory = self.memory.lock();
        let is_wanted = |job: &Job| match memory.failed.get(&job.inputs[0]) {
            Some((_, retry)) if now < *retry => false,
            _ => extent != Extent::Tombstones || job.why == Why::Stale,
        };
        jobs.into_iter().find(is_wanted)
    }

    /// Whether closed windows wait for each other. Until they are merged, their parts hold the numbers of series that are
    /// long gone, which is memory.
    pub(super) fn is_behind(&self) -> bool {
        let jobs = self.due(Extent::Due);
        let mut closed = jobs.iter().filter(|job| job.why == Why::Closed).map(|job| &job.tenant);
        let mut seen = HashSet::new();
        closed.any(|tenant| !seen.insert(tenant))
    }

    /// All that is due, most urgent first.
    fn due(&self, extent: Extent) -> Vec<Job> {
        let files = self.views(&self.catalog.version(), extent);
        plan(&files, self.clock.now_ms(), &self.policy(extent))
    }

    fn policy(&self, extent: Extent) -> Policy {
        let retention = self.retention();
        let mut policy = Policy { unflushed_min_ms: (self.hooks.unflushed_min_ms)(), ..Policy::default() };
        policy.everything = extent == Extent::Everything;
        if retention.longest_ms().is_some_and(|kept| kept < DAYS_KEPT_MIN * crate::catalog::DAY_MS) {
            policy.day_after_ms = None;
        }
        if let Some(limit) = retention.bytes_max {
            policy.input_bytes_max = limit / 4;
        }
        if extent == Extent::Tombstones {
            policy = Policy { open_parts_max: usize::MAX, files_max: usize::MAX, ..policy };
            policy.day_after_ms = None;
            policy.grace_ms = i64::MAX;
        }
        policy
    }

    fn views(&self, version: &Version, extent: Extent) -> Vec<FileView> {
        let unreadable = self.memory.lock().unreadable.clone();
        let readable = version.files.iter().filter(|entry| !unreadable.contains(&entry.meta.id));
        readable.map(|entry| self.view(version, entry, extent)).collect()
    }

    fn view(&self, version: &Version, entry: &Entry, extent: Extent) -> FileView {
        let meta = &entry.meta;
        FileView {
            id: meta.id,
            tenant: meta.tenant.clone(),
            kind: meta.kind,
            window: entry.window,
            seq: meta.seq,
            bytes: entry.bytes,
            made_ms: i64::try_from(meta.id.0 >> 80).unwrap_or(0),
            hot: version.is_hot(entry),
            stale: self.hides(version, entry, extent) || self.is_ruled_out(entry),
        }
    }

    /// Merges and commits. When something else took an input meanwhile, nothing happens.
    pub(super) fn run_job(&self, job: &Job, runtime: &Handle) -> Result<(), Error> {
        let version = self.catalog.version();
        let find = |id: &BlockId| version.files.iter().find(|entry| entry.meta.id == *id).cloned();
        let Some(entries) = job.inputs.iter().map(find).collect::<Option<Vec<_>>>() else { return Ok(()) };
        let Some(inputs) = self.open(&version, &entries)? else { return Ok(()) };
        self.check_room(&entries)?;
        let start = self.clock.monotonic();
        let (id, path) = self.catalog.new_path(job.kind);
        let options = options(job, &entries);
        let output = Output { disk: self.disk.clone(), path, id, options };
        let report = self.merge(job, &inputs, &output, runtime)?;
        self.commit(job, &entries, &report, &output)?;
        self.note_clean(&inputs, &report);
        self.report(job, &entries, &report, self.clock.monotonic().saturating_sub(start));
        Ok(())
    }

    /// `None` when one of them is damaged, which is remembered, so that the next plan goes without it. A failure of
    /// the disk may pass.
    fn open(&self, version: &Version, entries: &[Arc<Entry>]) -> Result<Option<Vec<Input>>, Error> {
        let mut inputs = Vec::new();
        let mut readable = true;
        for entry in entries {
            match entry.block() {
                Ok(block) => {
                    let tombstones = super::clean::of(version, entry).cloned().collect();
                    inputs.push(Input { block, path: entry.path.clone(), tombstones });
                }
                Err(error) if matches!(*error, nave_block::Error::Io { .. }) => {
                    let message = format!("{}: {error}", entry.path.display());
                    return Err(Error::folder(&self.dir, &std::io::Error::other(message)));
                }
                Err(error) => {
                    readable = false;
                    self.metrics.damaged_pages.inc();
                    self.memory.lock().unreadable.insert(entry.meta.id);
                    let path = entry.path.display();
                    tracing::error!(component = "tsdb", %path, %error, "file cannot be read and is left as it is");
                }
            }
        }
        Ok(readable.then_some(inputs))
    }

    fn check_room(&self, entries: &[Arc<Entry>]) -> Result<(), Error> {
        let space = self.room.look().map_err(|error| Error::folder(&self.dir, &error))?;
        let series = entries.iter().map(|entry| u64::from(entry.meta.series)).max().unwrap_or(0);
        let wanted = entries.iter().map(|entry| entry.bytes).sum::<u64>() + series * INDEX_BYTES;
        if self.room.allows(space, self.retention().bytes_max, wanted) {
            return Ok(());
        }
        self.metrics.skipped.inc();
        Err(Error::NoRoom { wanted, used: space.used, free: space.free })
    }

    fn merge(&self, job: &Job, inputs: &[Input], output: &Output, runtime: &Handle) -> Result<Report, Error> {
        let retention = self.retention();
        let expired = retention.expired(job.window.end_ms, self.clock.now_ms());
        let store = Store {
            labels_of: &*self.hooks.labels_of,
            is_kept: &|labels: &Labels| expired.as_ref().is_none_or(|expired| expired.keeps(labels)),
            wrote: &|columns| self.metrics.note_series(columns),
        };
        let (clock, stop) = (self.clock.clone(), self.stop.clone());
        let behind = || self.is_behind();
        let mut throttle = Throttle::new(clock, runtime.clone(), stop, &*self.hooks.is_busy, &behind);
        let report = merge(inputs, output, &store, &mut throttle);
        self.metrics.rested.add(throttle.rested.as_secs_f64());
        report
    }

    fn commit(
        &self,
        job: &Job,
        entries: &[Arc<Entry>],
        report: &Report,
        output: &Output,
    ) -> Result<(), Error> {
        let entry = |meta: &Meta| self.catalog.entry(meta.clone(), job.window, true);
        let fresh = report.meta.as_ref().map(entry).transpose()?;
        let committed = self.catalog.commit(|edit| {
            entries.iter().for_each(|entry| edit.remove(entry.meta.id));
            if let Some(fresh) = fresh {
                edit.add(fresh);
            }
        });
        if committed.is_err() && report.meta.is_some() {
            self.catalog.discard(&output.path);
        }
        committed.map(drop)
    }

    fn report(&self, job: &Job, entries: &[Arc<Entry>], report: &Report, took: Duration) {
        let metrics = &self.metrics;
        let bytes_in: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let version = self.catalog.version();
        let fresh = report.meta.as_ref().and_then(|meta| version.files.iter().find(|e| e.meta.id == meta.id));
        let bytes = fresh.map_or(0, |entry| entry.bytes);
        let (series, samples) = report.meta.as_ref().map_or((0, 0), |meta| (meta.series, meta.samples));
        metrics.compactions.inc();
        metrics.duration.observe_duration(took);
        if job.why == Why::Stale {
            metrics.cleanup.observe_duration(took);
        }
        if series > 0 {
            metrics.chunk_bytes.observe(bytes as f64 / f64::from(series));
        }
        metrics.input_bytes.add(bytes_in as f64);
        metrics.output_bytes.add(bytes as f64);
        metrics.conflicts.add(report.conflicts as f64);
        metrics.duplicates.add(report.duplicates as f64);
        metrics.expired_series.add(report.expired_series as f64);
        metrics.damaged_pages.add(report.damages.len() as f64);
        let (files, seconds) = (entries.len(), took.as_secs_f64());
        let (why, start_ms) = (format!("{:?}", job.why), job.window.start_ms);
        tracing::info!(
            component = "tsdb",
            why,
            start_ms,
            files,
            bytes_in,
            series,
            samples,
            bytes,
            seconds,
            "files merged"
        );
        report.warn();
    }

    /// A failed job waits, longer each time, so that it does not keep others from their turn.
    pub(super) fn note_outcome(&self, job: &Job, result: &Result<(), Error>) {
        let mut memory = self.memory.lock();
        match result {
            Ok(()) => _ = memory.failed.remove(&job.inputs[0]),
            Err(Error::Stopped) => {}
            Err(error) => {
                let now = self.clock.monotonic();
                let entry = memory.failed.entry(job.inputs[0]).or_insert((0, now));
                entry.0 = entry.0.saturating_add(1);
                entry.1 = now + RETRY.saturating_mul(1 << entry.0.min(10).saturating_sub(1)).min(RETRY_MAX);
                if !matches!(error, Error::NoRoom { .. }) {
                    self.metrics.failed.inc();
                }
                let (why, start_ms) = (format!("{:?}", job.why), job.window.start_ms);
                tracing::error!(component = "tsdb", why, start_ms, %error, "compaction failed; it is tried again later");
            }
        }
    }
}

fn options(job: &Job, entries: &[Arc<Entry>]) -> Options {
    let lo = entries.iter().map(|entry| entry.meta.seq.lo).min().unwrap_or(0);
    let hi = entries.iter().map(|entry| entry.meta.seq.hi).max().unwrap_or(0);
    let (tenant, kind) = (job.tenant.clone(), job.kind);
    Options { tenant, seq: SeqRange { lo, hi }, kind, ..Options::default() }
}

impl Report {
    /// What somebody should know.
    fn warn(&self) {
        for damage in self.damages.iter().take(20) {
            tracing::error!(component = "tsdb", damage, "damaged: left out of the merged file");
        }
        if self.damages.len() > 20 {
            tracing::error!(component = "tsdb", damages = self.damages.len(), "more was damaged");
        }
        if self.conflicts > 0 {
            let named: Vec<_> =
                self.conflicting.iter().map(|(labels, count)| format!("{labels}: {count}")).collect();
            let (samples, series) = (self.conflicts, self.conflicting_series);
            tracing::warn!(
                component = "tsdb",
                samples,
                series,
                first = named.join("; "),
                "samples dropped: another value was written first for their time"
            );
        }
    }
}
