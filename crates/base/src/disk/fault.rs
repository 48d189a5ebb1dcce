//! A disk in memory that goes wrong on purpose, the same way for the same seed and the same operations.
//!
//! It fails reads, writes, syncs and changes of names, flips bits, is slow on a fake clock, fills up, and loses its
//! power between or amid any two operations. [`FaultDisk::incidents`] tells what it did.
//!
//! What a power cut leaves ([`FaultDisk::after_power_cut`]): everything synced; of the rest any prefix of the bytes,
//! or sectors of zeros and garbage among them, and any of the names. What a failed sync covered is never safe.
//! Nothing here imitates a disk that lies about a sync that succeeded.

mod plan;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use fastrand::Rng;
use parking_lot::{Condvar, Mutex, MutexGuard};

use self::plan::Class;
use self::tree::{Shared, Tree};
use super::{Disk, Entry, File, Lock};
use crate::clock::FakeClock;

pub use plan::{Faults, Incident, What};

/// The disk; clones are the same disk.
#[derive(Debug, Clone)]
pub struct FaultDisk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Somebody waits at the gate, or the gate was opened.
    gate: Condvar,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    dice: Rng,
    clock: Option<Arc<FakeClock>>,
    faults: Faults,
    limit: Option<usize>,
    /// Operations until the power goes.
    left: Option<u64>,
    down: bool,
    operations: u64,
    incidents: Vec<Incident>,
    locks: Vec<(PathBuf, Weak<()>)>,
    gate_closed: bool,
    at_gate: usize,
}

/// How an operation goes.
enum Verdict {
    Well,
    /// It fails now, perhaps half done.
    Fails(io::Error),
    /// The power is gone; nothing happens any more.
    Down(io::Error),
}

impl FaultDisk {
    /// An empty disk without faults. Slow operations move `clock`.
    #[must_use]
    pub fn new(seed: u64, clock: Option<Arc<FakeClock>>) -> Self {
        Self::with(Tree::default(), Rng::with_seed(seed), clock)
    }

    fn with(tree: Tree, dice: Rng, clock: Option<Arc<FakeClock>>) -> Self {
        let state = State {
            tree,
            dice,
            clock,
            faults: Faults::default(),
            limit: None,
            left: None,
            down: false,
            operations: 0,
            incidents: Vec::new(),
            locks: Vec::new(),
            gate_closed: false,
            at_gate: 0,
        };
        Self(Arc::new(Inner { state: Mutex::new(state), gate: Condvar::new() }))
    }

    /// Throws other dice from now on, so that what a step does is not a matter of those before it.
    pub fn reseed(&self, seed: u64) {
        self.0.state.lock().dice = Rng::with_seed(seed);
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.0.state.lock().faults = faults;
    }

    /// From now on all files together may hold `bytes`; `None` lifts the limit.
    pub fn set_limit(&self, bytes: Option<usize>) {
        self.0.state.lock().limit = bytes;
    }

    /// The faults that are set, and whether there is a limit.
    #[must_use]
    pub fn trouble(&self) -> (Faults, bool) {
        let state = self.0.state.lock();
        (state.faults, state.limit.is_some())
    }

