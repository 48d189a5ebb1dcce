//! Native histograms and start timestamps through whole files: round trips of what senders send and of what they
//! should not.

use std::path::Path;
use std::sync::Arc;

use nave_base::disk::{Disk, MemoryDisk};
use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::select::Columns;
use nave_model::time::{TimeRange, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::page::{Kind, Scratch};

const STALE: u64 = 0x7ff0_0000_0000_0002;

fn write(all: &[Columns], page_samples: usize) -> Vec<u8> {
    let disk = MemoryDisk::default();
    let options = Options { page_samples, kind: FileKind::Part, ..Options::default() };
    let path = Path::new("/a.part");
    let mut writer = BlockWriter::create(Arc::new(disk.clone()), path, BlockId(7), options).unwrap();
    for (i, columns) in all.iter().enumerate() {
        let labels = Labels::from_pairs([("__name__", format!("m{i:04}"))]).unwrap();
        writer.push(&labels, i as u32, columns).unwrap();
    }
    writer.finish().unwrap();
    disk.open(path).unwrap().read_from(0).unwrap()
}

/// Everything about samples, with the bits of doubles.
fn image(columns: &Columns) -> (Vec<i64>, Vec<u64>, Vec<String>, Vec<i64>) {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let one = |(at, h): &(u32, Arc<Histogram>)| {
        let numbers = bits(&[h.zero_threshold, h.zero_count, h.count, h.sum]);
        let buckets = (bits(&h.positive_buckets), bits(&h.negative_buckets), bits(&h.custom_bounds));
        let spans = (&h.positive_spans, &h.negative_spans);
        format!(
            "{at} {} {numbers:?} {buckets:?} {spans:?} {:?} {}",
            h.schema, h.counter_reset_hint, h.integer
        )
    };
    let times = |times: &[Timestamp]| times.iter().map(|time| time.0).collect();
    (
        times(&columns.timestamps),
        bits(&columns.values),
        columns.histograms.iter().map(one).collect(),
        times(&columns.start_timestamps),
    )
}

/// The part of `columns` in `range`.
fn cut(columns: &Columns, range: TimeRange) -> Columns {
    let mut out = Columns::default();
    let mut histograms = columns.histograms.iter().peekable();
    for (i, time) in columns.timestamps.iter().enumerate() {
        let histogram = histograms.next_if(|(at, _)| *at == i as u32);
        if !range.contains(*time) {
            continue;
        }
        if let Some((_, histogram)) = histogram {
            out.histograms.push((out.timestamps.len() as u32, Arc::clone(histogram)));
        }
        out.timestamps.push(*time);
        out.values.push(columns.values[i]);
        out.start_timestamps.extend(columns.start_timestamps.get(i));
    }
    out
}

fn check(all: &[Columns], page_samples: usize) -> Block<Vec<u8>> {
    let block = Block::open(write(all, page_samples), PageCache::none()).unwrap();
    let mut scratch = Scratch::new();
    let (mut damages, mut out) = (Vec::new(), Columns::default());
    assert!(block.verify(&mut scratch).unwrap().is_empty());
    let mut cursor = block.cursor();
    for (i, columns) in all.iter().enumerate() {
        let entry = cursor.next(&mut scratch, &mut out, &mut damages).unwrap();
        assert_eq!(entry, Some(Entry { ordinal: i as u32, id: i as u32 }));
        assert_eq!(image(&out), image(columns));
        let (first, last) = (columns.timestamps[0].0, columns.timestamps[columns.len() - 1].0);
        for (from, to) in
            [(first, last), (first + (last - first) / 3, last - (last - first) / 3), (last, last)]
        {
            let range = TimeRange { min: Timestamp(from), max: Timestamp(to) };
            out.clear();
            block.read(i as u32, range, &mut scratch, &mut out, &mut damages).unwrap();
            let mut expected = cut(columns, range);
            if !expected.start_timestamps.iter().any(|start| start.0 != 0) {
                expected.start_timestamps.clear();
                out.start_timestamps.retain(|start| start.0 != 0);
            }
            assert_eq!(image(&out), image(&expected));
        }
    }
    assert_eq!(cursor.next(&mut scratch, &mut out, &mut damages).unwrap(), None);
    assert!(damages.is_empty());
    block
}

fn spans(all: &[(i32, u32)]) -> Vec<Span> {
    all.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect()
}

/// A counter of requests whose buckets appear as they are met.
fn growing(i: usize) -> Histogram {
    let (mut buckets, mut spans_of) = (vec![], vec![]);
    for number in 0..20 {
        if i >= number * 3 % 17 {
            buckets.push(((i + 1) * (number * 7919 % 13)) as f64);
            spans_of.push(number as i32);
        }
    }
    let mut next = 0;
    let mut positive_spans: Vec<Span> = Vec::new();
    for number in spans_of {
        match positive_spans.last_mut() {
            Some(span) if next == number => span.length += 1,
            _ => positive_spans.push(Span { offset: number - next, length: 1 }),
        }
        next = number + 1;
    }
    Histogram {
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: 2.0,
        count: 2.0 + buckets.iter().sum::<f64>(),
        sum: i as f64 * 0.1 + 0.3,
        positive_spans,
        positive_buckets: buckets,
        negative_spans: vec![],
        negative_buckets: vec![],
        custom_bounds: vec![],
        counter_reset_hint: if i == 0 { CounterResetHint::Reset } else { CounterResetHint::NotReset },
        integer: true,
    }
}

fn stale() -> Histogram {
    let sum = f64::from_bits(STALE);
    let (positive_spans, positive_buckets) = (vec![], vec![]);
    Histogram {
        sum,
        count: 0.0,
        zero_count: 0.0,
        zero_threshold: 0.0,
        schema: 0,
        positive_spans,
        positive_buckets,
        ..growing(1)
    }
}

fn series(histograms: impl IntoIterator<Item = Option<Histogram>>) -> Columns {
    let mut columns = Columns::default();
    for (i, histogram) in histograms.into_iter().enumerate() {
        let time = Timestamp(1_700_000_000_000 + 15_000 * i as i64);
        match histogram {
            Some(histogram) => columns.push_histogram(time, Arc::new(histogram)),
            None => columns.push(time, i as f64 / 2.0),
        }
    }
    columns
}

#[test]
fn histograms_of_every_kind() {
    let grown = series((0..120).map(|i| Some(growing(i))).chain([Some(stale())]));
    let custom = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_bounds: vec![0.1, 1.0, f64::INFINITY],
        positive_spans: spans(&[(0, 3)]),
        positive_buckets: vec![1.0, 2.5, 3.0],
        integer: false,
        counter_reset_hint: CounterResetHint::Gauge,
        count: 99.0,
        ..growing(0)
    };
    let negative = Histogram {
        negative_spans: spans(&[(-7, 2), (3, 1)]),
        negative_buckets: vec![1.0, 4.0, 9.0],
        ..growing(30)
    };
    let odd = Histogram { positive_spans: spans(&[(4, 2), (-9, 7)]), ..growing(30) };
    let overlapping = Histogram { positive_spans: spans(&[(0, 10), (-5, 10)]), ..growing(60) };
    let all = [custom, negative, odd, overlapping, growing(9)];
    let mixed =
        series(all.iter().flat_map(|one| [Some(one.clone()), None, Some(one.clone()), Some(stale())]));
    let coarser = series((0..50).map(|i| Some(Histogram { schema: 3 - i / 20, ..growing(40 + i as usize) })));
    check(&[grown, mixed, coarser], 4096);
}

