//! Puts histograms together again.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use nave_model::histogram::Histogram;

use super::{HINTS, Layout, Side, Use, columns_of};
use crate::damage::{Cursor, Damage};

/// Columns of a segment beside buckets and counts: of the zero bucket, and sums.
const PLAIN: usize = 2;

/// A run of histograms of one series.
#[derive(Debug)]
pub(in super::super) struct Run {
    /// Samples before and of each stretch of histograms.
    stretches: Vec<(u32, u32)>,
    segments: Vec<Segment>,
}

#[derive(Debug)]
struct Segment {
    len: usize,
    /// Whether counts are the sums of their buckets.
    derived: bool,
    layouts: Vec<Placed>,
    uses: Vec<Use>,
    /// Its first column in the page.
    first: usize,
    columns: usize,
}

/// A layout and the column of each bucket within its segment.
#[derive(Debug)]
struct Placed {
    layout: Layout,
    positive: Vec<u32>,
    negative: Vec<u32>,
}

impl Run {
    /// Reads a run. `add` reads the columns of a segment (how many, of how many doubles each) and gives the place of
    /// the first; `room` is how many doubles the page may still have.
    pub(in super::super) fn take(
        cursor: &mut Cursor<'_>,
        mut room: usize,
        mut add: impl FnMut(usize, usize) -> Result<usize, Damage>,
    ) -> Result<Self, Damage> {
        let mut total = 0u64;
        let mut stretches = Vec::new();
        let mut end = 0u64;
        for _ in 0..cursor.count("stretches", cursor.left())? {
            let (gap, len) = (cursor.count("samples", u32::MAX as usize)?, cursor.count("histograms", room)?);
            total += len as u64;
            end += gap as u64 + len as u64;
            stretches.push((gap as u32, len as u32));
        }
        if end > u64::from(u32::MAX) {
            return Err(cursor.damage("histograms lie behind the end of their run"));
        }
        let mut segments = Vec::new();
        for _ in 0..cursor.count("segments", cursor.left())? {
            let mut segment = Segment::take(cursor, room)?;
            room -= segment.len * segment.columns;
            segment.first = add(segment.columns, segment.len)?;
            total = total.wrapping_sub(segment.len as u64);
            segments.push(segment);
        }
        if total != 0 {
            return Err(cursor.damage("expected as many histograms in segments as there are places"));
        }
        Ok(Self { stretches, segments })
    }

    /// Memory behind it, in bytes, about.
    pub(in super::super) fn memory(&self) -> usize {
        let layouts = self.segments.iter().flat_map(|segment| &segment.layouts);
        let each = layouts.map(|placed| {
            let Layout { positive, negative, bounds, .. } = &placed.layout;
            let spans = positive.spans.len() + negative.spans.len();
            size_of::<Placed>() + 8 * (spans + bounds.len()) + 4 * (positive.buckets + negative.buckets)
        });
        let uses: usize = self.segments.iter().map(|segment| segment.uses.len()).sum();
        size_of::<Self>()
            + self.stretches.len() * 8
            + self.segments.len() * size_of::<Segment>()
            + uses * size_of::<Use>()
            + each.sum::<usize>()
    }

    /// Where each histogram is in its run.
    fn places(&self) -> impl Iterator<Item = u32> {
        let mut next = 0;
        self.stretches.iter().flat_map(move |(gap, len)| {
            let first = next + gap;
            next = first + len;
            first..next
        })
    }

    /// Appends the histograms whose places are in `wanted`. `read` gives the doubles of a column, appending them.
    pub(in super::super) fn append(
        &self,
        wanted: Range<u32>,
        mut read: impl FnMut(usize, &mut Vec<f64>) -> Result<(), Damage>,
        out: &mut Vec<(u32, Arc<Histogram>)>,
    ) -> Result<(), Damage> {
        let mut places = self.places();
        let mut cells = Vec::new();
        for segment in &self.segments {
            let places: Vec<u32> = places.by_ref().take(segment.len).collect();
            if !places.iter().any(|at| wanted.contains(at)) {
                continue;
            }
            cells.clear();
            for column in segment.first..segment.first + segment.columns {
                read(column, &mut cells)?;
            }
            if cells.len() != segment.columns * segment.len {
                return Err(Damage::new("histograms", 0, "a column has another length than its segment"));
            }
            let each = segment.uses.iter().flat_map(|used| std::iter::repeat_n(used, used.len as usize));
            for (row, (at, used)) in places.into_iter().zip(each).enumerate() {
                if wanted.contains(&at) {
                    out.push((at, Arc::new(segment.histogram(row, used, &cells))));
                }
            }
        }
        Ok(())
    }
}