    /// Bytes of all files.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.state.lock().tree.used()
    }

    /// The power goes in the middle of the operation that follows `operations` more; `None` takes it back.
    pub fn cut_power_after(&self, operations: Option<u64>) {
        self.0.state.lock().left = operations;
    }

    /// Whether the power is gone: every operation fails, and nothing changes any more.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.0.state.lock().down
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.state.lock().operations
    }

    /// What went wrong so far.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        self.0.state.lock().incidents.clone()
    }

    /// The disk once the power is back, without faults; this one is down from now on.
    #[must_use]
    pub fn after_power_cut(&self) -> Self {
        let mut state = self.0.state.lock();
        state.down = true;
        let mut dice = state.dice.fork();
        let tree = state.tree.after_power_cut(&mut dice);
        let disk = Self::with(tree, dice, state.clock.clone());
        disk.set_limit(state.limit);
        self.0.gate.notify_all();
        disk
    }

    /// The disk as the next process finds it when this one was killed: all that was written, durable or not.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let mut state = self.0.state.lock();
        state.down = true;
        let mut dice = state.dice.fork();
        let tree = state.tree.after_kill(&mut dice);
        let disk = Self::with(tree, dice, state.clock.clone());
        disk.set_limit(state.limit);
        self.0.gate.notify_all();
        disk
    }

    /// Flips a bit of one of the files that `pick` wants, chosen by their size, for good.
    pub fn rot(&self, mut pick: impl FnMut(&Path) -> bool) -> Option<Incident> {
        let mut guard = self.0.state.lock();
        let state = &mut *guard;
        let mut files: Vec<_> = state.tree.names.iter().filter(|(path, _)| pick(path)).collect();
        files.sort_by_key(|(_, node)| node.lock().number);
        let total: usize = files.iter().map(|(_, node)| node.lock().bytes.len()).sum();
        if total == 0 {
            return None;
        }
        let mut at = state.dice.usize(..total);
        for (path, node) in files {
            let mut node = node.lock();
            if at < node.bytes.len() {
                let mask = 1 << state.dice.u8(..8);
                node.bytes[at] ^= mask;
                let what = What::Rotted { offset: at as u64, mask };
                let incident = Incident { operation: state.operations, path: path.clone(), what };
                state.incidents.push(incident.clone());
                return Some(incident);
            }
            at -= node.bytes.len();
        }
        None
    }

    /// Flips the bits of `mask` in a byte of a file, for good; whether there is such a byte.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> bool {
        let state = self.0.state.lock();
        let Some(node) = state.tree.names.get(path) else { return false };
        let mut node = node.lock();
        let byte = usize::try_from(offset).ok().and_then(|at| node.bytes.get_mut(at));
        byte.map(|byte| *byte ^= mask).is_some()
    }

    /// All files in the folder `dir` with their bytes, as a process that runs now would read them: neither an operation
    /// nor subject to faults.
    #[must_use]
    pub fn peek(&self, dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.0.state.lock();
        let inside = state.tree.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        inside.map(|(path, node)| (path.clone(), node.lock().bytes.clone())).collect()
    }

    /// Whoever appends or syncs waits from now on, until [`FaultDisk::release`].
    pub fn hold(&self) {
        self.0.state.lock().gate_closed = true;
    }

    /// Blocks until somebody waits; with [`FaultDisk::hold`] this puts threads into a known order.
    pub fn wait_for_held(&self) {
        let mut state = self.0.state.lock();
        while state.at_gate == 0 && state.gate_closed && !state.down {
            self.0.gate.wait(&mut state);
        }
    }

    /// Lets all go on.
    pub fn release(&self) {
        self.0.state.lock().gate_closed = false;
        self.0.gate.notify_all();
    }

    fn pass_gate(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.state.lock();
        while state.gate_closed && !state.down {
            state.at_gate += 1;
            self.0.gate.notify_all();
            self.0.gate.wait(&mut state);
            state.at_gate -= 1;
        }
        state
    }

    /// An operation on a name: all of it happens, or nothing and an error. The power may go before or after it.
    fn on_name<T>(
        &self,
        doing: (Class, &'static str),
        path: &Path,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.0.state.lock();
        match state.judge(&self.0.gate, doing, path) {
            Verdict::Well => work(&mut state),
            Verdict::Fails(error) => {
                if state.down && state.dice.bool() {
                    // Too late for anybody to hear of it.
                    let _ = work(&mut state);
                }
                Err(error)
            }
            Verdict::Down(error) => Err(error),
        }
    }
}

