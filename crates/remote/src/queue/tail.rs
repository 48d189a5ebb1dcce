//! Reading the queue's records, also from the middle of a segment.
//!
//! A segment names its series before their first samples, so a reader that starts in its middle first
//! takes the names of the part before and leaves its samples.

use nave_wal::{Next, Position, Reader, Record};

use super::record;
use crate::{Error, Piece, Step, Tail};

/// A reader of the queue.
#[derive(Debug)]
pub(super) struct QueueTail {
    reader: Reader,
    record: Record,
    /// Samples before this are not wanted.
    from: Position,
    /// What to say at the next call.
    damage: Option<String>,
}

impl QueueTail {
    /// `reader` makes a reader that starts at the given position.
    pub(super) fn new(from: Position, reader: impl FnOnce(Position) -> Reader) -> Self {
        let reader = reader(Position { offset: 0, ..from });
        Self { reader, record: Record::default(), from, damage: None }
    }

    fn read(&mut self, piece: &mut Piece) -> Result<Step, Error> {
        Ok(match self.reader.next(&mut self.record)? {
            Next::End => Step::End,
            Next::Damaged(damage) => Step::Damaged(damage.to_string()),
            Next::Record => {
                let series = piece.series.len();
                match record::read(self.record.kind, &self.record.payload, piece) {
                    Ok(()) => Step::Record,
                    Err(why) => {
                        piece.series.truncate(series);
                        piece.clear_items();
                        let Position { segment, offset } = self.record.position;
                        Step::Damaged(format!(
                            "record at segment {segment} offset {offset}: {why}; it is skipped"
                        ))
                    }
                }
            }
        })
    }

    /// Collects names until the wanted position, the end, or a damaged place.
    fn skip(&mut self, piece: &mut Piece) -> Result<Step, Error> {
        while self.reader.position() < self.from {
            let step = self.read(piece)?;
            piece.clear_items();
            match step {
                Step::Record => {}
                Step::Damaged(what) => {
                    self.damage = Some(what);
                    break;
                }
                Step::End if piece.series.is_empty() => return Ok(Step::End),
                Step::End => break,
            }
        }
        Ok(Step::Record)
    }
}

impl Tail for QueueTail {
    fn next(&mut self, piece: &mut Piece) -> Result<Step, Error> {
        piece.clear();
        let step = match self.damage.take() {
            Some(what) => Step::Damaged(what),
            None if self.reader.position() < self.from => self.skip(piece)?,
            None => self.read(piece)?,
        };
        piece.next = self.reader.position();
        Ok(step)
    }
}
