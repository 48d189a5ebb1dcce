//! What each endpoint has, in one small file per endpoint beside the log.
//!
//! A file is replaced as a whole, so it holds what was said before or what is said now. One that cannot be read
//! counts as missing: the endpoint then starts at the oldest data, which sends samples twice and loses none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::{File, SharedDisk, write_atomically};
use nave_wal::Position;
use parking_lot::Mutex;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::{Delivered, Error, Gap};

const SUFFIX: &str = ".position";
/// Of the notes about batches on their way. Not only another extension: that is what replacing a file changes.
const NOTES_SUFFIX: &str = "-sent.batches";
/// Without gaps, as the first versions of the program know it.
const FIRST_WORD: &str = "nave-position-1";
/// With gaps.
const FIRST_WORD_GAPS: &str = "nave-position-2";

#[derive(Debug, Default)]
struct Inner {
    endpoints: BTreeMap<String, Delivered>,
    /// Whether all endpoints are known, so that what all of them have may go.
    complete: bool,
}

/// The positions of all endpoints.
#[derive(Debug)]
pub(super) struct Positions {
    disk: SharedDisk,
    dir: PathBuf,
    inner: Mutex<Inner>,
    /// Held while a file is replaced: one at a time.
    writing: Mutex<()>,
    /// Notes that are open for appending.
    notes: Mutex<BTreeMap<String, Arc<dyn File>>>,
}

impl Positions {
    /// Reads what is there. `end` is the end of the log: after a crash a position may be behind it, when
    /// data was delivered that was never synced; it is drawn back, or it would skip what comes next.
    pub(super) fn load(disk: SharedDisk, dir: &Path, end: Position) -> Result<Self, Error> {
        let file_error = |path: &Path| {
            let path = path.to_owned();
            move |error| Error::File { path, error }
        };
        let mut endpoints = BTreeMap::new();
        for entry in disk.list(dir).map_err(file_error(dir))? {
            if !entry.name.ends_with(SUFFIX) {
                continue;
            }
            let path = dir.join(&entry.name);
            let bytes = disk.open(&path).and_then(|file| file.read_from(0)).map_err(file_error(&path))?;
            match parse(&bytes) {
                Some((name, mut delivered)) => {
                    delivered.cut(end);
                    endpoints.insert(name, delivered);
                }
                None => tracing::warn!(
                    file = %path.display(),
                    "remote_write: position file is damaged; its endpoint starts at the oldest data"
                ),
            }
        }
        let inner = Mutex::new(Inner { endpoints, complete: false });
        Ok(Self { disk, dir: dir.to_owned(), inner, writing: Mutex::default(), notes: Mutex::default() })
    }

