//! Floats of one series that are older than its newest one.
//!
//! They wait in a small sorted buffer, then in chunks of their own that are disjoint and ascending. A flush takes
//! all of them at once; they stay readable until nobody needs memory's copy. Files with late samples are cold: what
//! memory drops here is found in them.

use crate::chunk::{CHUNK_SAMPLES_MAX, Chunk, Point};

/// Samples that wait for a merge.
const BUFFER_MAX: usize = 32;
/// A run of samples between two chunks that is shorter than this joins the later one.
const RUN_MIN: usize = 60;

/// No two of its parts have a sample of one time.
#[derive(Debug, Default)]
pub(super) struct Late {
    buffer: Vec<Point>,
    chunks: Vec<Chunk>,
    /// What flushes took, with their number.
    frozen: Vec<(u32, Vec<Chunk>)>,
}

impl Late {
    /// Adds a sample of a time that is not there.
    pub(super) fn insert(&mut self, t: i64, value: u64) {
        let at = self.buffer.partition_point(|point| point.0 < t);
        self.buffer.insert(at, (t, value));
        if self.buffer.len() >= BUFFER_MAX {
            self.merge();
        }
    }

    fn lists(&self) -> impl Iterator<Item = &Vec<Chunk>> {
        self.frozen.iter().map(|(_, chunks)| chunks).chain([&self.chunks])
    }

    pub(super) fn find(&self, t: i64) -> Option<u64> {
        if let Ok(at) = self.buffer.binary_search_by_key(&t, |point| point.0) {
            return Some(self.buffer[at].1);
        }
        self.lists().find_map(|chunks| {
            let at = chunks.partition_point(|chunk| chunk.max < t);
            chunks.get(at).filter(|chunk| chunk.min <= t)?.find(t)
        })
    }

    /// All samples of `min ..= max`, ascending.
    pub(super) fn points(&self, min: i64, max: i64) -> Vec<Point> {
        let inside = |chunk: &&Chunk| chunk.min <= max && min <= chunk.max;
        let chunks = self.lists().flatten().filter(inside).flat_map(Chunk::iter);
        let points = chunks.chain(self.buffer.iter().copied());
        let mut points: Vec<_> = points.filter(|point| min <= point.0 && point.0 <= max).collect();
        points.sort_unstable_by_key(|point| point.0);
        points
    }

    /// Whether a sample may be in `min ..= max`, by the bounds of chunks.
    pub(super) fn may_have(&self, min: i64, max: i64) -> bool {
        let at = self.buffer.partition_point(|point| point.0 < min);
        self.buffer.get(at).is_some_and(|point| point.0 <= max)
            || self.lists().flatten().any(|chunk| chunk.min <= max && min <= chunk.max)
    }

    /// Oldest and newest time.
    pub(super) fn bounds(&self) -> Option<(i64, i64)> {
        let lists = self.lists().filter_map(|chunks| Some((chunks.first()?.min, chunks.last()?.max)));
        let buffer = self.buffer.first().zip(self.buffer.last()).map(|(first, last)| (first.0, last.0));
        lists.chain(buffer).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    pub(super) fn chunk_count(&self) -> usize {
        self.lists().map(Vec::len).sum::<usize>() + usize::from(!self.buffer.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.chunks.is_empty() && self.frozen.is_empty()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let chunks = self.lists().flatten().map(|chunk| chunk.heap_bytes() + size_of::<Chunk>());
        size_of::<Self>() + chunks.sum::<usize>() + self.buffer.len() * size_of::<Point>()
    }

    /// Drops what is wholly older than `floor`.
    pub(super) fn drop_before(&mut self, floor: i64) {
        self.buffer.retain(|point| point.0 >= floor);
        self.chunks.retain(|chunk| chunk.max >= floor);
        for (_, chunks) in &mut self.frozen {
            chunks.retain(|chunk| chunk.max >= floor);
        }
        self.frozen.retain(|(_, chunks)| !chunks.is_empty());
    }

    /// Gives all that no committed flush has to flush `seq`. Whether there is anything.
    pub(super) fn freeze(&mut self, seq: u32, committed: u32) -> bool {
        self.merge();
        let mut chunks = std::mem::take(&mut self.chunks);
        let failed: Vec<_> = self.frozen.extract_if(.., |(seq, _)| *seq > committed).collect();
        if !failed.is_empty() {
            let lists = failed.into_iter().map(|(_, chunks)| chunks).chain([chunks]);
            let mut points: Vec<Point> = Vec::new();
            lists.flatten().for_each(|chunk| points.extend(chunk.iter()));
            points.sort_unstable_by_key(|point| point.0);
            chunks = Vec::new();
            pack(&points, &mut chunks);
        }
        let any = !chunks.is_empty();
        if any {
            self.frozen.push((seq, chunks));
        }
        any
    }

    /// What flush `seq` took.
    pub(super) fn frozen(&self, seq: u32) -> &[Chunk] {
        self.frozen.iter().find(|(taken, _)| *taken == seq).map_or(&[], |(_, chunks)| chunks)
    }

    /// Drops what flushes up to `seq` took.
    pub(super) fn drop_frozen(&mut self, seq: u32) {
        self.frozen.retain(|(taken, _)| *taken > seq);
    }

    /// Rewrites the chunks that samples of the buffer fall into. Chunks without any are kept as they are.
    fn merge(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let mut late = std::mem::take(&mut self.buffer).into_iter().peekable();
        let mut merged = Vec::with_capacity(self.chunks.len() + 2);
        let mut run: Vec<Point> = Vec::new();
        for chunk in self.chunks.drain(..) {
            while let Some(point) = late.next_if(|point| point.0 < chunk.min) {
                run.push(point);
            }
            let inside = late.peek().is_some_and(|point| point.0 <= chunk.max);
            let joins = !run.is_empty() && run.len() < RUN_MIN;
            if inside || joins {
                for point in chunk.iter() {
                    while let Some(before) = late.next_if(|late| late.0 < point.0) {
                        run.push(before);
                    }
                    run.push(point);
                }
                pack(&run, &mut merged);
            } else {
                pack(&run, &mut merged);
                merged.push(chunk);
            }
            run.clear();
        }
        self.append_run(late, run, &mut merged);
        self.chunks = merged;
    }

    /// The rest of the buffer is behind all chunks; it fills the last one up.
    fn append_run(
        &mut self,
        rest: impl Iterator<Item = Point>,
        mut run: Vec<Point>,
        merged: &mut Vec<Chunk>,
    ) {
        run.extend(rest);
        if !run.is_empty()
            && let Some(last) = merged.pop_if(|last| (last.count as usize) < CHUNK_SAMPLES_MAX / 2)
        {
            let behind = std::mem::replace(&mut run, last.iter().collect());
            run.extend(behind);
        }
        pack(&run, merged);
    }
}

/// Splits `run` evenly into chunks.
fn pack(run: &[Point], chunks: &mut Vec<Chunk>) {
    let pieces = run.len().div_ceil(CHUNK_SAMPLES_MAX);
    for piece in 0..pieces {
        let (from, to) = (run.len() * piece / pieces, run.len() * (piece + 1) / pieces);
        chunks.extend(Chunk::encode(&run[from..to]));
    }
}
