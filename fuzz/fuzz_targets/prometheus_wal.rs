//! Prometheus' logs: records, segments, head chunks.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nave_fuzz::prometheus_wal(input));