    /// From now on exactly these endpoints exist.
    pub(super) fn set_endpoints(&self, names: &[String]) {
        let mut inner = self.inner.lock();
        inner.complete = true;
        let gone: Vec<String> =
            inner.endpoints.keys().filter(|name| !names.contains(name)).cloned().collect();
        for name in gone {
            inner.endpoints.remove(&name);
            self.notes.lock().remove(&name);
            for path in [self.path(&name, SUFFIX), self.path(&name, NOTES_SUFFIX)] {
                if let Err(error) = self.disk.remove(&path)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    tracing::warn!(file = %path.display(), err = %error, "remote_write: old position file stays");
                }
            }
        }
        for name in names {
            inner.endpoints.entry(name.clone()).or_default();
        }
    }

    /// What `name` has; a new one has nothing.
    pub(super) fn resume(&self, name: &str) -> Delivered {
        self.inner.lock().endpoints.entry(name.to_owned()).or_default().clone()
    }

    /// Moves `name` forward to `delivered`. An endpoint that is gone stays gone, and none goes back: a sender
    /// that is about to end may say less than its successor.
    pub(super) fn set(&self, name: &str, delivered: &Delivered) -> Result<(), Error> {
        let _writing = self.writing.lock();
        {
            let mut inner = self.inner.lock();
            let known = inner.endpoints.get(name);
            let order = |delivered: &Delivered| (delivered.next, delivered.oldest());
            if known.is_none() && inner.complete || known.is_some_and(|known| order(known) > order(delivered))
            {
                return Ok(());
            }
            inner.endpoints.insert(name.to_owned(), delivered.clone());
        }
        let path = self.path(name, SUFFIX);
        let text = text(name, delivered);
        write_atomically(&*self.disk, &path, text.as_bytes()).map_err(|error| Error::File { path, error })
    }

    /// The position that every endpoint has reached; `None` while it is not known who reads, or nobody
    /// does.
    pub(super) fn slowest(&self) -> Option<Position> {
        let inner = self.inner.lock();
        if inner.complete { inner.endpoints.values().map(Delivered::oldest).min() } else { None }
    }

    /// Who does not have all of `segment` yet, and what of it; the parts before it are left out.
    pub(super) fn behind(&self, segment: u64) -> Vec<(String, Delivered)> {
        let inner = self.inner.lock();
        let start = Position::start_of(segment);
        let behind = inner.endpoints.iter().filter(|(_, delivered)| delivered.oldest().segment <= segment);
        let here = behind.map(|(name, delivered)| {
            let mut delivered = delivered.clone();
            delivered.next = delivered.next.max(start);
            for gap in &mut delivered.gaps {
                gap.from = gap.from.max(start);
            }
            delivered.gaps.retain(|gap| gap.from < gap.to && gap.from.segment <= segment);
            (name.clone(), delivered)
        });
        here.collect()
    }

    /// See [`crate::Source::notes`].
    pub(super) fn notes(&self, name: &str) -> Vec<u8> {
        let read = self.disk.open(&self.path(name, NOTES_SUFFIX)).and_then(|file| file.read_from(0));
        read.unwrap_or_default()
    }

    /// See [`crate::Source::set_notes`].
    pub(super) fn set_notes(&self, name: &str, notes: &[u8]) -> Result<(), Error> {
        let path = self.path(name, NOTES_SUFFIX);
        let mut open = self.notes.lock();
        open.remove(name);
        let set = write_atomically(&*self.disk, &path, notes).and_then(|()| self.disk.append(&path));
        let file = set.map_err(|error| Error::File { path, error })?;
        open.insert(name.to_owned(), file);
        Ok(())
    }

    /// See [`crate::Source::append_notes`].
    pub(super) fn append_notes(&self, name: &str, more: &[u8]) -> Result<(), Error> {
        let open = self.notes.lock();
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let appended = open.get(name).ok_or_else(missing).and_then(|file| file.append(more));
        appended.map_err(|error| Error::File { path: self.path(name, NOTES_SUFFIX), error })
    }

    fn path(&self, name: &str, suffix: &str) -> PathBuf {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        hasher.write(name.as_bytes());
        self.dir.join(format!("{:016x}{suffix}", hasher.finish128().h1))
    }
}

fn text(name: &str, delivered: &Delivered) -> String {
    let Delivered { next: Position { segment, offset }, gaps } = delivered;
    if gaps.is_empty() {
        return format!("{FIRST_WORD} {segment} {offset} {name}\n");
    }
    let mut text = format!("{FIRST_WORD_GAPS} {segment} {offset} {}", gaps.len());
    for Gap { from, to } in gaps {
        let _ = write!(text, " {} {} {} {}", from.segment, from.offset, to.segment, to.offset);
    }
    text + " " + name + "\n"
}

fn parse(bytes: &[u8]) -> Option<(String, Delivered)> {
    let mut rest = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let first = take_word(&mut rest)?;
    let mut delivered = Delivered::up_to(take_position(&mut rest)?);
    match first {
        FIRST_WORD => {}
        FIRST_WORD_GAPS => {
            let count: usize = take_word(&mut rest)?.parse().ok()?;
            for _ in 0..count {
                let gap = Gap { from: take_position(&mut rest)?, to: take_position(&mut rest)? };
                let before = delivered.gaps.last().map_or(Position::START, |last| last.to);
                if !(before <= gap.from && gap.from < gap.to && gap.to <= delivered.next) {
                    return None;
                }
                delivered.gaps.push(gap);
            }
        }
        _ => return None,
    }
    Some((rest.to_owned(), delivered))
}

fn take_word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (word, after) = rest.split_once(' ')?;
    *rest = after;
    Some(word)
}

fn take_position(rest: &mut &str) -> Option<Position> {
    Some(Position { segment: take_word(rest)?.parse().ok()?, offset: take_word(rest)?.parse().ok()? })
}

#[cfg(test)]
mod tests {

    use nave_base::disk::{Disk as _, MemoryDisk};

    use super::*;

    const DIR: &str = "/q";

