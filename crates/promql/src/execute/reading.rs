//! A selection that several operators read.
//!
//! Series are found, and their labels built, once. Who needs the samples of some series first decodes them and computes at
//! once what the others, which have come as far, want of them. Their results wait, up to a bound; an operator for which they
//! cannot wait, or that came later, reads the series again. So no order of reading is wrong, and none takes more memory than
//! the bound.
//!
//! Each operator is given the samples of its own range, as if it had read alone; notes and counts are added when it gets the
//! values they belong to.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use nave_base::budget::Charge;
use nave_model::select::{Columns, Pages, SelectError, Selected};
use nave_model::time::TimeRange;
use parking_lot::Mutex;
use rayon::prelude::*;

use super::ledger::{LookedAt, Record};
use super::scan::{CHUNK_BYTES, CHUNK_SERIES, Evaluate, PARALLEL_MIN, Scratch, detect_resets, selection};
use super::{BoxOperator, Column, Context, Operator, Result, Series, column};
use crate::plan::{self, Source, Steps};

/// `evaluate` over the series of `source`, which reads together with others.
pub(super) fn operator(
    source: &Source,
    reading: &plan::Reading,
    steps: Steps,
    context: &Context,
    evaluate: Arc<dyn Evaluate>,
) -> Result<BoxOperator> {
    let together = Source {
        range: reading.range,
        need: reading.need,
        projection: reading.projection.clone(),
        reading: None,
        ..source.clone()
    };
    let shared = context.common(reading.id, || Mutex::new(Reading::new(together)))?;
    let reader = Reader {
        evaluate,
        range: source.range,
        detects_resets: source.detects_resets,
        steps: steps.len(),
        counts_steps: context.looked_at().by_step.is_some(),
        next: 0,
        ready: VecDeque::new(),
    };
    let me = shared.lock().join(reader);
    Ok(Box::new(SharedScan {
        shared,
        me,
        steps,
        context: context.clone(),
        series: 0,
        ready: Chunk::default(),
    }))
}

/// What all operators read.
struct Reading {
    source: Source,
    opened: Option<Opened>,
    /// By operator; `None` once it is gone.
    readers: Vec<Option<Reader>>,
}

#[derive(Clone)]
struct Opened {
    selected: Arc<dyn Selected>,
    series: Arc<Vec<Series>>,
    _charge: Arc<Charge>,
}

/// How far one operator has come.
struct Reader {
    evaluate: Arc<dyn Evaluate>,
    range: TimeRange,
    detects_resets: bool,
    steps: usize,
    counts_steps: bool,
    /// The first series that was not evaluated for it.
    next: usize,
    ready: VecDeque<Chunk>,
}

/// The values of some series for one operator.
#[derive(Default)]
struct Chunk {
    columns: VecDeque<Column>,
    record: Record,
    error: Option<crate::QueryError>,
    _charge: Option<Charge>,
}

impl Reading {
    fn new(source: Source) -> Self {
        Self { source, opened: None, readers: Vec::new() }
    }

    fn join(&mut self, reader: Reader) -> usize {
        self.readers.push(Some(reader));
        self.readers.len() - 1
    }

    fn open(&mut self, steps: Steps, context: &Context) -> Result<Opened> {
        if let Some(opened) = &self.opened {
            return Ok(opened.clone());
        }
        let selection = selection(&self.source, steps, context);
        let selected: Arc<dyn Selected> = match context.wait(context.store().open(selection)) {
            Ok(selected) => selected.into(),
            Err(SelectError::Cancelled) => return Err(context.stopped()),
            Err(other) => return Err(other.into()),
        };
        context.count_series(selected.len());
        let series = |index| Series { labels: selected.labels(index), drop_name: false };
        let series: Vec<Series> = (0..selected.len()).map(series).collect();
        let bytes = |series: &Series| size_of::<Series>() + series.labels.as_bytes().len();
        let charge = Arc::new(context.charge(series.iter().map(bytes).sum())?);
        let opened = Opened { selected, series: Arc::new(series), _charge: charge };
        self.opened = Some(opened.clone());
        Ok(opened)
    }

