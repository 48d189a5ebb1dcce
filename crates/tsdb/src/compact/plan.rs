//! What to merge next: a pure function of the files, the time and the policy.
//!
//! Files of one tenant and window stand in order of `lo`; only neighbours are merged, so that ranges of flushes never
//! interleave. Where a day has a file of its own, all files of that day are one window.
//!
//! - An **open** window only has its parts put together when there are many of them that memory has given up.
//! - A **closed** window becomes one block, when memory has given it up too. What comes later stays in parts until there are several or they are old,
//!   then becomes a small block that swallows its older neighbours only while they are not much larger: each
//!   sample is written again a logarithmic number of times, and series numbers of parts are given free.
//! - A **day** whose windows are closed for long becomes one block.

use std::collections::BTreeMap;
use std::ops::Range;

use nave_block::{BlockId, FileKind, SeqRange};

use crate::catalog::{DAY_MS, Window};

const HOUR_MS: i64 = 3_600_000;

/// A file as the planner sees it.
#[derive(Debug, Clone)]
pub(crate) struct FileView {
    pub(crate) id: BlockId,
    pub(crate) tenant: String,
    pub(crate) kind: FileKind,
    pub(crate) window: Window,
    pub(crate) seq: SeqRange,
    pub(crate) bytes: u64,
    /// When it was made, in ms.
    pub(crate) made_ms: i64,
    /// Whether memory has all of it, so that readers need not open it; what is merged they must.
    pub(crate) hot: bool,
    /// Whether a tombstone or an expired rule asks that it be written again.
    pub(crate) stale: bool,
}

/// When what is merged.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// How long after its end a window is expected to get samples in the ordinary way, in ms.
    pub(crate) grace_ms: i64,
    /// Oldest sample that is in no file yet, in ms; a window at or behind it is not closed.
    pub(crate) unflushed_min_ms: i64,
    /// Parts of an open window.
    pub(crate) open_parts_max: usize,
    /// Late parts of a closed window.
    pub(crate) late_parts_max: usize,
    /// Age of a late part, in ms.
    pub(crate) late_age_max_ms: i64,
    /// Files of a closed window.
    pub(crate) files_max: usize,
    /// A neighbour joins a merge when it has at most this many times the bytes of what is merged already.
    pub(crate) ratio: u64,
    /// How long after its end a day becomes one block, in ms; `None`: never.
    pub(crate) day_after_ms: Option<i64>,
    /// Bytes that the inputs of one merge may have.
    pub(crate) input_bytes_max: u64,
    /// Everything that can be merged is, whatever its age.
    pub(crate) everything: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            grace_ms: HOUR_MS / 4,
            unflushed_min_ms: i64::MAX,
            open_parts_max: 16,
            late_parts_max: 8,
            late_age_max_ms: 2 * HOUR_MS,
            files_max: 8,
            ratio: 2,
            day_after_ms: Some(6 * HOUR_MS),
            input_bytes_max: u64::MAX,
            everything: false,
        }
    }
}

/// Why a merge is due, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// An open window has many parts.
    ManyParts,
    /// The window is closed and has no block yet.
    Closed,
    /// Late parts.
    Late,
    /// Too many files.
    ManyFiles,
    /// Deleted or expired samples are in it.
    Stale,
    /// The day is over.
    Day,
}

/// One merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) why: Why,
    pub(crate) tenant: String,
    /// The window of the output.
    pub(crate) window: Window,
    /// The kind of the output.
    pub(crate) kind: FileKind,
    /// In order of `lo`.
    pub(crate) inputs: Vec<BlockId>,
}

/// All merges that are due, most urgent first, of each window at most one. Damaged files are not handed in.
pub(crate) fn plan(files: &[FileView], now_ms: i64, policy: &Policy) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (tenant, days) in by_day(files) {
        for (day, files) in days {
            plan_day(&tenant, day, &files, now_ms, policy, &mut jobs);
        }
    }
    jobs.sort_by_key(|job| (job.why, job.window));
    jobs
}

type Files<'a> = Vec<&'a FileView>;

fn by_day(files: &[FileView]) -> BTreeMap<String, BTreeMap<Window, Files<'_>>> {
    let mut all: BTreeMap<String, BTreeMap<Window, Files<'_>>> = BTreeMap::new();
    for file in files {
        let day = Window::aligned(file.window.start_ms, DAY_MS);
        all.entry(file.tenant.clone()).or_default().entry(day).or_default().push(file);
    }
    let days = all.values_mut().flat_map(BTreeMap::values_mut);
    days.for_each(|files| files.sort_by_key(|file| (file.seq.lo, file.seq.hi, file.id)));
    all
}