#[test]
fn a_run_of_like_histograms_is_small() {
    let columns = series((0..480).map(|i| Some(growing(i))));
    let all = vec![columns; 20];
    let bytes = write(&all, 32 << 10).len();
    let each = bytes as f64 / (480.0 * 20.0);
    assert!(each < 9.0, "{each} bytes for a histogram of up to 20 buckets");
    check(&all[..3], 256);
}

#[test]
fn start_timestamps_are_shared_and_cost_nothing_when_absent() {
    let mut with = series((0..100).map(|_| None));
    with.start_timestamps = (0..100).map(|i| Timestamp(1_699_999_000_000 + i / 60 * 900_000)).collect();
    let mut without = with.clone();
    without.start_timestamps = vec![];
    let block = check(&[with.clone(), with.clone(), without.clone()], 4096);
    let columns: u32 = block.pages(Kind::Times).iter().map(|page| page.last - page.first + 1).sum();
    assert_eq!(columns, 2);
    let [with, without] = [with, without].map(|columns| write(&vec![columns; 50], 4096).len());
    assert!(with < without + 150, "{with} bytes with, {without} without");
}

fn any_double() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0u32..2000).prop_map(f64::from),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => Just(f64::from_bits(STALE)),
        1 => (0u32..2000).prop_map(|m| f64::from(m) / 10.0),
    ]
}