    fn load(disk: &MemoryDisk, end: Position) -> Positions {
        Positions::load(Arc::new(disk.clone()), Path::new(DIR), end).unwrap()
    }

    #[test]
    fn positions_survive_and_never_pass_the_end() {
        let at = |segment, offset| Position { segment, offset };
        let up_to = |segment, offset| Delivered::up_to(at(segment, offset));
        let disk = MemoryDisk::default();
        let positions = load(&disk, at(9, 9));
        assert_eq!(positions.resume("new one"), Delivered::default());
        positions.set("new one", &up_to(3, 500)).unwrap();
        positions.set("b", &up_to(4, 40)).unwrap();
        assert_eq!(positions.slowest(), None, "it is not known yet who else reads");
        let disk = disk.after_power_cut(0);
        let positions = load(&disk, at(4, 30));
        assert_eq!((positions.resume("new one"), positions.resume("b")), (up_to(3, 500), up_to(4, 30)));
        positions.set("b", &up_to(4, 20)).unwrap();
        positions.set_endpoints(&["b".to_owned()]);
        positions.set("new one", &up_to(4, 30)).unwrap();
        assert_eq!(positions.slowest(), Some(at(4, 30)));
        assert_eq!(positions.behind(3), []);
        assert_eq!(positions.behind(4), [("b".to_owned(), up_to(4, 30))]);
        let names: Vec<_> = disk.list(Path::new(DIR)).unwrap();
        assert_eq!(names.len(), 1, "the file of the endpoint that is gone is removed: {names:?}");
    }

    #[test]
    fn gaps_survive_and_hold_their_segments() {
        let at = |segment, offset| Position { segment, offset };
        let gap = |from, to| Gap { from, to };
        let disk = MemoryDisk::default();
        let positions = load(&disk, at(99, 0));
        positions.set_endpoints(&["two words".to_owned()]);
        let gaps = vec![gap(at(2, 50), at(5, 60)), gap(at(7, 30), at(7, 90))];
        let delivered = Delivered { next: at(9, 99), gaps };
        positions.set("two words", &delivered).unwrap();
        assert_eq!(load(&disk, at(99, 0)).resume("two words"), delivered);
        assert_eq!(positions.slowest(), Some(at(2, 50)));
        let lacks = |segment, offset| delivered.lacks(at(segment, offset));
        assert!(
            !lacks(2, 50) && lacks(2, 51) && lacks(5, 60) && !lacks(5, 61) && !lacks(7, 30) && lacks(7, 90)
        );
        assert!(!lacks(9, 99) && lacks(9, 100));
        assert_eq!(positions.behind(1), []);
        assert!(positions.behind(6)[0].1.gaps.is_empty(), "of segment 6 nothing is missing");
        assert_eq!(positions.behind(7)[0].1.gaps, [gap(at(7, 30), at(7, 90))]);
        // The end of the log after a power cut: what was never written cannot be there.
        let cut = load(&disk, at(7, 40)).resume("two words");
        assert_eq!(
            cut,
            Delivered { next: at(7, 40), gaps: vec![delivered.gaps[0], gap(at(7, 30), at(7, 40))] }
        );
        // A gap that was filled does not open again by a late word of an earlier sender.
        let filled = Delivered { gaps: delivered.gaps[1..].to_vec(), ..delivered.clone() };
        positions.set("two words", &filled).unwrap();
        positions.set("two words", &delivered).unwrap();
        assert_eq!(positions.resume("two words"), filled);
    }

    #[test]
    fn a_damaged_file_counts_as_missing() {
        let check = |text: &str| {
            let disk = MemoryDisk::default();
            let file = disk.append(Path::new("/q/0.position")).unwrap();
            file.append(text.as_bytes()).unwrap();
            let positions = load(&disk, Position { segment: 9, offset: 9 });
            assert_eq!(positions.resume("x"), Delivered::default(), "{text:?}");
        };
        check("");
        check("nave-position-1 5 7 x");
        check("nave-position-3 5 7 x\n");
        check("nave-position-2 5 7 x\n");
        check("nave-position-2 5 7 2 1 1 2 2 x\n");
        check("nave-position-2 5 7 1 2 2 1 1 x\n");
        check("nave-position-2 5 7 1 1 1 6 1 x\n");
        check("nave-position-1 five 7 x\n");
        check("\u{0}\u{0}\n");
    }
}
