//! The writing end: one owner appends, syncs, cuts segments and removes old ones.
//!
//! Invariants: `end` is behind the last whole record; bytes behind it are cut away before anything is
//! written. After a failed sync the newest segment is cut back to what was durable and left for good,
//! because the kernel may have dropped the pages that it could not write.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::{File, SharedDisk};

use crate::frame;
use crate::header::{self, HEADER_BYTES, Header, Layout};
use crate::window::Window;
use crate::{Error, Position};

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// A segment that would grow past this is closed and the next one begun. One group of records is never
    /// split, so a segment may be larger by one group.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20 }
    }
}

/// A log that is open for writing, and what had to be cut.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: Log,
    /// The torn tail of the newest segment, when there was one. For the caller to report.
    pub repair: Option<Repair>,
}

/// A torn tail that was cut away: the write that was under way when the machine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    /// Which segment.
    pub segment: u64,
    /// Its new length.
    pub offset: u64,
    /// How many bytes were cut.
    pub lost_bytes: u64,
}

/// One file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number; later segments have greater ones.
    pub number: u64,
    /// Its length.
    pub bytes: u64,
}

/// A log open for writing.
#[derive(Debug)]
pub struct Log {
    disk: SharedDisk,
    dir: PathBuf,
    options: Options,
    closed: Vec<SegmentInfo>,
    number: u64,
    file: Arc<dyn File>,
    salt: u32,
    end: u64,
    durable: u64,
    tail: Tail,
    scratch: Vec<u8>,
}

/// What must be done to the newest segment before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    Clean,
    /// Bytes of a failed write stand behind `end`.
    Dirty,
    /// A sync failed: cut back and begin a new segment.
    Lost,
}

/// Numbers and lengths of all segments in `dir`, ascending.
pub(crate) fn list(disk: &SharedDisk, dir: &Path) -> Result<Vec<SegmentInfo>, Error> {
    let entries = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| Error::io("listing", dir, &error))?,
    };
    let segment = |entry: &nave_base::disk::Entry| {
        header::segment_number(&entry.name).map(|number| SegmentInfo { number, bytes: entry.len })
    };
    let mut segments: Vec<_> = entries.iter().filter(|entry| !entry.is_dir).filter_map(segment).collect();
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}

impl Log {
    /// Opens the log in `dir`, making it when there is none, and cuts a torn tail.
    ///
    /// # Errors
    /// Of the file system; [`Error::Version`] when the newest segment was written by a newer program.
    pub fn open(disk: SharedDisk, dir: &Path, options: Options) -> Result<Opened, Error> {
        disk.create_dir_all(dir).map_err(|error| Error::io("making", dir, &error))?;
        let mut closed = list(&disk, dir)?;
        let Some(last) = closed.pop() else {
            return Ok(Opened { log: Self::begun(disk, dir, options, closed, 1)?, repair: None });
        };
        let path = header::segment_path(dir, last.number);
        let failed = |error: io::Error| Error::io("opening", &path, &error);
        let file = disk.append(&path).map_err(failed)?;
        let mut window = Window::new(file.clone());
        match header::check_header(&mut window, last.number, &path)? {
            Header::Good(layout) => {
                let end = frame::last_whole(&mut window, layout, HEADER_BYTES).map_err(failed)?;
                let lost_bytes = last.bytes.saturating_sub(end);
                if lost_bytes > 0 {
                    file.truncate(end).map_err(failed)?;
                }
                // What was read may still be in the page cache only, if it was written just before a crash.
                file.sync().map_err(failed)?;
                let repair = Repair { segment: last.number, offset: end, lost_bytes };
                let log = match layout {
                    Layout::Salted(salt) => {
                        Self::new(disk, dir, options, closed, (last.number, file, salt), end)
                    }
                    // An older release's: read, not written.
                    Layout::Plain => {
                        closed.push(SegmentInfo { bytes: end, ..last });
                        Self::begun(disk, dir, options, closed, last.number + 1)?
                    }
                };
                Ok(Opened { log, repair: (lost_bytes > 0).then_some(repair) })
            }
            Header::Damaged if last.bytes > HEADER_BYTES => {
                // Left as evidence; readers name it.
                closed.push(last);
                let log = Self::begun(disk, dir, options, closed, last.number + 1)?;
                Ok(Opened { log, repair: None })
            }
            // It was being made; no record can be lost.
            Header::Short | Header::Damaged => {
                let repair = Repair { segment: last.number, offset: 0, lost_bytes: last.bytes };
                let log = Self::begun(disk, dir, options, closed, last.number)?;
                Ok(Opened { log, repair: (last.bytes > 0).then_some(repair) })
            }
        }
    }

    /// A log whose newest segment, `number`, is new.
    fn begun(
        disk: SharedDisk,
        dir: &Path,
        options: Options,
        closed: Vec<SegmentInfo>,
        number: u64,
    ) -> Result<Self, Error> {
        let (file, salt) = new_segment(&disk, dir, number)?;
        Ok(Self::new(disk, dir, options, closed, (number, file, salt), HEADER_BYTES))
    }

    fn new(
        disk: SharedDisk,
        dir: &Path,
        options: Options,
        closed: Vec<SegmentInfo>,
        (number, file, salt): (u64, Arc<dyn File>, u32),
        end: u64,
    ) -> Self {
        let dir = dir.to_owned();
        let (tail, scratch) = (Tail::Clean, Vec::new());
        Self { disk, dir, options, closed, number, file, salt, end, durable: end, tail, scratch }
    }

