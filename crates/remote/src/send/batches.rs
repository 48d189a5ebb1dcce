//! Which batches are on their way, noted beside the log, so that a new life forms the same ones again.
//!
//! A stock receiver of remote write refuses a request whole when it has seen a part of it. So after a crash each
//! batch must be sent either as it was or not at all. A batch takes the front of some lanes, and what a lane gets
//! depends on the log and the settings alone: the place where each lane ends tells the batch.
//!
//! ```text
//! nave-batches-1 <fingerprint of the settings>
//! m <lane> <segment> <offset> <count>        delivered: up to this place of the lane
//! b <number> (<lane> <segment> <offset> <count>)*   on its way: up to these places
//! d <number>                                 delivered
//! ```
//!
//! A place is the end of a record and how many of its samples in this lane it includes. Lines are appended without a sync: they
//! outlive the process, and what a power cut takes is sent again in other batches. Endpoints that take late
//! samples take everything twice, and have no notes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use nave_wal::Position;
use parking_lot::Mutex;

use crate::Source;

const FIRST_WORD: &str = "nave-batches-1";
/// Notes longer than this are written anew.
const NOTES_BYTES_MAX: usize = 1 << 20;

/// A place in a lane: so many of the lane's samples of the record that ends there, and all before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) end: Position,
    pub(super) count: u32,
}

/// Places in several lanes.
pub(super) type Marks = Vec<(u32, Mark)>;

/// What the life before has left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Delivered, per lane.
    pub(super) done: HashMap<u32, Mark>,
    /// Perhaps delivered.
    pub(super) open: Vec<(u64, Marks)>,
}

impl Left {
    /// Where the last of it ends; `None` when nothing is left.
    pub(super) fn until(&self) -> Option<Position> {
        let open = self.open.iter().flat_map(|(_, marks)| marks.iter().map(|(_, mark)| mark.end));
        self.done.values().map(|mark| mark.end).chain(open).max()
    }

    /// Forgets what lies before `from`, where reading begins anyway.
    fn cut(&mut self, from: Position) {
        self.done.retain(|_, mark| mark.end > from);
        for (_, marks) in &mut self.open {
            marks
                .retain(|(lane, mark)| mark.end > from && self.done.get(lane).is_none_or(|done| done < mark));
        }
        self.open.retain(|(_, marks)| !marks.is_empty());
    }
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    open: BTreeMap<u64, Marks>,
    done: HashMap<u32, Mark>,
    /// Of the notes as they stand; 0 when there are none.
    bytes: usize,
}

/// The notes of one endpoint.
#[derive(Debug)]
pub(super) struct Batches {
    source: Arc<dyn Source>,
    name: String,
    fingerprint: u64,
    inner: Mutex<Inner>,
}

impl Batches {
    /// Reads what the life before has left behind `from`. Notes under other settings, or of places behind `end`,
    /// say nothing: the lanes of these samples are others now, or the samples are.
    pub(super) fn load(
        source: Arc<dyn Source>,
        name: &str,
        fingerprint: u64,
        (from, end): (Position, Position),
    ) -> (Self, Left) {
        let mut left = parse(&source.notes(name), fingerprint).unwrap_or_default();
        if left.until().is_some_and(|until| until > end) {
            left = Left::default();
        }
        left.cut(from);
        let next = left.open.iter().map(|(number, _)| number + 1).max().unwrap_or(1);
        let (open, done) = (left.open.iter().cloned().collect(), left.done.clone());
        let inner = Mutex::new(Inner { next, open, done, bytes: 0 });
        (Self { source, name: name.to_owned(), fingerprint, inner }, left)
    }

    /// A batch up to these places is about to be sent; its number. Blocks on the disk.
    pub(super) fn begin(&self, marks: Marks) -> u64 {
        let mut inner = self.inner.lock();
        let number = inner.next;
        inner.next += 1;
        let line = begin_line(number, &marks);
        inner.open.insert(number, marks);
        self.note(&mut inner, &line);
        number
    }

    /// The batch is delivered or refused for good. Blocks on the disk.
    pub(super) fn done(&self, number: u64) {
        let mut inner = self.inner.lock();
        for (lane, mark) in inner.open.remove(&number).unwrap_or_default() {
            inner.done.insert(lane, mark);
        }
        self.note(&mut inner, &format!("d {number}\n"));
    }

    /// Nothing is on its way in any lane. Blocks on the disk.
    pub(super) fn clear(&self) {
        let mut inner = self.inner.lock();
        if inner.bytes > 0 {
            inner.open.clear();
            inner.done.clear();
            self.rewrite(&mut inner);
        }
    }

    fn note(&self, inner: &mut Inner, line: &str) {
        if inner.bytes == 0 || inner.bytes + line.len() > NOTES_BYTES_MAX {
            return self.rewrite(inner);
        }
        inner.bytes += line.len();
        if let Err(error) = self.source.append_notes(&self.name, line.as_bytes()) {
            self.failed(inner, &error);
        }
    }

    fn rewrite(&self, inner: &mut Inner) {
        let delivered = self.source.resume(&self.name).next;
        inner.done.retain(|_, mark| mark.end > delivered);
        let mut text = format!("{FIRST_WORD} {:016x}\n", self.fingerprint);
        for (lane, mark) in &inner.done {
            text.push('m');
            put(&mut text, *lane, *mark);
            text.push('\n');
        }
        for (number, marks) in &inner.open {
            text.push_str(&begin_line(*number, marks));
        }
        inner.bytes = text.len();
        if let Err(error) = self.source.set_notes(&self.name, text.as_bytes()) {
            self.failed(inner, &error);
        }
    }