impl State {
    fn judge(&mut self, gate: &Condvar, (class, doing): (Class, &'static str), path: &Path) -> Verdict {
        if self.down {
            return Verdict::Down(io::Error::other("the power is cut"));
        }
        self.operations += 1;
        if self.left == Some(0) {
            self.down = true;
            gate.notify_all();
            self.note(path, What::PowerCut(doing));
            return Verdict::Fails(io::Error::other("the power is cut"));
        }
        self.left = self.left.map(|left| left - 1);
        if self.rolls(self.faults.slow) {
            let ms = self.dice.u32(..=self.faults.slow_ms_max);
            self.note(path, What::Slow { ms });
            if let Some(clock) = &self.clock {
                clock.advance(Duration::from_millis(ms.into()));
            }
        }
        if self.rolls(self.faults.rate(class)) {
            self.note(path, What::Failed(doing));
            return Verdict::Fails(io::Error::other(format!(
                "input/output error: {doing} failed on purpose"
            )));
        }
        Verdict::Well
    }

    /// Without a rate no die is thrown.
    fn rolls(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.dice.u16(..1000) < per_mille
    }

    fn note(&mut self, path: &Path, what: What) {
        self.incidents.push(Incident { operation: self.operations, path: path.to_owned(), what });
    }

    fn room(&self) -> usize {
        self.limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.tree.used()))
    }

    fn full(&mut self, path: &Path) -> io::Error {
        self.note(path, What::Full);
        io::ErrorKind::StorageFull.into()
    }

    fn find(&self, path: &Path) -> io::Result<Shared> {
        self.tree.names.get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn need_folder(&self, path: &Path) -> io::Result<()> {
        let there = path.parent().is_some_and(|dir| self.tree.dirs.contains(dir));
        if there { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn open_or_make(&mut self, path: &Path) -> io::Result<Shared> {
        if let Ok(node) = self.find(path) {
            return Ok(node);
        }
        self.need_folder(path)?;
        if self.room() == 0 {
            return Err(self.full(path));
        }
        Ok(self.tree.make(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        if !self.tree.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let here = |path: &Path| path.parent() == Some(dir);
        let folders = self.tree.dirs.iter().filter(|path| here(path));
        let folders = folders.map(|path| Entry { name: name(path), len: 0, is_dir: true });
        let files = self.tree.names.iter().filter(|(path, _)| here(path)).map(|(path, node)| {
            let len = node.lock().bytes.len() as u64;
            Entry { name: name(path), len, is_dir: false }
        });
        let mut entries: Vec<_> = folders.chain(files).collect();
        entries.sort();
        Ok(entries)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        self.need_folder(to)?;
        self.tree.change(vec![(from.to_owned(), None), (to.to_owned(), Some(node))]);
        Ok(())
    }

    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        self.need_folder(to)?;
        if self.tree.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.tree.change(vec![(to.to_owned(), Some(node))]);
        Ok(())
    }

    fn lock(&mut self, path: &Path) -> io::Result<Lock> {
        self.locks.retain(|(_, held)| held.strong_count() > 0);
        if self.locks.iter().any(|(locked, _)| locked == path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.open_or_make(path)?;
        let held = Arc::new(());
        self.locks.push((path.to_owned(), Arc::downgrade(&held)));
        Ok(Lock { _held: Box::new(held) })
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let node = self.on_name((Class::Read, "opening"), path, |state| state.find(path))?;
        Ok(Arc::new(Handle { disk: self.clone(), path: path.to_owned(), node }))
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let node = self.on_name((Class::Name, "opening for appending"), path, |s| s.open_or_make(path))?;
        Ok(Arc::new(Handle { disk: self.clone(), path: path.to_owned(), node }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.on_name((Class::Read, "listing"), dir, |state| state.list(dir))
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.on_name((Class::Name, "making a folder"), dir, |state| {
            state.tree.dirs.extend(dir.ancestors().map(Path::to_owned));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.on_name((Class::Name, "removing"), path, |state| {
            state.find(path)?;
            state.tree.change(vec![(path.to_owned(), None)]);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.on_name((Class::Name, "renaming"), from, |state| state.rename(from, to))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.on_name((Class::Name, "syncing a folder"), dir, |state| {
            state.tree.sync_dir(dir);
            Ok(())
        })
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.0.state.lock().room() as u64)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.on_name((Class::Name, "linking"), from, |state| state.link(from, to))
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        self.on_name((Class::Name, "locking"), path, |state| state.lock(path))
    }
}

#[derive(Debug)]
struct Handle {
    disk: FaultDisk,
    path: PathBuf,
    node: Shared,
}

impl File for Handle {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.pass_gate();
        let (part, result) = match state.judge(&self.disk.0.gate, (Class::Write, "appending"), &self.path) {
            Verdict::Well if state.room() < bytes.len() => (state.room(), Err(state.full(&self.path))),
            Verdict::Well => (bytes.len(), Ok(())),
            Verdict::Fails(error) => {
                let part = state.dice.usize(..=bytes.len());
                (part.min(state.room()), Err(error))
            }
            Verdict::Down(error) => (0, Err(error)),
        };
        self.node.lock().bytes.extend_from_slice(&bytes[..part]);
        result
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.0.state.lock();
        match state.judge(&self.disk.0.gate, (Class::Read, "reading"), &self.path) {
            Verdict::Well => {}
            Verdict::Fails(error) | Verdict::Down(error) => return Err(error),
        }
        let node = self.node.lock();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(node.bytes.len());
        let len = buffer.len().min(node.bytes.len() - start);
        buffer[..len].copy_from_slice(&node.bytes[start..start + len]);
        if len > 0 && state.faults.flips > 0 && state.dice.u16(..1000) < state.faults.flips {
            let at = state.dice.usize(..len);
            buffer[at] ^= 1 << state.dice.u8(..8);
            state.note(&self.path, What::FlippedRead { offset: (start + at) as u64 });
        }
        Ok(len)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.pass_gate();
        let mut node = self.node.lock();
        match state.judge(&self.disk.0.gate, (Class::Sync, "syncing"), &self.path) {
            Verdict::Well => {
                node.sync();
                Ok(())
            }
            Verdict::Fails(error) => {
                if !state.down {
                    node.fail_sync();
                } else if state.dice.bool() {
                    node.sync();
                }
                Err(error)
            }
            Verdict::Down(error) => Err(error),
        }
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.0.state.lock();
        match state.judge(&self.disk.0.gate, (Class::Read, "asking for the length"), &self.path) {
            Verdict::Well => Ok(self.node.lock().bytes.len() as u64),
            Verdict::Fails(error) | Verdict::Down(error) => Err(error),
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.disk.on_name((Class::Write, "cutting"), &self.path, |_| {
            self.node.lock().truncate(len);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
