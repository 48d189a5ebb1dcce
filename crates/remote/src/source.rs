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
    /// Where `endpoint` goes on: behind what it last said was delivered, or at the oldest data.
    fn resume(&self, endpoint: &str) -> Position;

    /// A reader of the samples from `from` on, or from the oldest data on when `from` is gone. Series that
    /// were named before `from` and are still used are named again first.
    fn tail(&self, from: Position) -> Box<dyn Tail>;

    /// Everything before this position is durable and may be sent.
    fn durable_end(&self) -> watch::Receiver<Position>;

    /// Remembers, durably, that `endpoint` needs nothing before `position` any more.
    ///
    /// # Errors
    /// When that could not be written; the endpoint may then get the same samples again.
    fn delivered(&self, endpoint: &str, position: Position) -> Result<(), Error>;

    /// The newest timestamp of any sample in the log.
    fn newest(&self) -> Timestamp;
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
