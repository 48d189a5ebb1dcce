//! Follows the files that only Nave knows: they are looked at every few seconds, and tried again when their text changes.

use std::path::Path;
use std::time::Duration;

use arc_swap::ArcSwap;
use nave_base::Shutdown;
use nave_base::clock::SharedClock;

/// How often a file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Calls `changed` whenever the text of `path` is not the one in `seen`, until the shutdown.
pub(super) async fn follow(
    path: &Path,
    seen: &ArcSwap<String>,
    clock: &SharedClock,
    shutdown: &Shutdown,
    changed: impl Fn(),
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock.sleep(LOOK_EVERY) => {}
        }
        // Half a write looks like a change; a file that is away for a moment does not.
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        if **seen.load() != text {
            changed();
        }
    }
}