    /// Writes one record; durable after [`Log::sync`]. Gives where it starts.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::TooLarge`] or of the file system; the log is then as it was before.
    pub fn append(&mut self, kind: u8, payload: &[u8]) -> Result<Position, Error> {
        self.append_group([(kind, payload)])
    }

    /// Writes records with one call to the file system, all into one segment. Gives where the first starts.
    ///
    /// # Errors
    /// As [`Log::append`]: all of them are written or none.
    pub fn append_group<'a>(
        &mut self,
        records: impl IntoIterator<Item = (u8, &'a [u8])>,
    ) -> Result<Position, Error> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let result = records
            .into_iter()
            .try_for_each(|(kind, payload)| frame::put(&mut scratch, kind, payload))
            .and_then(|()| self.write(&mut scratch));
        // One huge group does not keep its memory for ever.
        scratch.shrink_to(4 << 20);
        self.scratch = scratch;
        result
    }

    fn write(&mut self, bytes: &mut [u8]) -> Result<Position, Error> {
        self.heal()?;
        let grown = self.end + bytes.len() as u64;
        if grown > self.options.segment_bytes && self.end > HEADER_BYTES {
            self.cut()?;
        }
        let position = self.end();
        frame::seal(bytes, self.salt, self.end);
        if let Err(error) = self.file.append(bytes) {
            self.tail = Tail::Dirty;
            return Err(self.failed("writing", &error));
        }
        self.end += bytes.len() as u64;
        Ok(position)
    }

    /// Cuts away what a failed write or sync left behind.
    fn heal(&mut self) -> Result<(), Error> {
        if self.tail == Tail::Clean {
            return Ok(());
        }
        self.file.truncate(self.end).map_err(|error| self.failed("cutting a partial write off", &error))?;
        if self.tail == Tail::Lost {
            self.begin(self.number + 1)?;
        }
        self.tail = Tail::Clean;
        Ok(())
    }

    /// Makes everything written so far durable and says up to where.
    ///
    /// # Errors
    /// Of the file system; what was written since the last sync is then given up.
    pub fn sync(&mut self) -> Result<Position, Error> {
        if self.durable < self.end {
            if let Err(error) = self.file.sync() {
                self.end = self.durable;
                self.tail = Tail::Lost;
                // At once, because the next process would read these bytes from the page cache and take them for
                // durable. When it fails, healing tries again.
                let _ = self.file.truncate(self.end);
                return Err(self.failed("syncing", &error));
            }
            self.durable = self.end;
        }
        Ok(self.end())
    }

    /// Syncs and begins a new segment; gives its number.
    ///
    /// # Errors
    /// Of the file system; the log then goes on in the old segment.
    pub fn cut(&mut self) -> Result<u64, Error> {
        self.heal()?;
        self.sync()?;
        self.begin(self.number + 1)?;
        Ok(self.number)
    }

    fn begin(&mut self, number: u64) -> Result<(), Error> {
        let (file, salt) = new_segment(&self.disk, &self.dir, number)?;
        self.closed.push(SegmentInfo { number: self.number, bytes: self.end });
        self.number = number;
        (self.file, self.salt) = (file, salt);
        self.end = HEADER_BYTES;
        self.durable = HEADER_BYTES;
        Ok(())
    }

    /// Where the next record will start, unless it begins a new segment.
    #[must_use]
    pub fn end(&self) -> Position {
        Position { segment: self.number, offset: self.end }
    }

    /// Up to where everything is durable.
    #[must_use]
    pub fn durable_end(&self) -> Position {
        Position { segment: self.number, offset: self.durable }
    }

    /// All segments, ascending; the last one is being written.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let last = SegmentInfo { number: self.number, bytes: self.end };
        self.closed.iter().copied().chain([last]).collect()
    }

    /// Removes all segments before `segment`, oldest first; the newest one always stays.
    ///
    /// # Errors
    /// Of the file system; what was not removed is still listed.
    pub fn remove_before(&mut self, segment: u64) -> Result<(), Error> {
        let mut removed = false;
        while let Some(first) = self.closed.first().copied().filter(|first| first.number < segment) {
            let path = header::segment_path(&self.dir, first.number);
            match self.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("removing", &path, &error));
                }
                _ => _ = self.closed.remove(0),
            }
            removed = true;
        }
        if removed {
            self.disk.sync_dir(&self.dir).map_err(|error| Error::io("syncing", &self.dir, &error))?;
        }
        Ok(())
    }

    fn failed(&self, doing: &'static str, error: &io::Error) -> Error {
        Error::io(doing, &header::segment_path(&self.dir, self.number), error)
    }
}

/// Makes the file of a segment with a durable name and header, and gives its salt; leaves nothing behind on failure.
fn new_segment(disk: &SharedDisk, dir: &Path, number: u64) -> Result<(Arc<dyn File>, u32), Error> {
    let path = header::segment_path(dir, number);
    let salt = header::salt();
    let make = || -> io::Result<Arc<dyn File>> {
        let file = disk.append(&path)?;
        file.truncate(0)?;
        file.append(&header::header(number, Layout::Salted(salt)))?;
        file.sync()?;
        disk.sync_dir(dir)?;
        Ok(file)
    };
    make().map(|file| (file, salt)).map_err(|error| {
        // The failed write is the news; a file that cannot be removed is made again by the next attempt.
        let _ = disk.remove(&path);
        Error::io("making segment", &path, &error)
    })
}