    /// Evaluates the next series of operator `me`, and the same series for those that wait for them too.
    fn fill(&mut self, me: usize, context: &Context) -> Result<()> {
        let Some(Opened { selected, series, .. }) = &self.opened else { return Ok(()) };
        let Some((from, steps)) = self.readers[me].as_ref().map(|reader| (reader.next, reader.steps)) else {
            return Ok(());
        };
        let chunk = (CHUNK_BYTES / column::bytes(steps)).clamp(1, CHUNK_SERIES);
        let range = from..series.len().min(from + chunk);
        let charge = context.charge(range.len() * column::bytes(steps))?;
        let mut charges = vec![(me, charge)];
        for (index, other) in self.readers.iter().enumerate().filter(|(index, _)| *index != me) {
            if let Some(other) = other.as_ref().filter(|other| other.next == from)
                && let Some(charge) = context.charge_waiting(range.len() * column::bytes(other.steps))
            {
                charges.push((index, charge));
            }
        }
        let pages = context.wait(selected.fetch(range.clone()))?;
        let readers: Vec<&Reader> =
            charges.iter().filter_map(|(index, _)| self.readers[*index].as_ref()).collect();
        let work = Work { context, pages: &*pages, series, readers: &readers };
        let chunks = work.chunks(range.clone())?;
        for (chunk, (index, charge)) in chunks.into_iter().zip(charges) {
            if let Some(reader) = &mut self.readers[index] {
                reader.next = range.end;
                reader.ready.push_back(Chunk { _charge: Some(charge), ..chunk });
            }
        }
        Ok(())
    }
}

/// One series for one operator.
type Evaluated = Result<(Column, Record)>;

/// Some series, evaluated for some operators.
struct Work<'a> {
    context: &'a Context,
    pages: &'a dyn Pages,
    series: &'a [Series],
    readers: &'a [&'a Reader],
}

/// What evaluation reuses from series to series.
#[derive(Default)]
struct Buffers {
    decoded: Columns,
    own: Columns,
    scratch: Scratch,
}

impl Work<'_> {
    /// Per operator all the series of `range`.
    fn chunks(&self, range: Range<usize>) -> Result<Vec<Chunk>> {
        let one = |buffers: &mut Buffers, index: usize| self.one(index, buffers);
        let steps: usize = self.readers.iter().map(|reader| reader.steps).sum();
        let done: Vec<Result<Vec<Evaluated>>> = if range.len() * steps < PARALLEL_MIN {
            let mut buffers = Buffers::default();
            range.map(|index| one(&mut buffers, index)).collect()
        } else {
            range.into_par_iter().map_init(Buffers::default, one).collect()
        };
        let mut chunks: Vec<Chunk> = self.readers.iter().map(|_| Chunk::default()).collect();
        for results in done {
            for (chunk, result) in chunks.iter_mut().zip(results?) {
                match result {
                    Ok((column, record)) if chunk.error.is_none() => chunk.add(column, record),
                    Ok(_) => {}
                    Err(error) => _ = chunk.error.get_or_insert(error),
                }
            }
        }
        Ok(chunks)
    }

    fn one(&self, index: usize, buffers: &mut Buffers) -> Result<Vec<Evaluated>> {
        self.context.check()?;
        self.pages.decode(index, &mut buffers.decoded)?;
        self.context.count_read(buffers.decoded.len());
        if !self.context.use_starts() {
            buffers.decoded.start_timestamps.clear();
        }
        Ok(self.readers.iter().map(|reader| reader.evaluate(&self.series[index], buffers)).collect())
    }
}

