//! Prometheus' chunks: any bytes are damage or samples that ascend; what was decoded is encoded and decoded to
//! the same again.

use nave_model::select::Columns;
use nave_prometheus_block::chunk::{decode, encode};

/// Checks one input: the first byte is the encoding, the rest the chunk.
pub fn prometheus_chunk(input: &[u8]) {
    let Some((encoding, bytes)) = input.split_first() else { return };
    let mut columns = Columns::default();
    let whole = decode(encoding % 8, bytes, &mut columns).is_ok();
    let ascending = columns.timestamps.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(ascending && columns.timestamps.len() == columns.values.len(), "samples ascend");
    if !whole || columns.is_empty() {
        return;
    }
    let (mut back, mut part) = (Columns::default(), Columns::default());
    for chunk in encode(&columns) {
        decode(chunk.encoding, &chunk.bytes, &mut part).expect("what was encoded is decoded");
        assert_eq!(part.len(), usize::from(chunk.count));
        let mut histograms = part.histograms.iter();
        for (i, (t, value)) in part.timestamps.iter().zip(&part.values).enumerate() {
            match histograms.as_slice().first() {
                Some((at, histogram)) if *at as usize == i => {
                    back.push_histogram(*t, histogram.clone());
                    histograms.next();
                }
                _ => back.push(*t, *value),
            }
        }
    }
    assert_eq!(back.timestamps, columns.timestamps);
    let bits = |columns: &Columns| columns.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&back), bits(&columns));
    assert_eq!(back.histograms.len(), columns.histograms.len());
    for ((_, a), (_, b)) in back.histograms.iter().zip(&columns.histograms) {
        assert_eq!(a.sum.to_bits(), b.sum.to_bits());
        if !nave_model::sample::is_stale(a.sum) {
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(a.count.to_bits(), b.count.to_bits());
            assert_eq!(bits(&a.positive_buckets), bits(&b.positive_buckets));
            assert_eq!(bits(&a.negative_buckets), bits(&b.negative_buckets));
            assert_eq!(bits(&a.custom_bounds), bits(&b.custom_bounds));
            assert_eq!((a.schema, &a.positive_spans), (b.schema, &b.positive_spans));
        }
    }
}
