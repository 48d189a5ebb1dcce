//! What a flush takes from a series, and what memory drops when files have it.
//!
//! Flushes are numbered; `committed` is the last one that the manifest names. A number above it is that of a flush
//! under way or of one that failed: what such a flush took is taken again by the next one.

use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};

use super::{State, fill};
use crate::chunk::Chunk;
use crate::view::View;

/// How far the in-order floats were flushed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    /// The flush that set `mark`.
    seq: u32,
    /// The last flush that took anything of the series.
    written: u32,
    /// That flush takes floats up to here.
    mark: i64,
    /// And newer than this: committed flushes have these.
    before: i64,
}

impl Default for Marks {
    fn default() -> Self {
        Self { seq: 0, written: 0, mark: i64::MIN, before: i64::MIN }
    }
}

impl State {
    /// Gives everything that no committed flush has to flush `seq`; once per flush.
    pub(crate) fn freeze(&mut self, seq: u32, committed: u32) {
        if self.marks.seq <= committed {
            self.marks.before = self.marks.mark;
        }
        if self.started && self.open.last > self.marks.before {
            (self.marks.seq, self.marks.mark, self.marks.written) = (seq, self.open.last, seq);
            let before = self.marks.before;
            self.sealed
                .iter_mut()
                .rev()
                .take_while(|chunk| chunk.max > before)
                .for_each(|chunk| chunk.seq = seq);
        }
        for point in &mut self.histograms {
            if point.seq == 0 || point.seq > committed {
                (point.seq, self.marks.written) = (seq, seq);
            }
        }
        if self.late.as_mut().is_some_and(|late| late.freeze(seq, committed)) {
            self.marks.written = seq;
        }
    }

    /// Ends the open chunk. When a flush took all of it already, the chunk knows that, or it would stay for ever.
    pub(crate) fn seal(&mut self) {
        let seq = if self.open.last <= self.marks.mark { self.marks.seq } else { 0 };
        if let Some(mut chunk) = self.open.seal() {
            chunk.seq = seq;
            self.sealed.push(chunk);
        }
    }

    /// Puts the in-order floats and the histograms that flush `seq` was given into `columns`; the same however often it
    /// is asked for. `false` is that the flush took nothing, not even late floats.
    pub(crate) fn decode_frozen(&self, seq: u32, columns: &mut Columns) -> bool {
        columns.clear();
        if self.marks.written != seq {
            return false;
        }
        let floats = self.marks.seq == seq;
        let (min, max) = if floats { (self.marks.before.saturating_add(1), self.marks.mark) } else { (1, 0) };
        if self.histograms.iter().any(|point| point.seq == seq) {
            let mut view = if floats { self.in_order(min, max) } else { View::default() };
            let taken = self.histograms.iter().filter(|point| point.seq == seq);
            view.histograms = taken.map(|point| (point.t, point.histogram.clone())).collect();
            view.decode(TimeRange { min: Timestamp(min), max: Timestamp(max) }, columns);
        } else if floats {
            self.decode_floats(min, max, columns);
        }
        self.fill_starts(columns);
        true
    }

    /// Puts the late floats that flush `seq` was given into `columns`.
    pub(crate) fn decode_frozen_late(&self, seq: u32, columns: &mut Columns) {
        columns.clear();
        for (t, value) in self.frozen_late(seq).iter().flat_map(Chunk::iter) {
            columns.push(Timestamp(t), f64::from_bits(value));
        }
        self.fill_starts(columns);
    }

    fn fill_starts(&self, columns: &mut Columns) {
        if let (Some(starts), Some(first), Some(last)) =
            (&self.starts, columns.timestamps.first(), columns.timestamps.last())
        {
            fill(starts.within(first.0, last.0), columns);
        }
    }

    /// In-order floats of `min ..= max`, without a copy of their chunks.
    fn decode_floats(&self, min: i64, max: i64, columns: &mut Columns) {
        let from = self.sealed.partition_point(|chunk| chunk.max < min);
        let open = (self.open.count > 0 && self.open.first <= max).then(|| self.open.iter());
        for points in self.sealed[from..].iter().map(Chunk::iter).chain(open) {
            for (t, value) in points.skip_while(|point| point.0 < min) {
                if t > max {
                    return;
                }
                columns.push(Timestamp(t), f64::from_bits(value));
            }
        }
    }

    /// Late floats that flush `seq` took, ascending.
    pub(crate) fn frozen_late(&self, seq: u32) -> &[Chunk] {
        self.late.as_ref().map_or(&[], |late| late.frozen(seq))
    }

    /// Drops what flushes below `hot_seq` took, and late floats that flushes up to `late_seq` took. Both are numbers
    /// up to which every reader looks at the files.
    pub(crate) fn drop_flushed(&mut self, hot_seq: u32, late_seq: u32) {
        let below = |seq: u32| seq != 0 && seq < hot_seq;
        let old = self.sealed.iter().take_while(|chunk| below(chunk.seq)).count();
        if old > 0 {
            self.sealed.drain(..old);
            self.sealed.shrink_to(4);
        }
        if self.open.count > 0 && self.open.last <= self.marks.mark && below(self.marks.seq) {
            self.open.release();
        }
        if !self.histograms.is_empty() {
            self.histograms.retain(|point| !below(point.seq));
            self.histograms.shrink_to(8);
        }
        if let Some(late) = &mut self.late {
            late.drop_frozen(late_seq);
        }
        self.late.take_if(|late| late.is_empty());
        self.drop_starts();
    }

    /// Whether nothing in memory and no part needs the series: `oldest_part` is the first flush that parts hold.
    pub(crate) fn is_unused(&self, oldest_part: u32) -> bool {
        self.bounds().is_none() && self.marks.written < oldest_part
    }

    /// Takes over what an older series of the same labels has; its own samples come first.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let view = other.in_order(i64::MIN, i64::MAX);
        let late = other.late.as_ref().map_or(Vec::new(), |late| late.points(i64::MIN, i64::MAX));
        let mut columns = Columns::default();
        view.decode(TimeRange::ALL, &mut columns);
        let floats = columns.timestamps.iter().zip(&columns.values).map(|(t, value)| (t.0, value.to_bits()));
        for (t, value) in floats.chain(late) {
            let inserted = self.insert(t, value);
            self.note_start(inserted, t, other.start_at(t));
        }
        for point in &other.histograms {
            let inserted = self.insert_histogram(point.t, &point.histogram);
            self.note_start(inserted, point.t, other.start_at(point.t));
        }
        self.ticket = self.ticket.max(other.ticket);
        self.unlogged |= other.unlogged;
        self.note_written(other.marks.written);
    }

    /// A part up to flush `seq` may name the series.
    pub(crate) fn note_written(&mut self, seq: u32) {
        self.marks.written = self.marks.written.max(seq);
    }
}
