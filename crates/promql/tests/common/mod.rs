//! Where the corpora are.

use std::path::PathBuf;

/// The corpora's folder, or `None` with a loud note; in CI its absence fails.
pub(crate) fn corpora() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let path = std::env::var_os("NAVE_CORPORA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if path.join("promql").is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "corpora not found at {}", path.display());
    note(&format!("SKIPPED: corpora not found at {}", path.display()));
    None
}

/// Writes to stderr past the test harness' capture.
pub(crate) fn note(text: &str) {
    use std::io::Write as _;
    _ = writeln!(std::io::stderr(), "{text}");
}
