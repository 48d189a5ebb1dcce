//! Cuts runs of histograms into segments and their columns.

use std::collections::BTreeSet;
use std::sync::Arc;

use nave_base::varint;
use nave_model::histogram::Histogram;

use super::{HINTS, Layout, Use, columns_of};

/// Cells of a segment that may be empty, beside as many as are not.
const EMPTY_CELLS: usize = 64;

/// A run, cut into segments.
#[derive(Debug)]
pub(in super::super) struct Segments<'a> {
    histograms: &'a [(u32, Arc<Histogram>)],
    segments: Vec<Segment>,
}

/// Histograms whose buckets share columns.
#[derive(Debug)]
struct Segment {
    first: usize,
    len: usize,
    layouts: Vec<Layout>,
    uses: Vec<Use>,
    /// The numbers of all buckets; `None` when the only layout has none that ascend.
    numbers: Option<[BTreeSet<i64>; 2]>,
    /// Numbers that its histograms have.
    cells: usize,
}

impl<'a> Segments<'a> {
    /// Cuts a run: positions, which ascend, and histograms.
    pub(in super::super) fn new(histograms: &'a [(u32, Arc<Histogram>)]) -> Self {
        let mut segments: Vec<Segment> = Vec::new();
        for (i, (_, histogram)) in histograms.iter().enumerate() {
            if !segments.last_mut().is_some_and(|segment| segment.add(histogram)) {
                segments.push(Segment::new(i, histogram));
            }
        }
        Self { histograms, segments }
    }

    /// Appends what is not in columns.
    pub(in super::super) fn put(&self, out: &mut Vec<u8>) {
        self.put_places(out);
        varint::put_u64(out, self.segments.len() as u64);
        for segment in &self.segments {
            let derived = segment.is_derived(self.of(segment));
            varint::put_u64(out, (segment.layouts.len() as u64) << 1 | u64::from(derived));
            segment.layouts.iter().for_each(|layout| layout.put(out));
            varint::put_u64(out, segment.uses.len() as u64);
            for Use { layout, hint, integer, len } in &segment.uses {
                let hint = HINTS.iter().position(|known| known == hint).unwrap_or_default() as u64;
                varint::put_u64(out, u64::from(*layout) << 3 | hint << 1 | u64::from(*integer));
                varint::put_u64(out, u64::from(*len));
            }
        }
    }

    /// Where the histograms are among the samples: stretches of samples between and of histograms.
    fn put_places(&self, out: &mut Vec<u8>) {
        let mut stretches: Vec<(u32, u32)> = Vec::new();
        let mut next = 0;
        for (at, _) in self.histograms {
            match stretches.last_mut() {
                Some((_, len)) if next == *at => *len += 1,
                _ => stretches.push((at - next, 1)),
            }
            next = at + 1;
        }
        varint::put_u64(out, stretches.len() as u64);
        for (gap, len) in stretches {
            varint::put_u64(out, u64::from(gap));
            varint::put_u64(out, u64::from(len));
        }
    }

    fn of(&self, segment: &Segment) -> &'a [(u32, Arc<Histogram>)] {
        &self.histograms[segment.first..segment.first + segment.len]
    }

    /// Gives the columns of all segments, in order.
    pub(in super::super) fn columns(&self, mut push: impl FnMut(&[f64])) {
        let mut column = Vec::new();
        for segment in &self.segments {
            let histograms = self.of(segment);
            let mut plain = |number: fn(&Histogram) -> f64| {
                column.clear();
                column.extend(histograms.iter().map(|(_, histogram)| number(histogram)));
                push(&column);
            };
            if !segment.is_derived(histograms) {
                plain(|histogram| histogram.count);
            }
            plain(|histogram| histogram.zero_count);
            plain(|histogram| histogram.sum);
            for side in 0..2 {
                segment.bucket_columns(side, histograms, &mut push);
            }
        }
    }
}

impl Segment {
    fn new(first: usize, histogram: &Histogram) -> Self {
        let layout = Layout::of(histogram);
        let sides = [layout.positive.numbers(), layout.negative.numbers()];
        let numbers = match sides {
            [Some(positive), Some(negative)] => Some([positive, negative].map(BTreeSet::from_iter)),
            _ => None,
        };
        let mut segment = Self { first, len: 0, layouts: vec![layout], uses: vec![], numbers, cells: 0 };
        segment.note(0, histogram);
        segment
    }

