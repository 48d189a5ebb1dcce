//! The newest version, and who holds older ones.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Version;

#[derive(Debug)]
pub(super) struct Pins {
    /// One lock for both: a pin on a version is counted before a newer version is published.
    state: Mutex<State>,
    released: Notify,
}

#[derive(Debug)]
struct State {
    newest: Arc<Version>,
    /// How many pins hold which version, by its number.
    held: BTreeMap<u64, usize>,
}

/// A version that stays readable, files and memory, until this is dropped.
#[derive(Debug)]
pub(crate) struct Pin {
    /// What is held.
    pub(crate) version: Arc<Version>,
    pins: Arc<Pins>,
}

impl Pins {
    pub(super) fn new(version: Version) -> Self {
        let state = State { newest: Arc::new(version), held: BTreeMap::new() };
        Self { state: Mutex::new(state), released: Notify::new() }
    }

    pub(super) fn version(&self) -> Arc<Version> {
        self.state.lock().newest.clone()
    }

    pub(super) fn publish(&self, version: Version) -> Arc<Version> {
        let version = Arc::new(version);
        let before = std::mem::replace(&mut self.state.lock().newest, version.clone());
        // Files that only it held are closed here, outside of the lock.
        drop(before);
        version
    }

    pub(super) fn pin(self: &Arc<Self>) -> Pin {
        let mut state = self.state.lock();
        let version = state.newest.clone();
        *state.held.entry(version.number).or_default() += 1;
        Pin { version, pins: self.clone() }
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.state.lock().held.first_key_value().map(|(number, _)| *number)
    }

    pub(super) async fn none_before(&self, number: u64) {
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if self.oldest().is_none_or(|oldest| oldest >= number) {
                return;
            }
            released.await;
        }
    }
}

impl Deref for Pin {
    type Target = Version;
    fn deref(&self) -> &Version {
        &self.version
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.pins.state.lock();
        if let Some(count) = state.held.get_mut(&self.version.number) {
            *count -= 1;
            if *count == 0 {
                state.held.remove(&self.version.number);
            }
        }
        drop(state);
        self.pins.released.notify_waiters();
    }
}
