//! Which queries run, in a file that outlives the process: after a crash the next start names the suspects.
//!
//! `queries.active` has slots of 1 KiB. A running query has one, with its text (cut to fit) and the time it began, as
//! JSON behind a newline; an ended one leaves blanks. The file is written through the page cache without a sync: it
//! is for a killed process, not for a power cut.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use nave_base::clock::SharedClock;
use nave_promql::{Asked, Follow, QueryError, Stats};
use parking_lot::Mutex;
use serde_json::json;

const FILE: &str = "queries.active";
const SLOT: usize = 1024;
/// Bytes of a query's text that a slot holds; escaped, every byte may take six.
const TEXT_MAX: usize = (SLOT - 64) / 6;
/// Of a file that something else wrote, no more is read.
const SLOTS_MAX: usize = 4096;

/// The queries that run now.
#[derive(Debug)]
pub(crate) struct ActiveQueries {
    clock: SharedClock,
    file: File,
    /// Free slots.
    free: Mutex<Vec<u64>>,
}

impl ActiveQueries {
    /// Names the queries that had not ended when the last process did, and begins anew with `slots` slots.
    ///
    /// # Errors
    /// When the file in `dir` cannot be written.
    pub(crate) fn open(dir: &Path, slots: usize, clock: SharedClock) -> Result<Self> {
        let path = dir.join(FILE);
        let unfinished = unfinished(&path);
        if !unfinished.is_empty() {
            tracing::warn!(
                queries = unfinished.join(", "),
                "these queries did not finish in the last run; one of them may have ended it"
            );
        }
        let context = || format!("cannot write {}", path.display());
        std::fs::create_dir_all(dir).with_context(context)?;
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path);
        let file = file.with_context(context)?;
        let slots = slots.clamp(1, SLOTS_MAX) as u64;
        file.write_all_at(&vec![b' '; slots as usize * SLOT], 0).with_context(context)?;
        Ok(Self { clock, file, free: Mutex::new((1..=slots).rev().collect()) })
    }

    fn write(&self, slot: u64, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(SLOT, b' ');
        // A lost note of a query is no reason to fail it.
        let _ = self.file.write_all_at(&bytes, (slot - 1) * SLOT as u64);
    }
}

/// The numbers are slots; 0 is none.
impl Follow for ActiveQueries {
    fn begun(&self, asked: &Asked) -> u64 {
        let Some(slot) = self.free.lock().pop() else { return 0 };
        let text = &asked.query[..asked.query.floor_char_boundary(TEXT_MAX)];
        let seconds = self.clock.now_ms() / 1000;
        self.write(slot, &format!("\n{}", json!({ "query": text, "timestamp_sec": seconds })));
        slot
    }

    fn ended(&self, slot: u64, _: &Asked, _: Result<&Stats, &QueryError>) {
        if slot > 0 {
            self.write(slot, "");
            self.free.lock().push(slot);
        }
    }
}

/// What the file of the last run names.
fn unfinished(path: &Path) -> Vec<String> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    let mut bytes = vec![0; SLOTS_MAX * SLOT];
    let read = file.read_at(&mut bytes, 0).unwrap_or(0);
    let slots = bytes[..read].chunks(SLOT).map(|slot| String::from_utf8_lossy(slot).trim().to_owned());
    slots.filter(|slot| slot.starts_with('{')).collect()
}

#[cfg(test)]
mod tests {
    use nave_base::clock::FakeClock;
    use nave_model::time::Timestamp;

    use super::*;

    fn asked(query: &str) -> Asked {
        Asked { query: query.into(), start: Timestamp(0), end: Timestamp(0), step_ms: 0, origin: None }
    }

    #[test]
    fn what_runs_is_named_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let open = |slots| ActiveQueries::open(dir.path(), slots, FakeClock::at(1_000)).unwrap();
        let path = dir.path().join(FILE);
        let queries = open(2);
        let (one, two) = (asked("up"), asked(&"\u{1}é".repeat(2000)));
        let (first, second) = (queries.begun(&one), queries.begun(&two));
        assert_eq!(queries.begun(&one), 0, "no slot is left");
        queries.ended(0, &one, Ok(&Stats::default()));
        assert_eq!(unfinished(&path).len(), 2);
        queries.ended(first, &one, Ok(&Stats::default()));
        let left = unfinished(&path);
        assert_eq!(left.len(), 1);
        assert!(left[0].ends_with('}') && left[0].len() < SLOT, "whole: {}", left[0]);
        queries.ended(second, &two, Err(&QueryError::Invalid("no".into())));
        assert_eq!(unfinished(&path), Vec::<String>::new());
        assert_eq!(queries.begun(&one), second, "slots are used again");
        drop(open(2));
        assert_eq!(unfinished(&path), Vec::<String>::new(), "a new start begins anew");
    }
}