    /// Adds a histogram, if it fits.
    fn add(&mut self, histogram: &Histogram) -> bool {
        if let Some(known) = self.layouts.iter().rposition(|layout| layout.is_of(histogram)) {
            let width = self.width();
            let room = self.has_room(width, self.layouts[known].buckets());
            if room {
                self.note(known as u32, histogram);
            }
            return room;
        }
        let layout = Layout::of(histogram);
        let Some(union) = &self.numbers else { return false };
        if !self.layouts.iter().all(|known| known.fits(&layout)) {
            return false;
        }
        let (Some(positive), Some(negative)) = (layout.positive.numbers(), layout.negative.numbers()) else {
            return false;
        };
        let mut union = union.clone();
        union[0].extend(positive);
        union[1].extend(negative);
        if !self.has_room(union[0].len() + union[1].len(), layout.buckets()) {
            return false;
        }
        self.numbers = Some(union);
        self.layouts.push(layout);
        self.note(self.layouts.len() as u32 - 1, histogram);
        true
    }

    /// How many columns of buckets there are.
    fn width(&self) -> usize {
        match &self.numbers {
            Some([positive, negative]) => positive.len() + negative.len(),
            None => self.layouts[0].buckets(),
        }
    }

    /// Whether not too many cells would be empty with one more histogram and this many columns.
    fn has_room(&self, width: usize, buckets: usize) -> bool {
        (self.len + 1) * width <= 2 * (self.cells + buckets) + EMPTY_CELLS
    }

    fn note(&mut self, layout: u32, histogram: &Histogram) {
        self.cells += self.layouts[layout as usize].buckets();
        self.len += 1;
        let (hint, integer) = (histogram.counter_reset_hint, histogram.integer);
        match self.uses.last_mut() {
            Some(last) if (last.layout, last.hint, last.integer) == (layout, hint, integer) => last.len += 1,
            _ => self.uses.push(Use { layout, hint, integer, len: 1 }),
        }
    }

    /// Whether all counts are the sums of their buckets, so that they need not be written.
    fn is_derived(&self, histograms: &[(u32, Arc<Histogram>)]) -> bool {
        histograms.iter().all(|(_, histogram)| {
            let buckets = histogram.positive_buckets.iter().chain(&histogram.negative_buckets);
            let sum = buckets.fold(histogram.zero_count, |sum, bucket| sum + bucket);
            sum.to_bits() == histogram.count.to_bits()
        })
    }

    /// The layout of each histogram.
    fn layout_of_each(&self) -> impl Iterator<Item = usize> {
        self.uses.iter().flat_map(|used| std::iter::repeat_n(used.layout as usize, used.len as usize))
    }

    fn bucket_columns(
        &self,
        side: usize,
        histograms: &[(u32, Arc<Histogram>)],
        push: &mut impl FnMut(&[f64]),
    ) {
        let count = histograms.len();
        let width = match &self.numbers {
            Some(numbers) => numbers[side].len(),
            None => [self.layouts[0].positive.buckets, self.layouts[0].negative.buckets][side],
        };
        let places: Vec<Vec<u32>> = self.layouts.iter().map(|layout| self.places(side, layout)).collect();
        let mut cells: Vec<Option<f64>> = vec![None; width * count];
        for (row, ((_, histogram), layout)) in histograms.iter().zip(self.layout_of_each()).enumerate() {
            let buckets = if side == 0 { &histogram.positive_buckets } else { &histogram.negative_buckets };
            for (column, bucket) in places[layout].iter().zip(buckets) {
                cells[*column as usize * count + row] = Some(*bucket);
            }
        }
        let mut column = Vec::with_capacity(count);
        for cells in cells.chunks_exact(count) {
            let mut last = cells.iter().find_map(|cell| *cell).unwrap_or(0.0);
            column.clear();
            column.extend(cells.iter().map(|cell| {
                last = cell.unwrap_or(last);
                last
            }));
            push(&column);
        }
    }

    /// The column of each bucket of a layout.
    fn places(&self, side: usize, layout: &Layout) -> Vec<u32> {
        let side_of = if side == 0 { &layout.positive } else { &layout.negative };
        match (&self.numbers, side_of.numbers()) {
            (Some(union), Some(numbers)) => columns_of(&union[side], &numbers),
            _ => (0..side_of.buckets as u32).collect(),
        }
    }
}