fn any_spans() -> impl Strategy<Value = Vec<Span>> {
    let offset = prop_oneof![6 => 0i32..4, 1 => -5i32..5, 1 => any::<i32>()];
    let span = (offset, 0u32..4).prop_map(|(offset, length)| Span { offset, length });
    prop::collection::vec(span, 0..4)
}

prop_compose! {
    fn any_histogram()(
        schema in prop_oneof![4 => Just(3), 2 => -4i32..9, 1 => Just(CUSTOM_BUCKETS_SCHEMA), 1 => any::<i32>()],
        plain in prop::array::uniform4(any_double()),
        positive_spans in any_spans(),
        negative_spans in any_spans(),
        doubles in prop::collection::vec(any_double(), 40),
        bounds in prop::collection::vec(any_double(), 0..3),
        hint in 0usize..4,
        integer in any::<bool>(),
        derived in any::<bool>(),
        odd in prop_oneof![9 => Just(0usize), 1 => Just(3)],
    ) -> Histogram {
        let total = |spans: &[Span]| spans.iter().map(|span| span.length as usize).sum::<usize>() + odd;
        let hints = [
            CounterResetHint::Unknown,
            CounterResetHint::Reset,
            CounterResetHint::NotReset,
            CounterResetHint::Gauge,
        ];
        let positive_buckets = doubles[..total(&positive_spans)].to_vec();
        let negative_buckets = doubles[20..20 + total(&negative_spans)].to_vec();
        let sum = positive_buckets.iter().chain(&negative_buckets).fold(plain[1], |sum, bucket| sum + bucket);
        Histogram {
            schema,
            zero_threshold: plain[0],
            zero_count: plain[1],
            count: if derived { sum } else { plain[2] },
            sum: plain[3],
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_bounds: bounds,
            counter_reset_hint: hints[hint],
            integer,
        }
    }
}

prop_compose! {
    /// A series in which every histogram stands a few times, floats between them.
    fn any_series()(
        kinds in prop::collection::vec((prop::option::weighted(0.8, any_histogram()), 1usize..6), 1..12),
        starts in prop::option::weighted(0.3, prop::collection::vec(prop_oneof![Just(0i64), 1i64..9], 60)),
    ) -> Columns {
        let each = kinds.into_iter().flat_map(|(one, count)| std::iter::repeat_n(one, count));
        let mut columns = series(each);
        let starts = starts.filter(|starts| starts[..columns.len()].iter().any(|start| *start != 0));
        if let Some(starts) = starts {
            columns.start_timestamps = starts[..columns.len()].iter().map(|start| Timestamp(*start)).collect();
        }
        columns
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_series_come_back(all in prop::collection::vec(any_series(), 1..6), large in any::<bool>()) {
        // Runs that are cut have start timestamps in some pieces only.
        check(&all, if large { 4096 } else { 60 });
    }
}
