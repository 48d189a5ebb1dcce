//! Damaged places of files that readers met: each is counted and logged once, and each query names its own.

use std::collections::BTreeSet;
use std::path::PathBuf;

use nave_base::metric::{Counter, Registry};
use parking_lot::Mutex;

/// Places that are remembered; more are logged again.
const KNOWN_MAX: usize = 10_000;
/// Places that one answer names.
const NAMED_MAX: usize = 10;

/// What all readers have met.
#[derive(Debug, Default)]
pub(crate) struct Damages {
    known: Mutex<BTreeSet<(PathBuf, String)>>,
    /// Different damaged places.
    pub(crate) pages: Counter,
}

impl Damages {
    /// With its metric.
    pub(crate) fn register(registry: &Registry) -> Self {
        let help = "Damaged places of files that readers met, each counted once.";
        Self { pages: registry.counter("nave_tsdb_damaged_pages_total", help), ..Self::default() }
    }

    /// Counts and logs it when it is met for the first time.
    fn note(&self, path: &std::path::Path, what: &str) {
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        if known.insert((path.to_owned(), what.to_owned())) {
            self.pages.inc();
            let path = path.display();
            tracing::error!(component = "tsdb", %path, what, "damage in a file: its samples are left out, run nave tsdb repair");
        }
    }
}

/// What one query has met.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<BTreeSet<String>>);

impl Warnings {
    /// Adds a damaged place of the file `path`.
    pub(super) fn add(&self, all: &Damages, path: &std::path::Path, what: &str) {
        all.note(path, what);
        let name = path.file_name().unwrap_or(path.as_os_str());
        self.0.lock().insert(format!("{}: {what}; samples are missing", name.display()));
    }

    /// As texts for the user.
    pub(super) fn list(&self) -> Vec<String> {
        let all = self.0.lock();
        let mut named: Vec<String> = all.iter().take(NAMED_MAX).cloned().collect();
        if let Some(more) = all.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            named.push(format!("{more} more damaged places in files; samples are missing"));
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn places_count_once_and_answers_stay_short() {
        let (all, path) = (Damages::default(), Path::new("/data/block/A.part"));
        for _ in 0..2 {
            let warnings = Warnings::default();
            (0..12).for_each(|page| warnings.add(&all, path, &format!("page {page} is damaged")));
            let texts = warnings.list();
            assert_eq!(texts.len(), NAMED_MAX + 1);
            assert_eq!(texts[0], "A.part: page 0 is damaged; samples are missing");
            assert_eq!(texts[NAMED_MAX], "2 more damaged places in files; samples are missing");
        }
        assert_eq!(all.pages.get(), 12.0);
    }
}
