//! The reading end: replays a log and follows it while it is written.
//!
//! Holds no lock and never writes. A tail may see records before they are durable; compare with
//! [`crate::GroupCommit::subscribe`] where that matters. At the end of what is there it stays, so that a record that was half
//! written when first seen is read again as a whole.

use std::path::{Path, PathBuf};

use nave_base::disk::SharedDisk;

use crate::frame::{self, Frame};
use crate::header::{self, HEADER_BYTES, Header, Layout};
use crate::window::Window;
use crate::{Error, Position, log};

/// One record. Reuse it from call to call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The caller's.
    pub kind: u8,
    /// The caller's.
    pub payload: Vec<u8>,
    /// Where it starts.
    pub position: Position,
    /// Behind it: where to go on after a restart.
    pub next: Position,
}

/// What a step of the reader found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A record was read.
    Record,
    /// Nothing more for now; call again when something was written.
    End,
    /// Something unreadable was stepped over; call again to go on behind it.
    Damaged(Damage),
}

/// Something in a log that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log {} is damaged at {position}: {what}; {lost_bytes} bytes skipped", path.display())]
pub struct Damage {
    /// The file, or the one that is missing.
    pub path: PathBuf,
    /// Where.
    pub position: Position,
    /// What is wrong.
    pub what: &'static str,
    /// How much is skipped; 0 when not known.
    pub lost_bytes: u64,
    /// Where the reader goes on.
    pub resume: Position,
}

/// Reads records in the order of writing.
#[derive(Debug)]
pub struct Reader {
    disk: SharedDisk,
    dir: PathBuf,
    position: Position,
    window: Option<Window>,
    /// Of the segment that `window` shows.
    layout: Layout,
}

impl Reader {
    /// A reader whose next record is the one at `from`, or the first one behind it. [`Position::START`] is the
    /// beginning, wherever that is by now.
    #[must_use]
    pub fn at(disk: SharedDisk, dir: &Path, from: Position) -> Self {
        Self { disk, dir: dir.to_owned(), position: from, window: None, layout: Layout::Plain }
    }

    /// Where the next record is expected.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Reads the next record into `record`, which is unspecified unless the answer is [`Next::Record`].
    ///
    /// # Errors
    /// Of the file system (trying again may help); [`Error::Version`].
    pub fn next(&mut self, record: &mut Record) -> Result<Next, Error> {
        loop {
            if self.window.is_none() {
                match self.enter()? {
                    Entered::Yes => {}
                    Entered::NotYet => return Ok(Next::End),
                    Entered::Gap(damage) => return Ok(Next::Damaged(damage)),
                }
            }
            if let Frame::Whole { kind, payload, end } = self.look()? {
                self.take(record, kind, payload, end)?;
                return Ok(Next::Record);
            }
            // Whether there is a later segment is asked first: then what the second look does not see as
            // whole will never be.
            let later = self.later_segment()?;
            self.forget();
            let at = self.position;
            let found = self.look()?;
            match (found, later) {
                (Frame::Whole { kind, payload, end }, _) => {
                    self.take(record, kind, payload, end)?;
                    return Ok(Next::Record);
                }
                // When that one is missing, entering it says so.
                (Frame::AtEnd, Some(_)) => self.go_to(at.segment + 1),
                (Frame::AtEnd, None) => return Ok(Next::End),
                (Frame::Broken { next }, later) => {
                    if let Some(next) = self.find(next)? {
                        self.forget();
                        if let Frame::Whole { kind, payload, end } = self.look()? {
                            // A writer cut a partial write off and wrote this record and those behind it.
                            self.take(record, kind, payload, end)?;
                            return Ok(Next::Record);
                        }
                        self.position.offset = next;
                        let what = "the checksum of a record does not fit its bytes";
                        return Ok(Next::Damaged(self.damage(at, what, next - at.offset)));
                    }
                    if later.is_none() {
                        return Ok(Next::End);
                    }
                    let lost = self.rest()?;
                    self.go_to(at.segment + 1);
                    let what = "a record is cut short or its checksum does not fit";
                    return Ok(Next::Damaged(self.damage(at, what, lost)));
                }
            }
        }
    }