impl Segment {
    fn take(cursor: &mut Cursor<'_>, room: usize) -> Result<Self, Damage> {
        let head = cursor.u64()?;
        let count = usize::try_from(head >> 1).unwrap_or(usize::MAX);
        if count == 0 || count > cursor.left() {
            return Err(cursor.damage(format!("expected layouts, came {count}")));
        }
        let layouts: Vec<Layout> = (0..count).map(|_| Layout::take(cursor)).collect::<Result<_, _>>()?;
        let uses = take_uses(cursor, count, room)?;
        let len: usize = uses.iter().map(|used| used.len as usize).sum();
        // Before memory is taken for buckets: they must all be in the page.
        let widest = layouts.iter().map(Layout::buckets).max().unwrap_or_default();
        let needed = len.checked_mul(widest.saturating_add(PLAIN));
        if len < count || needed.is_none_or(|needed| needed > room) {
            return Err(cursor.damage(format!("{len} histograms of {widest} buckets do not fit the page")));
        }
        let derived = head & 1 == 1;
        let (layouts, buckets) = place(layouts).ok_or_else(|| cursor.damage("buckets do not ascend"))?;
        let columns = PLAIN + usize::from(!derived) + buckets;
        if len * columns > room {
            return Err(cursor.damage(format!("{len} histograms of {columns} numbers do not fit the page")));
        }
        Ok(Self { len, derived, layouts, uses, first: 0, columns })
    }

    fn histogram(&self, row: usize, used: &Use, cells: &[f64]) -> Histogram {
        let cell = |column: usize| cells[column * self.len + row];
        let Placed { layout, positive, negative } = &self.layouts[used.layout as usize];
        let plain = usize::from(!self.derived);
        let buckets = |columns: &[u32]| -> Vec<f64> {
            columns.iter().map(|column| cell(plain + PLAIN + *column as usize)).collect()
        };
        let (positive_buckets, negative_buckets) = (buckets(positive), buckets(negative));
        let zero_count = cell(plain);
        let all = positive_buckets.iter().chain(&negative_buckets);
        let count = if self.derived { all.fold(zero_count, |sum, bucket| sum + bucket) } else { cell(0) };
        Histogram {
            schema: layout.schema,
            zero_threshold: f64::from_bits(layout.zero_threshold),
            zero_count,
            count,
            sum: cell(plain + 1),
            positive_spans: layout.positive.spans.clone(),
            positive_buckets,
            negative_spans: layout.negative.spans.clone(),
            negative_buckets,
            custom_bounds: layout.bounds.iter().map(|bound| f64::from_bits(*bound)).collect(),
            counter_reset_hint: used.hint,
            integer: used.integer,
        }
    }
}

/// The uses of `layouts` layouts, of at most `room` histograms.
fn take_uses(cursor: &mut Cursor<'_>, layouts: usize, mut room: usize) -> Result<Vec<Use>, Damage> {
    let count = cursor.count("uses of layouts", cursor.left())?;
    let mut uses = Vec::with_capacity(count);
    for _ in 0..count {
        let head = cursor.u64()?;
        let layout = u32::try_from(head >> 3).ok().filter(|layout| (*layout as usize) < layouts);
        let layout = layout.ok_or_else(|| cursor.damage(format!("expected one of {layouts} layouts")))?;
        let len = cursor.count("histograms", room)?;
        room -= len;
        let (hint, integer) = (HINTS[(head >> 1 & 3) as usize], head & 1 == 1);
        uses.push(Use { layout, hint, integer, len: len as u32 });
    }
    Ok(uses)
}

/// Layouts with the columns of their buckets, and how many columns of buckets there are. A single layout has its
/// buckets in order; of several, the numbers of all buckets are the columns.
fn place(mut layouts: Vec<Layout>) -> Option<(Vec<Placed>, usize)> {
    if layouts.len() == 1 {
        let layout = layouts.pop()?;
        let (split, end) = (layout.positive.buckets as u32, layout.buckets() as u32);
        let placed = Placed { positive: (0..split).collect(), negative: (split..end).collect(), layout };
        return Some((vec![placed], end as usize));
    }
    let numbers = |side: fn(&Layout) -> &Side| -> Option<Vec<Vec<i64>>> {
        layouts.iter().map(|layout| side(layout).numbers()).collect()
    };
    let (positive, negative) = (numbers(|layout| &layout.positive)?, numbers(|layout| &layout.negative)?);
    let union = |all: &[Vec<i64>]| all.iter().flatten().copied().collect::<BTreeSet<i64>>();
    let (above, below) = (union(&positive), union(&negative));
    let buckets = above.len() + below.len();
    let split = above.len() as u32;
    let placed =
        layouts.into_iter().zip(positive.iter().zip(&negative)).map(|(layout, (positive, negative))| {
            let negative = columns_of(&below, negative).into_iter().map(|column| column + split).collect();
            Placed { layout, positive: columns_of(&above, positive), negative }
        });
    Some((placed.collect(), buckets))
}
