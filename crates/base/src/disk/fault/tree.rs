//! Names and contents of a [`super::FaultDisk`], how much of them is durable, and what a power cut leaves.
//!
//! A name may be lost until its folder is synced, bytes until their file is. Folders are durable at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A file under any number of names.
pub(super) type Shared = Arc<Mutex<Node>>;

#[derive(Debug, Default)]
pub(super) struct Node {
    /// Counts the files as they are made: names may be random, the order in which they appear is not.
    pub(super) number: u64,
    /// What readers see.
    pub(super) bytes: Vec<u8>,
    /// Bytes before this are durable, but for `lost`.
    pub(super) synced: usize,
    /// What failed syncs covered: readers see it until the power goes, and no later sync brings it to disk.
    pub(super) lost: Vec<Range<usize>>,
}

impl Node {
    pub(super) fn sync(&mut self) {
        self.synced = self.bytes.len();
    }

    pub(super) fn fail_sync(&mut self) {
        self.lost.push(self.synced..self.bytes.len());
        self.synced = self.bytes.len();
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        let len = self.bytes.len();
        self.lost.iter_mut().for_each(|range| *range = range.start.min(len)..range.end.min(len));
        self.lost.retain(|range| !range.is_empty());
        self.synced = len;
    }

    /// What the next process finds. What failed syncs covered has left the page cache or came to disk after all: that
    /// it can still be read and will yet be lost is something that no program can see.
    fn after_kill(&self, dice: &mut Rng) -> Self {
        let mut bytes = self.bytes.clone();
        for range in &self.lost {
            tear(&mut bytes[range.clone()], range.start, dice);
        }
        Self { number: self.number, bytes, synced: self.synced, lost: Vec::new() }
    }

    /// What is on disk once the power is back.
    fn after_power_cut(&self, dice: &mut Rng) -> Self {
        let mut bytes = self.bytes[..self.synced].to_vec();
        for range in &self.lost {
            tear(&mut bytes[range.clone()], range.start, dice);
        }
        let unsynced = self.bytes.len() - self.synced;
        let kept = match dice.u8(..4) {
            0 => 0,
            1 => unsynced,
            _ => dice.usize(..=unsynced),
        };
        bytes.extend_from_slice(&self.bytes[self.synced..self.synced + kept]);
        if dice.bool() {
            tear(&mut bytes[self.synced..], self.synced, dice);
        }
        Self { number: self.number, synced: bytes.len(), bytes, lost: Vec::new() }
    }
}

/// Every sector of `bytes`, which stand at `offset`, was written, or holds zeros or garbage.
fn tear(bytes: &mut [u8], offset: usize, dice: &mut Rng) {
    let mut from = 0;
    while from < bytes.len() {
        let to = (((offset + from) / SECTOR + 1) * SECTOR - offset).min(bytes.len());
        let sector = &mut bytes[from..to];
        match dice.u8(..3) {
            0 => {}
            1 => sector.fill(0),
            _ => dice.fill(sector),
        }
        from = to;
    }
}

/// One step in a folder: what stands under some names from then on. Happens as a whole.
#[derive(Debug, Clone)]
struct Change(Vec<(PathBuf, Option<Shared>)>);

impl Change {
    fn touches(&self, dir: &Path) -> bool {
        self.0.iter().any(|(path, _)| path.parent() == Some(dir))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Shared>) {
        for (path, node) in &self.0 {
            match node {
                Some(node) => _ = names.insert(path.clone(), node.clone()),
                None => _ = names.remove(path),
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) names: BTreeMap<PathBuf, Shared>,
    pub(super) dirs: BTreeSet<PathBuf>,
    /// Files made so far.
    made: u64,
    durable: BTreeMap<PathBuf, Shared>,
    /// Changes since their folder was synced, in order.
    pending: Vec<Change>,
}

impl Tree {
    pub(super) fn make(&mut self, path: &Path) -> Shared {
        self.made += 1;
        let node = Arc::new(Mutex::new(Node { number: self.made, ..Node::default() }));
        self.change(vec![(path.to_owned(), Some(node.clone()))]);
        node
    }

    /// Sets some names at once; not yet durable.
    pub(super) fn change(&mut self, sets: Vec<(PathBuf, Option<Shared>)>) {
        let change = Change(sets);
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let here = change.touches(dir);
            if here {
                change.apply(durable);
            }
            !here
        });
    }

    /// Bytes of all files that have a name.
    pub(super) fn used(&self) -> usize {
        let mut seen = BTreeSet::new();
        let nodes = self.names.values().filter(|node| seen.insert(Arc::as_ptr(node)));
        nodes.map(|node| node.lock().bytes.len()).sum()
    }

    /// What is left after a power cut: of the changes of names either the first ones, as a journal leaves them, or
    /// any.
    pub(super) fn after_power_cut(&self, dice: &mut Rng) -> Self {
        let mut names = self.durable.clone();
        let journal = dice.bool();
        let first = dice.usize(..=self.pending.len());
        for (i, change) in self.pending.iter().enumerate() {
            if if journal { i < first } else { dice.bool() } {
                change.apply(&mut names);
            }
        }
        let mut copies = Copies::default();
        let copy = |(path, node): (&PathBuf, &Shared)| {
            (path.clone(), copies.of(node, |node| node.after_power_cut(dice)))
        };
        let names: BTreeMap<_, _> = names.iter().map(copy).collect();
        Self { durable: names.clone(), names, dirs: self.dirs.clone(), made: self.made, pending: Vec::new() }
    }

    /// A copy that shares nothing, as the next process finds it after a kill.
    pub(super) fn after_kill(&self, dice: &mut Rng) -> Self {
        let mut copies = Copies::default();
        let mut copy = |node: &Shared| copies.of(node, |node| node.after_kill(dice));
        let mut all = |names: &BTreeMap<PathBuf, Shared>| -> BTreeMap<PathBuf, Shared> {
            names.iter().map(|(path, node)| (path.clone(), copy(node))).collect()
        };
        let (names, durable) = (all(&self.names), all(&self.durable));
        let pending = self.pending.iter().map(|Change(sets)| {
            Change(sets.iter().map(|(path, node)| (path.clone(), node.as_ref().map(&mut copy))).collect())
        });
        let pending = pending.collect();
        Self { names, dirs: self.dirs.clone(), made: self.made, durable, pending }
    }
}

/// Copies of files; several names of one file stay names of one file.
#[derive(Default)]
struct Copies(BTreeMap<*const Mutex<Node>, Shared>);

impl Copies {
    fn of(&mut self, node: &Shared, make: impl FnOnce(&Node) -> Node) -> Shared {
        let copy = self.0.entry(Arc::as_ptr(node));
        copy.or_insert_with(|| Arc::new(Mutex::new(make(&node.lock())))).clone()
    }
}