    fn failed(&self, inner: &mut Inner, error: &crate::Error) {
        // The next line tries to write everything anew.
        inner.bytes = 0;
        let remote_name = &self.name;
        tracing::error!(
            remote_name,
            err = %error,
            "remote_write: batches on their way not noted; after a crash now, parts of them may be refused"
        );
    }
}

fn begin_line(number: u64, marks: &[(u32, Mark)]) -> String {
    let mut line = format!("b {number}");
    marks.iter().for_each(|(lane, mark)| put(&mut line, *lane, *mark));
    line.push('\n');
    line
}

fn put(line: &mut String, lane: u32, Mark { end, count }: Mark) {
    let _ = write!(line, " {lane} {} {} {count}", end.segment, end.offset);
}

/// What the notes say, up to the first line that is not whole; `None` when they are of other settings.
fn parse(notes: &[u8], fingerprint: u64) -> Option<Left> {
    let text = std::str::from_utf8(notes).ok()?;
    let whole = &text[..text.rfind('\n')?];
    let mut lines = whole.split('\n');
    if lines.next()? != format!("{FIRST_WORD} {fingerprint:016x}") {
        return None;
    }
    let mut done = HashMap::new();
    let mut open = BTreeMap::new();
    for line in lines {
        let mut words = line.split(' ');
        let read = match words.next() {
            Some("m") => take_mark(&mut words).map(|(lane, mark)| _ = done.insert(lane, mark)),
            Some("b") => take_batch(&mut words).map(|(number, marks)| _ = open.insert(number, marks)),
            Some("d") => words.next().and_then(|word| word.parse().ok()).map(|number: u64| {
                done.extend(open.remove(&number).unwrap_or_default());
            }),
            _ => None,
        };
        if read.is_none() {
            break;
        }
    }
    Some(Left { done, open: open.into_iter().collect() })
}

fn take_batch<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<(u64, Marks)> {
    let number = words.next()?.parse().ok()?;
    let mut words = words.peekable();
    let mut marks = Marks::new();
    while words.peek().is_some() {
        marks.push(take_mark(&mut words)?);
    }
    Some((number, marks))
}

fn take_mark<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<(u32, Mark)> {
    let lane = words.next()?.parse().ok()?;
    let (segment, offset) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((lane, Mark { end: Position { segment, offset }, count: words.next()?.parse().ok()? }))
}

#[cfg(test)]
mod tests {
    use nave_base::clock::FakeClock;
    use nave_base::disk::{MemoryDisk, SharedDisk};
    use nave_base::metric::Registry;

    use super::*;
    use crate::{Metrics, Queue, QueueOptions};

    fn source(disk: &MemoryDisk) -> Arc<dyn Source> {
        let (disk, registry): (SharedDisk, _) = (Arc::new(disk.clone()), Registry::default());
        let metrics = Metrics::register(&registry);
        let options = QueueOptions { lock: false, ..QueueOptions::new("/queue", 1 << 30) };
        Arc::new(Queue::open(options, disk, FakeClock::at(0), &registry, metrics).unwrap())
    }

    fn mark(offset: u64, count: u32) -> Mark {
        Mark { end: Position { segment: 1, offset }, count }
    }

    #[test]
    fn notes_survive_the_process_and_say_what_is_left() {
        let disk = MemoryDisk::default();
        let source = source(&disk);
        let end = Position { segment: 1, offset: 1000 };
        let load = |fingerprint, from| {
            let from = Position { segment: 1, offset: from };
            Batches::load(source.clone(), "hub", fingerprint, (from, end))
        };
        let (batches, left) = load(7, 0);
        assert_eq!(left, Left::default());
        let first = batches.begin(vec![(1, mark(100, 2)), (2, mark(120, 1))]);
        let second = batches.begin(vec![(3, mark(110, 9))]);
        batches.done(first);
        let third = batches.begin(vec![(1, mark(200, 1))]);
        let open = vec![(second, vec![(3, mark(110, 9))]), (third, vec![(1, mark(200, 1))])];
        let done = HashMap::from([(1, mark(100, 2)), (2, mark(120, 1))]);
        let (batches, left) = load(7, 0);
        assert_eq!(left, Left { done, open });
        assert_eq!(left.until(), Some(Position { segment: 1, offset: 200 }));
        // The next life writes everything anew with its first line.
        batches.done(second);
        let (batches, left) = load(7, 115);
        let done = HashMap::from([(2, mark(120, 1))]);
        assert_eq!(left, Left { done, open: vec![(third, vec![(1, mark(200, 1))])] });
        assert!(batches.begin(Vec::new()) > third, "numbers are not used again");
        assert_eq!(load(8, 0).1, Left::default(), "other settings");
        assert_eq!(load(7, 200).1, Left::default());
        let batches = load(7, 0).0;
        batches.begin(vec![(1, mark(2000, 1))]);
        assert_eq!(load(7, 0).1, Left::default(), "places that are not there any more");
        batches.clear();
        assert_eq!(load(7, 0).1, Left::default());
    }

    #[test]
    fn a_torn_line_and_foreign_bytes_end_the_notes() {
        let text = "nave-batches-1 0000000000000007\nb 4 1 1 50 2\nb 5 2 1 60 1\nd 4\n";
        let whole = parse(text.as_bytes(), 7).unwrap();
        assert_eq!((whole.done[&1], whole.open.len()), (mark(50, 2), 1));
        for cut in 0..text.len() {
            let left = parse(&text.as_bytes()[..cut], 7).unwrap_or_default();
            assert!(left.open.len() <= 2 && left.done.is_empty(), "cut at {cut}: {left:?}");
        }
        let damaged = text.replace("b 5 2 1", "b 5 x 1");
        let left = parse(damaged.as_bytes(), 7).unwrap();
        assert_eq!((left.done.len(), left.open.len()), (0, 1));
        assert_eq!(parse(b"\xff\n", 7), None);
    }
}
