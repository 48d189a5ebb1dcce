//! Bodies: decoding never panics, never yields more than it may, and what was decoded is the same after
//! encoding and decoding.

use std::sync::Arc;

use bytes::Bytes;
use nave_model::append::{Batch, Principal};
use nave_wire::write_v1::{Encoder, Series, decode, decompress};

const LIMIT: usize = 4 << 20;

/// Checks one body.
pub fn write_body(body: &[u8]) {
    if let Ok(plain) = decompress(body, LIMIT) {
        assert!(plain.len() <= LIMIT);
        check(plain);
    }
    check(Bytes::copy_from_slice(body));
}

fn principal() -> Arc<Principal> {
    Arc::new(Principal::anonymous("fuzz"))
}

fn check(plain: Bytes) {
    let size = plain.len();
    let Ok(batch) = decode(plain, principal()) else { return };
    assert!(batch.bytes.len() <= 2 * size, "label bytes grow at most twofold");
    assert!(batch.sample_count() <= size && batch.series.len() <= size);
    let sent = encode(&batch);
    let plain = decompress(&sent, usize::MAX).expect("what was encoded decompresses");
    let again = decode(plain, principal()).expect("what was encoded decodes");
    assert_eq!(again.metadata, batch.metadata);
    assert_eq!(encode(&again), sent, "encoding is stable");
    let bits = |batch: &Batch| batch.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    if batch.series.len() == again.series.len() {
        assert_eq!(again.timestamps, batch.timestamps);
        assert_eq!(bits(&again), bits(&batch));
    }
}

/// All series of valid labels.
fn encode(batch: &Batch) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for series in &batch.series {
        let Ok(labels) = (batch.label_format.decode)(batch.label_bytes(series)) else { continue };
        let samples: Vec<_> = batch.samples(series).collect();
        let histograms = &batch.histograms[series.histograms.start as usize..series.histograms.end as usize];
        let exemplars = &batch.exemplars[series.exemplars.start as usize..series.exemplars.end as usize];
        encoder.write(&Series { labels: &labels, samples: &samples, histograms, exemplars });
    }
    for (family, metadata) in &batch.metadata {
        encoder.metadata(family, metadata);
    }
    encoder.finish()
}
