//! The samples of a series as chunks, cut where Prometheus would cut them or earlier.

use nave_model::histogram::Histogram;
use nave_model::select::Columns;
use nave_model::time::Timestamp;

use super::histogram_write::{Follow, HistogramChunk, follow, reset_bits};
use super::{XOR, xor};

/// Samples of a full chunk.
const SAMPLES: usize = 120;
/// A chunk of histograms is full from here on, when it has a few.
const HISTOGRAM_BYTES: usize = 1024;
const HISTOGRAMS_MIN: u16 = 10;

/// A chunk as it goes to disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// [`super::XOR`], [`super::HISTOGRAM`] or [`super::FLOAT_HISTOGRAM`].
    pub encoding: u8,
    /// Time of the first sample.
    pub min: Timestamp,
    /// Time of the last sample.
    pub max: Timestamp,
    /// How many samples.
    pub count: u16,
    /// What stands between length and checksum.
    pub bytes: Vec<u8>,
}

/// Encodes all samples of `columns`, which ascend in time. Start timestamps are not written: only the newest
/// Prometheus reads chunks that have them.
#[must_use]
pub fn encode(columns: &Columns) -> Vec<Encoded> {
    let mut chunks = Vec::new();
    let mut histograms = &columns.histograms[..];
    let mut start = 0;
    while start < columns.len() {
        let next = histograms.first().map_or(columns.len(), |(at, _)| *at as usize);
        if next > start {
            let end = next.min(start + SAMPLES);
            chunks.push(floats(columns, start, end));
            start = end;
        } else {
            let run = histograms.iter().enumerate().take_while(|(i, (at, _))| *at as usize == start + i);
            let run = run.count();
            histogram_run(columns, &histograms[..run], &mut chunks);
            histograms = &histograms[run..];
            start += run;
        }
    }
    chunks
}

fn floats(columns: &Columns, start: usize, end: usize) -> Encoded {
    let times = &columns.timestamps[start..end];
    Encoded {
        encoding: XOR,
        min: times[0],
        max: times[times.len() - 1],
        count: times.len() as u16,
        bytes: xor::encode(times, &columns.values[start..end]),
    }
}

/// Histograms without floats between them.
fn histogram_run(columns: &Columns, run: &[(u32, std::sync::Arc<Histogram>)], chunks: &mut Vec<Encoded>) {
    let time = |at: u32| columns.timestamps[at as usize];
    let mut open: Option<(HistogramChunk, Timestamp)> = None;
    let mut before: Option<&Histogram> = None;
    let mut last = Timestamp(0);
    for (at, histogram) in run {
        let full = open.as_ref().is_some_and(|(chunk, _)| {
            usize::from(chunk.count()) >= SAMPLES
                || (chunk.len() >= HISTOGRAM_BYTES && chunk.count() >= HISTOGRAMS_MIN)
        });
        let begins = match before.map(|before| follow(before, histogram)) {
            None => Some(reset_bits(histogram)),
            Some(Follow::New(bits)) => Some(bits),
            Some(Follow::Same) if full => Some(reset_bits(histogram).max(0b01)),
            Some(Follow::Same) => None,
        };
        if let Some(bits) = begins {
            let fresh = (HistogramChunk::new(histogram, bits), time(*at));
            chunks.extend(open.replace(fresh).map(|open| seal(open, last)));
        }
        last = time(*at);
        if let Some((chunk, _)) = &mut open {
            chunk.push(last.0, histogram);
        }
        before = Some(histogram);
    }
    chunks.extend(open.map(|open| seal(open, last)));
}

fn seal((chunk, min): (HistogramChunk, Timestamp), max: Timestamp) -> Encoded {
    let count = chunk.count();
    let (encoding, bytes) = chunk.finish();
    Encoded { encoding, min, max, count, bytes }
}
