//! What a sender reads from: a log that it can tail, and that remembers how far each endpoint is.
//!
//! [`crate::Queue`] is one. Another log can be sent from by implementing these two traits.

use std::fmt::Debug;

use nave_model::append::HistogramSample;
use nave_model::label::Labels;
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;
use nave_wal::Position;
use tokio::sync::watch;

use crate::Error;

/// A log of samples, and the positions of those who read it. Calls may block on the disk, except
/// [`Source::durable_end`] and [`Source::newest`].
pub trait Source: Send + Sync + Debug {
    /// What `endpoint` last said was delivered, from which it goes on; nothing when it said nothing.
    fn resume(&self, endpoint: &str) -> Delivered;

    /// A reader of the samples from `from` on, or from the oldest data on when `from` is gone. Series that
    /// were named before `from` and are still used are named again first.
    fn tail(&self, from: Position) -> Box<dyn Tail>;

    /// Everything before this position is durable and may be sent.
    fn durable_end(&self) -> watch::Receiver<Position>;

    /// Remembers, durably, what `endpoint` has.
    ///
    /// # Errors
    /// When that could not be written; the endpoint may then get the same samples again.
    fn delivered(&self, endpoint: &str, delivered: &Delivered) -> Result<(), Error>;

    /// What was noted for `endpoint` by this life or the one before; empty when there is nothing. Notes outlive the
    /// process, but not always a power cut.
    fn notes(&self, _endpoint: &str) -> Vec<u8> {
        Vec::new()
    }

    /// Replaces the notes as a whole.
    ///
    /// # Errors
    /// When they could not be written; then the old ones stand.
    fn set_notes(&self, _endpoint: &str, _notes: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    /// Appends to the notes, which were set in this life.
    ///
    /// # Errors
    /// When they could not be written; then some of it may stand.
    fn append_notes(&self, _endpoint: &str, _more: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    /// The newest timestamp of any sample in the log.
    fn newest(&self) -> Timestamp;

    /// About how many bytes of the log stand in `gap`; 0 where that is not known. May read the folder.
    fn bytes(&self, _gap: Gap) -> u64 {
        0
    }
}

/// Records between two places in the log, from the start of one to the end of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Where the first one starts.
    pub from: Position,
    /// Behind the last one.
    pub to: Position,
}

/// What an endpoint has of a log: everything before `next` but for the gaps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivered {
    /// The first record of which nothing is known.
    pub next: Position,
    /// What is missing before it, oldest first; none is empty, no two touch.
    pub gaps: Vec<Gap>,
}

impl Delivered {
    /// Everything before `next`.
    #[must_use]
    pub fn up_to(next: Position) -> Self {
        Self { next, gaps: Vec::new() }
    }

    /// The first place from which something is missing.
    #[must_use]
    pub fn oldest(&self) -> Position {
        self.gaps.first().map_or(self.next, |gap| gap.from)
    }

    /// Whether the record that ends at `end` is missing.
    pub(crate) fn lacks(&self, end: Position) -> bool {
        end > self.next || self.gaps.iter().any(|gap| gap.from < end && end <= gap.to)
    }

    /// Nothing behind `end` exists, so nothing of it can be there.
    pub(crate) fn cut(&mut self, end: Position) {
        self.next = self.next.min(end);
        for gap in &mut self.gaps {
            *gap = Gap { from: gap.from.min(end), to: gap.to.min(end) };
        }
        self.gaps.retain(|gap| gap.from < gap.to);
    }
}

/// Reads a log from front to back.
pub trait Tail: Send {
    /// Replaces the content of `piece` by the next record.
    ///
    /// # Errors
    /// When the disk cannot be read now; calling again tries again.
    fn next(&mut self, piece: &mut Piece) -> Result<Step, Error>;
}

/// What [`Tail::next`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A record; [`Piece::next`] is behind it.
    Record,
    /// Nothing now.
    End,
    /// Bytes that are no record; says where and what is skipped. The next call goes on behind them.
    Damaged(String),
}

/// What stands in one record. Buffers are kept from record to record.
#[derive(Debug, Default)]
pub struct Piece {
    /// Series that are named from here on. A number may be named again, also for another series.
    pub series: Vec<(u32, Labels)>,
    /// Samples of series that were named in this segment, in order of arrival.
    pub samples: Vec<(u32, Timestamp, f64)>,
    /// Empty, or since when each of the samples counts; `Timestamp(0)` is unknown.
    pub starts: Vec<Timestamp>,
    /// Native histograms.
    pub histograms: Vec<(u32, HistogramSample)>,
    /// Exemplars.
    pub exemplars: Vec<(u32, Exemplar)>,
    /// The start of the next record.
    pub next: Position,
}

impl Piece {
    /// Removes everything and keeps the buffers.
    pub fn clear(&mut self) {
        self.series.clear();
        self.clear_items();
    }

    /// Removes everything but the names.
    pub fn clear_items(&mut self) {
        self.samples.clear();
        self.starts.clear();
        self.histograms.clear();
        self.exemplars.clear();
    }

    /// Times of floats and histograms.
    pub(crate) fn times(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let floats = self.samples.iter().map(|(_, timestamp, _)| *timestamp);
        floats.chain(self.histograms.iter().map(|(_, histogram)| histogram.timestamp))
    }
}