impl Reader {
    fn evaluate(&self, series: &Series, buffers: &mut Buffers) -> Evaluated {
        let Buffers { decoded, own, scratch } = buffers;
        cut(decoded, self.range, own);
        if self.detects_resets && !own.histograms.is_empty() {
            detect_resets(own);
        }
        let mut column = Column::new(self.steps);
        (scratch.looked_at, scratch.window) = (LookedAt::new(self.counts_steps), 0);
        let result = self.evaluate.evaluate(series, own, scratch, &mut column);
        let record = Record {
            notes: std::mem::take(&mut scratch.notes),
            looked_at: std::mem::take(&mut scratch.looked_at),
            kept: column.count() as u64,
            window: scratch.window,
        };
        result.map(|()| (column, record))
    }
}

/// The samples of `all` inside of `range`.
fn cut(all: &Columns, range: TimeRange, into: &mut Columns) {
    into.clear();
    let from = all.timestamps.partition_point(|time| *time < range.min);
    let to = all.timestamps.partition_point(|time| *time <= range.max).max(from);
    into.timestamps.extend_from_slice(&all.timestamps[from..to]);
    into.values.extend_from_slice(&all.values[from..to]);
    if !all.start_timestamps.is_empty() {
        into.start_timestamps.extend_from_slice(&all.start_timestamps[from..to]);
    }
    let inside = all.histograms.iter().filter(|(at, _)| (from..to).contains(&(*at as usize)));
    into.histograms.extend(inside.map(|(at, histogram)| (at - from as u32, histogram.clone())));
}

impl Chunk {
    fn add(&mut self, column: Column, record: Record) {
        self.columns.push_back(column);
        self.record.notes.append(record.notes);
        match &self.record.looked_at.by_step {
            None if self.columns.len() == 1 => self.record.looked_at = record.looked_at,
            _ => self.record.looked_at.append(&record.looked_at),
        }
        self.record.kept += record.kept;
        self.record.window = self.record.window.max(record.window);
    }
}

/// One of the operators.
struct SharedScan {
    shared: Arc<Mutex<Reading>>,
    me: usize,
    steps: Steps,
    context: Context,
    /// How many series are still to come.
    series: usize,
    ready: Chunk,
}

impl SharedScan {
    fn chunk(&self) -> Result<Chunk> {
        let mut shared = self.shared.lock();
        for _ in 0..2 {
            if let Some(chunk) = shared.readers[self.me].as_mut().and_then(|me| me.ready.pop_front()) {
                return Ok(chunk);
            }
            self.context.check()?;
            shared.fill(self.me, &self.context)?;
        }
        Ok(Chunk::default())
    }

    fn warn(&self) {
        if let Some(opened) = &self.shared.lock().opened {
            self.context.store_warnings(opened.selected.warnings());
        }
    }
}

impl Operator for SharedScan {
    fn series(&mut self) -> Result<Vec<Series>> {
        self.context.check()?;
        if self.steps.len() == 0 {
            return Ok(Vec::new());
        }
        let (opened, drops_name) = {
            let mut shared = self.shared.lock();
            let me = shared.readers[self.me].as_ref();
            let drops_name = me.is_some_and(|me| me.evaluate.drops_name());
            (shared.open(self.steps, &self.context)?, drops_name)
        };
        self.series = opened.series.len();
        if self.series == 0 {
            self.warn();
        }
        let series = opened.series.iter().cloned();
        Ok(if drops_name {
            series.map(|series| self.context.without_name(series)).collect()
        } else {
            series.collect()
        })
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        if self.ready.columns.is_empty() {
            self.ready = Chunk::default();
            let mut chunk = self.chunk()?;
            self.context.add(std::mem::take(&mut chunk.record))?;
            if let Some(error) = chunk.error {
                return Err(error);
            }
            self.ready = chunk;
        }
        *column = self.ready.columns.pop_front().unwrap_or_else(|| Column::new(self.steps.len()));
        self.series = self.series.saturating_sub(1);
        if self.series == 0 {
            self.warn();
        }
        Ok(())
    }
}

impl Drop for SharedScan {
    fn drop(&mut self) {
        let gone = self.shared.lock().readers[self.me].take();
        drop(gone);
    }
}
