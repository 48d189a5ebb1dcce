//! Bodies of remote write 2.0: decoding never panics, never yields more than it may, and what was decoded is
//! the same after encoding and decoding.

use std::sync::Arc;

use bytes::Bytes;
use nave_model::append::{Batch, Principal};
use nave_wire::write_v2::{Encoder, Error, Request, Series, decompress};

const LIMIT: usize = 4 << 20;

/// Checks one body.
pub fn write_v2_body(body: &[u8]) {
    if let Ok(plain) = decompress(body, LIMIT) {
        check(plain);
    }
    check(Bytes::copy_from_slice(body));
}

fn decode(plain: Bytes) -> Result<Batch, Error> {
    let request = Request::open(plain, LIMIT)?;
    let announced = request.label_bytes();
    let batch = request.decode(Arc::new(Principal::anonymous("fuzz")))?;
    assert!(batch.bytes.len() <= announced && announced <= LIMIT, "labels take what was announced");
    Ok(batch)
}

fn check(plain: Bytes) {
    let size = plain.len();
    let Ok(batch) = decode(plain) else { return };
    assert!(batch.sample_count() <= size && batch.series.len() <= size);
    let starts = batch.start_timestamps.len();
    assert!(starts == 0 || starts == batch.values.len(), "one start per sample, or none");
    let sent = encode(&batch);
    let plain = decompress(&sent, usize::MAX).expect("what was encoded decompresses");
    let Ok(again) = decode(plain) else { return };
    assert_eq!(encode(&again), sent, "encoding is stable");
    if batch.series.len() == again.series.len() {
        assert_eq!(again.timestamps, batch.timestamps);
        let bits = |batch: &Batch| batch.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&again), bits(&batch));
    }
}

/// All series of valid labels, without metadata.
fn encode(batch: &Batch) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for series in &batch.series {
        let Ok(labels) = (batch.label_format.decode)(batch.label_bytes(series)) else { continue };
        let samples: Vec<_> = batch.samples(series).collect();
        let range = series.samples.start as usize..series.samples.end as usize;
        encoder.write(&Series {
            labels: &labels,
            samples: &samples,
            start_timestamps: batch.start_timestamps.get(range).unwrap_or_default(),
            histograms: &batch.histograms[series.histograms.start as usize..series.histograms.end as usize],
            exemplars: &batch.exemplars[series.exemplars.start as usize..series.exemplars.end as usize],
            metadata: None,
        });
    }
    encoder.finish()
}