    /// Opens the segment of `position`, or the next one that is there.
    fn enter(&mut self) -> Result<Entered, Error> {
        let at = self.position;
        let path = header::segment_path(&self.dir, at.segment);
        let file = match self.disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return self.jump(),
            Err(error) => return Err(Error::io("opening", &path, &error)),
        };
        let mut window = Window::new(file);
        match header::check_header(&mut window, at.segment, &path)? {
            Header::Good(layout) => {
                self.layout = layout;
                self.position.offset = at.offset.max(HEADER_BYTES);
                self.window = Some(window);
                Ok(Entered::Yes)
            }
            bad => {
                if self.later_segment()?.is_none() {
                    return Ok(Entered::NotYet);
                }
                // It may have been whole by the time the later one was made.
                window.forget();
                if bad == Header::Short
                    && matches!(header::check_header(&mut window, at.segment, &path)?, Header::Good(_))
                {
                    return self.enter();
                }
                let lost = window.len().map_err(|error| Error::io("reading", &path, &error))?;
                self.go_to(at.segment + 1);
                Ok(Entered::Gap(self.damage(at, "the header of a segment is damaged", lost)))
            }
        }
    }

    /// From a segment that is not there to the first later one.
    fn jump(&mut self) -> Result<Entered, Error> {
        let at = self.position;
        let later = log::list(&self.disk, &self.dir)?.into_iter().find(|s| s.number > at.segment);
        let Some(later) = later else { return Ok(Entered::NotYet) };
        self.go_to(later.number);
        if at.segment == 0 {
            return self.enter();
        }
        Ok(Entered::Gap(self.damage(at, "a segment is missing", 0)))
    }

    fn go_to(&mut self, segment: u64) {
        self.position = Position::start_of(segment);
        self.window = None;
    }

    /// The next segment that is there. Lists the folder only when something may have been removed.
    fn later_segment(&self) -> Result<Option<u64>, Error> {
        let exists = |number: u64| self.disk.open(&header::segment_path(&self.dir, number)).is_ok();
        let here = self.position.segment;
        if exists(here + 1) {
            return Ok(Some(here + 1));
        }
        let segments = log::list(&self.disk, &self.dir)?;
        Ok(segments.into_iter().map(|segment| segment.number).find(|number| *number > here))
    }

    fn look(&mut self) -> Result<Frame, Error> {
        let offset = self.position.offset;
        let layout = self.layout;
        self.with_window(|window| frame::look(window, layout, offset))
    }

    fn find(&mut self, from: u64) -> Result<Option<u64>, Error> {
        let layout = self.layout;
        self.with_window(|window| frame::find(window, layout, from))
    }

    fn rest(&mut self) -> Result<u64, Error> {
        let offset = self.position.offset;
        self.with_window(|window| Ok(window.len()?.saturating_sub(offset)))
    }

    fn forget(&mut self) {
        if let Some(window) = &mut self.window {
            window.forget();
        }
    }

    fn take(&mut self, record: &mut Record, kind: u8, payload: (u64, u64), end: u64) -> Result<(), Error> {
        record.kind = kind;
        record.position = self.position;
        record.next = Position { offset: end, ..self.position };
        record.payload.clear();
        let into = &mut record.payload;
        self.with_window(|window| {
            into.extend_from_slice(window.get(payload.0, payload.1)?);
            Ok(())
        })?;
        self.position = record.next;
        Ok(())
    }

    fn with_window<T>(&mut self, read: impl FnOnce(&mut Window) -> std::io::Result<T>) -> Result<T, Error> {
        let path = || header::segment_path(&self.dir, self.position.segment);
        let Some(window) = &mut self.window else { return Err(Error::Closed) };
        read(window).map_err(|error| Error::io("reading", &path(), &error))
    }

    fn damage(&self, position: Position, what: &'static str, lost_bytes: u64) -> Damage {
        let path = header::segment_path(&self.dir, position.segment);
        Damage { path, position, what, lost_bytes, resume: self.position }
    }
}

enum Entered {
    Yes,
    NotYet,
    Gap(Damage),
}
