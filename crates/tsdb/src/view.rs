//! A snapshot of one series' samples, and its decoding into columns.
//!
//! Sealed chunks are shared with the head; the open chunk, late samples and the list of histograms are
//! copies, so decoding holds no lock.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

use crate::chunk::{Chunk, Point, Points};
use crate::series::{Run, fill};

/// Samples of one series in some range; chunks may reach over its ends.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) open: Vec<u8>,
    pub(crate) open_first: i64,
    pub(crate) open_count: u32,
    /// Ascending; of times that no chunk has.
    pub(crate) late: Vec<Point>,
    pub(crate) histograms: Vec<(i64, Arc<Histogram>)>,
    /// Since when the samples count; mostly empty.
    pub(crate) starts: Vec<Run>,
}

impl View {
    /// What the snapshot itself takes; chunks belong to the head.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.chunks.len() * size_of::<Chunk>()
            + self.open.len()
            + self.late.len() * size_of::<Point>()
            + self.histograms.len() * size_of::<(i64, Arc<Histogram>)>()
            + self.starts.len() * size_of::<Run>()
    }

    /// Appends the samples of `range`, or only the newest of them, to `columns`, which is empty.
    pub(crate) fn read(&self, range: TimeRange, last_only: bool, columns: &mut Columns) {
        match last_only {
            true => self.decode_last(range, columns),
            false => self.decode(range, columns),
        }
        if !self.starts.is_empty() {
            fill(&self.starts, columns);
        }
    }

    /// In-order samples of `range`, ascending.
    fn in_order(&self, range: TimeRange) -> impl Iterator<Item = Point> + '_ {
        let (min, max) = (range.min.0, range.max.0);
        let open = Points::new(&self.open, self.open_first, self.open_count);
        let points = self.chunks.iter().flat_map(Chunk::iter).chain(open);
        points.skip_while(move |point| point.0 < min).take_while(move |point| point.0 <= max)
    }

    /// Appends the samples of `range` to `columns`, which is empty, without their starts.
    pub(crate) fn decode(&self, range: TimeRange, columns: &mut Columns) {
        if self.late.is_empty() && self.histograms.is_empty() {
            return self.decode_in_order(range, columns);
        }
        let mut late = self.late.iter().copied().filter(|p| range.contains(Timestamp(p.0))).peekable();
        let mut histograms = self.histograms.iter().peekable();
        for (t, value) in self.in_order(range) {
            while let Some(before) = late.next_if(|point| point.0 < t) {
                push(columns, &mut histograms, before);
            }
            push(columns, &mut histograms, (t, value));
        }
        late.for_each(|point| push(columns, &mut histograms, point));
        for (t, histogram) in histograms {
            columns.push_histogram(Timestamp(*t), histogram.clone());
        }
    }

    fn decode_in_order(&self, range: TimeRange, columns: &mut Columns) {
        let count: u32 = self.chunks.iter().map(|chunk| chunk.count).sum::<u32>() + self.open_count;
        columns.timestamps.reserve(count as usize);
        columns.values.reserve(count as usize);
        let open = Points::new(&self.open, self.open_first, self.open_count);
        for points in self.chunks.iter().map(Chunk::iter).chain([open]) {
            for (t, value) in points {
                if range.contains(Timestamp(t)) {
                    columns.push(Timestamp(t), f64::from_bits(value));
                }
            }
        }
    }

    /// Leaves only the newest sample of `range` in `columns`.
    fn decode_last(&self, range: TimeRange, columns: &mut Columns) {
        let chunk = self.in_order(range).last();
        let late = self.late.iter().copied().rfind(|point| range.contains(Timestamp(point.0)));
        let float = chunk.max(late);
        match self.histograms.last() {
            Some((t, histogram)) if float.is_none_or(|point| point.0 < *t) => {
                columns.push_histogram(Timestamp(*t), histogram.clone());
            }
            _ => {
                if let Some((t, value)) = float {
                    columns.push(Timestamp(t), f64::from_bits(value));
                }
            }
        }
    }
}

/// Pushes a float, and before it the histograms that are older.
fn push<'a>(
    columns: &mut Columns,
    histograms: &mut std::iter::Peekable<impl Iterator<Item = &'a (i64, Arc<Histogram>)>>,
    (t, value): Point,
) {
    while let Some((before, histogram)) = histograms.next_if(|histogram| histogram.0 < t) {
        columns.push_histogram(Timestamp(*before), histogram.clone());
    }
    columns.push(Timestamp(t), f64::from_bits(value));
}
