//! How far each endpoint is, in one small file per endpoint beside the log.
//!
//! A file is replaced as a whole, so it holds the old position or the new one. One that cannot be read
//! counts as missing: the endpoint then starts at the oldest data, which sends samples twice and loses none.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};

use nave_base::disk::{SharedDisk, write_atomically};
use nave_wal::Position;
use parking_lot::Mutex;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::Error;

const SUFFIX: &str = ".position";
const FIRST_WORD: &str = "nave-position-1";

#[derive(Debug, Default)]
struct Inner {
    endpoints: BTreeMap<String, Position>,
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
                Some((name, position)) => _ = endpoints.insert(name, position.min(end)),
                None => tracing::warn!(
                    file = %path.display(),
                    "remote_write: position file is damaged; its endpoint starts at the oldest data"
                ),
            }
        }
        let inner = Mutex::new(Inner { endpoints, complete: false });
        Ok(Self { disk, dir: dir.to_owned(), inner, writing: Mutex::default() })
    }

    /// From now on exactly these endpoints exist.
    pub(super) fn set_endpoints(&self, names: &[String]) {
        let mut inner = self.inner.lock();
        inner.complete = true;
        let gone: Vec<String> =
            inner.endpoints.keys().filter(|name| !names.contains(name)).cloned().collect();
        for name in gone {
            inner.endpoints.remove(&name);
            let path = self.path(&name);
            if let Err(error) = self.disk.remove(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(file = %path.display(), err = %error, "remote_write: old position file stays");
            }
        }
        for name in names {
            inner.endpoints.entry(name.clone()).or_default();
        }
    }

    /// Where `name` goes on; a new one at the oldest data.
    pub(super) fn resume(&self, name: &str) -> Position {
        *self.inner.lock().endpoints.entry(name.to_owned()).or_default()
    }

    /// Moves `name` forward to `position`. An endpoint that is gone stays gone, and a position never goes
    /// back: a sender that is about to end may say less than its successor.
    pub(super) fn set(&self, name: &str, position: Position) -> Result<(), Error> {
        let _writing = self.writing.lock();
        {
            let mut inner = self.inner.lock();
            let known = inner.endpoints.get(name).copied();
            if known.is_none() && inner.complete || known.is_some_and(|known| known > position) {
                return Ok(());
            }
            inner.endpoints.insert(name.to_owned(), position);
        }
        let path = self.path(name);
        let Position { segment, offset } = position;
        let text = format!("{FIRST_WORD} {segment} {offset} {name}\n");
        write_atomically(&*self.disk, &path, text.as_bytes()).map_err(|error| Error::File { path, error })
    }

    /// The position that every endpoint has reached; `None` while it is not known who reads, or nobody
    /// does.
    pub(super) fn slowest(&self) -> Option<Position> {
        let inner = self.inner.lock();
        if inner.complete { inner.endpoints.values().min().copied() } else { None }
    }

    /// Who does not have all of `segment` yet, and from where on.
    pub(super) fn behind(&self, segment: u64) -> Vec<(String, Position)> {
        let inner = self.inner.lock();
        let start = Position::start_of(segment);
        let behind = inner.endpoints.iter().filter(|(_, position)| position.segment <= segment);
        behind.map(|(name, position)| (name.clone(), start.max(*position))).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        hasher.write(name.as_bytes());
        self.dir.join(format!("{:016x}{SUFFIX}", hasher.finish128().h1))
    }
}

fn parse(bytes: &[u8]) -> Option<(String, Position)> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let mut words = text.splitn(4, ' ');
    if words.next()? != FIRST_WORD {
        return None;
    }
    let (segment, offset) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((words.next()?.to_owned(), Position { segment, offset }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nave_base::disk::{Disk as _, MemoryDisk};

    use super::*;

    const DIR: &str = "/q";

    fn load(disk: &MemoryDisk, end: Position) -> Positions {
        Positions::load(Arc::new(disk.clone()), Path::new(DIR), end).unwrap()
    }

    #[test]
    fn positions_survive_and_never_pass_the_end() {
        let at = |segment, offset| Position { segment, offset };
        let disk = MemoryDisk::default();
        let positions = load(&disk, at(9, 9));
        assert_eq!(positions.resume("new one"), Position::default());
        positions.set("new one", at(3, 500)).unwrap();
        positions.set("b", at(4, 40)).unwrap();
        assert_eq!(positions.slowest(), None, "it is not known yet who else reads");
        let disk = disk.after_power_cut(0);
        let positions = load(&disk, at(4, 30));
        assert_eq!((positions.resume("new one"), positions.resume("b")), (at(3, 500), at(4, 30)));
        positions.set("b", at(4, 20)).unwrap();
        positions.set_endpoints(&["b".to_owned()]);
        positions.set("new one", at(4, 30)).unwrap();
        assert_eq!(positions.slowest(), Some(at(4, 30)));
        assert_eq!(positions.behind(3), []);
        assert_eq!(positions.behind(4), [("b".to_owned(), at(4, 30))]);
        let names: Vec<_> = disk.list(Path::new(DIR)).unwrap();
        assert_eq!(names.len(), 1, "the file of the endpoint that is gone is removed: {names:?}");
    }

    #[test]
    fn a_damaged_file_counts_as_missing() {
        let check = |text: &str| {
            let disk = MemoryDisk::default();
            let file = disk.append(Path::new("/q/0.position")).unwrap();
            file.append(text.as_bytes()).unwrap();
            let positions = load(&disk, Position { segment: 9, offset: 9 });
            assert_eq!(positions.resume("x"), Position::default(), "{text:?}");
        };
        check("");
        check("nave-position-1 5 7 x");
        check("nave-position-2 5 7 x\n");
        check("nave-position-1 five 7 x\n");
        check("\u{0}\u{0}\n");
    }
}
