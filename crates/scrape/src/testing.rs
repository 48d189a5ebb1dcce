//! What tests of this crate share.

use std::path::{Path, PathBuf};

/// Where a folder of the corpora is, or `None` with a loud word.
#[allow(clippy::print_stderr)] // a test that was skipped must be seen
pub(crate) fn corpora(folder: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let root = std::env::var("NAVE_CORPORA").unwrap_or_else(|_| default.to_owned());
    let path = Path::new(&root).join(folder);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "corpora not found at {}", path.display());
    eprintln!("SKIPPED: corpora not found at {}", path.display());
    None
}
