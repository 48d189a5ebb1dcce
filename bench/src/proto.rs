//! The few bytes of protobuf that remote write 1.0 needs, written by hand so that the labels of a
//! series are encoded once and only the sample is encoded per scrape.
//!
//! ```text
//! WriteRequest { repeated TimeSeries timeseries = 1 }
//! TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2 }
//! Label        { string name = 1; string value = 2 }
//! Sample       { double value = 1; int64 timestamp = 2 (Unix milliseconds) }
//! ```

/// The NaN bit pattern by which Prometheus marks that a series has ended.
pub const STALE_NAN: u64 = 0x7ff0_0000_0000_0002;

fn put_varint(buf: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        buf.push(v as u8 | 0x80);
        v >>= 7;
    }
    buf.push(v as u8);
}

fn varint_len(v: u64) -> usize {
    (64 - (v | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_bytes(buf: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    buf.push(tag);
    put_varint(buf, bytes.len() as u64);
    buf.extend_from_slice(bytes);
}

/// Encodes one series' labels, which must be sorted by name, as the `labels` fields of a TimeSeries.
pub fn encode_labels(labels: &[(&str, &str)]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(512);
    let mut one = Vec::new();
    for (name, value) in labels {
        one.clear();
        put_bytes(&mut one, 0x0a, name.as_bytes());
        put_bytes(&mut one, 0x12, value.as_bytes());
        put_bytes(&mut out, 0x0a, &one);
    }
    out.into_boxed_slice()
}

/// Appends one TimeSeries of one sample to a WriteRequest; `ts` in Unix milliseconds.
pub fn put_series(buf: &mut Vec<u8>, labels: &[u8], value: f64, ts: i64) {
    let bits = value.to_bits();
    let value_len = if bits == 0 { 0 } else { 9 }; // proto3 leaves zero out
    let sample_len = value_len + 1 + varint_len(ts as u64);
    buf.push(0x0a);
    put_varint(buf, (labels.len() + 2 + sample_len) as u64);
    buf.extend_from_slice(labels);
    buf.push(0x12);
    buf.push(sample_len as u8);
    if bits != 0 {
        buf.push(0x09);
        buf.extend_from_slice(&bits.to_le_bytes());
    }
    buf.push(0x10);
    put_varint(buf, ts as u64);
}

/// One field of a message: its number and, for a length-delimited one, its bytes.
fn next_field<'a>(b: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    fn varint(b: &mut &[u8]) -> Option<u64> {
        let mut v = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = b.split_first()?;
            *b = rest;
            v |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(v);
            }
        }
        None
    }
    let tag = varint(b)?;
    let len = match tag & 7 {
        0 => {
            varint(b)?;
            return Some((tag >> 3, &[]));
        }
        1 => 8,
        2 => varint(b)? as usize,
        5 => 4,
        _ => return None,
    };
    let (field, rest) = b.split_at_checked(len)?;
    *b = rest;
    Some((tag >> 3, field))
}

/// Counts the samples in an uncompressed WriteRequest: (all, those that are stale markers).
pub fn count_samples(mut request: &[u8]) -> Option<(u64, u64)> {
    let (mut samples, mut stale) = (0, 0);
    while !request.is_empty() {
        let (number, mut series) = next_field(&mut request)?;
        while number == 1 && !series.is_empty() {
            let (number, sample) = next_field(&mut series)?;
            if number == 2 {
                samples += 1;
                stale += u64::from(
                    sample.first() == Some(&0x09) && sample.get(1..9) == Some(&STALE_NAN.to_le_bytes()),
                );
            }
        }
    }
    Some((samples, stale))
}

/// The label pairs of [`encode_labels`]' output.
pub fn labels(mut encoded: &[u8]) -> Vec<(&str, &str)> {
    let mut out = Vec::new();
    while let Some((1, mut label)) = next_field(&mut encoded) {
        let name = next_field(&mut label).map_or("", |f| std::str::from_utf8(f.1).unwrap_or(""));
        let value = next_field(&mut label).map_or("", |f| std::str::from_utf8(f.1).unwrap_or(""));
        out.push((name, value));
    }
    out
}

#[cfg(test)]
mod tests {
    use prost::Message;

    #[derive(Message)]
    struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        timeseries: Vec<TimeSeries>,
    }
    #[derive(Message)]
    struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        samples: Vec<Sample>,
    }
    #[derive(Message)]
    struct Label {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        value: String,
    }
    #[derive(Message)]
    struct Sample {
        #[prost(double, tag = "1")]
        value: f64,
        #[prost(int64, tag = "2")]
        timestamp: i64,
    }

    #[test]
    fn agrees_with_prost() {
        let pairs = [("__name__", "up"), ("cluster", "c-1")];
        let encoded = super::encode_labels(&pairs);
        assert_eq!(super::labels(&encoded), pairs);
        let mut buf = Vec::new();
        for (value, ts) in [(1.5, 1_700_000_000_123), (0.0, 5), (f64::from_bits(super::STALE_NAN), 300)] {
            super::put_series(&mut buf, &encoded, value, ts);
        }
        let decoded = WriteRequest::decode(&buf[..]).unwrap();
        assert_eq!(decoded.encode_to_vec(), buf);
        assert_eq!(decoded.timeseries[0].samples[0].timestamp, 1_700_000_000_123);
        assert_eq!(decoded.timeseries[0].samples[0].value, 1.5);
        assert_eq!(decoded.timeseries[2].labels[1].value, "c-1");
        assert_eq!(super::count_samples(&buf), Some((3, 1)));
        assert_eq!(super::count_samples(&buf[1..]), None);
    }
}