fn plan_day(tenant: &str, day: Window, files: &Files<'_>, now: i64, policy: &Policy, jobs: &mut Vec<Job>) {
    let begin = jobs.len();
    if files.iter().any(|file| file.window == day) {
        jobs.extend(plan_window(tenant, day, files, now, policy));
        return;
    }
    let mut windows: BTreeMap<Window, Files<'_>> = BTreeMap::new();
    files.iter().for_each(|file| windows.entry(file.window).or_default().push(*file));
    if windows.len() > 1 && policy.day_after_ms.is_some_and(|after| is_over(day, after, now, policy)) {
        let whole = job(Why::Day, tenant, day, FileKind::Block, files);
        if fits(files, policy) {
            jobs.push(whole);
            return;
        }
    }
    for (window, files) in windows {
        jobs.extend(plan_window(tenant, window, &files, now, policy));
    }
    debug_assert!(jobs[begin..].iter().all(|job| !job.inputs.is_empty()));
}

fn plan_window(tenant: &str, window: Window, files: &Files<'_>, now: i64, policy: &Policy) -> Option<Job> {
    let due = match is_over(window, policy.grace_ms, now, policy) {
        _ if policy.everything => everything(files),
        true if files.iter().any(|file| file.hot) => None,
        true => closed(files, now, policy),
        false => open(files, policy),
    };
    if let Some((why, run)) = due
        && fits(&files[run.clone()], policy)
    {
        let run = &files[run];
        let only_parts = why == Why::ManyParts && run.iter().all(|file| file.kind == FileKind::Part);
        let kind = if only_parts { FileKind::Part } else { FileKind::Block };
        return Some(job(why, tenant, window, kind, run));
    }
    let stale = files.iter().position(|file| file.stale && file.bytes <= policy.input_bytes_max)?;
    Some(job(Why::Stale, tenant, window, files[stale].kind, &files[stale..=stale]))
}

fn job(why: Why, tenant: &str, window: Window, kind: FileKind, files: &[&FileView]) -> Job {
    let inputs = files.iter().map(|file| file.id).collect();
    Job { why, tenant: tenant.to_owned(), window, kind, inputs }
}

fn is_over(window: Window, grace_ms: i64, now: i64, policy: &Policy) -> bool {
    now >= window.end_ms.saturating_add(grace_ms) && policy.unflushed_min_ms >= window.end_ms
}

fn fits(files: &[&FileView], policy: &Policy) -> bool {
    files.iter().map(|file| file.bytes).sum::<u64>() <= policy.input_bytes_max
}

/// Which files are merged.
type Due = Option<(Why, Range<usize>)>;

fn everything(files: &[&FileView]) -> Due {
    (files.len() > 1 || parts(files) > 0).then_some((Why::Closed, 0..files.len()))
}

fn open(files: &[&FileView], policy: &Policy) -> Due {
    // A block may be here when everything was merged by hand; parts behind it stay parts.
    let end = files.iter().position(|file| file.hot).unwrap_or(files.len());
    let files = &files[..end];
    let first = first_part(files);
    let parts = end - first;
    if parts <= policy.open_parts_max {
        return None;
    }
    let at = widen(files, end - parts / 2, policy.ratio).max(first);
    Some((Why::ManyParts, at..end))
}

fn closed(files: &[&FileView], now: i64, policy: &Policy) -> Due {
    let parts = parts(files);
    if parts == files.len() {
        return Some((Why::Closed, 0..files.len()));
    }
    let first = first_part(files);
    let old = files[first..].iter().any(|part| now.saturating_sub(part.made_ms) >= policy.late_age_max_ms);
    if parts > 0 && (old || files.len() - first >= policy.late_parts_max) {
        return Some((Why::Late, widen(files, first, policy.ratio)..files.len()));
    }
    if files.len() > policy.files_max {
        let at = files.len() - policy.files_max.div_ceil(2) - 1;
        return Some((Why::ManyFiles, widen(files, at, policy.ratio)..files.len()));
    }
    None
}

fn parts(files: &[&FileView]) -> usize {
    files.iter().filter(|file| file.kind == FileKind::Part).count()
}

/// Where the parts begin behind which there is no block.
fn first_part(files: &[&FileView]) -> usize {
    files.iter().rposition(|file| file.kind == FileKind::Block).map_or(0, |last| last + 1)
}

/// Takes in older neighbours while they are not much larger than what is merged already.
fn widen(files: &[&FileView], mut at: usize, ratio: u64) -> usize {
    let mut bytes: u64 = files[at..].iter().map(|file| file.bytes).sum();
    while at > 0 && files[at - 1].bytes <= bytes.saturating_mul(ratio) {
        at -= 1;
        bytes += files[at].bytes;
    }
    at
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
